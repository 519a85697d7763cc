package scim

import "maps"

// changedValues changes those values of a list that a path chooses, or a part of
// them. Where none is chosen, one is made that the path chooses, as Entra ID wants
// (RFC 7644, section 3.5.2.3, would have noTarget).
func changedValues(list []any, a *Attribute, op string, p Path, v any) (any, error) {
	list = clone(list).([]any)
	out := list[:0]
	chosen, keep := 0, -1
	sub, now, ok, err := taken(a, op, p, v)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		whole, isObject := e.(Object)
		if p.Filter != nil && !p.Filter.matches(asObject(e), &p) {
			out = append(out, e)
			continue
		}
		chosen++
		switch {
		case p.Sub == "" && !ok:
			continue // it goes
		case p.Sub == "" && op == "add" && isObject:
			maps.Copy(whole, asObject(now))
			e = whole
		case p.Sub == "":
			if fresh, made := made(a, p.Filter); made && a.Type != "" {
				maps.Copy(fresh, asObject(now))
				e = fresh
			} else {
				e = clone(now)
			}
		case !isObject:
		default:
			at := sub.Name
			if a.Type == "" {
				at = key(whole, at)
			}
			if delete(whole, at); ok {
				whole[at] = now
			} else if bare(a, whole) {
				continue
			}
		}
		if o, isObject := e.(Object); isObject && o["primary"] == true {
			keep = len(out)
		}
		out = append(out, e)
	}
	if chosen == 0 && ok && op != "remove" {
		e, err := fresh(a, p, now)
		if err != nil {
			return nil, err
		}
		if e["primary"] == true {
			keep = len(out)
		}
		out = append(out, e)
	}
	if a.Type != "" && keep >= 0 {
		onePrimary(out, keep)
	}
	return listed(out, p)
}

// taken gives what an operation puts in place of a value, or of a part of one; ok is
// false where that is nothing.
func taken(a *Attribute, op string, p Path, v any) (sub *Attribute, now any, ok bool, err error) {
	if op == "remove" {
		v = nil
	}
	if p.Sub == "" {
		if list, isList := v.([]any); isList && len(list) == 1 {
			v = list[0]
		}
		now, ok, err = a.takeOne(v, p.String())
		return nil, now, ok, err
	}
	sub = a.part(p.Sub)
	now, ok, err = sub.take(v, p.String())
	return sub, now, ok, err
}

// bare reports whether nothing of a value is left but what it is for.
func bare(a *Attribute, o Object) bool {
	for k := range o {
		if a.Type == "" || k != "type" && k != "primary" && k != "display" {
			return false
		}
	}
	return true
}

// fresh makes a value that a path chooses.
func fresh(a *Attribute, p Path, now any) (Object, error) {
	o, ok := made(a, p.Filter)
	if ok && p.Sub == "" {
		maps.Copy(o, asObject(now))
	} else if ok {
		o[a.part(p.Sub).Name] = now
	}
	if !ok || p.Filter != nil && !p.Filter.matches(o, &Path{Schema: p.Schema, Attr: p.Attr}) {
		return nil, Bad(NoTarget, "%s chooses none of the values, and does not say enough to make one", p)
	}
	return o, nil
}

// made makes a value of what a filter says is equal; ok is false where it asks for
// more than that.
func made(a *Attribute, f *Filter) (o Object, ok bool) {
	if f == nil {
		return Object{}, true
	}
	switch f.Op {
	case And:
		l, lok := made(a, f.Left)
		r, rok := made(a, f.Right)
		maps.Copy(l, r)
		return l, lok && rok
	case Eq:
		sub := a.part(f.Path.Attr)
		if sub == nil || f.Path.Sub != "" {
			return Object{}, false
		}
		v, has, err := sub.take(f.Value, "")
		if err != nil {
			return Object{}, false
		}
		if !has {
			return Object{}, true
		}
		return Object{sub.Name: v}, true
	default:
		return Object{}, false
	}
}
