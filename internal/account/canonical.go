package account

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendCanonical appends the account in canonical JSON (RFC 8785): its JSON form
// without "groups", "created_at" and "updated_at", which do not say who somebody
// is. The state hash is made of it.
func (a *Account) AppendCanonical(b []byte) ([]byte, error) {
	b = append(b, `{"attributes":`...)
	if a.Attributes == "" {
		b = append(b, "{}"...)
	} else {
		var err error
		if b, err = AppendCanonical(b, []byte(a.Attributes)); err != nil {
			return nil, err
		}
	}
	// The other names in their order.
	for _, f := range [...]struct{ name, value string }{
		{"connection", a.Connection}, {"department", a.Text[Department]}, {"display_name", a.Text[DisplayName]}, {"email", a.Text[Email]}, {"external_id", a.ExternalID},
		{"first_name", a.Text[FirstName]}, {"id", a.ID.String()}, {"language", a.Text[Language]}, {"last_name", a.Text[LastName]}, {"location", a.Text[Location]},
		{"manager", a.Manager.String()}, {"mobile_phone", a.Text[MobilePhone]}, {"organization", a.Organization}, {"phone", a.Text[Phone]}, {"role", a.Text[Role]},
		{"status", string(a.Status)}, {"title", a.Text[Title]}, {"username", a.Text[Username]},
	} {
		b = append(b, ',', '"')
		b = append(b, f.name...)
		b = append(b, '"', ':')
		if f.value == "" {
			b = append(b, "null"...)
			continue
		}
		b = appendString(b, f.value)
	}
	return append(b, '}'), nil
}

// AppendCanonical appends the group as AppendCanonical does an account: its JSON
// form without "members", "created_at" and "updated_at".
func (g *Group) AppendCanonical(b []byte) []byte {
	b = appendString(append(b, `{"connection":`...), g.Connection)
	b = append(b, `,"external_id":`...)
	if g.ExternalID == "" {
		b = append(b, "null"...)
	} else {
		b = appendString(b, g.ExternalID)
	}
	for _, f := range [...]struct{ name, value string }{{"id", g.ID.String()}, {"name", g.Name}, {"organization", g.Organization}, {"status", string(g.Status)}} {
		b = append(b, ',', '"')
		b = append(b, f.name...)
		b = appendString(append(b, '"', ':'), f.value)
	}
	return append(b, '}')
}

// AppendCanonical appends a JSON text in its canonical form (RFC 8785): names in
// the order of their UTF-16 code units, no space, one spelling of everything.
func AppendCanonical(b, text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return appendValue(b, v)
}

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v), nil
	case json.Number:
		// All numbers are doubles, spelled as ECMAScript does; encoding/json does too.
		f, err := v.Float64()
		if err != nil {
			return nil, err
		}
		if f == 0 {
			f = 0 // -0 is spelled 0
		}
		text, err := json.Marshal(f)
		return append(b, text...), err
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendValue(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.SortFunc(names, func(x, y string) int { return slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y))) })
		b = append(b, '{')
		for i, name := range names {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendValue(append(appendString(b, name), ':'), v[name]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return b, nil // a decoder gives nothing else
}

// appendString writes a string as RFC 8785, section 3.2.2.2 asks: escapes only
// where there must be one, the short one where there is one.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // what is no character becomes U+FFFD, as encoding/json shows it
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}
