package ldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// Servers cut large attributes: Active Directory sends member;range=0-1499 in
// place of member, and the rest is asked for part by part until one is marked
// as the last. That is done between pages, on the connection of the search, so
// that one server answers for all of an entry.
//
// The parts are places in a list that others may change meanwhile: with a member
// taken out of the first part all behind it move up, and one of them would be in
// none. So each part is asked for from the last value of the one before.

// part is an attribute of an entry of which more is to be had.
type part struct {
	dn    string
	field field
	next  int    // the first value not here yet
	last  string // the value before that, where there is one
	bad   bool   // what came so far cannot be right
}

// held is an entry that waits for the rest of it.
type held struct {
	rec     directory.Record
	parts   []part
	primary string // the SID of its primary group, whose DN is not known yet
}

// heldLimit is how much of values may wait at a time. Beyond, an attribute is
// read again from its start when its turn comes.
const heldLimit = 16 << 20

func (r *reading) hold(rec *directory.Record, parts []part, primary string) {
	h := held{rec: keep(rec), parts: slices.Clone(parts), primary: primary}
	size := 0
	for _, m := range h.rec.Members {
		size += len(m)
	}
	if r.heldMem += size; r.heldMem > heldLimit {
		h.shed()
		r.heldMem -= size
	}
	r.held = append(r.held, h)
}

// keep makes a record that outlives the decoder's next one.
func keep(rec *directory.Record) directory.Record {
	out := *rec
	out.Attributes = slices.Clone(rec.Attributes)
	for i := range out.Attributes {
		out.Attributes[i].Values = slices.Clone(out.Attributes[i].Values)
	}
	out.Members = slices.Clone(rec.Members)
	return out
}

// shed lets go of the members, and of the frame they keep in memory.
func (h *held) shed() {
	if !h.membersAlone() {
		return
	}
	h.parts[0].next, h.parts[0].last = 0, ""
	h.rec.Members = nil
	h.rec.Name, h.rec.Ref, h.parts[0].dn = strings.Clone(h.rec.Name), strings.Clone(h.rec.Ref), strings.Clone(h.parts[0].dn)
	for i := range h.rec.Attributes {
		for j, v := range h.rec.Attributes[i].Values {
			h.rec.Attributes[i].Values[j] = strings.Clone(v)
		}
	}
}

// membersAlone is true where nothing but members is missing.
func (h *held) membersAlone() bool { return len(h.parts) == 1 && h.parts[0].field.role&roleMember != 0 }

// mostAgain is how often members that others change meanwhile are read from their start.
const mostAgain = 3

// remaining reads the rest of an attribute. Members that changed meanwhile are read anew.
func (r *reading) remaining(h *held, p part) ([]string, error) {
	for n := 0; ; n++ {
		values, err := r.rest(p)
		if e := (*rangeError)(nil); !errors.As(err, &e) || !e.moved || !h.membersAlone() || n == mostAgain {
			return values, err
		}
		h.shed()
		p = h.parts[0]
	}
}

// completeHeld reads the rest of what the page left open and hands it on.
func (r *reading) completeHeld() error {
	for i := range r.held {
		h := &r.held[i]
		for _, p := range h.parts {
			values, err := r.remaining(h, p)
			if e := (*rangeError)(nil); errors.As(err, &e) {
				r.incomplete(fmt.Sprintf("the attribute %s of %s could not be read to its end: %s", p.field.name, quoted(p.dn), e.why))
			} else if err != nil {
				return r.set.explain(fmt.Sprintf("read the rest of %s of %s", p.field.name, quoted(p.dn)), err)
			}
			h.add(p.field, values)
		}
		if h.primary != "" {
			var err error
			if h.rec.Primary, err = r.primaryGroup(h.primary); err != nil {
				return err
			}
		}
		if err := r.deliver(&h.rec); err != nil {
			return err
		}
		*h = held{}
	}
	r.held, r.heldMem = r.held[:0], 0
	return nil
}

func (h *held) add(f field, values []string) {
	if f.role&roleMember != 0 {
		h.rec.Members = append(h.rec.Members, values...)
	}
	if f.role&(roleWanted|roleName) == 0 || len(values) == 0 {
		return
	}
	if f.text != nil {
		values = texts(values, f.text)
	}
	for _, as := range f.as {
		i := slices.IndexFunc(h.rec.Attributes, func(a directory.Attribute) bool { return a.Name == as })
		if i < 0 {
			h.rec.Attributes = append(h.rec.Attributes, directory.Attribute{Name: as, Values: values})
			continue
		}
		a := &h.rec.Attributes[i]
		a.Values = append(a.Values, values...)
	}
}

// rangeError is why an attribute could not be read to its end.
type rangeError struct {
	why   string
	moved bool // others changed it meanwhile
}

func (e *rangeError) Error() string { return e.why }

// rest reads an attribute from p.next to its end.
func (r *reading) rest(p part) ([]string, error) {
	if p.bad {
		return nil, &rangeError{why: "the server gave another number of values than it said"}
	}
	var out []string
	for {
		got, last, err := r.piece(p)
		if err != nil {
			return out, err
		}
		out = append(out, got...)
		if last {
			return out, nil
		}
		if len(got) > 0 {
			p.next, p.last = p.next+len(got), got[len(got)-1]
		}
	}
}

// piece reads the next values of an attribute, behind the last one that came. What is
// wrong with an answer is kept until the answer has ended: the connection is needed
// afterwards.
func (r *reading) piece(p part) (got []string, last bool, err error) {
	answered, wrong := false, false
	first := max(p.next-1, 0)
	q := query{base: p.dn, scope: scopeBase, filter: everything, attributes: []string{fmt.Sprintf("%s;range=%d-*", p.field.name, first)}}
	res, err := r.c.ask(&q, func(op cursor) error {
		_, attributes, err := entryParts(op)
		for err == nil && len(attributes) > 0 {
			var full string
			var content cursor
			if full, content, err = attributes.attribute(); err != nil {
				return err
			}
			name, from, to, ranged := cutRange(full)
			if !ranged || !strings.EqualFold(name, p.field.name) {
				continue
			}
			start := len(got)
			for len(content) > 0 {
				v, err := content.take(tagOctetString)
				if err != nil {
					return err
				}
				got = append(got, string(v))
			}
			n := len(got) - start
			wrong = wrong || answered || from != first || to >= 0 && (n == 0 || to+1-from != n)
			answered, last = true, to < 0
		}
		return err
	}, func([]string) {})
	switch {
	case err != nil:
		return nil, false, err
	case res.code == codeNoSuchObject:
		return nil, false, &rangeError{why: "the entry was moved or deleted meanwhile"}
	case res.code != 0:
		// So Active Directory answers when there are no longer so many.
		return nil, false, &rangeError{why: res.err().Error(), moved: p.next > 0}
	case wrong:
		return nil, false, &rangeError{why: "the server gave other values than it was asked for"}
	case !answered:
		return nil, false, &rangeError{why: "the server did not give the rest of it"}
	case p.next > 0:
		if len(got) == 0 || got[0] != p.last {
			return nil, false, &rangeError{why: "it was changed meanwhile", moved: true}
		}
		if got = got[1:]; len(got) == 0 && !last {
			return nil, false, &rangeError{why: "the server gives one value at a time"}
		}
	}
	return got, last, nil
}
