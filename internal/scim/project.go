package scim

import (
	"strings"
)

// Project picks the attributes of a resource that were asked for, or leaves out those
// that were not wanted (RFC 7644, section 3.9). Names may be in any case, with their
// schema or with a part, several of them in one text with commas between; in
// brackets they may choose among values, as Microsoft's tests do. Those that nothing
// is known of are passed over. The id and the schemas always come. With both lists
// the second leaves out what the first picked. The object given is not changed; the
// one returned shares values with it. An error is an *Error of invalidValue.
func Project(t Type, o Object, attributes, excluded []string) (Object, error) {
	want, err := paths(attributes)
	if err != nil {
		return nil, err
	}
	without, err := paths(excluded)
	if err != nil {
		return nil, err
	}
	out := Object{}
	for name, v := range o {
		if a, ok := Lookup(t, "", name, ""); !ok || a.Returned == "default" && len(want) == 0 || a.Returned == "always" {
			if ok || len(want) == 0 {
				out[name] = v
			}
		}
	}
	for _, p := range want {
		pick(out, o, p)
	}
	for _, p := range without {
		if a, ok := Lookup(t, p.Schema, p.Attr, ""); !ok || a.Returned != "always" {
			leave(out, p)
		}
	}
	return out, nil
}

func paths(list []string) ([]Path, error) {
	var out []Path
	for _, text := range list {
		for name := range splitOutside(text) {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if strings.EqualFold(name, UserSchema) || strings.EqualFold(name, GroupSchema) {
				for _, a := range core(typeOf(name)).attributes {
					out = append(out, Path{Attr: a.Name})
				}
				continue
			}
			p, err := ParsePath(name)
			if err != nil {
				return nil, Bad(InvalidValue, "%q is not the name of an attribute", name)
			}
			out = append(out, p)
		}
	}
	return out, nil
}

func typeOf(urn string) Type {
	if strings.EqualFold(urn, GroupSchema) {
		return Group
	}
	return User
}

// splitOutside splits at the commas that are not in brackets.
func splitOutside(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		depth, begin := 0, 0
		for i := range len(text) {
			switch text[i] {
			case '[':
				depth++
			case ']':
				depth--
			case ',':
				if depth <= 0 {
					if !yield(text[begin:i]) {
						return
					}
					begin = i + 1
				}
			}
		}
		yield(text[begin:])
	}
}

// container finds the object that an attribute of a path stands in, and the name of
// the extension that it is; "" for the resource itself.
func container(o Object, p Path) (in Object, name string) {
	if p.Schema == "" {
		return o, ""
	}
	if p.Attr != "" { // a whole extension may look like an attribute of another
		if whole := key(o, p.Schema+":"+p.Attr); o[whole] != nil {
			in, _ = o[whole].(Object)
			return in, whole
		}
	}
	name = key(o, p.Schema)
	in, _ = o[name].(Object)
	return in, name
}

// pick copies what a path leads to.
func pick(out, o Object, p Path) {
	from, ext := container(o, p)
	if from == nil {
		return
	}
	to := out
	if ext != "" {
		if p.Attr == "" || strings.EqualFold(ext, p.Schema+":"+p.Attr) {
			out[ext] = from
			return
		}
		to = Object{}
		if had, ok := out[ext].(Object); ok {
			to = shallow(had)
		}
	}
	name := key(from, p.Attr)
	if a, known := Lookup("", p.Schema, p.Attr, ""); known && a.Returned == "never" {
		return
	}
	v := from[name]
	if v == nil {
		return
	}
	if p.Sub != "" || p.Filter != nil {
		if v = chosen(v, to[name], p); v == nil {
			return
		}
	}
	to[name] = v
	if ext != "" {
		out[ext] = to
	}
}

// chosen gives the values that a path chooses, or a part of each, beside the parts
// that were picked before.
func chosen(v, before any, p Path) any {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	had := each(before)
	out := []any{}
	for i, e := range list {
		whole, isObject := e.(Object)
		switch {
		case p.Filter != nil && !p.Filter.matches(asObject(e), &p):
		case p.Sub == "":
			out = append(out, e)
		case isObject:
			part := Object{}
			if p.Filter == nil && len(had) == len(list) {
				if b, ok := had[i].(Object); ok {
					part = shallow(b)
				}
			}
			at := key(whole, p.Sub)
			if whole[at] != nil {
				part[at] = whole[at]
			}
			out = append(out, part)
		}
	}
	switch {
	case len(out) == 0:
		return nil
	case !isList:
		return out[0]
	}
	return out
}

// leave takes away what a path leads to, and keeps what it is taken from as it was.
func leave(out Object, p Path) {
	in, ext := container(out, p)
	if in == nil {
		return
	}
	if ext != "" {
		if p.Attr == "" || strings.EqualFold(ext, p.Schema+":"+p.Attr) {
			delete(out, ext)
			return
		}
		in = shallow(in)
		out[ext] = in
	}
	name := key(in, p.Attr)
	if p.Sub == "" && p.Filter == nil {
		delete(in, name)
		return
	}
	list, isList := in[name].([]any)
	if !isList {
		list = each(in[name])
	}
	kept := []any{}
	for _, e := range list {
		whole, isObject := e.(Object)
		matches := p.Filter == nil || p.Filter.matches(asObject(e), &p)
		switch {
		case !matches:
			kept = append(kept, e)
		case p.Sub == "":
		case isObject:
			rest := shallow(whole)
			delete(rest, key(rest, p.Sub))
			kept = append(kept, rest)
		default:
			kept = append(kept, e)
		}
	}
	switch {
	case len(kept) == 0:
		delete(in, name)
	case isList:
		in[name] = kept
	default:
		in[name] = kept[0]
	}
}

func shallow(o Object) Object {
	out := make(Object, len(o))
	for k, v := range o {
		out[k] = v
	}
	return out
}
