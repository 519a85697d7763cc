package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func (w *World) why(alias, who string) []engine.Why {
	w.T.Helper()
	list, err := w.Engine.Explain(w.T.Context(), *w.Conn(alias), who)
	w.must(err)
	return list
}

func TestWhyAnswersForEverybody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", byEmail, func(c *setting.Connection) { c.Scope = []string{`department != "Out"`} })
		w.local("org", "taken", "local@example.org")
		w.Holds("hq", Person("anna", "title=Queen"), Person("leaver"), Person("off", "userAccountControl=514"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", "title=Queen"), Person("off", "userAccountControl=514"), Person("out", "department=Out"), Person("broken", "mail="),
			Person("noid", "id=", "problem=has no entryUUID"), Person("one", "mail=same@example.org"), Person("two", "mail=same@example.org"), Person("foreign", "mail=local@example.org"))
		w.Conn("hq").Limits.Removals = 1
		w.Applied("hq")
		w.Conn("hq").Policy.NoCreate = true
		w.Holds("hq", append(w.Dirs.Of("hq").Records, Person("kept"))...)
		w.Applied("hq")
		for who, c := range map[string]struct {
			in     bool
			answer string
		}{
			"anna":               {true, "In: anna is active as account"},
			"ANNA@example.org":   {true, "In: anna is active"},
			"id-anna":            {true, "In: anna is active"},
			"UID=anna,ou=people": {true, "In: anna is active"},
			"out":                {false, `out of scope, department != "Out" does not hold`},
			"broken":             {false, "email is empty"},
			"uid=noid,ou=people": {false, "has no entryUUID"},
			"one":                {false, "uid=one,ou=people and uid=two,ou=people both claim the email"},
			"foreign":            {false, "would link to account taken"},
			"id-leaver":          {false, "the last reading of hq no longer brought the entry, and the directory itself cannot be asked"},
			"off":                {false, "disabled in the directory, userAccountControl says disabled"},
			"kept":               {false, "`no-create` is on"},
			"somebody":           {false, "the last reading of hq brought no such entry"},
			"taken":              {false, "The account of that name is kept by local"},
		} {
			list := w.why("hq", who)
			if len(list) != 1 || list[0].In != c.in || !strings.Contains(list[0].Answer, c.answer) {
				t.Errorf("why %s: want %q, got %+v", who, c.answer, list)
			}
		}
		equal(t, "two entries have one address", len(w.why("hq", "same@example.org")), 2)
		history := w.why("hq", "anna")[0].History
		equal(t, "anna's history", len(history), 1)
	})
}

func TestWhyKnowsOfSelectedGroups(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Backend["groups.members_only"] = true })
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna"))
		w.Applied("hq")
		equal(t, "anna", w.why("hq", "anna")[0].In, true)
		bob := w.why("hq", "bob")[0]
		if bob.In || !strings.Contains(bob.Answer, "in none of the selected groups") {
			t.Errorf("bob: %+v", bob)
		}
	})
}

func TestWhyDoesNotSeeWhatAReadingThatIsNotOverStaged(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		records := append([]rec{Person("anna", "title=Queen"), Person("newbie")}, People("q", 1200)...)
		w.Holds("hq", records...)
		seen := false
		w.Dirs.Of("hq").Reading = func(n int) {
			if n != len(records)-1 {
				return
			}
			seen = true
			equal(t, "anna's entries", len(w.why("hq", "anna")), 1)
			if a := w.why("hq", "newbie")[0].Answer; !strings.Contains(a, "brought no such entry") {
				t.Error(a)
			}
		}
		w.Plan("hq")
		equal(t, "asked", seen, true)
	})
}

// says checks the one trace that a word leads to.
func (w *World) says(who string, in bool, parts ...string) {
	w.T.Helper()
	list := w.why("hq", who)
	if len(list) != 1 || list[0].In != in {
		w.T.Errorf("why %s: want one trace, in: %v, got %s", who, in, told(list))
		return
	}
	for _, part := range parts {
		if !strings.Contains(told(list), part) {
			w.T.Errorf("why %s: want %q in %s", who, part, told(list))
		}
	}
}

// told is what a person reads of traces.
func told(list []engine.Why) string {
	var b strings.Builder
	for _, one := range list {
		fmt.Fprintln(&b, one.Answer)
		for _, s := range one.Steps {
			fmt.Fprintf(&b, "  %s: %s\n", s.Step, s.Detail)
		}
	}
	return b.String()
}

// mapped are rules of which no result is a value in the directory.
func mapped(c *setting.Connection) {
	c.Mapping["username"] = setting.Rule{Expr: `lower(givenName) + "." + lower(sn)`}
	c.Mapping["email"] = setting.Rule{Expr: `lower(givenName) + "@mapped.example"`}
	c.Mapping["display_name"] = setting.Rule{Expr: `upper(sn) + ", " + givenName`}
}

func TestWhyFindsPeopleByTheNamesTheRulesMake(t *testing.T) {
	t.Parallel()
	names := []string{"ann.aerts", "Ann.Aerts", "ann@mapped.example", "AERTS, Ann", "Ann Aerts", "id-1", "UID=1,ou=people", "Ann", "1"}
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", mapped)
		w.Holds("hq", Person("1", "givenName=Ann", "sn=Aerts"), Person("2", "givenName=Bob", "sn=Bos"))
		w.Plan("hq")
		for _, who := range names {
			w.says(who, false, "Not in yet: ", "create the account ann.aerts")
		}
		w.Applied("hq")
		for _, who := range append(names, w.Account("ann.aerts").ID.String()) {
			w.says(who, true, "In: ann.aerts is active")
		}
		w.Conn("hq").Limits.IdentityChanges = 1
		w.Holds("hq", Person("1", "givenName=Ann", "sn=Wed"), Person("2", "givenName=Bob", "sn=Bos"))
		w.Applied("hq")
		w.says("ann.aerts", true, "In: ann.wed is active", "nobody is called so now; this entry was")
		// An entry that cannot be used any more changes no account: that keeps its name.
		w.Holds("hq", Person("1", "givenName=", "sn=Else"), Person("2", "givenName=Bob", "sn=Bos"))
		w.Applied("hq")
		for _, who := range []string{"ann.wed", "Ann Wed", "WED, Ann"} {
			w.says(who, false, "Not in: ", "first_name is empty", "is still active")
		}
	})
}

// finding is a source that looks for entries by a script.
type finding struct {
	source.Source
	find func(ctx context.Context, who string) ([]source.Found, error)
}

func (f finding) Unwrap() source.Source { return f.Source }

func (f finding) Find(ctx context.Context, who string) ([]source.Found, error) {
	return f.find(ctx, who)
}

func (w *World) finds(fn func(ctx context.Context, who string) ([]source.Found, error)) {
	w.Engine.Kinds = func(name string) (source.Kind, bool) {
		k, ok := w.Dirs.Kind(name)
		open := k.Open
		k.Open = func(v setting.Values, env source.Env) (source.Source, error) {
			src, err := open(v, env)
			return finding{src, fn}, err
		}
		return k, ok
	}
}

func TestWhyAsksTheDirectoryForPeopleWhoAreNotReadAnyMore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Conn("hq").Limits.Removals = 1
		w.Holds("hq", Person("anna"), Person("bob"), Person("heir"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("heir"))
		w.Applied("hq")
		var found []source.Found
		var failed error
		w.finds(func(ctx context.Context, who string) ([]source.Found, error) {
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("the directory may take all the time in the world")
			}
			equal(t, "asked for", who, "id-bob")
			return found, failed
		})
		entry := func(name string, holds ...bool) source.Found {
			f := source.Found{Name: name}
			for i, h := range holds {
				f.Clauses = append(f.Clauses, source.Clause{Name: "filter", Holds: h, Detail: fmt.Sprintf("part %d says %v", i, h)})
			}
			return f
		}
		const moved, same, other = "uid=bob,ou=elsewhere", "uid=bob,ou=people", "uid=heir,ou=people"
		for name, c := range map[string]struct {
			found  []source.Found
			failed error
			says   string
		}{
			"the filter leaves the entry out":        {found: []source.Found{entry(same, true, false, false)}, says: "Not in: the entry " + same + " is there, but part 1 says false, and part 2 says false."},
			"the entry was moved out of the base":    {found: []source.Found{entry(moved, false)}, says: "Not in: the entry " + moved + " is there, but part 0 says false."},
			"it has come back meanwhile":             {found: []source.Found{entry(same, true)}, says: "the last reading did not bring the entry " + same + ", but it is there now"},
			"somebody else has its ID for a name":    {found: []source.Found{entry(other, true)}, says: "Not in: the entry is no longer in the directory."},
			"its own entry and somebody else's":      {found: []source.Found{entry(other, true), entry(same, false)}, says: "Not in: the entry " + same + " is there, but part 0"},
			"the directory has none":                 {says: "Not in: the entry is no longer in the directory."},
			"the directory does not answer":          {failed: errors.New("no route to host"), says: "could not be asked: no route to host"},
			"nothing is claimed without an answer":   {failed: errors.New("no route"), says: "no longer brought the entry, and the directory itself cannot be asked"},
			"a directory without an entry says when": {says: "asked just now, has no such entry"},
		} {
			found, failed = c.found, c.failed
			for _, who := range []string{"bob", "id-bob", "bob@example.org", same} {
				w.says(who, false, c.says)
			}
			if c.failed != nil && strings.Contains(told(w.why("hq", "bob")), "the entry is no longer in") {
				t.Errorf("%s: it says what it does not know", name)
			}
		}
		w.Dirs.Of("hq").Away = errors.New("it is on fire")
		w.says("bob", false, "directory now: could not be asked: it is on fire")
	})
}

func TestWhyTellsOfThePlanThatWaits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 1})
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", "title=Queen"), Person("bob"), Person("one", "mail=same@example.org"), Person("two", "mail=same@example.org"), Group("staff", "bob", "anna"))
		p := w.Held("hq", "licence").Plan
		held := "Plan " + p.ID + ", which is held (" + strings.TrimSuffix(p.HeldBecause[0], ".")
		w.says("bob", false, "Not in yet: the entry qualifies, and its plan was not applied. "+held, fmt.Sprintf("would create the account bob (row %d: new in the directory), and put the person into 1 group.", w.RowOf(p, "create account bob")))
		w.says("anna", true, "In: anna is active", "waiting plan: plan "+p.ID+", which is held", "update the account's title", "put the person into 1 group")
		w.says("one", false, "Not in: uid=one,ou=people and uid=two,ou=people both claim the email", "would do nothing with this person; left open: ")
		if told := w.why("hq", "anna")[0].Answer; strings.Contains(told, p.ID) {
			t.Errorf("what waits changes nothing about whether anna is in, but: %s", told)
		}
		w.must(func() error { _, err := w.Engine.Reject(t.Context(), *w.Conn("hq"), p.ID, "tester"); return err }())
		w.says("bob", false, "Not in yet: the entry qualifies, and no applied run has made its account.")

		w.Declare(setting.Organization{ID: "org", Name: "Organization"})
		made := w.Plan("hq")
		w.says("bob", false, "Plan "+made.ID+", which waits to be applied, would create the account bob")
		w.Applied("hq")
		w.says("bob", true, "In: bob is active")
		if told := told(w.why("hq", "bob")); strings.Contains(told, "waiting plan") {
			t.Errorf("nothing waits any more, but: %s", told)
		}

		w.Conn("hq").Limits.Removals, w.Conn("hq").Limits.RemovalsMin = 0.1, 1
		w.Conn("hq").Scope = []string{`username != "bob"`}
		gone := w.Held("hq", "").Plan
		w.says("bob", false, "out of scope", "is still active.", "Plan "+gone.ID, "would disable the account")
		run := w.Approve("hq", gone)
		back, err := w.Engine.Revert(t.Context(), *w.Conn("hq"), run.Run.ID, true, options)
		w.must(err)
		w.says("bob", false, "which waits to be applied and undoes run "+run.Run.ID, "would enable the account")
		equal(t, "the plan", back.Plan.Basis.Reverts, run.Run.ID)
	})
}

func TestWhyTakesForANameWhatNamesAPerson(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) {
			c.Mapping["email"] = setting.Rule{Expr: `firstOf(contact, mail)`}
		})
		w.Holds("hq", append(People("p", 8),
			Person("anna", "manager=nobody", "department=it", "title=boss", "cn=Anna A.", "proxyAddresses=smtp:anna@old.example", "employeeNumber=77"),
			Person("bob", "manager=nobody", "department=it", "secretary=cn=boss,ou=people", "contact=bob@contact.example", "sAMAccountName=BOB1"),
		)...)
		w.Applied("hq")
		for _, who := range []string{"nobody", "uid=nobody,ou=people", "it", "boss", "cn=boss,ou=people", "77", "", " "} {
			w.says(who, false, "Not in: the last reading of hq brought no such entry")
		}
		for who, username := range map[string]string{"anna a.": "anna", "anna@old.example": "anna", "bob@contact.example": "bob", "bob1": "bob", " bob ": "bob", "UID=Bob,OU=people": "bob"} {
			w.says(who, true, "In: "+username+" is active")
		}
		list := w.why("hq", "Example")
		equal(t, "of that name are shown", len(list), 5)
		if !strings.Contains(told(list[:1]), "10 entries are called so, of which 5 are shown") {
			t.Error(told(list))
		}
	})
}

func TestWhyShowsWhoIsThereBeforeWhoWentUnderOneName(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Conn("hq").Limits.Removals = 1
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob", "id=other"))
		w.Conn("hq").Policy.NoCreate = true
		w.Applied("hq")
		list := w.why("hq", "bob")
		if len(list) != 2 || !strings.Contains(list[0].Answer, "`no-create` is on") || !strings.Contains(list[1].Answer, "no longer brought") {
			t.Error(told(list))
		}
	})
}

func TestWhyNamesGroupsThatWereDeletedSince(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Conn("hq").Limits.MembershipRemovals, w.Conn("hq").Limits.GroupRemovals = 1, 1
		w.Holds("hq", Person("anna"), Group("staff", "anna"), Group("stays", "anna"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Group("staff"), Group("stays", "anna"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Group("stays", "anna"))
		w.Applied("hq")
		var reasons []string
		for _, e := range w.why("hq", "anna")[0].History {
			if e.Group != nil {
				reasons = append(reasons, string(e.Type)+" "+e.Why)
			}
		}
		equal(t, "deleted groups", strings.Count(strings.Join(reasons, "\n"), "of the deleted group staff: "), 2)
		equal(t, "events of groups", len(reasons), 3)
	})
}

// unscanned is a store whose mirror may not be gone through.
type unscanned struct {
	engine.Store
	t *testing.T
}

func (s unscanned) Mirror() engine.Mirror { return still{s.Store.Mirror(), s.t} }

type still struct {
	engine.Mirror
	t *testing.T
}

func (m still) Each(ctx context.Context, s engine.Selection, kind directory.Kind, fn func([]mirror.Row) error) error {
	if kind == directory.User {
		m.t.Error("it goes through everybody")
	}
	return m.Mirror.Each(ctx, s, kind, fn)
}

func TestWhyGoesThroughNobodyToFindSomebodyByNameOrKey(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", mapped)
		w.Holds("hq", Person("1", "givenName=Ann", "sn=Aerts"), Person("2", "givenName=", "sn=Bos"))
		w.Applied("hq")
		w.Engine.Store = unscanned{w.Store, t}
		for _, who := range []string{"ann.aerts", "ANN@mapped.example", "id-1", "UID=1,ou=people", w.Account("ann.aerts").ID.String()} {
			w.says(who, true, "In: ann.aerts")
		}
		for _, who := range []string{"id-2", "uid=2,ou=people"} {
			w.says(who, false, "first_name is empty")
		}
		w.says("uid=9,ou=people", false, "brought no such entry")
	})
}
