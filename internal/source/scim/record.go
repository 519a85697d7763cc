package scim

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/source"
)

// record is a resource as the mirror takes it.
func record(e *source.PushedEntry) *directory.Record {
	r := &directory.Record{Kind: directory.User, ID: directory.ExternalID(e.ID), Ref: e.ID, Gone: e.Gone}
	name := "userName"
	if e.Type == scim.Group {
		r.Kind, name = directory.Group, "displayName"
	}
	if e.Gone {
		return r
	}
	r.Name, _ = e.Body[name].(string)
	r.Attributes, r.Members = attributes(e.Body), e.Members
	if e.Type == scim.Group {
		// The engine takes a group's name from its first attribute.
		slices.SortStableFunc(r.Attributes, func(a, b directory.Attribute) int {
			return strings.Compare(strconv.FormatBool(a.Name != name), strconv.FormatBool(b.Name != name))
		})
	}
	return r
}

// attributes are the parts of a resource under plain names, in the order of these:
//
//	userName                  a value, or each of several
//	name.givenName            a part of a complex value
//	emails                    the values of all, the primary one first
//	emails.work               those of one type
//	addresses.work.locality   a part of those of one type
//	addresses.locality        a part of all
//	department                what the enterprise schema has, as if it were of the core
//	manager                   the manager's ID
//	urn:example:2.0:User:badge what other schemas have
func attributes(body scim.Object) []directory.Attribute {
	f := flat{}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		v := body[name]
		extended, isObject := v.(scim.Object)
		switch {
		case name == "schemas" || directory.Secret(name):
		case name == scim.EnterpriseSchema: // below
		case isObject && strings.Contains(name, ":"):
			for _, sub := range slices.Sorted(maps.Keys(extended)) {
				if !directory.Secret(sub) {
					f.add(name+":"+sub, extended[sub])
				}
			}
		default:
			f.add(name, v)
		}
	}
	if enterprise, ok := body[scim.EnterpriseSchema].(scim.Object); ok {
		taken := slices.Collect(maps.Keys(f))
		for _, name := range slices.Sorted(maps.Keys(enterprise)) {
			if !slices.Contains(taken, name) && !directory.Secret(name) {
				f.add(name, enterprise[name])
			}
		}
	}
	out := make([]directory.Attribute, 0, len(f))
	for _, name := range slices.Sorted(maps.Keys(f)) {
		out = append(out, directory.Attribute{Name: name, Values: f[name]})
	}
	return out
}

// flat is values by name.
type flat map[string][]string

func (f flat) put(name string, v any) {
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case bool:
		text = strconv.FormatBool(v)
	case json.Number:
		text = v.String()
	}
	if text != "" && !slices.Contains(f[name], text) {
		f[name] = append(f[name], text)
	}
}

// add takes a value, or each of several, apart.
func (f flat) add(name string, v any) {
	switch v := v.(type) {
	case scim.Object:
		f.complex(name, v)
	case []any:
		some := slices.Clone(v)
		slices.SortStableFunc(some, func(a, b any) int { return primary(b) - primary(a) })
		for _, one := range some {
			o, isObject := one.(scim.Object)
			if !isObject {
				f.put(name, one)
				continue
			}
			f.complex(name, o)
			if kind, ok := o["type"].(string); ok && kind != "" {
				f.complex(name+"."+kind, o)
			}
		}
	default:
		f.put(name, v)
	}
}

func (f flat) complex(name string, o scim.Object) {
	for _, sub := range slices.Sorted(maps.Keys(o)) {
		switch sub {
		case "value":
			f.put(name, o[sub])
		case "type", "primary", "$ref": // of the value, and not of the person
		default:
			if !directory.Secret(sub) {
				f.put(name+"."+sub, o[sub])
			}
		}
	}
}

func primary(v any) int {
	if o, ok := v.(scim.Object); ok && o["primary"] == true {
		return 1
	}
	return 0
}
