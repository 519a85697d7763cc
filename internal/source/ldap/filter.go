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
		return nil, fault.New(fault.Invalid, "ldap: setting %s: the filter %q cannot be read: %w", option, text, err).
			WithHint("Check the brackets and operators, as in (&(objectClass=inetOrgPerson)(mail=*)); a bracket, star or backslash in a value is written \\28, \\29, \\2a or \\5c.")
	}
	b := p.Bytes()
	if err := trueAsFF(b); err != nil {
		return nil, fault.New(fault.Invalid, "ldap: setting %s: the filter %q cannot be read: %w", option, text, err)
	}
	return b, nil
}

func bracketed(text string) string {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "(") {
		text = "(" + text + ")"
	}
	return text
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
