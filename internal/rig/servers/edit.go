package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// AddPerson adds somebody directly below PeopleBase.
func (s *Server) AddPerson(uid, given, surname, mail string) error {
	e := s.dialect.newPerson(s.Base, s.PeopleBase, Person{UID: uid, Given: given, Surname: surname, Mail: mail})
	return s.edit("add "+uid, func(c *ldap.Conn) error { return add(c, e) })
}

// SetTitle changes somebody's title; "" takes it away.
func (s *Server) SetTitle(uid, title string) error {
	var values []string
	if title != "" {
		values = []string{title}
	}
	return s.replace(uid, "title", values...)
}

// SetManager makes somebody report to another.
func (s *Server) SetManager(uid, manager string) error {
	return s.person("give a manager to", uid, func(c *ldap.Conn, dn string) error {
		m, err := s.find(c, manager)
		if err != nil {
			return err
		}
		return replace(c, dn, "manager", m)
	})
}

// Rename gives somebody another common name, and with it another DN.
func (s *Server) Rename(uid, name string) error {
	return s.person("rename", uid, func(c *ldap.Conn, dn string) error { return s.modifyDN(c, dn, rdn(s.dialect.cn, name), "") })
}

// Move takes somebody into another unit, which is there; "" is PeopleBase.
func (s *Server) Move(uid, unit string) error {
	to := s.PeopleBase
	if unit != "" {
		to = rdn(s.dialect.ou, unit) + "," + to
	}
	return s.person("move", uid, func(c *ldap.Conn, dn string) error {
		return s.under(c, dn, to)
	})
}

// MoveOut takes somebody out of PeopleBase, so that no search of it finds them.
func (s *Server) MoveOut(uid string) error {
	return s.person("move out", uid, func(c *ldap.Conn, dn string) error { return s.under(c, dn, s.GroupsBase) })
}

// RenameUnit gives a unit, and so everybody in it, another DN.
func (s *Server) RenameUnit(unit, to string) error {
	return s.edit("rename unit "+unit, func(c *ldap.Conn) error {
		return s.modifyDN(c, rdn(s.dialect.ou, unit)+","+s.PeopleBase, rdn(s.dialect.ou, to), "")
	})
}

// Disable locks somebody out in the vendor's way: userAccountControl,
// nsAccountLock or pwdAccountLockedTime.
func (s *Server) Disable(uid string) error {
	return s.replace(uid, s.dialect.disabled.Type, s.dialect.disabled.Vals...)
}

// Enable undoes Disable.
func (s *Server) Enable(uid string) error {
	return s.replace(uid, s.dialect.enabled.Type, s.dialect.enabled.Vals...)
}

// SetPassword gives somebody another password.
func (s *Server) SetPassword(uid, password string) error {
	name, value := s.dialect.password(password)
	return s.replace(uid, name, value)
}

// Delete removes somebody.
func (s *Server) Delete(uid string) error {
	return s.person("delete", uid, func(c *ldap.Conn, dn string) error { return s.delete(c, dn) })
}

// DN finds somebody's DN as it is now.
func (s *Server) DN(uid string) (dn string, err error) {
	err = s.person("find", uid, func(_ *ldap.Conn, found string) error { dn = found; return nil })
	return dn, err
}

// Follows is true where the server itself keeps groups and managers right when
// somebody is renamed, moved or deleted. Elsewhere the old DN stays in them.
func (s *Server) Follows() bool { return s.dialect.follows }

// edit runs a change as the administrator. A connection of its own for each
// makes it indifferent to restarts; passwords of Active Directory need TLS.
func (s *Server) edit(doing string, change func(c *ldap.Conn) error) error {
	c, err := s.Admin()
	if err != nil {
		return fmt.Errorf("rig: %s: %s: %w", s.Vendor, doing, err)
	}
	defer c.Close()
	if err := change(c); err != nil {
		return fmt.Errorf("rig: %s: %s: %w", s.Vendor, doing, err)
	}
	return nil
}

// person runs a change of somebody.
func (s *Server) person(doing, uid string, change func(c *ldap.Conn, dn string) error) error {
	return s.edit(doing+" "+uid, func(c *ldap.Conn) error {
		dn, err := s.find(c, uid)
		if err != nil {
			return err
		}
		return change(c, dn)
	})
}

// find looks below the whole base: somebody may have been moved out.
func (s *Server) find(c *ldap.Conn, uid string) (string, error) {
	filter := fmt.Sprintf("(%s=%s)", s.dialect.login, ldap.EscapeFilter(uid))
	r, err := c.Search(ldap.NewSearchRequest(s.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"1.1"}, nil))
	if err != nil {
		return "", err
	}
	if len(r.Entries) != 1 {
		return "", fmt.Errorf("%d entries with %s", len(r.Entries), filter)
	}
	return r.Entries[0].DN, nil
}

func (s *Server) replace(uid, attribute string, values ...string) error {
	return s.person("set "+attribute+" of", uid, func(c *ldap.Conn, dn string) error { return replace(c, dn, attribute, values...) })
}

func replace(c *ldap.Conn, dn, attribute string, values ...string) error {
	r := ldap.NewModifyRequest(dn, nil)
	r.Replace(attribute, values)
	return c.Modify(r)
}

func add(c *ldap.Conn, e entry) error {
	r := ldap.NewAddRequest(e.dn, nil)
	r.Attributes = make([]ldap.Attribute, 0, len(e.attributes))
	for _, a := range e.attributes {
		// An attribute may stand in an addition once.
		i := slices.IndexFunc(r.Attributes, func(have ldap.Attribute) bool { return strings.EqualFold(have.Type, a.Type) })
		if i >= 0 {
			r.Attributes[i].Vals = append(r.Attributes[i].Vals, a.Vals...)
			continue
		}
		r.Attributes = append(r.Attributes, a)
	}
	return c.Add(r)
}
