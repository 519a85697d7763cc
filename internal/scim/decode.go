package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// The limits of what is taken in.
const (
	MostText   = 64 << 10 // bytes of one string
	MostDepth  = 16       // of objects and lists within one another
	MostValues = 2000     // of one attribute of a resource; members of groups are not counted
)

// decode reads one JSON value. Numbers stay as they were written. An error is an
// *Error of invalidSyntax, or of invalidValue where the JSON is right and what it
// holds cannot be kept.
func decode(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, Bad(InvalidSyntax, "the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if errors.Is(err, io.EOF) {
		return nil, Bad(InvalidSyntax, "the body is empty; wanted is a JSON object")
	}
	if err != nil {
		return nil, Bad(InvalidSyntax, "the body is not JSON: %s", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, Bad(InvalidSyntax, "something stands behind the JSON value of the body")
	}
	return v, bounded(v, 0)
}

// decodeObject is decode of a JSON object.
func decodeObject(raw []byte) (Object, error) {
	v, err := decode(raw)
	if err != nil {
		return nil, err
	}
	o, ok := v.(Object)
	if !ok {
		return nil, Bad(InvalidSyntax, "the body is not a JSON object")
	}
	return o, nil
}

func bounded(v any, depth int) error {
	if depth > MostDepth {
		return Bad(InvalidSyntax, "values stand within one another more than %d deep", MostDepth)
	}
	switch v := v.(type) {
	case string:
		return boundedText(v)
	case []any:
		for _, e := range v {
			if err := bounded(e, depth+1); err != nil {
				return err
			}
		}
	case Object:
		for name, e := range v {
			if err := boundedText(name); err != nil {
				return err
			}
			if err := bounded(e, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func boundedText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return Bad(InvalidValue, "a text has a NUL in it, which cannot be kept")
	}
	if len(s) > MostText {
		return Bad(InvalidValue, "a text is %d bytes long, and %d are kept at most", len(s), MostText)
	}
	return nil
}

// names gives the names of an object in an order that does not depend on chance:
// plain attributes, then extensions that hold an object, then names with a schema
// or a dot in them, which add to what the others said.
func names(o Object) []string {
	list := make([]string, 0, len(o))
	for k := range o {
		list = append(list, k)
	}
	rank := func(k string) int {
		if isName(k) {
			return 0
		}
		if _, whole := o[k].(Object); whole {
			return 1
		}
		return 2
	}
	slices.SortFunc(list, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return list
}

// clone copies a value with all that is in it.
func clone(v any) any {
	switch v := v.(type) {
	case Object:
		out := make(Object, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}
