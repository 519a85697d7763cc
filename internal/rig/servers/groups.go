package servers

import (
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// AddGroup adds a group with people in it, or an empty one; see EmptyGroup.
func (s *Server) AddGroup(name string, uids ...string) error {
	return s.edit("add group "+name, func(c *ldap.Conn) error {
		members := make([]string, len(uids))
		for i, uid := range uids {
			var err error
			if members[i], err = s.find(c, uid); err != nil {
				return err
			}
		}
		return add(c, s.dialect.newGroup(s.Base, s.GroupsBase, name, members))
	})
}

// DeleteGroup removes a group.
func (s *Server) DeleteGroup(name string) error {
	return s.edit("delete group "+name, func(c *ldap.Conn) error { return s.delete(c, s.GroupDN(name)) })
}

// RenameGroup gives a group another name, and with it another DN.
func (s *Server) RenameGroup(name, to string) error {
	return s.edit("rename group "+name, func(c *ldap.Conn) error { return s.modifyDN(c, s.GroupDN(name), rdn(s.dialect.cn, to), "") })
}

// AddMember puts somebody into a group.
func (s *Server) AddMember(group, uid string) error {
	return s.edit("add "+uid+" to "+group, func(c *ldap.Conn) error {
		dn, err := s.find(c, uid)
		if err != nil {
			return err
		}
		return s.join(c, group, dn)
	})
}

// NestGroup puts a group into another.
func (s *Server) NestGroup(outer, inner string) error {
	return s.edit("nest "+inner+" in "+outer, func(c *ldap.Conn) error { return s.join(c, outer, s.GroupDN(inner)) })
}

// RemoveMember takes somebody out of a group. Who is the last leaves an empty
// group; see EmptyGroup.
func (s *Server) RemoveMember(group, uid string) error {
	return s.edit("take "+uid+" out of "+group, func(c *ldap.Conn) error {
		dn, err := s.find(c, uid)
		if err != nil {
			return err
		}
		members, err := s.members(c, group)
		if err != nil {
			return err
		}
		r := ldap.NewModifyRequest(s.GroupDN(group), nil)
		if p := s.placeholder(); p != "" && len(members) == 1 {
			r.Replace("member", []string{p})
		} else {
			r.Delete("member", []string{dn})
		}
		return c.Modify(r)
	})
}

// EmptyGroup takes everybody out of a group. A groupOfNames of OpenLDAP and
// Apache Directory must have a member (RFC 4519, 3.5): there the one member
// left is cn=nobody, a DN no entry has, and so nobody's.
func (s *Server) EmptyGroup(group string) error {
	return s.edit("empty "+group, func(c *ldap.Conn) error {
		if p := s.placeholder(); p != "" {
			return replace(c, s.GroupDN(group), "member", p)
		}
		return replace(c, s.GroupDN(group), "member")
	})
}

// GroupDN is the DN of a group.
func (s *Server) GroupDN(name string) string { return rdn(s.dialect.cn, name) + "," + s.GroupsBase }

func (s *Server) placeholder() string { return s.dialect.placeholder(s.Base) }

// join adds a member, in the place of the one that stands for nobody.
func (s *Server) join(c *ldap.Conn, group, member string) error {
	members, err := s.members(c, group)
	if err != nil {
		return err
	}
	r := ldap.NewModifyRequest(s.GroupDN(group), nil)
	if p := s.placeholder(); p != "" && len(members) == 1 && strings.EqualFold(members[0], p) {
		r.Replace("member", []string{member})
	} else {
		r.Add("member", []string{member})
	}
	return c.Modify(r)
}

func (s *Server) members(c *ldap.Conn, group string) ([]string, error) {
	r, err := c.Search(ldap.NewSearchRequest(s.GroupDN(group), ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"member"}, nil))
	if err != nil {
		return nil, err
	}
	if len(r.Entries) != 1 {
		return nil, fmt.Errorf("%d entries at %q", len(r.Entries), s.GroupDN(group))
	}
	return r.Entries[0].GetAttributeValues("member"), nil
}
