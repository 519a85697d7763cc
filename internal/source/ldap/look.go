package ldap

import (
	"context"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// Look reads the people whom a word leads to, with the base and the filter in
// force.
func (s *ldapSource) Look(ctx context.Context, who string, attributes []string, emit func(*directory.Record) error) error {
	if who = strings.TrimSpace(who); who == "" {
		return nil
	}
	c, err := s.set.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	d, err := c.readRoot()
	if err != nil {
		return s.set.explain("read the root DSE", err)
	}
	r, err := newReading(c, s.set, d, attributes, emit)
	if err != nil {
		return err
	}
	if err := r.readDenied(); err != nil {
		return err
	}
	f := finder{c: c, set: s.set, base: r.base}
	found, err := f.entries(who, r.anchor, d.contexts())
	if err != nil {
		return err
	}
	for _, dn := range found {
		if attributes == nil {
			if r.wanted, err = f.attributesOf(dn); err != nil {
				return err
			}
		}
		h, err := r.people()
		if err != nil {
			return err
		}
		if err := r.fetchDN(h, dn); err != nil {
			return err
		}
	}
	if len(r.reasons) > 0 {
		return fault.New(fault.Unavailable, "ldap: read the entry of %s: %s", quoted(who), r.reasons[0])
	}
	return nil
}

// attributesOf gives the names of an entry's attributes. Their values are asked for
// by name, without those that may hold a secret: some servers would hand out
// password hashes to whoever asks for everything.
func (f *finder) attributesOf(dn string) ([]string, error) {
	q := query{base: dn, scope: scopeBase, filter: everything, attributes: []string{"*"}, namesOnly: true}
	var names []string
	res, err := f.c.ask(&q, func(op cursor) error {
		_, attributes, err := entryParts(op)
		for err == nil && len(attributes) > 0 {
			var name string
			if name, _, err = attributes.attribute(); err != nil {
				break
			}
			if name, _, _ = strings.Cut(name, ";"); !directory.Secret(name) && len(names) < mostAttributes {
				names = append(names, strings.Clone(name))
			}
		}
		return err
	}, func([]string) {})
	if err == nil && res.code != 0 {
		err = res.err()
	}
	if err != nil {
		return nil, f.set.explain("read the entry "+clean(dn), err)
	}
	return append(names, operational...), nil
}

// mostAttributes is how many attributes of one entry are looked at.
const mostAttributes = 500

// operational are attributes that servers give only by name (RFC 4512, 3.4) and
// that rules and filters are made of.
var operational = []string{"entryUUID", "entryDN", "createTimestamp", "modifyTimestamp", "memberOf", "pwdAccountLockedTime", "pwdChangedTime", "nsAccountLock", "nsUniqueId", "structuralObjectClass"}
