package ldap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// Domino has no attribute for somebody who is locked out: they are in a group
// the servers deny access to. The people in the groups set are handed on with an
// attribute that says so, which the mapping's status can look at.

// deniedAttribute is TRUE of people in a deny group. No server is asked for it.
const deniedAttribute = "denied"

// denied are the normalised DNs of the people in deny groups; nil where there
// are no such groups.
type denied map[string]struct{}

// denies is true where the attribute is ours to give.
func (r *reading) denies() bool {
	return len(r.set.deny) > 0 || r.preset.vendor == vendorDomino
}

// mark adds the attribute to a person who is denied, by being in a deny group or by
// having one as primary group, which does not name them.
func (d denied) mark(rec *directory.Record) {
	if len(d) == 0 {
		return
	}
	_, named := d[Refer(rec.Ref)]
	_, primary := d[Refer(rec.Primary)]
	if named || primary {
		rec.Attributes = append(rec.Attributes, directory.Attribute{Name: deniedAttribute, Values: []string{"TRUE"}})
	}
}

// digest stands for who is denied: an entry does not change when they come to be.
func (d denied) digest() string {
	if d == nil {
		return ""
	}
	h := sha256.New()
	for _, dn := range slices.Sorted(maps.Keys(d)) {
		_, _ = fmt.Fprintf(h, "%q\n", dn)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// readDenied reads the deny groups, and every group as far as its members are
// concerned: which of them are groups themselves only then can be told. A group
// that is not there, or cannot be read to its end, ends the reading: people who
// are locked out would be let in.
func (r *reading) readDenied() error {
	if len(r.set.deny) == 0 {
		return nil
	}
	members, named, err := r.membersOfGroups()
	if err != nil {
		return err
	}
	r.denied = denied{}
	var queue []string
	for _, group := range r.set.deny {
		at := named[fold(group)]
		if dn := Refer(group); isDN(group) && members[dn] != nil {
			at = []string{dn}
		}
		if len(at) == 0 {
			return fault.New(fault.Invalid, "ldap: setting sync.deny_groups: there is no group %s", quoted(group)).
				WithHint("It is a group's name or DN. Until it is found nobody is read: people who are locked out would be let in.")
		}
		queue = append(queue, at...)
	}
	for len(queue) > 0 {
		dn := queue[0]
		queue = queue[1:]
		if _, twice := r.denied[dn]; twice {
			continue
		}
		r.denied[dn] = struct{}{}
		queue = append(queue, members[dn]...)
	}
	return nil
}

// membersOfGroups gives the members of every group by normalised DNs, and the
// DNs by name. Where groups are not read otherwise, those of the preset are.
func (r *reading) membersOfGroups() (members, named map[string][]string, err error) {
	set := *r.set
	if set.groups == nil {
		// Domino's groups lie above all bases.
		set.groups = &groupSettings{hasBase: r.preset.vendor == vendorDomino}
	}
	every := *set.groups
	every.include = nil
	set.groups = &every
	members, named = map[string][]string{}, map[string][]string{}
	all, err := newReading(r.c, &set, r.dse, nil, func(rec *directory.Record) error {
		dn := Refer(rec.Ref)
		members[dn] = make([]string, 0, len(rec.Members))
		for _, m := range rec.Members {
			members[dn] = append(members[dn], Refer(m))
		}
		if len(rec.Attributes) > 0 {
			for _, name := range rec.Attributes[0].Values {
				named[fold(name)] = append(named[fold(name)], dn)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	h, err := all.groups(true)
	if err != nil {
		return nil, nil, err
	}
	if err := all.whole(h); err != nil {
		return nil, nil, err
	}
	if verdict := all.end(); !verdict.Complete {
		return nil, nil, fault.New(fault.Unavailable, "ldap: read the deny groups: %s", verdict.Reason).
			WithHint("Until they can be read nobody is: people who are locked out would be let in.")
	}
	return members, named, nil
}
