package ldap

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// administrator signs in to a server as who may do everything.
func administrator(t *testing.T, s *servers.Server) *goldap.Conn {
	t.Helper()
	admin, err := s.Admin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	return admin
}

func TestAnAccountThatSeesWhatWasDeletedNeedsNoSweep(t *testing.T) {
	s := theServer(t, servers.ActiveDirectory)
	admin := administrator(t, s)
	people := s.People()
	if err := s.Delete(people[20].UID); err != nil { // so that there is something to see
		t.Fatal(err)
	}
	var all []*follower
	methods := []string{methodDirSync, methodUSN}
	for _, m := range methods {
		f := follow(t, serverSettings(s, setting.Values{"sync.method": m, "bind_dn": s.AdminDN, "bind_password": s.AdminPassword,
			"sync.filter": "(&(objectCategory=person)(objectClass=user)(!(title=Director)))"}), "sAMAccountName", "mail", "title", "objectSid", "objectGUID")
		f.read()
		all = append(all, f)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rename := func(dn, rdn, above string) func() {
		return func() {
			do(admin.ModifyDN(&goldap.ModifyDNRequest{DN: dn, NewRDN: rdn, DeleteOldRDN: true, NewSuperior: above}))
		}
	}
	for _, c := range []struct {
		name string
		edit func()
	}{
		{"nothing", func() {}},
		{"a person is deleted", func() { do(s.Delete(people[21].UID)) }},
		{"a person leaves the filter", func() { do(s.SetTitle(people[22].UID, "Director")) }},
		{"a person comes into the filter", func() { do(s.SetTitle(people[22].UID, "Engineer")) }},
		{"a person leaves the base", func() { do(s.MoveOut(people[23].UID)) }},
		{"a group is deleted", func() { do(s.DeleteGroup(servers.Groups()[2].Name)) }},
		{"a place is renamed, with people in it", rename("OU=Engineering,"+s.PeopleBase, "OU=Crafts", "")},
		{"a place leaves the base, with people in it", rename("OU=Crafts,"+s.PeopleBase, "OU=Crafts", s.Base)},
		{"a place comes into the base, with people in it", rename("OU=Crafts,"+s.Base, "OU=Crafts", "OU=Board,"+s.PeopleBase)},
		{"another primary group", func() {
			do(s.SetPrimaryGroup(people[24].UID, servers.Groups()[0].Name))
		}},
		{"a primary group that is not read", func() {
			do(s.AddGroup("Outer", people[24].UID))
			do(s.SetPrimaryGroup(people[24].UID, "Outer"))
			rename("CN=Outer,"+s.GroupsBase, "CN=Outer", "CN=Users,"+s.Base)()
		}},
		{"a primary group comes into the base", rename("CN=Outer,CN=Users,"+s.Base, "CN=Outer", s.GroupsBase)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.edit()
			for i, f := range all {
				f.t = t
				f.now = f.now.Add(time.Hour)
				got := f.follows(methods[i])
				if got.Swept || c.name == "nothing" && len(f.whole) > 0 {
					t.Errorf("%s, read %q", show(got), f.whole)
				}
			}
		})
	}
}

func TestThePrimaryGroupIsHandedOn(t *testing.T) {
	s := theServer(t, servers.ActiveDirectory)
	v := serverSettings(s, setting.Values{"groups.base_dn": s.Base})
	got := mustRead(t, mustOpen(t, v), "sAMAccountName", "objectSid", "objectGUID")
	for _, r := range got.records {
		if r.Kind != directory.User || r.First("sAMAccountName") == s.People()[24].UID {
			continue // who was given another one
		}
		if want := "CN=Domain Users,CN=Users," + s.Base; r.Primary != want {
			t.Errorf("%s has the primary group %q, want %q", r.Name, r.Primary, want)
		}
		if !regexp.MustCompile(`^S-1-5-21-\d+-\d+-\d+-\d+$`).MatchString(r.First("objectSid")) || r.First("objectGUID") != string(r.ID) {
			t.Errorf("%q %q %s", r.First("objectSid"), r.First("objectGUID"), r.ID)
		}
	}
	if got.Users < 50 || !got.Complete {
		t.Error(show(got.Reading))
	}
	delete(v, "groups.base_dn")
	if got = mustRead(t, mustOpen(t, v), "sAMAccountName"); got.records[0].Primary != "" {
		t.Error("a primary group, and no groups are read")
	}
}

func TestAGlobalCatalogIsReadAndSaidToBeOne(t *testing.T) {
	s := theServer(t, servers.ActiveDirectory)
	v := serverSettings(s, setting.Values{"addr": []string{strings.TrimSuffix(s.TLSURL, ":636") + ":3269"}})
	got := mustRead(t, mustOpen(t, v), "mail", "sAMAccountName")
	if !got.Complete || got.Users < 50 || got.Next != nil || !slices.Contains(got.Notes, catalogNote) {
		t.Error(show(got.Reading))
	}
	step := find(t, check(t, v), "changes")
	if step.Verdict != source.Warn || !strings.Contains(step.Detail, "Global Catalog") {
		t.Errorf("%+v", step)
	}
}

func TestWhoHasADenyGroupAsPrimaryGroupIsDenied(t *testing.T) {
	s := theServer(t, servers.ActiveDirectory)
	someone := s.People()[40].UID
	if err := errors.Join(s.AddGroup("Locked out", someone), s.SetPrimaryGroup(someone, "Locked out")); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]setting.Values{
		"groups are read":     {"groups.include": "."},
		"groups are not read": {},
	} {
		more["sync.deny_groups"], more["sync.filter"] = []string{"Locked out"}, "(&(objectCategory=person)(objectClass=user)(givenName=*))"
		v := serverSettings(s, more)
		if name == "groups are not read" {
			delete(v, "groups.base_dn")
			v["base_dn"] = s.Base
		}
		got, err := read(t.Context(), mustOpen(t, v), "sAMAccountName", "denied")
		if err != nil {
			t.Fatal(err)
		}
		var who []string
		for _, r := range got.records {
			if r.First("denied") == "TRUE" {
				who = append(who, r.First("sAMAccountName"))
			}
		}
		if !slices.Equal(who, []string{someone}) {
			t.Errorf("%s: %q are denied, want %s", name, who, someone)
		}
	}
}
