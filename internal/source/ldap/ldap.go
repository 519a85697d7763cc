// Package ldap reads people and groups from LDAP directories (Active Directory,
// OpenLDAP, 389 Directory Server, Apache Directory, Domino and others) and
// hands them to the mirror as records under the directory's own attribute names.
//
// A connection to an Active Directory:
//
//	backend:
//	  ldap:
//	    addr: [ldaps://dc1.sunfix.com, ldaps://dc2.sunfix.com]
//	    bind_dn: cn=readonly,cn=Users,dc=sunfix,dc=com
//	    bind_password: ${SUNFIX_BIND_PASSWORD}
//	    base_dn: ou=staff,dc=sunfix,dc=com
//	    tls: {ca_file: sunfix-ca.pem}
//	    groups: {base_dn: "ou=groups,dc=sunfix,dc=com", include: "^Proxy"}
//
// In place of the servers, ldap+srv://sunfix.com (or srv:sunfix.com) stands for
// those the domain's DNS records _ldap._tcp.dc._msdcs, or else _ldap._tcp, name.
//
// The server is asked what it is, and what is not set follows from that: here
// the external ID is objectGUID, people are
// (&(objectCategory=person)(objectClass=user)…), groups are
// (objectClass=group). For
//
//	dn: CN=Anna Ames,OU=Staff,DC=sunfix,DC=com
//	objectGUID:: EBESExQVFhcYGRobHB0eHw==
//	mail: anna@sunfix.com
//	manager: CN=Bo Berg,OU=Staff,DC=sunfix,DC=com
//
// it hands on
//
//	directory.Record{
//		Kind: directory.User,
//		ID:   "13121110-1514-1716-1819-1a1b1c1d1e1f",
//		Name: "CN=Anna Ames,OU=Staff,DC=sunfix,DC=com",
//		Ref:  "CN=Anna Ames,OU=Staff,DC=sunfix,DC=com",
//		Attributes: {{"mail", {"anna@sunfix.com"}}, {"manager", {"CN=Bo Berg,…"}}},
//	}
//
// A group's first attribute is its name and Members holds its members' DNs; a
// person's Primary is the DN of the primary group, where groups are read.
// Attribute options other than ranges (;binary, ;lang-de) stay part of the name:
// "cn;lang-de" is another attribute than "cn". Values are kept as they came, but
// for objectSid, sIDHistory and objectGUID, which are put into their usual text.
//
// References to other servers are reported and never followed. A reading is
// complete when every page of every search ended with success, every ranged
// attribute was read to its end, and no reference led away from below the base.
//
// A reading with a cursor asks for changes where the server has a way of telling
// them (DirSync, uSNChanged, RFC 4533, modifyTimestamp; see choose), and names
// every entry there is where that way does not see all of them, or it is time.
// Whatever does not fit leads to a full reading in the same call, with a note.
//
// An authenticator proves passwords: the account that reads looks for who signs in,
// and hands on the record as a reading would, and one bind by that entry's name
// tells the rest.
package ldap

import (
	"context"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Kind is the LDAP source.
var Kind = source.Kind{
	Name:    "ldap",
	Title:   "LDAP and Active Directory",
	Options: options,
	Open:    open,

	Authenticator: openAuthenticator,

	Refer: Refer,
	Alike: Alike,

	MembersOnly: func(v setting.Values) bool { return v.Bool("groups.members_only") },
}

// ldapSource has no connection of its own: each of its methods opens one and
// closes it, so that nothing is left of a server that went away in between.
type ldapSource struct {
	set    *settings
	preset *source.Preset
}

func open(v setting.Values, env source.Env) (source.Source, error) {
	set, err := decode(v, env)
	if err != nil {
		return nil, err
	}
	return &ldapSource{set: set}, nil
}

// Preset asks the server what it is.
func (s *ldapSource) Preset(ctx context.Context) (source.Preset, error) {
	if s.preset != nil {
		return *s.preset, nil
	}
	c, err := s.set.connect(ctx)
	if err != nil {
		return source.Preset{}, err
	}
	defer c.close()
	d, err := c.readRoot()
	if err != nil {
		return source.Preset{}, s.set.explain("read the root DSE", err)
	}
	p := s.set.presetFor(d)
	s.preset = &p
	return p, nil
}

// presetFor is the server's preset with what the settings override.
func (s *settings) presetFor(d *rootDSE) source.Preset {
	p := d.preset()
	out := source.Preset{Vendor: p.vendor, Anchor: p.anchor, Filter: p.people, Mapping: p.mapping}
	if s.anchor != "" {
		out.Anchor = s.anchor
	}
	if s.filter != "" {
		out.Filter = s.filter
	}
	return out
}

// Close has nothing to close.
func (s *ldapSource) Close() error { return nil }
