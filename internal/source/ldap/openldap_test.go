package ldap

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/setting"
)

// startOpenLDAP starts a directory of n people that a test may change.
func startOpenLDAP(t *testing.T, n int, o openldap.Options) *openldap.Server {
	t.Helper()
	o.LDIF = filepath.Join(t.TempDir(), "seed.ldif")
	text := seed(n) + "dn: ou=sales,ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: sales\n\n"
	for i := range 3 {
		text += fmt.Sprintf("dn: uid=s%[1]d,ou=sales,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: s%[1]d\ncn: S\nsn: S\nmail: s%[1]d@example.org\n\n", i)
	}
	if err := os.WriteFile(o.LDIF, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openldap.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func modify(t *testing.T, s *openldap.Server, ldif string) {
	t.Helper()
	if err := s.Modify(placed(ldif)); err != nil {
		t.Fatal(err)
	}
}

func placed(ldif string) string {
	return strings.NewReplacer("PEOPLE", "ou=people,dc=example,dc=org", "GROUPS", "ou=groups,dc=example,dc=org").Replace(ldif)
}

// openLDAPChanges are what happens in a directory, one after the other.
var openLDAPChanges = []struct{ name, ldif string }{
	{"nothing", ""},
	{"a person is changed", "dn: uid=u0001,PEOPLE\nchangetype: modify\nreplace: mail\nmail: new@example.org\n"},
	{"a person comes", "dn: uid=new,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: new\ncn: New\nsn: New\nmail: n@example.org\n"},
	{"a person is renamed", "dn: uid=u0002,PEOPLE\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n"},
	{"a person is moved", "dn: uid=u0003,PEOPLE\nchangetype: modrdn\nnewrdn: uid=u0003\ndeleteoldrdn: 1\nnewsuperior: ou=sales,PEOPLE\n"},
	{"a person is deleted", "dn: uid=u0004,PEOPLE\nchangetype: delete\n"},
	{"a person leaves the filter", "dn: uid=u0005,PEOPLE\nchangetype: modify\ndelete: mail\n"},
	{"a person comes into the filter", "dn: uid=u0005,PEOPLE\nchangetype: modify\nadd: mail\nmail: again@example.org\n"},
	{"a person leaves the base", "dn: uid=u0006,PEOPLE\nchangetype: modrdn\nnewrdn: uid=u0006\ndeleteoldrdn: 1\nnewsuperior: GROUPS\n"},
	{"a person comes into the base", "dn: uid=u0006,GROUPS\nchangetype: modrdn\nnewrdn: uid=u0006\ndeleteoldrdn: 1\nnewsuperior: PEOPLE\n"},
	{"a group comes, with a group in it", "dn: cn=Outer,GROUPS\nchangetype: add\nobjectClass: groupOfNames\ncn: Outer\nmember: cn=App-Admins,GROUPS\n"},
	{"a group is given a member", "dn: cn=App-Admins,GROUPS\nchangetype: modify\nadd: member\nmember: uid=u0007,PEOPLE\n"},
	{"a group loses a member", "dn: cn=App-Admins,GROUPS\nchangetype: modify\ndelete: member\nmember: uid=u0001,PEOPLE\n"},
	{"a group is renamed", "dn: cn=App-Admins,GROUPS\nchangetype: modrdn\nnewrdn: cn=App-Root\ndeleteoldrdn: 1\n"},
	{"a group is deleted", "dn: cn=Outer,GROUPS\nchangetype: delete\n"},
	{"an empty place comes", "dn: ou=empty,PEOPLE\nchangetype: add\nobjectClass: organizationalUnit\nou: empty\n"},
	{"a place is renamed, with people in it", "dn: ou=sales,PEOPLE\nchangetype: modrdn\nnewrdn: ou=market\ndeleteoldrdn: 1\n"},
	{"a place is moved", "dn: ou=market,PEOPLE\nchangetype: modrdn\nnewrdn: ou=market\ndeleteoldrdn: 1\nnewsuperior: ou=empty,PEOPLE\n"},
	{"a place leaves the base, with people in it", "dn: ou=market,ou=empty,PEOPLE\nchangetype: modrdn\nnewrdn: ou=market\ndeleteoldrdn: 1\nnewsuperior: GROUPS\n"},
	{"a place comes into the base, with people in it", "dn: ou=market,GROUPS\nchangetype: modrdn\nnewrdn: ou=market\ndeleteoldrdn: 1\nnewsuperior: PEOPLE\n"},
	{"a person comes below a person", "dn: uid=below,uid=u0009,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: below\ncn: Below\nsn: Below\nmail: below@example.org\n"},
	{"a person with people below is renamed", "dn: uid=u0009,PEOPLE\nchangetype: modrdn\nnewrdn: uid=above\ndeleteoldrdn: 1\n"},
	{"many changes at once", "dn: uid=u0007,PEOPLE\nchangetype: delete\n\ndn: uid=u0007,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: u0007\ncn: Seven\nsn: Seven\nmail: 7@example.org\n\n" +
		"dn: uid=u0008,PEOPLE\nchangetype: modrdn\nnewrdn: uid=eight\ndeleteoldrdn: 1\n\ndn: uid=eight,PEOPLE\nchangetype: modify\nreplace: sn\nsn: Eight\n"},
}

func TestChangesOfOpenLDAPAreFollowed(t *testing.T) {
	for _, method := range []string{methodSync, methodStamp} {
		t.Run(method, func(t *testing.T) {
			s := startOpenLDAP(t, 30, openldap.Options{})
			f := follow(t, rigSettings(s, setting.Values{"base_dn": "ou=people,dc=example,dc=org", "groups.base_dn": "ou=groups,dc=example,dc=org",
				"sync.filter": "(&(objectClass=inetOrgPerson)(mail=*))", "sync.method": method}), "uid", "mail", "sn")
			if got := f.read(); !got.Full || !got.Complete || got.Method != methodFull || got.Next == nil || got.Users != 33 {
				t.Fatal(show(got))
			}
			for _, c := range openLDAPChanges {
				t.Run(c.name, func(t *testing.T) {
					f.t = t
					if c.ldif != "" {
						modify(t, s, c.ldif)
					}
					f.now = f.now.Add(time.Hour)
					got := f.follows(method)
					if n := len(f.whole); method == methodSync && n > 8 {
						t.Errorf("%d records for one change: %q", n, f.whole)
					}
					if got.Swept != (method == methodStamp) {
						t.Error(show(got))
					}
				})
			}
		})
	}
}

func TestASweepFindsWhomTheMethodDoesNotSee(t *testing.T) {
	s := startOpenLDAP(t, 30, openldap.Options{})
	f := follow(t, rigSettings(s, setting.Values{"sync.method": methodStamp, "sync.sweep_every": 24 * time.Hour, "groups.include": "^App-"}), "uid")
	f.read()
	modify(t, s, "dn: uid=u0004,PEOPLE\nchangetype: delete\n")
	f.now = f.now.Add(time.Hour)
	if got := f.read(); got.Swept || !got.Complete || got.Method != methodStamp || len(f.picture) != 33+3 {
		t.Errorf("%s, %d known", show(got), len(f.picture))
	}
	f.now = f.now.Add(24 * time.Hour)
	if got := f.follows(methodStamp); !got.Swept || f.present == 0 {
		t.Error(show(got))
	}
	// Somebody nobody knows of, though nothing changed: the mirror lost them.
	for key := range f.picture {
		delete(f.picture, key)
		break
	}
	f.sweep = true
	f.follows(methodStamp)
}

func TestWhoIsFoundInTheMiddleOfASweepIsReadWhereTheServerKeepsOneSearch(t *testing.T) {
	s := startOpenLDAP(t, 30, openldap.Options{})
	for _, method := range []string{methodStamp, methodSync} {
		f := follow(t, rigSettings(s, setting.Values{"sync.method": method, "sync.page_size": 7, "sync.filter": "(&(objectClass=inetOrgPerson)(!(title=hidden)))"}), "uid", "mail")
		modify(t, s, "dn: uid=u0004,PEOPLE\nchangetype: modify\nreplace: title\ntitle: hidden\n")
		f.read()
		modify(t, s, "dn: uid=u0004,PEOPLE\nchangetype: modify\nreplace: title\ntitle: shown\n")
		f.now, f.sweep = f.now.Add(time.Hour), true
		if got := f.follows(method); !got.Swept || !slices.Contains(f.whole, "uid=u0004,ou=people,dc=example,dc=org") {
			t.Errorf("%s: %s, read: %q", method, show(got), f.whole)
		}
	}
}

func TestMembersOfPosixGroupsAreFollowed(t *testing.T) {
	for _, method := range []string{methodSync, methodStamp} {
		t.Run(method, func(t *testing.T) {
			s := startOpenLDAP(t, 30, openldap.Options{})
			f := follow(t, rigSettings(s, setting.Values{"sync.method": method, "groups.filter": "(objectClass=posixGroup)", "groups.member_attribute": "memberUid"}), "mail")
			f.read()
			has := func(dn string, want bool) {
				t.Helper()
				for _, r := range f.picture {
					if r.Kind == directory.Group && slices.Contains(r.Members, dn) != want {
						t.Errorf("%s among %q: want %v", dn, r.Members, want)
					}
				}
			}
			modify(t, s, "dn: uid=u0005,PEOPLE\nchangetype: modify\nreplace: uid\nuid: u0005\nuid: nobody\n")
			f.follows(method)
			has("uid=u0005,ou=people,dc=example,dc=org", true)
			// The same person is met as one of all, and as one who changed.
			modify(t, s, "dn: uid=u0003,PEOPLE\nchangetype: modify\nreplace: mail\nmail: new@example.org\n\n"+
				"dn: uid=new,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: new\ncn: New\nsn: New\nmail: n@example.org\n\n"+
				"dn: cn=Posix,GROUPS\nchangetype: modify\nadd: memberUid\nmemberUid: new\n")
			f.follows(method)
			has("uid=u0003,ou=people,dc=example,dc=org", true)
			has("uid=new,ou=people,dc=example,dc=org", true)
			// Two people have one uid: whose it is cannot be told.
			modify(t, s, "dn: uid=u0002,PEOPLE\nchangetype: modify\nadd: uid\nuid: new\n")
			f.follows(method)
			has("uid=new,ou=people,dc=example,dc=org", false)
			has("uid=u0002,ou=people,dc=example,dc=org", false)
		})
	}
}

func TestWhatTheBookmarkNoLongerFitsIsReadAnew(t *testing.T) {
	s := startOpenLDAP(t, 30, openldap.Options{})
	settings := func(more setting.Values) setting.Values {
		v := rigSettings(s, setting.Values{"groups.include": "."})
		for k, x := range more {
			v[k] = x
		}
		return v
	}
	for _, c := range []struct {
		name   string
		change func(f *follower)
		why    string
	}{
		{"another filter", func(f *follower) { f.v = settings(setting.Values{"sync.filter": "(uid=*)"}) }, "filter"},
		{"another account", func(f *follower) {
			f.v = settings(setting.Values{"bind_dn": s.AdminDN, "bind_password": s.AdminPassword})
		}, "account"},
		{"other attributes", func(f *follower) { f.wanted = []string{"mail"} }, "attributes"},
		{"another method", func(f *follower) { f.v = settings(setting.Values{"sync.method": methodStamp}) }, "followed by syncrepl"},
		{"no method", func(f *follower) { f.v = settings(setting.Values{"sync.method": methodOff}) }, "sync.method is off"},
		{"an attribute that changes behind the entry's back", func(f *follower) { f.wanted = []string{"memberof"} }, "memberof"},
		{"garbage", func(f *follower) { f.cursor = []byte("garbage") }, "cannot be read"},
		{"a bookmark of the future", func(f *follower) { f.cursor = []byte(`{"version":99}`) }, "another version"},
		{"a week later", func(f *follower) { f.now = f.now.Add(168 * time.Hour) }, "due every 168h"},
		{"a year earlier", func(f *follower) { f.now = f.now.Add(-8760 * time.Hour) }, "due every"},
		{"a deny group", func(f *follower) { f.v = settings(setting.Values{"sync.deny_groups": []string{"Unique"}}) }, "filter"},
		{"a cookie OpenLDAP could not read", func(f *follower) {
			f.cursor = edited(t, f.cursor, func(b *bookmark) { b.keep("people", []byte("rid=000,csn=x")) })
		}, "no usable cookie for people"},
		{"no cookie for groups", func(f *follower) {
			f.cursor = edited(t, f.cursor, func(b *bookmark) { delete(b.Cookies, "groups") })
		}, "no usable cookie for groups"},
		{"a cookie of the future", func(f *follower) {
			f.cursor = edited(t, f.cursor, func(b *bookmark) {
				b.keep("groups", []byte("rid=000,csn=20990101000000.000000Z#000000#000#000000"))
			})
		}, "consumer state is newer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := follow(t, settings(nil), "uid")
			f.read()
			c.change(f)
			got := f.read()
			if !got.Full || !got.Complete || got.Method != methodFull || !slices.ContainsFunc(got.Notes, func(n string) bool {
				return strings.HasPrefix(n, "Everything was read: ") && strings.Contains(n, c.why)
			}) {
				t.Errorf("%s, want a note of %q", show(got), c.why)
			}
			f.compare()
			if b, err := decodeBookmark(got.Next); err != nil {
				t.Fatal(err)
			} else if b.Method == "" {
				return // changes are not followed
			}
			if got := f.read(); got.Full {
				t.Errorf("and again: %s", show(got))
			}
		})
	}
}

func edited(t *testing.T, c []byte, change func(b *bookmark)) []byte {
	t.Helper()
	b, err := decodeBookmark(c)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	out, err := b.encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAfterARestartOpenLDAPNamesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	s := startOpenLDAP(t, 600, openldap.Options{Dir: dir})
	v := rigSettings(s, setting.Values{"groups.include": "^App-"})
	f := follow(t, v, "uid", "mail")
	f.read()
	modify(t, s, "dn: uid=u0004,PEOPLE\nchangetype: delete\n\ndn: uid=u0005,PEOPLE\nchangetype: modify\nreplace: mail\nmail: x@example.org\n\n"+
		"dn: cn=App-All,GROUPS\nchangetype: delete\n")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s, err := openldap.Start(t.Context(), openldap.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	f.v["addr"] = []string{s.URL}
	if got := f.follows(methodSync); !got.Swept || f.present < 500 || len(f.whole) > 5 || f.announced < 500 {
		t.Errorf("%s, %d present, %d announced, read: %q", show(got), f.present, f.announced, f.whole)
	}
	modify(t, s, "dn: uid=u0006,PEOPLE\nchangetype: delete\n")
	if got := f.follows(methodSync); got.Swept {
		t.Error(show(got))
	}
}

func TestMoreChangesThanTheServerTellsAreReadAsAWhole(t *testing.T) {
	s := startOpenLDAP(t, 4, openldap.Options{SizeLimit: 20})
	f := follow(t, rigSettings(s, nil), "uid", "mail")
	f.read()
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, "dn: uid=n%[1]d,PEOPLE\nchangetype: add\nobjectClass: inetOrgPerson\nuid: n%[1]d\ncn: x\nsn: x\n\n", i)
	}
	modify(t, s, b.String())
	f.follows(methodSync)
	modify(t, s, strings.ReplaceAll(b.String(), "uid=n", "uid=m"))
	modify(t, s, strings.ReplaceAll(b.String(), "uid=n", "uid=o"))
	got := f.read()
	if !got.Full || got.Complete || len(got.Notes) == 0 || !strings.Contains(got.Notes[0], "size limit") {
		t.Error(show(got))
	}
}
