package storetest

import (
	"slices"
	"testing"
)

// A server that deletes somebody takes them out of their groups, and marks no group as
// changed for it. Who comes back under the same external ID (hired again, with the number
// they had) is in the groups that have them now.
func TestWhoComesBackIsInTheGroupsThatHaveThemNow(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Dirs.Of("hq").Regrouped = true
		staff, admins, outer := Group("staff", "anna", "bob"), Group("admins", "anna", "bob"), Group("outer", "@admins")
		w.Changes("hq", nil, Person("anna"), Person("bob"), staff, admins, outer)
		w.Applied("hq")
		w.Changes("hq", []rec{Gone("anna")}, Person("bob"), Group("staff", "bob"), Group("admins", "bob"), outer)
		w.Applied("hq")
		equal(t, "admins", w.Members("admins"), "anna bob") // kept for her return

		now := []rec{Person("anna"), Person("bob"), staff, Group("admins", "bob"), outer}
		w.Changes("hq", []rec{Person("anna"), staff}, now...) // with the group she is in, which reads as it did before
		r := w.Applied("hq")
		same(t, "back", w.Brief(r.Plan), "enable account anna", "remove membership admins: anna", "remove membership outer: anna")
		equal(t, "staff", w.Members("staff"), "anna bob")
		if got := w.origin("hq", "anna"); !slices.Contains(got, "in staff: direct") {
			t.Errorf("%s", got)
		}
		w.Settled("hq")
		// Somebody else comes into a group, and all groups are gone over.
		full := Group("staff", "anna", "bob", "carl")
		w.Changes("hq", []rec{Person("carl"), full}, Person("anna"), Person("bob"), Person("carl"), full, Group("admins", "bob"), outer)
		same(t, "another comes", w.Brief(w.Applied("hq").Plan), "add membership staff: carl", "create account carl")
		w.Settled("hq")
		w.Changes("hq", []rec{staff, Gone("carl")}, Person("anna"), Person("bob"), staff, Group("admins", "bob"), outer)
		w.Applied("hq")
		// She is put into it again, which makes it what it was.
		w.Changes("hq", []rec{admins}, Person("anna"), Person("bob"), staff, admins, outer)
		same(t, "a member again", w.Brief(w.Applied("hq").Plan), "add membership admins: anna", "add membership outer: anna")
		w.Settled("hq")

		w.Changes("hq", []rec{Gone("anna")}, Person("bob"), staff, admins, outer)
		w.Applied("hq")
		w.Changes("hq", []rec{Person("anna")}, Person("anna"), Person("bob"), staff, admins, outer)
		same(t, "back, and in no group", w.Brief(w.Applied("hq").Plan), "enable account anna", "remove membership admins: anna", "remove membership outer: anna", "remove membership staff: anna")
		// The full reading says what holds, also where the group reads as before.
		w.Dirs.Of("hq").Next = ""
		same(t, "read whole", w.Brief(w.full("hq").Plan), "add membership admins: anna", "add membership outer: anna", "add membership staff: anna")
		w.Settled("hq")
		w.Examine()
		w.Replay()
	})
}
