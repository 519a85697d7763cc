package operate

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/health"
	"rollcall.dev/rollcall/internal/store/storetest"
)

// nightly gives a connection a schedule without jitter.
func nightly(spec string) func(*setting.Connection) {
	return func(c *setting.Connection) {
		var none time.Duration
		c.Schedule, c.Jitter = spec, &none
	}
}

// due is when a connection runs next, as text.
func (s *site) due(o *Operator, alias string) string {
	s.t.Helper()
	at, ok, err := o.Next(s.t.Context(), alias)
	s.must(err)
	if !ok {
		return "never"
	}
	return at.Format("01-02 15:04")
}

func TestASchedulePutsRunsInLineOnceEach(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq", nightly("0 2 * * *"))
		s.w.Connect("branch", nightly("every 40m"))
		s.w.Connect("quiet")
		one, two := s.node("one"), s.node("two")
		look := func() string {
			t.Helper()
			for _, o := range []*Operator{one, two, one} {
				s.must(o.tick(t.Context()))
			}
			var out []string
			for _, alias := range []string{"hq", "branch", "quiet"} {
				out = append(out, alias+" "+s.due(one, alias))
				for _, r := range s.runs(alias) {
					if r.State == engine.RunQueued {
						out = append(out, "waits")
					}
				}
			}
			for {
				it, err := s.w.Store.WorkTable.Claim(t.Context(), "one")
				s.must(err)
				if it == nil {
					return strings.Join(out, ", ")
				}
				s.must(s.w.Store.DB.Write(t.Context(), func(tx *dbTx) error { return one.end(t.Context(), tx, it.Run, "done with", true) }))
			}
		}
		s.must(one.Refresh(t.Context()))
		for _, step := range []struct {
			what   string
			passes time.Duration
			want   string
		}{
			{"at the start", 0, "hq 05-04 02:00, branch 05-04 01:20, quiet never"},
			{"a minute before", 19*time.Minute + 59*time.Second, "hq 05-04 02:00, branch 05-04 01:20, quiet never"},
			{"when it is time", time.Second, "hq 05-04 02:00, branch 05-04 02:00, waits, quiet never"},
			{"both", 40 * time.Minute, "hq 05-05 02:00, waits, branch 05-04 02:40, waits, quiet never"},
			{"what was missed in three days is one run", 72 * time.Hour, "hq 05-08 02:00, waits, branch 05-07 02:40, waits, quiet never"},
		} {
			s.passes(step.passes)
			if got := look(); got != step.want {
				t.Fatalf("%s: %s, want %s", step.what, got, step.want)
			}
		}
	})
}

func TestAScheduleThatIsChangedOrRemovedTakesEffectAtOnce(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq", nightly("0 2 * * *"))
		o := s.node("one")
		s.must(o.Reschedule(t.Context(), "hq"))
		change := func(spec, zone, want string) {
			t.Helper()
			c := s.w.Conn("hq")
			c.Schedule, c.TimeZone = spec, zone
			s.must(o.Reschedule(t.Context(), "hq"))
			if got := s.due(o, "hq"); got != want {
				t.Errorf("%s in %q: %s, want %s", spec, zone, got, want)
			}
			s.must(o.Refresh(t.Context()))
			if got := s.due(o, "hq"); got != want {
				t.Errorf("%s in %q, compared: %s, want %s", spec, zone, got, want)
			}
		}
		change("0 2 * * *", "", "05-04 02:00")
		change("0 3 * * *", "", "05-04 03:00")
		change("0 3 * * *", "Asia/Tokyo", "05-04 18:00")
		change("", "", "never")
		change("every 1h", "", "05-04 02:00")
		if err := o.Reschedule(t.Context(), "none"); err != nil {
			t.Error(err)
		}
		s.w.Conn("hq").Alias = "renamed"
		s.must(o.Refresh(t.Context()))
		if s.due(o, "hq") != "never" || s.due(o, "renamed") != "05-04 02:00" {
			t.Error("a connection that was renamed")
		}
	})
}

// Otherwise nobody who leaves is seen to leave until the clock comes there again.
func TestAScheduleThatWasMovedByAClockAheadComesBack(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		const year = 365 * 24 * time.Hour
		s.w.Connect("hq", nightly("0 2 * * *"))
		s.w.Connect("branch", nightly("every 40m"))
		s.w.Connect("broken", nightly("every 5m"))
		s.w.Dirs.Of("broken").Away = fault.New(fault.Unavailable, "ldap: connect: refused")
		o := s.node("one")
		s.must(o.Refresh(t.Context()))
		s.passes(year)
		for range health.Most {
			s.must(o.tick(t.Context()))
			for range 3 {
				s.must(o.turn(t.Context(), jobsJob{}))
			}
			s.passes(5 * time.Minute)
		}
		s.passes(-year - health.Most*5*time.Minute)
		s.must(o.Refresh(t.Context()))
		if got := s.due(o, "hq") + ", " + s.due(o, "branch") + ", " + s.due(o, "broken"); got != "05-04 02:00, 05-04 01:20, 05-04 01:05" {
			t.Errorf("put right, they are due %s", got)
		}
		// Another node's clock is a little behind: what this one has moved on stays.
		s.passes(time.Hour)
		s.must(o.tick(t.Context()))
		s.passes(-time.Minute)
		s.must(o.Refresh(t.Context()))
		if got := s.due(o, "hq"); got != "05-05 02:00" {
			t.Errorf("moved on, it is due %s", got)
		}
	})
}

// A connection that keeps failing is tried less and less often, and comes back by
// itself with the first run that goes well.
func TestAConnectionThatKeepsFailingIsQuarantinedAndComesBackByItself(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq", nightly("every 5m"))
		s.w.Holds("hq", storetest.Person("anna"))
		s.w.Dirs.Of("hq").Away = fault.New(fault.Unavailable, "ldap: connect: refused")
		o := s.node("one")
		s.must(o.Refresh(t.Context()))
		carry := func() {
			t.Helper()
			s.must(o.tick(t.Context()))
			s.must(o.turn(t.Context(), jobsJob{}))
		}
		at := func(minutes int) time.Time { return time.Date(2026, 5, 4, 1, minutes, 0, 0, time.UTC) }
		next := func() time.Time {
			t.Helper()
			at, _, err := o.Next(t.Context(), "hq")
			s.must(err)
			return at
		}
		for i := 1; i <= 3; i++ {
			s.passes(5 * time.Minute)
			carry()
		}
		if told := s.told(); !slices.Equal(told, []string{"run.failed", "run.failed", "run.failed", "connection.quarantined"}) {
			t.Fatalf("%q", told)
		}
		if want := at(15).Add(health.Wait("hq", 3)); !next().Equal(want) || want.Before(at(27)) || want.After(at(30)) {
			t.Errorf("it comes next at %s, want %s", next(), want)
		}
		// Until then the schedule is silent, and people may try all the same. Trying
		// makes it no worse.
		s.passes(10 * time.Minute)
		s.must(o.tick(t.Context()))
		for range 4 {
			_, err := o.Sync(t.Context(), "hq", false, "manual", "eve")
			s.must(err)
			carry()
		}
		state, err := s.w.Store.Health.Of(t.Context(), "hq")
		s.must(err)
		if state.Failures != 3 || state.QuarantinedAt == nil || !state.QuarantinedAt.Equal(at(15)) || !strings.Contains(state.Cause, "refused") || len(s.runs("hq")) != 7 {
			t.Errorf("%+v, %d runs", state, len(s.runs("hq")))
		}
		// It stays away: longer and longer, and a day at the most.
		for i := 4; i < 15; i++ {
			s.passes(next().Sub(s.now()))
			carry()
			if wait := next().Sub(s.now()); wait > health.Longest || wait < min(health.Longest, health.First<<(i-3))*4/5 {
				t.Errorf("after %d failures it waits %s", i, wait)
			}
		}
		s.w.Dirs.Of("hq").Away = nil
		s.passes(next().Sub(s.now()))
		carry()
		told := s.told()
		if told := told[len(told)-2:]; !slices.Equal(told, []string{"run.applied", "connection.recovered"}) {
			t.Errorf("%q", told)
		}
		if wait := next().Sub(s.now()); wait > 5*time.Minute {
			t.Errorf("the schedule goes on after %s", wait)
		}
		if state, err := s.w.Store.Health.Of(t.Context(), "hq"); err != nil || state.Failures != 0 {
			t.Errorf("%+v, %v", state, err)
		}
	})
}

func TestWhatSaysNothingOfAConnectionIsNotCounted(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		o := s.node("one")
		fails := func(cause string) {
			t.Helper()
			s.w.Dirs.Of("hq").Away = errors.New(cause)
			_, err := o.Sync(t.Context(), "hq", false, "manual", "eve")
			s.must(err)
			s.must(o.turn(t.Context(), jobsJob{}))
		}
		count := func(want int) {
			t.Helper()
			state, err := s.w.Store.Health.Of(t.Context(), "hq")
			s.must(err)
			if state.Failures != want {
				t.Errorf("%d failures, want %d", state.Failures, want)
			}
		}
		fails("refused")
		fails("refused")
		count(1)
		fails("password expired") // a cause of its own
		count(2)
		run, err := o.Sync(t.Context(), "hq", false, "manual", "eve")
		s.must(err)
		s.must(o.Cancel(t.Context(), run.ID, "eve"))
		count(2)
		s.w.Dirs.Of("hq").Away = nil
		s.w.Conn("hq").Policy.DryRun = true // held is well: the directory was read
		_, err = o.Sync(t.Context(), "hq", false, "manual", "eve")
		s.must(err)
		s.must(o.turn(t.Context(), jobsJob{}))
		count(0)
	})
}
