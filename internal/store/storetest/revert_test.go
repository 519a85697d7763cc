package storetest

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

func (w *World) run(id string) *engine.Run {
	w.T.Helper()
	r, err := w.Store.RunTable.Get(w.T.Context(), id)
	w.must(err)
	return r
}

func TestRevertingARunOfChangesBringsBackWhatWasAndHoldsTheNextPlan(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Conn("hq").Limits.Removals = 1
		w.Holds("hq", before()...)
		w.Applied("hq")
		people := w.People()
		w.Holds("hq", after()...)
		r := w.Applied("hq")
		changed := w.People()
		undone := w.Revert("hq", r.Run)
		equal(t, "state of the run", w.run(r.Run.ID).State, engine.RunReverted)
		equal(t, "state of the revert", undone.Run.State, engine.RunApplied)
		equal(t, "newbie", w.Account("newbie").Status, account.Deleted)
		others, _, _ := strings.Cut(w.People(), "\nnewbie ") // the last one in the alphabet
		equal(t, "the others", others, people)
		equal(t, "old", w.Members("old"), "anna")
		equal(t, "name", w.Members("name"), "bob")
		equal(t, "fresh", w.Members("fresh"), "-")

		held := w.Held("hq", "Run "+r.Run.ID+" was reverted; this plan may do again what was undone.")
		w.Approve("hq", held.Plan)
		equal(t, "people", w.People(), changed)
		w.Settled("hq")
		w.Holds("hq", append(after(), Person("later"))...)
		w.Applied("hq")
	})
}

func TestRevertingTheFirstImportFlagsEverybodyDeletedAndApprovingBringsThemBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", company()...)
		r := w.Applied("hq")
		people := w.People()
		w.Revert("hq", r.Run)
		equal(t, "deleted", strings.Count(w.People(), " deleted "), 6)
		equal(t, "staff", w.Members("staff"), "-")
		held := w.Held("hq", "was reverted")
		w.Approve("hq", held.Plan)
		equal(t, "people", w.People(), people)
		w.Settled("hq")
	})
}

func TestRevertingARunOfLeaversBringsThemBackAndARevertCanBeReverted(t *testing.T) {
	t.Parallel()
	for name, deletes := range map[string]bool{"disabled": false, "flagged deleted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables = !deletes }))
				w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Group("staff", "anna", "bob"))
				w.Applied("hq")
				people := w.People()
				w.Holds("hq", Person("bob", "manager=anna"), Group("staff", "bob"))
				r := w.Applied("hq")
				left := w.People()
				back := w.Revert("hq", r.Run)
				equal(t, "after the revert", w.People(), people)
				again := w.Revert("hq", back.Run)
				equal(t, "after its revert", w.People(), left)
				equal(t, "the first revert", w.run(back.Run.ID).State, engine.RunReverted)
				w.Revert("hq", again.Run)
				equal(t, "after the third", w.People(), people)
				held := w.Held("hq", "was reverted")
				w.Approve("hq", held.Plan)
				equal(t, "at the end", w.People(), left)
				w.Settled("hq")
			})
		})
	}
}

func TestARevertLeavesAloneWhatWasChangedSince(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", "title=Queen"), Person("bob", "title=King"), Person("carl", "title=Jack", "department=Cards"), Group("staff", "anna", "cn=court"))
		r := w.Applied("hq")
		w.Holds("hq", Person("anna", "title=Empress"), Person("bob", "title=King", "department=Board"), Person("carl", "title=Jack", "department=Cards"), Group("staff", "anna", "cn=palace"))
		w.Applied("hq")
		undone := w.Revert("hq", r.Run)
		contains(t, w.Notes(undone.Plan), "refused", "uid=anna", "changed since: title")
		contains(t, w.Notes(undone.Plan), "refused", "the group was changed since")
		equal(t, "anna", w.Account("anna").Text[account.Title], "Empress")
		equal(t, "bob", w.Account("bob").Text[account.Title], "")
		equal(t, "bob's department", w.Account("bob").Text[account.Department], "Board")
		equal(t, "carl", w.Account("carl").Text[account.Title]+w.Account("carl").Text[account.Department], "")
		equal(t, "palace", w.Members("palace"), "anna")
	})
}

func TestARevertOfRemovedMembershipsGivesThemBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"), Group("board"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "bob"), Group("board", "anna"))
		r := w.Applied("hq")
		w.Revert("hq", r.Run)
		equal(t, "staff", w.Members("staff"), "anna bob")
		equal(t, "board", w.Members("board"), "")
		w.Approve("hq", w.Held("hq", "was reverted").Plan)
		equal(t, "staff", w.Members("staff"), "bob")
		w.Settled("hq")
	})
}

func TestOnlyAnAppliedRunOfTheConnectionCanBeReverted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Connect("branch")
		w.Holds("hq", Person("anna"))
		r := w.Applied("hq")
		revert := func(alias, id string) error {
			_, err := w.Engine.Revert(t.Context(), *w.Conn(alias), id, false, options)
			return err
		}
		fails(t, revert("hq", "nothing"), fault.NotFound, "nothing")
		fails(t, revert("branch", r.Run.ID), fault.NotFound, "branch")
		w.Holds("hq")
		held := w.Held("hq", "nobody")
		fails(t, revert("hq", held.Run.ID), fault.Conflict, "is held")
		w.Conn("hq").Policy.DryRun = true
		fails(t, revert("hq", r.Run.ID), fault.Denied, "dry-run")
		w.Conn("hq").Policy.DryRun = false
		w.Revert("hq", r.Run)
		fails(t, revert("hq", r.Run.ID), fault.Conflict, "is reverted")
	})
}

func TestARevertCanBeLookedAtFirstAndApproved(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", "title=Queen"), Person("bob", "title=King"))
		r := w.Applied("hq")
		look, err := w.Engine.Revert(t.Context(), *w.Conn("hq"), r.Run.ID, true, options)
		w.must(err)
		equal(t, "title", w.Account("anna").Text[account.Title], "Queen")
		w.Approve("hq", look.Plan, w.RowOf(look.Plan, "update account bob"))
		equal(t, "anna", w.Account("anna").Text[account.Title], "")
		equal(t, "bob", w.Account("bob").Text[account.Title], "King")
		equal(t, "run", w.run(r.Run.ID).State, engine.RunReverted)
	})
}

func TestARevertNeedsSeatsToo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		w.Holds("hq", Person("bob"))
		r := w.Applied("hq")
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 1})
		undone := w.Revert("hq", r.Run)
		equal(t, "run", undone.Run.State, engine.RunHeld)
		equal(t, "verdict", undone.Plan.Verdict, plan.Held)
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 2})
		w.Approve("hq", undone.Plan)
		equal(t, "anna", w.Account("anna").Status, account.Active)
	})
}

func TestARevertDoesNotBringBackWhatHangsOnAPurgedAccount(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.DeleteDisables, p.PurgeAfter = false, time.Hour }))
		w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Person("carl"), Group("staff", "anna", "bob", "carl"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob", "manager=carl"), Person("carl"), Group("staff", "carl"))
		r := w.Applied("hq")
		w.Holds("hq", Person("bob", "manager=carl"), Person("carl"), Group("staff", "carl"))
		w.Applied("hq")
		w.Clock = w.Clock.Add(2 * time.Hour)
		w.Applied("hq")
		equal(t, "anna is purged", w.Account("anna") == nil, true)
		w.Revert("hq", r.Run)
		equal(t, "staff", w.Members("staff"), "bob carl")
		equal(t, "bob's manager", w.Account("bob").Manager.IsZero(), true)
		w.Examine()
		w.Replay()
		w.Approve("hq", w.Held("hq", "was reverted").Plan)
		equal(t, "bob's manager", w.Account("bob").Manager, w.Account("carl").ID)
		w.Settled("hq")
	})
}

// Both entries are looked at again: the one that had the account, and the one that has it now.
func TestALinkThatWasRevertedIsProposedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Match = []string{"email"} })
		others := []rec{Person("b"), Person("c"), Person("d"), Person("e")}
		w.Holds("hq", append(others, Person("anna"))...)
		w.Applied("hq")
		w.Holds("hq", append(others, Person("anna", "id=new"))...)
		r := w.Applied("hq")
		first := w.Rows(r.Plan)
		w.Revert("hq", r.Run)
		r = w.Sync("hq")
		same(t, "the next plan", w.Rows(r.Plan), first...)
		same(t, "its notes", w.Notes(r.Plan))
		if r.Run.State == "held" {
			w.Approve("hq", r.Plan)
		}
		w.Settled("hq")
	})
}

// An account that went to another entry since the run that is undone.
func TestWhatARevertUndidBehindALinkIsProposedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Match = []string{"email"} })
		others := []rec{Person("b"), Person("c"), Person("d"), Person("e")}
		w.Holds("hq", append(others, Person("anna"))...)
		w.Applied("hq")
		w.Holds("hq", append(others, Person("anna", "title=Boss"))...)
		titled := w.Applied("hq")
		w.Holds("hq", append(others, Person("anna", "id=new", "title=Boss"))...)
		w.Applied("hq")
		w.Revert("hq", titled.Run)
		equal(t, "title", w.Account("anna").Text[account.Title], "")
		r := w.Sync("hq")
		same(t, "the next plan", w.Brief(r.Plan), "update account anna")
		if r.Run.State == "held" {
			w.Approve("hq", r.Plan)
		}
		w.Settled("hq")
	})
}

// Nobody comes back by a revert under a name that somebody else has by now; and a run of
// which nothing could be undone can still be reverted, when that is over.
func TestARevertBringsNobodyBackUnderANameThatIsTaken(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		others := []rec{Person("b"), Person("c"), Person("d"), Person("e")}
		w.Holds("hq", append(others, Person("anna"))...)
		w.Applied("hq")
		w.Holds("hq", others...)
		left := w.Applied("hq").Run
		w.Holds("hq", append(others, Person("eve", "mail=anna@example.org"))...)
		came := w.Applied("hq").Run
		r := w.Revert("hq", left)
		same(t, "rows", w.Rows(r.Plan))
		contains(t, w.Notes(r.Plan), "refused", `its email "anna@example.org" belongs to account eve by now`)
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
		kept, err := w.Store.RunTable.Get(t.Context(), left.ID)
		w.must(err)
		equal(t, "the run", kept.State, engine.RunApplied)
		w.Settled("hq")
		// It goes when the other is undone first.
		w.Revert("hq", came)
		r = w.Revert("hq", left)
		same(t, "rows", w.Brief(r.Plan), "enable account anna")
		equal(t, "anna", w.Account("anna").Status, account.Active)
		w.Examine()
	})
}

// Whom another connection took over is neither removed nor changed by undoing what the
// first one did: the other's directory would not be asked again.
func TestARevertLeavesAloneWhomAnotherConnectionHas(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("branch")
		w.Connect("hq", func(c *setting.Connection) {
			c.Match, c.Overlap, c.Policy.NoUpdateProviderMismatch = []string{"email"}, setting.OverlapOwn, false
		})
		w.Holds("branch", Person("anna"), Person("bob", "userAccountControl=514"), Person("carl"))
		made := w.Applied("branch").Run
		w.Holds("branch", Person("anna", "title=Queen"), Person("bob"), Person("carl"))
		changed := w.Applied("branch").Run
		w.Holds("hq", Person("anna", "id=other", "title=Queen"), Person("bob", "id=another"))
		taken := w.Applied("hq").Run
		r := w.Revert("branch", changed)
		same(t, "rows", w.Rows(r.Plan))
		contains(t, w.Notes(r.Plan), "refused", "bob", "the account is kept by hq by now")
		r = w.Revert("branch", made)
		same(t, "rows", w.Brief(r.Plan), "delete account carl")
		equal(t, "anna's title", w.Account("anna").Text[account.Title], "Queen")
		equal(t, "bob", w.Account("bob").Status, account.Active)
		w.Settled("hq")
		// Given back, they are the first one's again.
		w.Revert("hq", taken)
		w.Revert("branch", changed)
		equal(t, "bob", w.Account("bob").Status, account.Disabled)
	})
}

// Nor are they put back into the first one's groups; and who is given back to the accounts
// that no connection keeps leaves the groups they came into meanwhile.
func TestARevertLeavesNobodyInTheGroupsOfAnotherConnection(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("branch")
		w.Connect("hq", func(c *setting.Connection) {
			c.Match, c.Overlap, c.Policy.NoUpdateProviderMismatch = []string{"email"}, setting.OverlapOwn, false
		})
		w.local("org", "dora", "dora@example.org")
		w.Holds("branch", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob", "carl"))
		w.Applied("branch")
		w.Holds("branch", Person("anna"), Person("bob"), Person("carl"), Group("staff", "bob"))
		out := w.Applied("branch").Run
		w.Holds("hq", Person("anna", "id=other"), Group("crew", "anna"))
		w.Applied("hq")
		r := w.Revert("branch", out)
		same(t, "rows", w.Brief(r.Plan), "add membership staff: carl")
		contains(t, w.Notes(r.Plan), "refused", "staff", "others keep the accounts of 1 who were in it")

		w.Holds("hq", Person("anna", "id=other"), Person("dora"), Group("crew", "anna"))
		linked := w.Applied("hq").Run
		w.Holds("hq", Person("anna", "id=other"), Person("dora"), Group("crew", "anna", "dora"))
		w.Applied("hq")
		w.Revert("hq", linked)
		w.Holds("hq", Person("anna", "id=other"), Group("crew", "anna", "dora"))
		w.Approve("hq", w.Held("hq", "was reverted").Plan)
		equal(t, "crew", w.Members("crew"), "anna")
		w.Settled("hq")
	})
}

// Of a row of a revert that failed, or that a person took out of it, it is not said that the
// run was reverted.
func TestWhatARevertDidNotUndoIsNotSaidToBeReverted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"))
		w.Applied("hq")
		w.Holds("hq", Person("queen", "id=id-anna", "mail=queen@example.org"), Person("bob", "title=Boss"), Person("carl", "title=Clerk"))
		moved := w.Applied("hq").Run
		back, err := w.Engine.Revert(t.Context(), *w.Conn("hq"), moved.ID, true, options)
		w.must(err)
		w.local("org", "anna", "anna@elsewhere.org")
		r := w.Approve("hq", back.Plan, w.RowOf(back.Plan, "update account bob"))
		equal(t, "undone", r.Run.Summary.Update, 1)
		equal(t, "failed", r.Run.Summary.Failed, 1)
		for id, want := range map[directory.ExternalID]string{"id-anna": "", "id-bob": "taken out of plan", "id-carl": "was reverted"} {
			var left []string
			w.must(w.Store.PlanTable.Open(t.Context(), "hq", directory.KeyOf(directory.User, id), func(n plan.Note) error {
				left = append(left, n.Text)
				return nil
			}))
			if text := strings.Join(left, "; "); len(left) > 1 || (text == "") != (want == "") || !strings.Contains(text, want) {
				t.Errorf("left open of %s: %q, want %q", id, text, want)
			}
		}
		// Only what was undone is planned again.
		same(t, "rows", w.Brief(w.Plan("hq")), "update account carl")
	})
}

// Memberships that are as they were already are no rows of a revert, and not counted.
func TestARevertCountsTheMembershipsItChanges(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna"), Group("other", "anna", "bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob", "carl"), Group("other", "anna"))
		moved := w.Applied("hq").Run
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "carl"), Group("other", "anna", "bob"))
		w.Applied("hq")
		r := w.Revert("hq", moved)
		same(t, "rows", w.Brief(r.Plan), "remove membership staff: carl")
		equal(t, "removed", r.Run.Summary.Remove, 1)
		equal(t, "added", r.Run.Summary.Add, 0)
		equal(t, "staff", w.Members("staff"), "anna")
		equal(t, "other", w.Members("other"), "anna bob")
	})
}

// A name that is somebody else's by now is not given back to who was renamed; and who is
// refused keeps the names that another would have had back.
func TestARevertGivesNobodyANameThatSomebodyElseHas(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"))
		w.Applied("hq")
		anna, bob := Person("queen", "id=id-anna", "mail=queen@example.org"), Person("anna", "id=id-bob", "mail=bob@example.org")
		w.Holds("hq", anna, bob, Person("carl"))
		named := w.Applied("hq").Run
		w.Holds("hq", anna, bob, Person("carl"), Person("bob", "id=other", "mail=other@example.org"))
		w.Applied("hq")
		r := w.Revert("hq", named)
		same(t, "rows", w.Rows(r.Plan))
		contains(t, w.Notes(r.Plan), "refused", `its username "bob" belongs to account bob by now`)
		contains(t, w.Notes(r.Plan), "refused", `its username "anna" belongs to account anna by now`)
		// It goes when nobody has the name any more, and names change hands both ways.
		w.Holds("hq", anna, bob, Person("carl"))
		w.Applied("hq")
		r = w.Revert("hq", named)
		equal(t, "undone", r.Run.Summary.Update, 2)
		equal(t, "queen", w.Account("queen"), nil)
		w.Examine()
	})
}

// A group that went since is not given its old name back: nobody told that it is there.
func TestARevertLeavesAGroupAloneThatWentSince(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Group("staff", "anna"), Group("other", "anna"))
		made := w.Applied("hq")
		w.Holds("hq", Person("anna"), Group("staff", "anna", "cn=crew"), Group("other", "anna"))
		named := w.Applied("hq")
		w.Holds("hq", Person("anna"), Group("other", "anna"))
		w.Applied("hq")
		r := w.Revert("hq", named.Run)
		same(t, "rows", w.Rows(r.Plan))
		contains(t, w.Notes(r.Plan), "refused", "the group was deleted since")
		w.Replay()
		w.Revert("hq", made.Run)
		w.Replay()
		w.Examine()
	})
}

// Who was taken over by mistake gets everything back but the password, which nobody has any
// more, and a revert of that is no change of names that a limit would hold.
func TestARevertOfATakeoverSaysWhosePasswordStays(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) {
			c.Match, c.Policy.NoUpdateProviderMismatch = []string{"email"}, false
		})
		w.local("org", "anna.old", "anna@example.org")
		w.local("org", "bob.old", "bob@example.org")
		w.Holds("hq", Person("anna", "password=secret"), Person("bob"))
		taken := w.Applied("hq").Run
		back := w.Revert("hq", taken)
		equal(t, "connection", w.Account("anna.old").Connection, account.Local)
		equal(t, "notes", strings.Join(w.Notes(back.Plan), "\n"), "warning uid=anna,ou=people: "+
			"its password stays the one that the run gave it, the one before is not kept; `rollcall accounts password-link` lets its owner choose another")
		again := w.Revert("hq", back.Run)
		equal(t, "the revert of the revert", string(again.Run.State)+strings.Join(again.Plan.HeldBecause, " "), string(engine.RunApplied))
		equal(t, "connection after it", w.Account("anna").Connection, "hq")
		w.Examine()
	})
}
