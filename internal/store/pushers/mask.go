package pushers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// Mode is how much of what clients send is kept in the log.
type Mode string

// The modes. Secrets are kept in none.
const (
	Masked Mode = "masked" // of values of people their first letter
	Full   Mode = "full"
	Off    Mode = "off" // no bodies, and queries as in masked
)

const (
	removed = "(removed)"
	cutMark = "…"
	deepest = 50 // of a body that is looked at
)

// Mask makes a body fit to be kept: of values of people their first letter is left,
// of passwords and tokens nothing. What it is about stays: names of attributes,
// operations, paths, IDs, booleans. A body whose end is missing is masked as far as
// it goes; one that is not JSON is not kept, since nobody knows what it holds.
func Mask(body []byte, mode Mode) string {
	if mode == Off || len(bytes.TrimSpace(body)) == 0 {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	n := parse(d, 0)
	if n == nil || n.kind == scalar {
		return fmt.Sprintf("(%d bytes that are not a JSON object)", len(body))
	}
	m := masker{plain: mode == Full}
	m.write(n, place{})
	if m.over() {
		return clean(head(m.out.String(), MostBody-len(cutMark))) + cutMark
	}
	return m.out.String()
}

// node is a JSON value, its keys in the order in which they came.
type node struct {
	kind  byte // '{', '[' or scalar
	keys  []string
	items []*node
	value any  // of a scalar
	whole bool // its end was there
}

const scalar byte = 0

// parse reads a value, or as much of it as there is; nil where there is none.
func parse(d *json.Decoder, depth int) *node {
	t, err := d.Token()
	if err != nil || depth > deepest {
		return nil
	}
	open, ok := t.(json.Delim)
	if !ok {
		return &node{value: t, whole: true}
	}
	n := &node{kind: byte(open)}
	for d.More() {
		if n.kind == '{' {
			key, err := d.Token()
			name, ok := key.(string)
			if err != nil || !ok {
				return n
			}
			n.keys = append(n.keys, name)
		}
		item := parse(d, depth+1)
		if item == nil {
			n.keys = n.keys[:min(len(n.keys), len(n.items))]
			return n
		}
		n.items = append(n.items, item)
		if item.kind != scalar && !item.whole {
			return n
		}
	}
	_, err = d.Token()
	n.whole = err == nil
	return n
}

// text is what an object has under a name, in any case; "" for anything but a text.
func (n *node) text(name string) (string, bool) {
	for i, k := range n.keys {
		if strings.EqualFold(k, name) {
			s, ok := n.items[i].value.(string)
			return s, ok
		}
	}
	return "", false
}

func (n *node) has(name string) bool {
	return slices.ContainsFunc(n.keys, func(k string) bool { return strings.EqualFold(k, name) })
}

// place is where in a body a value stands.
type place struct {
	attr   string // the attribute it belongs to, in lower case, without its schema
	refers bool   // its values are IDs of other resources
	secret bool
	hidden bool // the operation it belongs to was cut off before it said which attribute
}

// kept are names whose values say what a message is about and nothing of people.
var kept = map[string]bool{"schemas": true, "op": true, "id": true, "$ref": true, "ref": true, "location": true, "type": true, "resourcetype": true, "version": true, "status": true,
	"scimtype": true, "created": true, "lastmodified": true, "method": true, "bulkid": true, "attributes": true, "excludedattributes": true, "sortby": true, "sortorder": true,
	"totalresults": true, "itemsperpage": true, "startindex": true, "count": true, "failonerrors": true, "cursor": true, "nextcursor": true, "previouscursor": true}

// refer are attributes whose values are IDs.
var refer = map[string]bool{"members": true, "manager": true, "groups": true}

// attribute is the attribute at which a path or a key begins, and what it ends in:
// both are "manager" of "urn:…:User:manager" and "name", "givenname" of "name.givenName".
func attribute(path string) (first, last string) {
	p := strings.ToLower(path)
	if i := strings.IndexByte(p, '['); i >= 0 {
		rest := ""
		if j := strings.LastIndexByte(p, ']'); j > i {
			rest = p[j+1:]
		}
		p = p[:i] + rest
	}
	if i := strings.LastIndexByte(p, ':'); i >= 0 {
		p = p[i+1:]
	}
	first, _, _ = strings.Cut(p, ".")
	return first, p[strings.LastIndexByte(p, '.')+1:]
}

// masker writes a body that may be kept.
type masker struct {
	out   strings.Builder
	plain bool
}

// over says that more was written than is kept.
func (m *masker) over() bool { return m.out.Len() > MostBody-len(cutMark) }

func (m *masker) write(n *node, at place) {
	switch {
	case m.over():
	case n.kind == '{':
		m.object(n, at)
	case n.kind == '[':
		m.out.WriteByte('[')
		for i, item := range n.items {
			m.comma(i)
			m.write(item, at)
		}
		m.end(n, ']')
	default:
		m.scalar(n.value, at)
	}
}

func (m *masker) comma(i int) {
	if i > 0 {
		m.out.WriteByte(',')
	}
}

func (m *masker) end(n *node, mark byte) {
	if !n.whole {
		m.out.WriteString(cutMark)
	}
	m.out.WriteByte(mark)
}

func (m *masker) object(n *node, at place) {
	// Of an operation, the path says what the value is.
	op := n.has("op")
	of := at
	if path, ok := n.text("path"); op && ok {
		first, last := attribute(path)
		of = place{attr: first, refers: refer[first] && (last == first || last == "value"), secret: secret(first) || secret(last)}
	} else if op {
		of = place{hidden: !n.whole}
	}
	m.out.WriteByte('{')
	for i, item := range n.items {
		m.comma(i)
		key := n.keys[i]
		m.quote(key)
		m.out.WriteByte(':')
		first, last := attribute(key)
		switch lower := strings.ToLower(key); {
		case op && lower == "value":
			m.write(item, of)
		case lower == "path" || lower == "filter":
			m.path(item)
		case lower == "detail":
			m.detail(item)
		case lower == "value":
			m.write(item, at)
		default:
			m.write(item, place{attr: last, refers: refer[first] && last == first, secret: at.secret || secret(last), hidden: at.hidden})
		}
	}
	m.end(n, '}')
}

func secret(name string) bool {
	return directory.Secret(name) || name == "authorization" || name == "assertion"
}

// path writes a path or a filter: what it compares with may be people's.
func (m *masker) path(n *node) {
	s, ok := n.value.(string)
	switch {
	case !ok:
		m.write(n, place{})
	case m.plain:
		m.quote(s)
	default:
		m.quote(maskFilter(s))
	}
}

// detail writes what a person is told: what stands between quotes may be people's.
func (m *masker) detail(n *node) {
	s, ok := n.value.(string)
	switch {
	case !ok:
		m.write(n, place{})
	case m.plain:
		m.quote(s)
	default:
		m.quote(quoted(s))
	}
}

func (m *masker) scalar(v any, at place) {
	switch v := v.(type) {
	case nil, bool:
		if at.secret {
			m.quote(removed)
			return
		}
		fmt.Fprint(&m.out, or(v, "null"))
	case json.Number:
		switch {
		case at.secret || at.hidden:
			m.quote(removed)
		case m.plain || kept[at.attr]:
			m.out.WriteString(v.String())
		default:
			m.quote(short(v.String()))
		}
	case string:
		switch {
		case at.secret || at.hidden:
			m.quote(removed)
		case m.plain || at.refers || kept[at.attr]:
			m.quote(v)
		default:
			m.quote(short(v))
		}
	}
}

func or(v any, none string) any {
	if v == nil {
		return none
	}
	return v
}

func (m *masker) quote(s string) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) == nil { // a text can always be written
		m.out.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	}
}
