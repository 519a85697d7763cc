package scim

import (
	"bytes"
	"encoding/json"
	"strings"
)

// String is the filter in one form: names as the schemas spell them, operators in
// lower case, every string in quotation marks, brackets where they are needed.
// ParseFilter makes the same filter of it.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	switch f.Op {
	case And:
		return f.Left.bracketed(Or) + " and " + f.Right.bracketed(Or, And)
	case Or:
		return f.Left.bracketed() + " or " + f.Right.bracketed(Or)
	case Not:
		return "not (" + f.Left.String() + ")"
	case Pr:
		if f.Path.Filter != nil && f.Path.Sub == "" {
			return f.Path.String()
		}
		return f.Path.String() + " pr"
	default:
		return f.Path.String() + " " + string(f.Op) + " " + valueText(f.Value)
	}
}

// bracketed is the filter in brackets if it is of one of some operators.
func (f *Filter) bracketed(ops ...Op) string {
	for _, op := range ops {
		if f.Op == op {
			return "(" + f.String() + ")"
		}
	}
	return f.String()
}

func valueText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return "null" // no filter holds what JSON does not
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// String is the path in one form, of which ParsePath makes the same path.
func (p Path) String() string {
	var b strings.Builder
	b.WriteString(p.Schema)
	if p.Schema != "" && p.Attr != "" {
		b.WriteByte(':')
	}
	b.WriteString(p.Attr)
	if p.Filter != nil {
		b.WriteByte('[')
		b.WriteString(p.Filter.String())
		b.WriteByte(']')
	}
	if p.Sub != "" {
		b.WriteByte('.')
		b.WriteString(p.Sub)
	}
	return b.String()
}
