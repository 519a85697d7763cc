package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store/keys"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// world is an installation with two tenants, sun and moon, a directory each, and
// the API in front of it.
type world struct {
	t    *testing.T
	dir  string
	app  *app.App
	deps api.Deps
	h    http.Handler
	keys map[string]string // scope to key
	log  *lines
	// first is the run that made the accounts of sun.
	first string
}

// lines is a log to be looked at.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lastError is the last line of the log that tells of one.
func (l *lines) lastError() string {
	all := strings.Split(l.String(), "\n")
	for _, line := range slices.Backward(all) {
		if strings.Contains(line, `"error"`) {
			return line
		}
	}
	return ""
}

const settings = `
organizations: [{id: sun, name: Sun}, {id: moon, name: Moon}]
connections:
  - {alias: sun-hq, organization: sun, match: [username], backend: {csv: {path: sun.csv, key: username}}, mapping: {department: department}}
  - {alias: moon-hq, organization: moon, backend: {csv: {path: moon.csv, key: username}}}
`

// both runs a test on each database.
func both(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { fn(t, open(t, databases.SQLite(t))) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := databases.PostgreSQL(t)
		fn(t, open(t, dsn))
	})
}

func open(t *testing.T, dsn string, change ...func(*api.Deps)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), keys: map[string]string{}, log: &lines{}}
	w.file("rollcall.yaml", settings)
	w.people("sun", "anna", "bob", "carl")
	w.people("moon", "dora", "emil")
	a, err := app.Open(t.Context(), filepath.Join(w.dir, "rollcall.yaml"), func(name string) (string, bool) {
		if name == "ROLLCALL_DATABASE" && dsn != "" {
			return dsn, true
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	w.app = a
	w.deps = api.Deps{Store: a.Store, Engine: a.Engine, Runs: &inPlace{a}, Registry: a.Registry, SignIn: a.SignIn, Targets: a.Pushing, Kinds: all.Kinds(),
		Log: slog.New(slog.NewJSONHandler(w.log, nil)), Poll: time.Millisecond, Installation: client.Installation{Version: "test", PublicURL: "http://localhost:8080", Database: "sqlite"}, Rates: &setting.Rates{PerSecond: 10_000, Burst: 10_000}}
	for _, fn := range change {
		fn(&w.deps)
	}
	w.h = api.New(w.deps)
	for _, scope := range []string{"operator", "read-only", "organization:sun", "organization:moon", "organization:sun:read-only"} {
		s, err := keys.ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		if w.keys[scope], _, err = a.Store.KeyTable.Create(t.Context(), s, scope, time.Time{}, "tester"); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) file(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// people writes a tenant's directory.
func (w *world) people(tenant string, names ...string) {
	w.t.Helper()
	text := "username,email,first_name,last_name,password,groups,department\n"
	for _, n := range names {
		text += fmt.Sprintf("%s,%s@%s.example,%s,Person,secret-%s,,Sales\n", n, n, tenant, strings.ToUpper(n[:1])+n[1:], n)
	}
	w.file(tenant+".csv", text)
}

// inPlace carries runs out while the request waits.
type inPlace struct{ *app.App }

func (r *inPlace) Sync(ctx context.Context, alias string, full bool, trigger, actor string) (*engine.Run, error) {
	c, err := r.Registry.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	out, err := r.Engine.Sync(ctx, c, engine.Options{Full: full, Trigger: trigger, Actor: actor})
	return out.Run, err
}

func (r *inPlace) SyncPerson(ctx context.Context, alias, who, actor string) (*engine.Run, error) {
	c, err := r.Registry.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	out, err := r.Engine.Sync(ctx, c, engine.Options{Who: who, Trigger: engine.ByPerson, Actor: actor})
	return out.Run, err
}

func (r *inPlace) Approve(ctx context.Context, id string, exclude []int64, actor string) (*engine.Run, error) {
	p, err := r.Store.PlanTable.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := r.Registry.Connection(ctx, p.Connection)
	if err != nil {
		return nil, err
	}
	out, err := r.Engine.Approve(ctx, c, id, exclude, engine.Options{Trigger: "approve", Actor: actor})
	return out.Run, err
}

func (r *inPlace) Revert(ctx context.Context, id, actor string) (*engine.Run, error) {
	run, err := r.Store.RunTable.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := r.Registry.Connection(ctx, run.Connection)
	if err != nil {
		return nil, err
	}
	out, err := r.Engine.Revert(ctx, c, id, false, engine.Options{Actor: actor})
	return out.Run, err
}

func (r *inPlace) Cancel(context.Context, string, string) error { return nil }

func (r *inPlace) Progress(context.Context, string) (engine.Progress, error) {
	return engine.Progress{}, errors.New("nothing runs")
}

func (r *inPlace) Follow(ctx context.Context, id string, fn func(*engine.Run) error) error {
	run, err := r.Store.RunTable.Get(ctx, id)
	if err != nil {
		return err
	}
	return fn(run)
}

// ask sends a request with the key of a scope ("" for none); body may be nil, a
// string, or something to be sent as JSON. Headers follow as name and value.
func (w *world) ask(scope, method, path string, body any, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, api.Prefix+path, in)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if scope != "" {
		r.Header.Set("Authorization", "Bearer "+w.keys[scope])
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	out := httptest.NewRecorder()
	w.h.ServeHTTP(out, r)
	return out
}

// get is ask for something that must be there, decoded.
func get[T any](w *world, scope, path string) T {
	w.t.Helper()
	return want[T](w, http.StatusOK, w.ask(scope, "GET", path, nil))
}

// want checks a status and decodes the answer.
func want[T any](w *world, status int, r *httptest.ResponseRecorder) T {
	w.t.Helper()
	var out T
	if r.Code != status {
		w.t.Fatalf("status %d, want %d: %s\n%s", r.Code, status, r.Body, w.log.lastError())
	}
	if err := json.Unmarshal(r.Body.Bytes(), &out); err != nil {
		w.t.Fatalf("%v: %s", err, r.Body)
	}
	return out
}

// refused checks that an answer is a problem of a status, and gives it.
func (w *world) refused(status int, r *httptest.ResponseRecorder, words ...string) client.Problem {
	w.t.Helper()
	p := want[client.Problem](w, status, r)
	if got := r.Header().Get("Content-Type"); got != "application/problem+json" {
		w.t.Errorf("the problem comes as %s", got)
	}
	if p.Status != status || p.Title == "" || p.Detail == "" || p.RequestID == "" || p.RequestID != r.Header().Get("X-Request-ID") {
		w.t.Errorf("the problem is not whole: %+v", p)
	}
	for _, word := range words {
		if !strings.Contains(p.Error()+" "+p.Hint, word) {
			w.t.Errorf("the problem does not say %q: %s (%s)", word, p.Error(), p.Hint)
		}
	}
	return p
}

type list[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}
