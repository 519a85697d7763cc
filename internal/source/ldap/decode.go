package ldap

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/directory"
)

// role is what an attribute is to a reading.
type role uint8

const (
	roleAnchor  role = 1 << iota // the external ID is made of it
	roleWanted                   // it is handed on
	roleName                     // it is a group's name
	roleMember                   // its values are a group's members
	roleLogin                    // posix groups name the person by it
	roleSID                      // Active Directory's number of the person
	rolePrimary                  // the last part of the number of the person's primary group
	roleStamp                    // when the entry was last changed
)

// field is an attribute as spelled by the server, or by us before it spoke.
type field struct {
	name string
	role role
	text func(value string) string // turns binary values into their usual text; nil leaves them
	as   []string                  // the names under which it is handed on
}

// decoder turns search entries into records, again and again the same one: its
// slices are reused, and all strings of a record share the memory of its frame.
type decoder struct {
	kind    directory.Kind
	anchor  string
	include *regexp.Regexp // groups by name; nil takes all
	asked   []field
	known   map[string]field // by the server's spelling
	rec     directory.Record
	values  []string
	parts   []part
	name    string          // the attribute of a group's name
	met     map[string]bool // the attributes, in lower case, in which groups had members so far

	// Of the last record:
	logins   []string
	sid, rid []string
	stamps   []string
	excluded bool // a group whose name is not among those that are read
}

func newDecoder(kind directory.Kind, anchor string, wanted []string, name string, members []string) decoder {
	d := decoder{kind: kind, anchor: anchor, known: map[string]field{}, name: name, met: map[string]bool{}}
	if name != "" {
		d.ask(name, roleName)
	}
	for _, a := range wanted {
		d.want(a, a)
	}
	d.ask(anchor, roleAnchor)
	for _, a := range members {
		d.ask(a, roleMember)
	}
	return d
}

func (d *decoder) ask(name string, r role) {
	for i := range d.asked {
		if strings.EqualFold(d.asked[i].name, name) {
			d.asked[i].role |= r
			return
		}
	}
	d.asked = append(d.asked, field{name: name, role: r})
}

// want asks for an attribute that is handed on as it was named.
func (d *decoder) want(as, name string) {
	d.ask(name, roleWanted)
	for i := range d.asked {
		if a := &d.asked[i]; strings.EqualFold(a.name, name) && !containsFold(a.as, as) {
			a.as = append(a.as, as)
		}
	}
}

// handed are the names of what is asked for and handed on under another one.
func (d *decoder) handed() []string {
	var out []string
	for _, a := range d.asked {
		for _, as := range a.as {
			if !strings.EqualFold(as, a.name) {
				out = append(out, a.name+"="+as)
			}
		}
	}
	return out
}

// request is the attribute list of the search request.
func (d *decoder) request() []string {
	out := make([]string, len(d.asked))
	for i, f := range d.asked {
		out[i] = f.name
	}
	return out
}

// field finds what an attribute of an answer is. A server may use another
// spelling or another name than it was asked with, and sends the subtypes of what was asked for
// too (cn;lang-de). Some send more than was asked for, which has no role.
func (d *decoder) field(name string) field {
	if f, ok := d.known[name]; ok {
		return f
	}
	f := field{name: strings.Clone(name), text: textOf(name)}
	first := typeName(name)
	whole, _, _ := strings.Cut(first, ";")
	for _, a := range d.asked {
		switch {
		case strings.EqualFold(a.name, first), strings.EqualFold(a.name, name):
			f.role, f.as = a.role, a.handedAs(f.name, "")
		case f.role == 0 && strings.EqualFold(a.name, whole):
			f.role, f.as = a.role&roleWanted, a.handedAs(f.name, first[len(whole):])
		}
	}
	// A server that answers with ever new names must not fill the memory.
	if len(d.known) < 1000 {
		d.known[f.name] = f
	}
	return f
}

// handedAs are the names under which what was asked for is handed on: those it was
// asked for by, the server's own spelling where that is the same one. options are those
// of a subtype.
func (f field) handedAs(name, options string) []string {
	if len(f.as) == 0 {
		return []string{name}
	}
	out := make([]string, len(f.as))
	for i, as := range f.as {
		if out[i] = as + options; strings.EqualFold(out[i], name) {
			out[i] = name
		}
	}
	return out
}

// meet takes down an attribute in which a group has members.
func (d *decoder) meet(f field) {
	if name := strings.ToLower(f.name); !d.met[name] {
		d.met[name] = true
	}
}

// record decodes one entry, and gives what is missing of ranged attributes.
func (d *decoder) record(op cursor) (*directory.Record, []part, error) {
	dn, attributes, err := entryParts(op)
	if err != nil {
		return nil, nil, err
	}
	rec := &d.rec
	*rec = directory.Record{Kind: d.kind, Name: dn, Ref: dn, Attributes: rec.Attributes[:0], Members: rec.Members[:0]}
	d.values, d.parts = d.values[:0], d.parts[:0]
	d.logins, d.sid, d.rid, d.stamps, d.excluded = nil, nil, nil, d.stamps[:0], false
	if !utf8.ValidString(dn) {
		rec.Name = clean(dn)
		rec.Ref = rec.Name
		rec.Problem = "The entry's DN is not valid UTF-8."
	}
	var anchor, names []string
	for len(attributes) > 0 {
		full, content, err := attributes.attribute()
		if err != nil {
			return nil, nil, err
		}
		name, from, to, ranged := cutRange(full)
		start := len(d.values)
		for len(content) > 0 {
			v, err := content.take(tagOctetString)
			if err != nil {
				return nil, nil, err
			}
			d.values = append(d.values, string(v))
		}
		values := d.values[start:len(d.values):len(d.values)]
		raw := values
		if len(values) == 0 && !ranged {
			continue
		}
		f := d.field(name)
		if f.role&roleAnchor != 0 {
			anchor = values
		}
		d.takeOwn(f.role, values)
		if f.role&roleMember != 0 {
			rec.Members = append(rec.Members, values...)
			d.meet(f)
		}
		if f.role&(roleWanted|roleName) != 0 && len(values) > 0 {
			if f.text != nil {
				values = texts(values, f.text)
			}
			for _, as := range f.as {
				rec.Attributes = append(rec.Attributes, directory.Attribute{Name: as, Values: values})
			}
		}
		if f.role&roleName != 0 {
			// Where a group's name goes: first.
			last := len(rec.Attributes) - 1
			if names = values; last > 0 && len(values) > 0 {
				rec.Attributes[0], rec.Attributes[last] = rec.Attributes[last], rec.Attributes[0]
			}
		}
		if ranged && to >= 0 && f.role&(roleWanted|roleName|roleMember) != 0 {
			p := part{dn: dn, field: f, next: to + 1, bad: from != 0 || to+1-from != len(values)}
			if !p.bad {
				p.last = raw[to]
			}
			d.parts = append(d.parts, p)
		}
	}
	if d.kind == directory.Group {
		d.excluded = d.include != nil && (len(names) == 0 || !d.include.MatchString(names[0]))
		if len(names) == 0 && rec.Problem == "" && d.name != "" {
			rec.Problem = "The group has no name (" + d.name + ")."
		}
	}
	d.identify(rec, anchor)
	return rec, d.parts, nil
}

// takeOwn keeps what the reading itself needs of an entry.
func (d *decoder) takeOwn(r role, values []string) {
	if r&roleLogin != 0 {
		d.logins = values
	}
	if r&roleSID != 0 {
		d.sid = values
	}
	if r&rolePrimary != 0 {
		d.rid = values
	}
	if r&roleStamp != 0 {
		d.stamps = append(d.stamps, values...)
	}
}

// identify gives the record its external ID, or its problem.
func (d *decoder) identify(rec *directory.Record, anchor []string) {
	problem := ""
	switch {
	case len(anchor) == 0:
		problem = fmt.Sprintf("The entry has no %s to be known by.", d.anchor)
	case len(anchor) > 1:
		problem = fmt.Sprintf("The entry has %d values of %s, and can be known by one only.", len(anchor), d.anchor)
	default:
		if rec.ID = externalID(d.anchor, anchor[0]); rec.ID == "" {
			problem = fmt.Sprintf("The entry's %s is not one: it has %d bytes.", d.anchor, len(anchor[0]))
		}
	}
	if problem != "" {
		rec.Problem = problem
	}
}

// externalID is the usual text form of an anchor's value, "" when it has none.
func externalID(attribute, value string) directory.ExternalID {
	if strings.EqualFold(attribute, objectGUID) {
		if len(value) != 16 {
			return ""
		}
		return directory.ExternalID(guid(value))
	}
	if value == "" || utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }) {
		return directory.ExternalID(value)
	}
	return directory.ExternalID(hex.EncodeToString([]byte(value)))
}

// guid prints an objectGUID: its first three fields are little-endian.
func guid(b string) string {
	order := [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}
	var out [36]byte
	at := 0
	for i, o := range order {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out[at] = '-'
			at++
		}
		hex.Encode(out[at:], []byte{b[o]})
		at += 2
	}
	return string(out[:])
}

// cutRange takes the range option off an attribute description: member;range=0-1499
// gives member, 0, 1499, and the last part, which ends in a star, gives -1.
func cutRange(full string) (name string, from, to int, ranged bool) {
	i := strings.IndexByte(full, ';')
	if i < 0 {
		return full, 0, 0, false
	}
	options := strings.Split(full[i+1:], ";")
	at := slices.IndexFunc(options, func(o string) bool {
		return len(o) > 6 && strings.EqualFold(o[:6], "range=")
	})
	if at < 0 {
		return full, 0, 0, false
	}
	low, high, _ := strings.Cut(options[at][6:], "-")
	from, err := strconv.Atoi(low)
	to = -1
	if err == nil && high != "*" {
		to, err = strconv.Atoi(high)
	}
	if err != nil || from < 0 || to < -1 {
		return full, 0, 0, false
	}
	return strings.Join(append([]string{full[:i]}, slices.Delete(options, at, at+1)...), ";"), from, to, true
}
