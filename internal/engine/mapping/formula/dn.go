package formula

import (
	"encoding/hex"
	"strings"

	"rollcall.dev/rollcall/internal/account"
)

// part is one "type=value" of a DN, unescaped.
type part struct{ kind, value string }

// parts takes a DN (RFC 4514) to pieces, nearest first. It is lenient: what is
// no "type=value" is left out.
func parts(dn string) []part {
	var out []part
	var b strings.Builder
	kind, started, spaces := "", false, 0
	end := func() {
		if kind != "" {
			v := b.String()
			out = append(out, part{kind, v[:len(v)-min(spaces, len(v))]})
		}
		b.Reset()
		kind, started, spaces = "", false, 0
	}
	for i := 0; i < len(dn); i++ {
		c := dn[i]
		switch {
		case c == '\\' && i+1 < len(dn):
			if raw, err := hex.DecodeString(dn[i+1 : min(i+3, len(dn))]); err == nil && len(raw) == 1 {
				b.WriteByte(raw[0])
				i += 2
			} else {
				i++
				b.WriteByte(dn[i])
			}
			spaces = 0
			started = true
		case c == ',' || c == ';' || c == '+':
			end()
		case c == '=' && kind == "":
			kind = strings.TrimSpace(b.String())
			b.Reset()
			started, spaces = false, 0
		case c == ' ' && !started:
		default:
			if c == ' ' {
				spaces++
			} else {
				spaces = 0
			}
			started = true
			b.WriteByte(c)
		}
	}
	end()
	return out
}

// dnPart gives the n-th value of a kind in a DN, the first being the nearest to
// the entry; a negative n counts from the root.
func dnPart(a ...any) (any, error) {
	kind, n := Text(a[1]), 1
	if len(a) == 3 {
		n, _ = a[2].(int)
	}
	var values []string
	for _, p := range parts(Text(a[0])) {
		if strings.EqualFold(p.kind, kind) {
			values = append(values, p.value)
		}
	}
	if n < 0 {
		n = len(values) + n + 1
	}
	if n < 1 || n > len(values) {
		return "", nil
	}
	return values[n-1], nil
}

// memberOf asks whether a group is among DNs, by its DN or by the value of the
// DN's first part.
func memberOf(a ...any) (any, error) {
	want := account.Fold(Text(a[1]))
	if want == "" {
		return false, nil
	}
	whole := ""
	if strings.Contains(want, "=") {
		whole = foldDN(want)
	}
	for _, dn := range List(a[0]) {
		if account.Fold(dn) == want {
			return true, nil
		}
		if whole != "" && foldDN(dn) == whole {
			return true, nil
		}
		if p := parts(dn); len(p) > 0 && account.Fold(p[0].value) == want {
			return true, nil
		}
	}
	return false, nil
}

// foldDN is a DN in one spelling: without case, without spaces around separators.
func foldDN(dn string) string {
	var b strings.Builder
	for _, p := range parts(dn) {
		b.WriteString(account.Fold(p.kind))
		b.WriteByte('=')
		b.WriteString(account.Fold(p.value))
		b.WriteByte(0)
	}
	return b.String()
}
