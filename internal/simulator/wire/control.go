package wire

import (
	"fmt"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// OIDs of controls and extensions.
const (
	OIDPaging       = "1.2.840.113556.1.4.319"   // RFC 2696
	OIDDirSync      = "1.2.840.113556.1.4.841"   // MS-ADTS 3.1.1.3.4.1.3
	OIDShowDeleted  = "1.2.840.113556.1.4.417"   // MS-ADTS 3.1.1.3.4.1.14
	OIDShowRecycled = "1.2.840.113556.1.4.2064"  // MS-ADTS 3.1.1.3.4.1.26
	OIDNotify       = "1.2.840.113556.1.4.528"   // MS-ADTS 3.1.1.3.4.1.9
	OIDDomainScope  = "1.2.840.113556.1.4.1339"  // MS-ADTS 3.1.1.3.4.1.4
	OIDTreeDelete   = "1.2.840.113556.1.4.805"   // MS-ADTS 3.1.1.3.4.1.15
	OIDRangeNoError = "1.2.840.113556.1.4.1948"  // MS-ADTS 3.1.1.3.4.1.20
	OIDPermissive   = "1.2.840.113556.1.4.1413"  // MS-ADTS 3.1.1.3.4.1.8
	OIDSyncRequest  = "1.3.6.1.4.1.4203.1.9.1.1" // RFC 4533, 2.2
	OIDSyncState    = "1.3.6.1.4.1.4203.1.9.1.2" // RFC 4533, 2.3
	OIDSyncDone     = "1.3.6.1.4.1.4203.1.9.1.3" // RFC 4533, 2.4
	OIDSyncInfo     = "1.3.6.1.4.1.4203.1.9.1.4" // RFC 4533, 2.5
	OIDPersist      = "2.16.840.1.113730.3.4.3"  // draft-ietf-ldapext-psearch
	OIDEntryChange  = "2.16.840.1.113730.3.4.7"  // draft-ietf-ldapext-psearch
	OIDManageDSAIT  = "2.16.840.1.113730.3.4.2"  // RFC 3296
	OIDStartTLS     = "1.3.6.1.4.1.1466.20037"   // RFC 4511, 4.14
	OIDWhoAmI       = "1.3.6.1.4.1.4203.1.11.3"  // RFC 4532
)

// Control is a control of a message (RFC 4511, 4.1.11). Value is nil where there
// is none.
type Control struct {
	OID      string
	Critical bool
	Value    *string
}

func (f *fields) control() Control {
	inner := f.sequence("control")
	c := Control{OID: inner.text("control type")}
	if len(inner.list) > 0 && inner.list[0].Tag == ber.TagBoolean {
		// Many clients write true as 1 and not as 0xff; a server takes both.
		c.Critical = content(inner.next("")) != "\x00"
	}
	if len(inner.list) > 0 {
		v := inner.text("control value")
		c.Value = &v
	}
	f.take(inner)
	return c
}

func (c Control) packet() *ber.Packet {
	p := ber.NewSequence("")
	p.AppendChild(octets(c.OID))
	if c.Critical {
		p.AppendChild(boolean(true))
	}
	if c.Value != nil {
		p.AppendChild(octets(*c.Value))
	}
	return p
}

// control makes a response control.
func control(oid string, value *ber.Packet) Control {
	text := string(value.Bytes())
	return Control{OID: oid, Value: &text}
}

// open takes a control's value apart.
func (c *Control) open() *fields {
	if c.Value == nil {
		return &fields{err: fmt.Errorf("%w: the control %s has no value", ErrNotLDAP, c.OID)}
	}
	p, err := ber.DecodePacketErr([]byte(*c.Value))
	if err != nil || p == nil || p.TagType != ber.TypeConstructed {
		return &fields{err: fmt.Errorf("%w: the control %s has a value that is no sequence", ErrNotLDAP, c.OID)}
	}
	return in(p)
}

// Paging reads RFC 2696.
func (c *Control) Paging() (size int64, cookie string, err error) {
	f := c.open()
	size, cookie = f.number("size"), f.text("cookie")
	return size, cookie, f.err
}

// NewPaging writes RFC 2696.
func NewPaging(size int64, cookie string) Control {
	p := ber.NewSequence("")
	p.AppendChild(integer(size))
	p.AppendChild(octets(cookie))
	return control(OIDPaging, p)
}

// DirSync reads a DirSyncRequestValue. The flags are taken as 32 bits, whichever
// sign the client gave them.
func (c *Control) DirSync() (flags uint32, most int64, cookie string, err error) {
	f := c.open()
	flags, most, cookie = uint32(f.number("flags")), f.number("size"), f.text("cookie") //nolint:gosec // see above
	return flags, most, cookie, f.err
}

// NewDirSync writes a DirSyncResponseValue.
func NewDirSync(more bool, cookie string) Control {
	n := int64(0)
	if more {
		n = 1
	}
	p := ber.NewSequence("")
	p.AppendChild(integer(n))
	p.AppendChild(integer(0))
	p.AppendChild(octets(cookie))
	return control(OIDDirSync, p)
}

// Modes of a sync request (RFC 4533, 2.2).
const (
	RefreshOnly       = 1
	RefreshAndPersist = 3
)

// Sync reads a Sync Request. Cookie is nil where none was sent.
func (c *Control) Sync() (mode int64, cookie *string, err error) {
	f := c.open()
	mode = f.number("mode")
	if len(f.list) > 0 && f.list[0].Tag == ber.TagOctetString {
		v := f.text("cookie")
		cookie = &v
	}
	return mode, cookie, f.err
}

// States of an entry (RFC 4533, 2.3).
const (
	StatePresent = iota
	StateAdd
	StateModify
	StateDelete
)

// NewSyncState writes a Sync State. An empty cookie is none.
func NewSyncState(state int64, uuid [16]byte, cookie string) Control {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, state, ""))
	p.AppendChild(octets(string(uuid[:])))
	if cookie != "" {
		p.AppendChild(octets(cookie))
	}
	return control(OIDSyncState, p)
}

// NewSyncDone writes a Sync Done. An empty cookie is none.
func NewSyncDone(cookie string, refreshDeletes bool) Control {
	p := ber.NewSequence("")
	if cookie != "" {
		p.AppendChild(octets(cookie))
	}
	if refreshDeletes {
		p.AppendChild(boolean(true))
	}
	return control(OIDSyncDone, p)
}

// Choices of a Sync Info (RFC 4533, 2.5).
const (
	InfoNewCookie      = 0
	InfoRefreshDelete  = 1
	InfoRefreshPresent = 2
	InfoIDSet          = 3
)

// SyncInfo writes the value of a Sync Info that ends a phase: InfoNewCookie,
// InfoRefreshDelete or InfoRefreshPresent.
func SyncInfo(choice int, cookie string, done bool) string {
	if choice == InfoNewCookie {
		return string(context(InfoNewCookie, cookie).Bytes())
	}
	p := ber.Encode(ber.ClassContext, ber.TypeConstructed, ber.Tag(choice), nil, "") //nolint:gosec // one of three
	if cookie != "" {
		p.AppendChild(octets(cookie))
	}
	if !done { // TRUE is the default
		p.AppendChild(boolean(false))
	}
	return string(p.Bytes())
}

// SyncIDSet writes the value of a Sync Info that names entries.
func SyncIDSet(cookie string, refreshDeletes bool, uuids [][16]byte) string {
	p := ber.Encode(ber.ClassContext, ber.TypeConstructed, InfoIDSet, nil, "")
	if cookie != "" {
		p.AppendChild(octets(cookie))
	}
	if refreshDeletes {
		p.AppendChild(boolean(true))
	}
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, u := range uuids {
		set.AppendChild(octets(string(u[:])))
	}
	p.AppendChild(set)
	return string(p.Bytes())
}

// Kinds of changes of a persistent search.
const (
	ChangeAdd      = 1
	ChangeDelete   = 2
	ChangeModify   = 4
	ChangeModifyDN = 8
)

// Persist reads the control of a persistent search.
func (c *Control) Persist() (kinds int64, changesOnly, returnChanges bool, err error) {
	f := c.open()
	kinds, changesOnly, returnChanges = f.number("change types"), f.truth("changesOnly"), f.truth("returnECs")
	return kinds, changesOnly, returnChanges, f.err
}

// NewEntryChange writes the control an entry of a persistent search comes with.
// The change number is left out where it is 0.
func NewEntryChange(kind int64, former string, number int64) Control {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, kind, ""))
	if former != "" {
		p.AppendChild(octets(former))
	}
	if number != 0 {
		p.AppendChild(integer(number))
	}
	return control(OIDEntryChange, p)
}
