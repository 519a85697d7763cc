package openldap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
)

func (s *Server) dial() (*ldap.Conn, error) {
	c, err := ldap.DialURL(s.URL, ldap.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(10 * time.Second)
	if err := c.Bind(s.AdminDN, s.AdminPassword); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// answers is true when the administrator can bind, which needs the database.
func (s *Server) answers() bool {
	c, err := s.dial()
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// ensureReader makes the reader's entry where the LDIF brought none, and gives
// it its password either way.
func (s *Server) ensureReader(ctx context.Context) error {
	c, err := s.dial()
	if err != nil {
		return fmt.Errorf("openldap rig: look for the reader: %w", err)
	}
	defer c.Close()
	there := func(dn string) (bool, error) {
		_, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"1.1"}, nil))
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("openldap rig: look for %q: %w", dn, err)
		}
		return true, nil
	}
	system := "ou=system," + s.Suffix
	if ok, err := there(system); err != nil {
		return err
	} else if !ok {
		if err := s.modify(ctx, fmt.Sprintf("dn: %s\nchangetype: add\nobjectClass: organizationalUnit\nou: system\n", system)); err != nil {
			return err
		}
	}
	ok, err := there(s.ReaderDN)
	if err != nil {
		return err
	}
	if ok {
		return s.modify(ctx, fmt.Sprintf("dn: %s\nchangetype: modify\nreplace: userPassword\nuserPassword: %s\n", s.ReaderDN, s.ReaderPassword))
	}
	return s.modify(ctx, fmt.Sprintf("dn: %s\nchangetype: add\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: %s\n", s.ReaderDN, s.ReaderPassword))
}
