package ldap

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// Somebody who is moved to where people are read may be in groups already. They
// called that person by another DN when they were read, one that meant nobody,
// and servers do not mark a group as changed when a member's DN changes. So for
// those who come the groups they are in are looked for.

// newcomers are the entries a reading of changes has met for the first time.
type newcomers struct {
	dns    []string
	keys   []string                      // anchors of the groups among them, where they can be somebody's primary group
	groups map[directory.ExternalID]bool // those handed on in this reading
	all    bool                          // all groups are read: nobody need be looked for
}

// add takes down the DN of one.
func (n *newcomers) add(dn string) {
	if !n.all && len(n.dns) <= manyNewcomers {
		n.dns = append(n.dns, strings.Clone(dn))
	}
}

// manyNewcomers is how many it pays to look for one by one. Beyond that all
// groups are read.
const manyNewcomers = 5000

// greet takes down a record that is about to be handed on.
func (r *reading) greet(rec *directory.Record) error {
	if !r.changes || rec.ID == "" || r.set.groups == nil || r.logins != nil {
		return nil
	}
	group := rec.Kind != directory.User
	if group {
		r.newcomers.groups[directory.ExternalID(strings.Clone(string(rec.ID)))] = true
	}
	primary := r.preset.primary && group
	if (r.newcomers.all || len(r.newcomers.dns) > manyNewcomers) && !primary {
		return nil
	}
	known, err := r.isKnown(rec.Kind, rec.ID)
	if err != nil || known {
		return err
	}
	r.newcomers.add(rec.Ref)
	if primary {
		r.newcomers.keys = append(r.newcomers.keys, strings.Clone(anchorValue(r.anchor, string(rec.ID))))
	}
	return nil
}

// enrol reads the people whose primary group is a group that came. They were handed on
// with the DN it had where it was not read, and are not changed by its coming.
func (r *reading) enrol(halves []*half) error {
	keys := r.newcomers.keys
	r.newcomers.keys = nil
	for some := range slices.Chunk(keys, batch) {
		names := newDecoder(directory.Group, r.anchor, nil, "", nil)
		names.ask("objectSid", roleSID)
		groups := halves[len(halves)-1]
		q := groups.query
		q.filter, q.attributes = combine(filterAnd, groups.query.filter, anyOf(r.anchor, some)), names.request()
		var numbers []string
		e, err := r.pages(groups.what, q, func(op cursor) error {
			_, _, err := names.record(op)
			if err == nil && len(names.sid) == 1 {
				numbers = append(numbers, relativeID(names.sid[0]))
			}
			return err
		}, func() error { return nil })
		if err != nil {
			return err
		}
		if _, err := r.judge(groups.what, q, e); err != nil {
			return err
		}
		if len(numbers) == 0 {
			continue
		}
		people := halves[0]
		q = people.query
		q.filter = combine(filterAnd, people.query.filter, anyOf("primaryGroupID", numbers))
		if err := r.part(people, q); err != nil {
			return err
		}
	}
	return nil
}

// regroup reads the groups newcomers are in. held are the attributes in which groups
// have members, none where that is not known: a server may look through all groups for
// an attribute that no group has, because it has no index of it.
func (r *reading) regroup(groups *half, held []string) error {
	dns := r.newcomers.dns
	if r.newcomers.dns = nil; groups.kind != directory.Group || len(dns) == 0 {
		return nil
	}
	if len(dns) > manyNewcomers {
		r.newcomers.all = true
		return r.whole(groups)
	}
	names := r.names(groups)
	var keys []string
	for some := range slices.Chunk(dns, batch) {
		var of [][]byte
		for _, a := range r.memberAttributes() {
			if len(held) == 0 || slices.Contains(held, strings.ToLower(a)) {
				of = append(of, anyOf(a, some))
			}
		}
		q := groups.query
		q.filter = combine(filterAnd, groups.query.filter, combine(filterOr, of...))
		q.attributes = names.request()
		e, err := r.pages(groups.what, q, func(op cursor) error {
			rec, _, err := names.record(op)
			if err == nil && names.excluded {
				var known bool
				if known, err = r.isKnown(rec.Kind, rec.ID); err != nil || !known {
					return err // it lies in none that is selected
				}
			}
			if err == nil && rec.ID != "" && !r.newcomers.groups[rec.ID] {
				r.newcomers.groups[directory.ExternalID(strings.Clone(string(rec.ID)))] = true
				keys = append(keys, strings.Clone(anchorValue(r.anchor, string(rec.ID))))
			}
			return err
		}, func() error { return nil })
		if err != nil {
			return err
		}
		if _, err := r.judge(groups.what, q, e); err != nil {
			return err
		}
	}
	return r.fetch(groups, keys)
}
