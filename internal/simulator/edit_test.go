package simulator

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

func TestEditsOverLDAP(t *testing.T) {
	s := staff(t, Options{})
	c := dial(t, s, "cn=admin,dc=example,dc=org", "secret")
	anna := s.Tree.Find("uid=anna," + people)

	try(t, c.Add(&ldap.AddRequest{DN: "uid=di," + people, Attributes: []ldap.Attribute{{Type: "objectClass", Vals: []string{"inetOrgPerson"}}, {Type: "SN", Vals: []string{"Dahl"}}}}))
	if e := s.Tree.Find("uid=di," + people); e.First("uid") != "di" || e.First("sn") != "Dahl" {
		t.Errorf("added %v", e.Attrs)
	}
	m := ldap.NewModifyRequest("uid=anna,"+people, nil)
	m.Replace("mail", []string{"anna@example.com", "a@example.com"})
	m.Delete("employeeNumber", nil)
	m.Add("title", []string{"Boss"})
	m.Increment("uidNumber", "5")
	try(t, c.Modify(m))
	now := s.Tree.Find("uid=anna," + people)
	if now.First("uidNumber") != "15" || now.First("title") != "Boss" || len(now.Get("mail")) != 2 || now.Get("employeeNumber") != nil {
		t.Errorf("changed to %v", now.Attrs)
	}
	if now.Changed <= anna.Changed || now.Created != anna.Created || now.UUID != anna.UUID || anna.First("title") != "" {
		t.Errorf("%+v came of %+v", now, anna)
	}
	m = ldap.NewModifyRequest("uid=anna,"+people, nil)
	m.Replace("title", []string{"lost"})
	m.Delete("mail", []string{"nobody@example.org"})
	if err := c.Modify(m); code(err) != 16 {
		t.Errorf("a value that is not there: %v", err)
	}
	if s.Tree.Find("uid=anna,"+people).First("title") != "Boss" {
		t.Error("half of a change was made")
	}

	try(t, c.ModifyDN(ldap.NewModifyDNRequest("uid=anna,"+people, "uid=ann", true, "")))
	renamed := s.Tree.Find("uid=ann," + people)
	if renamed.UUID != anna.UUID || renamed.First("uid") != "ann" || len(renamed.Get("uid")) != 1 {
		t.Errorf("renamed to %v", renamed)
	}
	group := s.Tree.Find("cn=all,ou=groups,dc=example,dc=org")
	if group.First("member") != "uid=ann,"+people || group.Changed != group.Created {
		t.Errorf("the group names %q and has number %d of %d", group.Get("member"), group.Changed, group.Created)
	}
	try(t, c.ModifyDN(ldap.NewModifyDNRequest("ou=people,dc=example,dc=org", "ou=staff", true, "")))
	moved := s.Tree.Find("uid=ann,ou=staff,dc=example,dc=org")
	if moved == nil || moved.Changed != renamed.Changed {
		t.Errorf("below a container that was renamed is %v", moved)
	}
	if g := s.Tree.Find(group.DN); g.First("member") != "uid=ann,ou=staff,dc=example,dc=org" {
		t.Errorf("the group names %q", g.Get("member"))
	}

	if err := c.Del(ldap.NewDelRequest("ou=staff,dc=example,dc=org", nil)); code(err) != 66 {
		t.Errorf("a container with people in it: %v", err)
	}
	try(t, c.Del(ldap.NewDelRequest("uid=ann,ou=staff,dc=example,dc=org", nil)))
	if g := s.Tree.Find(group.DN); len(g.Get("member")) != 1 || g.Changed != group.Changed {
		t.Errorf("after the deletion the group has %q", g.Get("member"))
	}
	for _, x := range []struct {
		name string
		err  error
		code int
	}{
		{"deleted twice", c.Del(ldap.NewDelRequest("uid=ann,ou=staff,dc=example,dc=org", nil)), 32},
		{"added twice", c.Add(&ldap.AddRequest{DN: "uid=bo,ou=staff,dc=example,dc=org"}), 68},
		{"added below nothing", c.Add(&ldap.AddRequest{DN: "uid=x,ou=nowhere,dc=example,dc=org"}), 32},
		{"the naming value taken away", c.Modify(&ldap.ModifyRequest{DN: "uid=bo,ou=staff,dc=example,dc=org", Changes: []ldap.Change{{Operation: 2, Modification: ldap.PartialAttribute{Type: "uid", Vals: []string{"x"}}}}}), 64},
		{"moved below itself", c.ModifyDN(ldap.NewModifyDNRequest("ou=staff,dc=example,dc=org", "ou=x", true, "uid=bo,ou=staff,dc=example,dc=org")), 66},
		{"renamed to one that is there", c.ModifyDN(ldap.NewModifyDNRequest("uid=bo,ou=staff,dc=example,dc=org", "uid=cy", true, "")), 68},
	} {
		if code(x.err) != x.code {
			t.Errorf("%s: %v, want code %d", x.name, x.err, x.code)
		}
	}
	for value, want := range map[string]bool{"bo@example.org": true, "bo@example.com": false} {
		if is, err := c.Compare("uid=bo,ou=staff,dc=example,dc=org", "mail", value); err != nil || is != want {
			t.Errorf("%s compares %v, %v", value, is, err)
		}
	}
	reader := dial(t, s, "uid=bo,ou=staff,dc=example,dc=org", "pw-bo")
	if err := reader.Del(ldap.NewDelRequest("uid=bo,ou=staff,dc=example,dc=org", nil)); code(err) != 50 {
		t.Errorf("a reader writes: %v", err)
	}
}

func TestBinds(t *testing.T) {
	s := staff(t, Options{})
	c := dial(t, s, "", "")
	for _, x := range []struct {
		name, dn, password string
		code               int
	}{
		{"the right password", "UID=anna," + people, "pw-anna", 0},
		{"a wrong one", "uid=anna," + people, "x", 49},
		{"somebody who is not there", "uid=zoe," + people, "x", 49},
		{"no DN", "anna", "x", 34},
	} {
		if err := c.Bind(x.dn, x.password); code(err) != x.code {
			t.Errorf("%s: %v, want code %d", x.name, err, x.code)
		}
	}
	if err := c.UnauthenticatedBind("uid=anna," + people); code(err) != 53 {
		t.Errorf("no password: %v", err)
	}
	// A refused bind leaves nobody signed in.
	if _, err := c.Search(ask("dc=example,dc=org", "(uid=*)")); code(err) != 32 {
		t.Errorf("nobody searches: %v", err)
	}
	try(t, c.Bind("uid=anna,"+people, "pw-anna"))
	if who, err := c.WhoAmI(nil); err != nil || who.AuthzID != "dn:uid=anna,"+people {
		t.Errorf("I am %v, %v", who, err)
	}
	try(t, s.Tree.Modify("uid=bo,"+people, tree.Replace("pwdAccountLockedTime", "000001010000Z")))
	if err := c.Bind("uid=bo,"+people, "pw-bo"); code(err) != 49 {
		t.Errorf("a locked account: %v", err)
	}
}

func TestTLS(t *testing.T) {
	config, ca := certificate(t)
	s := staff(t, Options{TLS: config})
	pem, err := os.ReadFile(ca)
	try(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	trust := &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}

	c := dial(t, s, "", "")
	try(t, c.StartTLS(trust))
	try(t, c.Bind("uid=anna,"+people, "pw-anna"))
	r, err := c.Search(ask(people, "(uid=anna)"))
	if err != nil || len(r.Entries) != 1 {
		t.Errorf("%v, %v", r, err)
	}
	secure, err := ldap.DialURL(s.TLSURL, ldap.DialWithTLSConfig(trust))
	try(t, err)
	defer secure.Close()
	try(t, secure.Bind("uid=anna,"+people, "pw-anna"))
	if err := dial(t, s, "", "").StartTLS(&tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}); err == nil {
		t.Error("a certificate nobody vouches for is taken")
	}

	t.Setenv("LDAPTLS_CACERT", ca)
	for _, args := range [][]string{{"-ZZ", "-H", s.URL}, {"-H", s.TLSURL}} {
		out, status := tool(t, "", "ldapsearch", append(args, "-x", "-LLL", "-D", "uid=anna,"+people, "-w", "pw-anna", "-b", people, "(uid=bo)", "mail")...)
		if status != 0 || !strings.Contains(out, "mail: bo@example.org") {
			t.Errorf("ldapsearch %v: %d\n%s", args, status, out)
		}
	}
}

func TestTheToolsOfOpenLDAPWork(t *testing.T) {
	s := staff(t, Options{})
	admin := []string{"-x", "-H", s.URL, "-D", "cn=admin,dc=example,dc=org", "-w", "secret"}
	out, status := tool(t, `dn: uid=di,ou=people,dc=example,dc=org
changetype: add
objectClass: inetOrgPerson
cn: Di Ünal
sn: Dahl
jpegPhoto:: AAECAw==

dn: uid=bo,ou=people,dc=example,dc=org
changetype: modify
replace: mail
mail: bo@example.com
-
add: title
title: Boss
-
delete: employeeNumber

dn: uid=cy,ou=people,dc=example,dc=org
changetype: modrdn
newrdn: uid=cyd
deleteoldrdn: 1
newsuperior: ou=groups,dc=example,dc=org

dn: uid=anna,ou=people,dc=example,dc=org
changetype: delete
`, "ldapmodify", admin...)
	if status != 0 {
		t.Fatalf("ldapmodify: %d\n%s", status, out)
	}
	search := func(args ...string) string {
		t.Helper()
		out, status := tool(t, "", "ldapsearch", append(append(admin, "-LLL", "-o", "ldif-wrap=no", "-b", "dc=example,dc=org"), args...)...)
		if status != 0 {
			t.Fatalf("ldapsearch %v: %d\n%s", args, status, out)
		}
		return out
	}
	if out := search("(objectClass=inetOrgPerson)", "mail", "title", "jpegPhoto", "employeeNumber", "uid"); out != `dn: uid=bo,ou=people,dc=example,dc=org
mail: bo@example.com
uid: bo
title: Boss

dn: uid=cyd,ou=groups,dc=example,dc=org
mail: cy@example.org
employeeNumber: 2
uid: cyd

dn: uid=di,ou=people,dc=example,dc=org
jpegPhoto:: AAECAw==
uid: di

` {
		t.Errorf("ldapsearch says\n%s", out)
	}
	if out := search("-E", "pr=2/noprompt", "(objectClass=inetOrgPerson)", "1.1"); strings.Count(out, "dn: ") != 3 {
		t.Errorf("in pages:\n%s", out)
	}
	if out, status := tool(t, "", "ldapwhoami", admin...); status != 0 || strings.TrimSpace(out) != "dn:cn=admin,dc=example,dc=org" {
		t.Errorf("ldapwhoami: %d %s", status, out)
	}
}

func TestLDIF(t *testing.T) {
	s := start(t, Options{Personality: &OpenLDAP{}, Seed: 7})
	file := filepath.Join("testdata", "staff.ldif")
	f, err := os.Open(file)
	try(t, err)
	defer f.Close()
	try(t, s.Tree.Load(f))
	e := s.Tree.Find("uid=bo,ou=people,dc=example,dc=org")
	if e == nil || e.First("title") != "Boss of all the bosses" || e.First("cn") != "Bö Berg" || e.First("mail") != "" ||
		tree.FormatUUID(e.UUID) != "11111111-2222-4333-8444-555555555555" {
		t.Errorf("loaded %+v", e)
	}
	if s.Tree.Find("uid=anna,ou=people,dc=example,dc=org") != nil || s.Tree.Find("uid=ann,ou=people,dc=example,dc=org") == nil {
		t.Error("anna was not renamed")
	}
	for _, x := range []struct{ name, ldif, want string }{
		{"no name", "objectClass: top\n", "line 1: the first line is not dn"},
		{"a name by address", "dn: uid=x,dc=example,dc=org\ncn:< file:///etc/passwd\n", "is an address"},
		{"no line at all", "dn: uid=x,dc=example,dc=org\nnonsense\n", "not name: value"},
		{"an unknown change", "\n\ndn: uid=x,dc=example,dc=org\nchangetype: undo\n", "line 3"},
		{"bad base64", "dn: uid=x,dc=example,dc=org\ncn:: ****\n", "not base64"},
	} {
		if err := s.Tree.Load(strings.NewReader(x.ldif)); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", x.name, err, x.want)
		}
	}
}
