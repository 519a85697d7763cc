package scim

import (
	"maps"
	"slices"
	"strings"
)

// Intake makes the body of a POST or PUT ready to keep. Values stay as they were sent,
// byte for byte, under the names that the schemas have for them; names with a schema
// or a dot in them are put where they belong, values are brought into the type of
// their attribute where they mean one thing only (a boolean as text, one value in
// place of a list). Null, the empty text and the empty list are no value (RFC 7643,
// section 2.5). What the schemas do not know is dropped, but for extensions: those
// are kept as sent. So are dropped: id, meta, the groups of a user, and the password.
//
// The members of a group are not part of the object, because there may be very many:
// they come by themselves, each with its `value` and maybe `display` and `type`.
// hasMembers is false where the body says nothing of members, or null: a list of
// nobody has to be written as one.
//
// An error is an *Error of invalidSyntax, or of invalidValue with the attribute.
func Intake(t Type, raw []byte) (o Object, members []Object, hasMembers bool, err error) {
	body, err := decodeObject(raw)
	if err != nil {
		return nil, nil, false, err
	}
	e := editor{t: t, o: Object{}}
	if err := e.merge("replace", body); err != nil {
		return nil, nil, false, err
	}
	if name := missing(t, e.o); name != "" {
		return nil, nil, false, Bad(InvalidValue, "%s is missing; a %s needs one", name, strings.ToLower(string(t)))
	}
	e.o["schemas"] = schemasOf(t, e.o)
	for _, m := range e.members {
		members, hasMembers = m.Members, true
	}
	return e.o, members, hasMembers, nil
}

// missing names a required attribute that has no value.
func missing(t Type, o Object) string {
	for _, a := range core(t).attributes {
		if a.Required && isEmpty(o[a.Name]) {
			return a.Name
		}
	}
	return ""
}

// schemasOf lists the schemas that an object has attributes of.
func schemasOf(t Type, o Object) []any {
	list := []any{core(t).urn}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if strings.ContainsRune(name, ':') {
			list = append(list, name)
		}
	}
	return list
}
