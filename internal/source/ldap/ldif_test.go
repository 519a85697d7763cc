package ldap

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/apacheds"
	"rollcall.dev/rollcall/internal/rig/dirsrv"
	"rollcall.dev/rollcall/internal/rig/host"
	"rollcall.dev/rollcall/internal/setting"
)

// smallSeed is a directory of n people, a place with three more, and groups.
func smallSeed(n int) string {
	const base = "dc=example,dc=org"
	var b strings.Builder
	for _, ou := range []string{"people", "groups"} {
		fmt.Fprintf(&b, "dn: ou=%[1]s,%[2]s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, base)
	}
	fmt.Fprintf(&b, "dn: ou=sales,ou=people,%s\nobjectClass: organizationalUnit\nou: sales\n\n", base)
	person := func(uid, place string) {
		fmt.Fprintf(&b, "dn: uid=%[1]s,%[2]sou=people,%[3]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: User\nsn: Name\nmail: %[1]s@example.org\n\n", uid, place, base)
	}
	for i := range n {
		person(fmt.Sprintf("u%04d", i), "")
	}
	for i := range 3 {
		person(fmt.Sprintf("s%d", i), "ou=sales,")
	}
	fmt.Fprintf(&b, "dn: cn=App-Admins,ou=groups,%[1]s\nobjectClass: groupOfNames\ncn: App-Admins\nmember: uid=u0001,ou=people,%[1]s\n\n", base)
	fmt.Fprintf(&b, "dn: cn=App-Sales,ou=groups,%[1]s\nobjectClass: groupOfNames\ncn: App-Sales\nmember: uid=s1,ou=sales,ou=people,%[1]s\nmember: uid=u0003,ou=people,%[1]s\n", base)
	return b.String()
}

func accessSettings(a host.Access, more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{a.TLSURL}, "tls.ca_file": a.CAFile, "bind_dn": a.ReaderDN, "bind_password": a.ReaderPassword, "base_dn": a.Base}
	for k, x := range more {
		v[k] = x
	}
	return v
}

func TestChangesOfServersThatTakeLDIFAreFollowed(t *testing.T) {
	seedFile := filepath.Join(t.TempDir(), "seed.ldif")
	if err := os.WriteFile(seedFile, []byte(smallSeed(30)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		methods []string
		start   func(t *testing.T) (host.Access, func(ldif string) error)
	}{
		{vendor389, []string{methodSync, methodStamp}, func(t *testing.T) (host.Access, func(string) error) {
			s, err := dirsrv.Start(t.Context(), dirsrv.Options{LDIF: seedFile})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			return s.Access, func(ldif string) error { return s.Modify(t.Context(), ldif) }
		}},
		{vendorApache, []string{methodStamp}, func(t *testing.T) (host.Access, func(string) error) {
			s, err := apacheds.Start(t.Context(), apacheds.Options{LDIF: seedFile})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			return s.Access, func(ldif string) error { return s.Modify(t.Context(), ldif) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			access, modify := c.start(t)
			var all []*follower
			for _, method := range c.methods {
				f := follow(t, accessSettings(access, setting.Values{"base_dn": "ou=people,dc=example,dc=org", "groups.base_dn": "ou=groups,dc=example,dc=org",
					"sync.filter": "(&(objectClass=inetOrgPerson)(mail=*))", "sync.method": method}), "uid", "mail", "sn")
				if got := f.read(); !got.Full || !got.Complete || got.Next == nil || got.Users != 33 {
					t.Fatal(show(got))
				}
				all = append(all, f)
			}
			for _, change := range openLDAPChanges {
				t.Run(change.name, func(t *testing.T) {
					if change.ldif != "" {
						if err := modify(placed(change.ldif)); err != nil {
							t.Fatal(err)
						}
					}
					for i, f := range all {
						t.Run(c.methods[i], func(t *testing.T) {
							f.t = t
							f.now = f.now.Add(time.Hour)
							got := f.follows(c.methods[i])
							t.Log(show(got), f.whole)
						})
					}
				})
			}
		})
	}
}
