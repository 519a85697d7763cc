package storetest

import (
	"errors"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// reads runs a pass that reads one person.
func (w *World) reads(alias, who string) *engine.Result {
	w.T.Helper()
	r, err := w.Engine.Sync(w.T.Context(), *w.Conn(alias), engine.Options{Actor: "tester", Trigger: engine.ByPerson, Who: who})
	w.must(err)
	return r
}

// settledOne is a directory with a bookmark, of which everything is applied.
func settledOne(w *World, records ...directory.Record) {
	w.Connect("hq")
	w.Holds("hq", records...)
	w.Dirs.Of("hq").Next = "bookmark"
	w.Applied("hq")
}

func TestOnePersonIsReadAndNobodyElseIsTouched(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob"))
		before, err := w.Store.LeaseTable.State(t.Context(), "hq")
		w.must(err)
		// Bob left, carl has another title, and dora is new; one asks for her alone.
		w.Holds("hq", Person("anna"), Person("carl", "title=Boss"), Person("dora"), Group("staff", "anna", "dora"))
		r := w.reads("hq", "dora@example.org")
		same(t, "the plan", w.Rows(r.Plan)[:1], w.Rows(r.Plan)...)
		equal(t, "it creates", r.Run.Summary.Create, 1)
		equal(t, "the run", r.Run.State, engine.RunApplied)
		equal(t, "it was read", r.Run.Reading.Method, engine.ByPerson)
		equal(t, "dora", w.Account("dora").Status, account.Active)
		equal(t, "bob", w.Account("bob").Status, account.Active)
		equal(t, "carl", w.Account("carl").Text[account.Title], "")
		equal(t, "the group", w.Members("staff"), "anna bob")
		after, err := w.Store.LeaseTable.State(t.Context(), "hq")
		w.must(err)
		equal(t, "the bookmark", string(after.Cursor), string(before.Cursor))
		equal(t, "the last reading is the one before", after.Reading.Method+after.LastFullAt.String(), before.Reading.Method+before.LastFullAt.String())
		equal(t, "people", after.Users, before.Users+1)
		r = w.reads("hq", "id-dora")
		equal(t, "the second time there is nothing to do", r.Plan.Verdict, plan.Nothing)
		// Renamed and moved: known by her external ID.
		w.Holds("hq", Person("anna"), Person("carl", "title=Boss"), Person("dina", "id=id-dora"), Group("staff", "anna", "dina"))
		id := w.Account("dora").ID
		w.reads("hq", "dina")
		equal(t, "dina is dora", w.Account("dina").ID, id)
		w.Applied("hq")
		equal(t, "the next run starts from the bookmark", string(w.Dirs.Of("hq").Asked), "bookmark")
		equal(t, "bob, when everybody is read", w.Account("bob").Status, account.Disabled)
		equal(t, "the group, when everybody is read", strings.Contains(w.Members("staff"), "dina"), true)
		w.Settled("hq")
	})
}

func TestWhoIsNotFoundIsNotRemoved(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"), Person("bob"))
		w.Holds("hq", Person("bob"))
		r := w.reads("hq", "anna")
		equal(t, "the plan", r.Plan.Verdict, plan.Nothing)
		equal(t, "anna", w.Account("anna").Status, account.Active)
		contains(t, r.Run.Reading.Notes, `called "anna"; nothing was removed`)
	})
}

func TestAReadingOfOnePersonRefusesWhatItCannotJudge(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob", "mail=anna@example.org"))
		pick := func(who string) error { return w.Engine.Pick(t.Context(), *w.Conn("hq"), who) }
		fails(t, pick("anna"), fault.Conflict, "no run of it was applied yet")
		w.Sync("hq")
		fails(t, pick("anna@example.org"), fault.Conflict, "leads to 2 people: uid=anna,ou=people; uid=bob,ou=people")
		fails(t, pick("  "), fault.Invalid, "nobody is named")
		w.must(pick("anna"))
		w.must(pick("nobody"))
		_, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), engine.Options{Actor: "tester", Trigger: engine.ByPerson, Who: "anna@example.org"})
		fails(t, err, fault.Conflict, "leads to 2 people")
		w.Conn("hq").Mapping["title"] = setting.Rule{Value: "Boss"}
		fails(t, pick("anna"), fault.Conflict, "its rules changed")
		_, err = w.Engine.Sync(t.Context(), *w.Conn("hq"), engine.Options{Actor: "tester", Trigger: engine.ByPerson, Who: "anna"})
		fails(t, err, fault.Conflict, "its rules changed")
		equal(t, "anna", w.Account("anna"), nil)
		delete(w.Conn("hq").Mapping, "title")
		away := errors.New("the line is dead")
		w.Dirs.Of("hq").Away = away
		if err := pick("anna"); !errors.Is(err, away) {
			t.Errorf("a directory that is away: %v", err)
		}
	})
}

func TestSafeguardsAndVerdictHoldForOnePersonToo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		settledOne(w, Person("anna"), Person("bob"))
		w.Dirs.Of("hq").Missing = "a limit"
		w.Applied("hq")
		w.Dirs.Of("hq").Missing = ""
		w.Holds("hq", Person("anna", "mail=other@example.org"), Person("bob"))
		w.Conn("hq").Limits.IdentityChangesMin, w.Conn("hq").Limits.IdentityChanges = 0, 0
		r := w.reads("hq", "anna")
		equal(t, "the run", r.Run.State, engine.RunHeld)
		equal(t, "anna", w.Account("anna").Text[account.Email], "anna@example.org")
		s, err := w.Store.LeaseTable.State(t.Context(), "hq")
		w.must(err)
		equal(t, "the last reading was not complete, and still is not", s.Complete, false)
		w.Approve("hq", r.Plan)
		equal(t, "anna", w.Account("anna").Text[account.Email], "other@example.org")
	})
}

// Accounts still form the ring when the entry of one cannot be used, or is out of scope.
func TestACycleOfManagersIsToldOfWhoeverFallsOutOfIt(t *testing.T) {
	t.Parallel()
	for _, out := range []string{"mail=", "department=Out"} {
		for _, first := range []string{"anna", "bob"} {
			t.Run(out+first, func(t *testing.T) {
				both(t, func(t *testing.T, w *World) {
					second := map[string]string{"anna": "bob", "bob": "anna"}[first]
					w.Connect("hq", func(c *setting.Connection) { c.Scope = []string{`department != "Out"`} })
					others := []rec{Person(second, "manager="+first), Person("c"), Person("d"), Person("e")}
					w.Holds("hq", append(others, Person(first, "manager="+second))...)
					w.Applied("hq")
					w.Holds("hq", append(others, Person(first, "manager=nobody", out))...)
					w.Applied("hq")
					inc := w.Notes(w.Plan("hq"))
					w.must(w.Engine.Reset(t.Context(), *w.Conn("hq"), "tester"))
					all := w.Notes(w.Plan("hq"))
					same(t, "notes", inc, all...)
				})
			})
		}
	}
}
