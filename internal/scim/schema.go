package scim

import (
	"strings"
	"unicode"
)

// Attribute is what a schema says of an attribute (RFC 7643, section 7).
type Attribute struct {
	Name        string
	Type        string // string, boolean, dateTime, reference, binary, complex
	Multi       bool
	CaseExact   bool
	Required    bool
	Mutability  string   // readOnly, readWrite, immutable, writeOnly
	Returned    string   // always, never, default, request
	Uniqueness  string   // none, server, global
	Canonical   []string // values of which it usually is one
	References  []string // types that a reference leads to
	Description string
	Sub         []Attribute
}

// schema is a named list of attributes. Those of a core schema and of the
// extensions of its type make up a resource.
type schema struct {
	urn, name, description string
	attributes             []Attribute
}

// common are the attributes of every resource (RFC 7643, section 3.1) but externalId,
// which stands inside the schemas: Entra ID offers only what it finds there.
var common = []Attribute{
	attr("id", "string", "The identifier given by the server.", caseExact, readOnly, returned("always"), unique),
	attr("schemas", "reference", "The schemas that the resource has attributes of.", multi, caseExact, returned("always")),
	attr("meta", "complex", "What the server knows of the resource itself.", readOnly, subs(
		attr("resourceType", "string", "The name of the type.", caseExact, readOnly),
		attr("created", "dateTime", "When it was made.", readOnly),
		attr("lastModified", "dateTime", "When it was last changed.", readOnly),
		attr("location", "reference", "Its address.", caseExact, readOnly),
		attr("version", "string", "The version, as in the ETag.", caseExact, readOnly),
	)),
}

// core gives the schema of a type itself, extensions those that may stand beside it.
func core(t Type) *schema {
	if t == Group {
		return &groupSchema
	}
	return &userSchema
}

func extension(t Type, urn string) *schema {
	if t != Group && strings.EqualFold(urn, EnterpriseSchema) {
		return &enterpriseSchema
	}
	return nil
}

// Lookup finds what the schemas say of an attribute, or of the part sub of one. Names
// are found in any case. Schema is "" for the core schema and the attributes of
// every resource; t is "" for either type, where that of a user wins.
func Lookup(t Type, schema, attr, sub string) (Attribute, bool) {
	var lists [][]Attribute
	switch {
	case schema != "":
		if e := extension(t, schema); e != nil {
			lists = append(lists, e.attributes)
		}
	case t == "":
		lists = append(lists, userSchema.attributes, groupSchema.attributes, common)
	default:
		lists = append(lists, core(t).attributes, common)
	}
	for _, list := range lists {
		if a := named(list, attr); a != nil {
			if sub == "" {
				return *a, true
			}
			if a = named(a.Sub, sub); a != nil {
				return *a, true
			}
		}
	}
	return Attribute{}, false
}

// named finds an attribute in a list, its name in any case; nil if it is not there.
func named(list []Attribute, name string) *Attribute {
	for i := range list {
		if strings.EqualFold(list[i].Name, name) {
			return &list[i]
		}
	}
	return nil
}

// Fold brings text into the form in which values that are not caseExact are
// compared: strings.EqualFold is true of two texts whose forms are the same.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}
		least := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		// A dotted capital I is lower case's i for ToLower, but not for EqualFold.
		if low := unicode.ToLower(least); unicode.SimpleFold(least) != least && unicode.ToUpper(low) == least {
			return low
		}
		return least
	}, s)
}

// The rest of this file is the small language that schemas are written in.

type trait func(*Attribute)

func attr(name, kind, description string, traits ...trait) Attribute {
	a := Attribute{
		Name: name, Type: kind, Description: description,
		Mutability: "readWrite", Returned: "default", Uniqueness: "none",
	}
	for _, t := range traits {
		t(&a)
	}
	return a
}

func multi(a *Attribute)     { a.Multi = true }
func caseExact(a *Attribute) { a.CaseExact = true }
func required(a *Attribute)  { a.Required = true }
func readOnly(a *Attribute)  { a.Mutability = "readOnly" }
func unique(a *Attribute)    { a.Uniqueness = "server" }

func returned(when string) trait     { return func(a *Attribute) { a.Returned = when } }
func usually(values ...string) trait { return func(a *Attribute) { a.Canonical = values } }
func subs(list ...Attribute) trait   { return func(a *Attribute) { a.Sub = list } }

// writeOnly is of secrets, which nobody gets back.
func writeOnly(a *Attribute) { a.Mutability, a.Returned, a.CaseExact = "writeOnly", "never", true }

// leadsTo names the types a reference is to; references are caseExact (RFC 7643, section 2.3.7).
func leadsTo(types ...string) trait {
	return func(a *Attribute) { a.References, a.CaseExact = types, true }
}

// plural is a multi-valued attribute with the parts that such values usually have
// (RFC 7643, section 2.4).
func plural(name, of string, value trait, types ...string) Attribute {
	kind := attr("type", "string", "What the value is for.", usually(types...))
	v := attr("value", "string", "The "+of+".")
	if value != nil {
		value(&v)
	}
	return attr(name, "complex", "Each "+of+" of the user.", multi, subs(
		v,
		attr("display", "string", "A name for people to read."),
		kind,
		attr("primary", "boolean", "Whether it is the preferred one; one at most is."),
	))
}
