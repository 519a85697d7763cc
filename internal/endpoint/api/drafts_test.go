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
