package okta_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	rig "rollcall.dev/rollcall/internal/rig/okta"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// company is an organization with a few people in two groups, and one application.
func company(t *testing.T) (*rig.Org, *sourcetest.Clock) {
	t.Helper()
	clock := sourcetest.NewClock()
	o := rig.Start(t, clock.Now)
	for _, name := range []string{"anna", "bo", "cy", "dee"} {
		o.Put(sourcetest.Person{ID: "00u" + name, Login: name + "@example.org", Email: name + "@example.org", First: name, Last: "Example"})
	}
	o.PutUser("00ueve", "DEPROVISIONED", map[string]any{"login": "eve@example.org"})
	o.PutGroup(sourcetest.Group{ID: "00gstaff", Name: "Staff", Members: []string{"00uanna", "00ubo"}})
	o.PutGroup(sourcetest.Group{ID: "00gproxy", Name: "Proxy users", Members: []string{"00ubo", "00ucy"}})
	o.Assign("0oawiki", "00uanna", "00udee", "00ueve")
	clock.Pass(time.Hour)
	return o, clock
}

func with(t *testing.T, o *rig.Org, c *sourcetest.Clock, change setting.Values) source.Source {
	t.Helper()
	v := o.Settings()
	delete(v, "groups.include")
	for name, value := range change {
		v[name] = value
	}
	src, err := kind(c).Open(v, source.Env{Guard: sourcetest.Loopback})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// told is what a reading tells, a word each, sorted: an ID, with - where it is gone and
// ? where it is only named; groups with their members behind a colon.
func told(t *testing.T, src source.Source, from source.Cursor, known ...string) (string, source.Reading) {
	t.Helper()
	var out []string
	req := source.Request{From: from}
	if from != nil {
		req.Known = func(_ directory.Kind, id directory.ExternalID) (bool, error) {
			return slices.Contains(known, string(id)), nil
		}
		req.Anew = func() error { return nil }
	}
	r, err := src.Read(t.Context(), req, func(r *directory.Record) error {
		word := string(r.ID)
		if len(r.Members) > 0 {
			word += ":" + strings.Join(r.Members, ",")
		}
		if r.Gone {
			word = "-" + word
		} else if r.Present {
			word = "?" + word
		}
		out = append(out, word)
		return nil
	})
	if err != nil {
		t.Fatalf("%v (%s)", err, fault.HintOf(err))
	}
	slices.Sort(out)
	return strings.Join(out, " "), r
}

func TestWhoIsRead(t *testing.T) {
	for _, c := range []struct {
		name string
		set  setting.Values
		want string
		why  string // of an incomplete reading
	}{
		{"everybody, and no groups without a selection", nil, "00uanna 00ubo 00ucy 00udee 00ueve", ""},
		{"without the deprovisioned", setting.Values{"deprovisioned": false}, "00uanna 00ubo 00ucy 00udee", ""},
		{"the members of a group by name", setting.Values{"people": "groups", "groups.names": []string{"Staff"}},
			"00gstaff:anna@example.org,bo@example.org 00uanna 00ubo", ""},
		{"of groups by expression", setting.Values{"people": "groups", "groups.include": "^Proxy "}, "00gproxy:bo@example.org,cy@example.org 00ubo 00ucy", ""},
		{"of groups by expression, but not some", setting.Values{"people": "groups", "groups.include": ".", "groups.exclude": "^Sta"}, "00gproxy:bo@example.org,cy@example.org 00ubo 00ucy", ""},
		{"a named group that is left out all the same removes nobody", setting.Values{"people": "groups", "groups.names": []string{"Staff", "Proxy users"}, "groups.exclude": "^Sta"}, "00gproxy:bo@example.org,cy@example.org 00ubo 00ucy", "Staff"},
		{"of groups by ID, members by ID", setting.Values{"people": "groups", "groups.ids": []string{"00gstaff"}, "manager": "id"}, "00gstaff:00uanna,00ubo 00uanna 00ubo", ""},
		{"nothing selected is nobody, said loudly", setting.Values{"people": "groups"}, "", "no group is selected"},
		{"a group that is not there removes nobody", setting.Values{"people": "groups", "groups.names": []string{"Staff", "Stuff"}},
			"00gstaff:anna@example.org,bo@example.org 00uanna 00ubo", `no group called "Stuff"`},
		{"an expression that matches none", setting.Values{"groups.include": "^Nobody$"}, "00uanna 00ubo 00ucy 00udee 00ueve", "no group has a name"},
		{"those an application is assigned to", setting.Values{"people": "app", "app": "0oawiki"}, "00uanna 00udee 00ueve", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, clock := company(t)
			got, r := told(t, with(t, o, clock, c.set), nil)
			if got != c.want || r.Complete != (c.why == "") || !strings.Contains(r.Reason, c.why) {
				t.Errorf("%s\nwant %s\ncomplete %v: %s", got, c.want, r.Complete, r.Reason)
			}
		})
	}
}

func TestChangesOfWhoIsRead(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    setting.Values
		known  []string
		change func(*rig.Org)
		want   string
		swept  bool
	}{
		{"who joins a selected group comes, and everybody is named", setting.Values{"people": "groups", "groups.names": []string{"Staff"}}, []string{"00gstaff", "00uanna", "00ubo"},
			func(o *rig.Org) {
				o.PutGroup(sourcetest.Group{ID: "00gstaff", Name: "Staff", Members: []string{"00uanna", "00ucy"}})
			}, "00gstaff:anna@example.org,cy@example.org 00uanna 00ucy", true},
		{"a group that went takes its people along", setting.Values{"people": "groups", "groups.include": "."}, []string{"00gstaff", "00gproxy", "00uanna", "00ubo", "00ucy"},
			func(o *rig.Org) { o.RemoveGroup("00gproxy") }, "00gstaff:anna@example.org,bo@example.org 00uanna 00ubo", true},
		{"a change of a member is one request's matter", setting.Values{"people": "groups", "groups.names": []string{"Staff"}}, []string{"00gstaff", "00uanna", "00ubo"},
			func(o *rig.Org) {
				o.Put(sourcetest.Person{ID: "00ubo", Login: "robert@example.org"})
				o.Put(sourcetest.Person{ID: "00ucy", Login: "of.no.matter@example.org"})
			}, "00ubo", false},
		{"assignments are named each time", setting.Values{"people": "app", "app": "0oawiki"}, []string{"00uanna", "00udee", "00ueve"},
			func(o *rig.Org) { o.Assign("0oawiki", "00uanna", "00ubo") }, "00ubo ?00uanna", true},
		{"a group that is called otherwise now is not read any more", setting.Values{"groups.include": "^Staff"}, []string{"00gstaff", "00uanna", "00ubo", "00ucy", "00udee", "00ueve"},
			func(o *rig.Org) {
				o.PutGroup(sourcetest.Group{ID: "00gstaff", Name: "Crew", Members: []string{"00uanna", "00ubo"}})
			}, "-00gstaff", false},
		{"who is deactivated goes where the deprovisioned are not read", setting.Values{"deprovisioned": false}, []string{"00uanna", "00ubo", "00ucy", "00udee"},
			func(o *rig.Org) { o.Put(sourcetest.Person{ID: "00ucy", Login: "cy@example.org", Disabled: true}) }, "-00ucy", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, clock := company(t)
			src := with(t, o, clock, c.set)
			_, first := told(t, src, nil)
			clock.Pass(time.Hour)
			c.change(o)
			got, r := told(t, src, first.Next, c.known...)
			if got != c.want || r.Swept != c.swept || r.Full || !r.Complete {
				t.Errorf("%q, want %q; swept %v, full %v, %s %q", got, c.want, r.Swept, r.Full, r.Reason, r.Notes)
			}
		})
	}
}

func TestARateLimitIsLeftItsShare(t *testing.T) {
	clock := sourcetest.NewClock()
	o := rig.Start(t, clock.Now)
	o.Limit = 20
	for n := range 200 {
		o.Put(sourcetest.Person{ID: fmt.Sprintf("00u%03d", n), Login: fmt.Sprintf("p%03d@example.org", n)})
	}
	refused := 0
	o.Faults().Set(1, 0, sourcetest.Before(func() { refused++ }))
	_, r := told(t, with(t, o, clock, setting.Values{"rate_share": 50}), nil)
	// 40 pages of people, one of the deprovisioned, 40 of those updated meanwhile: 10 a minute.
	if waited := clock.Waited(); r.Users != 200 || waited < 7*time.Minute || waited > 10*time.Minute {
		t.Errorf("%d people, waited for %s", r.Users, waited)
	}
}

func TestAUserWithAnUnknownStatusOrOddValuesIsRead(t *testing.T) {
	o, clock := company(t)
	o.PutUser("00uodd", "HIBERNATING", map[string]any{"login": "odd@example.org", "status": "the profile's own", "tags": []any{"a", "b", 3, nil}, "manager": nil, "deep": map[string]any{"x": 1}, "password": "hunter2"})
	var got *directory.Record
	look, _ := source.As[source.Looker](with(t, o, clock, nil))
	if err := look.Look(t.Context(), "odd@example.org", nil, func(r *directory.Record) error { got = r; return nil }); err != nil || got == nil {
		t.Fatal(got, err)
	}
	if got.First("status") != "HIBERNATING" || got.First("profile.status") != "the profile's own" || strings.Join(got.Get("tags"), ",") != "a,b,3" || got.Get("manager") != nil || got.Get("password") != nil {
		t.Errorf("%+v", got)
	}
}

func TestSomebodyIsFoundAndToldWhyTheyAreNotRead(t *testing.T) {
	o, clock := company(t)
	for _, c := range []struct {
		name, who string
		set       setting.Values
		want      string
	}{
		{"in a selected group", "anna@example.org", setting.Values{"people": "groups", "groups.names": []string{"Staff"}}, `status=true groups=true`},
		{"in none", "dee@example.org", setting.Values{"people": "groups", "groups.names": []string{"Staff"}}, `status=true groups=false`},
		{"not assigned", "bo@example.org", setting.Values{"people": "app", "app": "0oawiki"}, `status=true application=false`},
		{"deprovisioned", "eve@example.org", setting.Values{"deprovisioned": false}, `status=false`},
		{"nobody", `x" or status eq "ACTIVE`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := with(t, o, clock, c.set)
			finder, _ := source.As[source.Finder](src)
			found, err := finder.Find(t.Context(), c.who)
			var words []string
			for _, f := range found {
				for _, clause := range f.Clauses {
					words = append(words, fmt.Sprintf("%s=%v", clause.Name, clause.Holds))
				}
			}
			if got := strings.Join(words, " "); err != nil || got != c.want {
				t.Errorf("%s, %v, want %s", got, err, c.want)
			}
			looker, _ := source.As[source.Looker](src)
			n := 0
			err = looker.Look(context.WithoutCancel(t.Context()), c.who, nil, func(*directory.Record) error { n++; return nil })
			if want := c.want != "" && !strings.Contains(c.want, "false"); err != nil || (n == 1) != want {
				t.Errorf("%d looked at, %v", n, err)
			}
		})
	}
}

func TestManagersAreKnownByWhatManagerIdHolds(t *testing.T) {
	for _, c := range []struct {
		name, manager, holds string
		want                 string // the attribute that the starting mapping takes
	}{
		{"a login", "login", "bo@example.org", "bo@example.org"},
		{"Okta's ID", "id", "00ubo", "00ubo"},
		{"an employee number", "employeeNumber", "17", "bo@example.org"},
		{"the number of nobody", "employeeNumber", "99", ""},
		{"the number of two", "employeeNumber", "18", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, clock := company(t)
			o.PutUser("00ubo", "ACTIVE", map[string]any{"login": "bo@example.org", "employeeNumber": "17"})
			o.PutUser("00ucy", "ACTIVE", map[string]any{"login": "cy@example.org", "employeeNumber": "18"})
			o.PutUser("00udee", "ACTIVE", map[string]any{"login": "dee@example.org", "employeeNumber": "18"})
			o.PutUser("00uanna", "ACTIVE", map[string]any{"login": "anna@example.org", "managerId": c.holds})
			for _, people := range []string{"all", "groups"} {
				src := with(t, o, clock, setting.Values{"manager": c.manager, "people": people, "groups.names": []string{"Staff"}})
				preset, err := src.Preset(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				refs, got := map[string]string{}, ""
				_, err = src.Read(t.Context(), source.Request{}, func(r *directory.Record) error {
					refs[string(r.ID)] = r.Ref
					if r.ID == "00uanna" {
						got = r.First(preset.Mapping["manager"].Attribute)
					}
					return nil
				})
				if err != nil || got != c.want || c.want != "" && refs["00ubo"] != c.want {
					t.Errorf("people %s: the manager is %q, want %q; refs %v, %v", people, got, c.want, refs, err)
				}
			}
		})
	}
}
