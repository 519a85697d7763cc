package storetest

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/setting"
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
			"id-leaver":          {false, "no longer in the directory"},
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
