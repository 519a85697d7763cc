package wire

import (
	"fmt"

	ber "github.com/go-asn1-ber/asn1-ber"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// deepest is how far filters may be nested.
const deepest = 100

// filter reads a filter (RFC 4511, 4.5.1.7).
func filter(p *ber.Packet, depth int) (*tree.Filter, error) {
	if p.ClassType != ber.ClassContext || depth > deepest {
		return nil, fmt.Errorf("%w: a filter of class %d", ErrNotLDAP, p.ClassType)
	}
	out := &tree.Filter{Op: tree.FilterOp(p.Tag)}
	f := in(p)
	switch out.Op {
	case tree.And, tree.Or, tree.Not:
		for _, c := range p.Children {
			inner, err := filter(c, depth+1)
			if err != nil {
				return nil, err
			}
			out.Children = append(out.Children, inner)
		}
		if out.Op == tree.Not && len(out.Children) != 1 {
			return nil, fmt.Errorf("%w: a filter that negates %d", ErrNotLDAP, len(out.Children))
		}
	case tree.Equal, tree.AtLeast, tree.AtMost, tree.Approx:
		out.Attr, out.Value = f.text("attribute"), f.text("value")
	case tree.Present:
		out.Attr = content(p)
	case tree.Substrings:
		out.Attr = f.text("attribute")
		parts := f.sequence("substrings")
		for len(parts.list) > 0 {
			part := parts.next("")
			switch part.Tag {
			case 0:
				out.Initial = content(part)
			case 1:
				out.Any = append(out.Any, content(part))
			case 2:
				out.Final = content(part)
			default:
				parts.bad("a substring that is none")
			}
		}
		f.take(parts)
	case tree.Extensible:
		if t := f.tagged(1); t != nil {
			out.Rule = content(t)
		}
		if t := f.tagged(2); t != nil {
			out.Attr = content(t)
		}
		if t := f.tagged(3); t != nil {
			out.Value = content(t)
		}
		if t := f.tagged(4); t != nil {
			out.DN = content(t) != "\x00"
		}
	default:
		f.bad("a filter that is none")
	}
	return out, f.err
}
