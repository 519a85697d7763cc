package storetest

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

func byEmail(c *setting.Connection) { c.Match = []string{"email"} }

func TestALeaverIsDisabledAndComesBackWithRoleAndMemberships(t *testing.T) {
	t.Parallel()
	for name, deletes := range map[string]bool{"disabled": false, "flagged deleted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables = !deletes }))
				with := []rec{Person("anna"), Person("bob", "manager=anna"), Person("carl"), Group("staff", "anna", "bob"), Group("all", "@staff", "carl")}
				w.Holds("hq", with...)
				w.Applied("hq")
				id, people := w.Account("anna").ID, w.People()
				// The directory takes leavers out of its groups too.
				w.Holds("hq", Person("bob", "manager=anna"), Person("carl"), Group("staff", "bob"), Group("all", "@staff", "carl"))
				r := w.Applied("hq")
				want, status := "disable account anna", account.Disabled
				if deletes {
					want, status = "delete account anna", account.Deleted
				}
				contains(t, w.Brief(r.Plan), want)
				equal(t, "anna", w.Account("anna").Status, status)
				equal(t, "cause", w.Account("anna").Cause, account.ByAbsence)
				equal(t, "her memberships are kept", len(w.Account("anna").Groups), 2)
				w.Settled("hq")
				w.Holds("hq", with...)
				w.Applied("hq")
				equal(t, "people", w.People(), people)
				equal(t, "ID", w.Account("anna").ID, id)
				w.Settled("hq")
			})
		})
	}
}

func TestAPersonWhoComesBackInOtherGroupsGetsThose(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"), Group("board", "bob"))
		w.Applied("hq")
		w.Holds("hq", Person("bob"), Group("staff", "bob"), Group("board", "bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "bob"), Group("board", "anna", "bob"))
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "bob")
		equal(t, "board", w.Members("board"), "anna bob")
		w.Settled("hq")
	})
}

func TestAReCreatedEntryWithAnotherExternalIDGetsTheSameAccount(t *testing.T) {
	t.Parallel()
	for name, together := range map[string]bool{"in the same run": true, "in a later run": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq", byEmail)
				w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Group("staff", "anna", "bob"))
				w.Applied("hq")
				id, people := w.Account("anna").ID, w.People()
				if !together {
					w.Holds("hq", Person("bob", "manager=anna"), Group("staff", "anna", "bob"))
					w.Applied("hq")
				}
				w.Holds("hq", Person("anna", "id=second"), Person("bob", "manager=anna"), Group("staff", "anna", "bob"))
				r := w.Applied("hq")
				equal(t, "failed", r.Run.Summary.Failed, 0)
				equal(t, "people", w.People(), people)
				equal(t, "ID", w.Account("anna").ID, id)
				equal(t, "external ID", w.Account("anna").ExternalID, "second")
				w.Settled("hq")
				// The first ID turns up again: that is somebody else now.
				w.Holds("hq", Person("anna", "id=second"), Person("bob", "manager=anna"), Person("other", "id=id-anna"), Group("staff", "anna", "bob"))
				r = w.Applied("hq")
				equal(t, "failed", r.Run.Summary.Failed, 0)
				if w.Account("other") == nil || w.Account("other").ID == id {
					t.Errorf("the entry with the old ID has no account of its own:\n%s\n%s", w.People(), strings.Join(w.Notes(r.Plan), "\n"))
				}
				w.Settled("hq")
			})
		})
	}
}

func TestAReCreatedEntryWithTheSameNameInTheDirectoryKeepsItsPlaceInGroups(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Conn("hq").Limits.Removals = 1
		var first, second []rec
		for i := range 20 {
			key := "p" + text(int64(i))
			first = append(first, Person(key, "manager=boss"))
			second = append(second, Person(key, "id=new-"+key, "mail=new-"+key+"@example.org", "manager=boss", "uid=new-"+key, "ref=uid="+key+",ou=people"))
		}
		groups := []rec{Group("staff", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"), Person("boss")}
		w.Holds("hq", append(first, groups...)...)
		w.Applied("hq")
		w.Holds("hq", append(second, append(groups[:1:1], Person("boss", "id=new-boss", "mail=b@example.org", "uid=chief"))...)...)
		w.Applied("hq")
		w.Settled("hq")
		equal(t, "staff holds the leavers and the new ones", len(strings.Fields(w.Members("staff"))), 16)
		equal(t, "manager", w.Account("new-p3").Manager, w.Account("chief").ID)
	})
}

func TestAnAddressALeaverLeavesCanBeGivenToANewcomer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ together, disabledFirst, deletes bool }{
		"in the same run":                          {together: true},
		"in a later run":                           {},
		"after the entry was disabled first":       {disabledFirst: true},
		"in the run after, flagged deleted":        {deletes: true},
		"disabled first, and both in the same run": {disabledFirst: true, together: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables = !c.deletes }))
				w.Holds("hq", Person("anna", "mail=sales@example.org"), Person("bob"))
				w.Applied("hq")
				if c.disabledFirst {
					w.Holds("hq", Person("anna", "mail=sales@example.org", "userAccountControl=514"), Person("bob"))
					w.Applied("hq")
				}
				if !c.together {
					w.Holds("hq", Person("bob"))
					w.Applied("hq")
				}
				w.Holds("hq", Person("bob"), Person("newbie", "mail=sales@example.org"))
				r := w.Applied("hq")
				if w.Account("newbie") == nil {
					t.Fatalf("the newcomer has no account:\n%s", strings.Join(w.Notes(r.Plan), "\n"))
				}
				w.Settled("hq")
				// The leaver is back, and the address is taken: named, not stolen.
				w.Holds("hq", Person("bob"), Person("newbie", "mail=sales@example.org"), Person("anna", "mail=sales@example.org"))
				r = w.Applied("hq")
				contains(t, w.Notes(r.Plan), "dispute", "sales@example.org", "newbie")
				equal(t, "newbie", w.Account("newbie").Status, account.Active)
				if s := w.Account("anna").Status; s == account.Active {
					t.Error("two accounts have one address")
				}
				// They agree, and she gets her account back.
				w.Holds("hq", Person("bob"), Person("newbie", "mail=sales@example.org"), Person("anna"))
				w.Applied("hq")
				equal(t, "anna", w.Account("anna").Status, account.Active)
				w.Settled("hq")
			})
		})
	}
}

func TestAPersonOutOfScopeIsALeaverToo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Scope = []string{`department != "Out"`} })
		w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Person("carl", "department=Out"), Group("staff", "anna", "carl"))
		r := w.Applied("hq")
		equal(t, "carl", w.Account("carl") == nil, true)
		equal(t, "out of scope", r.Run.Summary.OutOfScope, 1)
		w.Holds("hq", Person("anna", "department=Out"), Person("bob", "manager=anna"), Person("carl"), Group("staff", "anna", "carl"))
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "add membership staff: carl", "create account carl", "disable account anna")
		w.Settled("hq")
		w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Person("carl"), Group("staff", "anna", "carl"))
		w.Applied("hq")
		equal(t, "anna", w.Account("anna").Status, account.Active)
		w.Settled("hq")
	})
}

// A copy that lags, or an account that sees less, shows fewer people by the same rules.
func TestWhoIsGoneOnAnotherServerWaitsForAPerson(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		on := func(server string, people ...rec) *engine.Result {
			w.Conn("hq").Backend["server"] = server
			w.Holds("hq", append(people, Person("bob"), Person("carl"), Person("dora"))...)
			return w.Sync("hq")
		}
		equal(t, "the first", on("one", Person("anna")).Run.State, engine.RunApplied)
		equal(t, "nobody is gone", on("two", Person("anna"), Person("eve")).Run.State, engine.RunApplied)
		r := on("three", Person("anna"))
		equal(t, "eve is gone", r.Run.State, engine.RunHeld)
		contains(t, r.Plan.HeldBecause, "look whether it is the same directory")
		equal(t, "the server before", on("two", Person("anna"), Person("eve")).Run.State, engine.RunApplied)
		equal(t, "gone there too", on("two", Person("anna")).Run.State, engine.RunApplied)
		on("three")
		w.Approve("hq", w.Plan("hq"))
		equal(t, "seen and approved", on("three", Person("anna")).Run.State, engine.RunApplied)
		equal(t, "and a leaver since", on("three").Run.State, engine.RunApplied)
	})
}

// A year that nobody lived through is no time for people to come back in.
func TestAClockThatJumpsPurgesNobodyUnseen(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"a year ahead": 365 * 24 * time.Hour, "sixteen days ahead, of thirty": 16 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables, p.PurgeAfter = false, 30*24*time.Hour }))
				w.Holds("hq", Person("anna"), Person("bob"))
				w.Applied("hq")
				w.Holds("hq", Person("bob"))
				w.Applied("hq")
				for range 2 {
					w.Clock = w.Clock.Add(10 * 24 * time.Hour)
					w.Applied("hq")
				}
				right := w.Clock
				w.Clock = right.Add(jump)
				for range 2 {
					r := w.Sync("hq")
					equal(t, "state", r.Run.State, engine.RunHeld)
					equal(t, "reasons", len(r.Plan.HeldBecause), 1)
				}
				equal(t, "anna", w.Account("anna").Status, account.Deleted)
				w.Clock = right.Add(time.Hour)
				w.Applied("hq")
				equal(t, "the clock put right", w.Account("anna").Status, account.Deleted)
				// So much time did pass, and a person says so.
				w.Clock = right.Add(jump)
				p := w.Plan("hq")
				equal(t, "to be purged", p.Summary.Purge, 1)
				equal(t, "purged", w.Approve("hq", p).Run.Summary.Purge, 1)
				equal(t, "anna is gone", w.Account("anna") == nil, true)
				w.Settled("hq")
			})
		})
	}
}

func TestWhoIsBackIsNotPurged(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables, p.PurgeAfter = false, 30*24*time.Hour }))
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Person("dora"), Person("eve"), Person("zoe"))
		w.Applied("hq")
		w.Holds("hq", Person("zoe"))
		w.Approve("hq", w.Plan("hq"))
		w.Clock = w.Clock.Add(31 * 24 * time.Hour)
		w.Holds("hq", Person("anna"), Person("bob", "mail="), Person("carl"), Person("eve"), Person("zoe"))
		p := w.Plan("hq")
		equal(t, "to be purged", p.Summary.Purge, 1)
		w.Clock = w.Clock.Add(31 * 24 * time.Hour)
		r := w.Approve("hq", p, w.RowOf(p, "restore account carl"))
		equal(t, "purged", r.Run.Summary.Purge, 1)
		equal(t, "dora, who is not back", w.Account("dora") == nil, true)
		for name, want := range map[string]account.Status{"anna": account.Active, "bob": account.Deleted, "carl": account.Deleted, "eve": account.Active} {
			if a := w.Account(name); a == nil || a.Status != want {
				t.Errorf("%s is %+v, want %s", name, a, want)
			}
		}
		p = w.Plan("hq")
		equal(t, "left to be purged", p.Summary.Purge, 0)
		w.Approve("hq", p, w.RowOf(p, "restore account carl"))
		equal(t, "bob, whose entry has no e-mail address yet", w.Account("bob") != nil, true)
		equal(t, "carl, whom somebody wants to look at", w.Account("carl") != nil, true)
		w.Examine()
	})
}

func TestAccountsFlaggedDeletedArePurgedAfterTheirTime(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables, p.PurgeAfter = false, 30*24*time.Hour }),
			func(c *setting.Connection) { c.Scope = []string{`department != "Out"`} })
		w.Holds("hq", Person("anna", "password=secret"), Person("bob", "manager=anna"), Person("carl", "manager=dora"), Person("dora"), Group("staff", "anna", "bob", "dora"))
		w.Applied("hq")
		id := w.Account("anna").ID
		w.Holds("hq", Person("bob", "manager=anna"), Person("carl", "manager=dora"), Person("dora", "department=Out"), Group("staff", "anna", "bob", "dora"))
		w.Applied("hq")
		w.Clock = w.Clock.Add(29 * 24 * time.Hour)
		w.Applied("hq")
		equal(t, "anna", w.Account("anna").Status, account.Deleted)
		w.Clock = w.Clock.Add(2 * 24 * time.Hour)
		w.Dirs.Of("hq").Missing = "cut short"
		w.Applied("hq")
		equal(t, "an incomplete reading purges nobody", w.Account("anna") != nil, true)
		w.Dirs.Of("hq").Missing = ""
		w.Conn("hq").Policy.NoDelete = true
		equal(t, "to be purged under no-delete", w.Plan("hq").Summary.Purge, 0)
		w.Applied("hq")
		equal(t, "no-delete purges nobody", w.Account("anna") != nil, true)
		w.Conn("hq").Policy.NoDelete = false
		equal(t, "to be purged", w.Plan("hq").Summary.Purge, 2)
		w.Conn("hq").Policy.DryRun = true
		equal(t, "purged in a dry run", w.Sync("hq").Run.Summary.Purge, 0)
		equal(t, "a dry run purges nobody", w.Account("anna") != nil, true)
		w.Conn("hq").Policy.DryRun = false
		r := w.Applied("hq")
		equal(t, "purged, as the run counts", r.Run.Summary.Purge, 2)
		equal(t, "purged", w.Account("anna") == nil && w.Account("dora") == nil, true)
		equal(t, "left to be purged", w.Plan("hq").Summary.Purge, 0)
		equal(t, "staff", w.Members("staff"), "bob")
		if strings.Contains(w.Everything(), "credentials ") {
			t.Error("credentials of a purged account are left")
		}
		told, _ := w.Events(0)
		contains(t, told, "account.purged")
		w.Examine()
		w.Settled("hq")
		// Somebody who comes back after that is new.
		w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Person("carl", "manager=dora"), Person("dora"), Group("staff", "anna", "bob", "dora"))
		r = w.Applied("hq")
		contains(t, w.Brief(r.Plan), "create account anna")
		equal(t, "ID", w.Account("anna").ID, id)
		equal(t, "bob's manager", w.Account("bob").Manager, id)
		equal(t, "carl's manager", w.Account("carl").Manager, w.Account("dora").ID)
		w.Settled("hq")
	})
}

func TestARefusedRemovalIsProposedUntilItIsAllowed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.NoDelete = true }))
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		w.Holds("hq", Person("bob"))
		for range 3 {
			r := w.Applied("hq")
			equal(t, "refused", r.Run.Summary.Refused, 1)
			equal(t, "verdict", r.Plan.Verdict, plan.Nothing)
		}
		equal(t, "anna", w.Account("anna").Status, account.Active)
	})
}

func TestWhoWasDisabledHereIsDisabledWhenTheyComeBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables, p.CreateAsDisabled = false, true }))
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
		w.Holds("hq", Person("bob"))
		w.Applied("hq")
		equal(t, "anna", w.Account("anna").Status, account.Deleted)
		w.Holds("hq", Person("anna"), Person("bob"))
		r := w.Applied("hq")
		contains(t, w.Rows(r.Plan), "restore account anna", "disabled here before it was deleted")
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
		w.Settled("hq")
	})
}

// Under no-update names stay as they are, so the plan looks at none; somebody
// else may have got one meanwhile.
func TestUnderNoUpdateNobodyComesBackToANameThatWasGivenAway(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		w.Holds("hq", Person("bob"))
		w.Applied("hq")
		w.Holds("hq", Person("other", "uid=anna", "mail=other@example.org"), Person("bob"))
		w.Applied("hq")
		w.Conn("hq").Policy.NoUpdate = true
		w.Holds("hq", Person("other", "uid=anna", "mail=other@example.org"), Person("bob"), Person("anna", "uid=anna2", "mail=anna2@example.org"))
		r := w.Sync("hq")
		equal(t, "failed", r.Run.Summary.Failed, 1)
		w.unique(t)
		w.Examine()
	})
}

func TestProgressIsNeverMoreThanThereIs(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"))
		w.Applied("hq")
		w.Holds("hq", Person("anna")) // the others are planned for, although they are not there
		w.Conn("hq").Scope = []string{`username != ""`}
		o, planned := options, 0
		o.Progress = func(p engine.Progress) {
			if p.Phase == "planning" && p.Done > 0 {
				planned = p.Done
				if p.Done > p.Total {
					t.Errorf("%d of %d", p.Done, p.Total)
				}
			}
		}
		_, err := w.Engine.Plan(w.T.Context(), *w.Conn("hq"), o)
		w.must(err)
		equal(t, "people looked at, twice each", planned, 6)
	})
}
