package scim

import "errors"

var errNotYet = errors.New("not yet")

// Attribute is what a schema says of an attribute (RFC 7643, section 7).
type Attribute struct {
	Name        string
	Type        string // string, boolean, decimal, integer, dateTime, reference, binary, complex
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

// Lookup finds what the schemas say of an attribute.
func Lookup(t Type, schema, attr, sub string) (Attribute, bool) { return Attribute{}, false }

// Fold brings text into the form in which values that are not caseExact are compared.
func Fold(s string) string { return s }

// ParseFilter reads a filter.
func ParseFilter(text string) (*Filter, error) { return nil, errNotYet }

// ParsePath reads the path of a PATCH operation.
func ParsePath(text string) (Path, error) { return Path{}, errNotYet }

func (f *Filter) String() string { return "" }
func (p Path) String() string    { return "" }

// Matches evaluates the filter.
func (f *Filter) Matches(o Object) bool { return false }

// Schemas are the documents below /Schemas.
func Schemas(base string) []Object { return nil }

// ResourceTypes are the documents below /ResourceTypes.
func ResourceTypes(base string) []Object { return nil }

// ConfigOptions are the numbers of a server.
type ConfigOptions struct {
	Base           string // address below which the documents are
	Documentation  string // address of a page for people; "" for none
	MaxOperations  int    // of a bulk request
	MaxPayloadSize int    // of a request, bytes
	MaxResults     int    // of a page
	DefaultResults int    // of a page whose count was not asked for
	CursorTimeout  int    // seconds that a cursor is good for; 0 for not told
}

// Config is the document at /ServiceProviderConfig.
func Config(o ConfigOptions) Object { return nil }

// Intake makes the body of a POST or PUT ready to keep.
func Intake(t Type, raw []byte) (o Object, members []Object, hasMembers bool, err error) {
	return nil, nil, false, errNotYet
}

// Operation is one operation of a PATCH.
type Operation struct {
	Op       string // add, remove, replace
	Path     string // "" for none
	Value    any
	HasValue bool
}

// MemberKind is what happens to members of a group.
type MemberKind string

// The kinds of changes to members.
const (
	MemberAdd         MemberKind = "add"
	MemberRemove      MemberKind = "remove"
	MemberReplace     MemberKind = "replace"      // these and no others
	MemberRemoveWhere MemberKind = "remove-where" // those that Filter is true of
)

// MemberChange is one change to the members of a group.
type MemberChange struct {
	Kind    MemberKind
	Members []Object // each with value, and maybe display and type
	Filter  *Filter  // of MemberRemoveWhere; its paths are relative to a member
}

// ParsePatch reads the body of a PATCH.
func ParsePatch(raw []byte) ([]Operation, error) { return nil, errNotYet }

// ApplyPatch applies operations to a resource.
func ApplyPatch(t Type, o Object, ops []Operation) (changed bool, members []MemberChange, err error) {
	return false, nil, errNotYet
}

// Project picks the attributes that were asked for (RFC 7644, section 3.9).
func Project(t Type, o Object, attributes, excluded []string) (Object, error) { return nil, errNotYet }

// BulkOperation is one operation of a bulk request.
type BulkOperation struct {
	Method  string // POST, PUT, PATCH, DELETE
	Path    string // /Users, /Groups/ID
	BulkID  string
	Version string
	Data    []byte // JSON; nil for DELETE
}

// ParseBulk reads the body of a bulk request.
func ParseBulk(raw []byte, most int) (ops []BulkOperation, failOnErrors int, err error) {
	return nil, 0, errNotYet
}

// Page is a page of a list.
type Page struct {
	Resources []Object
	Total     int
	Start     int    // of index paging, from 1; 0 where the page was found by a cursor
	Next      string // cursors
	Previous  string
}

// ListObject is the message around a page.
func ListObject(p Page) Object { return nil }

// ErrorObject is the message of an error.
func ErrorObject(e *Error) Object { return nil }
