package ldap

import (
	"strings"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/fault"
)

// compileFilter turns a filter in its text form (RFC 4515) into the bytes of a
// request. The outer brackets may be left out, as ldapsearch allows.
func compileFilter(option, text string) ([]byte, error) {
	text = bracketed(text)
	p, err := ldap.CompileFilter(text)
	if err != nil {
		return nil, fault.New(fault.Invalid, "ldap: setting %s: the filter %s cannot be read: %w", option, quoted(text), err).
			WithHint("Check the brackets and operators, as in (&(objectClass=inetOrgPerson)(mail=*)); a bracket, star or backslash in a value is written \\28, \\29, \\2a or \\5c.")
	}
	b := p.Bytes()
	if err := trueAsFF(b); err != nil {
		return nil, fault.New(fault.Invalid, "ldap: setting %s: the filter %s cannot be read: %w", option, quoted(text), err)
	}
	return b, nil
}

// Filters we make ourselves, of parts that are compiled.
const (
	filterAnd     = 0xa0
	filterOr      = 0xa1
	filterNot     = 0xa2
	filterEqual   = 0xa3
	filterAtLeast = 0xa5
)

// compare makes (attribute=value) or (attribute>=value); the value may be any bytes.
func compare(kind byte, attribute, value string) []byte {
	var w writer
	w.begin(kind)
	w.string(tagOctetString, attribute)
	w.string(tagOctetString, value)
	w.end()
	return w.b
}

// combine makes (&…), (|…) or (!…) of filters.
func combine(kind byte, parts ...[]byte) []byte {
	var w writer
	w.begin(kind)
	for _, p := range parts {
		w.b = append(w.b, p...)
	}
	w.end()
	return w.b
}

// anyOf is true of entries whose attribute has one of the values.
func anyOf(attribute string, values []string) []byte {
	parts := make([][]byte, len(values))
	for i, v := range values {
		parts[i] = compare(filterEqual, attribute, v)
	}
	return combine(filterOr, parts...)
}

func bracketed(text string) string {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "(") {
		text = "(" + text + ")"
	}
	return text
}

// filterAttributes are the attributes a compiled filter looks at.
func filterAttributes(filter []byte) []string {
	var out []string
	var walk func(c cursor)
	walk = func(c cursor) {
		for len(c) > 0 {
			tag, content, err := c.next()
			if err != nil {
				return
			}
			switch tag {
			case filterAnd, filterOr, filterNot:
				walk(content)
			case 0x87: // present
				out = append(out, string(content))
			case 0xa9: // extensible
				for len(content) > 0 {
					if tag, part, err := content.next(); err != nil {
						return
					} else if tag == 0x82 {
						out = append(out, string(part))
					}
				}
			default:
				if name, err := content.take(tagOctetString); err == nil {
					out = append(out, string(name))
				}
			}
		}
	}
	walk(cursor(filter))
	return out
}

// trueAsFF rewrites the dnAttributes flag of extensible matches, which the
// compiler writes as 0x01: RFC 4511 wants 0xFF and some servers insist.
func trueAsFF(b []byte) error {
	whole := cursor(b)
	var walk func(c cursor, at int) error
	walk = func(c cursor, at int) error {
		for len(c) > 0 {
			before := len(c)
			tag, content, err := c.next()
			if err != nil {
				return err
			}
			end := at + before - len(c)
			start := end - len(content)
			switch tag {
			case 0xa0, 0xa1, 0xa2, 0xa9: // and, or, not, extensible
				if err := walk(content, start); err != nil {
					return err
				}
			case 0x84: // dnAttributes: the only primitive [4] outside of substrings
				if len(content) == 1 && content[0] != 0 {
					b[start] = 0xff
				}
			}
			at = end
		}
		return nil
	}
	return walk(whole, 0)
}
