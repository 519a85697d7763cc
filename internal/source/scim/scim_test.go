package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// shelf is what was pushed, in memory: entries by the mark of their last change.
type shelf struct {
	state   source.PushedState
	entries map[int64]*source.PushedEntry
	err     error
}

func (s *shelf) State(context.Context) (source.PushedState, error) { return s.state, s.err }

func (s *shelf) Each(_ context.Context, t scim.Type, after int64, fn func(*source.PushedEntry) error) error {
	for mark := range s.state.Mark {
		e := s.entries[mark+1]
		if e == nil || e.Type != t || mark+1 <= after || e.Gone && after == 0 {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return s.err
}

func (s *shelf) Named(_ context.Context, who string) (out []*source.PushedEntry, _ error) {
	for _, e := range s.entries {
		if !e.Gone && e.Body["userName"] == who {
			out = append(out, e)
		}
	}
	return out, s.err
}

func opened(t *testing.T, s *shelf) source.Source {
	t.Helper()
	src, err := open(setting.Values{}, source.Env{Pushed: s})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// object is a resource as a client sends it.
func object(t *testing.T, text string) scim.Object {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var o scim.Object
	if err := d.Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAttributesHaveTheNamesAnAdministratorWouldWrite(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"plain values":                     {`{"userName": "jane", "active": false, "loginCount": 7}`, `active=false loginCount=7 userName=jane`},
		"what is empty is left out":        {`{"title": "", "nickName": null, "emails": [], "name": {}, "roles": [{}]}`, ``},
		"parts of a complex value":         {`{"name": {"givenName": "Jane", "familyName": "Doe"}}`, `name.familyName=Doe name.givenName=Jane`},
		"the primary one comes first":      {`{"emails": [{"type": "home", "value": "h"}, {"type": "work", "value": "w", "primary": true}]}`, `emails=w,h emails.home=h emails.work=w`},
		"several of one type":              {`{"phoneNumbers": [{"type": "work", "value": "1"}, {"type": "work", "value": "2"}, {"value": "3"}]}`, `phoneNumbers=1,2,3 phoneNumbers.work=1,2`},
		"addresses":                        {`{"addresses": [{"type": "work", "locality": "Ghent"}, {"type": "home", "locality": "Paris"}]}`, `addresses.home.locality=Paris addresses.locality=Ghent,Paris addresses.work.locality=Ghent`},
		"plain values in a list":           {`{"emails": ["a", "b", "a"]}`, `emails=a,b`},
		"the enterprise schema is plain":   {`{"` + scim.EnterpriseSchema + `": {"department": "Law", "manager": {"value": "m1", "displayName": "Boss", "$ref": "x"}}}`, `department=Law manager=m1 manager.displayName=Boss`},
		"the core schema comes before it":  {`{"department": "Sales", "` + scim.EnterpriseSchema + `": {"department": "Law"}}`, `department=Sales`},
		"other schemas keep their names":   {`{"urn:example:2.0:User": {"badge": 17, "desk": {"floor": "3"}}}`, `urn:example:2.0:User:badge=17 urn:example:2.0:User:desk.floor=3`},
		"schemas and secrets are left out": {`{"schemas": ["x"], "password": "p", "urn:example:2.0:User": {"apiToken": "s"}}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range attributes(object(t, c.body)) {
				got = append(got, a.Name+"="+strings.Join(a.Values, ","))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %s, want %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

func read(t *testing.T, src source.Source, from source.Cursor) (lines []string, r source.Reading) {
	t.Helper()
	anew := false
	req := source.Request{From: from}
	if from != nil {
		req.Anew = func() error {
			anew = true
			return nil
		}
	}
	r, err := src.Read(t.Context(), req, func(one *directory.Record) error {
		line := fmt.Sprintf("%s %s %q %v", one.Kind, one.ID, one.Name, one.Members)
		if one.Gone {
			line = fmt.Sprintf("%s %s gone", one.Kind, one.ID)
		}
		if one.Kind == directory.Group && !one.Gone && one.Attributes[0].Name != "displayName" {
			t.Errorf("the first attribute of a group is %s", one.Attributes[0].Name)
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil || !r.Complete || anew != (from != nil && r.Full) {
		t.Errorf("%v, %+v, anew %v", err, r, anew)
	}
	return lines, r
}

func TestReadings(t *testing.T) {
	jane := &source.PushedEntry{ID: "1", Type: scim.User, Body: scim.Object{"userName": "jane"}}
	john := &source.PushedEntry{ID: "2", Type: scim.User, Body: scim.Object{"userName": "john"}}
	staff := &source.PushedEntry{ID: "3", Type: scim.Group, Body: scim.Object{"displayName": "Staff", "externalId": "a"}, Members: []string{"1", "2"}}
	s := &shelf{}
	src := opened(t, s)
	lines, r := read(t, src, nil)
	if len(lines) > 0 || !r.Full {
		t.Errorf("of nothing: %q %+v", lines, r)
	}
	before := r.Next
	s.state = source.PushedState{Epoch: "e", Mark: 3}
	s.entries = map[int64]*source.PushedEntry{1: staff, 2: jane, 3: john}
	all := []string{`user 1 "jane" []`, `user 2 "john" []`, `group 3 "Staff" [1 2]`}
	lines, r = read(t, src, before)
	if !slices.Equal(lines, all) || !r.Full || r.Users != 2 || r.Groups != 1 {
		t.Errorf("after nothing: %q %+v", lines, r)
	}
	at := r.Next
	if lines, r = read(t, src, at); len(lines) > 0 || r.Full || r.Method != "push" {
		t.Errorf("of no change: %q %+v", lines, r)
	}
	s.state.Mark = 5
	s.entries = map[int64]*source.PushedEntry{1: staff, 3: john, 5: {ID: "1", Type: scim.User, Gone: true}}
	if lines, r = read(t, src, at); !slices.Equal(lines, []string{"user 1 gone"}) || r.Full {
		t.Errorf("of a removal: %q %+v", lines, r)
	}
	rest := []string{all[1], all[2]}
	for name, change := range map[string]func(*source.PushedState){
		"another epoch":               func(p *source.PushedState) { p.Epoch = "f" },
		"marks that were given back":  func(p *source.PushedState) { p.Mark = 2 },
		"removals that are forgotten": func(p *source.PushedState) { p.Forgotten = 4 },
	} {
		kept := s.state
		change(&s.state)
		if lines, r = read(t, src, at); !r.Full || len(r.Notes) != 1 || s.state.Mark == 5 && !slices.Equal(lines, rest) {
			t.Errorf("%s: %q %+v", name, lines, r)
		}
		s.state = kept
	}
	if lines, r = read(t, src, source.Cursor("nonsense")); !r.Full || !slices.Equal(lines, rest) {
		t.Errorf("of a bookmark that is none: %q %+v", lines, r)
	}
	s.err = errors.New("away")
	if _, err := src.Read(t.Context(), source.Request{}, func(*directory.Record) error { return nil }); err == nil {
		t.Error("a database that is away is read")
	}
}

func TestCheckTellsWhetherSomethingWasPushed(t *testing.T) {
	for name, c := range map[string]struct {
		shelf shelf
		want  string
	}{
		"nothing yet": {shelf{}, "pushes warn: nothing was pushed yet"},
		"people and groups": {shelf{state: source.PushedState{Epoch: "e", Mark: 9, Users: 3, Groups: 1, ChangedAt: time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)}},
			"pushes ok: the last change came at 2026-11-22 08:30:00 UTC; people ok: 3 people; groups ok: 1 group"},
		"all were deleted": {shelf{state: source.PushedState{Epoch: "e", Mark: 9, ChangedAt: time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)}},
			"pushes ok: the last change came at 2026-11-22 08:30:00 UTC; people warn: 0 people; groups ok: 0 groups"},
		"a database that is away": {shelf{err: errors.New("away")}, "pushes fail: away"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			opened(t, &c.shelf).Check(t.Context(), func(s source.Step) { got = append(got, fmt.Sprintf("%s %s: %s", s.Name, s.Verdict, s.Detail)) })
			if strings.Join(got, "; ") != c.want {
				t.Errorf("got %s\nwant %s", strings.Join(got, "; "), c.want)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	for name, v := range map[string]setting.Values{"no request at all": {"rate": 0}, "less than none at once": {"burst": -1}} {
		if _, err := open(v, source.Env{Pushed: &shelf{}}); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := open(setting.Values{}, source.Env{}); err == nil {
		t.Error("it opens where nobody keeps what is pushed")
	}
}

func TestOnePerson(t *testing.T) {
	s := &shelf{state: source.PushedState{Epoch: "e", Mark: 1}, entries: map[int64]*source.PushedEntry{1: {ID: "1", Type: scim.User, Body: scim.Object{"userName": "jane"}}}}
	src := opened(t, s)
	found := 0
	err := src.(source.Looker).Look(t.Context(), "jane", nil, func(r *directory.Record) error {
		found++
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("%d found: %v", found, err)
	}
	list, err := src.(source.Finder).Find(t.Context(), "jane")
	if err != nil || len(list) != 1 || !list[0].Clauses[0].Holds {
		t.Errorf("%v: %v", list, err)
	}
}
