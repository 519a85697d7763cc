package ldap

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// Groups in groups count as far as they are read. Where include takes the outer one
// and leaves out the inner one, the inner one's people are not members of the outer
// one, and somebody should know. Which groups are left out is seen when they come, in
// a full reading and where the names of all are asked for. What a filter or a base
// leaves out never comes, so nothing can be said of it.

// leftOut is what a reading knows of groups that include leaves out.
type leftOut struct {
	seed    maphash.Seed
	names   map[uint64]string // of groups that are left out, by DN
	outer   []string          // names of groups that are read
	open    []membership      // of theirs, whose members may yet turn out to be left out
	inner   map[int]*inside   // who of them has groups that are left out
	parting []string          // names of groups that were read before and are left out now
	all     bool              // names are those of all groups
	ask     []string          // members of which a reading of changes may ask what they are
}

// inside are groups in a group: the first by name, and how many more there are.
type inside struct {
	names []string
	more  int
}

// membership is one member of a group, by its place in outer.
type membership struct {
	member uint64
	group  int32
}

const (
	// mostOpen is how many memberships are looked at again when all groups are known,
	// and mostLeftOut how many groups are: 16 MB each, about. Beyond, some is not told.
	mostOpen    = 1 << 20
	mostLeftOut = 1 << 17
	// mostAsked bounds what a reading of changes asks for the sake of a note.
	mostAsked = 1000
	// mostTold is how many groups are told of by name, and of each how many in it.
	mostTold = 10
)

func (l *leftOut) key(dn string) uint64 { return maphash.String(l.seed, Refer(dn)) }

// omit takes down a group that is left out.
func (l *leftOut) omit(rec *directory.Record) {
	if len(l.names) < mostLeftOut {
		l.names[l.key(rec.Ref)] = strings.Clone(nameOf(rec))
	}
}

// take takes down a group that is read.
func (l *leftOut) take(rec *directory.Record) {
	if len(rec.Members) == 0 {
		return
	}
	group := len(l.outer)
	l.outer = append(l.outer, strings.Clone(nameOf(rec)))
	few := len(l.ask)+len(rec.Members) <= mostAsked
	for _, m := range rec.Members {
		if few {
			l.ask = append(l.ask, strings.Clone(m))
		}
		key := l.key(m)
		if name, ok := l.names[key]; ok {
			l.tell(group, name)
		} else if len(l.open) < mostOpen {
			l.open = append(l.open, membership{key, int32(group)}) //nolint:gosec // each has a member, and no reading has so many groups
		}
	}
}

func (l *leftOut) tell(group int, name string) {
	in := l.inner[group]
	switch {
	case in == nil:
		l.inner[group] = &inside{names: []string{name}}
	case slices.Contains(in.names, name):
	case len(in.names) < mostTold:
		in.names = append(in.names, name)
	default:
		in.more++
	}
}

// settle looks at what was open when it came.
func (l *leftOut) settle() {
	for _, m := range l.open {
		if name, ok := l.names[m.member]; ok {
			l.tell(int(m.group), name)
		}
	}
	l.open = nil
}

// notes say what a person should know.
func (l *leftOut) notes() []string {
	l.settle()
	var out []string
	told := map[string]bool{}
	for group, name := range l.outer {
		in := l.inner[group]
		if in == nil || told[name] {
			continue
		}
		if told[name] = true; len(told) > mostTold {
			continue
		}
		one, whose, which := "the group", "its", "it"
		if len(in.names) > 1 {
			one, whose, which = "the groups", "their", "them"
		}
		out = append(out, fmt.Sprintf("%s has %s %s among its members, which `include` leaves out: %s people do not count as members of %s; select %s too.",
			name, one, in, whose, name, which))
	}
	if n := len(told) - mostTold; n > 0 {
		out = append(out, fmt.Sprintf("%d more groups have groups among their members that `include` leaves out.", n))
	}
	for _, name := range l.parting[:min(mostTold, len(l.parting))] {
		out = append(out, fmt.Sprintf("The group %s was read before and is not any more, so its memberships end: `include` leaves out the name it has now.", name))
	}
	if n := len(l.parting) - mostTold; n > 0 {
		out = append(out, fmt.Sprintf("%d more groups were read before and are not any more, since `include` leaves out the names they have now.", n))
	}
	return out
}

// String names them as in "a, b and c".
func (in *inside) String() string {
	last := len(in.names) - 1
	switch {
	case in.more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(in.names, ", "), in.more)
	case last == 0:
		return in.names[0]
	}
	return strings.Join(in.names[:last], ", ") + " and " + in.names[last]
}

// nameOf is what a person calls a group.
func nameOf(rec *directory.Record) string {
	if len(rec.Attributes) > 0 && len(rec.Attributes[0].Values) > 0 {
		return clean(rec.Attributes[0].Values[0])
	}
	return clean(rec.Name)
}

// entryNames are the attributes by which an entry is found by its DN quickly.
var entryNames = map[string]string{vendorAD: "distinguishedName", vendorOpenLDAP: "entryDN", vendor389: "entryDN"}

// askLeftOut looks whether members of groups that changed are groups that are left out.
// Whatever the server answers, the reading is what it is.
func (r *reading) askLeftOut(groups *half) error {
	by := entryNames[r.preset.vendor]
	if r.left.all || by == "" || groups.decoder.include == nil {
		return nil
	}
	names := newDecoder(directory.Group, r.anchor, nil, groups.decoder.name, nil)
	names.include = groups.decoder.include
	for some := range slices.Chunk(r.left.ask, batch) {
		q := groups.query
		q.filter = combine(filterAnd, groups.query.filter, anyOf(by, some))
		q.attributes, q.elsewhere = names.request(), true
		_, err := r.pages(groups.what, q, func(op cursor) error {
			rec, _, err := names.record(op)
			if err == nil && names.excluded {
				r.left.omit(rec)
			}
			return err
		}, func() error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// omit takes down a group that include leaves out. It may have had another name.
func (r *reading) omit(rec *directory.Record) error {
	r.left.omit(rec)
	if !r.changes || rec.ID == "" {
		return nil
	}
	known, err := r.isKnown(rec.Kind, rec.ID)
	if err != nil {
		return err
	}
	if name := nameOf(rec); known && !slices.Contains(r.left.parting, name) {
		r.left.parting = append(r.left.parting, strings.Clone(name))
	}
	return r.gone(rec.Kind, rec.ID)
}
