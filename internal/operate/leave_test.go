package operate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/jobs"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
	"rollcall.dev/rollcall/internal/store/storetest"
)

type (
	dbTx    = db.Tx
	dbRows  = sql.Rows
	jobsJob = jobs.Job
)

// dies makes a node one that took up what is next and then was killed: its
// process is gone, and its lease that of nobody.
func (s *site) dies(id string, began bool) {
	s.t.Helper()
	s.must(s.w.Store.Nodes.Beat(s.t.Context(), nodes.Node{ID: id, Host: "elsewhere"}))
	it, err := s.w.Store.WorkTable.Claim(s.t.Context(), id)
	s.must(err)
	if began {
		lease, err := s.w.Store.LeaseTable.Acquire(s.t.Context(), it.Connection, it.Organization, "script")
		s.must(err)
		run := s.stored(it.Run)
		run.State = engine.RunRunning
		s.must(s.w.Store.RunTable.Start(s.t.Context(), lease, run))
		s.must(s.w.Store.DB.Write(s.t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(s.t.Context(), `UPDATE connections SET lease_owner = 'elsewhere/1/1/', lease_until = 0 WHERE alias = $1`, it.Connection)
			return err
		}))
	}
	s.must(s.w.Store.Nodes.Leave(s.t.Context(), id))
}

func TestARunOfANodeThatWentAwayIsDoneAgain(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		o := s.node("one")
		run, err := o.Sync(t.Context(), "hq", true, "schedule", "schedule")
		s.must(err)
		s.dies("gone", true)
		s.passes(time.Second)
		s.must(o.Start(t.Context()))
		defer func() { s.must(o.Stop(context.Background())) }()
		s.ends(o, run.ID, engine.RunFailed, "node gone went away; nothing was applied, and run ")
		s.until("there is another", func() bool { return len(s.runs("hq")) == 2 })
		again := s.runs("hq")[1]
		again = s.ends(o, again.ID, engine.RunApplied, "")
		if again.Replaces == nil || *again.Replaces != run.ID || again.Trigger != "schedule" || !again.Reading.Full || s.w.Account("anna") == nil {
			t.Errorf("%+v", again)
		}
		if text := *s.stored(run.ID).Error; !strings.Contains(text, again.ID) {
			t.Errorf("%q does not name %s", text, again.ID)
		}
	})
}

func TestARunThatANodeHadNotBegunIsBegunByAnother(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		o := s.node("one")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		s.dies("gone", false)
		s.must(o.Start(t.Context()))
		s.ends(o, run.ID, engine.RunApplied, "")
		s.must(o.Stop(t.Context()))
	})
}

// A command line may come first: it ends the run of the node that is gone, since
// it finds it running. It is done again all the same.
func TestARunThatACommandLineFoundInterruptedIsDoneAgain(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		o := s.node("one")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		s.dies("gone", true)
		s.w.Applied("hq")
		s.must(o.Start(t.Context()))
		s.until("there is another", func() bool { return len(s.runs("hq")) == 3 })
		list := s.runs("hq")
		i := 0
		for list[i].Replaces == nil {
			i++
		}
		s.ends(o, list[i].ID, engine.RunApplied, "")
		if text := *s.stored(run.ID).Error; !strings.Contains(text, "run "+list[i].ID+" does it again") {
			t.Errorf("%q", text)
		}
		s.must(o.Stop(t.Context()))
	})
}

func TestARunThatMakesItsNodesGoAwayIsGivenUp(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		o := s.node("one")
		_, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		for i := range mostLost {
			s.passes(time.Second)
			s.dies(fmt.Sprint("gone", i), true)
			s.must(o.sweep(t.Context()))
		}
		list := s.runs("hq")
		last := list[len(list)-1]
		if len(list) != mostLost || last.State != engine.RunFailed || !strings.Contains(*last.Error, "is not tried again") {
			t.Errorf("%d runs, the last %+v: %s", len(list), last, *last.Error)
		}
		if waiting, running, err := s.w.Store.WorkTable.Counts(t.Context()); err != nil || waiting+running != 0 {
			t.Errorf("%d wait, %d run, %v", waiting, running, err)
		}
	})
}

// A run that another node may be able to carry out, and this one cannot, waits in line
// and says for what; it can be cancelled meanwhile, and does not wait for ever.
func TestARunThatAnotherNodeCanCarryOutWaits(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		var asked, until atomic.Int32
		one := s.started("one", func(o *Options) {
			o.Elsewhere = func(context.Context, string) (string, error) {
				if asked.Add(1) > until.Load() {
					return "", nil
				}
				return "its agent is at another node", nil
			}
		})
		begin := func(times int32) string {
			t.Helper()
			asked.Store(0)
			until.Store(times)
			run, err := one.Sync(t.Context(), "hq", false, "manual", "tester")
			s.must(err)
			return run.ID
		}
		id := begin(1000)
		s.until("it waits", func() bool {
			p := s.stored(id).Progress
			return p != nil && p.WaitsFor == "its agent is at another node"
		})
		s.must(one.Cancel(t.Context(), id, "tester"))
		s.ends(one, id, engine.RunFailed, "cancelled")
		s.ends(one, begin(3), engine.RunApplied, "")
		if n := asked.Load(); n != 4 {
			t.Errorf("it was looked at %d times", n)
		}
		s.ends(one, begin(1000), engine.RunApplied, "")
		if n := asked.Load(); n != mostWaits+1 {
			t.Errorf("it was looked at %d times", n)
		}
	})
}

// A node that is told to stop and has no patience left hands over what it is
// reading, and what it has half applied.
func TestANodeThatStopsHandsItsRunsOver(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		began := s.stops("hq")
		one := s.node("one")
		s.must(one.Start(t.Context()))
		run, err := one.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		on := take(s, began)
		s.passes(time.Second)
		impatient, over := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- one.Stop(impatient) }()
		s.until("the node says that it drains", func() bool {
			list, err := one.Nodes(t.Context())
			return err == nil && len(list) == 1 && list[0].Draining
		})
		over()
		s.until("the run is told", func() bool { return one.told(run.ID) })
		s.w.Dirs.Of("hq").Reading = nil
		close(on)
		s.must(take(s, stopped))
		s.ends(one, run.ID, engine.RunFailed, "node one was stopped; nothing was applied, and run ")
		list := s.runs("hq")
		two := s.started("two")
		if r := s.ends(two, list[1].ID, engine.RunApplied, ""); len(list) != 2 || *r.Replaces != run.ID {
			t.Errorf("%d runs, %+v", len(list), r)
		}
	})
}

func TestAHalfAppliedRunIsCarriedOnByTheNextNode(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.People("p", 40)...)
		impatient, over := context.WithCancel(t.Context())
		var commits atomic.Int64
		var one *Operator
		s.w.Engine.Store = &tapped{Store: s.w.Store, commit: func() {
			if commits.Add(1) == 3 {
				over()
				one.mu.Lock()
				var told []<-chan struct{}
				for _, p := range one.running {
					told = append(told, p.ctx.Done())
				}
				one.mu.Unlock()
				<-told[0]
			}
		}}
		one = s.node("one")
		s.must(one.Start(t.Context()))
		run, err := one.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		<-impatient.Done()
		s.must(one.Stop(impatient))
		r := s.stored(run.ID)
		if n := len(s.w.Accounts()); n == 0 || n == 40 || r.Progress == nil || r.Progress.Phase != "waiting" || !strings.Contains(r.Progress.WaitsFor, "is carried on") {
			t.Errorf("%d accounts, %+v, %+v", n, r, r.Progress)
		}
		two := s.started("two")
		s.ends(two, run.ID, engine.RunApplied, "")
		if n, list := len(s.w.Accounts()), s.runs("hq"); n != 40 || len(list) != 1 {
			t.Errorf("%d accounts, %d runs", n, len(list))
		}
		s.w.Examine()
		s.w.Replay()
		s.w.Settled("hq")
	})
}

// What waits without a turn is found: the node that had the turn may have gone
// with it.
func TestWhatWaitsWithoutATurnGetsOne(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		o := s.node("one")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		table := "jobs"
		if s.w.Store.DB.Dialect == db.PostgreSQL {
			table = "river_job"
		}
		s.must(s.w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `DELETE FROM `+table)
			return err
		}))
		s.must(o.Start(t.Context()))
		s.ends(o, run.ID, engine.RunApplied, "")
		s.must(o.Stop(t.Context()))
	})
}

// The same when a node is gone with the very turns that were put in to spare: what
// waits must not wait for them.
func TestTurnsThatWentWithTheirNodeAreNotWaitedFor(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Connect("branch")
		s.w.Holds("hq", storetest.Person("anna"))
		began := s.stops("hq")
		gone := s.node("gone", func(o *Options) { o.Workers = 1 })
		_, err := gone.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		table := "jobs"
		if s.w.Store.DB.Dialect == db.PostgreSQL {
			table = "river_job"
		}
		s.exec(`DELETE FROM ` + table)
		s.must(gone.spare(t.Context(), 1))
		s.must(gone.Start(t.Context()))
		on := take(s, began) // its only worker, with the spare turn
		s.t.Cleanup(func() {
			close(on)
			s.must(gone.Stop(context.Background()))
		})
		run, err := gone.Sync(t.Context(), "branch", false, "manual", "tester")
		s.must(err)
		s.exec(`DELETE FROM ` + table + ` WHERE ` + map[db.Dialect]string{db.SQLite: "node = ''", db.PostgreSQL: "state = 'available'"}[s.w.Store.DB.Dialect])
		// It shows no sign of life any more, as far as the others can see.
		gone.quit()
		gone.beats()
		gone.loops.Wait()
		s.must(s.w.Store.Nodes.Leave(t.Context(), "gone"))
		other := s.started("other")
		s.ends(other, run.ID, engine.RunApplied, "")
	})
}

// A command line that is killed leaves a run that says it is carried out. A server
// sees to its end.
func TestARunOfACommandLineThatWasKilledIsBroughtToItsEnd(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Connect("branch")
		s.w.Holds("hq", storetest.People("p", 40)...)
		// What a pass does that is handed over is what one does whose process goes.
		ctx, kill := context.WithCancelCause(t.Context())
		var commits atomic.Int64
		e := s.w.NewEngine(&tapped{Store: s.w.Store, commit: func() {
			if commits.Add(1) == 3 {
				kill(engine.ErrHandOver)
			}
		}})
		e.Now = s.now
		half, err := e.Sync(ctx, *s.w.Conn("hq"), engine.Options{Actor: "operator:eve", Trigger: "manual"})
		if !errors.Is(err, engine.ErrHandOver) {
			t.Fatal(err)
		}
		lease, err := s.w.Store.LeaseTable.Acquire(t.Context(), "branch", "org", "script")
		s.must(err)
		read := engine.NewRun(*s.w.Conn("branch"), "manual", "operator:eve", s.now())
		read.State = engine.RunRunning
		s.must(s.w.Store.RunTable.Start(t.Context(), lease, read))
		o := s.started("one")
		s.ends(o, half.Run.ID, engine.RunApplied, "")
		s.must(o.sweep(t.Context()))
		if r := s.stored(read.ID); r.State != engine.RunRunning {
			t.Errorf("a run whose command line is there is %s", r.State)
		}
		s.exec(`UPDATE connections SET lease_owner = 'elsewhere/1/1/', lease_until = 1 WHERE alias = 'branch'`)
		s.ends(o, read.ID, engine.RunFailed, "the process ended before the run did; nothing of the run was applied")
		if n := len(s.w.Accounts()); n != 40 || len(s.runs("hq")) != 1 || len(s.runs("branch")) != 1 {
			t.Errorf("%d accounts, %d and %d runs", n, len(s.runs("hq")), len(s.runs("branch")))
		}
		s.w.Examine()
		s.w.Replay()
		s.w.Settled("hq")
	})
}
