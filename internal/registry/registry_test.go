package registry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/registry"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/keys"
	"rollcall.dev/rollcall/internal/store/pushed"
	"rollcall.dev/rollcall/internal/store/uploads"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

const file = `
organizations:
  - {id: sunfix, name: Sunfix}
  - {id: moonfix}
connections:
  - {alias: declared, organization: sunfix, backend: {csv: {path: a.csv, default_password: Sesame-File}}}
`

// both runs a test with a registry on a fresh database of each kind.
func both(t *testing.T, fn func(t *testing.T, r *registry.Registry)) {
	databases.Both(t, func(t *testing.T, dsn string) {
		fn(t, open(t, dsn))
	})
}

func open(t *testing.T, dsn string) *registry.Registry {
	t.Helper()
	cfg, err := config.Parse("", []byte(file), all.Kinds(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dsn, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	ring := &seal.Ring{Path: filepath.Join(t.TempDir(), "rollcall.key")}
	s.SecretTable.Ring, s.UploadTable.Ring = ring, ring
	if err := s.Declare(t.Context(), cfg.Organizations); err != nil {
		t.Fatal(err)
	}
	e := &engine.Engine{Store: s, Kinds: all.Named, Now: time.Now, Pushed: s.Pushed.Of, Uploads: func(ctx context.Context, connection string) (io.ReadCloser, error) {
		_, body, err := s.UploadTable.Newest(ctx, connection)
		return body, err
	}}
	r := &registry.Registry{Store: s, Kinds: all.Kinds(), Now: time.Now, Validate: e.Validate}
	r.Reload(cfg)
	return r
}

var (
	operator = registry.Who{Actor: "operator:test"}
	sunfix   = registry.Who{Organization: "sunfix", Actor: "apikey:sunfix"}
	moonfix  = registry.Who{Organization: "moonfix", Actor: "apikey:moonfix"}
)

const hq = `{"alias": "hq", "organization": "sunfix", "schedule": "every 40m", "settings": {"no-delete": true},
	"backend": {"ldap": {"addr": ["ldaps://dc1.sunfix.test"], "bind_dn": "cn=reader", "bind_password": "Sesame-Open-1", "base_dn": "dc=sunfix"}},
	"mapping": {"department": {"expr": "first(ou)"}, "title": null}}`

func make1(t *testing.T, r *registry.Registry) *registry.Entry {
	t.Helper()
	e, err := r.Create(t.Context(), sunfix, []byte(hq))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func password(t *testing.T, r *registry.Registry) any {
	t.Helper()
	c, err := r.Connection(t.Context(), "hq")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Unset) > 0 {
		return c.Unset[0].Problem
	}
	return c.Backend["bind_password"]
}

// nowhere fails when a secret can be read in the database or in what was told.
func nowhere(t *testing.T, r *registry.Registry, secret string) {
	t.Helper()
	for _, query := range []string{`SELECT body FROM declarations`, `SELECT sealed FROM secrets`, `SELECT before || after || why FROM events`} {
		rows, err := r.Store.DB.Reader().QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), secret) {
				t.Errorf("%s gives %s", query, b)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAConnectionMadeThroughTheAPIIsOneLikeThoseOfTheFile(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		e := make1(t, r)
		if e.Version != 1 || e.Declared || !slices.Equal(e.SecretsSet, []string{"bind_password"}) || strings.Contains(string(e.Body), "Sesame") {
			t.Errorf("%+v", e)
		}
		c, err := r.Connection(t.Context(), "hq")
		if err != nil || c.Backend.String("bind_password") != "Sesame-Open-1" || !c.Policy.NoDelete || c.Backend.Int("sync.page_size") != 1000 || !c.Mapping["title"].None {
			t.Errorf("%+v, %v", c, err)
		}
		again, err := config.Connection("x", e.Body, all.Kinds())
		if err != nil {
			t.Fatalf("what is shown is no connection again: %v\n%s", err, e.Body)
		}
		if again.Schedule != c.Schedule || again.Mapping["department"] != c.Mapping["department"] || !again.Mapping["title"].None {
			t.Errorf("%+v is shown as %s", c, e.Body)
		}
		nowhere(t, r, "Sesame-Open-1")
		var seen []string
		if err := r.Each(t.Context(), "", func(c setting.Connection) error {
			seen = append(seen, c.Alias)
			if c.Alias == "hq" && c.Backend["bind_password"] != nil {
				t.Error("a secret was opened for somebody who looks at all")
			}
			return nil
		}); err != nil || !slices.Equal(seen, []string{"declared", "hq"}) {
			t.Error(seen, err)
		}
		if err := r.Scheduled(t.Context(), func(c setting.Connection) error {
			if c.Alias != "hq" {
				t.Errorf("%s has no schedule", c.Alias)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestASecretGoesWhenThePlaceItWasGivenForChanges(t *testing.T) {
	for _, c := range []struct{ name, patch, want string }{
		{"another title", `{"settings": {"dry-run": true}}`, "Sesame-Open-1"},
		{"another server", `{"backend": {"ldap": {"addr": "ldaps://evil.test"}}}`, "taken away"},
		{"another account", `{"backend": {"ldap": {"bind_dn": "cn=other"}}}`, "taken away"},
		{"TLS is given up", `{"backend": {"ldap": {"tls": {"server_name": "evil.test"}}}}`, "taken away"},
		{"another server, and the secret with it", `{"backend": {"ldap": {"addr": "ldaps://dc2.test", "bind_password": "Sesame-Open-2"}}}`, "Sesame-Open-2"},
		{"the same server, said again", `{"backend": {"ldap": {"addr": "ldaps://dc1.sunfix.test"}}}`, "Sesame-Open-1"},
		{"the secret alone", `{"backend": {"ldap": {"bind_password": "Sesame-Open-3"}}}`, "Sesame-Open-3"},
		{"a secret that is a number", `{"backend": {"ldap": {"addr": "ldaps://dc2.test", "bind_password": 4711}}}`, "4711"},
		{"the secret alone is taken back", `{"backend": {"ldap": {"bind_dn": null, "bind_password": ""}}}`, "<nil>"},
		{"account and secret are taken back", `{"backend": {"ldap": {"bind_dn": null, "bind_password": null}}}`, "<nil>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, r *registry.Registry) {
				make1(t, r)
				if _, err := r.Update(t.Context(), sunfix, "hq", []byte(c.patch), 1); err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(password(t, r)); !strings.Contains(got, c.want) {
					t.Errorf("the password is now %s", got)
				}
				nowhere(t, r, "Sesame-Open")
			})
		})
	}
}

func TestNobodyTouchesAnotherTenantsConnection(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		make1(t, r)
		calls := map[string]func() error{
			"describe":            func() error { _, err := r.Describe(t.Context(), "moonfix", "hq"); return err },
			"describe a declared": func() error { _, err := r.Describe(t.Context(), "moonfix", "declared"); return err },
			"update":              func() error { _, err := r.Update(t.Context(), moonfix, "hq", []byte(`{}`), 0); return err },
			"update a declared":   func() error { _, err := r.Update(t.Context(), moonfix, "declared", []byte(`{}`), 0); return err },
			"replace":             func() error { _, err := r.Replace(t.Context(), moonfix, "hq", []byte(hq), 0); return err },
			"delete":              func() error { return r.Delete(t.Context(), moonfix, "hq") },
			"make one for them": func() error {
				_, err := r.Create(t.Context(), moonfix, []byte(strings.Replace(hq, `"hq"`, `"hq2"`, 1)))
				return err
			},
			"their organization": func() error { _, err := r.Organization(t.Context(), moonfix, "sunfix"); return err },
			"delete their organization": func() error {
				return r.DeleteOrganization(t.Context(), moonfix, "sunfix")
			},
		}
		for name, call := range calls {
			if err := call(); err == nil || fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		if c, err := r.Connection(t.Context(), "hq"); err != nil || c.Organization != "sunfix" {
			t.Error(c, err)
		}
	})
}

func TestWhatCannotBeIsRefusedWithAReason(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		make1(t, r)
		change := func(old, now string) string {
			return strings.Replace(strings.Replace(hq, `"hq"`, `"new"`, 1), old, now, 1)
		}
		for _, c := range []struct {
			name, body, words string
			kind              fault.Kind
		}{
			{"an alias that is taken", hq, `"hq" is taken`, fault.Conflict},
			{"an alias of the file", strings.Replace(hq, `"hq"`, `"declared"`, 1), `"declared" is taken`, fault.Conflict},
			{"an unknown key", change(`"bind_dn"`, `"bind_dm"`), "bind_dn", fault.Invalid},
			{"a file of this machine", change(`"base_dn"`, `"tls": {"ca_file": "/etc/passwd"}, "base_dn"`), "only an operator", fault.Denied},
			{"a formula that is none", change(`first(ou)`, `first(`), "department", fault.Invalid},
			{"no JSON", `{"alias": `, "JSON", fault.Invalid},
			{"a list", `[]`, "JSON", fault.Invalid},
			{"a schedule that never comes", change(`every 40m`, `0 0 31 2 *`), "never comes", fault.Invalid},
		} {
			if _, err := r.Create(t.Context(), sunfix, []byte(c.body)); err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s: kind %d, %v", c.name, fault.KindOf(err), err)
			} else if strings.Contains(err.Error(), "Sesame") {
				t.Errorf("%s: a secret is in %v", c.name, err)
			}
		}
		if _, err := r.Update(t.Context(), operator, "hq", []byte(`{"alias": "other"}`), 0); fault.KindOf(err) != fault.Invalid {
			t.Error("another alias:", err)
		}
		if _, err := r.Update(t.Context(), operator, "hq", []byte(`{}`), 7); fault.KindOf(err) != fault.Conflict {
			t.Error("another version:", err)
		}
		if _, err := r.Update(t.Context(), operator, "declared", []byte(`{}`), 0); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "rollcall.yaml") {
			t.Error("a declared one:", err)
		}
	})
}

// What comes over the network names no variable and no file of this machine.
func TestNothingIsPutInAValuesPlace(t *testing.T) {
	t.Setenv("HOME_SECRET", "Sesame-Env")
	r := open(t, databases.SQLite(t))
	body := strings.NewReplacer("cn=reader", "${HOME_SECRET}", "Sesame-Open-1", "${file:/etc/hostname}").Replace(hq)
	if _, err := r.Create(t.Context(), sunfix, []byte(body)); err != nil {
		t.Fatal(err)
	}
	c, err := r.Connection(t.Context(), "hq")
	if err != nil || c.Backend.String("bind_dn") != "${HOME_SECRET}" || c.Backend.String("bind_password") != "${file:/etc/hostname}" {
		t.Error(c.Backend, err)
	}
}

func TestEveryChangeIsAnEventWithTheWhoAndTheWhat(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		make1(t, r)
		if _, err := r.Update(t.Context(), operator, "hq", []byte(`{"role": "guest", "backend": {"ldap": {"bind_password": "Sesame-Open-4"}}}`), 0); err != nil {
			t.Fatal(err)
		}
		if err := r.Delete(t.Context(), sunfix, "hq"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.CreateOrganization(t.Context(), operator, setting.Organization{ID: "starfix", LicenceLimit: 5}); err != nil {
			t.Fatal(err)
		}
		if err := r.DeleteOrganization(t.Context(), operator, "starfix"); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := r.Store.EventTable.After(t.Context(), "", 0, 100, func(e event.Event) error {
			var role struct{ Role string }
			if err := json.Unmarshal(e.After, &role); err != nil {
				return err
			}
			got = append(got, fmt.Sprintf("%s %s %s %s %s", e.Type, e.Organization, e.Actor, role.Role, e.Why))
			return nil
		})
		want := []string{
			"connection.created sunfix apikey:sunfix  secrets changed: bind_password",
			"connection.updated sunfix operator:test guest secrets changed: bind_password",
			"connection.reset sunfix apikey:sunfix  ",
			"connection.deleted sunfix apikey:sunfix  ",
			"organization.created starfix operator:test  ", "organization.deleted starfix operator:test  ",
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v\n%s", err, strings.Join(got, "\n"))
		}
		if _, err := r.Connection(t.Context(), "hq"); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
		nowhere(t, r, "Sesame-Open")
	})
}

func TestAConnectionReadsTheNewestFileItWasGiven(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		if _, err := r.Create(t.Context(), sunfix, []byte(`{"alias": "table", "backend": {"csv": {"upload": true, "passwords": "none", "max_size": "1000"}}}`)); err != nil {
			t.Fatal(err)
		}
		make1(t, r)
		for i := range 8 {
			text := fmt.Sprintf("username,email\nu%d,u%d@x.org\n", i, i)
			f, err := r.Upload(t.Context(), sunfix, "table", "C:\\people\\list\x00.csv", strings.NewReader(text))
			if err != nil || f.Name != "list.csv" || f.Size != int64(len(text)) {
				t.Fatalf("%+v, %v", f, err)
			}
		}
		for _, c := range []struct {
			name, alias, text, words string
			who                      registry.Who
		}{
			{"a file too large", "table", strings.Repeat("x", 1001), "larger than 1000", sunfix},
			{"an empty one", "table", " \n", "empty", sunfix},
			{"for a directory", "hq", "a,b", "takes no files", sunfix},
			{"for another tenant's", "table", "a,b", "no connection", moonfix},
		} {
			if _, err := r.Upload(t.Context(), c.who, c.alias, "x", strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		list, err := r.Uploads(t.Context(), sunfix, "table")
		if err != nil || len(list) != 5 {
			t.Fatal(list, err)
		}
		holds(t, r, list[0], "username,email\nu7,u7@x.org\n")
	})
}

// holds fails when the newest file is another, holds another text, or can be read
// without the key.
func holds(t *testing.T, r *registry.Registry, want uploads.Upload, text string) {
	t.Helper()
	f, body, err := r.Store.UploadTable.Newest(t.Context(), "table")
	if err != nil || f != want {
		t.Fatalf("%+v, %v", f, err)
	}
	if got, err := io.ReadAll(body); err != nil || string(got) != text {
		t.Errorf("%s, %v", got, err)
	}
	var stored []byte
	if err := r.Store.DB.Reader().QueryRowContext(t.Context(), `SELECT body FROM uploads WHERE id = $1`, f.ID).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	for at := range stored {
		z, err := gzip.NewReader(bytes.NewReader(stored[at:]))
		if err != nil {
			continue
		}
		if plain, err := io.ReadAll(z); err == nil {
			t.Errorf("%s can be read in the database, from byte %d on", plain, at)
		}
	}
}

func TestFilesAreSealedAndFollowTheKey(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		if _, err := r.Create(t.Context(), sunfix, []byte(`{"alias": "table", "backend": {"csv": {"upload": true, "password_column": "pw"}}}`)); err != nil {
			t.Fatal(err)
		}
		const text = "username,pw\nanna,Sesame-Open-7\n"
		f, err := r.Upload(t.Context(), sunfix, "table", "a.csv", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		holds(t, r, f, text)
		nowhere(t, r, "Sesame-Open-7")
		ring := r.Store.UploadTable.Ring.(*seal.Ring)
		if err := ring.Rotate(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{1, 0} {
			err := r.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
				n, lost, err := r.Store.UploadTable.Reseal(t.Context(), tx)
				if n != want || len(lost) > 0 {
					t.Errorf("%d sealed anew, want %d; lost %v", n, want, lost)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := ring.Retire(); err != nil {
			t.Fatal(err)
		}
		holds(t, r, f, text)
	})
}

// Events and runs of an organization that was deleted are kept, and found by its ID.
func TestTheIDOfADeletedOrganizationIsNeverUsedAgain(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		_, err := r.CreateOrganization(t.Context(), operator, setting.Organization{ID: "starfix"})
		if err != nil {
			t.Fatal(err)
		}
		_, key, err := r.Store.KeyTable.Create(t.Context(), keys.Scope{Organization: "starfix"}, "theirs", time.Time{}, "tester")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.DeleteOrganization(t.Context(), operator, "starfix"); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "API keys") {
			t.Error("somebody holds a key:", err)
		}
		if _, err := r.Store.KeyTable.Revoke(t.Context(), "", key.ID, "tester"); err != nil {
			t.Fatal(err)
		}
		if err := r.DeleteOrganization(t.Context(), operator, "starfix"); err != nil {
			t.Fatal(err)
		}
		_, err = r.CreateOrganization(t.Context(), operator, setting.Organization{ID: "starfix"})
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "not used again") {
			t.Error("made again:", err)
		}
		err = r.Store.Declare(t.Context(), []setting.Organization{{ID: "starfix"}})
		if fault.KindOf(err) != fault.Conflict {
			t.Error("declared again:", err)
		}
	})
}

func TestAResetIsAnEvent(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		make1(t, r)
		lease, err := r.Store.LeaseTable.Acquire(t.Context(), "hq", "sunfix", "tester")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Store.Mirror().Reset(t.Context(), lease, "sunfix", "operator:eve", time.Now()); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := r.Store.DB.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM events WHERE type = $1 AND organization = 'sunfix' AND connection = 'hq' AND actor = 'operator:eve'`,
			string(event.ConnectionReset)).Scan(&n); err != nil || n != 1 {
			t.Error(n, err)
		}
	})
}

func TestWhatWasPushedToAConnectionGoesWithIt(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		if _, err := r.Create(t.Context(), operator, []byte(`{"alias": "okta", "organization": "sunfix", "backend": {"scim": {}}}`)); err != nil {
			t.Fatal(err)
		}
		err := r.Store.Pushed.Write(t.Context(), "okta", func(tx *pushed.Tx) error {
			_, err := tx.Create(scim.User, scim.Object{"userName": "jane"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Delete(t.Context(), operator, "okta"); err != nil {
			t.Fatal(err)
		}
		if p, err := r.Store.Pushed.List(t.Context(), "okta", pushed.Query{Type: scim.User}); err != nil || p.Total != 0 {
			t.Errorf("%d are left: %v", p.Total, err)
		}
	})
}

func TestTheAgentsOfADeletedConnectionEnd(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		make1(t, r)
		r.Store.AgentTable.Known = func(ctx context.Context, alias string) (string, error) {
			e, err := r.Describe(ctx, "", alias)
			return e.Connection.Organization, err
		}
		a, secret, err := r.Store.AgentTable.Create(t.Context(), "sunfix", "dc1", "hq", "apikey:sunfix")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Store.AgentTable.Authenticate(t.Context(), a.ID, secret); err != nil {
			t.Error("before:", err)
		}
		if err := r.Delete(t.Context(), sunfix, "hq"); err != nil {
			t.Fatal(err)
		}
		make1(t, r) // under the same alias
		if _, err := r.Store.AgentTable.Authenticate(t.Context(), a.ID, secret); fault.KindOf(err) != fault.Denied {
			t.Error("after:", err)
		}
		if good, err := r.Store.AgentTable.Good(t.Context(), a.Ticket()); err != nil || good[a.Ticket()] {
			t.Error("its session stays:", err)
		}
	})
}
