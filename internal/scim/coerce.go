package scim

import (
	"encoding/json"
	"strings"
)

// take brings a value into the form that the schema has for its attribute. What
// clients send in another form, and means one thing only, is taken: "True" for
// true, a number for a text, one value for a list of one, a bare identifier for a
// complex value. There is no value where it is null, empty or an empty text. path
// is for errors.
func (a *Attribute) take(v any, path string) (value any, ok bool, err error) {
	if !a.Multi {
		if list, isList := v.([]any); isList {
			// `manager` as a list of one, as Entra ID sent it once.
			v = nil
			for _, e := range list {
				if !isEmpty(e) {
					v = e
					break
				}
			}
		}
		return a.takeOne(v, path)
	}
	list := []any{}
	for _, e := range each(v) {
		one, ok, err := a.takeOne(e, path)
		if err != nil {
			return nil, false, err
		}
		if ok {
			list = append(list, one)
		}
	}
	if len(list) > MostValues {
		return nil, false, Bad(InvalidValue, "%s has %d values, and %d are kept at most", path, len(list), MostValues)
	}
	onePrimary(list, -1)
	return list, len(list) > 0, nil
}

func (a *Attribute) takeOne(v any, path string) (value any, ok bool, err error) {
	if v == nil || v == "" {
		return nil, false, nil
	}
	if a.Type == "" { // no schema knows it: as it was sent
		return clone(v), usable(v), nil
	}
	switch a.Type {
	case "complex":
		return a.takeComplex(v, path)
	case "boolean":
		b, ok := truth(v)
		if !ok {
			return nil, false, Bad(InvalidValue, "%s is neither true nor false", path)
		}
		return b, true, nil
	}
	s, ok := plain(v)
	if !ok {
		return nil, false, Bad(InvalidValue, "%s is not a text", path)
	}
	return s, true, nil
}

func (a *Attribute) takeComplex(v any, path string) (value any, ok bool, err error) {
	o, isObject := v.(Object)
	if !isObject {
		s, isPlain := plain(v)
		main := a.main()
		if !isPlain || main == nil {
			return nil, false, Bad(InvalidValue, "%s is not an object", path)
		}
		return Object{main.Name: s}, true, nil
	}
	out := Object{}
	for _, name := range names(o) {
		sub := a.part(name)
		if sub == nil {
			// What the client's vendor says of members in Entra ID's own tests.
			if a.Name != "members" || !strings.EqualFold(name, "displayName") {
				continue
			}
			sub = named(a.Sub, "display")
		}
		e, ok, err := sub.take(o[name], path+"."+sub.Name)
		if err != nil {
			return nil, false, err
		}
		if ok {
			out[sub.Name] = e
		}
	}
	return out, len(out) > 0, nil
}

// part finds a part of a complex attribute; of one that no schema knows every name
// is one.
func (a *Attribute) part(name string) *Attribute {
	if a.Type == "" {
		return &Attribute{Name: name}
	}
	return named(a.Sub, name)
}

// main is the part of a complex attribute that a bare text is: its value, or the
// whole of a name or an address.
func (a *Attribute) main() *Attribute {
	if v := named(a.Sub, "value"); v != nil {
		return v
	}
	return named(a.Sub, "formatted")
}

// onePrimary makes the last primary value the only one; that at keep wins over the
// others if it is one.
func onePrimary(list []any, keep int) {
	seen := false
	drop := func(v any) {
		o, ok := v.(Object)
		if !ok || o["primary"] != true {
			return
		}
		if seen {
			o["primary"] = false
		}
		seen = true
	}
	if keep >= 0 && keep < len(list) {
		drop(list[keep])
	}
	for i := len(list) - 1; i >= 0; i-- {
		if i != keep {
			drop(list[i])
		}
	}
}

// usable reports whether a value of an extension that no schema knows is one; it is
// kept as it was sent.
func usable(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case Object:
		return len(v) > 0
	}
	return true
}

// takeMembers reads members of a group: each an object with the identifier as its
// value, or the bare identifier. Every identifier comes once, in the order in which
// they came first, with what was said of it last. Who gives a value that names
// nobody is told, because leaving it out could make a list of nobody.
func takeMembers(v any) ([]Object, error) {
	a := *named(groupSchema.attributes, "members")
	out := []Object{}
	at := map[string]int{}
	for _, e := range each(v) {
		one, _, err := a.takeOne(e, "members")
		if err != nil {
			return nil, err
		}
		m, _ := one.(Object)
		id, _ := m["value"].(string)
		if id == "" {
			return nil, Bad(InvalidValue, "a member has no `value`, the identifier of a user or group")
		}
		delete(m, "$ref") // the server's own address of it is made anew
		if i, ok := at[id]; ok {
			out[i] = m
			continue
		}
		at[id] = len(out)
		out = append(out, m)
	}
	return out, nil
}

// number of a JSON value that must be a whole one.
func whole(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := n.Int64()
	return int(i), err == nil
}
