package wire

import (
	ber "github.com/go-asn1-ber/asn1-ber"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// Result codes (RFC 4511, 4.1.9; RFC 4533, 3.6).
const (
	Success              = 0
	OperationsError      = 1
	ProtocolError        = 2
	TimeLimitExceeded    = 3
	SizeLimitExceeded    = 4
	CompareFalse         = 5
	CompareTrue          = 6
	AuthMethodNotKnown   = 7
	Referral             = 10
	AdminLimitExceeded   = 11
	UnavailableCritical  = 12
	NoSuchAttribute      = 16
	NoSuchObject         = 32
	InvalidDN            = 34
	InvalidCredentials   = 49
	InsufficientAccess   = 50
	Busy                 = 51
	Unavailable          = 52
	UnwillingToPerform   = 53
	Other                = 80
	SyncRefreshRequired  = 4096
	ObjectClassViolation = 65
)

// Result is an LDAPResult with the controls of its message.
type Result struct {
	Code      int
	Matched   string
	Text      string
	Referrals []string
	Controls  []Control
	// OID and Value belong to the answer to an extended request.
	OID   string
	Value *string
}

// ResultFor turns the error of an edit into a result; nil is success.
func ResultFor(err error) Result {
	if err == nil {
		return Result{}
	}
	if e, ok := err.(*tree.Error); ok { //nolint:errorlint // the tree wraps none of its errors
		return Result{Code: e.Code, Text: e.Text, Matched: e.Matched}
	}
	return Result{Code: ObjectClassViolation, Text: err.Error()}
}

func message(id int64, op *ber.Packet, controls []Control) []byte {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			list.AppendChild(c.packet())
		}
		p.AppendChild(list)
	}
	return p.Bytes()
}

func application(tag ber.Tag) *ber.Packet {
	return ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
}

func octets(value string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, value, "")
}

func integer(n int64) *ber.Packet {
	return ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, n, "")
}

func boolean(b bool) *ber.Packet {
	return ber.NewLDAPBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, b, "")
}

func context(tag ber.Tag, value string) *ber.Packet {
	return ber.NewString(ber.ClassContext, ber.TypePrimitive, tag, value, "")
}

// answers gives the tag of the response to an operation.
func answers(op any) ber.Tag {
	switch op.(type) {
	case *Bind:
		return tagBindResponse
	case *Search:
		return tagDone
	case *Extended:
		return tagExtendedDone
	case *Modify:
		return tagModify + 1
	case *Add:
		return tagAdd + 1
	case *Delete:
		return tagDelete + 1
	case *ModifyDN:
		return tagModifyDN + 1
	default:
		return tagCompare + 1
	}
}

// Answer writes the result of an operation.
func Answer(id int64, op any, r Result) []byte {
	p := application(answers(op))
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(r.Code), ""))
	p.AppendChild(octets(r.Matched))
	p.AppendChild(octets(r.Text))
	if len(r.Referrals) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
		for _, uri := range r.Referrals {
			list.AppendChild(octets(uri))
		}
		p.AppendChild(list)
	}
	if r.OID != "" {
		p.AppendChild(context(10, r.OID))
	}
	if r.Value != nil {
		p.AppendChild(context(11, *r.Value))
	}
	return message(id, p, r.Controls)
}

// Goodbye writes the notice of disconnection (RFC 4511, 4.4.1).
func Goodbye(r Result) []byte {
	r.OID = "1.3.6.1.4.1.1466.20036"
	return Answer(0, &Extended{}, r)
}

// Entry writes one entry of a search's answer.
func Entry(id int64, dn string, attributes []tree.Attribute, controls ...Control) []byte {
	p := application(tagEntry)
	p.AppendChild(octets(dn))
	list := ber.NewSequence("")
	for _, a := range attributes {
		one := ber.NewSequence("")
		one.AppendChild(octets(a.Name))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range a.Values {
			values.AppendChild(octets(v))
		}
		one.AppendChild(values)
		list.AppendChild(one)
	}
	p.AppendChild(list)
	return message(id, p, controls)
}

// Reference writes one reference of a search's answer.
func Reference(id int64, uris ...string) []byte {
	p := application(tagReference)
	for _, uri := range uris {
		p.AppendChild(octets(uri))
	}
	return message(id, p, nil)
}

// Intermediate writes an intermediate response (RFC 4511, 4.13).
func Intermediate(id int64, oid, value string) []byte {
	p := application(tagIntermediate)
	p.AppendChild(context(0, oid))
	p.AppendChild(context(1, value))
	return message(id, p, nil)
}
