package pushed

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/scim"
)

// longKey is from how many bytes on a key is cut: what an index of PostgreSQL holds
// is limited, and what a client sends is not.
const longKey = 256

// keyOf is a value as the indexes know it: values that are equal have equal keys.
func keyOf(value string, exact bool) string {
	if !exact {
		value = scim.Fold(value)
	}
	value = strings.ReplaceAll(value, "\x00", "\uFFFD") // which PostgreSQL does not keep
	if len(value) <= longKey {
		return value
	}
	sum := sha256.Sum256([]byte(value))
	end := longKey - 32
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end] + hex.EncodeToString(sum[:16])
}

// newID gives a UUID of version 7 (RFC 9562, section 5.7), later than the one before:
// in the order of their IDs resources stand in the order in which they were made.
func (p *Pushed) newID() string {
	now := p.Now().UnixMicro()
	at := now/1000<<12 | now%1000<<2
	p.mu.Lock()
	at = max(at, p.last+1)
	p.last = at
	p.mu.Unlock()
	var b [16]byte
	rand.Read(b[8:]) //nolint:errcheck // it never fails
	binary.BigEndian.PutUint64(b[:8], uint64(at)>>12<<16|7<<12|uint64(at)&0xfff)
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	for i, part := range [...][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		hex.Encode(s[2*part[0]+i:], b[part[0]:part[1]])
		if i > 0 {
			s[2*part[0]+i-1] = '-'
		}
	}
	return string(s[:])
}

// indexed are attributes that filters ask for and that pushed_values holds.
var indexed = map[scim.Type][]attribute{
	scim.User: {
		{name: "emails.value", attr: "emails", sub: "value"},
		{name: "phoneNumbers.value", attr: "phoneNumbers", sub: "value"},
		{name: "name.familyName", attr: "name", sub: "familyName"},
		{name: "name.givenName", attr: "name", sub: "givenName"},
		{name: "employeeNumber", schema: scim.EnterpriseSchema, attr: "employeeNumber"},
		{name: "manager.value", schema: scim.EnterpriseSchema, attr: "manager", sub: "value"},
	},
}

// attribute is one of them: its name in the table, and where it is.
type attribute struct{ name, schema, attr, sub string }

// value is one row of pushed_values, without its resource.
type value struct{ attr, key string }

// valuesOf gives what the table holds of a body, each once.
func valuesOf(t scim.Type, body scim.Object) []value {
	var out []value
	for _, a := range indexed[t] {
		from := body
		if a.schema != "" {
			from, _ = body[a.schema].(scim.Object)
		}
	next:
		for _, text := range textsOf(from[a.attr], a.sub) {
			v := value{a.name, keyOf(text, false)}
			for _, have := range out {
				if have == v {
					continue next
				}
			}
			out = append(out, v)
		}
	}
	return out
}

// textsOf gives the text of a value, or of each of several: itself where it is not
// complex, and of complex ones their part.
func textsOf(v any, sub string) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case json.Number:
		return []string{v.String()}
	case bool:
		return []string{strconv.FormatBool(v)}
	case scim.Object:
		return textsOf(v[sub], "value")
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, textsOf(one, sub)...)
		}
		return out
	}
	return nil
}

func text(body scim.Object, name string) string {
	s, _ := body[name].(string)
	return s
}
