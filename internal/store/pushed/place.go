package pushed

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
)

// place is where a resource stands in a list: those without a value stand last
// (RFC 7644, section 3.4.2.3), and equals in the order in which they were made.
type place struct {
	Missing bool    `json:"m,omitempty"`
	Number  float64 `json:"n,omitempty"`
	Key     string  `json:"k,omitempty"`
	ID      string  `json:"i"`
}

func (p place) compare(q place) int {
	switch {
	case p.Missing != q.Missing && p.Missing:
		return 1
	case p.Missing != q.Missing:
		return -1
	}
	return cmp.Or(cmp.Compare(p.Number, q.Number), strings.Compare(p.Key, q.Key), strings.Compare(p.ID, q.ID))
}

// cursor is a place as a client carries it. By says in which list.
type cursor struct {
	By string `json:"b,omitempty"`
	At place  `json:"a"`
}

func (q *Query) by() string {
	by := ""
	if q.Sort != nil {
		by = q.Sort.String()
	}
	if q.Descending {
		by += " descending"
	}
	return by
}

func (q *Query) next(at place) (string, error) {
	b, err := json.Marshal(cursor{q.by(), at})
	return base64.RawURLEncoding.EncodeToString(b), err
}

// after reads the place at which a page begins; nil is the beginning.
func (q *Query) after() (*place, error) {
	if !q.UseCursor || q.After == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(q.After)
	var c cursor
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.By != q.by() || c.At.ID == "" || strings.ContainsRune(c.At.Key+c.At.ID, 0) {
		return nil, scim.Bad(scim.InvalidCursor, "The cursor is not one that this list gave. Begin again without one.")
	}
	return &c.At, nil
}

// placeOf is where a resource stands in a list that is sorted by a path.
func placeOf(t scim.Type, o scim.Object, id string, path *scim.Path) place {
	at := place{ID: id}
	if path == nil {
		return at
	}
	if path.Schema != "" {
		o, _ = o[path.Schema].(scim.Object)
	}
	v := o[path.Attr]
	if list, ok := v.([]any); ok {
		v = preferred(list, path.Filter)
	}
	if of, ok := v.(scim.Object); ok {
		sub := path.Sub
		if sub == "" {
			sub = "value"
		}
		v = of[sub]
	}
	switch v := v.(type) {
	case string:
		known, ok := scim.Lookup(t, path.Schema, path.Attr, path.Sub)
		at.Key = keyOf(v, ok && known.CaseExact)
	case bool:
		at.Key = map[bool]string{false: "false", true: "true"}[v]
	case json.Number:
		at.Number, _ = v.Float64() //nolint:errcheck // what is no number of ours stands first
	}
	at.Missing = at.Key == "" && v != json.Number("0") && at.Number == 0
	return at
}

// preferred is the value of several that a list is sorted by: the primary one, or
// the first of those that a filter fits.
func preferred(list []any, f *scim.Filter) any {
	var first any
	for _, v := range list {
		o, whole := v.(scim.Object)
		if f != nil && (!whole || !f.Matches(o)) {
			continue
		}
		if whole && o["primary"] == true {
			return v
		}
		if first == nil {
			first = v
		}
	}
	return first
}
