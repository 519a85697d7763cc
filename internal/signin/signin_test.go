package signin_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/source"
)

func TestARightPasswordLetsInAndMakesTheAccount(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		r := h.try(h.Service, "hq", " anna@hq.example ", "right", home)
		h.is(r, "in")
		if r.Account.Text[account.Username] != "anna" || r.Connection != "hq" || r.Organization != "sun" {
			h.Errorf("%+v", r)
		}
		told := h.told(event.AccountSignedIn)
		if len(told) != 1 || told[0].Account == nil || *told[0].Account != r.Account.ID || *told[0].Connection != "hq" || after(told[0])["address"] != home.String() || after(told[0])["via"] != "page" {
			h.Errorf("%+v", told)
		}
		if len(h.clock.slept) > 0 {
			h.Error("who is right waits")
		}
		h.is(h.try(h.Service, "hq", "anna", "right", home), "in")
		h.clean("right", " anna@hq.example ")
	})
}

func TestWhatCannotBeAPasswordReachesNoServer(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		for _, c := range []struct{ login, password string }{
			{"anna", ""}, {"", "right"}, {"  ", "right"}, {"anna", "ri\x00ght"}, {"an\x00na", "right"}, {"anna", strings.Repeat("x", 1025)}, {strings.Repeat("a", 321), "right"},
			{"anna", "\xff\xfe"}, {"\xc3\x28", "right"},
		} {
			h.is(h.try(h.Service, "hq", c.login, c.password, abroad), "invalid_credentials")
		}
		if n := h.dirs["hq"].count(); n > 0 {
			h.Errorf("the directory was asked %d times", n)
		}
		h.is(h.try(h.Service, "hq", "anna", "right", abroad), "in") // and none of it counted
	})
}

func TestAnUnknownPersonAndAWrongPasswordCannotBeTold(t *testing.T) {
	both(t, func(h *house) {
		h.set.Tries, h.set.LockAfter = 100, 0
		h.knows("hq", "anna", source.Proved)
		h.knows("hq", "locked", source.Locked)
		h.knows("hq", "twice", source.Several)
		h.person("list", "lena", "right")
		h.person("list", "none", "")
		h.is(h.try(h.Service, "hq", "anna", "right", home), "in") // so there is an account
		d := h.dirs["hq"]
		hashes := h.hashes.Load()
		for _, c := range []struct {
			connection, login string
			takes             time.Duration // the directory, until it answers
			want              time.Duration // the answer, in all
		}{
			{"hq", "anna", 12 * time.Millisecond, 250 * time.Millisecond}, {"hq", "nobody", 3 * time.Millisecond, 250 * time.Millisecond},
			{"hq", "locked", 9 * time.Millisecond, 250 * time.Millisecond}, {"hq", "twice", 5 * time.Millisecond, 250 * time.Millisecond},
			{"hq", "anna", 251 * time.Millisecond, 500 * time.Millisecond}, {"hq", "nobody", 499 * time.Millisecond, 500 * time.Millisecond},
			{"list", "lena", 0, 250 * time.Millisecond}, {"list", "nobody", 0, 250 * time.Millisecond}, {"list", "none", 0, 250 * time.Millisecond},
		} {
			d.set(func() { d.took = func() { h.clock.later(c.takes) } })
			began := h.clock.now()
			r := h.try(h.Service, c.connection, c.login, "wrong", abroad)
			if got := h.clock.now().Sub(began); got != c.want {
				h.Errorf("%s at %s: answered after %s, want %s", c.login, c.connection, got, c.want)
			}
			if r.Shown {
				h.Errorf("%s at %s may be told %s", c.login, c.connection, r.Reason)
			}
			if c.login != "locked" {
				h.is(r, "invalid_credentials")
			}
		}
		if n := h.hashes.Load() - hashes; n != 3 {
			h.Errorf("%d hashes for three kept passwords", n)
		}
		h.clean("wrong-password", "nobody@")
	})
}

func TestEveryReasonIsKeptAndShownOnlyToWhoKnowsThePassword(t *testing.T) {
	both(t, func(h *house) {
		h.set.Tries, h.set.LockAfter = 100, 0
		for _, c := range []struct {
			standing source.Standing
			want     signin.Reason
			shown    bool
		}{
			{source.Disabled, signin.Disabled, true}, {source.NotHere, signin.Disabled, true}, {source.Ended, signin.Expired, true}, {source.Expired, signin.Expired, true},
			{source.MustChange, signin.MustChangePassword, true}, {source.NotReadable, signin.NotInScope, true}, {source.Locked, signin.Locked, false},
			{source.Several, signin.InvalidCredentials, false}, {"something new", signin.InvalidCredentials, false},
		} {
			login := strings.ReplaceAll(string(c.standing), " ", "-")
			h.knows("hq", login, c.standing)
			for _, show := range []bool{true, false} {
				h.change("hq", func(k *setting.Connection) { k.SignIn.ShowReasons = show })
				r := h.try(h.Service, "hq", login, "right", abroad)
				if r.Reason != c.want || r.Shown != (c.shown && show) {
					h.Errorf("%s: %s, shown %v; want %s, %v", c.standing, r.Reason, r.Shown, c.want, c.shown && show)
				}
				h.clock.later(2 * time.Minute)
			}
		}
		exact := map[string]int{}
		for _, e := range h.told(event.AccountSignInFailed) {
			exact[fmt.Sprint(after(e)["reason"])]++
			if e.Actor != "stranger" {
				h.Errorf("by %s", e.Actor)
			}
		}
		for _, want := range []string{"disabled", "not_here", "ended", "expired", "must_change", "not_readable", "locked"} {
			if exact[want] != 2 {
				h.Errorf("%s is told %d times: %v", want, exact[want], exact)
			}
		}
	})
}

func TestWhomTheEngineRefuses(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		for refusal, want := range map[engine.Refusal]string{engine.AccountDisabled: "disabled", engine.NotInScope: "not_in_scope", engine.LicenceFull: "licence_full", engine.WaitsForDecision: "not_in_scope"} {
			h.admit = func(*directory.Record) (engine.Admission, error) {
				return engine.Admission{Refusal: refusal, Detail: "because of " + string(refusal), Run: "run_1"}, nil
			}
			r := h.try(h.Service, "hq", "anna", "right", abroad)
			h.is(r, want)
			if !r.Shown || r.Exact != string(refusal) {
				h.Errorf("%+v", r)
			}
			h.clock.later(time.Minute)
			told := h.told(event.AccountSignInFailed)
			last := after(told[len(told)-1])
			if last["detail"] != "because of "+string(refusal) || last["entry"] != "uid=anna" {
				h.Errorf("%v", last)
			}
		}
		a := h.person("hq", "old", "")
		a.Status = account.Disabled
		h.admit = func(*directory.Record) (engine.Admission, error) { return engine.Admission{Account: a}, nil }
		h.is(h.try(h.Service, "hq", "anna", "right", abroad), "disabled")
		// An error of ours is nobody's wrong password, and counts for nothing.
		h.admit = func(*directory.Record) (engine.Admission, error) {
			return engine.Admission{}, fault.New(fault.Unavailable, "a run holds the connection")
		}
		for range 6 {
			h.is(h.try(h.Service, "hq", "anna", "right", abroad), "unavailable")
		}
		h.admit = nil
		h.is(h.try(h.Service, "hq", "anna", "right", abroad), "in")
	})
}

func TestWhereNobodySignsIn(t *testing.T) {
	both(t, func(h *house) {
		h.change("lab", func(c *setting.Connection) { c.SignIn.Enabled = false })
		for _, a := range []signin.Attempt{{Connection: "nowhere"}, {Connection: "lab"}, {Connection: "hq", Organization: "moon"}, {Connection: account.Local, Organization: "moon"}, {Connection: ""}} {
			a.Login, a.Password = "anna", "right"
			if _, err := h.Authenticate(h.Context(), a); fault.KindOf(err) != fault.NotFound {
				h.Errorf("%s: %v", a.Connection, err)
			}
		}
		h.change("hq", func(c *setting.Connection) { c.Unset = []setting.Unset{{Problem: "BIND_PASSWORD is not set"}} })
		h.is(h.try(h.Service, "hq", "anna", "right", abroad), "unavailable")
	})
}

func TestGuessingMeetsOurLimitsBeforeThoseOfTheDirectory(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		d := h.dirs["hq"]
		// However it is spelled, and whichever node is asked.
		spellings := []string{"anna", "ANNA@hq.example", `SUN\Anna`, "anna@elsewhere.example"}
		asked := func() int { return d.count() }
		for i := range 3 {
			h.is(h.try(h.node(), "hq", spellings[i], "wrong", abroad), "invalid_credentials")
		}
		for _, login := range spellings {
			r := h.try(h.Service, "hq", login, "right", abroad)
			h.is(r, "wait")
			if r.Wait > 5*time.Minute || r.Wait < 4*time.Minute {
				h.Errorf("the wait is %s", r.Wait)
			}
		}
		// Whoever wants to lock the account for a day does not get five wrong passwords
		// into any half hour.
		var at []time.Time
		for range 24 * 60 {
			before := asked()
			h.try(h.Service, "hq", "anna", "wrong", abroad)
			if asked() > before {
				at = append(at, h.clock.now())
			}
			h.clock.later(time.Minute)
		}
		for i := range at {
			n := 0
			for _, other := range at[i:] {
				if other.Sub(at[i]) < 30*time.Minute {
					n++
				}
			}
			if n > 4 {
				h.Fatalf("%d wrong passwords in half an hour from %s on", n, at[i])
			}
		}
		if len(at) < 10 || len(at) > 40 {
			h.Errorf("%d tries in a day", len(at))
		}
		// The same for a person there is not: a stranger learns nothing by it.
		for range 3 {
			h.is(h.try(h.Service, "hq", "nobody", "wrong", netip.Addr{}), "invalid_credentials")
		}
		h.is(h.try(h.Service, "hq", "nobody@hq.example", "wrong", netip.Addr{}), "wait")
		// Another connection's anna is somebody else.
		h.is(h.try(h.Service, "lab", "anna", "wrong", netip.Addr{}), "invalid_credentials")
	})
}

func TestAFloodOfWrongPasswordsDoesNotBotherThePersonAtTheirDesk(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		h.is(h.try(h.Service, "hq", "anna", "right", home), "in")
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for i := range 60 {
			wg.Go(func() {
				r := h.try(h.Service, "hq", "anna", "wrong", netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
				mu.Lock()
				defer mu.Unlock()
				got[outcome(r)]++
			})
		}
		for range 5 {
			h.is(h.try(h.node(), "hq", "anna", "right", home), "in")
		}
		wg.Wait()
		// A right one forgets what was counted for the desk alone: strangers go on waiting.
		if got["invalid_credentials"] > 3 || got["wait"] < 57 {
			h.Errorf("%v", got)
		}
		h.is(h.try(h.Service, "hq", "anna", "right", abroad), "wait")
		// The desk is not a way around the limit either.
		for range 3 {
			h.is(h.try(h.Service, "hq", "anna", "wrong", home), "invalid_credentials")
		}
		h.is(h.try(h.Service, "hq", "anna", "right", home), "wait")
	})
}

func TestOneAddressThatTriesManyPeopleWaits(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		at := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", i+1)) }
		for i := range 30 {
			h.is(h.try(h.Service, "hq", fmt.Sprintf("p%d", i), "wrong", at(i)), "invalid_credentials")
		}
		h.is(h.try(h.Service, "hq", "anna", "right", at(77)), "wait")
		h.is(h.try(h.Service, "hq", "anna", "right", netip.MustParseAddr("2001:db8:1:3::1")), "in")
		// One more every minute.
		h.clock.later(time.Hour)
		h.is(h.try(h.Service, "hq", "somebody", "wrong", at(5)), "invalid_credentials")
		// Signing in with one's own account buys no guesses.
		for i := range 29 {
			h.is(h.try(h.Service, "hq", fmt.Sprintf("q%d", i), "wrong", at(i)), "invalid_credentials")
			h.is(h.try(h.Service, "hq", "anna", "right", at(i)), "in")
		}
		h.is(h.try(h.Service, "hq", "q30", "wrong", at(5)), "wait")
	})
}

func TestRightPasswordsAtOneMomentAreNotGuesses(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() { h.is(h.try(h.Service, "hq", "anna", "right", abroad), "in") })
		}
		wg.Wait()
	})
}

func TestFailuresAreToldOnceAMinuteAndStrangersAreCounted(t *testing.T) {
	both(t, func(h *house) {
		h.set.Tries, h.set.LockAfter, h.set.AddressTries = 1000, 0, 1000
		h.knows("hq", "anna", source.Proved)
		h.is(h.try(h.Service, "hq", "anna", "right", home), "in")
		const typed = "hunter2-in-the-wrong-field"
		for range 6 {
			h.try(h.Service, "hq", "anna", typed, abroad)
			h.try(h.Service, "hq", typed, typed, abroad)
			h.try(h.Service, "hq", typed+"2", typed, abroad)
			h.clock.later(20 * time.Second)
		}
		var known, count int
		for _, e := range h.told(event.AccountSignInFailed) {
			if e.Account != nil {
				known++
				continue
			}
			n, _ := after(e)["count"].(float64)
			count += int(n)
		}
		if known != 2 {
			h.Errorf("%d events of anna in two minutes", known)
		}
		if count < 7 || count > 12 {
			h.Errorf("%d of 12 strangers are counted", count)
		}
		h.clean(typed)
		var kept int
		h.must(h.store.DB.Reader().QueryRowContext(h.Context(), `SELECT (SELECT count(*) FROM login_tries WHERE id LIKE '%hunter%' OR id LIKE '%anna%') + (SELECT count(*) FROM login_places WHERE id LIKE '%anna%')`).Scan(&kept))
		if kept > 0 {
			h.Error("what was typed is kept in the open")
		}
	})
}

func TestADeadDirectoryDelaysNobodyElse(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		h.knows("lab", "lena", source.Proved)
		lab := h.dirs["lab"]
		lab.set(func() { lab.hold, lab.waits = make(chan struct{}), make(chan struct{}, 100) }) // a black hole
		h.set.AtOnce = 4
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { h.is(h.try(h.Service, "lab", fmt.Sprintf("p%d", i), "right", netip.Addr{}), "unavailable") })
		}
		for range 4 {
			<-lab.waits
		}
		// While four hang in it and four wait before it, hq goes on.
		for i := range 10 {
			h.knows("hq", fmt.Sprintf("q%d", i), source.Proved)
			h.is(h.try(h.Service, "hq", fmt.Sprintf("q%d", i), "right", netip.Addr{}), "in")
		}
		if n := lab.count(); n != 4 {
			h.Errorf("%d are in a directory for four", n)
		}
		lab.set(func() { lab.down = fault.New(fault.Unavailable, "connection refused") })
		close(lab.hold)
		wg.Wait()
		// The gate is shut: nobody touches it.
		before := lab.count()
		for i := range 20 {
			h.is(h.try(h.Service, "lab", fmt.Sprintf("r%d", i), "right", netip.Addr{}), "unavailable")
		}
		if n := lab.count(); n != before {
			h.Errorf("it was asked %d times while shut", n-before)
		}
		if shut := h.Shut(); !slices.Equal(shut, []string{"lab"}) {
			h.Errorf("shut are %v", shut)
		}
		// One looks after a pause; twice as long the next time.
		for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
			h.clock.later(pause - time.Millisecond)
			h.is(h.try(h.Service, "lab", "lena", "right", netip.Addr{}), "unavailable")
			if n := lab.count(); n != before {
				h.Fatalf("before %s were over it was asked", pause)
			}
			h.clock.later(time.Millisecond)
			h.is(h.try(h.Service, "lab", "lena", "right", netip.Addr{}), "unavailable")
			if before++; lab.count() != before {
				h.Fatalf("after %s nobody looked", pause)
			}
		}
		lab.set(func() { lab.down, lab.hold = nil, nil })
		h.clock.later(time.Minute)
		h.is(h.try(h.Service, "lab", "lena", "right", netip.Addr{}), "in") // and nothing of it was counted for her
		h.is(h.try(h.Service, "lab", "lena", "right", netip.Addr{}), "in")
		if shut := h.Shut(); len(shut) > 0 {
			h.Errorf("shut are %v", shut)
		}
	})
}

func TestChangedSettingsOpenADoorAnew(t *testing.T) {
	both(t, func(h *house) {
		h.knows("hq", "anna", source.Proved)
		d := h.dirs["hq"]
		in := func() { h.Helper(); h.is(h.try(h.Service, "hq", "anna", "right", home), "in") }
		opened := func(want, closed int) {
			h.Helper()
			d.set(func() {
				if d.opened != want || d.closed != closed {
					h.Errorf("%d opened and %d closed, want %d and %d", d.opened, d.closed, want, closed)
				}
			})
		}
		in()
		in()
		opened(1, 0)
		h.change("hq", func(c *setting.Connection) { c.Backend = setting.Values{"of": "hq", "filter": "(mail=*)"} })
		in()
		opened(2, 1)
		h.Forget("hq")
		opened(2, 2)
		in()
		opened(3, 2)
		// Whoever is in the middle finishes; then it is closed.
		hold, waits := make(chan struct{}), make(chan struct{})
		d.set(func() { d.hold, d.waits = hold, waits })
		done := make(chan *signin.Result)
		go func() { done <- h.try(h.Service, "hq", "anna", "right", home) }()
		<-waits
		h.Forget("hq")
		opened(3, 2)
		d.set(func() { d.hold = nil })
		close(hold)
		h.is(<-done, "in")
		opened(3, 3)
		in()
		h.change("hq", func(c *setting.Connection) { c.Alias = "gone" })
		if _, err := h.Authenticate(h.Context(), signin.Attempt{Connection: "hq", Login: "anna", Password: "right"}); fault.KindOf(err) != fault.NotFound {
			h.Error(err)
		}
		opened(4, 4)
	})
}
