package ldap

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

const rigPeople = 1207

// rig is the directory most tests read; nobody changes it.
var rig *openldap.Server

func TestMain(m *testing.M) { os.Exit(withRig(m)) }

func withRig(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rollcall-ldap-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ldif := filepath.Join(dir, "seed.ldif")
	if err := os.WriteFile(ldif, []byte(seed(rigPeople)), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if rig, err = openldap.Start(context.Background(), openldap.Options{LDIF: ldif}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := servers.StopAll(started.all); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := rig.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// started are the servers of other kinds, each started by the first test that
// needs it. They change, so a test looks at what it has done itself.
var started struct {
	sync.Mutex
	all []*servers.Server
}

func theServer(t *testing.T, vendor string) *servers.Server {
	t.Helper()
	started.Lock()
	defer started.Unlock()
	for _, s := range started.all {
		if s.Vendor == vendor {
			return s
		}
	}
	s, err := servers.Start(t.Context(), vendor)
	if err != nil {
		t.Fatal(err)
	}
	started.all = append(started.all, s)
	return s
}

const bigValue = 200_000

// seed is a directory of n people, one of whom has a huge attribute, with a
// group of everybody, a small one, a nested one and one of another class.
func seed(n int) string {
	const base = "dc=example,dc=org"
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: rig\ndc: example\n\n", base)
	for _, ou := range []string{"people", "groups"} {
		fmt.Fprintf(&b, "dn: ou=%[1]s,%[2]s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, base)
	}
	for i := range n {
		fmt.Fprintf(&b, "dn: uid=u%04[1]d,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: u%04[1]d\ncn: User %[1]d\nsn: Number%[1]d\ngivenName: User\n"+
			"mail: u%04[1]d@example.org\nmail: user%[1]d@example.com\nmanager: uid=u0000,ou=people,%[2]s\nemployeeNumber: %[1]d\n", i, base)
		if i == 7 {
			fmt.Fprintf(&b, "description: %s\n", strings.Repeat("x", bigValue))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "dn: cn=All,ou=groups,%s\nobjectClass: groupOfNames\ncn: All\n", base)
	for i := range n {
		fmt.Fprintf(&b, "member: uid=u%04d,ou=people,%s\n", i, base)
	}
	fmt.Fprintf(&b, "\ndn: cn=App-Admins,ou=groups,%[1]s\nobjectClass: groupOfNames\ncn: App-Admins\nmember: uid=u0001,ou=people,%[1]s\n\n", base)
	fmt.Fprintf(&b, "dn: cn=App-All,ou=groups,%[1]s\nobjectClass: groupOfNames\ncn: App-All\nmember: cn=All,ou=groups,%[1]s\n\n", base)
	fmt.Fprintf(&b, "dn: cn=Unique,ou=groups,%[1]s\nobjectClass: groupOfUniqueNames\ncn: Unique\nuniqueMember: uid=u0002,ou=people,%[1]s\n\n", base)
	fmt.Fprintf(&b, "dn: cn=Posix,ou=groups,%[1]s\nobjectClass: posixGroup\ncn: Posix\ngidNumber: 5\nmemberUid: u0003\nmemberUid: nobody\n\n", base)
	return b.String()
}

// rigSettings read a rig as its reader.
func rigSettings(s *openldap.Server, more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{s.URL}, "bind_dn": s.ReaderDN, "bind_password": s.ReaderPassword, "base_dn": s.Suffix}
	for k, x := range more {
		v[k] = x
	}
	return v
}

func mustOpen(t *testing.T, v setting.Values) source.Source {
	t.Helper()
	s, err := Kind.Open(v, source.Env{})
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

// collected is a reading with clones of its records.
type collected struct {
	source.Reading
	records []directory.Record
}

func (c *collected) find(t *testing.T, name string) *directory.Record {
	t.Helper()
	for i := range c.records {
		if c.records[i].Name == name {
			return &c.records[i]
		}
	}
	t.Fatalf("there is no record %q among %d", name, len(c.records))
	return nil
}

func read(ctx context.Context, s source.Source, attributes ...string) (*collected, error) {
	c := &collected{}
	var buf []byte
	got, err := s.Read(ctx, source.Request{Attributes: attributes}, func(r *directory.Record) error {
		buf = r.Append(buf[:0])
		c.records = append(c.records, directory.Record{})
		return c.records[len(c.records)-1].Decode(buf)
	})
	c.Reading = got
	return c, err
}

func mustRead(t *testing.T, s source.Source, attributes ...string) *collected {
	t.Helper()
	c, err := read(t.Context(), s, attributes...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
