package scim

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Matches evaluates the filter on a resource, or on a value where its paths are
// relative to one.
//
// Of an attribute with several values one that matches is enough, also for ne, which
// is true of what has no value at all as well. Comparing with null asks whether
// there is no value. Text is compared as caseExact of the schema says, what no schema
// knows without regard to case; times as times, and booleans also with the texts
// "true" and "false" in any case. The other operators are false of values of
// another type.
func (f *Filter) Matches(o Object) bool { return f.matches(o, nil) }

// matches evaluates on a value of the attribute within, or on a resource.
func (f *Filter) matches(o Object, within *Path) bool {
	switch f.Op {
	case And:
		return f.Left.matches(o, within) && f.Right.matches(o, within)
	case Or:
		return f.Left.matches(o, within) || f.Right.matches(o, within)
	case Not:
		return !f.Left.matches(o, within)
	default:
	}
	values := f.Path.values(o)
	present := false
	for _, v := range values {
		present = present || !isEmpty(v)
	}
	switch {
	case f.Op == Pr, f.Op == Ne && f.Value == nil:
		return present
	case f.Op == Eq && f.Value == nil:
		return !present
	case f.Op == Ne && !present:
		return true
	}
	a, _ := f.attribute(within)
	for _, v := range values {
		if whole, ok := v.(Object); ok {
			v = get(whole, "value")
		}
		if v != nil && a.compare(f.Op, v, f.Value) {
			return true
		}
	}
	return false
}

// values finds what a path leads to; a list counts as each of its values.
func (p Path) values(o Object) []any {
	o, ext := container(o, p)
	if ext != "" && (p.Attr == "" || strings.EqualFold(ext, p.Schema+":"+p.Attr)) {
		return []any{o}
	}
	found := each(get(o, p.Attr))
	if p.Filter == nil && p.Sub == "" {
		return found
	}
	var out []any
	for _, v := range found {
		whole := asObject(v)
		if p.Filter != nil && !p.Filter.matches(whole, &p) {
			continue
		}
		if p.Sub == "" {
			out = append(out, v)
		} else {
			out = append(out, each(get(whole, p.Sub))...)
		}
	}
	return out
}

// asObject gives a plain value the form that values of complex attributes have.
func asObject(v any) Object {
	if o, ok := v.(Object); ok {
		return o
	}
	return Object{"value": v}
}

func each(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// get finds a name in any case; as it is written wins, then the first in order.
func get(o Object, name string) any {
	return o[key(o, name)]
}

// key is the name under which an attribute stands in an object, in whatever case;
// the name itself where it is not there.
func key(o Object, name string) string {
	if _, ok := o[name]; ok {
		return name
	}
	found := ""
	for k := range o {
		if strings.EqualFold(k, name) && (found == "" || k < found) {
			found = k
		}
	}
	if found == "" {
		return name
	}
	return found
}

// isEmpty reports whether a value counts as none (RFC 7643, section 2.5; the empty
// string, which RFC 7644's pr counts as none too).
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		for _, e := range v {
			if !isEmpty(e) {
				return false
			}
		}
		return true
	case Object:
		for _, e := range v {
			if !isEmpty(e) {
				return false
			}
		}
		return true
	}
	return false
}

// compare compares a value that is there with that of a filter. An attribute without
// a type is one that no schema knows.
func (a *Attribute) compare(op Op, have, want any) bool {
	if a.Type == "boolean" {
		h, hok := truth(have)
		w, wok := truth(want)
		return op == Ne && (!hok || !wok || h != w) || op == Eq && hok && wok && h == w
	}
	if h, ok := have.(bool); ok {
		w, ok := truth(want)
		return op == Ne && (!ok || h != w) || op == Eq && ok && h == w
	}
	if h, ok := have.(json.Number); ok {
		if w, ok := want.(json.Number); ok {
			return compareNumbers(op, h, w)
		}
	}
	h, hok := plain(have)
	w, wok := plain(want)
	if !hok || !wok {
		return op == Ne
	}
	if a.Type == "dateTime" && op != Co && op != Sw && op != Ew {
		if order, ok := compareTimes(h, w); ok {
			return ordered(op, order)
		}
	}
	if !a.CaseExact {
		h, w = Fold(h), Fold(w)
	}
	switch op {
	case Co:
		return strings.Contains(h, w)
	case Sw:
		return strings.HasPrefix(h, w)
	case Ew:
		return strings.HasSuffix(h, w)
	default:
		return ordered(op, strings.Compare(h, w))
	}
}

func ordered(op Op, order int) bool {
	switch op {
	case Eq:
		return order == 0
	case Ne:
		return order != 0
	case Gt:
		return order > 0
	case Ge:
		return order >= 0
	case Lt:
		return order < 0
	case Le:
		return order <= 0
	default:
		return false
	}
}

func compareTimes(a, b string) (order int, ok bool) {
	x, xerr := time.Parse(time.RFC3339Nano, a)
	y, yerr := time.Parse(time.RFC3339Nano, b)
	return x.Compare(y), xerr == nil && yerr == nil
}

func compareNumbers(op Op, a, b json.Number) bool {
	x, xerr := strconv.ParseFloat(string(a), 64)
	y, yerr := strconv.ParseFloat(string(b), 64)
	switch {
	case a == b:
		return ordered(op, 0)
	case xerr != nil || yerr != nil: // beyond what is counted in
		return op == Ne
	case x < y:
		return ordered(op, -1)
	case x > y:
		return ordered(op, 1)
	}
	return ordered(op, 0)
}

// truth takes a boolean, or the text of one, as Entra ID sends them.
func truth(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		switch {
		case strings.EqualFold(v, "true"):
			return true, true
		case strings.EqualFold(v, "false"):
			return false, true
		}
	}
	return false, false
}

// plain is the text of a single value.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return string(v), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}
