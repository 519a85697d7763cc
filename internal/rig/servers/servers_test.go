package servers

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/rig/host"
)

var all []*Server

func TestMain(m *testing.M) { os.Exit(withServers(m)) }

func withServers(m *testing.M) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if all, err = StartAll(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := StopAll(all); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// each runs a test on every server, at the same time.
func each(t *testing.T, test func(t *testing.T, s *Server)) {
	for _, s := range all {
		t.Run(s.Vendor, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// look reads below a base as the reader.
func look(t *testing.T, s *Server, base, filter string, attributes ...string) []*ldap.Entry {
	t.Helper()
	c, err := s.Reader()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil))
	if err != nil {
		t.Fatal(err)
	}
	return r.Entries
}

// one is the entry a filter leads to.
func one(t *testing.T, s *Server, filter string, attributes ...string) *ldap.Entry {
	t.Helper()
	found := look(t, s, s.Base, filter, attributes...)
	if len(found) != 1 {
		t.Fatalf("%d entries with %s", len(found), filter)
	}
	return found[0]
}

func (s *Server) uidFilter(uid string) string { return fmt.Sprintf("(%s=%s)", s.dialect.login, uid) }

// members are a group's, less the placeholder.
func members(t *testing.T, s *Server, group string) []string {
	t.Helper()
	found := one(t, s, fmt.Sprintf("(&(cn=%s)(member=*))", ldap.EscapeFilter(group)), "member").GetAttributeValues("member")
	return slices.DeleteFunc(found, func(dn string) bool { return strings.EqualFold(dn, s.placeholder()) })
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheSampleDirectoryIsThereForTheReader(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		people := look(t, s, s.PeopleBase, "(objectClass=person)", s.dialect.login, "cn", "mail", "manager", "title")
		if len(people) != len(company) {
			t.Errorf("%d people, want %d", len(people), len(company))
		}
		for _, p := range s.People() {
			i := slices.IndexFunc(people, func(e *ldap.Entry) bool { return e.GetAttributeValue(s.dialect.login) == p.UID })
			if i < 0 {
				t.Errorf("%s is missing", p.UID)
				continue
			}
			e := people[i]
			if e.GetAttributeValue("cn") != p.Name() || e.GetAttributeValue("mail") != p.Mail || e.GetAttributeValue("title") != p.Title || (p.Manager != "") != (e.GetAttributeValue("manager") != "") {
				t.Errorf("%s: %+v", p.UID, e.Attributes)
			}
		}
		if n := len(members(t, s, "Everyone")); n != len(company) {
			t.Errorf("Everyone has %d members", n)
		}
		if got := members(t, s, "App-Guests"); !slices.ContainsFunc(got, func(dn string) bool { return strings.EqualFold(dn, s.GroupDN("App-All")) }) {
			t.Errorf("App-All is not in App-Guests: %q", got)
		}
	})
}

func TestTheReaderSeesNoPasswordsAndWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		for _, e := range look(t, s, s.PeopleBase, "(objectClass=person)", "userPassword", "unicodePwd") {
			if len(e.Attributes) > 0 {
				t.Fatalf("%s shows %s", e.DN, e.Attributes[0].Name)
			}
		}
		c, err := s.Reader()
		must(t, err)
		defer c.Close()
		dn, err := s.DN("asmith")
		must(t, err)
		if err := replace(c, dn, "title", "Emperor"); !ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
			t.Errorf("writing as the reader: %v", err)
		}
	})
}

func TestEditsOfPeople(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		must(t, s.AddPerson("nova", "Zoë", "Nová, Dr.", "nova@example.org"), s.SetTitle("nova", "Ingénieure"), s.SetManager("nova", "asmith"))
		e := one(t, s, s.uidFilter("nova"), "cn", "title", "manager")
		boss, err := s.DN("asmith")
		must(t, err)
		if e.GetAttributeValue("cn") != "Zoë Nová, Dr." || e.GetAttributeValue("title") != "Ingénieure" || !strings.EqualFold(e.GetAttributeValue("manager"), boss) {
			t.Errorf("%s: %+v", e.DN, e.Attributes)
		}
		must(t, s.AddMember("Büro Köln", "nova"), s.Rename("nova", "Zoë Novák"), s.Move("nova", "Sales, Marketing"), s.SetTitle("nova", ""))
		e = one(t, s, s.uidFilter("nova"), "cn", "title")
		if e.GetAttributeValue("cn") != "Zoë Novák" || e.GetAttributeValue("title") != "" || !strings.Contains(e.DN, "Marketing") {
			t.Errorf("%s: %+v", e.DN, e.Attributes)
		}
		// 389 Directory Server writes the new DN in small letters.
		inGroup := slices.ContainsFunc(members(t, s, "Büro Köln"), func(dn string) bool { return strings.EqualFold(dn, e.DN) })
		if inGroup != s.Follows() {
			t.Errorf("in the group after the rename: %v", inGroup)
		}
		bind := func(password string) error {
			c, err := host.Connect(s.TLSURL, s.CAFile, e.DN, password)
			if err != nil {
				return err
			}
			return c.Close()
		}
		must(t, bind(PersonPassword), s.SetPassword("nova", "Another-Pw-2"), bind("Another-Pw-2"), s.Disable("nova"))
		if bind("Another-Pw-2") == nil {
			t.Error("signed in although disabled")
		}
		must(t, s.Enable("nova"), bind("Another-Pw-2"), s.Delete("nova"))
		if found := look(t, s, s.Base, s.uidFilter("nova"), "1.1"); len(found) != 0 {
			t.Errorf("still there: %s", found[0].DN)
		}
	})
}

func TestEditsOfGroups(t *testing.T) {
	each(t, func(t *testing.T, s *Server) {
		must(t, s.AddGroup("Crew"), s.AddMember("Crew", "kim"), s.AddMember("Crew", "park"), s.NestGroup("App-Admins", "Crew"))
		if got := members(t, s, "Crew"); len(got) != 2 {
			t.Errorf("%q", got)
		}
		must(t, s.RemoveMember("Crew", "kim"), s.RemoveMember("Crew", "park"))
		if found := look(t, s, s.GroupsBase, "(cn=Crew)", "member"); len(found) != 1 || len(found[0].GetAttributeValues("member")) > 1 {
			t.Errorf("after the last left: %+v", found)
		}
		must(t, s.AddMember("Crew", "kim"))
		if got := members(t, s, "Crew"); len(got) != 1 {
			t.Errorf("after one came back: %q", got)
		}
		must(t, s.EmptyGroup("Crew"), s.RenameGroup("Crew", "Team"), s.DeleteGroup("Team"))
		if found := look(t, s, s.GroupsBase, "(|(cn=Crew)(cn=Team))", "1.1"); len(found) != 0 {
			t.Errorf("still there: %s", found[0].DN)
		}
	})
}

func TestPrimaryGroupAndExpiryOfActiveDirectory(t *testing.T) {
	for _, s := range all {
		if s.Vendor != ActiveDirectory {
			if err := s.Expire("sharma", time.Time{}); err == nil {
				t.Errorf("%s expires accounts", s.Vendor)
			}
			continue
		}
		must(t, s.AddPerson("prim", "Prim", "Ary", "prim@example.org"), s.AddGroup("Home", "prim"), s.SetPrimaryGroup("prim", "Home"), s.Expire("prim", time.Now().Add(-time.Hour)))
		if found := look(t, s, s.GroupsBase, "(cn=Home)", "member"); len(found) != 1 || len(found[0].GetAttributeValues("member")) != 0 {
			t.Errorf("%+v", found)
		}
		c, err := host.Connect(s.TLSURL, s.CAFile, "prim@"+realm(s.Base), PersonPassword)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "data 701") {
			t.Errorf("signing in to an expired account: %v", err)
		}
		must(t, s.Expire("prim", time.Time{}), s.MustChangePassword("prim"), s.Delete("prim"), s.DeleteGroup("Home"))
	}
}
