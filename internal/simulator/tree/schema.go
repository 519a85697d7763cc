package tree

import (
	"maps"
	"strings"
)

// Syntax is how the values of an attribute compare.
type Syntax uint8

// The syntaxes told apart.
const (
	Text    Syntax = iota // without regard to case and runs of spaces
	Exact                 // byte by byte
	Integer               // of 64 bits
	Boolean               // TRUE or FALSE
	Time                  // generalized time
	Name                  // a DN
)

// Type is an attribute type.
type Type struct {
	Name        string // as it is spelled in answers
	Syntax      Syntax
	Operational bool // shown only when asked for by name or by "+"
	Link        bool // a DN that follows its entry when that is renamed or deleted
	Secret      bool // never shown and never matched
}

// Schema is the attribute types by their names in lower case. What it does not
// hold is Text under the name it is given.
type Schema map[string]Type

// NewSchema makes a schema of types; a later one takes the place of an earlier.
func NewSchema(types ...[]Type) Schema {
	s := Schema{}
	for _, list := range types {
		for _, t := range list {
			s[strings.ToLower(t.Name)] = t
		}
	}
	return s
}

// With is the schema and more types.
func (s Schema) With(types ...Type) Schema {
	out := maps.Clone(s)
	maps.Copy(out, NewSchema(types))
	return out
}

// Type gives the type of an attribute description, whatever its options.
func (s Schema) Type(description string) Type {
	base, _, _ := strings.Cut(description, ";")
	if t, ok := s[strings.ToLower(base)]; ok {
		return t
	}
	return Type{Name: base}
}

// Common are the types of RFC 4519, 4523, 4524 and 2798 that are not Text.
var Common = []Type{
	{Name: "objectClass"}, {Name: "cn"}, {Name: "uid"}, {Name: "mail"}, {Name: "sn"}, {Name: "givenName"},
	{Name: "member", Syntax: Name, Link: true},
	{Name: "uniqueMember", Syntax: Name, Link: true},
	{Name: "manager", Syntax: Name, Link: true},
	{Name: "secretary", Syntax: Name, Link: true},
	{Name: "owner", Syntax: Name, Link: true},
	{Name: "seeAlso", Syntax: Name, Link: true},
	{Name: "memberUid", Syntax: Exact},
	{Name: "userPassword", Syntax: Exact, Secret: true},
	{Name: "jpegPhoto", Syntax: Exact},
	{Name: "userCertificate", Syntax: Exact},
	{Name: "uidNumber", Syntax: Integer},
	{Name: "gidNumber", Syntax: Integer},
	{Name: "shadowExpire", Syntax: Integer},
}
