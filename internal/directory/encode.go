package directory

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unsafe"
)

// The encoded form of a record is what the mirror stores:
//
//	version, kind, ID, Name, Ref, Problem, attributes(name, values), members, Primary
//
// every count and length an unsigned varint. Password, Gone and Present are not
// part of it. Version 1 had no Primary.
const encodingVersion = 2

var errEncoding = errors.New("directory: a stored record is damaged; run `rollcall connections reset` to read it again")

// Append encodes the record behind b.
func (r *Record) Append(b []byte) []byte {
	b = append(b, encodingVersion, byte(r.Kind))
	b = appendString(b, string(r.ID))
	b = appendString(b, r.Name)
	b = appendString(b, r.Ref)
	b = appendString(b, r.Problem)
	b = binary.AppendUvarint(b, uint64(len(r.Attributes)))
	for i := range r.Attributes {
		b = appendString(b, r.Attributes[i].Name)
		b = appendStrings(b, r.Attributes[i].Values)
	}
	b = appendStrings(b, r.Members)
	return appendString(b, r.Primary)
}

// Decode reads what Append wrote into r, replacing what was there.
func (r *Record) Decode(b []byte) error { return r.decode(string(b), &Decoder{}) } // one copy; every string shares it

// Decoder decodes one record after the other without making room for each: one per
// goroutine.
type Decoder struct {
	attributes []Attribute
	single     []string
}

// Decode is that of a record, but that its strings lie in b, which nobody may change
// any more, and that its lists are good until the next one is decoded.
func (d *Decoder) Decode(b []byte, r *Record) error {
	return r.decode(unsafe.String(unsafe.SliceData(b), len(b)), d)
}

func (r *Record) decode(text string, room *Decoder) error {
	*r = Record{}
	d := decoder{text: text}
	version := d.byte()
	if version < 1 || version > encodingVersion {
		return errEncoding
	}
	r.Kind = Kind(d.byte())
	r.ID = ExternalID(d.string())
	r.Name = d.string()
	r.Ref = d.string()
	r.Problem = d.string()
	if n := d.count(); n > 0 {
		if n > len(room.single) {
			room.attributes, room.single = make([]Attribute, n), make([]string, n) // most attributes have one value
		}
		r.Attributes, d.single = room.attributes[:n:n], room.single[:n]
		for i := range r.Attributes {
			r.Attributes[i] = Attribute{Name: d.string(), Values: d.strings()}
		}
	}
	r.Members = d.strings()
	if version > 1 {
		r.Primary = d.string()
	}
	if d.bad || d.at != len(d.text) {
		*r = Record{}
		return errEncoding
	}
	return nil
}

// Hasher computes content digests; it keeps its buffers, one per goroutine.
type Hasher struct {
	buf   []byte
	order []int
	vals  []string
}

// Hash is the digest of the record's content. The order of attributes and of
// values does not count: directories promise none (RFC 4511, 4.1.7).
// The salt stands for what is not in the record but changes its meaning, such
// as the keyed fingerprint of a password.
func (h *Hasher) Hash(r *Record, salt string) Digest {
	b := append(h.buf[:0], byte(r.Kind))
	b = appendString(b, string(r.ID))
	b = appendString(b, r.Name)
	b = appendString(b, r.Ref)
	b = appendString(b, r.Problem)
	b = appendString(b, salt)
	if r.Primary != "" {
		b = appendString(b, "\x00primary "+r.Primary)
	}
	h.order = h.order[:0]
	for i := range r.Attributes {
		h.order = append(h.order, i)
	}
	slices.SortFunc(h.order, func(x, y int) int {
		return strings.Compare(r.Attributes[x].Name, r.Attributes[y].Name)
	})
	b = binary.AppendUvarint(b, uint64(len(h.order))) // where members begin
	for _, i := range h.order {
		b = appendString(b, r.Attributes[i].Name)
		b = h.appendSorted(b, r.Attributes[i].Values)
	}
	b = h.appendSorted(b, r.Members)
	h.buf = b
	return Sum(b)
}

// Size is about how many bytes the encoded form of the last record takes.
func (h *Hasher) Size() int { return len(h.buf) + 16 }

func (h *Hasher) appendSorted(b []byte, values []string) []byte {
	if len(values) > 1 && !slices.IsSorted(values) {
		h.vals = append(h.vals[:0], values...)
		slices.Sort(h.vals)
		values = h.vals
	}
	return appendStrings(b, values)
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, values []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, s := range values {
		b = appendString(b, s)
	}
	return b
}

type decoder struct {
	text   string
	at     int
	bad    bool
	single []string // room for lists of one
}

func (d *decoder) byte() byte {
	if d.at >= len(d.text) {
		d.bad = true
		return 0
	}
	d.at++
	return d.text[d.at-1]
}

func (d *decoder) uvarint() uint64 {
	if d.at < len(d.text) && d.text[d.at] < 0x80 {
		d.at++
		return uint64(d.text[d.at-1])
	}
	var v uint64
	for shift := 0; shift < 63; shift += 7 {
		c := d.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	d.bad = true
	return 0
}

// count is a number of things that follow; each needs a byte at least, which
// bounds what a damaged count can make us allocate.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.text)-d.at) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) string() string {
	n := d.count()
	s := d.text[d.at : d.at+n]
	d.at += n
	return s
}

func (d *decoder) strings() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	if n == 1 && len(d.single) > 0 {
		out := d.single[:1:1]
		d.single = d.single[1:]
		out[0] = d.string()
		return out
	}
	out := make([]string, n)
	for i := range out {
		out[i] = d.string()
	}
	return out
}
