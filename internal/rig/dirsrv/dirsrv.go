// Package dirsrv starts a real 389 Directory Server on loopback and hands its
// addresses, certificates and passwords to tests. Each server has a folder, a
// configuration and a process of its own, made from the templates of the
// package without its installer, which needs systemd and writes into /etc.
package dirsrv

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
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
	Suffix string // default dc=example,dc=org
	// LDIF is a file of entries, added by the administrator after the first
	// start. "" adds ou=people and ou=groups. The suffix itself, ou=system and
	// the reader are made in any case.
	LDIF string
}

// Server is a running ns-slapd with the plug-ins for content sync (RFC 4533),
// memberOf, referential integrity and the retro changelog. The reader may see
// everything below the suffix but passwords and write nothing; the administrator
// is the server's manager and no entry.
type Server struct {
	*host.Host
	host.Access

	ldif          string
	port, tlsPort int
}

// Start brings a server up and returns when it answers. The context bounds the
// start only: the server runs until Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	h, err := host.New("389ds", o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{Host: h, ldif: o.LDIF}
	s.Base, s.AdminDN = cmp.Or(o.Suffix, "dc=example,dc=org"), "cn=Directory Manager"
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
		if err := errors.Join(cert.Make(tls, "localhost", "127.0.0.1"), cert.PKCS12(ctx, tls, certificate, p12Password)); err != nil {
			return err
		}
	}
	if err := s.place(); err != nil {
		return err
	}
	slapd, err := s.Tool("ns-slapd")
	if err != nil {
		return err
	}
	return s.Begin(ctx, host.Life{
		Fill: s.fill,
		Command: func() *exec.Cmd {
			// -d keeps it in the foreground, so that the process is ours to end.
			cmd := exec.Command(slapd, "-D", s.conf(), "-i", filepath.Join(s.Data, "run", "pid"), "-d", "0")
			asServerUser(cmd)
			return cmd
		},
		Answers: s.Answers,
		Seed:    s.seed,
	})
}

// place finds the addresses: those of a configuration from before, or new ones.
func (s *Server) place() error {
	dse, err := readDSE(filepath.Join(s.conf(), "dse.ldif"))
	switch {
	case err == nil:
		s.port, s.tlsPort = dse.number("cn=config", "nsslapd-port"), dse.number("cn=config", "nsslapd-securePort")
	case errors.Is(err, fs.ErrNotExist):
		ports, err := s.Claim(2)
		if err != nil {
			return err
		}
		s.port, s.tlsPort = ports[0], ports[1]
	default:
		return err
	}
	s.URL = fmt.Sprintf("ldap://127.0.0.1:%d", s.port)
	s.TLSURL = fmt.Sprintf("ldaps://localhost:%d", s.tlsPort)
	return nil
}

func (s *Server) conf() string { return filepath.Join(s.Data, "conf") }

// hashed is a password in a form that is quick to make and check; the server's
// own is slow on purpose.
func hashed(password string) string {
	salt := []byte(rand.Text())
	sum := sha512.Sum512(append([]byte(password), salt...))
	return "{SSHA512}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}
