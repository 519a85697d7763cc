package google

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/described"
	rig "rollcall.dev/rollcall/internal/rig/google"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// Every request of a source and every answer of the stand-in, as Google's discovery
// document has them.
func TestRequestsAndAnswersAreAsGoogleDescribesThem(t *testing.T) {
	w := newWorld(t, setting.Values{"groups.include": "."})
	proxy, err := described.Start(t.Context(), described.Google, w.Base)
	if err != nil {
		t.Fatal(err)
	}
	w.set["url"] = proxy.URL
	w.PutUnit("id:03ph8a2z1enx5q0", "/Staff")
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		w.person(id, "/Staff", map[string]any{
			"name": map[string]any{"givenName": id, "familyName": "x", "fullName": id + " x", "displayName": id}, "emails": []any{map[string]any{"address": id + "@example.org", "primary": true}},
			"phones": []any{map[string]any{"value": "+32 2 555 01 01", "type": "work"}}, "relations": []any{map[string]any{"type": "manager", "value": "a@example.org"}},
			"organizations": []any{map[string]any{"title": "Engineer", "primary": true}}, "aliases": []string{id + "-alias@example.org"}, "isAdmin": id == "a", "creationTime": "2026-01-02T03:04:05.000Z",
			"customSchemas": map[string]any{"HR": map[string]any{"badge": "17", "cards": []any{map[string]any{"value": "x", "type": "work"}}}}, "suspended": id == "b", "archived": id == "c",
		})
	}
	w.group("g1", "Outer", person("a"), person("b"), nested("g2"), rig.Member{Type: "CUSTOMER"})
	w.group("g2", "Inner", person("c"))
	for _, set := range []setting.Values{
		{"people": "all"}, {"people": "groups"}, {"people": "all", "org_units": []string{"/Staff"}}, {"people": "all", "domain": "example.org"},
	} {
		for name, v := range set {
			w.set[name] = v
		}
		if _, r := w.read("name.givenName", "phones.work", "manager", "organizations.primary.title", "customSchemas.HR.badge", "aliases"); !r.Complete || r.Users != 7 {
			t.Errorf("%v: %+v", set, r)
		}
		delete(w.set, "org_units")
		delete(w.set, "domain")
	}
	src := w.open()
	src.Check(t.Context(), func(s source.Step) {
		if s.Verdict == source.Fail {
			t.Errorf("%s: %s", s.Name, s.Detail)
		}
	})
	for _, who := range []string{"a@example.org", "b-alias@example.org", "nobody@example.org", "a"} {
		if _, err := src.Find(t.Context(), who); err != nil {
			t.Error(err)
		}
		if err := src.Look(t.Context(), who, nil, func(*directory.Record) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	w.faults.Set(2, 1, sourcetest.Says(w.Throttles()[0].Answer))
	w.read()
	w.faults.Set(1, 1, sourcetest.Says(w.Refusal()))
	if _, err := w.open().Read(t.Context(), source.Request{}, func(*directory.Record) error { return nil }); err == nil {
		t.Error("a refusal is no error")
	}
	violations, err := proxy.Stop()
	if err != nil {
		t.Error(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// The check itself has to find something: this stand-in gives what Google does not.
func TestWhatGoogleDoesNotKnowIsFound(t *testing.T) {
	w := newWorld(t, nil)
	w.person("a", "/", map[string]any{"suspended": "no", "favouriteColour": "green"})
	proxy, err := described.Start(t.Context(), described.Google, w.Base)
	if err != nil {
		t.Fatal(err)
	}
	w.set["url"] = proxy.URL
	_, _ = w.open().one(t.Context(), wishFor(nil), "a")
	_, _ = w.open().api.Get(t.Context(), root+"/users?customer=my_customer&maxResults=501", nil, nil)
	_, _ = w.open().api.Get(t.Context(), root+"/people?pageSize=1", nil, nil)
	violations, err := proxy.Stop()
	text := strings.Join(violations, "\n")
	for _, want := range []string{"must be boolean", "must be <= 500", "no such operation"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not found in\n%s", want, text)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
