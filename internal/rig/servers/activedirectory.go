package servers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// SetPrimaryGroup makes a group the primary one of somebody in it. Active
// Directory then takes them out of its members, and they become a member of the
// group that was primary before.
func (s *Server) SetPrimaryGroup(uid, group string) error {
	return s.inActiveDirectory("set the primary group of", uid, func(c *ldap.Conn, dn string) error {
		r, err := c.Search(ldap.NewSearchRequest(s.GroupDN(group), ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"objectSid"}, nil))
		if err != nil {
			return err
		}
		sid := r.Entries[0].GetRawAttributeValue("objectSid")
		if len(sid) < 12 {
			return fmt.Errorf("the group has no objectSid")
		}
		// The last part of a SID is the number within the domain ([MS-DTYP] 2.4.2.2).
		return replace(c, dn, "primaryGroupID", strconv.Itoa(int(binary.LittleEndian.Uint32(sid[len(sid)-4:]))))
	})
}

// Expire ends somebody's account at a time, or never where that is zero.
func (s *Server) Expire(uid string, at time.Time) error {
	return s.inActiveDirectory("expire", uid, func(c *ldap.Conn, dn string) error {
		value := "0"
		if !at.IsZero() {
			// Hundreds of nanoseconds since 1601.
			value = strconv.FormatInt((at.Unix()+11644473600)*10_000_000, 10)
		}
		return replace(c, dn, "accountExpires", value)
	})
}

// MustChangePassword makes somebody choose another password before the next use.
func (s *Server) MustChangePassword(uid string) error {
	return s.inActiveDirectory("set pwdLastSet of", uid, func(c *ldap.Conn, dn string) error { return replace(c, dn, "pwdLastSet", "0") })
}

func (s *Server) inActiveDirectory(doing, uid string, change func(c *ldap.Conn, dn string) error) error {
	return s.person(doing, uid, func(c *ldap.Conn, dn string) error {
		if s.Vendor != ActiveDirectory {
			return errors.New("there is no such thing but in Active Directory")
		}
		return change(c, dn)
	})
}
