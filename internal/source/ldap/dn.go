package ldap

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Refer normalises a distinguished name, so that two spellings of one entry
// compare equal: attribute types and values in lower case, no spaces around
// '=', ',' and '+', one way of escaping, the parts of a multi-valued RDN in
// order. RFC 4514 is the grammar; semicolons and quotes of RFC 2253 are
// understood, and the bit string behind a uniqueMember is dropped. What is not
// a DN is put in lower case as it is.
//
// Whether an attribute tells case apart is not known here, and no directory in
// use has two entries whose DNs differ in case alone.
func Refer(ref string) string {
	if out, ok := referPlain(ref); ok {
		return out
	}
	if i := uniqueSuffix(ref); i >= 0 {
		if out, ok := referParsed(ref[:i]); ok {
			return out
		}
	}
	if out, ok := referParsed(ref); ok {
		return out
	}
	return fold(ref)
}

// referPlain does the DNs that are nearly all of them: without quotes or
// multi-valued RDNs. It takes memory for the result alone, and none when the DN is
// normal already; values with escapes or letters outside ASCII take some more.
func referPlain(s string) (string, bool) {
	var stack [256]byte
	out := stack[:0]
	for i := 0; ; {
		for i < len(s) && s[i] == ' ' {
			i++
		}
		start := len(out)
		for i < len(s) && isTypeByte(s[i]) {
			out = append(out, lower(s[i]))
			i++
		}
		if !isType(out[start:]) {
			return "", false
		}
		for i < len(s) && s[i] == ' ' {
			i++
		}
		if i == len(s) || s[i] != '=' {
			return "", false
		}
		out = append(out, '=')
		i++
		for i < len(s) && s[i] == ' ' {
			i++
		}
		value, begin, keep := i, len(out), len(out)
	plain:
		for ; i < len(s) && s[i] != ','; i++ {
			c := s[i]
			switch {
			case c == '\\' || c >= 0x7f:
				p := dnParser{s: s, at: value}
				text, ok := p.value()
				if !ok || p.at < len(s) && s[p.at] != ',' || strings.IndexByte(s[value:p.at], '#') >= 0 {
					return "", false
				}
				out = append(out[:begin], escape(text)...)
				i, keep = p.at, len(out)
				break plain
			case c < ' ' || c == '"' || c == '+' || c == ';' || c == '<' || c == '>' || c == '#':
				return "", false
			}
			out = append(out, lower(c))
			if c != ' ' {
				keep = len(out)
			}
		}
		out = out[:keep]
		if i == len(s) {
			break
		}
		out = append(out, ',')
		i++
	}
	if string(out) == s {
		return s, true
	}
	return string(out), true
}

// Alike is what Refer gave, where spaces do not count (caseIgnoreMatch, RFC 4518, 2.6.1):
// one for several inside of a value, none at its ends.
func Alike(n string) string {
	if !strings.Contains(n, "  ") && !strings.Contains(n, `\ `) || !isDN(n) {
		return n
	}
	var b strings.Builder
	kind, begun, space := true, false, false
	for i := 0; i < len(n); i++ {
		c := n[i]
		switch {
		case c == ' ', c == '\\' && n[i+1] == ' ':
			space = begun
			if c == '\\' {
				i++
			}
			continue
		case c == ',', c == '+':
			kind, space = true, false
		case kind:
			kind, begun = c != '=', false
		default:
			if space {
				b.WriteByte(' ')
			}
			begun, space = true, false
			if c == '\\' {
				b.WriteByte(c)
				i++
				c = n[i]
			}
		}
		b.WriteByte(c)
	}
	return Refer(b.String()) // parts of an RDN may stand in another order now
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isTypeByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
}

// isType is true of a short name or an OID.
func isType[T string | []byte](t T) bool {
	if len(t) == 0 || !isTypeByte(t[0]) || t[0] == '-' || t[0] == '.' {
		return false
	}
	return true
}

// uniqueSuffix finds the optional bit string of a Name and Optional UID
// (RFC 4517, 3.3.21): #'0101'B.
func uniqueSuffix(s string) int {
	rest, ok := strings.CutSuffix(s, "'B")
	if !ok {
		return -1
	}
	i := strings.LastIndex(rest, "#'")
	if i < 0 || strings.Trim(rest[i+2:], "01") != "" {
		return -1
	}
	return i
}

// referParsed does every other DN.
func referParsed(s string) (string, bool) {
	var rdns, parts []string
	p := dnParser{s: s}
	for {
		part, ok := p.part()
		if !ok {
			return "", false
		}
		parts = append(parts, part)
		if p.at < len(s) && s[p.at] == '+' {
			p.at++
			continue
		}
		slices.Sort(parts)
		rdns = append(rdns, strings.Join(parts, "+"))
		parts = parts[:0]
		if p.at == len(s) {
			return strings.Join(rdns, ","), true
		}
		p.at++ // the parser stops at nothing else than a separator
	}
}

type dnParser struct {
	s  string
	at int
}

func (p *dnParser) spaces() {
	for p.at < len(p.s) && p.s[p.at] == ' ' {
		p.at++
	}
}

// part reads type=value up to a separator or the end.
func (p *dnParser) part() (string, bool) {
	p.spaces()
	start := p.at
	for p.at < len(p.s) && isTypeByte(p.s[p.at]) {
		p.at++
	}
	name := strings.ToLower(p.s[start:p.at])
	if !isType(name) {
		return "", false
	}
	p.spaces()
	if p.at == len(p.s) || p.s[p.at] != '=' {
		return "", false
	}
	p.at++
	p.spaces()
	if p.at < len(p.s) && p.s[p.at] == '#' {
		return p.hexValue(name)
	}
	value, ok := p.value()
	if !ok {
		return "", false
	}
	return name + "=" + escape(value), true
}

// hexValue keeps the BER of a value given as #hex, which nothing in use sends.
func (p *dnParser) hexValue(name string) (string, bool) {
	start := p.at
	p.at++
	for p.at < len(p.s) {
		if _, ok := unhex(p.s[p.at]); !ok {
			break
		}
		p.at++
	}
	value := strings.ToLower(p.s[start:p.at])
	p.spaces()
	if len(value)%2 == 0 || len(value) == 1 || p.at < len(p.s) && !isSeparator(p.s[p.at]) {
		return "", false
	}
	return name + "=" + value, true
}

func isSeparator(c byte) bool { return c == ',' || c == ';' || c == '+' }

// value reads and unescapes; spaces that are not escaped are cut at the end.
func (p *dnParser) value() (string, bool) {
	var b strings.Builder
	keep := 0
	quoted := false
	for ; p.at < len(p.s); p.at++ {
		c := p.s[p.at]
		switch {
		case c == '\\':
			p.at++
			if p.at == len(p.s) {
				return "", false
			}
			c = p.s[p.at]
			if hi, ok := unhex(c); ok {
				if p.at+1 == len(p.s) {
					return "", false
				}
				lo, ok := unhex(p.s[p.at+1])
				if !ok {
					return "", false
				}
				p.at++
				c = hi<<4 | lo
			}
			b.WriteByte(c)
			keep = b.Len()
		case c == '"':
			quoted = !quoted
		case !quoted && isSeparator(c):
			return b.String()[:keep], true
		default:
			b.WriteByte(c)
			if c != ' ' || quoted {
				keep = b.Len()
			}
		}
	}
	return b.String()[:keep], !quoted
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// escape writes a value in the one form we compare.
func escape(value string) string {
	if !utf8.ValidString(value) {
		return escapeBytes(value)
	}
	value = norm.NFC.String(strings.ToLower(norm.NFC.String(value)))
	if !strings.ContainsFunc(value, isSpecial) {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == ',' || c == '+' || c == '"' || c == '\\' || c == '<' || c == '>' || c == ';',
			c == ' ' && (i == 0 || i == len(value)-1),
			c == '#' && i == 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			escapeByte(&b, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isSpecial is true of what may have to be escaped.
func isSpecial(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`,+"\<>;#`, r) }

// escapeBytes keeps what is not text apart byte by byte.
func escapeBytes(value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if c := lower(value[i]); 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			escapeByte(&b, c)
		}
	}
	return b.String()
}

func escapeByte(b *strings.Builder, c byte) {
	const digits = "0123456789abcdef"
	b.WriteByte('\\')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

// fold puts a text that is not a DN in lower case. It makes no ASCII out of
// other letters (the Kelvin sign), which could turn it into a DN, and leaves
// what is not UTF-8 alone.
func fold(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		l := unicode.ToLower(r)
		if l < utf8.RuneSelf && r >= utf8.RuneSelf {
			return r
		}
		return l
	}, s)
}

// under is true when a normalised DN is the base or lies below it. A comma
// behind a backslash belongs to a value.
func under(dn, base string) bool {
	if base == "" || dn == base {
		return true
	}
	head, ok := strings.CutSuffix(dn, ","+base)
	return ok && (len(head)-len(strings.TrimRight(head, `\`)))%2 == 0
}

// parent is the normalised DN of the entry above, "" above the last.
func parent(dn string) string {
	for i := 0; i < len(dn); i++ {
		switch dn[i] {
		case '\\':
			i++
		case ',':
			return dn[i+1:]
		}
	}
	return ""
}

// isDN is true of what can be read as a distinguished name with a part at least.
func isDN(text string) bool {
	if _, ok := referPlain(text); ok {
		return true
	}
	_, ok := referParsed(text)
	return ok
}
