package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/setting"
)

func TestARenamedGroupIsTheSameGroup(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Group("staff", "anna"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Group("staff", "anna", "cn=crew", "ref=cn=crew,ou=groups"))
		r := w.Applied("hq")
		same(t, "rows", w.Rows(r.Plan), "update group staff -> crew")
		equal(t, "crew", w.Members("crew"), "anna")
		w.Settled("hq")
	})
}

func TestADeletedGroupComesBackWithItsMembers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Conn("hq").Limits.GroupRemovals = 1
		r := w.Held("hq", "no group")
		w.Approve("hq", r.Plan)
		equal(t, "staff", w.Members("staff"), "-")
		equal(t, "anna's groups", len(w.Account("anna").Groups), 0)
		w.Settled("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "bob", "carl"))
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "add membership staff: carl", "create account carl", "remove membership staff: anna", "restore group staff")
		equal(t, "staff", w.Members("staff"), "bob carl")
		w.Settled("hq")
	})
}

func TestNestedGroupsAreUnfoldedAndRingsReported(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		people := []rec{Person("anna"), Person("bob"), Person("carl")}
		w.Holds("hq", append(people, Group("all", "@left", "@right"), Group("left", "anna", "@right"), Group("right", "bob"), Group("ring1", "@ring2", "carl"), Group("ring2", "@ring1"), Group("self", "@self", "anna"))...)
		r := w.Applied("hq")
		equal(t, "all", w.Members("all"), "anna bob")
		equal(t, "left", w.Members("left"), "anna bob")
		equal(t, "ring1", w.Members("ring1"), "carl")
		equal(t, "ring2", w.Members("ring2"), "carl")
		equal(t, "self", w.Members("self"), "anna")
		contains(t, w.Notes(r.Plan), "unresolved", "groups nested in each other", "ring1", "ring2", "share their members")
		contains(t, w.Notes(w.Applied("hq").Plan), "groups nested in each other share their members: self")
		w.Settled("hq")

		// A change deep below arrives at the top.
		w.Holds("hq", append(people, Group("all", "@left", "@right"), Group("left", "@right"), Group("right", "bob", "carl"), Group("ring1", "@ring2"), Group("ring2", "@ring1", "anna"), Group("self", "anna"))...)
		w.Applied("hq")
		equal(t, "all", w.Members("all"), "bob carl")
		equal(t, "ring1", w.Members("ring1"), "anna")
		w.Settled("hq")
	})
}

// People move in groups that are nested in each other, and the groups do not: what was
// noted of the ring is noted once more, and only while there is a ring.
func TestARingIsNotedOnceWhoeverMovesInIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		rings := func(r *engine.Result) (list []string) {
			for _, n := range w.Notes(r.Plan) {
				if strings.Contains(n, "nested in each other") {
					list = append(list, n)
				}
			}
			return list
		}
		w.Connect("hq")
		ring1, others := Group("ring1", "@ring2", "carl"), []rec{Group("ring2", "@ring1", "dora"), Group("over", "@ring1"), Group("self", "@self", "anna"), Group("flat", "dora", "bob")}
		w.Holds("hq", append(others, ring1, Person("anna"), Person("bob"), Person("carl"))...)
		first := rings(w.Applied("hq"))
		equal(t, "rings", len(first), 2)
		equal(t, "over", w.Members("over"), "carl")
		for _, people := range [][]rec{
			{Person("anna"), Person("bob"), Person("carl"), Person("dora")},                // somebody comes who was listed before
			{Person("anna"), Person("bob", "title=Boss"), Person("carl"), Person("dora")},  // somebody outside
			{Person("anna"), Person("bob"), Person("carl", "title=Boss"), Person("dora")},  // and inside
			{Person("anna"), Person("bob"), Person("carl", "title=Boss"), Person("eve")},   // dora goes
			{Person("anna"), Person("bob"), Person("carl", "title=Boss"), Person("dora")},  // and returns
			{Person("bob"), Person("carl", "title=Boss"), Person("dora"), Person("eve")},   // anna goes
			{Person("anna"), Person("bob"), Person("carl", "title=Chief"), Person("dora")}, // and returns, with another change
			{Person("anna"), Person("bob"), Person("carl", "mail=carl"), Person("dora")},   // an address that is none
			{Person("anna"), Person("bob"), Person("carl", "title=Chief"), Person("dora")},
		} {
			w.Holds("hq", append(append(people, others...), ring1)...)
			same(t, "rings", rings(w.Applied("hq")), first...)
			for _, group := range []string{"ring1", "ring2", "over"} {
				equal(t, group, w.Members(group), "carl dora")
			}
			w.Settled("hq")
		}
		// One of them moves after the other, and they stay a ring; whichever it was noted of.
		people := []rec{Person("anna"), Person("bob"), Person("carl", "title=Chief"), Person("dora")}
		ring1 = Group("ring1", "@ring2", "carl", "anna")
		w.Holds("hq", append(append(people, others...), ring1)...)
		same(t, "rings", rings(w.Applied("hq")), first...)
		others[0] = Group("ring2", "@ring1", "dora", "bob")
		w.Holds("hq", append(append(people, others...), ring1)...)
		same(t, "rings", rings(w.Applied("hq")), first...)
		equal(t, "over", w.Members("over"), "anna bob carl dora")
		w.Settled("hq")

		everybody := append(people, others...)
		w.Holds("hq", append(everybody, Group("ring1", "carl"))...)
		left := rings(w.Applied("hq"))
		equal(t, "rings", len(left), 1)
		contains(t, left, "self")
		equal(t, "over", w.Members("over"), "carl")
		equal(t, "ring2", w.Members("ring2"), "bob carl dora")
		w.Holds("hq", append(everybody, ring1)...)
		same(t, "rings", rings(w.Applied("hq")), first...)
		w.Settled("hq")
		w.Examine()
	})
}

func TestANestedGroupThatGoesTakesItsMembersAlongAndBringsThemBack(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		people := []rec{Person("anna"), Person("bob"), Group("top", "@middle"), Group("middle", "@bottom", "bob")}
		w.Holds("hq", append(people, Group("bottom", "anna"))...)
		w.Applied("hq")
		equal(t, "top", w.Members("top"), "anna bob")
		w.Holds("hq", people...) // "middle" lists a group that is not there any more
		w.Applied("hq")
		equal(t, "top", w.Members("top"), "bob")
		w.Settled("hq")
		w.Holds("hq", append(people, Group("bottom", "anna"))...)
		w.Applied("hq")
		equal(t, "top", w.Members("top"), "anna bob")
		w.Settled("hq")
	})
}

func TestAMemberWhoGetsAnAccountLaterIsAddedThenAlthoughTheGroupDidNotChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, then func(w *World)
	}{
		"the entry comes later": {func(w *World) { w.Holds("hq", Person("bob"), Group("staff", "anna", "bob"), Group("all", "@staff")) }, func(*World) {}},
		"it had no address": {func(w *World) {
			w.Holds("hq", Person("anna", "mail="), Person("bob"), Group("staff", "anna", "bob"), Group("all", "@staff"))
		}, func(*World) {}},
		"it was out of scope": {func(w *World) {
			w.Holds("hq", Person("anna", "department=Out"), Person("bob"), Group("staff", "anna", "bob"), Group("all", "@staff"))
		}, func(*World) {}},
		"its address was claimed by another": {func(w *World) {
			w.Holds("hq", Person("anna"), Person("twin", "mail=anna@example.org"), Person("bob"), Group("staff", "anna", "bob"), Group("all", "@staff"))
		}, func(*World) {}},
		"creating was not allowed": {func(w *World) {
			w.Conn("hq").Policy.NoCreate = true
			w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"), Group("all", "@staff"))
		}, func(w *World) { w.Conn("hq").Policy.NoCreate = false }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq", func(c *setting.Connection) { c.Scope = []string{`department != "Out"`} })
				c.first(w)
				w.Applied("hq")
				c.then(w)
				w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"), Group("all", "@staff"))
				w.Applied("hq")
				equal(t, "staff", w.Members("staff"), "anna bob")
				equal(t, "all", w.Members("all"), "anna bob")
				w.Settled("hq")
			})
		})
	}
}

func TestWithMembersOnlyWhoIsInNoGroupIsNotIn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Backend["groups.members_only"] = true })
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob"))
		r := w.Applied("hq")
		equal(t, "accounts", len(w.Accounts()), 2)
		equal(t, "out of scope", r.Run.Summary.OutOfScope, 1)
		w.Settled("hq")
		// Only the group changes; the people's entries do not.
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "carl"))
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "add membership staff: carl", "create account carl", "disable account bob")
		equal(t, "bob", w.Account("bob").Status, account.Disabled)
		w.Settled("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob", "carl"))
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "anna bob carl")
		w.Settled("hq")
		// Half a reading of the groups disables nobody.
		w.Dirs.Of("hq").Missing = "the group base could not be searched"
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna"))
		w.Applied("hq")
		equal(t, "bob", w.Account("bob").Status, account.Active)
		w.Dirs.Of("hq").Missing = ""
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"))
		w.Held("hq", "no group")
		equal(t, "anna", w.Account("anna").Status, account.Active)
	})
}

func TestWithMembersOnlyWhoIsInAnInnerGroupOfASelectedOneIsIn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Backend["groups.members_only"] = true })
		people := []rec{Person("anna"), Person("bob", "primary=deep"), Person("carl"), Person("dora")}
		// In lost lies nothing that is selected: it is left from before.
		w.Holds("hq", append(people, Group("app", "@dept", "carl"), Inner("dept", "anna", "@deep"), Inner("deep", "@dept"), Inner("lost", "dora", "@lost"))...)
		w.Applied("hq")
		equal(t, "app", w.Members("app"), "anna bob carl")
		equal(t, "accounts", len(w.Accounts()), 3)
		for _, who := range []string{"anna", "bob", "carl"} {
			w.says(who, true, "listed in a selected group")
		}
		w.says("dora", false, "in none of the selected groups")
		w.Settled("hq")
		w.Holds("hq", append(people, Group("app", "@dept", "carl"), Inner("dept", "anna"))...)
		same(t, "rows", w.Brief(w.Applied("hq").Plan), "disable account bob")
		w.says("bob", false, "in none of the selected groups")
		w.Settled("hq")
	})
}

func TestAGroupWithoutAUsableKeyKeepsItsMembers(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		broken := Group("staff")
		broken.ID, broken.Problem = "", "its entryUUID could not be read"
		w.Holds("hq", Person("anna"), Group("staff", "anna"), Group("all", "@staff"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), broken, Group("all", "@staff"))
		r := w.Applied("hq")
		contains(t, w.Notes(r.Plan), "problem", "cn=staff", "could not be read")
		equal(t, "staff", w.Members("staff"), "anna")
		w.Settled("hq")
	})
}

// Members are written so many a statement: none is lost between two, told of twice,
// or told of in another group's name.
func TestMoreMembersThanAStatementHoldsComeAndGo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Limits.MembershipRemovals = 1 })
		name := func(i int) string { return fmt.Sprintf("p%04d", i) }
		var people []rec
		for i := range 1060 {
			people = append(people, Person(name(i)))
		}
		holds := func(big, other []string) {
			w.Holds("hq", append(slices.Clone(people), Group("big", big...), Group("other", other...), Group("nobody"))...)
		}
		names := func(from, to int) (out []string) {
			for i := from; i < to; i++ {
				out = append(out, name(i))
			}
			return out
		}
		holds(names(0, 540), names(7, 8))
		w.Applied("hq")
		told, last := w.Events(0)
		equal(t, "events of members", len(slices.DeleteFunc(told, func(e string) bool { return !strings.HasPrefix(e, "membership.added") })), 541)
		equal(t, "big", w.Members("big"), strings.Join(names(0, 540), " "))
		equal(t, "other", w.Members("other"), name(7))

		// 510 go and 520 come; of the other one goes and three come.
		holds(names(510, 1060), names(4, 7))
		r := w.Applied("hq")
		equal(t, "big", w.Members("big"), strings.Join(names(510, 1060), " "))
		equal(t, "other", w.Members("other"), strings.Join(names(4, 7), " "))
		told, _ = w.Events(last)
		var want []string
		for _, n := range names(0, 510) {
			want = append(want, "membership.removed "+n+" big")
		}
		for _, n := range names(540, 1060) {
			want = append(want, "membership.added "+n+" big")
		}
		want = append(want, "membership.removed "+name(7)+" other")
		for _, n := range names(4, 7) {
			want = append(want, "membership.added "+n+" other")
		}
		told = slices.DeleteFunc(told, func(e string) bool { return !strings.HasPrefix(e, "membership") })
		slices.Sort(told)
		slices.Sort(want)
		same(t, "events", told, want...)
		w.Examine()

		holds(names(0, 540), names(7, 8)) // what the revert leaves is what the directory says
		w.Revert("hq", r.Run)
		equal(t, "big", w.Members("big"), strings.Join(names(0, 540), " "))
		equal(t, "other", w.Members("other"), name(7))
		w.Examine()
		w.Applied("hq")
		w.Settled("hq")
	})
}

// A group that is compared whole for the sake of another is noted anew.
func TestAProblemOfAGroupIsToldOfOnceWhenAGroupInItMoves(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		odd := Group("odd", "@inner", "anna")
		odd.Problem = "The group is odd."
		w.Changes("hq", nil, Person("anna"), Group("inner"), odd)
		r := w.Applied("hq")
		equal(t, "problems at first", r.Run.Summary.Problems, 1)
		inner := Group("inner", "anna")
		w.Changes("hq", []rec{inner}, Person("anna"), inner, odd)
		r = w.Applied("hq")
		same(t, "notes after inner moved", w.Notes(r.Plan), "problem cn=odd,ou=groups: The group is odd.")
		equal(t, "problems after inner moved", r.Run.Summary.Problems, 1)
		w.Changes("hq", []rec{}, Person("anna"), inner, odd)
		r = w.Applied("hq")
		equal(t, "problems after a run of nothing", r.Run.Summary.Problems, 1)
	})
}

// A group that cannot be used as it is, and then is no longer there.
func TestAGroupWithAProblemGoesAsOthersDo(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Limits = setting.Limits{GroupRemovals: 1, MembershipRemovals: 1} })
		w.Holds("hq", Person("anna"), Group("odd", "anna"), Group("other", "anna"))
		w.Applied("hq")
		odd := Group("odd", "anna")
		odd.Problem = "The group is odd."
		w.Holds("hq", Person("anna"), odd, Group("other", "anna"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Group("other", "anna"))
		r := w.Applied("hq")
		same(t, "rows", w.Rows(r.Plan), "delete group odd")
		same(t, "notes", w.Notes(w.Plan("hq")))
	})
}

// An entry that cannot be used still says what group it is in besides.
func TestAProblemCostsNobodyTheirPrimaryGroup(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Changes("hq", nil, Person("anna", "primary=domain"), Person("bob", "primary=domain"), Group("domain"))
		w.Applied("hq")
		odd := Person("anna", "primary=domain", "problem=The entry is odd.")
		w.Changes("hq", []rec{odd}, odd, Person("bob", "primary=domain"), Group("domain"))
		r := w.Applied("hq")
		same(t, "rows", w.Rows(r.Plan))
		equal(t, "domain", w.Members("domain"), "anna bob")
		w.Settled("hq")
	})
}

// Somebody who was disabled when they left, and is when they come back: nothing but their
// memberships tells.
func TestWhoComesBackDisabledIsInTheGroupsOfToday(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Scope = []string{`department != "Out"`} })
		off := "userAccountControl=514"
		w.Holds("hq", Person("anna", off), Person("bob"), Group("old", "anna", "bob"), Group("new", "bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", off, "department=Out"), Person("bob"), Group("old", "anna", "bob"), Group("new", "bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", off, "department=Out"), Person("bob"), Group("old", "bob"), Group("new", "anna", "bob"))
		w.Applied("hq")
		w.Conn("hq").Scope = nil
		r := w.Sync("hq")
		w.Approve("hq", r.Plan)
		equal(t, "old", w.Members("old"), "bob")
		equal(t, "new", w.Members("new"), "anna bob")
		w.Settled("hq")
	})
}

// A removal that a switch holds back is not forgotten when everybody is planned anew.
func TestTheRemovalOfTheLastGroupIsStillRefusedUnderNewRules(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.NoDelete = true }), func(c *setting.Connection) { c.Limits = setting.Limits{GroupRemovals: 1} })
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		r := w.Applied("hq")
		same(t, "notes", w.Notes(r.Plan), "refused staff: delete: `no-delete` is on")
		w.Conn("hq").Scope = []string{`username != ""`}
		r = w.Applied("hq")
		same(t, "notes after new rules", w.Notes(r.Plan), "refused staff: delete: `no-delete` is on")
		w.Conn("hq").Policy.NoDelete = false
		r = w.Sync("hq")
		if r.Run.State == "held" { // no group was found
			w.Approve("hq", r.Plan)
		}
		equal(t, "staff", w.Members("staff"), "-")
		same(t, "rows when it is off", w.Rows(r.Plan), "delete group staff")
	})
}

// Groups that are read for their members alone come and go as their names do, and nobody
// is in them here.
func TestWhoIsInAnInnerGroupIsInTheSelectedOnesAroundIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		people := []rec{Person("anna"), Person("bob", "primary=deep"), Person("carl")}
		reads := func(changes []rec, groups ...rec) {
			w.Changes("hq", changes, append(slices.Clone(people), groups...)...)
		}
		counted := func(groups int) {
			t.Helper()
			state, err := w.Store.Leases().State(t.Context(), "hq")
			w.must(err)
			equal(t, "groups", state.Groups, groups)
		}
		app := Group("app", "@dept", "carl")
		reads(nil, app, Inner("dept", "anna", "@deep"), Inner("deep", "@dept"))
		r := w.Applied("hq")
		contains(t, w.Notes(r.Plan), "unresolved", "groups nested in each other")
		equal(t, "new: three people and a group", r.Run.Reading.Changed, 4)
		equal(t, "app", w.Members("app"), "anna bob carl")
		equal(t, "dept", w.Members("dept"), "-")
		counted(1)
		if got := w.origin("hq", "anna"); !slices.Contains(got, "in app: nested > dept") {
			t.Errorf("the way to the selected one: %s", got)
		}
		if got := w.origin("hq", "bob"); !slices.Contains(got, "in app: nested > deep > dept") {
			t.Errorf("the way by the primary group: %s", got)
		}
		w.Settled("hq")

		dept := Group("dept", "anna", "@deep")
		reads([]rec{dept}, app, dept, Inner("deep", "@dept"))
		same(t, "selected too", w.Brief(w.Applied("hq").Plan), "add membership dept: anna", "add membership dept: bob", "create group dept")
		counted(2)
		w.Settled("hq")

		inner := Inner("dept", "anna")
		reads([]rec{inner}, app, inner, Inner("deep", "@dept"))
		same(t, "not any more", w.Rows(w.Applied("hq").Plan), "remove membership app: bob", "delete group dept")
		equal(t, "app", w.Members("app"), "anna carl")
		counted(1)
		w.Settled("hq")

		inner = Inner("dept", "anna", "bob")
		reads([]rec{inner}, app, inner)
		r = w.Applied("hq")
		same(t, "who comes into it", w.Brief(r.Plan), "add membership app: bob")
		equal(t, "it is what changed", r.Run.Reading.Changed, 1)
		w.Settled("hq")
		people[0] = Person("anna", "ref=uid=anna,ou=away") // whom the group calls by her old name
		reads([]rec{people[0]}, app, Inner("dept", "uid=anna,ou=away", "bob"))
		same(t, "who is renamed", w.Brief(w.Applied("hq").Plan))
		w.Settled("hq")
		people = append(people, Person("dora"))
		reads([]rec{people[3], {Kind: directory.Group, ID: "id-dept", Gone: true}}, app)
		r = w.Applied("hq")
		same(t, "deleted", w.Brief(r.Plan), "create account dora", "remove membership app: anna", "remove membership app: bob")
		equal(t, "somebody new", r.Run.Reading.Changed, 1)
		equal(t, "nobody gone", r.Run.Reading.Gone, 0)
		counted(1)
		w.Settled("hq")
		w.Examine()
		w.Replay()
	})
}
