package storetest

import (
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// full is Applied for a run that reads everything.
func (w *World) full(alias string) *engine.Result {
	w.T.Helper()
	o := options
	o.Full = true
	r, err := w.Engine.Sync(w.T.Context(), *w.Conn(alias), o)
	w.must(err)
	if r.Run.State != engine.RunApplied {
		w.T.Fatalf("the run is %s: %q", r.Run.State, r.Plan.HeldBecause)
	}
	return r
}

// manager gives the username of somebody's manager.
func (w *World) manager(of string) string {
	w.T.Helper()
	id := w.Account(of).Manager
	for _, a := range w.Accounts() {
		if a.ID == id {
			return a.Text[account.Username]
		}
	}
	return ""
}

// A server that does not mend references leaves a name in groups and managers that
// nobody has any more. A reading of changes cannot tell; a full reading does, although no
// entry that says the name has changed.
func TestANameNobodyHasAnyMoreLeadsToNobodyAfterAFullReading(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		bob, staff, all := Person("bob", "manager=anna"), Group("staff", "anna", "bob"), Group("all", "@staff")
		w.Changes("hq", nil, Person("anna"), bob, staff, all)
		w.Applied("hq")
		anna := Person("anna", "ref=uid=anna2,ou=people")
		w.Changes("hq", []rec{anna}, anna, bob, staff, all)
		same(t, "rows", w.Brief(w.Applied("hq").Plan))
		equal(t, "staff", w.Members("staff"), "anna bob")
		r := w.full("hq")
		same(t, "rows", w.Brief(r.Plan), "remove membership all: anna", "remove membership staff: anna", "update account bob")
		equal(t, "staff", w.Members("staff"), "bob")
		equal(t, "bob's manager", w.manager("bob"), "")
		equal(t, "notes", r.Plan.Summary.Warnings > 0, true)
		w.Settled("hq")
		equal(t, "verdict of the next full reading", w.full("hq").Plan.Verdict, plan.Nothing)
		// Somebody else gets the name: it is theirs at once.
		dora := Person("dora", "ref=uid=anna,ou=people")
		w.Changes("hq", []rec{dora}, anna, bob, staff, all, dora)
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "bob dora")
		equal(t, "bob's manager", w.manager("bob"), "dora")
		w.Settled("hq")
		w.Examine()
	})
}

// Somebody is renamed and another one gets the name: who names it means the other.
func TestANameThatChangedHandsLeadsToTheOtherAfterAFullReading(t *testing.T) {
	t.Parallel()
	for _, changesFirst := range []bool{false, true} {
		both(t, func(t *testing.T, w *World) {
			w.Connect("hq")
			bob, staff, all := Person("bob", "manager=anna"), Group("staff", "anna", "bob"), Group("all", "@staff")
			was, list := Person("anna", "ref=uid=anna2,ou=people"), []rec{}
			list = append(list, was, Person("dora", "ref=uid=anna,ou=people"), bob, staff, all)
			if changesFirst {
				w.Changes("hq", nil, Person("anna"), bob, staff, all)
				w.Applied("hq")
				w.Changes("hq", list[:2], list...)
				w.Applied("hq")
				equal(t, "bob's manager", w.manager("bob"), "anna")
			} else {
				w.Holds("hq", Person("anna"), bob, staff, all)
				w.Applied("hq")
				w.Holds("hq", list...)
			}
			w.full("hq")
			equal(t, "staff", w.Members("staff"), "bob dora")
			equal(t, "all", w.Members("all"), "bob dora")
			equal(t, "bob's manager", w.manager("bob"), "dora")
			w.Settled("hq")
			equal(t, "verdict of the next full reading", w.full("hq").Plan.Verdict, plan.Nothing)
			w.Examine()
		})
	}
}

// What a full reading that was not complete brought of names counts as well: the next one
// finds nothing new about them.
func TestANameThatChangedInAHalfReadingIsFollowed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		bob := Person("bob", "manager=anna")
		list := []directory.Record{Person("anna", "ref=uid=anna2,ou=people"), Person("dora", "ref=uid=anna,ou=people"), bob}
		w.Holds("hq", Person("anna"), bob)
		w.Applied("hq")
		w.Dirs.Of("hq").Missing = "cut short"
		w.Holds("hq", list...)
		w.full("hq")
		w.Dirs.Of("hq").Missing = ""
		w.full("hq")
		equal(t, "bob's manager", w.manager("bob"), "dora")
		w.Settled("hq")
	})
}

// What a reading of changes reports in the same words as before means somebody else, when
// names change hands in that very reading.
func TestTheSameWordsMeanSomebodyElseOnceNamesChangedHands(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"bac", "abc", "acb", "cab", "cba", "bca"} {
		t.Run(order, func(t *testing.T) {
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				bob := Person("bob", "manager=anna")
				staff := Group("staff", "anna")
				w.Changes("hq", nil, Person("anna"), bob, Person("cy"), staff)
				w.Applied("hq")
				anna, cy := Person("anna", "ref=uid=anna2,ou=people"), Person("cy", "ref=uid=anna,ou=people")
				var list []rec
				for _, c := range order {
					switch c {
					case 'a':
						list = append(list, anna)
					case 'b':
						list = append(list, bob, staff)
					case 'c':
						list = append(list, cy)
					}
				}
				w.Changes("hq", list, anna, bob, cy, staff)
				w.Applied("hq")
				equal(t, "bob's manager", w.Account("bob").Manager, w.Account("cy").ID)
				equal(t, "staff", w.Members("staff"), "cy")
				w.Settled("hq")
			})
		})
	}
}

// Between two runs somebody is deleted, made anew under the same name and put back into
// the same group.
func TestWhoIsMadeAnewUnderAnOldNameIsInTheGroupsThatWereToldOfAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		staff := Group("staff", "anna", "carl")
		w.Changes("hq", nil, Person("anna"), Person("bob", "manager=anna"), Person("carl"), Person("d"), staff)
		w.Applied("hq")
		anew := Person("other", "ref=uid=anna,ou=people")
		w.Changes("hq", []rec{Gone("anna"), anew, staff, Person("bob", "manager=anna")}, anew, Person("bob", "manager=anna"), Person("carl"), Person("d"), staff)
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "anna carl other") // anna's are kept for her return
		equal(t, "bob's manager", w.Account("bob").Manager, w.Account("other").ID)
		w.Changes("hq", []rec{}, anew, Person("bob", "manager=anna"), Person("carl"), Person("d"), staff)
		w.Applied("hq")
		w.Applied("hq")
		equal(t, "staff later", w.Members("staff"), "anna carl other")
		o := options
		o.Full = true
		p, err := w.Engine.Plan(t.Context(), *w.Conn("hq"), o)
		w.must(err)
		same(t, "rows of a full reading", w.Rows(p.Plan))
	})
}

// Who was made anew under an old name is in none of its groups, until everything is read.
func TestAFullReadingGivesAnOldNameToItsNewBearer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		staff := Group("staff", "anna", "carl")
		others := []rec{Person("carl"), Person("d"), Person("e"), Person("f")}
		w.Changes("hq", nil, append(others, Person("anna"), staff)...)
		w.Applied("hq")
		w.Changes("hq", []rec{Gone("anna")}, append(others, staff)...)
		w.Applied("hq")
		anew := Person("other", "ref=uid=anna,ou=people")
		w.Changes("hq", []rec{anew}, append(others, anew, staff)...)
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "anna carl") // as documented
		same(t, "rows of a full run", w.Rows(w.full("hq").Plan), "add membership staff: other")
		w.Settled("hq")
		w.must(w.Engine.Reset(t.Context(), *w.Conn("hq"), "tester"))
		same(t, "rows after a reset", w.Rows(w.Plan("hq")))
	})
}

// What earlier plans noted of others is noted again when a full reading has everybody
// planned anew, also where a plan that was made before looks the same.
func TestWhatIsNotedStaysWhenNamesHaveEverybodyPlannedAnew(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		bob, odd, noted := Person("bob"), Person("odd", "mail="), "problem uid=odd,ou=people: email is empty (attribute mail)"
		w.Changes("hq", nil, Person("anna"), bob, odd)
		w.Applied("hq")
		anna := Person("anna", "ref=uid=anna2,ou=people")
		w.Changes("hq", []rec{anna}, anna, bob, odd)
		w.Applied("hq")
		w.Plan("hq")
		same(t, "notes", w.Notes(w.full("hq").Plan), noted)
		same(t, "notes of the next run", w.Notes(w.Applied("hq").Plan), noted)
	})
}
