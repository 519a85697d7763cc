// Package scim is the protocol of RFC 7643 and RFC 7644 without any server: what
// resources look like, how filters, paths and PATCH are read and applied, and what
// the clients of Microsoft Entra ID and Okta make of it. It hands filters on to the
// store, which puts them into SQL, and resources to the endpoint that takes pushes
// and to the client that makes them.
package scim

import (
	"fmt"
	"net/http"
)

// The schemas and messages there are (RFC 7643, section 4; RFC 7644, section 3).
const (
	UserSchema       = "urn:ietf:params:scim:schemas:core:2.0:User"
	EnterpriseSchema = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	GroupSchema      = "urn:ietf:params:scim:schemas:core:2.0:Group"

	ListMessage         = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	SearchMessage       = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	PatchMessage        = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	BulkRequestMessage  = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
	BulkResponseMessage = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
	ErrorMessage        = "urn:ietf:params:scim:api:messages:2.0:Error"

	ContentType = "application/scim+json"
)

// Type is one of the two types of resources.
type Type string

// The types of resources.
const (
	User  Type = "User"
	Group Type = "Group"
)

// Object is a JSON object, of a resource or of a part of one. Its values are string,
// bool, json.Number, nil, Object and []any. After Intake the names of all
// attributes that the schemas know are spelled as there.
type Object = map[string]any

// ErrorType is the scimType of an error (RFC 7644, table 9), "" for none.
type ErrorType string

// The types of errors.
const (
	InvalidFilter ErrorType = "invalidFilter"
	TooMany       ErrorType = "tooMany"
	Uniqueness    ErrorType = "uniqueness"
	Mutability    ErrorType = "mutability"
	InvalidSyntax ErrorType = "invalidSyntax"
	InvalidPath   ErrorType = "invalidPath"
	NoTarget      ErrorType = "noTarget"
	InvalidValue  ErrorType = "invalidValue"
	InvalidVers   ErrorType = "invalidVers"
	Sensitive     ErrorType = "sensitive"
	InvalidCursor ErrorType = "invalidCursor" // RFC 9865, section 2.1
	ExpiredCursor ErrorType = "expiredCursor"
	InvalidCount  ErrorType = "invalidCount"
)

// Error is what a client is told. Detail is for a person, and says what to do.
type Error struct {
	Status int // of HTTP
	Type   ErrorType
	Detail string
}

func (e *Error) Error() string { return e.Detail }

// Bad is an error of status 400.
func Bad(t ErrorType, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Type: t, Detail: fmt.Sprintf(format, args...)}
}
