package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
)

// stepNamed gives a step of the doctor.
func stepNamed(t *testing.T, all client.Check, name string) client.Step {
	t.Helper()
	i := slices.IndexFunc(all.Steps, func(s client.Step) bool { return s.Step == name })
	if i < 0 {
		t.Fatalf("there is no step %q in %+v", name, all.Steps)
	}
	return all.Steps[i]
}

func TestSettingsAreCheckedBeforeTheyAreSaved(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		c := working(t, w, "operator")
		w.file("other.csv", "id;email;first_name;last_name\nzoe;zoe@sun.example;Zoe;Up\n")
		before := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest
		var told []string
		all, err := c.CheckDraft(t.Context(), "", json.RawMessage(`{"alias": "new", "organization": "sun", "backend": {"csv": {"path": "other.csv"}}}`),
			func(s client.Step) { told = append(told, s.Step) })
		if err != nil || all.OK || len(told) != len(all.Steps) {
			t.Fatalf("%+v, told of %v, %v", all, told, err)
		}
		if s := stepNamed(t, all, "key column"); s.Verdict != "fail" || s.Section != "layout" || s.Proposal == nil || !slices.Equal(s.Proposal.Columns, []string{"id", "email", "first_name", "last_name"}) {
			t.Errorf("%+v", s)
		}
		all, err = c.CheckDraft(t.Context(), "", json.RawMessage(`{"alias": "new", "organization": "sun", "backend": {"csv": {"path": "other.csv", "key": "id", "passwords": "none"}}, "mapping": {"username": "id"}}`), nil)
		if err != nil || !all.OK {
			t.Fatalf("%+v, %v", all, err)
		}
		if s := stepNamed(t, all, "rows"); s.Count == nil || *s.Count != 1 || !slices.Equal(s.Names, []string{"zoe"}) {
			t.Errorf("%+v", s)
		}
		all, err = c.CheckDraft(t.Context(), "sun-hq", json.RawMessage(`{"mapping": {"email": "no_such_column"}}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		if s := stepNamed(t, all, "problems"); s.Verdict != "warn" || s.Section != "mapping" {
			t.Errorf("%+v", s)
		}
		if all, err = c.Check(t.Context(), "sun-hq", nil); err != nil || stepNamed(t, all, "problems").Verdict != "ok" {
			t.Errorf("the connection itself: %+v, %v", all, err)
		}
		w.refused(422, w.ask("operator", "POST", "/connections/check", `{"alias": "new", "organization": "sun", "backend": {"csv": {"path": "a.csv"}}, "mapping": {"email": {"expr": "lower("}}}`), "email")
		if now := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest; now != before {
			t.Error("a check made something happen")
		}
		w.refused(404, w.ask("operator", "GET", "/connections/new", nil))
	})
}

func TestAChangeIsPlannedBeforeItIsSaved(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		prepared(t, w)
		c := working(t, w, "organization:sun")
		want[client.Connection](w, 201, w.ask("operator", "POST", "/connections", `{"alias": "sun-up", "organization": "sun", "backend": {"csv": {"upload": true, "passwords": "none"}}}`))
		up, err := c.Upload(t.Context(), "sun-up", "people.csv", strings.NewReader("username,email,first_name,last_name\nzoe,zoe@sun.example,Zoe,Up\n"))
		if err != nil {
			t.Fatal(err)
		}
		if run, err := c.Wait(t.Context(), *up.Run, nil); err != nil || run.State != "applied" {
			t.Fatalf("%+v, %v", run, err)
		}
		patch := json.RawMessage(`{"mapping": {"title": {"value": "Boss"}}}`)
		phases := map[string]bool{}
		made, err := c.Preview(t.Context(), "sun-up", patch, func(p client.Progress) { phases[p.Phase] = true })
		if err != nil || !made.Draft || made.Verdict != "held" || len(made.Changes) != 1 || string(made.Changes[0].After) != `{"title":"Boss"}` || !phases["planning"] {
			t.Fatalf("%+v, %v, %v", made, phases, err)
		}
		w.refused(409, w.ask("organization:sun", "POST", "/plans/"+made.ID+"/approve", nil), "settings that are not those")
		// Nobody has to decide about a preview.
		for query, n := range map[string]int{"/plans?connection=sun-up&state=held": 1, "/plans?connection=sun-up&state=held&drafts=false": 0} {
			if got := get[client.Page[client.Plan]](w, "organization:sun", query); len(got.Items) != n {
				t.Errorf("%s: %+v", query, got.Items)
			}
		}
		if got := get[client.Overview](w, "organization:sun", "/overview?health=held"); len(got.Items) != 0 {
			t.Errorf("a preview counts as a plan that waits: %+v", got.Items)
		}
		if _, err := c.UpdateConnection(t.Context(), "sun-up", patch); err != nil {
			t.Fatal(err)
		}
		run, err := c.Approve(t.Context(), made.ID, client.ApproveInput{})
		if err != nil {
			t.Fatal(err)
		}
		if run, err = c.Wait(t.Context(), run.ID, nil); err != nil || run.State != "applied" || run.Summary.Update != 1 {
			t.Errorf("%+v, %v", run, err)
		}
		w.refused(422, w.ask("organization:sun", "POST", "/connections/sun-up/preview", `{"mapping": {"title": {"expr": "lower("}}}`), "title")
	})
}

// fieldNamed gives a field of an entry.
func fieldNamed(t *testing.T, e client.TrialEntry, name string) client.TrialField {
	t.Helper()
	i := slices.IndexFunc(e.Fields, func(f client.TrialField) bool { return f.Field == name })
	if i < 0 {
		t.Fatalf("there is no field %q in %+v", name, e.Fields)
	}
	return e.Fields[i]
}

func told(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func TestRulesAreTriedOnLiveEntriesBeforeTheyAreSaved(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		prepared(t, w)
		c := working(t, w, "organization:sun")
		mark := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest
		scope := []string{`username != "bob"`}
		got, err := c.Try(t.Context(), "sun-hq", client.TryInput{Mapping: map[string]any{"department": map[string]any{"expr": "upper(department)"}, "language": "username", "badge": "groups"}, Scope: &scope, Who: "anna"})
		if err != nil || len(got.Entries) != 1 || got.From != "directory" {
			t.Fatalf("%+v, %v", got, err)
		}
		e := got.Entries[0]
		if f := fieldNamed(t, e, "department"); told(f.Now) != "Sales" || told(f.Then) != "SALES" || !f.Changes || f.Starting || f.Rule.Expr != "upper(department)" || f.RuleNow.Attribute != "department" {
			t.Errorf("%+v", f)
		}
		if f := fieldNamed(t, e, "language"); f.Warning == nil || f.Then != nil {
			t.Errorf("%+v", f)
		}
		if f := fieldNamed(t, e, "email"); told(f.Now) != "anna@sun.example" || !f.Starting || f.Changes {
			t.Errorf("%+v", f)
		}
		if e.Attributes["password"] != nil || e.Attributes["department"][0] != "Sales" || !e.Now.InScope || !e.Then.InScope {
			t.Errorf("%+v", e)
		}
		s := got.Tally
		if s == nil || s.People != 3 || s.InScopeNow != 3 || s.InScopeThen != 2 || s.Leaves != 1 || s.Changes != 3 || s.UsableThen != 3 || len(s.Samples) != 3 {
			t.Fatalf("%+v", s)
		}
		for _, f := range s.Fields {
			if f.Field == "department" && (f.Changes != 3 || f.FilledThen != 3) || f.Field == "language" && (f.Problems != 3 || f.Example == nil) {
				t.Errorf("%+v", f)
			}
		}
		got, err = c.Try(t.Context(), "sun-hq", client.TryInput{Mapping: map[string]any{"email": map[string]any{"value": "x"}}, Limit: 2})
		if err != nil || len(got.Entries) != 2 || got.From != "mirror" || got.Tally.UsableThen != 0 || len(got.Tally.Problems) != 1 || got.Tally.Problems[0].Count != 3 || got.Entries[0].Then.Usable {
			t.Errorf("%+v, %v", got, err)
		}
		got, err = c.Try(t.Context(), "sun-hq", client.TryInput{NoTally: true, Limit: 1})
		if err != nil || len(got.Entries) != 1 || got.Tally != nil {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err = c.Try(t.Context(), "sun-hq", client.TryInput{Who: "nobody", NoTally: true}); err != nil || len(got.Entries) != 0 || len(got.Notes) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		for word, body := range map[string]string{
			"title":       `{"mapping": {"title": {"expr": "lower("}}}`,
			"did you mea": `{"mapping": {"titel": "x"}}`,
			"scope":       `{"scope": ["nosuchfield =="]}`,
			"a secret":    `{"mapping": {"title": "userPassword"}}`,
			"no rule":     `{"mapping": {"email": "none"}}`,
			"one of att":  `{"mapping": {"title": {"attribute": "a", "value": "b"}}}`,
		} {
			w.refused(422, w.ask("organization:sun", "POST", "/connections/sun-hq/try", body), word)
		}
		if now := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest; now != mark {
			t.Error("a trial made something happen")
		}
	})
}
