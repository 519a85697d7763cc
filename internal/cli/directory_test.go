package cli

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/rig/openldap"
)

const suffix = "dc=zuiderhof,dc=example"

// rehearsal starts an OpenLDAP server with the directory of testdata/company.ldif.
func rehearsal(t *testing.T, o openldap.Options) *openldap.Server {
	t.Helper()
	ldif, err := filepath.Abs("testdata/company.ldif")
	if err != nil {
		t.Fatal(err)
	}
	o.Suffix, o.LDIF = suffix, ldif
	s, err := openldap.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	secret(s.ReaderPassword)
	secret(s.AdminPassword)
	return s
}

// hq is the configuration for such a server; more is put below the connection.
func hq(s *openldap.Server, more string) string {
	return fmt.Sprintf(`organizations:
  - {id: zuiderhof, name: Zuiderhof, licence_limit: 100}
connections:
  - alias: hq
    role: employee
    region: NL
    backend:
      ldap:
        addr: %s
        bind_dn: %s
        bind_password: ${HQ_PASSWORD}
        base_dn: %s
        tls: {ca_file: %s, start_tls: true}
        groups: {base_dn: "ou=Groepen,%s"}
%s`, s.URL, s.ReaderDN, suffix, s.CAFile, suffix, more)
}

func atHQ(t *testing.T, s *openldap.Server, more string) *house {
	t.Helper()
	h := newHouse(t, hq(s, more))
	h.env["HQ_PASSWORD"] = s.ReaderPassword
	return h
}

func change(t *testing.T, s *openldap.Server, ldif string) {
	t.Helper()
	if err := s.Modify(ldif); err != nil {
		t.Fatal(err)
	}
}

// found is an entry as ldapsearch prints it.
type found struct {
	dn         string
	attributes map[string][]string
}

func (f found) first(name string) string {
	if v := f.attributes[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// ldapsearch asks the server by OpenLDAP's own tool: what our numbers are
// compared with.
func ldapsearch(t *testing.T, s *openldap.Server, filter string, attributes ...string) []found {
	t.Helper()
	args := append([]string{"-x", "-LLL", "-o", "ldif-wrap=no", "-H", s.URL, "-D", s.ReaderDN, "-y", filepath.Join(s.Dir, "reader.pw"), "-b", suffix, filter}, attributes...)
	out, err := exec.CommandContext(t.Context(), "ldapsearch", args...).Output()
	if err != nil {
		t.Fatalf("ldapsearch %s: %v", filter, err)
	}
	var list []found
	for block := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n\n") {
		f := found{attributes: map[string][]string{}}
		for line := range strings.SplitSeq(block, "\n") {
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				continue
			}
			if rest, encoded := strings.CutPrefix(value, ": "); encoded {
				raw, err := base64.StdEncoding.DecodeString(rest)
				if err != nil {
					t.Fatalf("ldapsearch: %q: %v", line, err)
				}
				value = string(raw)
			} else {
				value = strings.TrimPrefix(value, " ")
			}
			if name == "dn" {
				f.dn = value
			} else {
				f.attributes[name] = append(f.attributes[name], value)
			}
		}
		if f.dn != "" {
			list = append(list, f)
		}
	}
	return list
}

// sameDN is a DN in one spelling, whatever its own.
func sameDN(t *testing.T, text string) string {
	t.Helper()
	dn, err := ldap.ParseDN(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var parts []string
	for _, rdn := range dn.RDNs {
		var values []string
		for _, a := range rdn.Attributes {
			values = append(values, fmt.Sprintf("%s=%q", strings.ToLower(a.Type), account.Fold(a.Value)))
		}
		slices.Sort(values)
		parts = append(parts, strings.Join(values, "+"))
	}
	return strings.Join(parts, ",")
}

// truth is what ought to come of the directory as it is now.
type truth struct {
	people   int // entries of people, usable or not
	groups   int
	accounts map[string]found // by username
	problems int
	disputes int
	active   int
	members  map[string][]string // usernames by group, those in nested groups included
}

func truthOf(t *testing.T, s *openldap.Server) truth {
	t.Helper()
	people := ldapsearch(t, s, "(objectClass=inetOrgPerson)", "uid", "mail", "givenName", "sn", "title", "pwdAccountLockedTime")
	w := truth{people: len(people), accounts: map[string]found{}, members: map[string][]string{}}
	mails := map[string]int{}
	usable := func(f found) bool {
		for _, name := range []string{"mail", "givenName", "sn"} {
			if v := f.first(name); v == "" || strings.ContainsRune(v, '\x1b') {
				return false
			}
		}
		return true
	}
	for _, f := range people {
		if usable(f) {
			mails[account.Fold(f.first("mail"))]++
		} else {
			w.problems++
		}
	}
	byDN := map[string]string{}
	for _, f := range people {
		switch {
		case !usable(f):
		case mails[account.Fold(f.first("mail"))] > 1:
			w.disputes++
		default:
			name := f.first("uid")
			if name == "" {
				name = f.first("mail")
			}
			w.accounts[name] = f
			byDN[sameDN(t, f.dn)] = name
			if f.first("pwdAccountLockedTime") == "" {
				w.active++
			}
		}
	}
	groups := ldapsearch(t, s, "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))", "cn", "member", "uniqueMember")
	w.groups = len(groups)
	listed := map[string][]string{}
	for _, g := range groups {
		for _, m := range append(g.attributes["member"], g.attributes["uniqueMember"]...) {
			listed[sameDN(t, g.dn)] = append(listed[sameDN(t, g.dn)], sameDN(t, m))
		}
	}
	for _, g := range groups {
		in, seen := map[string]bool{}, map[string]bool{}
		var walk func(dn string)
		walk = func(dn string) {
			if seen[dn] {
				return
			}
			seen[dn] = true
			for _, m := range listed[dn] {
				if name, ok := byDN[m]; ok {
					in[name] = true
				}
				walk(m)
			}
		}
		walk(sameDN(t, g.dn))
		w.members[g.first("cn")] = keysOf(in)
	}
	return w
}

func (w truth) memberships() int {
	n := 0
	for _, list := range w.members {
		n += len(list)
	}
	return n
}

func TestSpacesThatTheServerDoesNotCountLoseNoMembershipAndNoManager(t *testing.T) {
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "")
	change(t, s, fmt.Sprintf(`dn: cn=Space  Cadet,%[1]s
changetype: add
objectClass: inetOrgPerson
cn: Space  Cadet
uid: cadet
givenName: Space
sn: Cadet
mail: cadet@zuiderhof.example

dn: uid=crew,%[1]s
changetype: add
objectClass: inetOrgPerson
cn: Crew
uid: crew
givenName: Cre
sn: Wu
mail: crew@zuiderhof.example
manager: CN=space cadet,%[1]s

dn: uid=mate,%[1]s
changetype: add
objectClass: inetOrgPerson
cn: Mate
uid: mate
givenName: Ma
sn: Te
mail: mate@zuiderhof.example
manager: cn=Space  Cadet,%[1]s

dn: cn=Rocket,ou=Groepen,%[1]s
changetype: add
objectClass: groupOfNames
cn: Rocket
member: cn=Space Cadet,%[1]s

`, suffix))
	h.run(0, "sync", "hq")
	var cadet, crew, mate person
	for name, to := range map[string]*person{"cadet": &cadet, "crew": &crew, "mate": &mate} {
		h.json(0, to, "accounts", "show", name)
	}
	if len(cadet.Groups) != 1 || crew.Manager != cadet.ID || mate.Manager != cadet.ID {
		t.Errorf("the cadet %s is in the groups %q, the managers are %s and %s", cadet.ID, cadet.Groups, crew.Manager, mate.Manager)
	}
	for _, dn := range []string{"cn=Space  Cadet,", "cn=space cadet,"} {
		if out := h.run(0, "why", "hq", dn+suffix); !strings.HasPrefix(out, "In: cadet") {
			t.Errorf("why %s:\n%s", dn, out)
		}
	}
}
