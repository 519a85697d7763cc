package signin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/ledger"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// clock stands still until somebody sleeps.
type clock struct {
	mu    sync.Mutex
	at    time.Time
	slept []time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) sleep(_ context.Context, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	c.slept = append(c.slept, d)
}

func (c *clock) later(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// company is a directory that says what it is told to.
type company struct {
	mu     sync.Mutex
	people map[string]source.Proof // by login; the password of all is "right"
	down   error
	// hold is closed to let those who wait in it go, each of whom is told of in waits;
	// nil for nobody waits.
	hold   chan struct{}
	waits  chan struct{}
	asked  []string // logins that were asked for
	opened int
	closed int
	took   func() // called in the middle, to let time pass
}

func (d *company) Find(ctx context.Context, login string, attributes []string) (source.Proof, error) {
	return d.Prove(ctx, login, "", attributes)
}

func (d *company) Prove(ctx context.Context, login, password string, _ []string) (source.Proof, error) {
	d.mu.Lock()
	d.asked = append(d.asked, login)
	hold, waits, took := d.hold, d.waits, d.took
	p, known := d.people[account.Fold(login)]
	d.mu.Unlock()
	if took != nil {
		took()
	}
	if hold != nil {
		waits <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return source.Proof{}, fault.New(fault.Unavailable, "black hole: %w", ctx.Err())
		}
	}
	d.mu.Lock()
	down := d.down
	d.mu.Unlock()
	if down != nil {
		return source.Proof{}, down
	}
	if !known {
		return source.Proof{Standing: source.Nobody}, nil
	}
	if password != "right" && p.Standing != source.Several {
		return source.Proof{Standing: source.Wrong, Name: p.Name, Record: p.Record}, nil
	}
	return p, nil
}

func (d *company) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed++
	return nil
}

func (d *company) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.asked)
}

func (d *company) set(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

// house is an installation with the organization sun, two connections to scripted
// directories ("hq" and "lab"), one with kept passwords ("list"), and a clock that
// stands still.
type house struct {
	*testing.T
	*signin.Service
	store  *store.Store
	ring   *seal.Ring
	clock  *clock
	dirs   map[string]*company
	set    setting.SignIn
	hashes atomic.Int64

	mu          sync.Mutex
	nodes       []*signin.Service
	connections []setting.Connection
	admit       func(r *directory.Record) (engine.Admission, error) // nil for everybody
}

var (
	home   = netip.MustParseAddr("192.0.2.7")
	abroad = netip.MustParseAddr("203.0.113.9")
)

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { open(t, databases.SQLite(t), fn) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := databases.PostgreSQL(t)
		open(t, dsn, fn)
	})
}

func open(t *testing.T, dsn string, fn func(h *house)) {
	t.Helper()
	t.Parallel()
	s, err := store.Open(t.Context(), dsn, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &house{T: t, store: s, ring: &seal.Ring{Path: filepath.Join(t.TempDir(), "key")}, clock: &clock{at: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)},
		dirs: map[string]*company{}, set: setting.DefaultSignIn()}
	s.DB.Keyed = h.ring.Keyed
	s.PasswordTable.Now, s.LoginTable.Clock = h.clock.now, h.clock.now
	h.must(s.Declare(t.Context(), []setting.Organization{{ID: "sun", Name: "Sun & Fix"}}))
	for _, alias := range []string{"hq", "lab", "list"} {
		kind := "ldap"
		if alias == "list" {
			kind = "csv"
		}
		h.dirs[alias] = &company{people: map[string]source.Proof{}}
		h.connections = append(h.connections, setting.Connection{Alias: alias, Organization: "sun", Kind: kind, Backend: setting.Values{"of": alias},
			SignIn: setting.ConnectionSignIn{Enabled: true, ShowReasons: true, Domains: []string{alias + ".example"}}})
	}
	h.Service = h.node()
	t.Cleanup(func() {
		for _, s := range h.nodes {
			h.must(s.Close())
		}
		for alias, d := range h.dirs {
			if d.opened != d.closed {
				t.Errorf("of %s %d were opened and %d closed", alias, d.opened, d.closed)
			}
		}
	})
	fn(h)
}

// node is one more process on the same database.
func (h *house) node() *signin.Service {
	hash := func(plain string) string { return fmt.Sprintf("quick:%x", plain) }
	s := signin.New(signin.Options{Store: h.store, Connections: h, Kinds: h.kind, Ring: h.ring, Settings: func() setting.SignIn { return h.set }, PublicURL: "https://in.example",
		Open: func(_ context.Context, c setting.Connection) (signin.Door, error) { return &entrance{h, c}, nil },
		Now:  h.clock.now, Sleep: h.clock.sleep,
		Verify: func(_ context.Context, plain, kept string) (bool, error) {
			h.hashes.Add(1)
			return kept == hash(plain), nil
		},
		Hash: func(_ context.Context, plain string) (string, error) { return hash(plain), nil }})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nodes = append(h.nodes, s)
	return s
}

func (h *house) kind(name string) (source.Kind, bool) {
	k := source.Kind{Name: name, Passwords: name == "csv"}
	if name == "ldap" {
		k.Authenticator = func(v setting.Values, _ source.Env) (source.Authenticator, error) {
			d := h.dirs[v.String("of")]
			d.set(func() { d.opened++ })
			return d, nil
		}
	}
	return k, true
}

// Connection and Each make a house the registry.
func (h *house) Connection(_ context.Context, alias string) (setting.Connection, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.connections, func(c setting.Connection) bool { return c.Alias == alias })
	if i < 0 {
		return setting.Connection{}, fault.New(fault.NotFound, "there is no connection %q", alias)
	}
	return h.connections[i], nil
}

func (h *house) Each(_ context.Context, organization string, fn func(setting.Connection) error) error {
	for _, c := range h.connections {
		if organization == "" || c.Organization == organization {
			if err := fn(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *house) change(alias string, fn func(c *setting.Connection)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.connections, func(c setting.Connection) bool { return c.Alias == alias })
	fn(&h.connections[i])
}

// entrance makes accounts as the engine does, without its stages.
type entrance struct {
	h *house
	c setting.Connection
}

func (e *entrance) Attributes() []string { return []string{"mail"} }

func (e *entrance) Admit(ctx context.Context, r *directory.Record, _ string) (engine.Admission, error) {
	if e.h.admit != nil {
		return e.h.admit(r)
	}
	list, err := e.h.store.AccountTable.ByLogin(ctx, "sun", e.c.Alias, r.Name)
	if err == nil && len(list) == 0 {
		e.h.person(e.c.Alias, r.Name, "")
		list, err = e.h.store.AccountTable.ByLogin(ctx, "sun", e.c.Alias, r.Name)
	}
	if err != nil || len(list) == 0 {
		return engine.Admission{}, err
	}
	return engine.Admission{Account: list[0]}, nil
}

// person makes an account of a connection, with a password where one is given.
func (h *house) person(connection, username, password string) *account.Account {
	h.Helper()
	l := ledger.Local{}
	l.Account.Text[account.Username], l.Account.Text[account.Email] = username, username+"@"+connection+".example"
	l.Account.Text[account.FirstName], l.Account.Text[account.LastName] = "First", "Last"
	if password != "" {
		l.Hash = fmt.Sprintf("quick:%x", password)
	}
	list := []ledger.Local{l}
	h.must(h.store.LedgerTable.CreateLocal(h.Context(), "sun", "test", list))
	if connection != account.Local {
		h.exec(`UPDATE accounts SET connection = $1 WHERE id = $2`, connection, list[0].Account.ID)
	}
	found, err := h.store.AccountTable.Fetch(h.Context(), []account.ID{list[0].Account.ID})
	h.must(err)
	return found[list[0].Account.ID]
}

// knows puts somebody into a connection's directory.
func (h *house) knows(connection, username string, standing source.Standing) {
	d := h.dirs[connection]
	d.set(func() {
		p := source.Proof{Standing: standing, Right: standing != source.Locked && standing != source.Several, Name: "uid=" + username}
		if standing == source.Proved {
			p.Record = &directory.Record{ID: directory.ExternalID(username), Name: username}
		}
		d.people[username], d.people[username+"@"+connection+".example"] = p, p
	})
}

func (h *house) exec(query string, args ...any) {
	h.Helper()
	h.must(h.store.DB.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(h.Context(), query, args...)
		return err
	}))
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err, fault.HintOf(err))
	}
}

// try tries a password at a connection.
func (h *house) try(s *signin.Service, connection, login, password string, from netip.Addr) *signin.Result {
	h.Helper()
	r, err := s.Authenticate(h.Context(), signin.Attempt{Connection: connection, Login: login, Password: password, From: from, Agent: "Firefox", Via: "page"})
	h.must(err)
	return r
}

// is expects an outcome: "in", a reason, "wait" or "unavailable".
func (h *house) is(r *signin.Result, want string) {
	h.Helper()
	if got := outcome(r); got != want {
		h.Errorf("it is %q, want %q (%+v)", got, want, r)
	}
}

func outcome(r *signin.Result) string {
	switch {
	case r.Unavailable:
		return "unavailable"
	case r.Wait > 0:
		return "wait"
	case r.Reason != "":
		return string(r.Reason)
	case r.Account != nil:
		return "in"
	}
	return "nothing"
}

// told gives the events of some types so far.
func (h *house) told(types ...event.Type) (out []event.Event) {
	h.Helper()
	h.must(h.store.EventTable.After(h.Context(), "", 0, 100_000, func(e event.Event) error {
		if slices.Contains(types, e.Type) {
			out = append(out, e)
		}
		return nil
	}))
	return out
}

func after(e event.Event) map[string]any {
	out := map[string]any{}
	if json.Unmarshal(e.After, &out) != nil {
		return nil
	}
	return out
}

// clean checks that a text stands nowhere in the database's events and tables of
// sign-in.
func (h *house) clean(words ...string) {
	h.Helper()
	var all strings.Builder
	h.must(h.store.EventTable.After(h.Context(), "", 0, 100_000, func(e event.Event) error {
		fmt.Fprintf(&all, "%s %s %s %s\n", e.Actor, e.Before, e.After, e.Why)
		return nil
	}))
	for _, w := range words {
		if strings.Contains(all.String(), w) {
			h.Errorf("%q stands in an event", w)
		}
	}
}
