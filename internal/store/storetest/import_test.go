package storetest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// company is a small directory with one of everything: a manager who comes
// later in the order, one who does not exist, a ring of two, somebody who is
// their own manager, nested groups and a member without an entry.
func company() []directory.Record {
	return []directory.Record{
		Person("anna", "manager=zoe", "mobile=0470 12 34 56", "title=Engineer", "employeeNumber=7"),
		Person("bob", "manager=nobody"),
		Person("carl", "manager=dora"),
		Person("dora", "manager=carl"),
		Person("emil", "manager=emil"),
		Person("zoe", "department=Board"),
		Group("all", "@staff", "zoe"),
		Group("staff", "anna", "bob", "uid=ghost,ou=people"),
	}
}

func TestTheFirstImportCreatesEverybodyWithGroupsMembershipsAndManagers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", company()...)
		r := w.Applied("hq")
		equal(t, "people", w.People(), strings.Join([]string{
			"anna active employee anna@example.org manager=zoe groups=all,staff",
			"bob active employee bob@example.org manager= groups=all,staff",
			"carl active employee carl@example.org manager=dora groups=",
			"dora active employee dora@example.org manager=carl groups=",
			"emil active employee emil@example.org manager= groups=",
			"zoe active employee zoe@example.org manager= groups=all",
		}, "\n"))
		anna := w.Account("anna")
		equal(t, "mobile", anna.Text[account.MobilePhone], "+32470123456")
		equal(t, "attributes", anna.Attributes, `{"badge":"7"}`)
		equal(t, "connection", anna.Connection, "hq")
		equal(t, "external ID", anna.ExternalID, "id-anna")
		notes := w.Notes(r.Plan)
		contains(t, notes, "unresolved", "uid=bob", `its manager "uid=nobody,ou=people" has no account here`)
		contains(t, notes, "unresolved", "uid=emil", "names itself")
		contains(t, notes, "unresolved", "manager cycle", "carl", "dora")
		equal(t, "creates", r.Run.Summary.Create, 6)
		equal(t, "groups", r.Run.Summary.Groups.Create, 2)
		equal(t, "memberships", r.Run.Summary.Add, 5)
		equal(t, "seats", r.Run.Summary.SeatsNeeded, 6)
		equal(t, "entries read", r.Run.Reading.Entries, 8)
	})
}

func TestASecondRunIsEmptyAndTellsOfNoChange(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", company()...)
		w.Applied("hq")
		_, last := w.Events(0)
		before := w.State()
		r := w.Applied("hq")
		equal(t, "verdict", r.Plan.Verdict, plan.Nothing)
		equal(t, "kept", r.Run.Summary.Keep, 6)
		equal(t, "rows changed in the mirror", r.Run.Reading.Changed, 0)
		told, _ := w.Events(last)
		same(t, "events", told, "run.applied")
		if after := w.State(); after != before {
			t.Errorf("the second run changed something:\n%s", Difference(before, after))
		}
		w.Settled("hq")
	})
}

func TestTheOrderOfRecordsAndValuesIsOfNoMatter(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		records := append(company(), People("p", 30)...)
		records = append(records, Person("twin", "mail=p001@example.org"), Group("crowd", "p001", "p002", "p003", "@staff"))
		w.Holds("hq", records...)
		first := w.Plan("hq")
		notes := w.Notes(first)
		random := rand.New(rand.NewPCG(1, 2))
		for range 3 {
			w.must(w.Engine.Reset(t.Context(), *w.Conn("hq"), "tester"))
			for i := range records {
				records[i].Members = slices.Clone(records[i].Members)
				random.Shuffle(len(records[i].Members), func(a, b int) {
					records[i].Members[a], records[i].Members[b] = records[i].Members[b], records[i].Members[a]
				})
			}
			random.Shuffle(len(records), func(a, b int) { records[a], records[b] = records[b], records[a] })
			again := w.Plan("hq")
			same(t, "rows", w.Rows(again), w.Rows(first)...)
			same(t, "notes", w.Notes(again), notes...)
		}
	})
}

// A hash covers the basis too, so the two plans are made in worlds of their own.
func TestTheSameDirectoryGivesTheSameHashInWhateverOrder(t *testing.T) {
	t.Parallel()
	hashes := map[string]bool{}
	clock := Open(t, dsns["SQLite"](t)).Clock
	for round := range 2 {
		for _, dsn := range dsns {
			w := Open(t, dsn(t))
			w.Clock = clock
			w.Connect("hq")
			records := append(company(), People("p", 100)...)
			random := rand.New(rand.NewPCG(uint64(round), 3))
			random.Shuffle(len(records), func(a, b int) { records[a], records[b] = records[b], records[a] })
			w.Holds("hq", records...)
			hashes[w.Plan("hq").Hash] = true
		}
	}
	equal(t, "different hashes", len(hashes), 1)
}

func TestAManagerWhoGetsAnAccountLaterIsLinkedThen(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna", "manager=boss"))
		w.Applied("hq")
		equal(t, "manager", w.Account("anna").Manager.IsZero(), true)
		w.Holds("hq", Person("anna", "manager=boss"), Person("boss"))
		w.Applied("hq")
		equal(t, "manager", w.Account("anna").Manager, w.Account("boss").ID)
		w.Settled("hq")
	})
}

func TestAManagerWhoLeavesAndComesBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		with, without := []directory.Record{Person("anna", "manager=boss"), Person("boss"), Person("carl")}, []directory.Record{Person("anna", "manager=boss"), Person("carl")}
		w.Holds("hq", with...)
		w.Applied("hq")
		w.Holds("hq", without...)
		w.Applied("hq")
		w.Settled("hq")
		// Somebody else moves into the place the old boss had in the directory.
		w.Holds("hq", append(without, Person("heir", "ref=uid=boss,ou=people"))...)
		w.Applied("hq")
		w.Settled("hq")
		equal(t, "manager", w.Account("anna").Manager, w.Account("heir").ID)
		w.Holds("hq", with...)
		w.Applied("hq")
		w.Settled("hq")
		equal(t, "manager", w.Account("anna").Manager, w.Account("boss").ID)
	})
}

func TestEntriesThatCannotBeUsedAreProblemsOfTheirOwn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("nomail", "mail="), Person("noid", "id=", "problem=has no entryUUID"),
			Person("bad", "mail=not an address"), Person("phone", "mobile=nonsense"))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "create account anna", "create account phone")
		notes := w.Notes(r.Plan)
		contains(t, notes, "problem", "uid=nomail", "email is empty")
		contains(t, notes, "problem", "uid=noid", "has no entryUUID")
		contains(t, notes, "problem", "uid=bad", "email is not an e-mail address")
		contains(t, notes, "warning", "uid=phone", "mobile_phone left out")
		equal(t, "problems", r.Run.Summary.Problems, 3)

		r = w.Applied("hq")
		equal(t, "problems are told again while they last", r.Run.Summary.Problems, 3)
		equal(t, "warnings too", r.Run.Summary.Warnings, 1)

		// An entry that loses what it needs keeps its account as it was.
		w.Holds("hq", Person("anna", "mail=", "title=Queen"), Person("nomail"))
		r = w.Applied("hq")
		equal(t, "anna's title", w.Account("anna").Text[account.Title], "")
		equal(t, "anna", w.Account("anna").Status, account.Active)
		equal(t, "phone is a leaver", w.Account("phone").Status, account.Disabled)
		equal(t, "the mended one", w.Account("nomail").Status, account.Active)
		equal(t, "problems", r.Run.Summary.Problems, 1)
		w.Settled("hq")
	})
}

func TestTwoEntriesUnderOneExternalIDDoNotTakeEachOthersAccount(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("impostor", "id=id-anna"))
		r := w.Applied("hq")
		contains(t, w.Notes(r.Plan), "problem", "uid=impostor", "has the same external ID (id-anna) as another entry")
		equal(t, "accounts", len(w.Accounts()), 1)
		w.Settled("hq")
	})
}

func TestNamesNoDatabaseTakesDoNotStopARun(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		strange := Person("bob")
		strange.Name, strange.Ref = "uid=bo\x00b\xff,ou=people", "uid=bo\x00b\xff,ou=people"
		key := Person("carl", "id=id\x00\xfe")
		group := Group("odd", "anna", "uid=bo\x00b\xff,ou=people")
		group.Attributes[0].Values[0] = "odd\x00\xff group"
		values := Person("dora", "title=a\x00b", "department=\xff\xfe", "employeeNumber=\x00", "manager=uid=\x00")
		long := Person("emil", "title="+strings.Repeat("x", 200_000), "mail="+strings.Repeat("m", 4000)+"@example.org")
		name := Group("named")
		name.Attributes[0].Values[0] = strings.Repeat("n", 200_000)
		w.Holds("hq", Person("anna"), strange, key, group, values, long, name)
		w.Applied("hq")
		if w.Account("anna") == nil || w.Account("bob") == nil || w.Account("dora") == nil {
			t.Errorf("somebody is missing:\n%s", w.People())
		}
		w.Settled("hq")
	})
}
