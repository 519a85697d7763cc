// Package wire reads what LDAP clients ask and writes what a server answers
// (RFC 4511), on the BER library that go-ldap uses. It hands requests on to the
// simulator and knows nothing of directories.
package wire

import (
	"errors"
	"fmt"
	"io"

	ber "github.com/go-asn1-ber/asn1-ber"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// longest is the longest request that is read, in bytes.
const longest = 32 << 20

// Operations by their tags (RFC 4511, 4.2 to 4.14).
const (
	tagBind         = 0
	tagBindResponse = 1
	tagUnbind       = 2
	tagSearch       = 3
	tagEntry        = 4
	tagDone         = 5
	tagModify       = 6
	tagAdd          = 8
	tagDelete       = 10
	tagModifyDN     = 12
	tagCompare      = 14
	tagAbandon      = 16
	tagReference    = 19
	tagExtended     = 23
	tagExtendedDone = 24
	tagIntermediate = 25
)

// Request is one message from a client. Op is a *Bind, *Unbind, *Search,
// *Modify, *Add, *Delete, *ModifyDN, *Compare, *Abandon or *Extended.
type Request struct {
	ID       int64
	Op       any
	Controls []Control
}

// Control gives a control by its OID, or nil.
func (r *Request) Control(oid string) *Control {
	for i := range r.Controls {
		if r.Controls[i].OID == oid {
			return &r.Controls[i]
		}
	}
	return nil
}

// Bind is a request to sign in. Simple is false where it is by SASL.
type Bind struct {
	Version  int64
	Name     string
	Simple   bool
	Password string
}

// Unbind is a client's good-bye.
type Unbind struct{}

// Search is a request for entries.
type Search struct {
	Base       string
	Scope      tree.Scope
	SizeLimit  int64
	TimeLimit  int64
	TypesOnly  bool
	Filter     *tree.Filter
	Attributes []string
}

// Modify is a request to change an entry.
type Modify struct {
	DN   string
	Mods []tree.Mod
}

// Add is a request to add an entry.
type Add struct {
	DN         string
	Attributes []tree.Attribute
}

// Delete is a request to delete an entry.
type Delete struct{ DN string }

// ModifyDN is a request to rename or move an entry.
type ModifyDN struct {
	DN, RDN   string
	DeleteOld bool
	Above     *string
}

// Compare is a request to compare a value.
type Compare struct{ DN, Attr, Value string }

// Abandon is a wish to hear no more of a request.
type Abandon struct{ ID int64 }

// Extended is a request by OID.
type Extended struct {
	OID   string
	Value string
}

// ErrNotLDAP is what a client sent that no LDAP message begins with.
var ErrNotLDAP = errors.New("the client sent what is not LDAP")

// Read reads one message. The error is io.EOF where the client ended the
// connection between two.
func Read(r io.Reader) (*Request, error) {
	frame, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	p, err := ber.DecodePacketErr(frame)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLDAP, err)
	}
	return decode(p)
}

// readFrame reads tag, length and content of one message.
func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, 2, 6)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, ErrNotLDAP
	}
	length := int(head[1])
	if length >= 0x80 {
		n := length & 0x7f
		if n == 0 || n > 4 {
			return nil, fmt.Errorf("%w: a length of %d bytes", ErrNotLDAP, n)
		}
		more := head[2 : 2+n]
		if _, err := io.ReadFull(r, more); err != nil {
			return nil, unexpected(err)
		}
		length = 0
		for _, b := range more {
			length = length<<8 | int(b)
		}
		head = head[:2+n]
	}
	if length > longest {
		return nil, fmt.Errorf("%w: a message of %d bytes", ErrNotLDAP, length)
	}
	frame := make([]byte, len(head)+length)
	copy(frame, head)
	if _, err := io.ReadFull(r, frame[len(head):]); err != nil {
		return nil, unexpected(err)
	}
	return frame, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fields takes a message apart. The first thing that is not as it must be is
// remembered, and everything after it is empty.
type fields struct {
	list []*ber.Packet
	err  error
}

func in(p *ber.Packet) *fields { return &fields{list: p.Children} }

func (f *fields) bad(what string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s", ErrNotLDAP, what)
	}
	f.list = nil
}

// next takes the next element, or nil.
func (f *fields) next(what string) *ber.Packet {
	if len(f.list) == 0 {
		f.bad("there is no " + what)
		return nil
	}
	p := f.list[0]
	f.list = f.list[1:]
	return p
}

// tagged takes the next element if it has a context-specific tag.
func (f *fields) tagged(tag ber.Tag) *ber.Packet {
	if len(f.list) == 0 || f.list[0].ClassType != ber.ClassContext || f.list[0].Tag != tag {
		return nil
	}
	return f.next("")
}

func (f *fields) text(what string) string {
	p := f.next(what)
	if p == nil || p.TagType != ber.TypePrimitive {
		f.bad(what + " is no string")
		return ""
	}
	return content(p)
}

func (f *fields) number(what string) int64 {
	p := f.next(what)
	if p == nil {
		return 0
	}
	n, ok := p.Value.(int64)
	if !ok {
		f.bad(what + " is no number")
	}
	return n
}

func (f *fields) truth(what string) bool {
	p := f.next(what)
	if p == nil {
		return false
	}
	b, ok := p.Value.(bool)
	if !ok {
		f.bad(what + " is neither true nor false")
	}
	return b
}

func (f *fields) sequence(what string) *fields {
	p := f.next(what)
	if p == nil || p.TagType != ber.TypeConstructed {
		f.bad(what + " is no sequence")
		return &fields{err: f.err}
	}
	return in(p)
}

func (f *fields) texts(what string) []string {
	inner := f.sequence(what)
	var out []string
	for len(inner.list) > 0 {
		out = append(out, inner.text(what))
	}
	f.take(inner)
	return out
}

func (f *fields) take(inner *fields) {
	if inner.err != nil && f.err == nil {
		f.err = inner.err
	}
}

// content gives the bytes of a primitive element as they came.
func content(p *ber.Packet) string {
	return p.Data.String()
}

func decode(p *ber.Packet) (*Request, error) {
	f := in(p)
	r := &Request{ID: f.number("message ID")}
	op := f.next("operation")
	if f.err != nil {
		return nil, f.err
	}
	if op.ClassType != ber.ClassApplication {
		return nil, fmt.Errorf("%w: operation of class %d", ErrNotLDAP, op.ClassType)
	}
	if c := f.tagged(0); c != nil {
		for list := in(c); len(list.list) > 0; {
			r.Controls = append(r.Controls, list.control())
			f.take(list)
		}
	}
	var err error
	if r.Op, err = operation(op); f.err == nil {
		f.err = err
	}
	return r, f.err
}

func operation(p *ber.Packet) (any, error) {
	f := in(p)
	var op any
	switch p.Tag {
	case tagBind:
		b := &Bind{Version: f.number("version"), Name: f.text("name")}
		if how := f.next("authentication"); how != nil && how.Tag == 0 {
			b.Simple, b.Password = true, content(how)
		}
		op = b
	case tagUnbind:
		op = &Unbind{}
	case tagSearch:
		op = search(f)
	case tagModify:
		op = modify(f)
	case tagAdd:
		a := &Add{DN: f.text("name")}
		for list := f.sequence("attributes"); len(list.list) > 0; f.take(list) {
			a.Attributes = append(a.Attributes, list.attribute())
		}
		op = a
	case tagDelete:
		op = &Delete{DN: content(p)}
	case tagModifyDN:
		m := &ModifyDN{DN: f.text("name"), RDN: f.text("new RDN"), DeleteOld: f.truth("deleteoldrdn")}
		if above := f.tagged(0); above != nil {
			text := content(above)
			m.Above = &text
		}
		op = m
	case tagCompare:
		c := &Compare{DN: f.text("name")}
		inner := f.sequence("assertion")
		c.Attr, c.Value = inner.text("attribute"), inner.text("value")
		f.take(inner)
		op = c
	case tagAbandon:
		n, err := ber.ParseInt64(p.Data.Bytes())
		if err != nil {
			f.bad("the abandoned message has no number")
		}
		op = &Abandon{ID: n}
	case tagExtended:
		e := &Extended{}
		if oid := f.tagged(0); oid != nil {
			e.OID = content(oid)
		}
		if value := f.tagged(1); value != nil {
			e.Value = content(value)
		}
		op = e
	default:
		return nil, fmt.Errorf("%w: operation %d", ErrNotLDAP, p.Tag)
	}
	return op, f.err
}

func search(f *fields) *Search {
	s := &Search{Base: f.text("base"), Scope: tree.Scope(f.number("scope"))}
	f.number("aliases")
	s.SizeLimit, s.TimeLimit, s.TypesOnly = f.number("size limit"), f.number("time limit"), f.truth("typesOnly")
	if p := f.next("filter"); p != nil {
		var err error
		if s.Filter, err = filter(p, 0); err != nil && f.err == nil {
			f.err = err
		}
	}
	s.Attributes = f.texts("attributes")
	return s
}

func modify(f *fields) *Modify {
	m := &Modify{DN: f.text("name")}
	for list := f.sequence("changes"); len(list.list) > 0; f.take(list) {
		change := list.sequence("change")
		mod := tree.Mod{Op: tree.Op(change.number("operation"))}
		a := change.attribute()
		mod.Name, mod.Values = a.Name, a.Values
		list.take(change)
		m.Mods = append(m.Mods, mod)
	}
	return m
}

func (f *fields) attribute() tree.Attribute {
	inner := f.sequence("attribute")
	a := tree.Attribute{Name: inner.text("attribute"), Values: inner.texts("values")}
	f.take(inner)
	return a
}
