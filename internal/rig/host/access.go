package host

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Access is how a server is reached.
type Access struct {
	URL    string // ldap://, with StartTLS
	TLSURL string // ldaps://
	CAFile string // the CA to trust, and no other
	Base   string // of everything in it
	// The reader may read everything below Base but passwords, and change nothing.
	ReaderDN, ReaderPassword string
	AdminDN, AdminPassword   string
}

// Admin signs in as the administrator, over TLS.
func (a *Access) Admin() (*ldap.Conn, error) {
	return Connect(a.TLSURL, a.CAFile, a.AdminDN, a.AdminPassword)
}

// Reader signs in as the reader, over TLS.
func (a *Access) Reader() (*ldap.Conn, error) {
	return Connect(a.TLSURL, a.CAFile, a.ReaderDN, a.ReaderPassword)
}

// Answers is nil when the administrator can sign in, which needs the database
// and TLS.
func (a *Access) Answers() error {
	c, err := a.Admin()
	if err != nil {
		return err
	}
	return c.Close()
}

// Passwords gives administrator and reader random passwords, or those they had
// in the folder before. The files admin.pw and reader.pw have no line end, as
// the tools' -y wants it.
func (h *Host) Passwords(a *Access) (err error) {
	if a.AdminPassword, err = h.password("admin"); err != nil {
		return err
	}
	a.ReaderPassword, err = h.password("reader")
	return err
}

func (h *Host) password(name string) (string, error) {
	file := filepath.Join(h.Dir, name+".pw")
	if b, err := os.ReadFile(file); err == nil {
		return string(b), nil
	}
	p := rand.Text()
	return p, h.WriteFile(file, []byte(p))
}

// Connect opens a connection that trusts the CA of the file alone, and signs
// in. Each answer may take half a minute. The URL's scheme decides on TLS.
func Connect(url, caFile, dn, password string) (*ldap.Conn, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("rig: read the CA: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c, err := ldap.DialURL(url, ldap.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}), ldap.DialWithTLSConfig(&tls.Config{RootCAs: pool}))
	if err != nil {
		return nil, fmt.Errorf("rig: connect to %s: %w", url, err)
	}
	c.SetTimeout(30 * time.Second)
	if err := c.Bind(dn, password); err != nil {
		return nil, errors.Join(fmt.Errorf("rig: sign in as %q: %w", dn, err), c.Close())
	}
	return c, nil
}
