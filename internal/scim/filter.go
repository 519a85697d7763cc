package scim

// Op is an operator of a filter.
type Op string

// The operators (RFC 7644, section 3.4.2.2).
const (
	And Op = "and"
	Or  Op = "or"
	Not Op = "not"

	Eq Op = "eq"
	Ne Op = "ne"
	Co Op = "co"
	Sw Op = "sw"
	Ew Op = "ew"
	Gt Op = "gt"
	Ge Op = "ge"
	Lt Op = "lt"
	Le Op = "le"
	Pr Op = "pr"
)

// Filter is a filter, or a part of one.
type Filter struct {
	Op Op
	// Left and Right are what And and Or join; Not has Left alone.
	Left, Right *Filter
	// Path is the attribute that is compared. Where it has a Filter of its own and no
	// comparison follows (`emails[type eq "work"]`), Op is Pr.
	Path Path
	// Value is what it is compared with: a string, a bool, a json.Number or nil.
	Value any
}

// Path names an attribute, a part of it, or some of its values: `userName`,
// `name.givenName`, `emails[type eq "work"].value`,
// `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value`.
type Path struct {
	Schema string  // of an extension; "" for the core schema, however it was written
	Attr   string  // spelled as in its schema, where that knows it; "" for the whole extension
	Filter *Filter // which values; nil for all. Its paths are relative to a value
	Sub    string  // the part of each value; "" for the whole
}
