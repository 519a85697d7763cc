package ldap

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// Who is in a group is in the groups around it. Where include selects the outer one and
// leaves out the inner one, the inner one is read too, for the sake of its members alone,
// and what lies in it, and so on. No other group that include leaves out is handed on.
// What a filter or a base leaves out never comes, so it is not followed.

// inner is what a reading knows of groups that include leaves out.
type inner struct {
	seed   maphash.Seed
	names  map[uint64]omitted // those that are left out, by DN
	all    bool               // names are those of all groups
	open   []uint64           // members of groups that came, which may be groups that are left out
	ask    []string           // the DNs of the first of them
	due    []omitted          // to be read: they are in groups that were
	taken  map[directory.Digest]bool
	follow bool // what include leaves out is what is read now
	told   []string
	more   int // whose names are not among told
}

// omitted is a group that include leaves out: what it is known by, or where it lies if
// that is nothing usable.
type omitted struct {
	anchor, dn string
	met        bool // in a group that was read
}

const (
	// mostAsked is of how many members a reading of changes asks what they are. Beyond,
	// it has all groups named.
	mostAsked = 1000
	// mostTold is how many groups a note names.
	mostTold = 10
)

// inside is true where groups that are left out may lie in others. Posix groups have
// people alone.
func (r *reading) inside() bool {
	return r.set.groups != nil && r.set.groups.include != nil && r.logins == nil
}

func (r *reading) innerKey(dn string) uint64 {
	return maphash.String(r.inner.seed, Refer(r.spelled(dn)))
}

// omit takes down a group that is left out.
func (r *reading) omit(rec *directory.Record) {
	o := omitted{anchor: strings.Clone(anchorValue(r.anchor, string(rec.ID)))}
	if rec.ID == "" {
		o.anchor, o.dn = "", strings.Clone(rec.Ref)
	}
	key := r.innerKey(rec.Ref)
	o.met = r.inner.names[key].met
	r.inner.names[key] = o
}

// spare says of a group that include leaves out whether it is handed on for the sake of
// its members: in a reading of changes where it was before, in one of everything where it
// came or got its name after all were named, and wherever it is known to lie in another.
func (r *reading) spare(rec *directory.Record) (bool, error) {
	switch {
	case !r.inside():
		return false, r.gone(rec.Kind, rec.ID)
	case r.inner.follow:
		return true, nil
	case !r.changes:
		_, named := r.inner.names[r.innerKey(rec.Ref)]
		return r.inner.all && !named, nil
	case rec.ID == "":
		return false, nil
	}
	known, err := r.isKnown(rec.Kind, rec.ID)
	if err == nil && !known {
		r.stranger(rec)
	}
	return known, err
}

// stranger takes down a group that is not known. Groups that were read may have named it
// before it was there: they are read again.
func (r *reading) stranger(rec *directory.Record) {
	r.omit(rec)
	r.newcomers.add(rec.Ref)
}

// again is true of a group that this reading of everything handed on already: its name
// was changed meanwhile.
func (r *reading) again(rec *directory.Record) bool {
	if r.changes || rec.ID == "" || !r.inside() {
		return false
	}
	key := directory.KeyOf(rec.Kind, rec.ID)
	twice := r.inner.taken[key]
	r.inner.taken[key] = true
	return twice
}

// takeMembers looks for groups that are left out among the members of one that is handed on.
func (r *reading) takeMembers(rec *directory.Record) {
	if !r.inside() {
		return
	}
	if r.inner.follow {
		if name := nameOf(rec); len(r.inner.told) < mostTold {
			r.inner.told = append(r.inner.told, strings.Clone(name))
		} else {
			r.inner.more++
		}
	}
	for _, m := range rec.Members {
		key := r.innerKey(m)
		if r.inner.all {
			r.meetInner(key)
			continue
		}
		r.inner.open = append(r.inner.open, key)
		if len(r.inner.ask) <= mostAsked {
			r.inner.ask = append(r.inner.ask, strings.Clone(m))
		}
	}
}

func (r *reading) meetInner(key uint64) {
	if o, ok := r.inner.names[key]; ok && !o.met {
		r.inner.due = append(r.inner.due, o)
		o.met = true
		r.inner.names[key] = o
	}
}

// nameAll takes down all groups that are left out.
func (r *reading) nameAll(groups *half) error {
	whole, err := r.nameSome(groups, groups.query.filter)
	r.inner.all = whole
	return err
}

// nameSome takes down those that are left out among the groups a filter finds.
func (r *reading) nameSome(groups *half, filter []byte) (whole bool, err error) {
	names := r.names(groups)
	q := groups.query
	q.filter, q.attributes, q.elsewhere = filter, names.request(), true
	e, err := r.pages(groups.what, q, func(op cursor) error {
		rec, _, err := names.record(op)
		if err == nil && names.excluded {
			r.omit(rec)
		}
		return err
	}, func() error { return nil })
	if err != nil {
		return false, err
	}
	return r.judge(groups.what, q, e)
}

// entryNames are the attributes by which an entry is found by its DN quickly.
var entryNames = map[string]string{vendorAD: "distinguishedName", vendorOpenLDAP: "entryDN", vendor389: "entryDN"}

// nameOpen takes down those that are left out among the members of groups that came.
func (r *reading) nameOpen(groups *half) error {
	by := entryNames[r.preset.vendor]
	if by == "" || len(r.inner.ask) > mostAsked {
		return r.nameAll(groups)
	}
	for some := range slices.Chunk(r.inner.ask, batch) {
		if _, err := r.nameSome(groups, combine(filterAnd, groups.query.filter, anyOf(by, some))); err != nil {
			return err
		}
	}
	return nil
}

// pending is true while it is to be found out what members of groups are.
func (r *reading) pending() bool { return r.inside() && len(r.inner.open)+len(r.inner.due) > 0 }

// follow reads the groups that are left out and lie in those that were read, level by
// level.
func (r *reading) follow(groups *half) error {
	if !r.inside() {
		return nil
	}
	defer func() { r.inner.follow = false }()
	for {
		if len(r.inner.open) > 0 && !r.inner.all {
			if err := r.nameOpen(groups); err != nil {
				return err
			}
		}
		for _, key := range r.inner.open {
			r.meetInner(key)
		}
		r.inner.open, r.inner.ask = nil, nil
		due := r.inner.due
		if r.inner.due = nil; len(due) == 0 {
			return nil
		}
		var keys []string
		for _, o := range due {
			switch known, err := r.knownInner(o); {
			case err != nil:
				return err
			case !known && o.anchor != "":
				keys = append(keys, o.anchor)
			case !known:
				r.inner.follow = true
				if err := r.fetchDN(groups, o.dn); err != nil {
					return err
				}
			}
		}
		r.inner.follow = true
		if err := r.fetch(groups, keys); err != nil {
			return err
		}
		r.inner.follow = false
	}
}

// knownInner is true of a group that was handed on before and did not change since.
func (r *reading) knownInner(o omitted) (bool, error) {
	if !r.changes || o.anchor == "" {
		return false, nil
	}
	return r.isKnown(directory.Group, externalID(r.anchor, o.anchor))
}

// noteInner says which groups are read for their members alone.
func (r *reading) noteInner() {
	told, more := r.inner.told, r.inner.more
	slices.Sort(told)
	switch {
	case len(told) == 0:
	case len(told) == 1:
		r.note(fmt.Sprintf("The group %s is in one that `include` selects, and is not selected itself: it is read for its members alone.", told[0]))
	default:
		list := strings.Join(told[:len(told)-1], ", ") + " and " + told[len(told)-1]
		if more > 0 {
			list = fmt.Sprintf("%s and %d more", strings.Join(told, ", "), more)
		}
		r.note(fmt.Sprintf("The groups %s are in groups that `include` selects, and are not selected themselves: they are read for their members alone.", list))
	}
}

// nameOf is what a person calls a group.
func nameOf(rec *directory.Record) string {
	if len(rec.Attributes) > 0 && len(rec.Attributes[0].Values) > 0 {
		return clean(rec.Attributes[0].Values[0])
	}
	return clean(rec.Name)
}
