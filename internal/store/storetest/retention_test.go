package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
)

const day = 24 * time.Hour

// later puts the clock forward.
func (w *World) later(d time.Duration) { w.Clock = w.Clock.Add(d) }

// prune prunes all there is.
func (w *World) prune(r setting.Retention) engine.Pruned {
	w.T.Helper()
	p, err := w.Store.Prune(w.T.Context(), r, w.Clock, 0)
	w.must(err)
	return p
}

// count asks for one number.
func (w *World) count(query string, args ...any) int {
	w.T.Helper()
	n := 0
	w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), query, args, func(rows *sql.Rows) error { return rows.Scan(&n) }))
	return n
}

func (w *World) chunks(p *engine.Plan) int {
	w.T.Helper()
	return w.count(`SELECT count(*) FROM plan_chunks WHERE plan = $1`, p.ID)
}

// kept gives a plan as it is kept; nil where it is not.
func (w *World) kept(p *engine.Plan) *engine.Plan {
	w.T.Helper()
	got, err := w.Store.PlanTable.Get(w.T.Context(), p.ID)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil
	}
	w.must(err)
	return got
}

func (w *World) keptRun(r *engine.Run) *engine.Run {
	w.T.Helper()
	got, err := w.Store.RunTable.Get(w.T.Context(), r.ID)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil
	}
	w.must(err)
	return got
}

func TestRowsOfPlansArePrunedAndTheirHeadsStay(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna"))
		first := w.Applied("hq")
		w.later(50 * day)
		w.Holds("hq", Person("anna", "title=Queen"), Person("bob"), Group("staff", "anna"))
		second := w.Applied("hq")
		w.later(50 * day)
		w.Holds("hq", Person("anna", "title=Queen"), Person("bob", "title=King"), Group("staff", "anna"))
		waiting := w.Plan("hq")

		equal(t, "pruned", w.prune(setting.Retention{}), engine.Pruned{})
		equal(t, "pruned", w.prune(setting.Retention{Plans: 90 * day}), engine.Pruned{Plans: 1})
		equal(t, "pruned again", w.prune(setting.Retention{Plans: 90 * day}), engine.Pruned{})
		p := w.kept(first.Plan)
		equal(t, "its rows are gone", w.chunks(first.Plan) == 0 && p.Pruned && p.Chunks == 0, true)
		equal(t, "its summary stays", p.Summary, first.Plan.Summary)
		equal(t, "its hash stays", p.Hash, first.Plan.Hash)
		equal(t, "its run stays", w.keptRun(first.Run).State, engine.RunApplied)
		equal(t, "the younger one stays", w.chunks(second.Plan) > 0 && !w.kept(second.Plan).Pruned, true)
		_, err := w.Engine.Revert(t.Context(), *w.Conn("hq"), first.Run.ID, false, options)
		if fault.KindOf(err) != fault.Conflict || err == nil || !strings.Contains(err.Error(), "run "+first.Run.ID+" cannot be reverted any more: the rows of plan "+first.Plan.ID+" were pruned") ||
			!strings.Contains(fault.HintOf(err), "`retention.plans`") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
		if err := w.Engine.EachChange(t.Context(), p, func(*plan.Change) error { return nil }); err == nil || !strings.Contains(err.Error(), "were pruned") {
			t.Errorf("%v", err)
		}
		if _, err := w.Store.PlanTable.Chunk(t.Context(), first.Plan.ID, "changes", 0); err == nil || !strings.Contains(err.Error(), "were pruned") {
			t.Errorf("%v", err)
		}
		w.Revert("hq", second.Run)
		equal(t, "anna's title", w.Account("anna").Text[account.Title], "")
		if waiting.State != plan.Ready {
			t.Errorf("the plan that waits is %s", waiting.State)
		}
	})
}

func TestAPlanThatWaitsIsNotPrunedAndItsAgeCountsFromItsEnd(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Limits.Creates = 1 })
		w.Holds("hq", Person("anna"), Person("bob"))
		held := w.Held("hq", "would be created")
		w.later(400 * day)
		keep := setting.Retention{Plans: 90 * day, Runs: 365 * day}
		equal(t, "pruned while it waits", w.prune(keep), engine.Pruned{})
		w.Approve("hq", held.Plan)
		w.later(50 * day)
		equal(t, "pruned soon after", w.prune(keep), engine.Pruned{})
		w.later(50 * day)
		equal(t, "pruned later", w.prune(keep), engine.Pruned{Plans: 1})
		// What was rejected, or superseded by a later one.
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Person("dora"))
		superseded := w.Held("hq", "would be created")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Person("eve"))
		rejected := w.Held("hq", "would be created")
		if _, err := w.Engine.Reject(t.Context(), *w.Conn("hq"), rejected.Plan.ID, "tester"); err != nil {
			t.Fatal(err)
		}
		w.later(100 * day)
		equal(t, "pruned", w.prune(setting.Retention{Plans: 90 * day}), engine.Pruned{Plans: 2})
		equal(t, "heads", w.kept(superseded.Plan).Pruned && w.kept(rejected.Plan).Pruned, true)
		equal(t, "chunks", w.count(`SELECT count(*) FROM plan_chunks`), 0)
	})
}

func TestRunsGoWithTheirPlansButForTheLastAppliedOne(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Connect("rare")
		w.Holds("rare", Person("zoe"))
		rare := w.Applied("rare")
		var all []*engine.Result
		for i := range 4 {
			w.Holds("hq", Person("anna", fmt.Sprintf("title=%d", i)), Person("bob"))
			all = append(all, w.Applied("hq"))
			w.later(100 * day)
		}
		w.Holds("hq", Person("anna", "title=looked at"), Person("bob"))
		looked := w.Plan("hq") // of no run
		w.Dirs.Of("hq").Away = errors.New("gone fishing")
		if _, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options); err == nil {
			t.Fatal("the directory is away")
		}
		w.Dirs.Of("hq").Away = nil
		p := w.prune(setting.Retention{Plans: 90 * day, Runs: 250 * day})
		equal(t, "pruned", p, engine.Pruned{Plans: 5, Runs: 2})
		for i, r := range all {
			equal(t, fmt.Sprintf("run %d is kept", i), w.keptRun(r.Run) != nil, i > 1)
			equal(t, "its plan is kept", w.kept(r.Plan) != nil, i > 1)
		}
		equal(t, "the last one of a connection that runs rarely", w.keptRun(rare.Run) != nil && w.kept(rare.Plan).Pruned, true)
		w.later(1000 * day)
		w.Holds("hq", Person("anna", "title=applied"), Person("bob"))
		w.Applied("hq") // the plan that was looked at is superseded
		w.later(1000 * day)
		w.prune(setting.Retention{Plans: 90 * day, Runs: 250 * day})
		equal(t, "a plan of no run", w.kept(looked) == nil, true)
		equal(t, "runs", w.count(`SELECT count(*) FROM runs WHERE state = 'applied'`), 2)
		equal(t, "loose plans", w.count(`SELECT count(*) FROM plans p WHERE run <> '' AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = p.run)`), 0)
	})
}

func TestRowsOfPlansAreNotKeptLongerThanTheirRun(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		first := w.Applied("hq")
		w.later(day)
		w.Holds("hq", Person("anna", "title=Queen"))
		w.Applied("hq")
		w.later(40 * day)
		equal(t, "pruned", w.prune(setting.Retention{Runs: 30 * day}), engine.Pruned{Plans: 2, Runs: 1})
		equal(t, "the first run", w.keptRun(first.Run) == nil && w.kept(first.Plan) == nil, true)
		equal(t, "chunks", w.count(`SELECT count(*) FROM plan_chunks`), 0)
	})
}

func TestOnlyTheBeginningOfTheFeedIsPruned(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		people := append(People("p", 60), Group("all"), Group("staff"))
		for i := range 60 {
			people[60].Members = append(people[60].Members, people[i].Ref)
		}
		w.Holds("hq", people...)
		w.later(10 * day)
		w.Applied("hq") // its events are of now, but for the run's own, ten days on
		last, err := w.Store.EventTable.Newest(t.Context())
		w.must(err)
		people[0] = Person("p000", "title=Queen")
		w.Holds("hq", people...)
		w.Applied("hq") // of now again, behind one that is younger
		end, err := w.Store.EventTable.Newest(t.Context())
		w.must(err)
		w.later(85 * day)
		equal(t, "pruned", w.prune(setting.Retention{Events: 90 * day}), engine.Pruned{Events: last - 1})
		w.Examine()
		told, at := w.Events(last - 1)
		if at != end || told[0] != "run.applied" || int64(len(told)) != end-last+1 {
			t.Errorf("behind %d come %q up to %d, want up to %d", last-1, told, at, end)
		}
		for _, after := range []int64{0, last / 2, last - 2} {
			err := w.Store.EventTable.After(t.Context(), "", after, 10, func(event.Event) error { return errors.New("an event behind a gap") })
			if fault.KindOf(err) != fault.NotFound || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the feed begins behind %d", last-1)) || !strings.Contains(fault.HintOf(err), "`retention.events`") {
				t.Errorf("behind %d: %v, hint %q", after, err, fault.HintOf(err))
			}
		}
		equal(t, "pruned again", w.prune(setting.Retention{Events: 90 * day}), engine.Pruned{})
		w.later(10 * day)
		equal(t, "all of it", w.prune(setting.Retention{Events: 90 * day}), engine.Pruned{Events: end - last + 1})
		w.Examine()
		people[0] = Person("p000", "title=King")
		w.Holds("hq", people...)
		w.Applied("hq")
		told, at = w.Events(end)
		equal(t, "numbers go on", at, end+2)
		same(t, "told", told, "account.updated p000", "run.applied")
		w.Examine()
		w.Settled("hq")
	})
}

// Each transaction of pruning leaves a whole database, and another process may
// go on at any of them.
func TestPruningGoesInSmallSteps(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		people := People("p", 2300)
		w.Holds("hq", people...)
		w.Applied("hq") // 92 chunks of 25 rows
		for i := range 3 {
			w.later(time.Minute)
			w.Holds("hq", append([]rec{Person("p000", fmt.Sprintf("title=%d", i))}, people[1:]...)...)
			w.Applied("hq")
		}
		w.later(400 * day)
		keep := setting.Retention{Plans: day, Runs: 2 * day, Events: 3 * day}
		var all engine.Pruned
		steps := 0
		for ; steps < 20; steps++ {
			p, err := w.Store.Prune(t.Context(), keep, w.Clock, 1)
			w.must(err)
			if w.Examine(); p == (engine.Pruned{}) && w.count(`SELECT count(*) FROM plan_chunks`) == 0 {
				break
			}
			all.Plans, all.Runs, all.Events = all.Plans+p.Plans, all.Runs+p.Runs, all.Events+p.Events
		}
		equal(t, "pruned", all, engine.Pruned{Plans: 4, Runs: 3, Events: 2300 + 3 + 4})
		equal(t, "several steps", steps > 1, true)
	})
}

func TestTheEndOfARunPrunes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Engine.Retention = setting.DefaultRetention()
		w.Holds("hq", Person("anna"))
		first := w.Applied("hq")
		equal(t, "at once", w.kept(first.Plan).Pruned, false)
		w.later(91 * day)
		w.Plan("hq")
		equal(t, "looking prunes nothing", w.kept(first.Plan).Pruned, false)
		second := w.Applied("hq")
		equal(t, "the next run prunes", w.kept(first.Plan).Pruned, true)
		equal(t, "but not itself", w.kept(second.Plan).Pruned, false)
		told, _ := w.Events(0)
		equal(t, "the feed is kept whole", len(told) > 0, true)

		w.later(91 * day)
		broken := w.NewEngine(failing{w.Store})
		broken.Retention = w.Engine.Retention
		r, err := broken.Sync(t.Context(), *w.Conn("hq"), options)
		if err == nil || !strings.Contains(err.Error(), "the run has ended well, but what is older than `retention` says could not be pruned: the disk is full") {
			t.Errorf("%v", err)
		}
		equal(t, "the run", w.keptRun(r.Run).State, engine.RunApplied)
		ctx, cancel := context.WithCancel(t.Context())
		broken.Store = failing{interrupted{w.Store, cancel}}
		if _, err = broken.Sync(ctx, *w.Conn("hq"), options); err != nil {
			t.Errorf("interrupted while it prunes, a run that ended well ends in %v", err)
		}
	})
}

// failing is a store that cannot prune.
type failing struct{ engine.Store }

func (f failing) Prune(ctx context.Context, r setting.Retention, now time.Time, transactions int) (engine.Pruned, error) {
	if i, ok := f.Store.(interrupted); ok {
		i.cancel()
	}
	return engine.Pruned{}, errors.New("the disk is full")
}

// interrupted is a store during whose pruning somebody presses Ctrl-C.
type interrupted struct {
	engine.Store
	cancel func()
}

// A database of before there was a retention knows when its plans ended.
func TestAnOlderDatabaseKnowsWhenItsPlansEnded(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.later(-100 * day)
		w.Applied("hq")
		w.later(100 * day)
		w.Holds("hq", Person("anna", "title=Queen"))
		young := w.Applied("hq")
		waiting := w.Plan("hq")
		w.must(w.Store.DB.Down(t.Context(), 2))
		again := Open(t, w.DSN)
		again.Clock = w.Clock
		equal(t, "pruned", again.prune(setting.Retention{Plans: 90 * day}), engine.Pruned{Plans: 1})
		equal(t, "the young one", again.kept(young.Plan).Pruned, false)
		equal(t, "the one that waits", again.count(`SELECT count(*) FROM plans WHERE id = $1 AND ended_at = 0`, waiting.ID), 1)
	})
}

// Several processes prune while others plan and apply: nobody is in anybody's way.
func TestPruningIsInNobodysWay(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Clock = theClock.Add(-1000 * day)
		w.Connect("hq", matching("badge"))
		w.Connect("branch", matching("badge"))
		keep := setting.Retention{Plans: day, Runs: 2 * day, Events: 3 * day}
		stop, ended := make(chan struct{}), make(chan error, 2)
		for range 2 {
			go func() {
				for {
					select {
					case <-stop:
						ended <- nil
						return
					default:
					}
					if _, err := w.Store.Prune(t.Context(), keep, theClock, 1); err != nil {
						ended <- err
						return
					}
				}
			}()
		}
		work := make(chan error, 2)
		for _, alias := range []string{"hq", "branch"} {
			c := *w.Conn(alias)
			go func() {
				for i := range 8 {
					w.Dirs.Of(alias).Records = []rec{Person(alias, fmt.Sprintf("title=%d", i), "id="+alias), Group(alias, alias)}
					if _, err := w.Engine.Plan(t.Context(), c, options); err != nil {
						work <- err
						return
					}
					w.Dirs.Of(alias).Records = []rec{Person(alias, fmt.Sprintf("title=again %d", i), "id="+alias), Group(alias, alias)}
					if _, err := w.Engine.Sync(t.Context(), c, options); err != nil {
						work <- err
						return
					}
				}
				work <- nil
			}()
		}
		for range 2 {
			if err := <-work; err != nil {
				t.Error(err)
			}
		}
		close(stop)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		w.Clock = theClock
		w.prune(keep)
		equal(t, "chunks", w.count(`SELECT count(*) FROM plan_chunks c JOIN plans p ON p.id = c.plan WHERE p.state <> 'ready'`), 0)
	})
}
