// Package apacheds starts a real Apache Directory Server on loopback and hands
// its addresses, certificates and passwords to tests. Each server has a folder,
// a configuration and a Java machine of its own.
package apacheds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"rollcall.dev/rollcall/internal/rig/cert"
	"rollcall.dev/rollcall/internal/rig/host"
)

// Options say what server to start. The zero value is an empty directory.
type Options struct {
	// Dir is the server's folder; "" takes a new one that Stop removes. A folder
	// that holds a server from before is started again with what is in it.
	Dir    string
	Suffix string // default dc=example,dc=org; it must begin with dc
	// LDIF is a file of entries, added by the administrator after the first
	// start. "" adds ou=people and ou=groups. The suffix itself, ou=system and
	// the reader are made in any case.
	LDIF string
}

// Server is a running ApacheDS. The reader may see everything below the suffix
// but passwords and write nothing; the administrator is the server's own.
type Server struct {
	*host.Host
	host.Access

	ldif          string
	port, tlsPort int
}

// Start brings a server up and returns when it answers. The context bounds the
// start only: the server runs until Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	h, err := host.New("apacheds", o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{Host: h, ldif: o.LDIF}
	s.Base, s.AdminDN = cmp.Or(o.Suffix, "dc=example,dc=org"), "uid=admin,ou=system"
	s.ReaderDN = "cn=reader,ou=system," + s.Base
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) begin(ctx context.Context) error {
	if err := s.Passwords(&s.Access); err != nil {
		return err
	}
	tls := filepath.Join(s.Dir, "tls")
	s.CAFile = filepath.Join(tls, "ca.crt")
	if _, err := os.Stat(s.CAFile); errors.Is(err, fs.ErrNotExist) {
		if err := errors.Join(cert.Make(tls, "localhost", "127.0.0.1"), cert.PKCS12(ctx, tls, "server", p12Password)); err != nil {
			return err
		}
	}
	if err := s.place(); err != nil {
		return err
	}
	java, err := s.Tool("java")
	if err != nil {
		return err
	}
	arguments, err := s.arguments()
	if err != nil {
		return err
	}
	return s.Begin(ctx, host.Life{
		Fill:    s.fill,
		Command: func() *exec.Cmd { return exec.Command(java, arguments...) },
		Answers: s.answers,
		Seed:    s.seed,
	})
}

// answers is nil when the administrator can sign in, who has the password
// everybody knows until it is changed by seed.
func (s *Server) answers() error {
	err := s.Answers()
	if err == nil {
		return nil
	}
	c, err := host.Connect(s.TLSURL, s.CAFile, s.AdminDN, firstPassword)
	if err != nil {
		return err
	}
	return c.Close()
}

// place finds the addresses: those from before, or new ones. The configuration
// itself is the server's, once it has run.
func (s *Server) place() error {
	file := filepath.Join(s.Dir, "ports")
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		if _, err := fmt.Sscan(string(text), &s.port, &s.tlsPort); err != nil {
			return fmt.Errorf("apacheds rig: read its ports: %w", err)
		}
	case errors.Is(err, fs.ErrNotExist):
		ports, err := s.Claim(2)
		if err != nil {
			return err
		}
		s.port, s.tlsPort = ports[0], ports[1]
		if err := s.WriteFile(file, fmt.Appendln(nil, s.port, s.tlsPort)); err != nil {
			return err
		}
	default:
		return fmt.Errorf("apacheds rig: read its ports: %w", err)
	}
	s.URL = fmt.Sprintf("ldap://127.0.0.1:%d", s.port)
	s.TLSURL = fmt.Sprintf("ldaps://localhost:%d", s.tlsPort)
	return nil
}
