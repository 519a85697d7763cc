package okta_test

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/described"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// Every request of a source and every answer of the stand-in, as Okta describes them.
func TestRequestsAndAnswersAreAsOktaDescribesThem(t *testing.T) {
	o, clock := company(t)
	o.PageSize, o.DPoP = 2, true
	proxy, err := described.Start(t.Context(), described.Okta, o.URL)
	if err != nil {
		t.Fatal(err)
	}
	o.Via = proxy.URL
	for _, name := range []string{"fay", "gus", "hal", "ivy"} {
		o.Put(sourcetest.Person{ID: "00u" + name, Login: name + "@example.org", Email: name + "@example.org", First: name, Last: "Example", Manager: "00uanna"})
	}
	o.PutUser("00ueve", "DEPROVISIONED", map[string]any{"login": "eve@example.org", "email": "eve@example.org", "firstName": "Eve", "lastName": "Example"})
	for _, set := range []setting.Values{
		{"groups.include": "."}, {"people": "groups", "groups.names": []string{"Staff"}}, {"people": "app", "app": "0oawiki", "sync.page_size": 100, "groups.include": "."},
	} {
		src := with(t, o, clock, set)
		_, first := told(t, src, nil)
		clock.Pass(2 * time.Hour)
		o.Put(sourcetest.Person{ID: "00ufay", Login: "fay@example.org", Email: "fay2@example.org", First: "Fay", Last: "Example"})
		o.PutGroup(sourcetest.Group{ID: "00gstaff", Name: "Staff", Members: []string{"00uanna", "00ufay"}})
		_, second := told(t, src, first.Next, "00uanna")
		clock.Pass(25 * time.Hour)
		o.ExpireTokens()
		o.Faults().Set(2, 1, sourcetest.Says(o.Refusal()))
		if _, err := src.Read(t.Context(), source.Request{}, func(*directory.Record) error { return nil }); err == nil {
			t.Error("a refusal is no error")
		}
		o.Faults().Set(2, 1, sourcetest.Says(o.Throttles()[0].Answer))
		if _, r := told(t, src, second.Next, "00uanna"); !r.Swept || !r.Complete {
			t.Errorf("%+v", r)
		}
		o.Faults().Clear()
		finder, _ := source.As[source.Finder](src)
		for _, who := range []string{"anna@example.org", "00u1ero7vZFVEIYLWPBN"} {
			if _, err := finder.Find(t.Context(), who); err != nil {
				t.Error(err)
			}
		}
		src.Check(t.Context(), func(s source.Step) {
			if s.Verdict == source.Fail {
				t.Errorf("%s: %s", s.Name, s.Detail)
			}
		})
	}
	violations, err := proxy.Stop()
	if err != nil {
		t.Error(err)
	}
	for _, v := range violations {
		if !strings.Contains(v, "/oauth2/v1/token") && v != "" { // which is not described
			t.Error(v)
		}
	}
	if o.Requests() < 100 {
		t.Errorf("only %d requests went through", o.Requests())
	}
}
