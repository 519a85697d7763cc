package servers

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// under takes an entry to another place, with the name it has.
func (s *Server) under(c *ldap.Conn, dn, to string) error {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return err
	}
	name := parsed.RDNs[0].Attributes[0].Value
	return s.modifyDN(c, dn, rdn(s.dialect.cn, name), to)
}

func (s *Server) modifyDN(c *ldap.Conn, dn, name, to string) error {
	if err := c.ModifyDN(ldap.NewModifyDNRequest(dn, name, true, to)); err != nil {
		return err
	}
	return s.settle(c, dn)
}

func (s *Server) delete(c *ldap.Conn, dn string) error {
	if err := c.Del(ldap.NewDelRequest(dn, nil)); err != nil {
		return err
	}
	return s.settle(c, dn)
}

// mending is how long a server may take to mend what refers to an entry.
const mending = 20 * time.Second

// settle waits until nothing refers to an entry by its former DN, or to one that
// was below it: OpenLDAP mends references after it has answered.
func (s *Server) settle(c *ldap.Conn, former string) error {
	if s.Vendor != OpenLDAP {
		return nil
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(mending)
	for {
		left, err := s.refersTo(c, former)
		if err != nil || left == "" {
			return err
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("wait for the server to mend references: %w", errors.New(left+" still refers to "+former))
		}
	}
}

// refersTo gives an entry that refers to a DN or one below it, "" if none does.
func (s *Server) refersTo(c *ldap.Conn, dn string) (string, error) {
	r, err := c.Search(ldap.NewSearchRequest(s.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(|(member=*)(manager=*))", []string{"member", "manager"}, nil))
	if err != nil {
		return "", err
	}
	for _, e := range r.Entries {
		for _, a := range e.Attributes {
			for _, v := range a.Values {
				if to := strings.ToLower(v); to == strings.ToLower(dn) || strings.HasSuffix(to, ","+strings.ToLower(dn)) {
					return e.DN, nil
				}
			}
		}
	}
	return "", nil
}
