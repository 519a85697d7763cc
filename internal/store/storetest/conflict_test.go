package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// quarrel is a directory in which names and addresses are few and taken twice,
// and entries are made anew under other external IDs.
type quarrel struct {
	*rand.Rand
	alias   string
	entries map[int]rec
	groups  []string
}

func (q *quarrel) step() {
	n := q.IntN(9)
	if q.IntN(5) == 0 {
		delete(q.entries, n)
		return
	}
	set := []string{fmt.Sprintf("id=%s-%d-%d", q.alias, n, q.IntN(2)), fmt.Sprintf("ref=uid=%s%d", q.alias, n), fmt.Sprintf("uid=name%d", q.IntN(6)),
		fmt.Sprintf("mail=mail%d@example.org", q.IntN(6)), fmt.Sprintf("manager=uid=%s%d", q.alias, q.IntN(9))}
	if q.IntN(6) == 0 {
		set = append(set, "userAccountControl=514")
	}
	if q.IntN(6) == 0 {
		set = append(set, "department=Out")
	}
	q.entries[n] = Person("x", set...)
	q.groups = nil
	for range q.IntN(5) {
		q.groups = append(q.groups, fmt.Sprintf("uid=%s%d", q.alias, q.IntN(9)))
	}
}

func (q *quarrel) records() []rec {
	out := slices.Collect(maps.Values(q.entries))
	return append(out, Group("staff", q.groups...), Group("all", "@staff"))
}

// Whoever claims whatever: nobody gets what is another's, nothing fails, planning
// what moved finds what planning everything finds, and the events tell all of it.
func TestWhoeverClaimsWhateverNobodyGetsWhatIsAnothers(t *testing.T) {
	t.Parallel()
	for database, seed := range map[string]uint64{"SQLite": 50, "PostgreSQL": 4} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			quarrels(t, Open(t, dsns[database](t)), seed)
		})
	}
}

func quarrels(t *testing.T, w *World, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 11))
	w.local("org", "name0", "mail1@example.org")
	var all []*quarrel
	for _, alias := range []string{"hq", "branch"} {
		w.Connect(alias, func(c *setting.Connection) {
			c.Match = [][]string{nil, {"email"}, {"username", "email"}}[random.IntN(3)]
			c.Scope = []string{`department != "Out"`}
			c.Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1}
			c.Policy.NoUpdateProviderMismatch = random.IntN(2) == 0
			c.Policy.DeleteDisables = random.IntN(2) == 0
			c.Overlap = []string{setting.OverlapWait, setting.OverlapWait, setting.OverlapOwn, setting.OverlapYield}[random.IntN(4)]
		})
		all = append(all, &quarrel{Rand: random, alias: alias, entries: map[int]rec{}})
	}
	for round := range 25 {
		for _, q := range all {
			for range random.IntN(6) {
				q.step()
			}
			w.Holds(q.alias, q.records()...)
			r := w.Sync(q.alias)
			if r.Plan.Verdict == plan.Held { // an empty reading
				r = w.Approve(q.alias, r.Plan)
			}
			equal(t, "failed", r.Run.Summary.Failed, 0)
			// Who waits for a name that another gives up in this very run gets it in
			// the next one.
			for range 3 {
				if r.Plan.Verdict == plan.Nothing {
					break
				}
				r = w.Sync(q.alias)
			}
			w.Settled(q.alias)
			w.unique(t)
			if t.Failed() {
				t.Fatalf("in round %d of %s", round, q.alias)
			}
		}
	}
	w.Examine()
	w.Replay()
}

// unique checks that no two people who are there share a username or an address.
func (w *World) unique(t *testing.T) {
	t.Helper()
	seen := map[string]string{}
	for _, a := range w.Accounts() {
		if a.Status == account.Deleted || a.Status == account.Disabled && a.Cause == account.ByAbsence {
			continue
		}
		for _, f := range []account.Field{account.Username, account.Email} {
			key := f.String() + " " + account.Fold(a.Text[f])
			if other := seen[key]; other != "" {
				t.Errorf("accounts %s and %s share the %s", other, a.ID, key)
			}
			seen[key] = a.ID.String()
		}
	}
}

// Nothing of an entry or its groups moves when another connection takes its account over.
func TestAnAccountThatWasTakenOverLeavesTheGroupsItWasIn(t *testing.T) {
	t.Parallel()
	for _, left := range []bool{false, true} {
		t.Run(map[bool]string{false: "declared owner", true: "after leaving"}[left], func(t *testing.T) {
			both(t, func(t *testing.T, w *World) {
				w.Connect("br")
				w.Connect("hq", func(c *setting.Connection) {
					c.Match, c.Overlap, c.Policy.NoUpdateProviderMismatch = []string{"email"}, setting.OverlapOwn, false
				})
				w.Holds("br", Person("anna"), Person("bob"), Person("c"), Group("staff", "anna", "bob"))
				w.Applied("br")
				if left {
					w.Holds("br", Person("bob"), Person("c"), Group("staff", "bob"))
					w.Applied("br")
				}
				w.Holds("hq", Person("anna", "id=other"))
				w.Applied("hq")
				w.Applied("br")
				equal(t, "staff", w.Members("staff"), "bob")
				inc := w.Notes(w.Plan("br"))
				w.Settled("br")
				w.must(w.Engine.Reset(t.Context(), *w.Conn("br"), "tester"))
				same(t, "notes", inc, w.Notes(w.Plan("br"))...)
			})
		})
	}
}

// Nor do they keep the groups of the one for the time they come back to the other.
func TestAnAccountThatWasTakenOverAndLeftLeavesTheGroupsItWasIn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("br")
		w.Connect("hq", func(c *setting.Connection) {
			c.Match, c.Overlap, c.Policy.NoUpdateProviderMismatch = []string{"email"}, setting.OverlapOwn, false
		})
		w.Holds("br", Person("anna"), Person("bob"), Person("c"), Group("staff", "anna", "bob"))
		w.Applied("br")
		w.Holds("hq", Person("anna", "id=other"), Person("dora"), Person("emil"), Group("crew", "anna"))
		w.Applied("hq")
		w.Holds("hq", Person("dora"), Person("emil"), Group("crew"))
		w.Applied("hq")
		w.Holds("br", Person("bob"), Person("c"), Group("staff", "bob"))
		w.Applied("br")
		w.Holds("hq", Person("anna", "id=other"), Person("dora"), Person("emil"), Group("crew", "anna"))
		w.Applied("hq")
		w.Applied("br")
		equal(t, "anna", w.Account("anna").Status, account.Active)
		equal(t, "staff", w.Members("staff"), "bob")
		equal(t, "crew", w.Members("crew"), "anna")
	})
}

// Nobody is taken over by a plan from when the one was the owner and the other was not.
func TestAPlanIsStaleOnceAnotherConnectionSaysOtherwiseOfTheOwner(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("br")
		w.Connect("hq", func(c *setting.Connection) {
			c.Match, c.Policy.NoUpdateProviderMismatch = []string{"email"}, false
		})
		w.Holds("br", Person("anna"), Person("bob"))
		w.Applied("br")
		w.Conn("br").Overlap = setting.OverlapYield
		w.Holds("hq", Person("anna", "id=other"))
		p := w.Plan("hq")
		same(t, "rows", w.Brief(p), "link account anna")
		w.Conn("br").Overlap = setting.OverlapWait
		fails(t, w.approveErr("hq", p), fault.Conflict, "the owner of what several connections claim was declared anew")
		equal(t, "anna", w.Account("anna").Connection, "br")
		w.Conn("br").Overlap = setting.OverlapYield
		w.Approve("hq", w.Plan("hq"))
		equal(t, "anna", w.Account("anna").Connection, "hq")
	})
}
