package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
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
	first := append([]rec{Person("anna", "manager=boss", "password=secret", "employeeNumber=1"), Person("bob", "employeeNumber=2"), Person("carl", "employeeNumber=3"),
		Person("boss", "employeeNumber=4", "title=Chief"), Person("nomail", "mail=")}, crowd...)
	for i := range 5 {
		first = append(first, Group(fmt.Sprintf("g%02d", i), keys...))
	}
	first = append(first, Group("all", "@g00", "boss"), Group("old", "anna", "bob"))
	second := append([]rec{Person("anna", "manager=boss", "title=Queen", "password=other", "employeeNumber=7"), Person("bob", "userAccountControl=514"), Person("newbie", "manager=bob", "employeeNumber=5"),
		Person("boss", "id=second-boss", "employeeNumber=4"), Person("nomail", "mail=")}, crowd[5:]...)
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
	c.Match = []string{"badge", "email"}
	c.Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1}
	c.Policy.PurgeAfter = 24 * time.Hour
}

// A process that fails at any of its writes leaves a database from which the
// next one comes to the same end: in one case it dies there and then, in the
// others the write fails and the process has its say. The directory goes to and
// fro between the chapters, and each time it is another write that fails; a calm
// installation goes along.
func TestAFailureAtAnyWriteLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]failure{
		"SQLite, it dies":            {database: "SQLite", dies: true},
		"SQLite, the write fails":    {database: "SQLite"},
		"SQLite, nobody hears of it": {database: "SQLite", written: true},
		"PostgreSQL, it dies":        {database: "PostgreSQL", dies: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calm, w := Open(t, dsns[f.database](t)), Open(t, dsns[f.database](t))
			calm.Connect("hq", chapterConnection)
			w.Connect("hq", chapterConnection)
			for round, through := 0, 0; through < len(chapters()); round++ {
				chapter := round % len(chapters())
				calm.Holds("hq", chapters()[chapter]...)
				r := calm.Applied("hq")
				if r.Plan.Chunks < 2 {
					t.Fatalf("the plan of chapter %d has %d chunks; the crash is to fall between two", chapter, r.Plan.Chunks)
				}
				through++
				if !w.failAt(t, f, chapter, 1+round) {
					through = 0
				}
				if want, got := calm.State(), w.State(); got != want {
					t.Fatalf("after a failure at write %d the end is another:\n%s", 1+round, Difference(want, got))
				}
			}
			w.Replay()
			w.Settled("hq")
		})
	}
}

// failure is how a process fails at a write. One that dies after a write dies
// before the next one, so there are three ways.
type failure struct {
	database string
	dies     bool // nothing more is written, not even that the run failed
	written  bool // the write went through all the same
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
	if !through && where != opReady && !errors.Is(err, errPower) {
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
	t.Parallel()
	for what, do := range map[string]func(w *World, e *engine.Engine, p *engine.Plan, run *engine.Run) error{
		"approve": func(w *World, e *engine.Engine, p *engine.Plan, _ *engine.Run) error {
			_, err := e.Approve(w.T.Context(), *w.Conn("hq"), p.ID, []int64{w.RowOf(p, "update account anna")}, options)
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
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				for n := 1; ; n++ {
					w.Conn("hq").Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1}
					w.Holds("hq", before()...)
					r := w.Sync("hq")
					if r.Plan.Verdict == plan.Held { // after a revert
						r = w.Approve("hq", r.Plan)
					}
					w.Conn("hq").Limits.RemovalsMax = 1
					w.Holds("hq", after()...)
					held := w.Held("hq", "would be disabled or deleted")
					count := 0
					broken := &tap{Store: w.Store, before: func(string) error {
						if count++; count >= n {
							return errPower
						}
						return nil
					}}
					err := do(w, w.NewEngine(broken), held.Plan, r.Run)
					w.leaseRunsOut("hq")
					for w.Sync("hq").Run.State == engine.RunHeld { // what was decided is done, or the plan waits
						w.Approve("hq", w.Plan("hq"))
					}
					w.Examine()
					w.Settled("hq")
					if what != "revert" { // which takes memberships back of those who are not there any more
						equal(t, "staff", w.Members("staff"), "bob carl newbie")
					}
					if t.Failed() {
						t.Fatalf("failed at write %d", n)
					}
					if err == nil {
						return
					}
				}
			})
		})
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

// A run that is carried on tells of all its rows, also of those that could not be written
// before its process ended.
func TestARunThatIsCarriedOnTellsOfWhatFailedBefore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		calm := Open(t, dsns[map[db.Dialect]string{db.SQLite: "SQLite", db.PostgreSQL: "PostgreSQL"}[w.Store.DB.Dialect]](t))
		crowd := People("p", 30)
		var keys []string
		for _, p := range crowd {
			keys = append(keys, p.First("uid"))
		}
		records := crowd
		const groups = 20
		for i := range groups {
			records = append(records, Group(fmt.Sprintf("g%02d", i), keys...))
		}
		var want plan.Summary
		for _, w := range []*World{calm, w} {
			w.Connect("hq").Limits.Creates = 1
			w.Holds("hq", records...)
			held := w.Held("hq", "would be created").Plan
			exclude := w.RowOf(held, "create account "+keys[0])
			if w == calm {
				want = *w.Approve("hq", held, exclude).Run.Summary
				equal(t, "left out of groups", want.Failed, groups)
				equal(t, "memberships", want.Add, groups*29)
				continue
			}
			commits := 0
			broken := w.NewEngine(&tap{Store: w.Store, before: func(op string) error {
				if op == "ledger commit" {
					commits++
				}
				if commits >= held.Chunks {
					return errPower
				}
				return nil
			}})
			if _, err := broken.Approve(t.Context(), *w.Conn("hq"), held.ID, []int64{exclude}, options); !errors.Is(err, errPower) {
				t.Fatalf("the power was to go before the last of %d chunks, and it says %v", held.Chunks, err)
			}
			w.leaseRunsOut("hq")
			w.must(w.Engine.Resume(t.Context(), *w.Conn("hq"), options))
			run, err := w.Store.RunTable.Get(t.Context(), *held.Run)
			w.must(err)
			equal(t, "run", run.State, engine.RunApplied)
			equal(t, "summary", *run.Summary, want)
		}
	})
}

// What a process knew of its run before it was killed is told of by who carries it on:
// the reading is not made again. Who is stopped while carrying on knows what was changed.
func TestARunThatIsCarriedOnTellsWhatWasRead(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", chapterConnection)
		w.Holds("hq", chapters()[0]...)
		commits := 0
		broken := w.NewEngine(&tap{Store: w.Store, before: func(op string) error {
			if op == "ledger commit" {
				commits++
			}
			if commits > 1 {
				return errPower
			}
			return nil
		}})
		if _, err := broken.Sync(t.Context(), *w.Conn("hq"), options); !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		half, err := w.Store.PlanTable.Unfinished(t.Context(), "hq")
		w.must(err)
		w.leaseRunsOut("hq")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stopped := w.NewEngine(&tap{Store: w.Store, after: func(op string) error {
			if op == "ledger commit" {
				cancel()
			}
			return nil
		}})
		if _, err := stopped.Sync(ctx, *w.Conn("hq"), options); err == nil || !strings.Contains(err.Error(), "what was applied so far is whole") {
			t.Errorf("stopped while carrying on: %v", err)
		}
		w.must(w.Engine.Resume(t.Context(), *w.Conn("hq"), options))
		run, err := w.Store.RunTable.Get(t.Context(), *half.Run)
		w.must(err)
		equal(t, "run", run.State, engine.RunApplied)
		if run.Reading == nil || run.Reading.Entries != len(chapters()[0]) || !run.Reading.Complete || !run.Reading.Full {
			t.Errorf("its reading is told as %+v", run.Reading)
		}
	})
}

// Whoever stops a process at work and changes the settings does not get the rest of what
// was planned by the old ones.
func TestAPlanIsNotCarriedOnUnderOtherSettings(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", chapterConnection)
		w.Holds("hq", chapters()[0]...)
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Group("all", "anna"))
		broken := w.NewEngine(&tap{Store: w.Store, before: func(op string) error {
			if op == "ledger commit" {
				return errPower
			}
			return nil
		}})
		if _, err := broken.Sync(t.Context(), *w.Conn("hq"), options); !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		half, err := w.Store.PlanTable.Unfinished(t.Context(), "hq")
		w.must(err)
		w.leaseRunsOut("hq")
		w.Conn("hq").Policy.NoDelete = true
		r := w.Sync("hq")
		equal(t, "whom the next run removes", r.Plan.Summary.Disable+r.Plan.Summary.Delete, 0)
		equal(t, "p000", w.Account("p000").Status, account.Active)
		run, err := w.Store.RunTable.Get(t.Context(), *half.Run)
		w.must(err)
		if run.State != engine.RunFailed || run.Error == nil || !strings.Contains(*run.Error, "the settings of connection hq were changed while plan "+half.ID+" was half applied") {
			t.Errorf("the run that was stopped is %+v", run)
		}
		w.Examine()
	})
}
