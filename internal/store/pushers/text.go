package pushers

import (
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// guid is what no person is called: an ID of whoever made it.
var guid = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

// short leaves of a value its first letter. Booleans that came as texts stay: many a
// fault is in how they are spelled. So do IDs.
func short(s string) string {
	if s == "" || strings.EqualFold(s, "true") || strings.EqualFold(s, "false") || guid.MatchString(s) {
		return s
	}
	_, size := utf8.DecodeRuneInString(s)
	return s[:size] + "…"
}

// quoted shortens what stands between quotes.
func quoted(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, `"`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		text, after := literal(rest)
		b.WriteString(`"` + short(text) + `"`)
		s = after
	}
}

// literal is what stands before the closing quote, and what after it. Where there is
// none, all of it stands before.
func literal(s string) (text, after string) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// compares are the operators after which a value comes, as clients write it: quoted,
// or not (RFC 7644, section 3.4.2.2, and Entra ID).
var compares = map[string]bool{"eq": true, "ne": true, "co": true, "sw": true, "ew": true, "gt": true, "ge": true, "lt": true, "le": true}

// maskFilter shortens the values of a filter or of a path. It reads no grammar: what
// is not understood must not be kept either. IDs stay where they are compared with.
func maskFilter(s string) string {
	var b strings.Builder
	var attr, outer string
	expected := false // a value comes next
	for s != "" {
		i := strings.IndexAny(s, "\" \t\r\n()[]")
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			word := s[:i]
			s = s[i:]
			switch lower := strings.ToLower(word); {
			case expected:
				word, expected = value(word, attr, outer), false
			case compares[lower]:
				expected = true
			case lower != "and" && lower != "or" && lower != "not" && lower != "pr":
				attr = lower
			}
			b.WriteString(word)
			continue
		}
		switch s[0] {
		case '"':
			var text string
			text, s = literal(s[1:])
			b.WriteString(`"` + value(text, attr, outer) + `"`)
			expected = false
			continue
		case '[':
			outer = attr
		case ']':
			outer = ""
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

// value is what is kept of a value that an attribute is compared with.
func value(text, attr, outer string) string {
	first, last := attribute(attr)
	if outer != "" {
		first, _ = attribute(outer)
	}
	switch {
	case secret(first) || secret(last):
		return removed
	case kept[last] || last == "primary" || first == "meta" || refer[first] && (last == "value" || last == first):
		return text
	}
	return short(text)
}

// plainQuery are parameters that say nothing of people.
var plainQuery = map[string]bool{"attributes": true, "excludedattributes": true, "startindex": true, "count": true, "sortby": true, "sortorder": true, "cursor": true,
	"aadoptscim062020": true, "azureadscimpatch2017": true}

// MaskQuery makes the query of an address fit to be kept, and to be read: it is not
// escaped any more. Values that a filter compares with are shortened, unless the mode
// is Full, and so is what no client of SCIM sends; what may be a secret is removed.
func MaskQuery(query string, mode Mode) string {
	var parts []string
	for part := range strings.SplitSeq(query, "&") {
		name, v, given := strings.Cut(part, "=")
		name, v = unescaped(name), unescaped(v)
		lower := strings.ToLower(name)
		switch {
		case secret(lower):
			v = removed
		case mode == Full || plainQuery[lower]:
		case lower == "filter":
			v = maskFilter(v)
		default:
			v = short(v)
		}
		if given {
			name += "=" + v
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, "&")
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return short(s) // nobody knows what it holds
}
