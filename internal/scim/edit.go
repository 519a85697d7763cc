package scim

import (
	"reflect"
	"strings"
)

// editor changes an object, one attribute after the other. Bodies and operations of
// PATCH go through it alike.
type editor struct {
	t       Type
	o       Object
	members []MemberChange
}

// merge takes every attribute of a body, or of the value of an operation without a
// path. Names that mean nothing are passed over there, and what is read-only too:
// Okta sends the id along.
func (e *editor) merge(op string, body Object) error {
	for _, name := range names(body) {
		v := body[name]
		path, ok := splitName(name)
		_, isObject := v.(Object)
		switch {
		case isObject && (strings.EqualFold(name, UserSchema) || strings.EqualFold(name, GroupSchema)):
			if err := e.merge(op, v.(Object)); err != nil {
				return err
			}
			continue
		case strings.IndexByte(name, '[') > 0:
			var err error
			path, err = ParsePath(name)
			ok = err == nil
		case ok && (path.Schema == "" || path.Schema == EnterpriseSchema):
		case isObject && isURN(name):
			path, ok = Path{Schema: name}, true
		}
		if !ok {
			continue
		}
		path.respell(nil)
		if err := e.edit(op, path, v, true, true); err != nil {
			return err
		}
	}
	return nil
}

// edit carries out one operation on what a path leads to. Within is of a body, whose
// unknown and read-only names are passed over.
func (e *editor) edit(op string, p Path, v any, has, within bool) error {
	refuse := func(t ErrorType, why string) error {
		if within {
			return nil
		}
		return Bad(t, "%s: %s", p, why)
	}
	if p.Schema != "" {
		return e.editExtension(op, p, v, has, within)
	}
	if e.t == Group && p.Attr == "members" {
		return e.editMembers(op, p, v, has, within)
	}
	a, ok := Lookup(e.t, "", p.Attr, "")
	switch {
	case !ok:
		return refuse(InvalidPath, "a "+strings.ToLower(string(e.t))+" has no such attribute")
	case a.Name == "schemas", a.Returned == "never":
		return nil // the server knows which schemas there are; passwords are not kept
	case a.Mutability == "readOnly":
		return refuse(Mutability, "the server alone sets this")
	case p.Sub != "" && a.part(p.Sub) == nil:
		return refuse(InvalidPath, "the attribute has no such part")
	case p.Filter != nil && !a.Multi:
		return refuse(InvalidPath, "the attribute has one value, among which none can be chosen")
	}
	return change(e.o, &a, op, p, v, has)
}

// editExtension is edit of an attribute of an extension, or of a whole one.
func (e *editor) editExtension(op string, p Path, v any, has, within bool) error {
	known := extension(e.t, p.Schema)
	if known == nil {
		if strings.EqualFold(p.Schema, EnterpriseSchema) { // of a group
			if within {
				return nil
			}
			return Bad(InvalidPath, "%s: a group has no such attribute", p)
		}
		// A whole extension, which looked like an attribute of another.
		if whole := key(e.o, p.Schema+":"+p.Attr); p.Attr != "" && p.Filter == nil && e.o[whole] != nil {
			p = Path{Schema: whole, Attr: p.Sub}
		}
	}
	at := key(e.o, p.Schema)
	ext, _ := e.o[at].(Object)
	if ext == nil {
		ext = Object{}
	}
	var err error
	switch body, isObject := v.(Object); {
	case p.Attr == "" && (op == "remove" || op == "replace" && has && !usable(v)):
		ext = nil
	case p.Attr == "" && within && v == nil:
		return nil
	case p.Attr == "" && !isObject:
		return Bad(InvalidValue, "%s is a schema, and its value an object", p)
	case p.Attr == "":
		for _, name := range names(body) {
			path := Path{Schema: p.Schema, Attr: name}
			if known != nil {
				if path, isObject = splitPart(p.Schema, name); !isObject {
					continue
				}
				path.respell(nil)
			}
			if err = extend(ext, known, op, path, body[name], true, true); err != nil {
				return err
			}
		}
	default:
		err = extend(ext, known, op, p, v, has, within)
	}
	if err != nil {
		return err
	}
	if len(ext) == 0 {
		delete(e.o, at)
		return nil
	}
	e.o[at] = ext
	return nil
}

// extend carries out an operation on an attribute of an extension; known is nil
// where no schema knows it.
func extend(ext Object, known *schema, op string, p Path, v any, has, within bool) error {
	var a *Attribute
	if known != nil {
		a = named(known.attributes, p.Attr)
	}
	if a == nil {
		_, isList := v.([]any)
		_, wasList := ext[key(ext, p.Attr)].([]any)
		a = &Attribute{Name: key(ext, p.Attr), Multi: isList || wasList || p.Filter != nil}
	}
	if p.Sub != "" && a.part(p.Sub) == nil || p.Filter != nil && !a.Multi {
		if within {
			return nil
		}
		return Bad(InvalidPath, "%s: the attribute has no such part, or one value among which none can be chosen", p)
	}
	return change(ext, a, op, p, v, has)
}

// change carries out an operation on an attribute of an object.
func change(o Object, a *Attribute, op string, p Path, v any, has bool) error {
	now, err := changed(o[a.Name], a, op, p, v, has)
	switch {
	case err != nil:
		return err
	case now == nil:
		delete(o, a.Name)
	default:
		o[a.Name] = now
	}
	return nil
}

// changed gives what an attribute is after an operation; nil for nothing.
func changed(cur any, a *Attribute, op string, p Path, v any, has bool) (any, error) {
	if op != "remove" && !has {
		return nil, Bad(InvalidValue, "%s: the operation %s has no value", p, op)
	}
	switch {
	case p.Filter != nil || p.Sub != "" && a.Multi:
		return changedValues(each(cur), a, op, p, v)
	case p.Sub != "":
		return changedPart(cur, a, op, p, v)
	case op == "remove":
		if has && a.Multi && v != nil {
			return without(each(cur), a, v, p)
		}
		return nil, nil
	}
	if o, ok := v.(Object); ok && !a.Multi && (a.Type == "" || a.Type == "complex" && named(a.Sub, "value") == nil) {
		return mergedParts(cur, a, o, p)
	}
	now, ok, err := a.take(v, p.String())
	switch {
	case err != nil:
		return nil, err
	case a.Multi && op == "add":
		return with(each(cur), a, each(now), p)
	case !ok:
		return nil, nil
	}
	return now, nil
}

// mergedParts puts parts of a value over those that it has (RFC 7644, section 3.5.2.3:
// what is not named stays).
func mergedParts(cur any, a *Attribute, parts Object, p Path) (any, error) {
	out, _ := clone(cur).(Object)
	if out == nil {
		out = Object{}
	}
	for _, name := range names(parts) {
		sub := a.part(name)
		if sub == nil {
			continue
		}
		at := sub.Name
		if a.Type == "" {
			at = key(out, name)
		}
		v, ok, err := sub.take(parts[name], p.String()+"."+at)
		if err != nil {
			return nil, err
		}
		if delete(out, at); ok {
			out[at] = v
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// changedPart changes one part of an attribute with one value.
func changedPart(cur any, a *Attribute, op string, p Path, v any) (any, error) {
	if op == "remove" {
		v = nil
	}
	sub := a.part(p.Sub)
	now, ok, err := sub.take(v, p.String())
	if err != nil {
		return nil, err
	}
	out, _ := clone(cur).(Object)
	if out == nil {
		out = Object{}
	}
	at := sub.Name
	if a.Type == "" {
		at = key(out, at)
	} else if at == "value" && out[at] != now {
		out = Object{} // a manager's name is not that of the next one
	}
	if delete(out, at); ok {
		out[at] = now
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// with adds values to a list. One that is there already is not added again; what the
// added one says beyond it is put over it.
func with(list []any, a *Attribute, more []any, p Path) (any, error) {
	out := clone(list).([]any)
	for _, m := range more {
		at := -1
		for i := range out {
			if a.same(out[i], m) {
				at = i
				break
			}
		}
		if at < 0 {
			at = len(out)
			out = append(out, clone(m))
		} else if old, ok := out[at].(Object); ok {
			for k, v := range asObject(m) {
				old[k] = v
			}
		}
		if o, ok := m.(Object); ok && o["primary"] == true && a.Type != "" {
			onePrimary(out, at)
		}
	}
	return listed(out, p)
}

// without removes the values of a list that another names. An empty one names none.
func without(list []any, a *Attribute, less any, p Path) (any, error) {
	out := clone(list).([]any)
	for _, e := range each(less) {
		one, ok, err := a.takeOne(e, p.String())
		if err != nil {
			return nil, err
		}
		kept := out[:0]
		for _, v := range out {
			if !ok || !a.same(v, one) {
				kept = append(kept, v)
			}
		}
		out = kept
	}
	return listed(out, p)
}

func listed(list []any, p Path) (any, error) {
	if len(list) > MostValues {
		return nil, Bad(InvalidValue, "%s has %d values, and %d are kept at most", p, len(list), MostValues)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, nil
}

// same reports whether two values of an attribute are one: the same value, for the
// same purpose where the second one says which.
func (a *Attribute) same(x, y any) bool {
	ox, xok := x.(Object)
	oy, yok := y.(Object)
	value := named(a.Sub, "value")
	if !xok || !yok || value == nil || isEmpty(ox["value"]) || isEmpty(oy["value"]) {
		return reflect.DeepEqual(x, y)
	}
	kind, _ := oy["type"].(string)
	had, _ := ox["type"].(string)
	return value.compare(Eq, ox["value"], oy["value"]) && (kind == "" || strings.EqualFold(kind, had))
}
