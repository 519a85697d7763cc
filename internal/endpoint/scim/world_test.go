package scim_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/endpoint/scim"
	"rollcall.dev/rollcall/internal/rig/databases"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// world is an installation with two tenants, each with connections that take pushes.
type world struct {
	app      *app.App
	endpoint *scim.Endpoint
	web      *httptest.Server
	token    string // of the connection "push"
}

const settings = `
organizations: [{id: sun, name: Sun}, {id: moon, name: Moon}]
connections:
  - {alias: push, organization: sun, role: employee, backend: {scim: {rate: 100000, burst: 100000}}}
  - {alias: mail, organization: sun, backend: {scim: {username_is_email: true}}}
  - {alias: slow, organization: sun, backend: {scim: {rate: 1, burst: 2}}}
  - {alias: moon-push, organization: moon, backend: {scim: {}}}
  - {alias: table, organization: sun, backend: {csv: {path: people.csv, key: username, passwords: none}}}
`

func both(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	databases.Both(t, func(t *testing.T, dsn string) { fn(t, open(t, dsn)) })
}

func open(t testing.TB, dsn string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{}
	h := http.NotFoundHandler()
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h.ServeHTTP(rw, r) }))
	t.Cleanup(w.web.Close)
	if err := os.WriteFile(filepath.Join(dir, "rollcall.yaml"), []byte("public_url: "+w.web.URL+"\n"+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(t.Context(), filepath.Join(dir, "rollcall.yaml"), func(name string) (string, bool) { return dsn, name == "ROLLCALL_DATABASE" })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	w.app = a
	w.endpoint = scim.New(scim.Deps{PublicURL: w.web.URL, Pushed: a.Store.Pushed, Pushers: a.Store.PusherTable, Connection: a.Registry.Connection, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	h = w.endpoint
	w.token = w.newToken(t, "push")
	return w
}

func (w *world) newToken(t testing.TB, alias string) string {
	t.Helper()
	_, secret, err := w.app.Store.PusherTable.Create(t.Context(), alias, "test", nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (w *world) base(alias string) string { return w.web.URL + "/scim/v2/" + alias }

// clear deletes all there is.
func (w *world) clear(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"/Groups", "/Users"} {
		_, _, text := w.ask(t, "GET", kind+"?count=1000&attributes=id", "", nil)
		var page struct{ Resources []struct{ ID string } }
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Resources {
			w.ask(t, "DELETE", kind+"/"+r.ID, "", nil)
		}
	}
}
