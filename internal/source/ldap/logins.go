package ldap

import (
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// What people type as their name is a value in a filter. It is put into the bytes
// of the request, as one value of one comparison: no letter of it can become a part
// of the filter.

const (
	optionTemplate = "authentication.username_filter_template"
	optionUsername = "authentication.username_attribute"

	// marker stands for what was typed in a compiled template.
	marker = "rollcallTypedLogin"
)

// loginFilter makes the filter that finds who signs in.
type loginFilter struct {
	template  []byte // compiled, with marker in one value; nil where there is none
	attribute string
	usual     []string // of the server's preset, where nothing is set
}

func (s *settings) loginFilter(p *preset) loginFilter {
	return loginFilter{template: s.template, attribute: s.username, usual: p.logins}
}

// of gives the filter for a login.
func (f loginFilter) of(login string) []byte {
	if f.template != nil {
		// It was walked through when it was compiled.
		out, _ := substitute(cursor(f.template), login) //nolint:errcheck // see above
		return out
	}
	if f.attribute != "" {
		return compare(filterEqual, f.attribute, login)
	}
	parts := make([][]byte, len(f.usual))
	for i, a := range f.usual {
		parts[i] = compare(filterEqual, a, login)
	}
	return combine(filterOr, parts...)
}

// String shows the filter, with %s for what is typed.
func (s *settings) loginText(p *preset) string {
	switch {
	case s.templateText != "":
		return bracketed(s.templateText)
	case s.username != "":
		return "(" + s.username + "=%s)"
	}
	var b strings.Builder
	b.WriteString("(|")
	for _, a := range p.logins {
		b.WriteString("(" + a + "=%s)")
	}
	return b.String() + ")"
}

// compileTemplate compiles a filter with %s for what was typed, which must be in
// a value: elsewhere it would choose attributes or make filters.
func compileTemplate(template string) ([]byte, error) {
	if template == "" {
		return nil, nil
	}
	const hint = "%%s stands for what the person typed, as in (&(objectClass=inetOrgPerson)(mail=%%s))"
	if strings.Count(template, "%s") != 1 || strings.Count(template, "%") != 1 {
		return nil, fault.New(fault.Invalid, "ldap: setting %s: it needs %%s exactly once, and no other %%", optionTemplate).WithHint(hint)
	}
	compiled, err := compileFilter(optionTemplate, strings.Replace(template, "%s", marker, 1))
	if err != nil {
		return nil, err
	}
	places := 0
	values(cursor(compiled), func(v cursor) { places += strings.Count(string(v), marker) })
	if _, err := substitute(cursor(compiled), ""); err != nil || places != 1 {
		return nil, fault.New(fault.Invalid, "ldap: setting %s: %%s must stand where a value is compared, and not in the name of an attribute", optionTemplate).WithHint(hint)
	}
	return compiled, nil
}

// values calls visit for each value a compiled filter compares with.
func values(filter cursor, visit func(v cursor)) {
	for len(filter) > 0 {
		tag, content, err := filter.next()
		if err != nil {
			return
		}
		switch tag {
		case filterAnd, filterOr, filterNot:
			values(content, visit)
		case 0x87: // present: there is no value
		case 0xa9: // extensible
			for len(content) > 0 {
				tag, part, err := content.next()
				if err != nil {
					return
				}
				if tag == 0x83 {
					visit(part)
				}
			}
		default: // equality, substrings, order, approximate: the attribute, and then the value or its parts
			if _, err := content.take(tagOctetString); err != nil {
				return
			}
			tag, value, err := content.next()
			if err != nil {
				return
			}
			if tag != tagSequence {
				visit(value)
				continue
			}
			for len(value) > 0 {
				_, part, err := value.next()
				if err != nil {
					return
				}
				visit(part)
			}
		}
	}
}

// substitute writes elements again, with value in the place of the marker.
func substitute(elements cursor, value string) ([]byte, error) {
	const constructed = 0x20
	var w writer
	for len(elements) > 0 {
		tag, content, err := elements.next()
		if err != nil {
			return nil, err
		}
		if tag&constructed == 0 {
			w.string(tag, strings.ReplaceAll(string(content), marker, value))
			continue
		}
		inner, err := substitute(content, value)
		if err != nil {
			return nil, err
		}
		w.begin(tag)
		w.b = append(w.b, inner...)
		w.end()
	}
	return w.b, nil
}
