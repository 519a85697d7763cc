package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
)

// chapters are what a directory holds, one after the other: everything that a
// run can do happens in one of them, and each is larger than a chunk.
func chapters() [][]rec {
	crowd := People("p", 20)
	var keys []string
	for _, p := range crowd {
		keys = append(keys, p.First("uid"))
	}
	first := append([]rec{Person("anna", "manager=boss", "password=secret"), Person("bob"), Person("carl"), Person("boss"), Person("nomail", "mail=")}, crowd...)
	for i := range 5 {
		first = append(first, Group(fmt.Sprintf("g%02d", i), keys...))
	}
	first = append(first, Group("all", "@g00", "boss"), Group("old", "anna", "bob"))
	second := append([]rec{Person("anna", "manager=boss", "title=Queen", "password=other"), Person("bob", "userAccountControl=514"), Person("newbie", "manager=bob"),
		Person("boss", "id=second-boss"), Person("nomail", "mail=")}, crowd[5:]...)
	for i := range second[5:] {
		second[5+i].Attributes = append(second[5+i].Attributes, directory.Attribute{Name: "title", Values: []string{"Colleague"}})
	}
	for i := range 5 {
		members := keys[i:]
		if i == 3 {
			members = append(members[:len(members):len(members)], "cn=renamed")
		}
		second = append(second, Group(fmt.Sprintf("g%02d", i), members...))
	}
	second = append(second, Group("all", "@g00", "boss", "newbie"))
	return [][]rec{first, second}
}

func chapterConnection(c *setting.Connection) {
	c.Match = []string{"email"}
	c.Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1}
	c.Policy.PurgeAfter = 24 * time.Hour
}

// prepared makes an SQLite database that stands before a chapter, and gives fresh
// copies of it.
func prepared(t *testing.T, chapter int) func(t *testing.T) string {
	t.Helper()
	dsn := dsns["SQLite"](t)
	w := Open(t, dsn)
	w.Connect("hq", chapterConnection)
	for _, records := range chapters()[:chapter] {
		w.Holds("hq", records...)
		w.Applied("hq")
	}
	w.Close()
	whole, err := os.ReadFile(strings.TrimPrefix(dsn, "sqlite:"))
	w.must(err)
	return func(t *testing.T) string {
		t.Helper()
		to := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(to, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + to
	}
}

// undisturbed is the state at the end of a chapter nobody disturbed.
func undisturbed(t *testing.T, dsn string, chapter int) string {
	t.Helper()
	w := Open(t, dsn)
	w.Connect("hq", chapterConnection)
	w.Holds("hq", chapters()[chapter]...)
	r := w.Applied("hq")
	if r.Plan.Chunks < 2 {
		t.Fatalf("the plan of chapter %d has %d chunks; the crash is to fall between two", chapter, r.Plan.Chunks)
	}
	w.Examine()
	w.Replay()
	w.Settled("hq")
	return w.State()
}

// A process that fails at any of its writes leaves a database from which the
// next one comes to the same end: in one case it dies there and then, in the
// others the write fails and the process has its say.
func TestAFailureAtAnyWriteLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		failure
		chapter int
	}{
		"the first run, and it dies":                              {failure{dies: true}, 0},
		"a run of changes, and it dies":                           {failure{dies: true}, 1},
		"a run of changes, the write fails":                       {failure{}, 1},
		"a run of changes, a write succeeds, and nobody hears it": {failure{written: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh := prepared(t, c.chapter)
			want := undisturbed(t, fresh(t), c.chapter)
			for n := 1; ; n++ {
				w := Open(t, fresh(t))
				w.Connect("hq", chapterConnection)
				through := w.failAt(t, c.failure, c.chapter, n)
				if got := w.State(); got != want {
					t.Fatalf("after a failure at write %d the end is another:\n%s", n, Difference(want, got))
				}
				w.Close()
				if through {
					return
				}
			}
		})
	}
}

// PostgreSQL is slow to copy. Here one database goes to and fro between the
// chapters, and fails at another write each time; a calm one goes along.
func TestAFailureAtAnyWriteLeadsToTheSameEndOnPostgreSQL(t *testing.T) {
	t.Parallel()
	v, w := Open(t, dsns["PostgreSQL"](t)), Open(t, dsns["PostgreSQL"](t))
	v.Connect("hq", chapterConnection)
	w.Connect("hq", chapterConnection)
	for n, through := 1, false; !through; n++ {
		chapter := (n + 1) % 2
		w.Holds("hq", chapters()[chapter]...)
		w.Applied("hq")
		through = v.failAt(t, failure{dies: true}, chapter, n)
		if want, got := w.State(), v.State(); got != want {
			t.Fatalf("after a failure at write %d the end is another:\n%s", n, Difference(want, got))
		}
	}
	v.Replay()
	v.Settled("hq")
}

// failure is how a process fails at a write. One that dies after a write dies
// before the next one, so there are three ways.
type failure struct {
	dies    bool // nothing more is written, not even that the run failed
	written bool // the write went through all the same
}

// failAt runs a chapter that fails at the n-th write, and then as a fresh process.
// It reports whether the first got through.
func (w *World) failAt(t *testing.T, f failure, chapter, n int) bool {
	t.Helper()
	w.Holds("hq", chapters()[chapter]...)
	count, where := 0, ""
	fail := func(op string) error {
		if count == n || count > n && f.dies {
			if where == "" {
				where = op
			}
			return errPower
		}
		return nil
	}
	broken := &tap{Store: w.Store, before: func(op string) error {
		if count++; f.written && count == n {
			return nil // it is written, and nobody hears of it
		}
		return fail(op)
	}, after: func(op string) error {
		if !f.written {
			return nil
		}
		return fail(op)
	}}
	_, err := w.NewEngine(broken).Sync(t.Context(), *w.Conn("hq"), options)
	through := count < n
	if through && n < 10 {
		t.Fatalf("only %d writes: is the tap in the line?", n)
	}
	if !through && !errors.Is(err, errPower) {
		t.Errorf("write %d (%s) failed, and the run says %v", n, where, err)
	}
	w.leaseRunsOut("hq")
	w.Applied("hq")
	w.Examine()
	return through
}

// leaseRunsOut lets the time of a lease be over.
func (w *World) leaseRunsOut(alias string) {
	w.T.Helper()
	w.must(w.Store.DB.Write(w.T.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(w.T.Context(), `UPDATE connections SET lease_until = 1 WHERE alias = $1`, alias)
		return err
	}))
}

func TestAFailureWhileAPersonDecidesOrARunIsUndone(t *testing.T) {
	for _, database := range []string{"SQLite", "PostgreSQL"} {
		for what, do := range map[string]func(w *World, e *engine.Engine, p *engine.Plan, run *engine.Run) error{
			"approve": func(w *World, e *engine.Engine, p *engine.Plan, _ *engine.Run) error {
				_, err := e.Approve(w.T.Context(), *w.Conn("hq"), p.ID, []int64{1}, options)
				return err
			},
			"revert": func(w *World, e *engine.Engine, _ *engine.Plan, run *engine.Run) error {
				_, err := e.Revert(w.T.Context(), *w.Conn("hq"), run.ID, false, options)
				return err
			},
			"reject": func(w *World, e *engine.Engine, p *engine.Plan, _ *engine.Run) error {
				_, err := e.Reject(w.T.Context(), *w.Conn("hq"), p.ID, "tester")
				return err
			},
		} {
			if database == "PostgreSQL" && what != "approve" {
				continue // a new database for every write takes its time there
			}
			t.Run(database+", "+what, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					w := Open(t, dsns[database](t))
					w.Connect("hq")
					w.Holds("hq", before()...)
					r := w.Applied("hq")
					w.Conn("hq").Limits.Creates = 1
					w.Holds("hq", append(after(), Person("more"))...)
					held := w.Held("hq", "would be created")
					count := 0
					broken := &tap{Store: w.Store, before: func(string) error {
						if count++; count >= n {
							return errPower
						}
						return nil
					}}
					err := do(w, w.NewEngine(broken), held.Plan, r.Run)
					w.leaseRunsOut("hq")
					if w.Sync("hq").Run.State == engine.RunHeld { // what was decided is done, or the plan waits
						w.Approve("hq", w.Plan("hq"))
					}
					w.Examine()
					w.Replay()
					w.Settled("hq")
					if what != "revert" { // which takes back the memberships of those who are not there any more
						equal(t, "staff", w.Members("staff"), "bob carl newbie")
					}
					if err == nil {
						return
					}
					if t.Failed() {
						t.Fatalf("failed at write %d", n)
					}
				}
			})
		}
	}
}

func TestARunThatIsStoppedSaysSoAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", chapterConnection)
		w.Holds("hq", chapters()[0]...)
		for _, at := range []string{"mirror stage", "mirror publish", "plan append", "plan start", "ledger commit", "plan complete"} {
			ctx, cancel := context.WithCancel(t.Context())
			stopped := w.NewEngine(&tap{Store: w.Store, after: func(op string) error {
				if op == at {
					cancel()
				}
				return nil
			}})
			_, err := stopped.Sync(ctx, *w.Conn("hq"), options)
			cancel()
			switch {
			case at == "plan complete": // the run before it may have been carried on, and then this one was stopped
			case err == nil || fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "stopped before the end"):
				t.Errorf("stopped at %q: %v", at, err)
			}
			w.must(w.Store.RunTable.List(t.Context(), "hq", 100, func(r *engine.Run) error {
				if r.State == engine.RunRunning {
					t.Errorf("stopped at %q, run %s says it is running", at, r.ID)
				}
				return nil
			}))
		}
		w.Applied("hq")
		w.Settled("hq")
	})
}
