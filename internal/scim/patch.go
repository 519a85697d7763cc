package scim

import (
	"maps"
	"net/http"
	"reflect"
	"strings"
)

// MostOperations is how many operations one PATCH may have.
const MostOperations = 1000

// Operation is one operation of a PATCH (RFC 7644, section 3.5.2).
type Operation struct {
	Op       string // add, remove, replace
	Path     string // "" for none
	Value    any
	HasValue bool // whether there is one; null is one
}

// ParsePatch reads the body of a PATCH. The names of operations, and those of the
// message itself, may be in any case; its schemas are not looked at. An error is an
// *Error of invalidSyntax.
func ParsePatch(raw []byte) ([]Operation, error) {
	body, err := decodeObject(raw)
	if err != nil {
		return nil, err
	}
	list, ok := get(body, "Operations").([]any)
	switch {
	case !ok || len(list) == 0:
		return nil, Bad(InvalidSyntax, "the body has no list `Operations`, or an empty one")
	case len(list) > MostOperations:
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Type: TooMany, Detail: Bad("", "there are %d operations, and %d are taken at most", len(list), MostOperations).Detail}
	}
	ops := make([]Operation, 0, len(list))
	for i, e := range list {
		o, ok := e.(Object)
		if !ok {
			return nil, Bad(InvalidSyntax, "operation %d is not an object", i+1)
		}
		name, _ := get(o, "op").(string)
		op := Operation{Op: strings.ToLower(name)}
		if op.Op != "add" && op.Op != "remove" && op.Op != "replace" {
			return nil, Bad(InvalidSyntax, "operation %d has the op %q, which is none of add, remove and replace", i+1, name)
		}
		switch path := get(o, "path").(type) {
		case nil:
		case string:
			op.Path = path
		default:
			return nil, Bad(InvalidSyntax, "operation %d has a path that is not a text", i+1)
		}
		at := key(o, "value")
		op.Value, op.HasValue = o[at]
		ops = append(ops, op)
	}
	return ops, nil
}

// ApplyPatch applies operations to a resource, all of them or none: after an error
// the object is as it was. Changed says whether anything of the object is different
// now. What happens to the members of a group comes by itself, in order.
//
// It is RFC 7644, section 3.5.2, with what Entra ID and Okta need besides. A path
// that chooses none of the values makes one. Null and the empty text clear an
// attribute, and of a list a value of which nothing is left but what it is for goes
// too. A path to an attribute that no schema knows is invalidPath, so that mistakes
// are told; in an operation without a path such names are passed over, as in a body,
// and so is what is read-only. To remove or to clear a required attribute is mutability.
// Removing what is not there changes nothing. Attributes of extensions may have any name.
func ApplyPatch(t Type, o Object, ops []Operation) (changed bool, members []MemberChange, err error) {
	e := editor{t: t, o: clone(o).(Object)}
	for _, op := range ops {
		if err := e.apply(op); err != nil {
			return false, nil, err
		}
	}
	if name := missing(t, e.o); name != "" && !isEmpty(o[name]) {
		return false, nil, Bad(Mutability, "%s is required and cannot be without a value", name)
	}
	e.o["schemas"] = schemasOf(t, e.o)
	if reflect.DeepEqual(e.o, o) {
		return false, e.members, nil
	}
	clear(o)
	maps.Copy(o, e.o)
	return true, e.members, nil
}

func (e *editor) apply(op Operation) error {
	if op.Path != "" {
		p, err := ParsePath(op.Path)
		if err != nil {
			return err
		}
		return e.edit(op.Op, p, op.Value, op.HasValue, false)
	}
	if op.Op == "remove" {
		return Bad(NoTarget, "the operation remove has no path that says what is to go")
	}
	body, ok := op.Value.(Object)
	if !ok {
		return Bad(InvalidValue, "the operation %s has no path, and no object as its value", op.Op)
	}
	return e.merge(op.Op, body)
}
