package tree

import (
	"slices"
	"strconv"
	"strings"
)

// FilterOp is what a filter does (RFC 4511, 4.5.1.7).
type FilterOp int

// The filters, numbered by their tags.
const (
	And FilterOp = iota
	Or
	Not
	Equal
	Substrings
	AtLeast
	AtMost
	Present
	Approx
	Extensible
)

// Matching rules that are known.
const (
	RuleBitAnd = "1.2.840.113556.1.4.803"  // all of the bits
	RuleBitOr  = "1.2.840.113556.1.4.804"  // any of the bits
	RuleChain  = "1.2.840.113556.1.4.1941" // along links, however many
)

// Filter is one filter with those inside it.
type Filter struct {
	Op       FilterOp
	Attr     string
	Value    string
	Rule     string    // of Extensible, by OID or name; may be empty
	DN       bool      // of Extensible: the DN's attributes match as well
	Initial  string    // of Substrings
	Any      []string  // of Substrings
	Final    string    // of Substrings
	Children []*Filter // of And, Or and Not
}

// Truth is the outcome of a filter (RFC 4511, 4.5.1.7).
type Truth int8

// The outcomes.
const (
	Undefined Truth = iota - 1
	False
	True
)

func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}

// View is an entry as a filter sees it.
type View interface {
	DN() string
	// Values gives an attribute's values with those of its subtypes by option.
	Values(attribute string) []string
	// At gives another entry, or nil.
	At(dn string) View
	// Expand may replace the value that is asserted of an attribute.
	Expand(attribute, value string) string
}

// Match tells whether the filter holds for an entry.
func (f *Filter) Match(s Schema, v View) Truth {
	switch f.Op {
	case And:
		out := True
		for _, c := range f.Children {
			if out = min3(out, c.Match(s, v)); out == False {
				break
			}
		}
		return out
	case Or:
		out := False
		for _, c := range f.Children {
			if out = max3(out, c.Match(s, v)); out == True {
				break
			}
		}
		return out
	case Not:
		switch f.Children[0].Match(s, v) {
		case True:
			return False
		case False:
			return True
		case Undefined:
		}
		return Undefined
	case Extensible:
		return f.extensible(s, v)
	default:
		return f.item(s, v)
	}
}

// min3 and max3 put Undefined between False and True.
func min3(a, b Truth) Truth {
	switch {
	case a == False || b == False:
		return False
	case a == Undefined || b == Undefined:
		return Undefined
	}
	return True
}

func max3(a, b Truth) Truth {
	switch {
	case a == True || b == True:
		return True
	case a == Undefined || b == Undefined:
		return Undefined
	}
	return False
}

func (f *Filter) item(s Schema, v View) Truth {
	kind := s.Type(f.Attr)
	if kind.Secret {
		return Undefined
	}
	values := v.Values(f.Attr)
	syntax := kind.Syntax
	want := v.Expand(f.Attr, f.Value)
	switch f.Op {
	case Present:
		return truth(len(values) > 0)
	case Substrings:
		return truth(slices.ContainsFunc(values, func(have string) bool { return f.contained(syntax, have) }))
	case Equal, Approx, AtLeast, AtMost:
		if !syntax.valid(want) {
			return Undefined
		}
	default:
		return Undefined
	}
	normal := syntax.Normal(want)
	return truth(slices.ContainsFunc(values, func(have string) bool {
		switch f.Op {
		case AtLeast:
			return syntax.order(have, want) >= 0
		case AtMost:
			return syntax.order(have, want) <= 0
		default:
			return syntax.Normal(have) == normal
		}
	}))
}

// contained matches the parts of a substring filter in their order.
func (f *Filter) contained(s Syntax, have string) bool {
	same := func(x string) string { return x }
	if s != Exact {
		same = strings.ToLower
	}
	rest, ok := strings.CutPrefix(same(have), same(f.Initial))
	if !ok {
		return false
	}
	for _, part := range f.Any {
		_, behind, found := strings.Cut(rest, same(part))
		if !found {
			return false
		}
		rest = behind
	}
	return strings.HasSuffix(rest, same(f.Final))
}

// textRules are the rules by which a value is compared, whatever the attribute's own.
var textRules = map[string]Syntax{
	"2.5.13.1": Name, "distinguishednamematch": Name,
	"2.5.13.2": Text, "caseignorematch": Text,
	"2.5.13.5": Exact, "caseexactmatch": Exact,
	"2.5.13.14": Integer, "integermatch": Integer,
	"2.5.13.17": Exact, "octetstringmatch": Exact,
	"1.3.6.1.4.1.1466.109.114.2": Text, "caseignoreia5match": Text,
}

func (f *Filter) extensible(s Schema, v View) Truth {
	values := v.Values(f.Attr)
	if f.DN {
		rdns, err := ParseDN(v.DN())
		for _, a := range slices.Concat(rdns...) {
			if err == nil && (f.Attr == "" || strings.EqualFold(a.Type, f.Attr)) {
				values = append(slices.Clone(values), a.Value)
			}
		}
	}
	switch f.Rule {
	case RuleBitAnd, RuleBitOr:
		mask, err := strconv.ParseInt(f.Value, 10, 64)
		if err != nil {
			return Undefined
		}
		return truth(slices.ContainsFunc(values, func(have string) bool {
			n, err := strconv.ParseInt(have, 10, 64)
			return err == nil && (f.Rule == RuleBitAnd && n&mask == mask || f.Rule == RuleBitOr && n&mask != 0)
		}))
	case RuleChain:
		if s.Type(f.Attr).Syntax != Name {
			return Undefined
		}
		return f.chain(v)
	}
	syntax, known := textRules[strings.ToLower(f.Rule)]
	switch {
	case f.Rule == "" && f.Attr != "":
		syntax = s.Type(f.Attr).Syntax
	case !known:
		return Undefined
	}
	if s.Type(f.Attr).Secret || !syntax.valid(f.Value) {
		return Undefined
	}
	return truth(slices.ContainsFunc(values, func(have string) bool { return syntax.Equal(have, f.Value) }))
}

// chain follows links from an entry until one leads to the value.
func (f *Filter) chain(v View) Truth {
	want, err := Key(f.Value)
	if err != nil {
		return Undefined
	}
	seen := map[string]bool{}
	for todo := []View{v}; len(todo) > 0; todo = todo[1:] {
		for _, link := range todo[0].Values(f.Attr) {
			key := looseKey(link)
			if key == want {
				return True
			}
			if seen[key] {
				continue
			}
			seen[key] = true
			if next := todo[0].At(link); next != nil {
				todo = append(todo, next)
			}
		}
	}
	return False
}

// String writes the filter as RFC 4515 does.
func (f *Filter) String() string {
	var b strings.Builder
	f.write(&b)
	return b.String()
}

func (f *Filter) write(b *strings.Builder) {
	b.WriteByte('(')
	switch f.Op {
	case And, Or, Not:
		b.WriteByte("&|!"[f.Op])
		for _, c := range f.Children {
			c.write(b)
		}
	case Present:
		b.WriteString(f.Attr + "=*")
	case Substrings:
		b.WriteString(f.Attr + "=" + escape(f.Initial) + "*")
		for _, part := range f.Any {
			b.WriteString(escape(part) + "*")
		}
		b.WriteString(escape(f.Final))
	case Extensible:
		b.WriteString(f.Attr)
		if f.DN {
			b.WriteString(":dn")
		}
		if f.Rule != "" {
			b.WriteString(":" + f.Rule)
		}
		b.WriteString(":=" + escape(f.Value))
	case Equal, AtLeast, AtMost, Approx:
		sign := map[FilterOp]string{Equal: "=", AtLeast: ">=", AtMost: "<=", Approx: "~="}[f.Op]
		b.WriteString(f.Attr + sign + escape(f.Value))
	}
	b.WriteByte(')')
}

const hexDigits = "0123456789abcdef"

func escape(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || strings.IndexByte(`*()\`, c) >= 0 {
			b.Write([]byte{'\\', hexDigits[c>>4], hexDigits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
