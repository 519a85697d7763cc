package storetest

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
)

// rulePool is what rules may become, by target. The first is none at all, which is the
// starting rule where there is one.
var rulePool = map[string][]setting.Rule{
	"username":     {{}, {Expr: `uid + "x"`}, {Attribute: "department"}, {Expr: `department == "Out" ? "shared" : uid`}},
	"email":        {{}, {Expr: `lower(mail)`}, {Expr: `uid + "@example.net"`}, {Attribute: "title"}},
	"first_name":   {{}, {Value: "Robin"}, {Attribute: "title"}},
	"title":        {{}, {None: true}, {Expr: `title + "!"`}, {Value: "Staff"}, {Expr: `department == "Out" ? "gone" : title`}},
	"department":   {{}, {None: true}, {Attribute: "title"}, {Attribute: "employeeNumber"}},
	"location":     {{}, {Attribute: "department"}, {Value: "Gent"}},
	"role":         {{}, {Attribute: "title"}, {Value: "guest"}},
	"language":     {{}, {Attribute: "title"}, {Value: "nl"}},
	"mobile_phone": {{}, {None: true}, {Attribute: "title"}, {Expr: `mobile == "" ? "+32470000000" : mobile`}},
	"manager":      {{}, {None: true}, {Expr: `department == "Out" ? "" : manager`}},
	"status":       {{}, {None: true}, {Expr: `department == "Out" ? "disabled" : "active"`}},
	"badge":        {{}, {None: true}, {Attribute: "title"}, {Expr: `employeeNumber + "0"`}},
	"floor":        {{}, {Attribute: "department"}, {Attribute: "employeeNumber"}},
}

var offices = flag.Uint64("offices", 6, "how many pairs of installations are told new rules")

// office is an installation whose directory, rules and policy change at random. Two of
// one seed go through the same.
type office struct {
	*World
	*rand.Rand
	people map[string][]string
}

func newOffice(t *testing.T, database string, seed uint64) *office {
	o := &office{World: Open(t, dsns[database](t)), Rand: rand.New(rand.NewPCG(seed, 44)), people: map[string][]string{}}
	o.Connect("hq", func(c *setting.Connection) {
		c.Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1}
		c.Match = [][]string{nil, {"email"}, {"badge"}, {"title", "email"}}[o.IntN(4)]
		if o.IntN(3) == 0 {
			c.Scope = []string{`department != "Out"`}
		}
		c.Backend["groups.members_only"] = o.IntN(4) == 0
		c.Policy.DeleteDisables = o.IntN(2) == 0 // what became of leavers stays when it is changed, until they are looked at
	})
	return o
}

// walk changes some people.
func (o *office) walk(n int) {
	pick := func(list ...string) string { return list[o.IntN(len(list))] }
	for range n {
		key := fmt.Sprintf("p%02d", o.IntN(30))
		switch {
		case o.people[key] != nil && o.IntN(6) == 0:
			delete(o.people, key)
		default:
			set := []string{"mail=" + pick(key, strings.ToUpper(key), key, "shared") + "@example.org", "title=" + pick("", "nl", "Chief", "Clerk", "guest"),
				"department=" + pick("", "Out", "Sales", "x"), "mobile=" + pick("", "+32470123456", "12", "0470 12 34 56"),
				"employeeNumber=" + pick("", key, "17"), "userAccountControl=" + pick("512", "514", "")}
			if o.IntN(2) == 0 {
				set = append(set, "manager="+fmt.Sprintf("p%02d", o.IntN(30)))
			}
			if o.IntN(20) == 0 {
				set = append(set, "problem=The entry is odd.")
			}
			o.people[key] = set
		}
	}
	var records []directory.Record
	var staff, sales []string
	for i := range 30 {
		key := fmt.Sprintf("p%02d", i)
		if set, ok := o.people[key]; ok {
			records = append(records, Person(key, set...))
		}
		if o.IntN(2) == 0 {
			staff = append(staff, key)
		}
		if o.IntN(3) == 0 {
			sales = append(sales, key)
		}
	}
	o.Holds("hq", append(records, Group("staff", append(staff, "@sales")...), Group("sales", sales...))...)
}

// rule changes a few rules.
func (o *office) rule() (told []string) {
	c := o.Conn("hq")
	var names []string
	for name := range rulePool {
		names = append(names, name)
	}
	slices.Sort(names)
	for range 1 + o.IntN(3) {
		name := names[o.IntN(len(names))]
		rule := rulePool[name][o.IntN(len(rulePool[name]))]
		if delete(c.Mapping, name); rule != (setting.Rule{}) {
			c.Mapping[name] = rule
		}
		told = append(told, fmt.Sprintf("%s: %+v", name, rule))
	}
	for _, name := range c.Match { // what people are found by has a rule
		delete(c.Mapping, name)
	}
	if o.IntN(12) == 0 {
		c.Region = []string{"BE", "NL", ""}[o.IntN(3)]
		told = append(told, "region "+c.Region)
	}
	return told
}

// policy turns switches on and off.
func (o *office) policy() {
	p := &o.Conn("hq").Policy
	p.NoUpdate, p.NoCreate, p.NoDelete = o.IntN(5) == 0, o.IntN(5) == 0, o.IntN(5) == 0
	o.Dirs.Of("hq").Missing = ""
	if o.IntN(5) == 0 {
		o.Dirs.Of("hq").Missing = "cut short"
	}
}

// run is a run that is carried out whatever it is held for, now and then without what
// it would do to some people, and now and then undone.
func (o *office) run() *engine.Result {
	o.T.Helper()
	spared, undo := byte(o.IntN(40)), o.IntN(6) == 0
	r := o.Sync("hq")
	if r.Plan.Verdict == plan.Held {
		var exclude []int64
		o.must(o.Engine.EachChange(o.T.Context(), r.Plan, func(c *plan.Change) error {
			if c.Target == plan.Account && c.Account[0]%10 == spared {
				exclude = append(exclude, c.Seq)
			}
			return nil
		}))
		// Some rows cannot be left out alone: another takes the name they free.
		approved, err := o.Engine.Approve(o.T.Context(), *o.Conn("hq"), r.Plan.ID, exclude, options)
		if err != nil && strings.Contains(err.Error(), "frees") {
			approved, err = o.Approve("hq", r.Plan), nil
		}
		o.must(err)
		r = approved
	}
	if undo && r.Run.Summary.Changes() > 0 {
		o.Revert("hq", r.Run)
	}
	return r
}

// forgetRules has the next plan for new rules look at everybody, as an installation
// does that was not told yet what the old ones were.
func (w *World) forgetRules() {
	w.T.Helper()
	w.keepRules(func(parts map[string]string) {
		if parts["rules"] == "" {
			w.T.Fatal("the rules last carried out are not remembered")
		}
		delete(parts, "rules")
	})
}

// keepRules changes what is remembered of the rules last carried out.
func (w *World) keepRules(change func(parts map[string]string)) {
	w.T.Helper()
	ctx := w.T.Context()
	state, err := w.Store.Leases().State(ctx, "hq")
	w.must(err)
	var parts map[string]string
	w.must(json.Unmarshal([]byte(state.RulesText), &parts))
	change(parts)
	text, err := json.Marshal(parts)
	w.must(err)
	w.must(w.Store.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE connections SET rules_text = $1 WHERE alias = 'hq'`, string(text))
		return err
	}))
}

// said leaves out how a dispute is put: it names those of its parties that were
// planned, as in every plan that does not look at everybody.
func said(state string) string {
	var out []string
	for l := range strings.Lines(state) {
		if head, _, ok := strings.Cut(l, "|dispute|"); ok {
			l = head + "|dispute\n"
		}
		out = append(out, l)
	}
	return ids.ReplaceAllString(strings.Join(out, ""), "$1 ID")
}

// ids are those of runs and plans, which no two installations share.
var ids = regexp.MustCompile(`\b(run|plan|Run) [rp]1[0-9a-z]{14}\b`)

// Planning new rules for those whom they concern comes to the same as planning
// everybody: accounts, groups, memberships, events, and what is left standing.
func TestNewRulesArePlannedForThoseWhomTheyConcern(t *testing.T) {
	t.Parallel()
	revised := 0
	t.Run("seeds", func(t *testing.T) {
		for seed := range *offices {
			database := "SQLite"
			if seed%4 == 3 {
				database = "PostgreSQL"
			}
			few, all := newOffice(t, database, seed), newOffice(t, database, seed)
			all.Clock = few.Clock
			for _, o := range []*office{few, all} {
				o.walk(40)
				o.run()
			}
			var story []string
			for round := range 6 {
				for _, o := range []*office{few, all} {
					o.policy()
					o.walk(o.IntN(4))
					if o.IntN(2) == 0 {
						o.run()
					}
					o.walk(o.IntN(3))
					told := o.rule()
					if o == few {
						story = append(story, told...)
					} else {
						o.forgetRules()
					}
					r := o.run()
					basis := r.Plan.Basis
					if o == few && basis.Revised {
						revised++
					}
					if o == all && basis.Revised {
						t.Fatal("everybody was to be planned")
					}
				}
				if a, b := said(all.State()), said(few.State()); a != b {
					t.Fatalf("seed %d, round %d, %v, scope %q, match %q, %v: planned for all (-), and for those concerned (+)\n%s", seed, round, few.Conn("hq").Backend,
						few.Conn("hq").Scope, few.Conn("hq").Match, strings.Join(story, "\n"), Difference(a, b))
				}
			}
			few.Close()
			all.Close()
		}
	})
	if revised < int(*offices) {
		t.Errorf("only %d plans were made for those concerned alone", revised)
	}
}

// A plan for new rules tells what the directory changed from what the rules did.
func TestAPlanSaysWhetherTheDirectoryOrTheRulesChanged(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna", "title=Clerk"), Person("bo", "title=Clerk"), Person("cy"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", "title=Lead"), Person("bo", "title=Clerk"), Person("cy"))
		w.Conn("hq").Mapping["title"] = setting.Rule{Expr: `title == "" ? "" : title + "!"`}
		r := w.Held("hq", "The mapping changed")
		got := w.Rows(r.Plan)
		slices.Sort(got)
		same(t, "the plan", got,
			"update account anna: title Clerk -> Lead! (changed in the directory)",
			"update account bo: title Clerk -> Clerk! (the connection's rules changed)")
		if !r.Plan.Basis.Revised {
			t.Error("everybody was planned")
		}
		w.Approve("hq", r.Plan)
		w.Settled("hq")
	})
}

// Everybody is planned where what is remembered of the old rules is not what was
// carried out by them: rules of another program, or taken in another way.
func TestEverybodyIsPlannedWhereTheOldRulesAreNotSurelyKnown(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(parts map[string]string){
		"none":                func(parts map[string]string) { delete(parts, "rules") },
		"others":              func(parts map[string]string) { parts["rules"] = strings.Replace(parts["rules"], "mail", "post", 1) },
		"unreadable ones":     func(parts map[string]string) { parts["rules"] = "{" },
		"of another program":  func(parts map[string]string) { parts["mapping"] = "taken in another way" },
		"that do not compile": func(parts map[string]string) { parts["rules"] = `{"username": {"Expr": "("}}` },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := Open(t, dsns["SQLite"](t))
			w.Connect("hq")
			w.Holds("hq", Person("anna", "title=Clerk"), Person("bo"))
			w.Applied("hq")
			w.keepRules(change)
			w.Conn("hq").Mapping["title"] = setting.Rule{Value: "Staff"}
			r := w.Held("hq", "changed since the last applied run")
			if !r.Plan.Basis.All || r.Plan.Basis.Revised || r.Plan.Summary.Update != 2 {
				t.Errorf("%+v, %+v", r.Plan.Basis, r.Plan.Summary)
			}
		})
	}
}
