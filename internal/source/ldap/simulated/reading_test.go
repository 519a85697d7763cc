// Package simulated holds tests of the ldap source, and of the way from it to
// accounts, against servers that no machine at hand can run and on lines that
// break. It hands nothing on but verdicts.
package simulated

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/ldap"
)

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts a simulator and ends it with the test.
func start(t testing.TB, o simulator.Options) *simulator.Server {
	t.Helper()
	s, err := simulator.Start(o)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// certificate is one for loopback, signed by itself, and its file.
func certificate(t testing.TB) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "simulator"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, file
}

// picture is what a reading brought.
type picture struct {
	source.Reading
	people, groups []directory.Record
}

// find gives a record by the first RDN of its name.
func (p *picture) find(t testing.TB, rdn string) *directory.Record {
	t.Helper()
	for _, list := range [][]directory.Record{p.people, p.groups} {
		for i := range list {
			if first, _ := tree.SplitDN(list[i].Name); strings.EqualFold(first, rdn) {
				return &list[i]
			}
		}
	}
	t.Fatalf("there is no %s among %d people and %d groups", rdn, len(p.people), len(p.groups))
	return nil
}

func open(t testing.TB, v setting.Values) source.Source {
	t.Helper()
	s, err := ldap.Kind.Open(v, source.Env{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func read(ctx context.Context, s source.Source, attributes ...string) (*picture, error) {
	p := &picture{}
	var buf []byte
	var err error
	p.Reading, err = s.Read(ctx, source.Request{Attributes: attributes}, func(r *directory.Record) error {
		var c directory.Record
		buf = r.Append(buf[:0])
		if err := c.Decode(buf); err != nil {
			return err
		}
		if r.Kind == directory.User {
			p.people = append(p.people, c)
		} else {
			p.groups = append(p.groups, c)
		}
		return nil
	})
	return p, err
}

func mustRead(t testing.TB, v setting.Values, attributes ...string) *picture {
	t.Helper()
	p, err := read(t.Context(), open(t, v), attributes...)
	must(t, err)
	return p
}

// as are the settings of an account that reads a server.
func as(s *simulator.Server, dn, password string, more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{s.URL}, "bind_dn": dn, "bind_password": password}
	for k, x := range more {
		v[k] = x
	}
	return v
}

const (
	adReader = "CN=reader,CN=Users,DC=example,DC=org"
	staffOU  = "OU=Staff,DC=example,DC=org"
)

// forest is a domain with so many people and a group of them all.
func forest(t testing.TB, p *simulator.ActiveDirectory, people int) *simulator.Server {
	t.Helper()
	s := start(t, simulator.Options{Personality: p})
	add := func(dn string, pairs ...string) {
		t.Helper()
		_, err := s.Tree.Add(dn, pairs...)
		must(t, err)
	}
	add(adReader, "objectClass", "user", "userPassword", "reads", "isCriticalSystemObject", "TRUE")
	add(staffOU, "objectClass", "organizationalUnit")
	all := []string{"objectClass", "group"}
	for i := range people {
		dn := fmt.Sprintf("CN=User %04d,%s", i, staffOU)
		add(dn, "objectClass", "user", "mail", fmt.Sprintf("u%04d@example.org", i), "sn", "User", "givenName", "U", "sAMAccountName", fmt.Sprintf("u%04d", i))
		all = append(all, "member", dn)
	}
	add("CN=Everybody,"+staffOU, all...)
	add("CN=Nested,"+staffOU, "objectClass", "group", "member", "CN=Everybody,"+staffOU)
	return s
}

func TestALargeActiveDirectoryIsReadWhole(t *testing.T) {
	const people = 4000
	s := forest(t, &simulator.ActiveDirectory{}, people)
	for _, x := range []struct {
		name string
		more setting.Values
	}{
		{"in pages of a thousand", nil},
		{"in pages larger than the server gives", setting.Values{"sync.page_size": 5000}},
		{"in small pages", setting.Values{"sync.page_size": 77}},
	} {
		t.Run(x.name, func(t *testing.T) {
			v := as(s, adReader, "reads", setting.Values{"groups.filter": "(objectClass=group)", "groups.include": "^(Everybody|Nested|Domain Users)$"})
			for k, one := range x.more {
				v[k] = one
			}
			p := mustRead(t, v, "mail", "userAccountControl")
			if !p.Complete || !p.Full || len(p.people) != people {
				t.Fatalf("%d people, complete %v: %s", len(p.people), p.Complete, p.Reason)
			}
			everybody := p.find(t, "CN=Everybody")
			if members := slices.Compact(slices.Sorted(slices.Values(everybody.Members))); len(everybody.Members) != people || len(members) != people {
				t.Errorf("the group has %d members, %d different ones", len(everybody.Members), len(members))
			}
			if nested := p.find(t, "CN=Nested"); len(nested.Members) != 1 || nested.Members[0] != "CN=Everybody,"+staffOU {
				t.Errorf("the group of groups has %q", nested.Members)
			}
			if len(p.Notes) != 3 || !strings.Contains(strings.Join(p.Notes, "\n"), "DomainDnsZones") {
				t.Errorf("the references noted are %q", p.Notes)
			}
			u := s.Tree.Find("CN=User 0000," + staffOU).UUID
			// MS-DTYP 2.3.4.2: the first three fields have their low byte first.
			want := fmt.Sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%x-%x", u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6], u[8:10], u[10:])
			if id := p.find(t, "CN=User 0000").ID; string(id) != want {
				t.Errorf("the external ID is %s, want %s", id, want)
			}
		})
	}
}

func TestAReferenceToAChildDomainIsMissed(t *testing.T) {
	s := forest(t, &simulator.ActiveDirectory{Children: []string{"DC=emea,DC=example,DC=org"}}, 3)
	p := mustRead(t, as(s, adReader, "reads", nil))
	if p.Complete || !strings.Contains(p.Reason, "DC=emea,DC=example,DC=org") || len(p.people) != 3 {
		t.Errorf("complete %v: %q", p.Complete, p.Reason)
	}
	if p := mustRead(t, as(s, adReader, "reads", setting.Values{"base_dn": staffOU})); !p.Complete || len(p.Notes) != 0 {
		t.Errorf("below an OU: complete %v, %q", p.Complete, p.Notes)
	}
}

// A server that ends a range early, or gives other values than it says, must not
// make members look as if they had left.
func TestAGroupWhoseRestCannotBeReadMakesTheReadingIncomplete(t *testing.T) {
	s := forest(t, &simulator.ActiveDirectory{MaxValRange: 10}, 35)
	v := as(s, adReader, "reads", setting.Values{"base_dn": staffOU, "groups.include": "^Everybody$"})
	if p := mustRead(t, v); !p.Complete || len(p.find(t, "CN=Everybody").Members) != 35 {
		t.Fatalf("complete %v: %s", p.Complete, p.Reason)
	}
	s.SetHook(func(c *simulator.Call) *simulator.Twist {
		if q := c.Search(); q != nil && slices.Contains(q.Attributes, "member;range=18-*") {
			return &simulator.Twist{Deed: simulator.Drop, At: 1}
		}
		return nil
	})
	if p := mustRead(t, v); p.Complete || !strings.Contains(p.Reason, "could not be read to its end") {
		t.Errorf("complete %v: %q", p.Complete, p.Reason)
	}
}

func TestASignInThatIsRefusedSaysWhy(t *testing.T) {
	s := forest(t, &simulator.ActiveDirectory{MaxPasswordAge: time.Hour}, 0)
	fileTime := func(at time.Time) string { return fmt.Sprint((at.Unix() + 11644473600) * 1e7) }
	past := fileTime(time.Now().Add(-48 * time.Hour))
	usual := []tree.Mod{tree.Replace("userAccountControl", "512"), tree.Replace("accountExpires", "0"), tree.Replace("logonHours"), tree.Replace("userWorkstations"),
		tree.Replace("pwdLastSet", "-1"), tree.Replace("lockoutTime")}
	for _, x := range []struct {
		name, dn, password string
		set                tree.Mod
		want               string
	}{
		{"525", "CN=nobody," + staffOU, "reads", tree.Mod{}, "there is no such account"},
		{"52e", adReader, "w?r0ng", tree.Mod{}, "wrong name or password"},
		{"530", adReader, "reads", tree.Replace("logonHours", string(make([]byte, 21))), "may not sign in at this time"},
		{"531", adReader, "reads", tree.Replace("userWorkstations", "PC1"), "may not sign in from this machine"},
		{"532", adReader, "reads", tree.Replace("pwdLastSet", past), "the password has expired"},
		{"533", adReader, "reads", tree.Replace("userAccountControl", "514"), "the account is disabled"},
		{"701", adReader, "reads", tree.Replace("accountExpires", past), "the account has expired"},
		{"773", adReader, "reads", tree.Replace("pwdLastSet", "0"), "the password must be changed first"},
		{"775", adReader, "reads", tree.Replace("lockoutTime", past), "the account is locked"},
	} {
		t.Run(x.name, func(t *testing.T) {
			mods := usual
			if x.set.Name != "" {
				mods = append(slices.Clone(usual), x.set)
			}
			must(t, s.Tree.Modify(adReader, mods...))
			_, err := read(t.Context(), open(t, as(s, x.dn, x.password, nil)))
			if fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), x.want) || strings.Contains(err.Error()+fault.HintOf(err), x.password) {
				t.Errorf("%v (%s), want %q", err, fault.HintOf(err), x.want)
			}
		})
	}
}

// Nobody in an Active Directory who is let in without a password sees people,
// and no reading may take that for an empty directory.
func TestNobodySeesNoEmptyDirectory(t *testing.T) {
	s := forest(t, &simulator.ActiveDirectory{}, 3)
	if _, err := read(t.Context(), open(t, setting.Values{"addr": []string{s.URL}})); fault.KindOf(err) != fault.Denied {
		t.Errorf("without an account: %v", err)
	}
	if _, err := ldap.Kind.Open(as(s, adReader, "", nil), source.Env{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("without a password: %v", err)
	}
}

func TestAnAnswerThatIsCutAtTheLimitIsIncomplete(t *testing.T) {
	for _, x := range []struct {
		name string
		kind simulator.Personality
		add  func(i int) (dn, class string)
		who  string
	}{
		{"Domino", &simulator.Domino{SizeLimit: 50}, func(i int) (string, string) { return fmt.Sprintf("CN=P%d,O=Acme", i), "dominoPerson" }, "CN=Bob,O=Acme"},
		{"OpenLDAP", &simulator.OpenLDAP{SizeLimit: 50}, func(i int) (string, string) {
			return fmt.Sprintf("uid=p%d,ou=people,dc=example,dc=org", i), "inetOrgPerson"
		}, "uid=bob,ou=people,dc=example,dc=org"},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := start(t, simulator.Options{Personality: x.kind})
			_, err := s.Tree.Add(x.who, "objectClass", "person", "userPassword", "pw")
			must(t, err)
			for i := range 60 {
				dn, class := x.add(i)
				_, err := s.Tree.Add(dn, "objectClass", class, "sn", "P")
				must(t, err)
			}
			p := mustRead(t, as(s, x.who, "pw", nil))
			if p.Complete || !strings.Contains(p.Reason, "size limit exceeded") || len(p.people) != 50 {
				t.Errorf("%d people, complete %v: %q", len(p.people), p.Complete, p.Reason)
			}
		})
	}
}
