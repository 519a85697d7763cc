package tree

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// AVA is one attribute and value of an RDN (RFC 4512, 2.3.1).
type AVA struct{ Type, Value string }

// ParseDN reads a DN (RFC 4514), the entry's own RDN first. The empty text is
// the empty DN.
func ParseDN(text string) ([][]AVA, error) {
	var out [][]AVA
	for rest := text; strings.TrimSpace(rest) != ""; {
		first, behind, more := cutAt(rest, ',')
		rdn, err := parseRDN(first)
		if err != nil {
			return nil, fmt.Errorf("%q is not a DN: %w", text, err)
		}
		out = append(out, rdn)
		if more && strings.TrimSpace(behind) == "" {
			return nil, fmt.Errorf("%q is not a DN: nothing stands behind the last comma", text)
		}
		rest = behind
	}
	return out, nil
}

func parseRDN(text string) ([]AVA, error) {
	var out []AVA
	for more := true; more; {
		var one string
		one, text, more = cutAt(text, '+')
		kind, value, ok := strings.Cut(one, "=")
		if kind = strings.TrimSpace(kind); !ok || kind == "" {
			return nil, fmt.Errorf("%q is not attribute=value", one)
		}
		v, err := unescape(value)
		if err != nil {
			return nil, err
		}
		out = append(out, AVA{Type: kind, Value: v})
	}
	return out, nil
}

// cutAt cuts behind the first separator that is not escaped.
func cutAt(text string, separator byte) (before, after string, found bool) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case separator:
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

func unescape(text string) (string, error) {
	text = strings.TrimLeft(text, " ")
	if h, ok := strings.CutPrefix(text, "#"); ok {
		b, err := hex.DecodeString(strings.TrimSpace(h))
		if err != nil {
			return "", fmt.Errorf("the value %q is not hexadecimal", text)
		}
		return string(b), nil
	}
	var out []byte
	kept := 0 // spaces before this one were escaped
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		if i+2 < len(text) {
			if b, err := hex.DecodeString(text[i+1 : i+3]); err == nil {
				out = append(out, b...)
				i += 2
				kept = len(out)
				continue
			}
		}
		if i+1 == len(text) {
			return "", fmt.Errorf("the value %q ends in a backslash", text)
		}
		i++
		out = append(out, text[i])
		kept = len(out)
	}
	for len(out) > kept && out[len(out)-1] == ' ' {
		out = out[:len(out)-1]
	}
	return string(out), nil
}

// EscapeValue writes a value for use in a DN (RFC 4514, 2.4).
func EscapeValue(value string) string {
	var b strings.Builder
	for i := range len(value) {
		switch c := value[i]; {
		case strings.IndexByte(`,+"\<>;=`, c) >= 0, c == '#' && i == 0, c == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Key is the form in which two spellings of one DN are the same: lower case,
// runs of spaces made one, RDNs of several values sorted, everything special
// escaped in hexadecimal, so that a comma always stands between two RDNs.
func Key(dn string) (string, error) {
	rdns, err := ParseDN(dn)
	if err != nil {
		return "", err
	}
	parts := make([]string, len(rdns))
	for i, rdn := range rdns {
		avas := make([]string, len(rdn))
		for j, a := range rdn {
			avas[j] = strings.ToLower(a.Type) + "=" + keyValue(a.Value)
		}
		slices.Sort(avas)
		parts[i] = strings.Join(avas, "+")
	}
	return strings.Join(parts, ","), nil
}

func keyValue(value string) string {
	var b strings.Builder
	text := fold(value)
	for i := range len(text) {
		if c := text[i]; c < ' ' || strings.IndexByte(`,+="\<>;#`, c) >= 0 {
			fmt.Fprintf(&b, `\%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// fold is how strings are compared without regard to case and spaces.
func fold(s string) string {
	s = strings.ToLower(s)
	if !strings.Contains(s, "  ") && !strings.HasPrefix(s, " ") && !strings.HasSuffix(s, " ") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' }), " ")
}

// looseKey is Key for values that may be anything.
func looseKey(dn string) string {
	k, err := Key(dn)
	if err != nil {
		return fold(dn)
	}
	return k
}

// ParentKey is the key of the entry above; "" above the first.
func ParentKey(key string) string {
	_, parent, _ := strings.Cut(key, ",")
	return parent
}

// Below reports whether a key is at or below a base's.
func Below(key, base string) bool {
	return base == "" || key == base || strings.HasSuffix(key, ","+base)
}

// SplitDN cuts a DN as written into its RDN and what is above.
func SplitDN(dn string) (rdn, parent string) {
	rdn, parent, _ = cutAt(dn, ',')
	return strings.TrimSpace(rdn), strings.TrimSpace(parent)
}

// JoinDN puts an RDN below a parent, which may be empty.
func JoinDN(rdn, parent string) string {
	if parent == "" {
		return rdn
	}
	return rdn + "," + parent
}
