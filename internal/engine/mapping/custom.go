package mapping

import (
	"encoding/json"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/engine/mapping/clean"
	"rollcall.dev/rollcall/internal/engine/mapping/formula"
)

// attributesOf is the JSON object of custom attributes, names in order,
// without space, or "" where all are empty. A text is a string; a list is an
// array, even of one. Empty ones are left out.
func attributesOf(custom []rule, s *state, u *User) string {
	b := append(s.json[:0], '{')
	for i := range custom {
		r := &custom[i]
		before := len(b)
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, r.quoted...)
		var wrote bool
		if b, wrote = r.append(b, s, u); !wrote {
			b = b[:before]
		}
	}
	s.json = b
	if len(b) == 1 {
		return ""
	}
	b = append(b, '}')
	s.json = b
	return string(b)
}

func (r *rule) append(b []byte, s *state, u *User) ([]byte, bool) {
	if r.program == nil {
		raw, _ := r.text(s)
		return r.appendText(b, raw, u)
	}
	out, err := r.program.Run(s.frame, s.slots)
	if err != nil {
		u.complain(false, r, "the expression failed: "+err.Error())
		return b, false
	}
	switch out.(type) {
	case []string, []any:
		return r.appendList(b, formula.List(out), u)
	}
	return r.appendText(b, formula.Text(out), u)
}

func (r *rule) appendText(b []byte, raw string, u *User) ([]byte, bool) {
	value, why := clean.Text(raw)
	if why != "" {
		u.complain(false, r, why)
	}
	if value == "" {
		return b, false
	}
	return appendJSON(b, value), true
}

// appendList writes the values sorted and each once: directories promise no
// order (RFC 4511, 4.1.7), and a change of order is no change of the account.
func (r *rule) appendList(b []byte, raw []string, u *User) ([]byte, bool) {
	kept, bad := make([]string, 0, len(raw)), ""
	for _, v := range raw {
		value, why := clean.Text(v)
		if why != "" {
			bad = why
		} else if value != "" {
			kept = append(kept, value)
		}
	}
	if bad != "" {
		u.complain(false, r, "a value of the list "+bad)
	}
	if len(kept) == 0 {
		return b, false
	}
	slices.Sort(kept)
	b = append(b, '[')
	for i, v := range slices.Compact(kept) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, v)
	}
	return append(b, ']'), true
}

// appendJSON writes a JSON string, as encoding/json would.
func appendJSON(b []byte, s string) []byte {
	if strings.IndexFunc(s, func(c rune) bool {
		return c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&'
	}) < 0 {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // a string always marshals
	}
	return append(b, quoted...)
}
