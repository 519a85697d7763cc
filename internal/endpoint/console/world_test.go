package console_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/endpoint/console"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/pushers"
	"rollcall.dev/rollcall/internal/store/setups"
)

// world is an installation with two organizations, sun and moon, and the console in
// front of it.
type world struct {
	t     *testing.T
	app   *app.App
	api   http.Handler
	shell *shell.Shell
	// people are browsers by who sits before them: a cookie, and what their forms carry.
	people map[string]browser
	// ids are of things of sun.
	ids map[string]string
}

type browser struct{ token, csrf string }

const password = "four words make one"

const settings = `
organizations: [{id: sun, name: Sunfix}, {id: moon, name: Moonshine}]
connections:
  - {alias: sun-hq, organization: sun, backend: {csv: {path: sun.csv, key: username}}}
`

func open(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"rollcall.yaml": settings, "sun.csv": "username,email,first_name,last_name,password\nanna,anna@sunfix.com,Anna,Sunny,very secret 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := app.Open(t.Context(), filepath.Join(dir, "rollcall.yaml"), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	table := a.Store.AdminTable
	table.Hash = func(_ context.Context, plain string) (string, error) { return "hash of " + plain, nil }
	table.Verify = func(_ context.Context, plain, hash string) (bool, error) { return hash == "hash of "+plain, nil }
	w := &world{t: t, app: a, people: map[string]browser{}, ids: map[string]string{}}
	w.api = api.New(api.Deps{Store: a.Store, Engine: a.Engine, Runs: idle{}, Registry: a.Registry, Kinds: all.Kinds(), Rates: &setting.Rates{PerSecond: 10_000, Burst: 10_000}})
	w.shell, err = console.New(console.Deps{
		Deps: shell.Deps{API: w.api, PublicURL: "http://localhost", Version: "test", Log: slog.New(slog.DiscardHandler),
			As: func(ctx context.Context, me *shell.Me) context.Context {
				return api.As(ctx, api.Caller{ID: me.ID, Organization: me.Organization, ReadOnly: me.ReadOnly, Actor: me.Actor(), Connection: me.Connection, Makes: me.Makes})
			}},
		Admins: table, Setups: a.Store.SetupTable, Kinds: all.Kinds(),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.furnish()
	return w
}

// idle takes runs and carries none out.
type idle struct{ api.Runs }

func (idle) Sync(context.Context, string, bool, string, string) (*engine.Run, error) {
	return &engine.Run{ID: "r0", Connection: "sun-up", Organization: "sun"}, nil
}
func (idle) Progress(context.Context, string) (engine.Progress, error) { return engine.Progress{}, nil }
func (idle) Cancel(context.Context, string, string) error              { return nil }
func (idle) SyncPerson(context.Context, string, string, string) (*engine.Run, error) {
	return &engine.Run{ID: "r0"}, nil
}
func (idle) Approve(context.Context, string, []int64, string) (*engine.Run, error) {
	return &engine.Run{ID: "r0"}, nil
}
func (idle) Revert(context.Context, string, string) (*engine.Run, error) {
	return &engine.Run{ID: "r0"}, nil
}
func (idle) Follow(context.Context, string, func(*engine.Run) error) error { return nil }

// furnish gives sun one of everything, and makes the people.
func (w *world) furnish() {
	ctx, t := w.t.Context(), w.t
	conn, err := w.app.Registry.Connection(ctx, "sun-hq")
	w.must(err)
	done, err := w.app.Engine.Sync(ctx, conn, engine.Options{Actor: "test", Trigger: "manual"})
	w.must(err)
	w.ids["run"] = done.Run.ID
	w.call("POST", "/connections", `{"alias": "sun-up", "organization": "sun", "backend": {"csv": {"upload": true}}}`)
	w.call("POST", "/connections", `{"alias": "sun-guest", "organization": "sun", "backend": {"csv": {"upload": true}}}`)
	w.call("POST", "/connections", `{"alias": "sun-push", "organization": "sun", "backend": {"scim": {}}}`)
	asked := pushers.Exchange{Method: "GET", Path: "/Users", Query: "filter=userName+eq+%22anna%22", Status: 200, Client: "Okta SCIM Client 1.0.0", Answer: `{"Resources":[],"totalResults":0}`}
	w.app.Store.PusherTable.Log("sun-push", asked)
	w.must(w.app.Store.PusherTable.Flush(ctx))
	w.ids["plan"] = w.call("POST", "/connections/sun-hq/plan", "")["id"].(string)
	w.ids["key"] = w.call("POST", "/apikeys", `{"scope": "organization:sun", "name": "The sunny shop"}`)["id"].(string)
	w.ids["hook"] = w.call("POST", "/webhooks", `{"organization": "sun", "url": "https://sunfix.example/hook"}`)["id"].(string)
	w.ids["client"] = w.call("POST", "/clients", `{"organization": "sun", "name": "sunfix timesheets", "redirect_uris": ["https://sunfix.example/cb"]}`)["client_id"].(string)
	w.ids["agent"] = w.call("POST", "/agents", `{"name": "sunfix-dc1", "connection": "sun-hq"}`)["id"].(string)
	w.ids["delivery"] = w.call("POST", "/webhooks/"+w.ids["hook"]+"/test", "")["id"].(string)
	w.ids["person"] = w.call("GET", "/accounts?who=anna", "")["items"].([]any)[0].(map[string]any)["id"].(string)
	group, key := account.NewID("sun", "group"), account.NewID("sun", "key")
	w.must(w.app.Store.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO groups (id, organization, connection, key, external_id, name, status, version, created_at, updated_at)
			VALUES ($1, 'sun', 'sun-hq', $2, 'all', 'All of Sunfix', 'active', 1, 1, 1)`, group[:], key[:])
		return err
	}))
	w.ids["group"] = group.String()

	table := w.app.Store.AdminTable
	for name, spec := range map[string]admins.Spec{
		"operator": {Role: admins.Operator}, "manager of sun": {Role: admins.Manager, Organization: "sun"}, "manager of moon": {Role: admins.Manager, Organization: "moon"},
		"auditor of sun": {Role: admins.Auditor, Organization: "sun"}, "auditor": {Role: admins.Auditor},
	} {
		spec.Email, spec.Password = strings.ReplaceAll(name, " ", "-")+"@example.com", password
		a, err := table.Create(ctx, admins.By{Actor: "test"}, spec)
		w.must(err)
		if name == "manager of sun" {
			w.ids["admin"] = a.ID
		}
		w.signIn(name)
	}
	_, invitation, err := table.Invite(ctx, admins.By{Actor: "test"}, admins.Spec{Email: "new@sunfix.com", Role: admins.Manager, Organization: "sun"})
	w.must(err)
	w.ids["invitation"] = invitation.ID
	token, link, err := w.app.Store.SetupTable.Create(ctx, admins.By{Actor: "test"}, setups.Spec{Organization: "sun", Connection: "sun-guest"})
	w.must(err)
	w.ids["link"] = link.ID
	x, _, err := w.app.Store.SetupTable.Enter(ctx, token, netip.Addr{}, "test")
	w.must(err)
	w.people["guest"] = browser{x.Token, x.CSRF}
	w.people["stranger"] = browser{}
	if t.Failed() {
		t.FailNow()
	}
}

// signIn gives somebody a fresh session.
func (w *world) signIn(name string) {
	w.t.Helper()
	s, err := w.app.Store.AdminTable.SignIn(w.t.Context(), strings.ReplaceAll(name, " ", "-")+"@example.com", password, "", netip.Addr{}, "test")
	w.must(err)
	w.people[name] = browser{s.Token, s.CSRF}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// call asks the API as an operator.
func (w *world) call(method, path, body string) map[string]any {
	w.t.Helper()
	r := httptest.NewRequestWithContext(api.As(w.t.Context(), api.Caller{ID: "test", Actor: "test"}), method, api.Prefix+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	out := httptest.NewRecorder()
	w.api.ServeHTTP(out, r)
	var m map[string]any
	if out.Code == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(out.Body.Bytes(), &m); err != nil || out.Code >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, out.Code, out.Body)
	}
	return m
}

// newest is the number of the last event: when it grows, something happened.
func (w *world) newest() float64 {
	w.t.Helper()
	return w.call("GET", "/events?last=true&limit=1", "")["newest"].(float64)
}

// names puts IDs of sun in the place of words in braces.
func (w *world) names(text string) string {
	for word, id := range w.ids {
		text = strings.ReplaceAll(text, "{"+word+"}", id)
	}
	return text
}

// ask makes a request as somebody. A form gets their token where csrf says so.
func (w *world) ask(who, method, path string, form url.Values, csrf bool) *httptest.ResponseRecorder {
	w.t.Helper()
	b := w.people[who]
	var body io.Reader
	if method != http.MethodGet {
		sent := url.Values{}
		for k, v := range form {
			sent[k] = []string{w.names(v[0])}
		}
		if csrf {
			sent.Set("csrf", b.csrf)
		}
		body = strings.NewReader(sent.Encode())
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, "http://localhost"+w.names(path), body)
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.token != "" {
		r.AddCookie(&http.Cookie{Name: "rollcall", Value: b.token})
	}
	out := httptest.NewRecorder()
	w.shell.ServeHTTP(out, r)
	return out
}
