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
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/source"
)

func TestAGroupThatIncludeLeavesOutOfOneThatIsReadIsNamed(t *testing.T) {
	s := startOpenLDAP(t, 5, openldap.Options{})
	group := func(name string, members ...string) string {
		return "dn: cn=" + name + ",GROUPS\nchangetype: add\nobjectClass: groupOfNames\ncn: " + name + "\nmember: " + strings.Join(members, "\nmember: ") + "\n\n"
	}
	modify(t, s, group("App-Before", "uid=u0001,PEOPLE", "CN=Dept\\20Sales, GROUPS")+group("Dept Sales", "uid=u0002,PEOPLE")+group("Dept-IT", "uid=u0003,PEOPLE")+
		group("App-After", "cn=Dept-IT,GROUPS", "cn=Dept Sales,GROUPS", "cn=App-Before,GROUPS", "cn=nobody,GROUPS"))
	v := rigSettings(s, setting.Values{"groups.include": "^App-[AB]"})
	want := []string{
		"App-After has the groups Dept-IT and Dept Sales among its members, which `include` leaves out: their people do not count as members of App-After; select them too.",
		"App-All has the group All among its members, which `include` leaves out: its people do not count as members of App-All; select it too.",
		"App-Before has the group Dept Sales among its members, which `include` leaves out: its people do not count as members of App-Before; select it too.",
	}
	got := mustRead(t, mustOpen(t, v), "uid")
	notes := slices.Sorted(slices.Values(got.Notes))
	if notes[0] = strings.Replace(notes[0], "Dept Sales and Dept-IT", "Dept-IT and Dept Sales", 1); !slices.Equal(notes, want) || !got.Complete {
		t.Errorf("%s, want %q", show(got.Reading), want)
	}
	step := find(t, check(t, v), "groups")
	if step.Verdict != source.Warn || !strings.Contains(step.Detail, want[2]) || !strings.Contains(step.Hint, "groups.include") || *step.Count != 4 {
		t.Errorf("%+v", step)
	}
	for _, c := range []struct {
		name string
		v    setting.Values
	}{
		{"where it is selected too", setting.Values{"groups.include": "^(App-Before|Dept Sales)$"}},
		{"where all groups are read", setting.Values{"groups.members_only": true}},
		{"where a filter leaves it out, of which nothing is known", setting.Values{"groups.include": "^App-", "groups.filter": "(cn=App-*)"}},
		{"where no group that is read has another", setting.Values{"groups.include": "^Dept"}},
	} {
		t.Run("nothing is said "+c.name, func(t *testing.T) {
			v := rigSettings(s, c.v)
			if got := mustRead(t, mustOpen(t, v), "uid"); len(got.Notes) != 0 {
				t.Error(show(got.Reading))
			}
			if step := find(t, check(t, v), "groups"); step.Verdict != source.OK {
				t.Errorf("%+v", step)
			}
		})
	}
}

func TestOnlyAFewOfManyGroupsWithGroupsAreNamed(t *testing.T) {
	s := simulate(t, simulator.Options{Personality: &simulator.OpenLDAP{Suffix: "dc=example,dc=org", SizeLimit: -1}})
	add := func(dn string, pairs ...string) {
		t.Helper()
		if _, err := s.Tree.Add(dn, pairs...); err != nil {
			t.Fatal(err)
		}
	}
	add("cn=reader,dc=example,dc=org", "objectClass", "inetOrgPerson", "sn", "x", "userPassword", "reads")
	var all []string
	for i := range 25 {
		all = append(all, "member", fmt.Sprintf("cn=Dept-%d,dc=example,dc=org", i))
		add(all[2*i+1], "objectClass", "groupOfNames", "member", "cn=reader,dc=example,dc=org")
		add(fmt.Sprintf("cn=App-%02d,dc=example,dc=org", i), append([]string{"objectClass", "groupOfNames"}, all...)...)
	}
	got := mustRead(t, mustOpen(t, setting.Values{"addr": []string{s.URL}, "bind_dn": "cn=reader,dc=example,dc=org", "bind_password": "reads", "base_dn": "dc=example,dc=org", "groups.include": "^App-"}))
	if len(got.Notes) != mostTold+1 || got.Notes[mostTold] != "15 more groups have groups among their members that `include` leaves out." {
		t.Errorf("%d notes: %q", len(got.Notes), got.Notes)
	}
	if text := strings.Join(got.Notes, "\n"); strings.Contains(text, "Dept-10 ") || len(text) > 4000 {
		t.Errorf("more names than a person reads: %s", text)
	}
}

func TestAReadingOfChangesNamesGroupsThatAreLeftOutToo(t *testing.T) {
	for _, c := range followed {
		for _, method := range c.methods {
			t.Run(c.vendor+" by "+method, func(t *testing.T) {
				more := setting.Values{"groups.include": "^App-" + method + "$", "sync.method": method}
				if c.vendor != servers.ApacheDS { // there groups that are left out are known when all are named
					more["sync.sweep_every"] = 100 * time.Hour
				}
				s := theServer(t, c.vendor)
				who := s.People()[12].UID
				inner, outer := "Dept-"+method, "App-"+method
				for _, group := range []string{inner, outer} {
					if err := s.AddGroup(group, who); err != nil {
						t.Fatal(err)
					}
				}
				f := follow(t, serverSettings(s, more), "mail")
				if got := f.read(); len(got.Notes) != 0 {
					t.Fatal(show(got))
				}
				if err := s.NestGroup(outer, inner); err != nil {
					t.Fatal(err)
				}
				f.now = f.now.Add(time.Hour)
				got := f.follows(method)
				if !slices.Equal(got.Notes, []string{outer + " has the group " + inner + " among its members, which `include` leaves out: its people do not count as members of " + outer + "; select it too."}) {
					t.Error(show(got))
				}
				if err := s.RenameGroup(outer, "Old-"+method); err != nil {
					t.Fatal(err)
				}
				f.now = f.now.Add(time.Hour)
				got = f.follows(method)
				if !slices.Equal(got.Notes, []string{"The group Old-" + method + " was read before and is not any more, so its memberships end: `include` leaves out the name it has now."}) {
					t.Error(show(got))
				}
				f.now = f.now.Add(time.Hour)
				if got = f.follows(method); len(got.Notes) != 0 {
					t.Errorf("it is said again: %s", show(got))
				}
			})
		}
	}
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
