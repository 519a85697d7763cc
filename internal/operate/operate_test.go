package operate

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func TestARunHasItsIDAtOnceAndIsCarriedOut(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"), storetest.Person("bob"))
		o := s.node("one")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		text, err := json.Marshal(run)
		s.must(err)
		if run.State != engine.RunQueued || !strings.Contains(string(text), `"state":"running"`) || run.Progress == nil || run.Progress.Phase != "waiting" {
			t.Errorf("%s", text)
		}
		if p, err := o.Progress(t.Context(), run.ID); err != nil || p.Phase != "waiting" {
			t.Errorf("%+v, %v", p, err)
		}
		s.must(o.Start(t.Context()))
		run = s.ends(o, run.ID, engine.RunApplied, "")
		if run.Actor != "tester" || run.Trigger != "manual" || run.Summary.Create != 2 || run.Progress != nil || s.w.Account("anna") == nil {
			t.Errorf("%+v", run)
		}
		if _, err := o.Progress(t.Context(), run.ID); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the progress of a run that has ended: %v", err)
		}
		_, err = o.Sync(t.Context(), "branch", false, "manual", "tester")
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("a connection that is not there: %v", err)
		}
		s.must(o.Stop(t.Context()))
		if list, err := o.Nodes(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("nodes left behind: %v, %v", list, err)
		}
	})
}

func TestWhatWaitsIsOneRunAndWhatIsAskedForMeanwhileComesAfter(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		began := s.stops("hq")
		o := s.started("one")
		first, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		on := take(s, began)
		second, err := o.Sync(t.Context(), "hq", false, "schedule", "schedule")
		s.must(err)
		third, err := o.Sync(t.Context(), "hq", true, "manual", "somebody")
		s.must(err)
		if first.ID == second.ID || second.ID != third.ID {
			t.Errorf("%s, %s, %s", first.ID, second.ID, third.ID)
		}
		if r := s.stored(first.ID); r.State != engine.RunRunning || r.Progress == nil {
			t.Errorf("%+v", r)
		}
		close(on)
		s.ends(o, first.ID, engine.RunApplied, "")
		close(take(s, began))
		if r := s.ends(o, second.ID, engine.RunApplied, ""); r.Trigger != "schedule" || !r.Reading.Full {
			t.Errorf("%+v", r)
		}
		if n := len(s.runs("hq")); n != 2 {
			t.Errorf("%d runs", n)
		}
	})
}

func TestProgressIsKnownToEveryNode(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.People("p", 30)...)
		began := s.stops("hq")
		o := s.started("one")
		other := s.node("two")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		on := take(s, began)
		phases := make(chan string, 1000)
		go func() {
			defer close(phases)
			err := other.Follow(t.Context(), run.ID, func(r *engine.Run) error {
				if r.Progress != nil {
					phases <- r.Progress.Phase
				} else {
					phases <- string(r.State)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}()
		s.until("the other node knows that it reads", func() bool { return take(s, phases) == "reading" })
		close(on)
		var last string
		for p := range phases {
			last = p
		}
		if last != "applied" {
			t.Errorf("it ended with %q", last)
		}
	})
}

func TestARunIsCancelledBeforeItBegins(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		o := s.node("one")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		s.must(o.Cancel(t.Context(), run.ID, "operator:eve"))
		s.ends(o, run.ID, engine.RunFailed, "cancelled by operator:eve before it began")
		if err := o.Cancel(t.Context(), run.ID, "operator:eve"); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "nothing to cancel") {
			t.Errorf("again: %v", err)
		}
		if err := o.Cancel(t.Context(), "r-none", "eve"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("none: %v", err)
		}
		if told := s.told(); !slices.Equal(told, []string{"run.cancelled"}) {
			t.Errorf("%q", told)
		}
		s.must(o.Start(t.Context()))
		s.must(o.Stop(t.Context()))
		if list := s.runs("hq"); len(list) != 1 {
			t.Errorf("%d runs", len(list))
		}
	})
}

func TestARunIsCancelledFromAnyNodeWhileItReads(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		began := s.stops("hq")
		o, other := s.started("one"), s.node("two")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		on := take(s, began)
		s.must(other.Cancel(t.Context(), run.ID, "operator:eve"))
		s.until("the node has told its run", func() bool { return o.told(run.ID) })
		close(on)
		s.ends(o, run.ID, engine.RunFailed, "cancelled by operator:eve; nothing was changed")
		if told := s.told(); !slices.Equal(told, []string{"run.cancelled"}) {
			t.Errorf("%q", told)
		}
		s.w.Dirs.Of("hq").Reading = nil
		again, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		s.ends(o, again.ID, engine.RunApplied, "")
	})
}

// told reports that a run here was told to end.
func (o *Operator) told(run string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.running[run]
	return p == nil || p.ctx.Err() != nil
}

// A run that is cancelled half way leaves whole what it did. The rest is not done
// by the next run: a person looks at it first.
func TestTheRestOfARunThatWasCancelledWaitsForAPerson(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.People("p", 40)...)
		o := s.node("one")
		var commits atomic.Int64
		s.w.Engine.Store = &tapped{Store: s.w.Store, commit: func() {
			if commits.Add(1) == 3 {
				for _, run := range o.Running() {
					if err := o.Cancel(context.Background(), run, "operator:eve"); err != nil {
						t.Error(err)
					}
				}
			}
		}}
		s.starts(o)
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		s.ends(o, run.ID, engine.RunFailed, "cancelled by operator:eve; what was applied so far is whole, the rest was left out")
		if n := len(s.w.Accounts()); n == 0 || n == 40 {
			t.Errorf("%d accounts", n)
		}
		s.until("the indexes it put off are built", func() bool {
			away, err := s.w.Store.DB.Deferred(t.Context())
			return err == nil && !away
		})
		s.w.Examine()
		s.w.Replay()
		run, err = o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		held := s.ends(o, run.ID, engine.RunHeld, "was cancelled by operator:eve while it was applied")
		run, err = o.Approve(t.Context(), *held.Plan, nil, "operator:eve")
		s.must(err)
		s.ends(o, run.ID, engine.RunApplied, "")
		if n := len(s.w.Accounts()); n != 40 {
			t.Errorf("%d accounts in the end", n)
		}
		s.w.Examine()
		s.w.Replay()
		s.w.Settled("hq")
	})
}

// Whoever synchronises by the command line has the connection to themselves.
func TestARunWaitsForACommandLineAndSaysSo(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		o := s.started("one")
		lease, err := s.w.Store.LeaseTable.Acquire(t.Context(), "hq", "org", "script")
		s.must(err)
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		s.until("it says what it waits for", func() bool {
			p, err := o.Progress(t.Context(), run.ID)
			return err == nil && p.Phase == "waiting" && strings.Contains(p.WaitsFor, "connection hq is being worked on by process")
		})
		s.must(s.w.Store.LeaseTable.Release(t.Context(), lease))
		s.ends(o, run.ID, engine.RunApplied, "")
	})
}

func TestARunThatIsRefusedBeforeItBeginsHasFailed(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		c := s.w.Connect("hq")
		o := s.node("one")
		run, err := o.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		c.Alias = "renamed"
		s.must(o.Start(t.Context()))
		s.ends(o, run.ID, engine.RunFailed, `there is no connection "hq"`)
		s.must(o.Stop(t.Context()))
	})
}

func TestAHeldPlanIsApprovedUnderItsRunAndCanBeCalledBack(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		c := s.w.Connect("hq", func(c *setting.Connection) { c.Limits.Creates = 1 })
		s.w.Holds("hq", storetest.Person("anna"), storetest.Person("bob"), storetest.Person("carl"))
		held := s.w.Held("hq", "")
		o := s.node("one")
		_, err := o.Approve(t.Context(), held.Plan.ID, []int64{99}, "eve")
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("a row that is not there: %v", err)
		}
		run, err := o.Approve(t.Context(), held.Plan.ID, []int64{2}, "eve")
		s.must(err)
		if run.ID != held.Run.ID || run.State != engine.RunQueued || run.Actor != "eve" {
			t.Errorf("%+v", run)
		}
		same, err := o.Approve(t.Context(), held.Plan.ID, []int64{2}, "fred")
		s.must(err)
		if same.ID != run.ID {
			t.Errorf("%s, then %s", run.ID, same.ID)
		}
		_, err = o.Approve(t.Context(), held.Plan.ID, nil, "fred")
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "with other rows left out") {
			t.Errorf("other rows: %v", err)
		}
		s.must(o.Cancel(t.Context(), run.ID, "eve"))
		if r := s.stored(run.ID); r.State != engine.RunHeld || *r.Error != *held.Run.Error || r.FinishedAt == nil {
			t.Errorf("called back it is %+v", r)
		}
		run, err = o.Approve(t.Context(), held.Plan.ID, []int64{2}, "eve")
		s.must(err)
		s.must(o.Start(t.Context()))
		s.ends(o, run.ID, engine.RunApplied, "")
		if n := len(s.w.Accounts()); n != 2 {
			t.Errorf("%d accounts", n)
		}
		s.mu.Lock() // the node looks at connections meanwhile
		c.Limits.Creates = 0
		s.mu.Unlock()
		reverted, err := o.Revert(t.Context(), run.ID, "eve")
		s.must(err)
		if r := s.ends(o, reverted.ID, engine.RunApplied, ""); r.Reverts == nil || *r.Reverts != run.ID || r.Trigger != "revert" {
			t.Errorf("%+v", r)
		}
		if _, err := o.Revert(t.Context(), run.ID, "eve"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		if _, err := o.Approve(t.Context(), held.Plan.ID, nil, "eve"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a plan that was applied: %v", err)
		}
		s.must(o.Stop(t.Context()))
		s.w.Examine()
		s.w.Replay()
	})
}

func TestTheLineIsFairBetweenOrganizations(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Declare(setting.Organization{ID: "other", Name: "Other"})
		names := []string{"a1", "a2", "a3", "a4", "a5", "a6"}
		for _, name := range names {
			s.w.Connect(name)
		}
		for _, name := range []string{"b1", "b2"} {
			s.w.Connect(name, func(c *setting.Connection) { c.Organization = "other" })
		}
		o := s.node("one", func(o *Options) { o.Workers = 1 })
		for i, name := range append(names, "b1", "b2") {
			trigger := "schedule"
			if i == 4 {
				trigger = "manual"
			}
			_, err := o.Sync(t.Context(), name, false, trigger, "tester")
			s.must(err)
		}
		var order []string
		for {
			it, err := s.w.Store.WorkTable.Claim(t.Context(), "one")
			s.must(err)
			if it == nil {
				break
			}
			order = append(order, it.Connection)
		}
		if got, want := strings.Join(order, " "), "a1 a5 b1 a2 b2 a3 a4 a6"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestChoresAreDoneByOneNodeOfAll(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		did := make(chan string, 100)
		left := 3
		chores := func(o *Options) {
			o.Chores = []Chore{{Name: "sweeping", Every: time.Hour, Do: func(context.Context) (bool, error) {
				left--
				did <- "swept"
				return left > 0, nil
			}}, {Name: "broken", Every: time.Hour, Do: func(context.Context) (bool, error) {
				did <- "broke"
				return true, fault.New(fault.Internal, "no")
			}}}
		}
		one, two := s.started("one", chores), s.started("two", chores)
		var all []string
		for range 4 {
			all = append(all, take(s, did))
		}
		slices.Sort(all)
		if want := []string{"broke", "swept", "swept", "swept"}; !slices.Equal(all, want) {
			t.Errorf("%q", all)
		}
		s.must(one.tick(t.Context()))
		s.must(two.tick(t.Context()))
		if n := len(did); n != 0 {
			t.Errorf("%d more", n)
		}
	})
}

func TestANodeWithoutWorkersOnlyAsks(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		asks := s.started("asks", func(o *Options) { o.Workers = 0 })
		run, err := asks.Sync(t.Context(), "hq", false, "manual", "tester")
		s.must(err)
		if waiting, running, err := s.w.Store.WorkTable.Counts(t.Context()); err != nil || waiting != 1 || running != 0 {
			t.Errorf("%d wait, %d run, %v", waiting, running, err)
		}
		s.started("works")
		s.ends(asks, run.ID, engine.RunApplied, "")
	})
}
