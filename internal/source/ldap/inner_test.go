package ldap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/source"
)

// kinds are the groups that were handed on, with what they were handed on as.
func kinds(records []directory.Record) string {
	var out []string
	for i := range records {
		if r := &records[i]; r.Kind != directory.User {
			out = append(out, fmt.Sprintf("%s %s %d", r.Kind, nameOf(r), len(r.Members)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func TestGroupsInSelectedOnesAreReadForTheirMembersAlone(t *testing.T) {
	s := startOpenLDAP(t, 5, openldap.Options{})
	group := func(name string, members ...string) string {
		return "dn: cn=" + name + ",GROUPS\nchangetype: add\nobjectClass: groupOfNames\ncn: " + name + "\nmember: " + strings.Join(members, "\nmember: ") + "\n\n"
	}
	modify(t, s, group("App-Before", "uid=u0001,PEOPLE", "CN=Dept\\20Sales, GROUPS")+group("Dept Sales", "uid=u0002,PEOPLE", "cn=Team,GROUPS")+group("Dept-IT", "uid=u0003,PEOPLE")+
		group("App-After", "cn=Dept-IT,GROUPS", "cn=Dept Sales,GROUPS", "cn=App-Before,GROUPS", "cn=nobody,GROUPS")+group("Team", "uid=u0004,PEOPLE", "cn=Dept Sales,GROUPS", "cn=Team,GROUPS"))
	for _, c := range []struct {
		name, want, note string
		v                setting.Values
	}{
		{"however deep, and in a ring", "group App-After 4, group App-Before 2, inner group Dept Sales 2, inner group Dept-IT 1, inner group Team 3",
			"The groups Dept Sales, Dept-IT and Team are in groups that `include` selects, and are not selected themselves: they are read for their members alone.", setting.Values{"groups.include": "^App-[AB][ef]"}},
		{"page by page", "group App-After 4, group App-Before 2, inner group Dept Sales 2, inner group Dept-IT 1, inner group Team 3",
			"The groups Dept Sales, Dept-IT and Team are in groups that `include` selects, and are not selected themselves: they are read for their members alone.", setting.Values{"groups.include": "^App-[AB][ef]", "sync.page_size": 1}},
		{"where one of them is selected too", "group App-Before 2, group Dept Sales 2, inner group Team 3",
			"The group Team is in one that `include` selects, and is not selected itself: it is read for its members alone.", setting.Values{"groups.include": "^(App-Before|Dept Sales)$"}},
		{"but not what a filter leaves out", "group App-After 4, group App-Before 2", "", setting.Values{"groups.include": "^App-", "groups.filter": "(|(cn=App-After)(cn=App-Before))"}},
		{"and nothing where no selected one has another", "group Dept-IT 1", "", setting.Values{"groups.include": "^Dept-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := rigSettings(s, c.v)
			got := mustRead(t, mustOpen(t, v), "uid")
			if kinds(got.records) != c.want || strings.Join(got.Notes, "\n") != c.note || !got.Complete || got.Groups != strings.Count(", "+c.want, ", group ") {
				t.Errorf("%s\n%s\nwant %s", kinds(got.records), show(got.Reading), c.want)
			}
			if step := find(t, check(t, v), "groups"); step.Verdict != source.OK || !strings.Contains(step.Detail, c.note) || *step.Count != got.Groups {
				t.Errorf("%+v", step)
			}
		})
	}
}

func TestOnlyAFewOfManyInnerGroupsAreNamed(t *testing.T) {
	s := simulate(t, simulator.Options{Personality: &simulator.OpenLDAP{Suffix: "dc=example,dc=org", SizeLimit: -1}})
	add := func(dn string, pairs ...string) {
		t.Helper()
		if _, err := s.Tree.Add(dn, pairs...); err != nil {
			t.Fatal(err)
		}
	}
	add("cn=reader,dc=example,dc=org", "objectClass", "inetOrgPerson", "sn", "x", "userPassword", "reads")
	all := []string{"objectClass", "groupOfNames"}
	for i := range 250 {
		dn := fmt.Sprintf("cn=Dept-%d,dc=example,dc=org", i)
		add(dn, "objectClass", "groupOfNames", "member", "cn=reader,dc=example,dc=org")
		all = append(all, "member", dn)
	}
	add("cn=App,dc=example,dc=org", all...)
	got := mustRead(t, mustOpen(t, setting.Values{"addr": []string{s.URL}, "bind_dn": "cn=reader,dc=example,dc=org", "bind_password": "reads", "base_dn": "dc=example,dc=org", "groups.include": "^App"}))
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], " and 240 more are in groups") || len(got.Notes[0]) > 400 || strings.Count(kinds(got.records), "inner group ") != 250 {
		t.Errorf("%d groups, %q", strings.Count(kinds(got.records), "inner group "), got.Notes)
	}
}

func TestChangesOfInnerGroupsAreFollowed(t *testing.T) {
	for _, c := range followed {
		for _, method := range c.methods {
			for _, sweeps := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s by %s, sweeps %v", c.vendor, method, sweeps), func(t *testing.T) { followInner(t, c.vendor, method, sweeps) })
			}
		}
	}
}

func followInner(t *testing.T, vendor, method string, sweeps bool) {
	outer, inner, deep, other := "App-"+method, "Dept-"+method, "Team-"+method, "Other-"+method
	more := setting.Values{"groups.include": "^App-" + method + "$", "sync.method": method}
	s := theServer(t, vendor)
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	who := s.People()[10:14]
	must(s.AddGroup(inner, who[0].UID), s.AddGroup(deep, who[1].UID), s.AddGroup(other, who[2].UID), s.AddGroup(outer, who[3].UID))
	left := []string{deep, other, outer}
	t.Cleanup(func() {
		for _, name := range left {
			if err := s.DeleteGroup(name); err != nil {
				t.Error(err)
			}
		}
	})
	f := follow(t, serverSettings(s, more), "mail")
	groups := func() string {
		var all []directory.Record
		for _, r := range f.picture {
			r.Members = slices.DeleteFunc(slices.Clone(r.Members), func(m string) bool {
				_, there := f.picture[f.former[Refer(m)]]
				return !there
			})
			all = append(all, r)
		}
		return kinds(all)
	}
	if f.read(); groups() != "group "+outer+" 1" {
		t.Fatal(groups())
	}
	step := func(what, want, note string, do ...error) {
		t.Helper()
		must(do...)
		f.now = f.now.Add(time.Hour)
		f.sweep = sweeps
		got := f.follows(method)
		if have := groups(); have != want {
			t.Errorf("%s: %s, want %s; %s", what, have, want, show(got))
		}
		if have := strings.Join(got.Notes, "\n"); have != "" && note == "" || !strings.Contains(have, note) {
			t.Errorf("%s: %s", what, show(got))
		}
	}
	step("a group of which nobody knew is put into the selected one", "group "+outer+" 2, inner group "+inner+" 1", "The group "+inner+" is in one that `include` selects", s.NestGroup(outer, inner))
	step("somebody comes into it", "group "+outer+" 2, inner group "+inner+" 2", "", s.AddMember(inner, who[3].UID))
	step("another group comes into it", "group "+outer+" 2, inner group "+inner+" 3, inner group "+deep+" 1", "The group "+deep, s.NestGroup(inner, deep))
	step("a group is put into that one and left alone after", "group "+outer+" 2, inner group "+inner+" 3, inner group "+other+" 1, inner group "+deep+" 2", "The group "+other, s.NestGroup(deep, other))
	step("somebody goes", "group "+outer+" 2, inner group "+inner+" 2, inner group "+other+" 1, inner group "+deep+" 2", "", s.RemoveMember(inner, who[0].UID))
	step("the selected one gets a name that is not selected", "", "", s.RenameGroup(outer, "Old-"+method))
	step("and its own again", "group "+outer+" 2, inner group "+inner+" 2, inner group "+other+" 1, inner group "+deep+" 2", "The groups "+inner, s.RenameGroup("Old-"+method, outer))
	step("an inner one is deleted", "group "+outer+" 1", "", s.DeleteGroup(inner))
}

func TestDNsArePrintedAsTheyAre(t *testing.T) {
	const dn = `OU=Staff\, EU\5c,dc=example,dc=org`
	v := func(more setting.Values) setting.Values {
		return rigSettings(rig, more)
	}
	_, searched := read(t.Context(), mustOpen(t, v(setting.Values{"base_dn": dn})), "uid")
	_, signed := read(t.Context(), mustOpen(t, v(setting.Values{"bind_dn": dn})), "uid")
	_, denied := read(t.Context(), mustOpen(t, v(setting.Values{"sync.deny_groups": []string{dn}})), "uid")
	_, group := read(t.Context(), mustOpen(t, v(setting.Values{"groups.base_dn": dn})), "uid")
	for _, err := range []error{searched, signed, denied, group} {
		if err == nil || !strings.Contains(err.Error(), `"`+dn+`"`) {
			t.Errorf("%v, want the DN as it is", err)
		}
	}
	if got := quoted("cn=a\nb\x00,dc=x"); got != `"cn=a b ,dc=x"` {
		t.Errorf("control characters become %s", got)
	}
	odd := startOpenLDAP(t, 2, openldap.Options{})
	modify(t, odd, `dn: ou=Staff\, EU,PEOPLE
changetype: add
objectClass: organizationalUnit
ou: Staff, EU

`)
	base := placed(`ou=Staff\, EU,PEOPLE`)
	if step := find(t, check(t, rigSettings(odd, setting.Values{"base_dn": base})), "search"); !strings.Contains(step.Detail, `below "`+base+`" with`) {
		t.Errorf("%+v", step)
	}
	found, err := mustOpen(t, rigSettings(odd, setting.Values{"base_dn": base})).(source.Finder).Find(t.Context(), "u0001")
	if err != nil || len(found) != 1 || found[0].Clauses[0].Detail != `it lies outside of the base "`+base+`"` {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestABaseThatWasRenamedIsFoundByItsID(t *testing.T) {
	for _, c := range followed {
		t.Run(c.vendor, func(t *testing.T) {
			s := theServer(t, c.vendor)
			admin := administrator(t, s)
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			shown, hidden := "OU=Shown,"+s.PeopleBase, "OU=Hidden,"+s.PeopleBase
			do(admin.Add(&goldap.AddRequest{DN: shown, Attributes: []goldap.Attribute{{Type: "objectClass", Vals: []string{"organizationalUnit"}}, {Type: "ou", Vals: []string{"Shown"}}}}))
			f := follow(t, serverSettings(s, setting.Values{"base_dn": shown}), "mail")
			f.read()
			do(admin.ModifyDN(&goldap.ModifyDNRequest{DN: shown, NewRDN: "OU=Hidden", DeleteOldRDN: true}))
			_, err := f.try()
			hint := fault.HintOf(err)
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(fmt.Sprint(err), "no such object") && !strings.Contains(fmt.Sprint(err), "No Such Object") ||
				!strings.Contains(hint, "set base_dn to that") || !strings.Contains(Refer(strings.ReplaceAll(hint, `"`, "")), Refer(hidden)) {
				t.Errorf("%v\n%s", err, hint)
			}
			do(admin.ModifyDN(&goldap.ModifyDNRequest{DN: hidden, NewRDN: "OU=Shown", DeleteOldRDN: true}))
			f.read()
			f.compare()
			do(admin.Del(&goldap.DelRequest{DN: shown}))
			if _, err = f.try(); err == nil || !strings.Contains(fault.HintOf(err), "Check base_dn") {
				t.Errorf("one that was deleted: %v\n%s", err, fault.HintOf(err))
			}
		})
	}
}

func TestABaseThatIsNotThereIsAnErrorOnEveryServer(t *testing.T) {
	for _, c := range followed {
		t.Run(c.vendor, func(t *testing.T) {
			s := theServer(t, c.vendor)
			for _, base := range []string{"base_dn", "groups.base_dn"} {
				_, err := read(t.Context(), mustOpen(t, serverSettings(s, setting.Values{base: "OU=Nowhere," + s.PeopleBase})), "mail")
				if fault.KindOf(err) != fault.Invalid || !strings.Contains(fault.HintOf(err), "Check base_dn and groups.base_dn") {
					t.Errorf("%s: %v", base, err)
				}
			}
			got := mustRead(t, mustOpen(t, serverSettings(s, setting.Values{"sync.filter": "(uid=nobody at all)"})), "mail")
			if !got.Complete || got.Users != 0 {
				t.Errorf("a place with nobody in it: %s", show(got.Reading))
			}
		})
	}
}

func TestWhatAGroupIsCalledIsItsNameOrItsDN(t *testing.T) {
	for _, c := range []struct {
		rec  directory.Record
		want string
	}{
		{directory.Record{Name: "cn=a", Attributes: []directory.Attribute{{Name: "cn", Values: []string{"A\x07B"}}}}, "A B"},
		{directory.Record{Name: "cn=a", Attributes: []directory.Attribute{{Name: "cn"}}}, "cn=a"},
		{directory.Record{Name: "cn=a"}, "cn=a"},
	} {
		if got := nameOf(&c.rec); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
