package storetest

import (
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

// In Active Directory and OpenLDAP a group's stamp stays as it is when the
// server itself changes a member's name in it or takes the member out.
func TestARenameInAReadingOfChangesCostsNoMembershipAndNoManager(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Changes("hq", nil, Person("anna"), Person("bob", "manager=anna"), Person("carl"), Group("staff", "anna", "bob"), Group("all", "@staff"))
		w.Applied("hq")
		renamed := Person("anna", "ref=uid=anna2,ou=people")
		w.Changes("hq", []rec{renamed}, renamed, Person("bob", "manager=uid=anna2,ou=people"), Person("carl"),
			Group("staff", "uid=anna2,ou=people", "bob"), Group("all", "@staff"))
		r := w.Applied("hq")
		same(t, "rows", w.Rows(r.Plan))
		w.Settled("hq")
		// Again, and somebody else gets the name that was hers first.
		again, other := Person("anna", "ref=uid=anna3,ou=people"), Person("dora", "ref=uid=anna,ou=people")
		w.Changes("hq", []rec{again, other}, again, other, Person("bob", "manager=uid=anna3,ou=people"), Person("carl"),
			Group("staff", "uid=anna3,ou=people", "bob"), Group("all", "@staff"))
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "create account dora")
		equal(t, "staff", w.Members("staff"), "anna bob")
		equal(t, "bob's manager", w.Account("bob").Manager, w.Account("anna").ID)
		w.Settled("hq")
		// Now the new one is put into the group; the group is read.
		with := Group("staff", "uid=anna3,ou=people", "bob", "uid=anna,ou=people")
		w.Changes("hq", []rec{with}, again, other, Person("bob", "manager=uid=anna3,ou=people"), Person("carl"), with, Group("all", "@staff"))
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "add membership all: dora", "add membership staff: dora")
		w.Settled("hq")
		w.Examine()
	})
}

func TestAnEntryMadeAnewUnderTheNameOfOneThatWentIsNotInItsGroups(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Changes("hq", nil, Person("anna"), Person("bob", "manager=anna"), Group("staff", "anna", "bob"))
		w.Applied("hq")
		other := Person("other", "ref=uid=anna,ou=people")
		w.Changes("hq", []rec{Gone("anna"), other}, other, Person("bob"), Group("staff", "bob"))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "create account other", "disable account anna", "update account bob")
		equal(t, "bob's manager", w.Account("bob").Manager.IsZero(), true)
		equal(t, "staff", w.Members("staff"), "anna bob") // anna's are kept for her return
		w.Settled("hq")
		// The same members as before, as text; but they mean the new one now.
		same := Group("staff", "anna", "bob")
		w.Changes("hq", []rec{same}, other, Person("bob"), same)
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "anna bob other")
		w.Settled("hq")
	})
}

func TestASweepFindsWhoLeftAndNobodyElse(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Changes("hq", nil, Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob"))
		w.Applied("hq")
		dir := w.Dirs.Of("hq")
		group := Group("staff")
		group.Present = true
		w.Changes("hq", []rec{There("anna"), group}, Person("anna"), Person("carl"), Group("staff", "anna"))
		r := w.Applied("hq")
		equal(t, "verdict without a sweep", r.Plan.Verdict, plan.Nothing)
		dir.Swept, dir.Missing = true, "cut short"
		r = w.Applied("hq")
		equal(t, "verdict of half a sweep", r.Plan.Verdict, plan.Nothing)
		dir.Missing = ""
		w.Changes("hq", []rec{There("anna"), There("carl"), group}, Person("anna"), Person("carl"), Group("staff", "anna"))
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "disable account bob")
		equal(t, "people", r.Run.Reading.Users, 2)
		equal(t, "swept", r.Run.Reading.Swept, true)
		w.Settled("hq")
	})
}

func TestAnEmptySweepIsHeld(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Changes("hq", nil, Person("anna"), Person("bob"))
		w.Applied("hq")
		w.Dirs.Of("hq").Swept = true
		w.Changes("hq", []rec{})
		w.Held("hq", "nobody")
		equal(t, "anna", w.Account("anna").Status, account.Active)
	})
}

// A reading of changes that broke off is repeated from where it began, so what it
// told before arrives again.
func TestChangesMayArriveTwiceAndInAnyOrderOfReadings(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Changes("hq", nil, Person("anna"), Person("bob"))
		w.Applied("hq")
		dir := w.Dirs.Of("hq")
		w.Changes("hq", []rec{Gone("anna"), Person("bob", "title=Boss"), Person("cy")}, Person("bob", "title=Boss"), Person("cy"))
		dir.Missing = "cut short"
		r := w.Applied("hq")
		equal(t, "anna after half a reading", w.Account("anna").Status, account.Active)
		equal(t, "refused", r.Run.Summary.Refused, 1)
		dir.Missing = ""
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "disable account anna")
		w.Settled("hq")
	})
}

func TestAPrimaryGroupHasItsPeopleWithoutNamingThem(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Changes("hq", nil, Person("anna", "primary=domain"), Person("bob", "primary=domain"), Person("carl", "primary=guests"), Group("domain", "carl"), Group("guests"), Group("all", "@domain"))
		w.Applied("hq")
		equal(t, "domain", w.Members("domain"), "anna bob carl")
		equal(t, "guests", w.Members("guests"), "carl")
		equal(t, "all", w.Members("all"), "anna bob carl")
		w.Settled("hq")
		// Only the person's entry changes; the group has another name since.
		group, moved, fresh := Group("domain", "carl", "ref=cn=domain,ou=old"), Person("anna", "primary=guests"), Person("dora")
		fresh.Primary = "cn=domain,ou=old"
		bob := Person("bob")
		bob.Primary = "cn=domain,ou=old"
		w.Changes("hq", []rec{group, moved, fresh}, moved, bob, Person("carl", "primary=guests"), fresh, group, Group("guests"), Group("all", "cn=domain,ou=old"))
		w.Applied("hq")
		equal(t, "domain", w.Members("domain"), "bob carl dora")
		equal(t, "guests", w.Members("guests"), "anna carl")
		equal(t, "all", w.Members("all"), "bob carl dora")
		w.Settled("hq")
	})
}

func TestWhoIsInASelectedGroupAsTheirPrimaryOneIsIn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Backend["groups.members_only"] = true })
		w.Holds("hq", Person("anna", "primary=staff"), Person("bob", "primary=others"), Group("staff"))
		w.Applied("hq")
		equal(t, "accounts", len(w.Accounts()), 1)
		equal(t, "anna", w.Account("anna").Status, account.Active)
		w.Settled("hq")
	})
}

func TestANestedGroupThatWasRenamedAndThenWentTakesItsMembersAlong(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Limits.GroupRemovals, c.Limits.MembershipRemovals = 1, 1 })
		people := []rec{Person("anna"), Person("bob")}
		w.Changes("hq", nil, append(people, Group("inner", "anna"), Group("outer", "@inner", "bob"))...)
		w.Applied("hq")
		equal(t, "outer", w.Members("outer"), "anna bob")
		renamed := Group("inner", "anna", "ref=cn=within,ou=groups")
		w.Changes("hq", []rec{renamed}, append(people, renamed, Group("outer", "cn=within,ou=groups", "bob"))...)
		w.Applied("hq")
		equal(t, "outer", w.Members("outer"), "anna bob")
		gone := rec{Kind: directory.Group, ID: "id-inner", Gone: true}
		w.Changes("hq", []rec{gone}, append(people, Group("outer", "bob"))...)
		w.Applied("hq")
		equal(t, "outer", w.Members("outer"), "bob")
		w.Settled("hq")
	})
}
