package admins_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

func TestGuessingGetsSlowerAndStrangersLockNobodyOut(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		h.enter("eve@example.com") // so home is known
		guess := func(from netip.Addr) error {
			_, err := h.node().SignIn(h.Context(), "EVE@example.com", "a wrong guess", "", from, "curl")
			return err
		}
		for i := range 5 {
			if _, limited := admins.Waits(guess(abroad)); limited {
				h.Fatalf("try %d is limited", i+1)
			}
		}
		before := h.hashes.Load()
		for _, want := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			err := guess(abroad)
			wait, limited := admins.Waits(err)
			if !limited || wait != want || fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), "try again in") {
				h.Fatalf("%v: %s, want %s", err, wait, want)
			}
			// From elsewhere it is the same person's address that is guessed for.
			if _, limited := admins.Waits(guess(netip.MustParseAddr("198.51.100.77"))); !limited {
				h.Error("another network may go on")
			}
			h.later(want)
			if _, limited := admins.Waits(guess(abroad)); limited {
				h.Error("the wait is over and it is limited")
			}
		}
		if n := h.hashes.Load() - before; n != 3 {
			h.Errorf("%d hashes for three tries that were let through", n)
		}
		if _, err := h.SignIn(h.Context(), "eve@example.com", password, "", abroad, ""); err == nil {
			h.Error("the right password gets in while the address has to wait")
		}
		// Whoever sits where they always sit is not bothered by any of it.
		x := h.enter("eve@example.com")
		h.good(x.Token, true)
		for range 5 {
			if _, limited := admins.Waits(guess(home)); limited {
				h.Fatal("the known address pays for strangers")
			}
		}
		if _, limited := admins.Waits(guess(home)); !limited {
			h.Error("the known address may guess for ever")
		}
		h.later(25 * time.Hour)
		x = h.enter("eve@example.com")
		h.good(x.Token, true)
	})
}

func TestAnAddressThatTriesManyPeopleWaitsToo(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		// One customer's IPv6 addresses count as one.
		at := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", i+1)) }
		try := func(i int) error {
			_, err := h.SignIn(h.Context(), fmt.Sprintf("p%d@example.com", i), password, "", at(i), "")
			return err
		}
		for i := range 20 {
			if _, limited := admins.Waits(try(i)); limited {
				h.Fatalf("try %d is limited", i+1)
			}
		}
		if _, limited := admins.Waits(try(20)); !limited {
			h.Error("it goes on and on")
		}
		// Signing in with an account of one's own buys no more guesses.
		h.later(5 * time.Second)
		_, err := h.SignIn(h.Context(), "eve@example.com", password, "", at(0), "")
		h.must(err)
		for i, want := range []bool{false, true} { // the one that was given back, and no more
			if _, limited := admins.Waits(try(21 + i)); limited != want {
				h.Errorf("guess %d behind an own sign-in is limited: %v", i+1, limited)
			}
		}
	})
}

func TestTriesAtOneMomentAreCountedOneByOne(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		const many = 40
		done := make(chan error)
		for range many {
			node := h.node()
			go func() {
				_, err := node.SignIn(h.Context(), "eve@example.com", "a wrong guess", "", netip.Addr{}, "")
				done <- err
			}()
		}
		through := 0
		for range many {
			err := <-done
			if _, limited := admins.Waits(err); !limited {
				through++
				h.refused(err, fault.Denied, "did not work")
			}
		}
		if through != 5 {
			h.Errorf("%d of %d tries at one moment were let through", through, many)
		}
	})
}

// Whoever has the password must not get guesses at the code by giving the password
// again and again.
func TestARightPasswordBuysNoGuessesAtTheCode(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		phone, _ := h.setUp(h.enter("eve@example.com"))
		h.later(time.Minute)
		guesses := 0
		for range 30 {
			half, err := h.SignIn(h.Context(), "eve@example.com", password, "", abroad, "")
			if err != nil {
				break
			}
			if _, err := h.Complete(h.Context(), half.Token, phone.wrong(h.clock), abroad, ""); err != nil {
				if _, limited := admins.Waits(err); limited {
					break
				}
				guesses++
			}
		}
		if guesses != 5 {
			h.Errorf("%d guesses", guesses)
		}
		x := h.enterWith(phone)
		for i := range 6 {
			err := h.Confirm(h.Context(), x.Token, "a wrong guess", "")
			if _, limited := admins.Waits(err); limited != (i == 5) || err == nil {
				h.Errorf("confirmation %d: %v", i+1, err)
			}
		}
		// The pages go on meanwhile, and it is forgotten after a while.
		h.good(x.Token, true)
		if err := h.ChangePassword(h.Context(), x.Token, password, "another kettle orbit"); err == nil {
			h.Error("changing the password is a way around the limit")
		}
		h.later(time.Minute)
		if h.must(h.Confirm(h.Context(), x.Token, password, "")); !h.Fresh(h.again(x)) {
			h.Error("not fresh after a confirmation")
		}
	})
}

func (h *house) enterWith(phone app) *admins.Session {
	h.Helper()
	x, err := h.SignIn(h.Context(), "eve@example.com", password, phone.code(h.clock), home, "Firefox")
	h.must(err)
	return x
}

func (h *house) again(x *admins.Session) *admins.Session {
	h.Helper()
	y, _, err := h.Check(h.Context(), x.Token)
	h.must(err)
	return y
}

func TestFailuresAreToldOnceAMinuteWithoutWhatWasTyped(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Manager, "sunfix")
		const typed = "my secret in the wrong field"
		for range 4 {
			for _, email := range []string{"eve@example.com", typed} {
				_, err := h.SignIn(h.Context(), email, typed, "", abroad, "curl\x1b[31m"+strings.Repeat("é", 500))
				h.refused(err, fault.Denied, "")
			}
			h.later(20 * time.Second)
		}
		var told []event.Event
		for _, e := range h.events() {
			if e.Type == event.AdminSignInFailed {
				told = append(told, e)
				text := string(e.After)
				if strings.Contains(text, typed) || strings.Contains(text, "\\u001b") || len(text) > 600 || !strings.Contains(text, abroad.String()) {
					h.Errorf("%s", text)
				}
			}
		}
		if len(told) != 4 { // two each: at once, and after a minute
			h.Errorf("%d events", len(told))
		}
		var kept int
		h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT count(*) FROM admin_tries WHERE id LIKE '%secret%' OR id LIKE '%eve%'`).Scan(&kept))
		if kept > 0 {
			h.Error("what was typed is kept in the open")
		}
	})
}
