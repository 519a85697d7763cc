package ldap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func mustFind(t *testing.T, v setting.Values, who string) []source.Found {
	t.Helper()
	finder, ok := source.As[source.Finder](mustOpen(t, v))
	if !ok {
		t.Fatal("the source cannot look for one entry")
	}
	found, err := finder.Find(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// told prints clauses a line each: + holds, - does not.
func told(f source.Found) string {
	lines := []string{f.Name}
	for _, c := range f.Clauses {
		mark := "-"
		if c.Holds {
			mark = "+"
		}
		lines = append(lines, mark+" "+c.Name+": "+c.Detail)
	}
	return strings.Join(lines, "\n")
}

func TestSomebodyIsFoundByWhateverNamesThem(t *testing.T) {
	id := string(mustRead(t, mustOpen(t, rigSettings(rig, setting.Values{"sync.filter": "(uid=u0042)"})), "uid").records[0].ID)
	const dn = "uid=u0042,ou=people,dc=example,dc=org"
	for _, c := range []struct {
		name, who string
		want      []string
	}{
		{"a DN", dn, []string{dn}},
		{"a DN in another spelling", "UID=U0042 , OU=People, DC=example,DC=org", []string{dn}},
		{"an e-mail address", "u0042@example.org", []string{dn}},
		{"another of their addresses", "USER42@example.com", []string{dn}},
		{"a login name with space around", " u0042 ", []string{dn}},
		{"a common name", "User 42", []string{dn}},
		{"an external ID", id, []string{dn}},
		{"a group's name", "App-Admins", []string{"cn=App-Admins,ou=groups,dc=example,dc=org"}},
		{"nobody's name", "nobody@example.org", nil},
		{"a DN nobody has", "uid=nobody,ou=people,dc=example,dc=org", nil},
		{"a DN with a type the server does not know", "shoeSize=42", nil},
		{"a star, which is no wildcard", "*", nil},
		{"half a name and a star", "u00*", nil},
		{"brackets, which are no filter", "x)(uid=u0042", nil},
		{"a NUL byte", "u0042\x00", nil},
		{"what is not UTF-8", "\xff\xfe", nil},
		{"nothing", "  ", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range mustFind(t, rigSettings(rig, nil), c.who) {
				got = append(got, f.Name)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q gives %q, want %q", c.who, got, c.want)
			}
		})
	}
}

func TestEachConditionOfBeingReadIsTold(t *testing.T) {
	const dn = "uid=u0001,ou=people,dc=example,dc=org"
	for _, c := range []struct {
		name, who string
		v         setting.Values
		want      string
	}{
		{"all hold", "u0001", setting.Values{"sync.filter": "(&(mail=*)(uid=u0001))"},
			"+ base: it lies below the base \"dc=example,dc=org\"\n+ filter: the filter part (mail=*) matches it\n+ filter: the filter part (uid=u0001) matches it"},
		{"one part does not", "u0001", setting.Values{"sync.filter": "(&(mail=*)(&(title=*)(|(uid=u0001)(uid=x)))(!(employeeNumber=1)))"},
			"+ base: it lies below the base \"dc=example,dc=org\"\n+ filter: the filter part (mail=*) matches it\n- filter: the filter part (title=*) does not match it\n" +
				"+ filter: the filter part (|(uid=u0001)(uid=x)) matches it\n- filter: the filter part (!(employeeNumber=1)) does not match it"},
		{"a filter of one part, without its brackets", "u0001", setting.Values{"sync.filter": "title=Köchin"},
			"+ base: it lies below the base \"dc=example,dc=org\"\n- filter: the filter (title=Köchin) does not match it"},
		{"letters that are escaped stay readable", "u0001", setting.Values{"sync.filter": "(&(uid=*)(title=Köchin)(cn=a\\2ab))"},
			"+ base: it lies below the base \"dc=example,dc=org\"\n+ filter: the filter part (uid=*) matches it\n- filter: the filter part (title=Köchin) does not match it\n" +
				"- filter: the filter part (cn=a\\2ab) does not match it"},
		{"the server's own filter", dn, nil,
			"+ base: it lies below the base \"dc=example,dc=org\"\n+ filter: the filter (objectClass=inetOrgPerson) matches it"},
		{"a filter that is true of everything", dn, setting.Values{"sync.filter": "(&)"},
			"+ base: it lies below the base \"dc=example,dc=org\"\n+ filter: the filter (&) matches it"},
		{"a flag in an extensible match", dn, setting.Values{"sync.filter": "(&(ou:dn:=people)(uid=*))"},
			"+ base: it lies below the base \"dc=example,dc=org\"\n+ filter: the filter part (ou:dn:=people) matches it\n+ filter: the filter part (uid=*) matches it"},
		{"a DN outside of the base", dn, setting.Values{"base_dn": "ou=groups,dc=example,dc=org", "sync.filter": "(uid=*)"},
			"- base: it lies outside of the base \"ou=groups,dc=example,dc=org\"\n+ filter: the filter (uid=*) matches it"},
		{"a name outside of the base", "u0001@example.org", setting.Values{"base_dn": "ou=groups,dc=example,dc=org", "sync.filter": "(uid=*)"},
			"- base: it lies outside of the base \"ou=groups,dc=example,dc=org\"\n+ filter: the filter (uid=*) matches it"},
		{"deeper than one level", dn, setting.Values{"scope": "one", "sync.filter": "(uid=*)"},
			"- base: it is not directly below the base \"dc=example,dc=org\", and scope is one\n+ filter: the filter (uid=*) matches it"},
		{"directly below at one level", dn, setting.Values{"scope": "one", "base_dn": "OU=people, dc=example,dc=org", "sync.filter": "(uid=*)"},
			"+ base: it lies below the base \"OU=people, dc=example,dc=org\"\n+ filter: the filter (uid=*) matches it"},
		{"the base itself at one level", dn, setting.Values{"scope": "one", "base_dn": dn, "sync.filter": "(uid=*)"},
			"- base: it is not directly below the base \"" + dn + "\", and scope is one\n+ filter: the filter (uid=*) matches it"},
		{"not the base itself", dn, setting.Values{"scope": "base", "sync.filter": "(uid=*)"},
			"- base: it is not the base \"dc=example,dc=org\" itself, and scope is base\n+ filter: the filter (uid=*) matches it"},
		{"the base itself", dn, setting.Values{"scope": "base", "base_dn": dn, "sync.filter": "(uid=*)"},
			"+ base: it is the base \"" + dn + "\"\n+ filter: the filter (uid=*) matches it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := mustFind(t, rigSettings(rig, c.v), c.who)
			if len(found) != 1 || told(found[0]) != dn+"\n"+c.want {
				for _, f := range found {
					t.Logf("got:\n%s", told(f))
				}
				t.Errorf("%d entries, want:\n%s\n%s", len(found), dn, c.want)
			}
		})
	}
}

func TestOnlyAHandfulIsFound(t *testing.T) {
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		if q.scope == scopeBase {
			c.entry(q.base)
			c.done(0, "")
			return true
		}
		if q.sizeLimit != mostFound {
			t.Errorf("the server is asked for %d entries at the most", q.sizeLimit)
		}
		for i := range 20 { // more than it was asked for
			c.entry(fmt.Sprintf("cn=Anna %d,dc=x", i))
		}
		c.done(codeSizeLimit, "")
		return true
	})
	if found := mustFind(t, f.settings(nil), "anna"); len(found) != mostFound {
		t.Errorf("%d entries, want %d", len(found), mostFound)
	}
}

func TestAServerThatRefusesToLook(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   int
		kind   fault.Kind
		failed bool
	}{
		{"the right is missing", codeInsufficientAccess, fault.Denied, true},
		{"the base is not there", codeNoSuchObject, fault.Invalid, true},
		{"it took too long", codeTimeLimit, fault.Unavailable, true},
		{"nothing is wrong", 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, plainRoot, func(conn *fakeConn, q request) bool {
				conn.done(c.code, "")
				return true
			})
			finder, _ := source.As[source.Finder](mustOpen(t, f.settings(setting.Values{"base_dn": "ou=a,dc=x"})))
			found, err := finder.Find(t.Context(), "anna")
			if len(found) > 0 || (err != nil) != c.failed || err != nil && fault.KindOf(err) != c.kind {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
}

func TestAConditionTheServerDoesNotAnswerDoesNotHold(t *testing.T) {
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		if q.scope != scopeBase {
			c.entry("cn=Anna,dc=x")
			c.done(0, "")
			return true
		}
		c.done(codeUnwilling, "not today")
		return true
	})
	found := mustFind(t, f.settings(setting.Values{"sync.filter": "(mail=*)"}), "anna")
	if len(found) != 1 || !strings.Contains(told(found[0]), "- filter: the server does not say whether the filter (mail=*) matches it: unwilling to perform: not today") {
		t.Errorf("%+v", found)
	}
}

func TestBinaryExternalIDsAreLookedForAsBytes(t *testing.T) {
	for _, c := range []struct{ name, who, anchor, want string }{
		{"an objectGUID", "13121110-1514-1716-1819-1a1b1c1d1e1f", "objectGUID", "(objectGUID=\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f)"},
		{"one in braces and capitals", "{13121110-1514-1716-1819-1A1B1C1D1E1F}", "objectguid", "(objectguid=\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f)"},
		{"what no objectGUID can be", "anna", "objectGUID", ""},
		{"an anchor that is text", "u*", "employeeNumber", `(employeeNumber=u\2a)`},
		{"an anchor that was shown in hex", "00ff", "objectSid", `(objectSid=00ff)(objectSid=\00\ff)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := nameFilter(c.who, c.anchor)
			_, got, _ = strings.Cut(got, "(displayName=")
			_, got, _ = strings.Cut(got, ")")
			if got != c.want+")" {
				t.Errorf("%q, want %q", got, c.want+")")
			}
			if _, err := compileFilter("f", nameFilter(c.who, c.anchor)); err != nil {
				t.Error(err)
			}
		})
	}
}

func FuzzNameFilter(f *testing.F) {
	for _, s := range []string{"anna", "*", "a)(b", "\\", "\x00", "\xff", "00ff", "cn=a,dc=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, who string) {
		for _, anchor := range []string{"entryUUID", objectGUID} {
			parts, err := filterParts("f", nameFilter(who, anchor))
			if err != nil || len(parts) != 1 {
				t.Fatalf("%q gives %s: %v", who, nameFilter(who, anchor), err)
			}
			// However odd the name, the filter asks for equality and nothing else.
			c := cursor(parts[0].compiled)
			_, content, err := c.next()
			for n := 0; err == nil && len(content) > 0; n++ {
				var tag byte
				if tag, _, err = content.next(); tag != 0xa3 {
					t.Fatalf("%q: part %d of %s is no equality", who, n, nameFilter(who, anchor))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
