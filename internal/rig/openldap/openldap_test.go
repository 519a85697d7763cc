package openldap

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
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

func connect(t *testing.T, s *Server) *ldap.Conn {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := ldap.DialURL(s.TLSURL, ldap.DialWithTLSConfig(&tls.Config{RootCAs: pool, ServerName: "localhost"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Bind(s.ReaderDN, s.ReaderPassword); err != nil {
		t.Fatal(err)
	}
	return c
}

func count(t *testing.T, s *Server, filter string) int {
	t.Helper()
	r, err := connect(t, s).Search(ldap.NewSearchRequest(s.Suffix, ldap.ScopeWholeSubtree, 0, 0, 0, false, filter, []string{"entryUUID"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return len(r.Entries)
}

func TestAnEmptyDirectoryCanBeChangedAndIsGoneAfterStop(t *testing.T) {
	s := start(t, Options{})
	if err := s.Modify(fmt.Sprintf("dn: uid=anna,ou=people,%s\nchangetype: add\nobjectClass: inetOrgPerson\nuid: anna\ncn: Anna\nsn: Ames\n", s.Suffix)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, "(objectClass=inetOrgPerson)"); n != 1 {
		t.Errorf("%d people, want 1", n)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}

func TestAGivenLDIFIsLoadedAndAFolderStartsAgain(t *testing.T) {
	dir := t.TempDir()
	ldif := filepath.Join(dir, "seed.ldif")
	text := "dn: o=acme\nobjectClass: organization\no: acme\n\n" +
		"dn: uid=bo,o=acme\nobjectClass: inetOrgPerson\nuid: bo\ncn: Bo\nsn: Berg\nentryUUID: 6a2b3c4d-0000-4000-8000-000000000001\n\n"
	if err := os.WriteFile(ldif, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: filepath.Join(dir, "rig"), Suffix: "o=acme", LDIF: ldif}
	s := start(t, o)
	if n := count(t, s, "(entryUUID=6a2b3c4d-0000-4000-8000-000000000001)"); n != 1 {
		t.Errorf("%d entries with the UUID of the LDIF, want 1", n)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, start(t, o), "(uid=bo)"); n != 1 {
		t.Errorf("%d entries after the second start, want 1", n)
	}
}
