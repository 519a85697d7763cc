package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// comes has somebody whom the directory vouches for come to a connection's door.
func (w *World) comes(alias string, r directory.Record) engine.Admission {
	w.T.Helper()
	d, err := w.Engine.Door(w.T.Context(), *w.Conn(alias))
	w.must(err)
	a, err := d.Admit(w.T.Context(), &r, "sign-in")
	w.must(err)
	return a
}

func (w *World) generation(alias string) int64 {
	w.T.Helper()
	s, err := w.Store.LeaseTable.State(w.T.Context(), alias)
	w.must(err)
	return s.Generation
}

func TestWhoIsKnownComesInWithoutAWrite(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"), Person("bob"))
		before := w.generation("hq")
		a := w.comes("hq", Person("anna"))
		equal(t, "refusal", a.Refusal, engine.NotRefused)
		equal(t, "account", a.Account.ID, w.Account("anna").ID)
		equal(t, "run", a.Run, "")
		equal(t, "the picture", w.generation("hq"), before)
	})
}

func TestWhoSignsInIsMadeAndChangedAsByARun(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"), Person("bob"), Group("staff", "anna", "bob"))
		// Bob left, carl is new, anna has a title now: the door sees carl and anna alone.
		a := w.comes("hq", Person("carl"))
		equal(t, "carl", a.Account.Status, account.Active)
		equal(t, "his role", a.Account.Text[account.Role], "employee")
		run, err := w.Store.RunTable.Get(t.Context(), a.Run)
		w.must(err)
		equal(t, "the run", fmt.Sprint(run.Trigger, " ", run.State, " ", run.Actor, " ", run.Summary.Create), "sign-in applied sign-in 1")
		a = w.comes("hq", Person("anna", "title=Boss"))
		equal(t, "anna", a.Account.Text[account.Title], "Boss")
		equal(t, "bob", w.Account("bob").Status, account.Active)
		equal(t, "the group", w.Members("staff"), "anna bob")
		var told []event.Type
		w.must(w.Store.Events().OfAccount(t.Context(), w.Account("carl").ID, 9, func(e event.Event) error { told = append(told, e.Type); return nil }))
		equal(t, "events of carl", fmt.Sprint(told), "[account.created]")
		equal(t, "again there is nothing to do", w.comes("hq", Person("carl")).Run, "")
		// Carl goes before any run saw him: the next one misses him none the less.
		w.Holds("hq", Person("anna", "title=Boss"), Person("bob"), Group("staff", "anna", "bob"))
		w.Applied("hq")
		equal(t, "carl, whom no reading brought", w.Account("carl").Status, account.Disabled)
		// And who comes back gets the account back.
		id := w.Account("carl").ID
		a = w.comes("hq", Person("carl"))
		equal(t, "carl again", fmt.Sprint(a.Account.ID == id, " ", a.Account.Status, " ", a.Refusal), "true active ")
	})
}

func TestAConnectionWithoutARunLetsPeopleInOneByOne(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		for _, name := range []string{"anna", "bob"} {
			equal(t, name, w.comes("hq", Person(name)).Account.Text[account.Username], name)
		}
		w.Holds("hq", Person("anna"), Person("carl"))
		w.Dirs.Of("hq").Next = "bookmark"
		w.Applied("hq")
		equal(t, "its first run reads everything", w.Dirs.Of("hq").Asked == nil, true)
		equal(t, "bob is gone", w.Account("bob").Status, account.Disabled)
		equal(t, "anna stays", w.Account("anna").Status, account.Active)
		equal(t, "carl comes", w.Account("carl").Status, account.Active)
	})
}

func TestWhoGetsNoAccountAtTheDoor(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"), Person("bob"))
		seats := w.Account("anna")
		before := w.generation("hq")
		says := func(what string, r directory.Record, refusal engine.Refusal, words string) {
			t.Helper()
			a := w.comes("hq", r)
			equal(t, what, a.Refusal, refusal)
			contains(t, []string{a.Detail}, words)
		}
		says("without a mandatory field", Person("carl", "sn="), engine.NotInScope, "last_name")
		says("disabled in the directory", Person("carl", "userAccountControl=514"), engine.AccountDisabled, "userAccountControl")
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 2})
		says("when the licence is full", Person("carl"), engine.LicenceFull, "3 seats, its licence has 2")
		w.Declare(setting.Organization{ID: "org", Name: "Organization"})
		equal(t, "nothing was written for any", w.generation("hq"), before)
		w.Conn("hq").Policy.NoCreate = true
		says("under no-create", Person("carl"), engine.WaitsForDecision, "no-create")
		w.Conn("hq").Policy.NoCreate = false
		w.Conn("hq").Policy.DryRun = true
		says("under dry-run", Person("dora"), engine.WaitsForDecision, "dry-run")
		says("who has an account comes in under dry-run", Person("anna", "title=Boss"), engine.NotRefused, "dry-run")
		equal(t, "and is not changed", w.Account("anna").Text[account.Title], "")
		w.Conn("hq").Policy.DryRun = false
		w.Conn("hq").Scope = []string{`department == "IT"`}
		says("out of scope", Person("anna"), engine.NotInScope, "department")
		equal(t, "whose account stays for a reading of everybody", w.Account("anna").Status, account.Active)
		says("in scope, and the rules changed", Person("emil", "department=IT"), engine.WaitsForDecision, "scope")
		equal(t, "anna", w.Account("anna").ID, seats.ID)
	})
}

func TestWhoIsDisabledInTheDirectoryLosesTheAccountAtTheDoor(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"), Person("bob"), Person("carl"), Person("dora"))
		a := w.comes("hq", Person("anna", "userAccountControl=514"))
		equal(t, "refusal", a.Refusal, engine.AccountDisabled)
		equal(t, "her account", w.Account("anna").Status, account.Disabled)
		equal(t, "again", w.comes("hq", Person("anna", "userAccountControl=514")).Run, "")
		equal(t, "enabled again", w.comes("hq", Person("anna")).Account.Status, account.Active)
	})
}

// What was read and not applied would be applied with whoever signs in: a waiting
// plan stays as it is, also where that costs somebody a sign-in.
func TestNobodyAtTheDoorAppliesWhatWaits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		var all []directory.Record
		for i := range 40 {
			all = append(all, Person(fmt.Sprintf("p%02d", i)))
		}
		settledOne(w, all...)
		w.Holds("hq", all[:5]...)
		held := w.Sync("hq")
		equal(t, "the run", held.Run.State, engine.RunHeld)
		equal(t, "who has an account", w.comes("hq", Person("p00", "title=Boss")).Refusal, engine.NotRefused)
		a := w.comes("hq", Person("new"))
		equal(t, "who has none", a.Refusal, engine.WaitsForDecision)
		contains(t, []string{a.Detail}, "waits to be applied")
		equal(t, "p39", w.Account("p39").Status, account.Active)
		_, err := w.Engine.Approve(t.Context(), *w.Conn("hq"), held.Plan.ID, nil, engine.Options{Actor: "boss"})
		w.must(err)
		equal(t, "the plan is carried out when somebody says so", w.Account("p39").Status, account.Disabled)
	})
}

func TestManyAtTheDoorAtOnceAndARunThatWorks(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"))
		d, err := w.Engine.Door(t.Context(), *w.Conn("hq"))
		w.must(err)
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				r := Person(fmt.Sprintf("new%d", i%4)) // two browsers each
				a, err := d.Admit(t.Context(), &r, "sign-in")
				if err != nil || a.Account == nil || a.Refusal != engine.NotRefused {
					t.Errorf("%+v %v", a, err)
				}
			})
		}
		wait.Wait()
		lease, err := w.Store.Leases().Acquire(t.Context(), "hq", "org", "script")
		w.must(err)
		changed := Person("anna", "title=Boss")
		a, err := d.Admit(t.Context(), &changed, "sign-in")
		w.must(err)
		equal(t, "who has an account comes in by it", a.Refusal, engine.NotRefused)
		other := Person("other")
		_, err = d.Admit(t.Context(), &other, "sign-in")
		fails(t, err, fault.Unavailable, "being synchronised")
		w.must(w.Store.Leases().Release(t.Context(), lease))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = d.Admit(ctx, &other, "sign-in"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		equal(t, "and when it is free", w.comes("hq", other).Account.Status, account.Active)
	})
}

func TestNobodyComesInAsOneOfAnotherOrganization(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"))
		c := *w.Conn("hq")
		c.Organization = "elsewhere" // by a slip in the configuration
		_, err := w.Engine.Door(t.Context(), c)
		equal(t, "the door", fault.KindOf(err), fault.Conflict)
	})
}
