package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/accounts"
)

// World is an installation on a database of its own: one organization "org",
// and connections with scripted directories.
type World struct {
	T      testing.TB
	DSN    string
	Store  *store.Store
	Engine *engine.Engine
	Dirs   *Directories
	// Connections are those of the only organization.
	Connections []setting.Connection
	// Clock is what the engine takes for now. It stands still.
	Clock  time.Time
	closed bool
}

// Open opens a world on a database that may hold an earlier one's.
func Open(t testing.TB, dsn string) *World {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.DB.Keyed = Keyed
	w := &World{T: t, DSN: dsn, Store: s, Dirs: &Directories{}, Clock: time.Now().UTC().Truncate(time.Second)}
	t.Cleanup(w.Close)
	w.Engine = w.NewEngine(s)
	w.Declare(setting.Organization{ID: "org", Name: "Organization"})
	return w
}

// Close closes the database. It is done at the end of the test in any case.
func (w *World) Close() {
	if w.closed {
		return
	}
	w.closed = true
	if err := w.Store.Close(); err != nil {
		w.T.Error(err)
	}
}

// NewEngine makes another engine of the same installation, as another process
// would have it.
func (w *World) NewEngine(s engine.Store) *engine.Engine {
	e := &engine.Engine{Store: s, Kinds: w.Dirs.Kind, Secrets: Secrets{}, Now: func() time.Time { return w.Clock }}
	if w.Engine != nil {
		e.Connections = w.Engine.Connections
	} else {
		e.Connections = func(context.Context, string) ([]setting.Connection, error) { return w.Connections, nil }
	}
	return e
}

// Keyed seals the feed with a key everybody knows.
func Keyed(purpose, text string) ([]byte, error) {
	sum := directory.Sum([]byte(purpose + "\x00" + text))
	return sum[:], nil
}

// Secrets are the engine's, with a key everybody knows. A real hash takes its
// time, which only tests of passwords have.
type Secrets struct{ Real bool }

// Fingerprint is keyed by nothing.
func (Secrets) Fingerprint(purpose, text string) (string, error) {
	return fmt.Sprintf("%x", directory.Sum([]byte(purpose+"\x00"+text))), nil
}

// HashSalted is the real one, or something quick of the same look.
func (s Secrets) HashSalted(ctx context.Context, plain, salt string) (string, error) {
	if s.Real {
		return seal.HashSalted(ctx, plain, salt)
	}
	return fmt.Sprintf("$argon2id$quick$%x", directory.Sum([]byte(plain))), nil
}

// Declare brings organizations into the database.
func (w *World) Declare(list ...setting.Organization) {
	w.T.Helper()
	w.must(w.Store.Declare(w.T.Context(), list))
}

func (w *World) must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// Connect adds a connection of "org" with the usual policy and without matching
// attributes.
func (w *World) Connect(alias string, change ...func(*setting.Connection)) *setting.Connection {
	c := setting.Connection{Alias: alias, Organization: "org", Kind: "script", Role: "employee", Region: "BE",
		Policy: setting.DefaultPolicy(), Limits: setting.DefaultLimits(), Overlap: setting.OverlapWait,
		Backend: setting.Values{"directory": alias}, Mapping: map[string]setting.Rule{}}
	for _, fn := range change {
		fn(&c)
	}
	w.Connections = append(w.Connections, c)
	return w.Conn(alias)
}

// Conn gives a connection's settings to be looked at and changed.
func (w *World) Conn(alias string) *setting.Connection {
	for i := range w.Connections {
		if w.Connections[i].Alias == alias {
			return &w.Connections[i]
		}
	}
	w.T.Fatalf("there is no connection %s", alias)
	return nil
}

// Holds puts records into a connection's directory in place of all others.
func (w *World) Holds(alias string, records ...directory.Record) {
	w.Dirs.Of(alias).Records = records
}

// Changes says what readings of changes bring of a connection's directory, which
// holds records.
func (w *World) Changes(alias string, changes []directory.Record, records ...directory.Record) {
	dir := w.Dirs.Of(alias)
	dir.Changes, dir.Next, dir.Records = changes, "next", records
}

// Options of every pass.
var options = engine.Options{Actor: "tester", Trigger: "manual"}

// Sync runs a pass and fails the test when it fails.
func (w *World) Sync(alias string) *engine.Result {
	w.T.Helper()
	r, err := w.Engine.Sync(w.T.Context(), *w.Conn(alias), options)
	w.must(err)
	return r
}

// Applied is Sync for a pass that must not be held.
func (w *World) Applied(alias string) *engine.Result {
	w.T.Helper()
	r := w.Sync(alias)
	if r.Run.State != engine.RunApplied {
		w.T.Fatalf("the run is %s: %q\n%s", r.Run.State, r.Plan.HeldBecause, strings.Join(w.Rows(r.Plan), "\n"))
	}
	return r
}

// Held is Sync for a pass that must be held, for a reason with these words.
func (w *World) Held(alias, because string) *engine.Result {
	w.T.Helper()
	r := w.Sync(alias)
	if r.Run.State != engine.RunHeld || !strings.Contains(strings.Join(r.Plan.HeldBecause, "\n"), because) {
		w.T.Fatalf("want a run held because %q, got %s: %q\n%s", because, r.Run.State, r.Plan.HeldBecause, strings.Join(w.Rows(r.Plan), "\n"))
	}
	return r
}

// Plan plans and applies nothing.
func (w *World) Plan(alias string) *engine.Plan {
	w.T.Helper()
	r, err := w.Engine.Plan(w.T.Context(), *w.Conn(alias), options)
	w.must(err)
	return r.Plan
}

// Approve approves a plan without some rows.
func (w *World) Approve(alias string, p *engine.Plan, exclude ...int64) *engine.Result {
	w.T.Helper()
	r, err := w.Engine.Approve(w.T.Context(), *w.Conn(alias), p.ID, exclude, options)
	w.must(err)
	return r
}

// Revert undoes a run.
func (w *World) Revert(alias string, run *engine.Run) *engine.Result {
	w.T.Helper()
	r, err := w.Engine.Revert(w.T.Context(), *w.Conn(alias), run.ID, false, options)
	w.must(err)
	return r
}

// Settled checks that the next pass has nothing to do, and that planning every
// entry anew comes to the same: what incremental planning overlooks, the second
// finds. It leaves no trace but its plans.
func (w *World) Settled(alias string) {
	w.T.Helper()
	for _, all := range []bool{false, true} {
		c := *w.Conn(alias)
		if all { // a rule that holds for everybody is a change of rules all the same
			c.Scope = append(slices.Clone(c.Scope), `username != ""`)
		}
		r, err := w.Engine.Plan(w.T.Context(), c, options)
		w.must(err)
		if r.Plan.Verdict != plan.Nothing {
			w.T.Errorf("%s: nothing should be left to do (every entry planned: %v), but:\n%s", alias, all, strings.Join(w.Rows(r.Plan), "\n"))
		}
	}
}

// Account finds the account of a username, or nil.
func (w *World) Account(username string) *account.Account {
	w.T.Helper()
	var found []*account.Account
	for _, a := range w.Accounts() {
		if a.Text[account.Username] == username {
			found = append(found, a)
		}
	}
	if len(found) > 1 {
		w.T.Fatalf("%d accounts are called %s", len(found), username)
	}
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

// Accounts gives all accounts, with their groups.
func (w *World) Accounts() []*account.Account {
	w.T.Helper()
	var all []*account.Account
	collect := func(a *account.Account) error {
		all = append(all, a)
		return nil
	}
	w.must(w.Store.AccountTable.List(w.T.Context(), accounts.Filter{}, collect))
	w.must(w.Store.AccountTable.WithGroups(w.T.Context(), all))
	return all
}

// Members gives the usernames in a group, sorted, or "-" where there is no such
// group.
func (w *World) Members(group string) string {
	w.T.Helper()
	out := "-"
	w.must(w.Store.AccountTable.ListGroups(w.T.Context(), "", "", func(g account.Group) error {
		if g.Name != group {
			return nil
		}
		var names []string
		err := w.Store.AccountTable.MembersOf(w.T.Context(), g.ID, func(a *account.Account) error {
			names = append(names, a.Text[account.Username])
			return nil
		})
		slices.Sort(names)
		out = strings.Join(names, " ")
		return err
	}))
	return out
}

// Events gives the events behind an ID as "type who", and the last ID.
func (w *World) Events(after int64) (told []string, last int64) {
	w.T.Helper()
	names := w.names()
	last = after
	w.must(w.Store.EventTable.After(w.T.Context(), "", after, 1<<30, func(e event.Event) error {
		last = e.ID
		text := string(e.Type)
		if e.Account != nil {
			text += " " + names[*e.Account]
		}
		if e.Group != nil {
			text += " " + names[*e.Group]
		}
		told = append(told, text)
		return nil
	}))
	return told, last
}

// names gives what accounts and groups are called.
func (w *World) names() map[account.ID]string {
	out := map[account.ID]string{}
	for _, a := range w.Accounts() {
		out[a.ID] = a.Text[account.Username]
	}
	for _, c := range w.Connections {
		groups, err := w.Store.AccountTable.Groups(w.T.Context(), c.Alias)
		w.must(err)
		for id, g := range groups {
			out[id] = g.Name
		}
	}
	return out
}

// Examine checks what must never be.
func (w *World) Examine() {
	w.T.Helper()
	findings, err := w.Store.Examine(w.T.Context())
	w.must(err)
	for _, f := range findings {
		if f.Count != 0 {
			w.T.Errorf("%s: not so in %d cases", f.Check, f.Count)
		}
	}
}
