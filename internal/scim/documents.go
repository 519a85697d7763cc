package scim

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Messages of the schemas that documents themselves have (RFC 7643, sections 5 to 7).
const (
	schemaSchema       = "urn:ietf:params:scim:schemas:core:2.0:Schema"
	resourceTypeSchema = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	configSchema       = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
)

// Schemas are the documents below /Schemas (RFC 7643, section 7); base is the address
// of the server, without a slash at its end. The document of a schema is found by
// its id.
func Schemas(base string) []Object {
	var out []Object
	for _, s := range []*schema{&userSchema, &enterpriseSchema, &groupSchema} {
		out = append(out, Object{
			"schemas": []any{schemaSchema}, "id": s.urn, "name": s.name, "description": s.description,
			"attributes": describe(s.attributes),
			"meta":       meta("Schema", base+"/Schemas/"+s.urn),
		})
	}
	return out
}

func describe(list []Attribute) []any {
	out := make([]any, 0, len(list))
	for _, a := range list {
		o := Object{
			"name": a.Name, "type": a.Type, "multiValued": a.Multi, "description": a.Description,
			"required": a.Required, "mutability": a.Mutability, "returned": a.Returned,
		}
		// Neither means anything of the other types.
		if a.Type == "string" || a.Type == "reference" || a.Type == "binary" {
			o["caseExact"], o["uniqueness"] = a.CaseExact, a.Uniqueness
		}
		if len(a.Canonical) > 0 {
			o["canonicalValues"] = texts(a.Canonical)
		}
		if a.Type == "reference" {
			o["referenceTypes"] = texts(a.References)
		}
		if len(a.Sub) > 0 {
			o["subAttributes"] = describe(a.Sub)
		}
		out = append(out, o)
	}
	return out
}

// ResourceTypes are the documents below /ResourceTypes (RFC 7643, section 6).
func ResourceTypes(base string) []Object {
	user := Object{
		"schemas": []any{resourceTypeSchema}, "id": "User", "name": "User", "endpoint": "/Users",
		"description": userSchema.description, "schema": UserSchema,
		"schemaExtensions": []any{Object{"schema": EnterpriseSchema, "required": false}},
		"meta":             meta("ResourceType", base+"/ResourceTypes/User"),
	}
	group := Object{
		"schemas": []any{resourceTypeSchema}, "id": "Group", "name": "Group", "endpoint": "/Groups",
		"description": groupSchema.description, "schema": GroupSchema, "schemaExtensions": []any{},
		"meta": meta("ResourceType", base+"/ResourceTypes/Group"),
	}
	return []Object{user, group}
}

// ConfigOptions are the numbers of a server.
type ConfigOptions struct {
	Base           string // address of the server, without a slash at its end
	Documentation  string // address of a page for people; "" for none
	MaxOperations  int    // of a bulk request
	MaxPayloadSize int    // of a bulk request, bytes
	MaxResults     int    // of a page
	DefaultResults int    // of a page whose count was not asked for
	CursorTimeout  int    // seconds that a cursor is good for; 0 for not told
}

// Config is the document at /ServiceProviderConfig (RFC 7643, section 5; its paging
// RFC 9865, section 4).
func Config(o ConfigOptions) Object {
	paging := Object{
		"cursor": true, "index": true, "defaultPaginationMethod": "index",
		"defaultPageSize": number(o.DefaultResults), "maxPageSize": number(o.MaxResults),
	}
	if o.CursorTimeout > 0 {
		paging["cursorTimeout"] = number(o.CursorTimeout)
	}
	c := Object{
		"schemas":        []any{configSchema},
		"patch":          Object{"supported": true},
		"bulk":           Object{"supported": true, "maxOperations": number(o.MaxOperations), "maxPayloadSize": number(o.MaxPayloadSize)},
		"filter":         Object{"supported": true, "maxResults": number(o.MaxResults)},
		"changePassword": Object{"supported": false},
		"sort":           Object{"supported": true},
		"etag":           Object{"supported": true},
		"pagination":     paging,
		"authenticationSchemes": []any{
			Object{
				"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
				"description": "A secret token made for the connection.",
				"specUri":     "https://www.rfc-editor.org/rfc/rfc6750",
			},
			Object{
				"type": "oauth2", "name": "OAuth 2.0 client credentials", "primary": false,
				"description": "A short-lived token got with the client's identifier and secret.",
				"specUri":     "https://www.rfc-editor.org/rfc/rfc6749#section-4.4",
			},
		},
		"meta": meta("ServiceProviderConfig", o.Base+"/ServiceProviderConfig"),
	}
	if o.Documentation != "" {
		c["documentationUri"] = o.Documentation
	}
	return c
}

func meta(kind, location string) Object {
	return Object{"resourceType": kind, "location": location}
}

func number(n int) json.Number { return json.Number(strconv.Itoa(n)) }

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// Page is a page of a list.
type Page struct {
	Resources []Object
	Total     int    // of all pages; below 0 for not counted
	Start     int    // of paging by index, from 1; 0 where the page was found by a cursor
	Next      string // cursors (RFC 9865, section 2); "" for none
	Previous  string
}

// ListObject is the message around a page (RFC 7644, section 3.4.2).
func ListObject(p Page) Object {
	list := make([]any, len(p.Resources))
	for i, r := range p.Resources {
		list[i] = r
	}
	o := Object{"schemas": []any{ListMessage}, "itemsPerPage": number(len(list)), "Resources": list}
	if p.Total >= 0 {
		o["totalResults"] = number(p.Total)
	}
	if p.Start > 0 {
		o["startIndex"] = number(p.Start)
	}
	if p.Next != "" {
		o["nextCursor"] = p.Next
	}
	if p.Previous != "" {
		o["previousCursor"] = p.Previous
	}
	return o
}

// ErrorObject is the message of an error (RFC 7644, section 3.12). Its status is a
// string.
func ErrorObject(e *Error) Object {
	o := Object{"schemas": []any{ErrorMessage}, "status": strconv.Itoa(e.Status)}
	if e.Type != "" {
		o["scimType"] = string(e.Type)
	}
	if e.Detail != "" {
		o["detail"] = strings.ToValidUTF8(e.Detail, "\uFFFD")
	}
	return o
}
