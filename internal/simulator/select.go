package simulator

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/simulator/tree"
)

// selection is the attribute list of a search (RFC 4511, 4.5.1.8).
type selection struct {
	user, operational bool
	names             []string // as they were asked for
}

func choose(list []string) selection {
	s := selection{user: len(list) == 0}
	for _, name := range list {
		switch name {
		case "*":
			s.user = true
		case "+":
			s.operational = true
		case "1.1":
		default:
			s.names = append(s.names, name)
		}
	}
	return s
}

// asks reports whether the attribute is asked for by name: its own, or that of
// the type it is a subtype of by options.
func (s *selection) asks(name string) bool {
	base, _, tagged := strings.Cut(name, ";")
	return slices.ContainsFunc(s.names, func(n string) bool {
		return strings.EqualFold(n, name) || tagged && strings.EqualFold(n, base)
	})
}

// wants reports whether the attribute is asked for in any way.
func (s *selection) wants(schema tree.Schema, name string, operational bool) bool {
	if s.asks(name) {
		return true
	}
	if operational || schema.Type(name).Operational {
		return s.operational
	}
	return s.user
}

// computed is an attribute that is not kept but found out when it is asked for.
type computed struct {
	name        string
	operational bool
	value       func(e *tree.Entry) []string
}

// view is an entry as a role shows it, to a filter or a client.
type view struct {
	role role
	e    *tree.Entry
}

// DN is the entry's.
func (v view) DN() string { return v.e.DN }

// Values gives an attribute with its subtypes by option.
func (v view) Values(name string) []string {
	if !v.role.shows(name) {
		return nil
	}
	if c := v.role.computed(name); c != nil {
		return c.value(v.e)
	}
	var out []string
	for _, a := range v.e.Attrs {
		base, _, tagged := strings.Cut(a.Name, ";")
		if strings.EqualFold(a.Name, name) || tagged && strings.EqualFold(base, name) {
			out = append(out, a.Values...)
		}
	}
	return out
}

// At gives another entry as the role shows it.
func (v view) At(dn string) tree.View {
	if e := v.role.tree().Find(dn); e != nil {
		return view{v.role, e}
	}
	return nil
}

// Expand lets the role replace what is asserted.
func (v view) Expand(attribute, value string) string { return v.role.expand(attribute, value) }

// attributes gives what is asked for of an entry.
func (s *search) attributes(e *tree.Entry) []tree.Attribute {
	role := s.c.s.role
	var out []tree.Attribute
	for _, a := range e.Attrs {
		if s.schema.Type(a.Name).Secret || !role.shows(a.Name) || role.computed(a.Name) != nil || !s.picked.wants(s.schema, a.Name, false) {
			continue
		}
		out = append(out, a)
	}
	for _, c := range role.computeds() {
		if !role.shows(c.name) || !s.picked.wants(s.schema, c.name, c.operational) {
			continue
		}
		if values := c.value(e); len(values) > 0 {
			out = append(out, tree.Attribute{Name: c.name, Values: values})
		}
	}
	return role.shape(s, e, out)
}
