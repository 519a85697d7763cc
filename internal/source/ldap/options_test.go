package ldap

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"dc1.example.org":         "ldap://dc1.example.org:389",
		"dc1.example.org:1389":    "ldap://dc1.example.org:1389",
		"ldap://dc1":              "ldap://dc1:389",
		"LDAPS://dc1/":            "ldaps://dc1:636",
		"ldaps://dc1:3269":        "ldaps://dc1:3269",
		" ldaps://[2001:db8::1] ": "ldaps://[2001:db8::1]:636",
		"[::1]:389":               "ldap://[::1]:389",
		"http://dc1":              "",
		"ldap://":                 "",
		"ldap://dc1/dc=x":         "",
		"ldap://dc1:70000":        "",
		"ldap://dc1:ldap":         "",
		"ldap://user:secret@dc1":  "",
		"ldaps://dc1?scope=sub":   "",
		"a space.example.org":     "",
	} {
		s, err := parseServer(in)
		if want == "" {
			if err == nil || fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" || strings.Contains(err.Error(), "secret") && in != "ldap://user:secret@dc1" {
				t.Errorf("%q gives %v, %v", in, s, err)
			}
			if err != nil && strings.Contains(err.Error(), ":secret") {
				t.Errorf("a password is in the error: %v", err)
			}
			continue
		}
		if err != nil || s.String() != want {
			t.Errorf("%q gives %v, %v, want %s", in, s, err, want)
		}
	}
}

func TestWrongSettingsAreFoundBeforeAnyNetworkCall(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		v    setting.Values
		want string
	}{
		{"no server", setting.Values{"addr": []string{}}, "addr"},
		{"a filter with a missing bracket", setting.Values{"sync.filter": "(&(mail=*)(sn=*)"}, "sync.filter"},
		{"a filter with too many", setting.Values{"groups.filter": "(cn=a))"}, "groups.filter"},
		{"a filter that is none", setting.Values{"sync.filter": "people"}, "sync.filter"},
		{"an anchor that is no name", setting.Values{"sync.anchor": "entry UUID"}, "sync.anchor"},
		{"an anchor that is everything", setting.Values{"sync.anchor": "*"}, "sync.anchor"},
		{"a broken expression", setting.Values{"groups.include": "(a"}, "groups.include"},
		{"an account without a password", setting.Values{"bind_dn": "cn=a"}, "bind_password"},
		{"a password without an account", setting.Values{"bind_password": "secret"}, "bind_dn"},
		{"a template without its place", setting.Values{"authentication.username_filter_template": "(mail=*)"}, "username_filter_template"},
		{"a template with two", setting.Values{"authentication.username_filter_template": "(|(mail=%s)(uid=%s))"}, "username_filter_template"},
		{"a template with another verb", setting.Values{"authentication.username_filter_template": "(mail=%s%d)"}, "username_filter_template"},
		{"a template that is no filter", setting.Values{"authentication.username_filter_template": "(mail=%s"}, "username_filter_template"},
		{"no page", setting.Values{"sync.page_size": 0}, "sync.page_size"},
		{"a CA file that is not there", setting.Values{"tls.ca_file": "nowhere.pem"}, "tls.ca_file"},
		{"a CA file with nothing in it", setting.Values{"tls.ca_file": bad}, "tls.ca_file"},
		{"a certificate without a key", setting.Values{"tls.cert_file": bad}, "tls.key_file"},
		{"a certificate that is none", setting.Values{"tls.cert_file": bad, "tls.key_file": bad}, "tls.cert_file"},
		{"a pin that is none", setting.Values{"tls.pinned_sha256": "abcd"}, "tls.pinned_sha256"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := setting.Values{"addr": []string{"ldap://nowhere.invalid"}}
			for k, x := range c.v {
				v[k] = x
			}
			_, err := Kind.Open(v, source.Env{Dir: t.TempDir()})
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) || fault.HintOf(err) == "" {
				t.Errorf("%v\nhint: %s", err, fault.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

func TestTheExampleOfTheManualIsTaken(t *testing.T) {
	s, err := decode(setting.Values{
		"addr": []string{"ldaps://dc1.sunfix.com"}, "bind_dn": "cn=readonly,dc=sunfix,dc=com", "bind_password": "x", "base_dn": "dc=sunfix,dc=com", "scope": "sub",
		"sync.page_size": 1000, "sync.filter": "(&(mail=*)(sn=*)(givenName=*)(objectClass=user)(objectCategory=person))",
		"groups.base_dn": "ou=groups,dc=sunfix,dc=com", "groups.filter": "(objectClass=group)", "groups.include": "^Proxy",
		"authentication.username_attribute": "mail", "authentication.username_filter_template": "(&(objectClass=inetOrgPerson)(mail=%s))",
	}, source.Env{})
	if err != nil || s.groups == nil || s.people == nil || s.scope != scopeSub {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSettingsThatDecideWhoIsReadAreMarked(t *testing.T) {
	var got []string
	for _, o := range options {
		if o.Basis {
			got = append(got, o.Name)
		}
		if o.Help == "" || o.Label == "" {
			t.Errorf("%s has no help or label", o.Name)
		}
		if o.Default != "" {
			if _, err := o.Parse(o.Default); err != nil {
				t.Errorf("%s: %v", o.Name, err)
			}
		}
	}
	want := []string{"base_dn", "scope", "sync.filter", "sync.anchor", "groups.base_dn", "groups.filter", "groups.include", "groups.members_only"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAFlagInAFilterIsSentAsTheStandardWantsIt(t *testing.T) {
	b, err := compileFilter("f", "(&(ou:dn:=people)(!(cn:dn:2.5.13.2:=x))(cn=\\01\\01*))")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte{0x84, 1, 0xff}); n != 2 || bytes.Contains(b, []byte{0x84, 1, 1}) {
		t.Errorf("% x", b)
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"(cn=a*b)", "(&(a=b)(!(c>=d)))", "(ou:dn:=x)", "cn=x", "(cn=\\2a)", "((", "(&)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := compileFilter("f", s)
		if err != nil {
			return
		}
		c := cursor(b)
		if _, _, err := c.next(); err != nil || len(c) != 0 {
			t.Fatalf("%q gives % x: %v", s, b, err)
		}
	})
}
