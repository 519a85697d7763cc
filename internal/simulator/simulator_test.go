package simulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// certificate is one for loopback, signed by itself.
func certificate(t *testing.T) (server *tls.Config, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulator"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, ca
}

// start starts a server and ends it with the test.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// dial signs in; a name of "" does not.
func dial(t *testing.T, s *Server, dn, password string) *ldap.Conn {
	t.Helper()
	c, err := ldap.DialURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.SetTimeout(20 * time.Second)
	if dn != "" {
		if err := c.Bind(dn, password); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask searches below a base.
func ask(base, filter string, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, nil)
}

// names are the first RDN values of entries, sorted.
func names(r *ldap.SearchResult) string {
	var out []string
	for _, e := range r.Entries {
		rdn, _ := tree.SplitDN(e.DN)
		_, value, _ := strings.Cut(rdn, "=")
		out = append(out, value)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// code is the result code of an error, 0 of none.
func code(err error) int {
	var e *ldap.Error
	if errors.As(err, &e) {
		return int(e.ResultCode)
	}
	if err != nil {
		return -1
	}
	return 0
}

// tool runs one of OpenLDAP's client tools.
func tool(t *testing.T, stdin string, name string, args ...string) (out string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(b), exit.ExitCode()
	}
	try(t, err)
	return string(b), 0
}

const people = "ou=people,dc=example,dc=org"

// staff is an OpenLDAP with some people and two groups.
func staff(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Personality == nil {
		o.Personality = &OpenLDAP{}
	}
	s := start(t, o)
	for i, name := range []string{"anna", "bo", "cy"} {
		must[*tree.Entry](t)(s.Tree.Add("uid="+name+","+people, "objectClass", "inetOrgPerson", "cn", name, "sn", "Ames",
			"mail", name+"@example.org", "userPassword", "pw-"+name, "employeeNumber", fmt.Sprint(i), "uidNumber", fmt.Sprint(10+i), "cn;lang-de", name+"-de"))
	}
	must[*tree.Entry](t)(s.Tree.Add("cn=all,ou=groups,dc=example,dc=org", "objectClass", "groupOfNames", "member", "uid=anna,"+people, "member", "uid=bo,"+people))
	must[*tree.Entry](t)(s.Tree.Add("cn=top,ou=groups,dc=example,dc=org", "objectClass", "groupOfNames", "member", "cn=all,ou=groups,dc=example,dc=org"))
	return s
}

func TestFilters(t *testing.T) {
	s := staff(t, Options{})
	c := dial(t, s, "cn=admin,dc=example,dc=org", "secret")
	for _, x := range []struct{ filter, want string }{
		{"(uid=ANNA)", "anna"},
		{"(uid=*)", "anna bo cy"},
		{"(mail=*@EXAMPLE.org)", "anna bo cy"},
		{"(mail=a*@*org)", "anna"},
		{"(mail=*n*n*n*a@example.org)", ""},
		{"(mail=*n*na@example.org)", "anna"},
		{"(&(uid=*)(!(uid=bo)))", "anna cy"},
		{"(|(uid=bo)(uid=cy)(uid=nobody))", "bo cy"},
		{"(&)", "all anna bo cy example groups people top"},
		{"(|)", ""},
		{"(uidNumber>=11)", "bo cy"},
		{"(uidNumber<=11)", "anna bo"},
		{"(uidNumber>=9)", "anna bo cy"},
		{"(uidNumber=x)", ""},
		{"(!(uidNumber=x))", ""},
		{"(sn~=ames)", "anna bo cy"},
		{"(userPassword=pw-anna)", ""},
		{"(!(userPassword=pw-anna))", ""},
		{"(cn=anna-de)", "anna"},
		{"(cn;lang-de=anna-de)", "anna"},
		{"(cn;lang-de=anna)", ""},
		{"(member=UID=anna,  ou=people,dc=example,dc=org)", "all"},
		{"(memberOf=cn=all,ou=groups,dc=example,dc=org)", "anna bo"},
		{"(memberOf:1.2.840.113556.1.4.1941:=cn=top,ou=groups,dc=example,dc=org)", "all anna bo"},
		{"(member:1.2.840.113556.1.4.1941:=uid=bo,ou=people,dc=example,dc=org)", "all top"},
		{"(uidNumber:1.2.840.113556.1.4.803:=10)", "anna bo"},
		{"(uidNumber:1.2.840.113556.1.4.804:=5)", "bo cy"},
		{"(uid:caseExactMatch:=ANNA)", ""},
		{"(uid:2.5.13.5:=anna)", "anna"},
		{"(ou:dn:=people)", "anna bo cy people"},
		{"(:dn:2.5.13.2:=GROUPS)", "all groups top"},
		{"(uid:1.2.3.4:=anna)", ""},
		{`(uid=\61nna)`, "anna"},
	} {
		t.Run(x.filter, func(t *testing.T) {
			r, err := c.Search(ask("dc=example,dc=org", x.filter, "1.1"))
			try(t, err)
			if got := names(r); got != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
}

func TestScopesAndBases(t *testing.T) {
	s := staff(t, Options{})
	c := dial(t, s, "cn=admin,dc=example,dc=org", "secret")
	for _, x := range []struct {
		name, base string
		scope      int
		want       string
		code       int
	}{
		{"the base alone", people, ldap.ScopeBaseObject, "people", 0},
		{"one level", people, ldap.ScopeSingleLevel, "anna bo cy", 0},
		{"all below", "OU=People, dc=EXAMPLE,dc=org", ldap.ScopeWholeSubtree, "anna bo cy people", 0},
		{"a base that is not there", "ou=nowhere,dc=example,dc=org", ldap.ScopeWholeSubtree, "", 32},
		{"a base that is no DN", "nonsense", ldap.ScopeWholeSubtree, "", 34},
	} {
		t.Run(x.name, func(t *testing.T) {
			q := ask(x.base, "(objectClass=*)", "1.1")
			q.Scope = x.scope
			r, err := c.Search(q)
			if code(err) != x.code {
				t.Fatalf("%v, want code %d", err, x.code)
			}
			if err == nil && names(r) != x.want {
				t.Errorf("got %q, want %q", names(r), x.want)
			}
			if e := (*ldap.Error)(nil); errors.As(err, &e) && x.code == 32 && e.MatchedDN != "dc=example,dc=org" {
				t.Errorf("matched %q", e.MatchedDN)
			}
		})
	}
}

func TestOnlyWhatIsAskedForComes(t *testing.T) {
	s := staff(t, Options{})
	c := dial(t, s, "cn=admin,dc=example,dc=org", "secret")
	for _, x := range []struct {
		name string
		ask  []string
		want string
	}{
		{"nothing named", nil, "objectClass cn sn mail employeeNumber uidNumber cn;lang-de uid"},
		{"by name, in any case", []string{"MAIL", "nonsense"}, "mail"},
		{"a name brings what is tagged", []string{"cn"}, "cn cn;lang-de"},
		{"a tag brings itself", []string{"cn;lang-de"}, "cn;lang-de"},
		{"none", []string{"1.1"}, ""},
		{"operational ones", []string{"+"}, "entryUUID entryCSN entryDN createTimestamp modifyTimestamp memberOf"},
		{"one operational", []string{"entryUUID"}, "entryUUID"},
		{"a password never", []string{"userPassword"}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			r, err := c.Search(ask(people, "(uid=anna)", x.ask...))
			try(t, err)
			var got []string
			for _, a := range r.Entries[0].Attributes {
				got = append(got, a.Name)
				if len(a.Values) == 0 {
					t.Errorf("%s has no values", a.Name)
				}
			}
			if strings.Join(got, " ") != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
	q := ask(people, "(uid=anna)", "mail")
	q.TypesOnly = true
	r, err := c.Search(q)
	try(t, err)
	if a := r.Entries[0].Attributes; len(a) != 1 || a[0].Name != "mail" || len(a[0].Values) != 0 {
		t.Errorf("types only brought %v", a)
	}
}
