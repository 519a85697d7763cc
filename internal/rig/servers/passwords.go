package servers

import (
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// LongAgo is when a password that is too old was set.
const LongAgo = "20010101000000Z"

// FailuresToLock is how many wrong passwords lock somebody out, in each server.
const FailuresToLock = 5

// relax lets the administrator write what the server keeps for itself
// (draft-zeilenga-ldap-relax).
const relax = "1.3.6.1.4.1.4203.666.5.12"

// ErrUntried is that nobody found a way to bring an account of a server into a
// state: Samba's passwords are never old enough (pwdLastSet takes now and never
// alone, and an age below a day counts as none).
var ErrUntried = errors.New("no account of this server can be brought into that state")

// ExpirePassword makes somebody's password too old.
func (s *Server) ExpirePassword(uid string) error {
	return s.person("expire the password of", uid, func(c *ldap.Conn, dn string) error {
		switch s.Vendor {
		case OpenLDAP:
			return s.relaxed(c, dn, "pwdPolicySubentry", "cn=strict,ou=policies,"+s.Base, "pwdChangedTime", LongAgo)
		case DirectoryServer:
			return errors.Join(s.ownPolicy(c, dn), replace(c, dn, "passwordExpirationTime", LongAgo))
		}
		return ErrUntried
	})
}

// ResetPassword makes somebody choose another password before anything else.
func (s *Server) ResetPassword(uid string) error {
	switch s.Vendor {
	case ActiveDirectory:
		return s.MustChangePassword(uid)
	case OpenLDAP, DirectoryServer:
		return s.person("reset the password of", uid, func(c *ldap.Conn, dn string) error {
			if s.Vendor == OpenLDAP {
				return s.relaxed(c, dn, "pwdPolicySubentry", "cn=strict,ou=policies,"+s.Base, "pwdReset", "TRUE")
			}
			// The beginning of time is its mark for it.
			return errors.Join(s.ownPolicy(c, dn), replace(c, dn, "passwordExpirationTime", "19700101000000Z"))
		})
	}
	return ErrUntried
}

// relaxed replaces attributes that only the server itself writes otherwise.
func (s *Server) relaxed(c *ldap.Conn, dn string, pairs ...string) error {
	r := ldap.NewModifyRequest(dn, []ldap.Control{ldap.NewControlString(relax, true, "")})
	for i := 0; i < len(pairs); i += 2 {
		r.Replace(pairs[i], []string{pairs[i+1]})
	}
	return c.Modify(r)
}

// ownPolicy puts somebody under a policy of their own in 389 Directory Server, by
// which passwords end and must be changed after they were set by another.
func (s *Server) ownPolicy(c *ldap.Conn, dn string) error {
	folder := ldap.NewAddRequest("cn=nsPwPolicyContainer,"+s.PeopleBase, nil)
	folder.Attribute("objectClass", []string{"top", "nsContainer"})
	policy := ldap.NewAddRequest("cn=strict,"+folder.DN, nil)
	policy.Attribute("objectClass", []string{"top", "ldapsubentry", "passwordPolicy"})
	for name, value := range map[string]string{"passwordExp": "on", "passwordMustChange": "on", "passwordMaxAge": "86400", "passwordWarning": "3600"} {
		policy.Attribute(name, []string{value})
	}
	for _, r := range []*ldap.AddRequest{folder, policy} {
		if err := c.Add(r); err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists) {
			return fmt.Errorf("%s: %w", r.DN, err)
		}
	}
	return replace(c, dn, "pwdpolicysubentry", policy.DN)
}

// Restrict lets an account of Active Directory sign in at no hour of the week, or
// from one machine alone.
func (s *Server) Restrict(uid, attribute, value string) error {
	return s.inActiveDirectory("restrict", uid, func(c *ldap.Conn, dn string) error { return replace(c, dn, attribute, value) })
}
