package scim

import (
	"encoding/json"
	"net/http"
	"strings"
)

// BulkOperation is one operation of a bulk request (RFC 7644, section 3.7).
type BulkOperation struct {
	Method  string // POST, PUT, PATCH, DELETE
	Path    string // /Users, /Groups/5
	BulkID  string // the client's name for what a POST makes; "" for none
	Version string // the ETag that the resource must have; "" for any
	Data    []byte // the body, JSON; nil for DELETE
}

// ParseBulk reads the body of a bulk request with most operations at most.
// FailOnErrors is how many errors end it, 0 for never. An error is an *Error: of
// status 413 where there are too many operations, else of invalidSyntax.
func ParseBulk(raw []byte, most int) (ops []BulkOperation, failOnErrors int, err error) {
	body, err := decodeObject(raw)
	if err != nil {
		return nil, 0, err
	}
	if v := get(body, "failOnErrors"); v != nil {
		n, ok := whole(v)
		if !ok || n < 0 {
			return nil, 0, Bad(InvalidSyntax, "failOnErrors is not a number of errors")
		}
		failOnErrors = n
	}
	list, ok := get(body, "Operations").([]any)
	switch {
	case !ok || len(list) == 0:
		return nil, 0, Bad(InvalidSyntax, "the body has no list `Operations`, or an empty one")
	case len(list) > most:
		e := Bad(TooMany, "there are %d operations, and %d are taken at most", len(list), most)
		e.Status = http.StatusRequestEntityTooLarge
		return nil, 0, e
	}
	names := map[string]bool{}
	for i, v := range list {
		op, err := bulkOperation(v)
		if err != nil {
			return nil, 0, Bad(InvalidSyntax, "operation %d: %s", i+1, err)
		}
		if op.BulkID != "" && names[op.BulkID] {
			return nil, 0, Bad(InvalidSyntax, "operation %d: the bulkId %q is that of another one too", i+1, op.BulkID)
		}
		names[op.BulkID] = true
		ops = append(ops, op)
	}
	return ops, failOnErrors, nil
}

func bulkOperation(v any) (BulkOperation, error) {
	var op BulkOperation
	o, ok := v.(Object)
	if !ok {
		return op, Bad("", "it is not an object")
	}
	for name, to := range map[string]*string{"method": &op.Method, "path": &op.Path, "bulkId": &op.BulkID, "version": &op.Version} {
		switch s := get(o, name).(type) {
		case nil:
		case string:
			*to = s
		default:
			return op, Bad("", "its %s is not a text", name)
		}
	}
	op.Method = strings.ToUpper(op.Method)
	data, hasData := get(o, "data").(Object)
	switch op.Method {
	case http.MethodPost:
		if op.BulkID == "" {
			return op, Bad("", "a POST needs a bulkId")
		}
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return op, Bad("", "its method is %q, which is none of POST, PUT, PATCH and DELETE", op.Method)
	}
	if !strings.HasPrefix(op.Path, "/") {
		return op, Bad("", "its path is %q, and should begin with a slash", op.Path)
	}
	if op.Method == http.MethodDelete {
		return op, nil
	}
	if !hasData {
		return op, Bad("", "it has no object as its data")
	}
	var err error
	op.Data, err = json.Marshal(data)
	return op, err
}

// Needs are the bulkIds of what others make that the operation names, in its path
// and its data.
func (op *BulkOperation) Needs() ([]string, error) {
	var all []string
	_, _, err := op.resolved(func(name string) (string, bool) {
		all = append(all, name)
		return "", false
	})
	return all, err
}

// Resolve puts the identifiers of what was made before in place of `bulkId:NAME` in
// the path and the data (RFC 7644, section 3.7.2). Missing is the first name that ids
// does not have.
func (op *BulkOperation) Resolve(ids map[string]string) (missing string, err error) {
	path, data, err := op.resolved(func(name string) (string, bool) {
		id, ok := ids[name]
		if !ok && missing == "" {
			missing = name
		}
		return id, ok
	})
	if err == nil {
		op.Path, op.Data = path, data
	}
	return missing, err
}

// BulkReference gives the bulkId that a value names, if it names one.
func BulkReference(value string) (bulkID string, ok bool) {
	return strings.CutPrefix(value, "bulkId:")
}

// resolved gives path and data with what is known put in place of references.
func (op *BulkOperation) resolved(known func(bulkID string) (id string, ok bool)) (path string, data []byte, err error) {
	put := func(s string) string {
		if name, is := BulkReference(s); is {
			if id, ok := known(name); ok {
				return id
			}
		}
		return s
	}
	parts := strings.Split(op.Path, "/")
	for i := range parts {
		parts[i] = put(parts[i])
	}
	if op.Data == nil {
		return strings.Join(parts, "/"), nil, nil
	}
	v, err := decode(op.Data)
	if err != nil {
		return "", nil, err
	}
	data, err = json.Marshal(replaced(v, false, put))
	return strings.Join(parts, "/"), data, err
}

// replaced puts something else in place of texts that may name a resource: those of
// `value`, and of a manager who is sent as a text. Others mean what they say, a
// displayName that reads `bulkId:x` too.
func replaced(v any, names bool, put func(string) string) any {
	switch v := v.(type) {
	case string:
		if names {
			return put(v)
		}
	case []any:
		for i := range v {
			v[i] = replaced(v[i], names, put)
		}
	case Object:
		for k := range v {
			v[k] = replaced(v[k], strings.EqualFold(k, "value") || strings.EqualFold(k, "manager"), put)
		}
	}
	return v
}
