package ldap

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
)

func TestAttributesAreFoundByAllTheirNames(t *testing.T) {
	for _, c := range followed {
		t.Run(c.vendor, func(t *testing.T) {
			s := theServer(t, c.vendor)
			wanted := []string{"surname", "rfc822Mailbox", "gn", "2.5.4.12", "sn", "2.5.4.4", "COMMONNAME"}
			anchor := map[string]string{servers.ActiveDirectory: "1.2.840.113556.1.4.2", servers.DirectoryServer: "2.16.840.1.113730.3.1.542"}[c.vendor]
			if anchor == "" {
				anchor = "1.3.6.1.1.16.4"
			}
			got := mustRead(t, mustOpen(t, serverSettings(s, setting.Values{"sync.anchor": anchor, "groups.member_attribute": "2.5.4.31", "groups.name_attribute": "commonName"})), wanted...)
			plain := mustRead(t, mustOpen(t, serverSettings(s, nil)), "sn", "mail", "givenName", "title", "cn")
			if !got.Complete || got.Next == nil || len(got.Notes) != 0 || got.Users != plain.Users || got.Groups != plain.Groups {
				t.Fatalf("%s, under the usual names %s", show(got.Reading), show(plain.Reading))
			}
			for i := range plain.records {
				want := &plain.records[i]
				r := got.find(t, want.Name)
				if r.ID != want.ID || r.ID == "" || r.Problem != "" || !slices.Equal(r.Members, want.Members) {
					t.Fatalf("%+v, want %+v", r, want)
				}
				if r.Kind == directory.Group {
					if r.Attributes[0].Values[0] != want.Attributes[0].Values[0] {
						t.Fatalf("%+v, want %+v", r, want)
					}
					continue
				}
				for as, name := range map[string]string{"surname": "sn", "sn": "sn", "2.5.4.4": "sn", "rfc822Mailbox": "mail", "gn": "givenName", "2.5.4.12": "title", "commonName": "cn"} {
					if !slices.Equal(r.Get(as), want.Get(name)) {
						t.Fatalf("%s is %q, want %q", as, r.Get(as), want.Get(name))
					}
				}
				if r.Get("mail") != nil {
					t.Fatal("what was not asked for by this name")
				}
			}
		})
	}
}

func TestChangesOfAttributesUnderOtherNamesAreFollowed(t *testing.T) {
	for _, c := range followed {
		for _, method := range c.methods {
			t.Run(c.vendor+" by "+method, func(t *testing.T) {
				s := theServer(t, c.vendor)
				f := follow(t, serverSettings(s, setting.Values{"sync.method": method}), "rfc822Mailbox", "2.5.4.12", "sn")
				f.read()
				if err := s.SetTitle(s.People()[13].UID, "Known by number, "+method); err != nil {
					t.Fatal(err)
				}
				f.follows(method)
				if !slices.ContainsFunc(slices.Collect(maps.Values(f.picture)), func(r directory.Record) bool { return r.First("2.5.4.12") == "Known by number, "+method }) {
					t.Error("the change did not come")
				}
				// Another name is another picture, though the server is asked for the same.
				f.wanted = []string{"mail", "title", "surname"}
				if got := f.read(); !got.Full {
					t.Error(show(got))
				}
				f.compare()
			})
		}
	}
}

func TestStreetAddressIsAnotherNameOfStreetWhereItIsOne(t *testing.T) {
	s := startOpenLDAP(t, 2, openldap.Options{})
	modify(t, s, "dn: uid=u0001,PEOPLE\nchangetype: modify\nreplace: street\nstreet: Main Street 1\n")
	one := mustRead(t, mustOpen(t, rigSettings(s, nil)), "streetAddress").find(t, "uid=u0001,ou=people,dc=example,dc=org")
	if one.First("streetAddress") != "Main Street 1" || len(one.Attributes) != 1 {
		t.Errorf("%+v", one)
	}
	f := startFake(t, adRoot, func(c *fakeConn, _ request) bool {
		c.entry("CN=a,DC=x", "objectGUID", strings.Repeat("x", 16), "street", "Main", "streetAddress", "Side")
		c.page(0, "", "")
		return true
	})
	one = mustRead(t, mustOpen(t, f.settings(setting.Values{"sync.method": methodOff})), "streetAddress", "street").find(t, "CN=a,DC=x")
	if one.First("street") != "Main" || one.First("streetAddress") != "Side" || len(one.Attributes) != 2 {
		t.Errorf("in Active Directory they are two: %+v", one)
	}
}

func TestSubtypesAndRangesComeUnderTheNameAskedFor(t *testing.T) {
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		if q.scope == scopeBase {
			rest := q.attributes[0][:strings.IndexByte(q.attributes[0], ';')] + ";range=1-*"
			c.entry(q.base, rest, "b", rest, "c")
			c.done(0, "")
			return true
		}
		c.entry("uid=a,dc=x", "entryUUID", "1", "SN;lang-de", "Ä", "rfc822mailbox", "a@x", "telephoneNumber;range=0-1", "a", "telephoneNumber;range=0-1", "b")
		c.page(0, "", "")
		return true
	})
	got := mustRead(t, mustOpen(t, f.settings(setting.Values{"sync.method": methodOff})), "surname", "mail", "telephoneNumber", "2.5.4.20")
	want := []directory.Attribute{{Name: "surname;lang-de", Values: []string{"Ä"}}, {Name: "mail", Values: []string{"a@x"}},
		{Name: "telephoneNumber", Values: []string{"a", "b", "c"}}, {Name: "2.5.4.20", Values: []string{"a", "b", "c"}}}
	if !got.Complete || !slices.EqualFunc(got.records[0].Attributes, want, func(a, b directory.Attribute) bool { return a.Name == b.Name && slices.Equal(a.Values, b.Values) }) {
		t.Errorf("%+v, %s", got.records, show(got.Reading))
	}
}

func TestANumberWithoutAKnownNameIsTold(t *testing.T) {
	got := mustRead(t, mustOpen(t, rigSettings(rig, nil)), "uid", "2.5.4.4", "1.2.3.4")
	if want := []string{"No attribute came under the number 1.2.3.4: servers answer with names, so ask for it by its name."}; !slices.Equal(got.Notes, want) {
		t.Error(show(got.Reading))
	}
}

func TestNoNameBelongsToTwoTypes(t *testing.T) {
	seen := map[string]string{}
	for _, names := range typeNames {
		for _, name := range names {
			if other, twice := seen[strings.ToLower(name)]; twice {
				t.Errorf("%s is %s and %s", name, other, names[0])
			}
			seen[strings.ToLower(name)] = names[0]
			if typeName(name) != names[0] || typeName(name+";lang-de") != names[0]+";lang-de" || !attributePattern.MatchString(name) || directory.Secret(name) {
				t.Errorf("%s is taken for %s", name, typeName(name))
			}
		}
	}
}
