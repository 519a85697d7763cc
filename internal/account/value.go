package account

import (
	"encoding/json"
	"slices"
	"strings"
)

// Value is one value of an account in the form in which values are compared: the
// name of a text field or a custom attribute, and what it holds, folded.
type Value struct {
	Name string
	Key  string
}

// Values gives what text fields and custom attributes (a canonical JSON object,
// or "") hold under the given names: in their order, each value once. A list
// holds each of its values; what is empty holds none.
func Values(names []string, text *Text, attributes string) []Value {
	var out []Value
	var custom map[string]json.RawMessage
	for _, name := range names {
		from := len(out)
		for _, value := range held(name, text, attributes, &custom) {
			if key := Fold(value); key != "" {
				out = append(out, Value{Name: name, Key: key})
			}
		}
		if len(out) > from+1 {
			slices.SortFunc(out[from:], func(a, b Value) int { return strings.Compare(a.Key, b.Key) })
			out = append(out[:from], slices.Compact(out[from:])...)
		}
	}
	return out
}

// held gives the values under one name. custom is what attributes hold, once it
// was decoded.
func held(name string, text *Text, attributes string, custom *map[string]json.RawMessage) []string {
	if f, ok := FieldNamed(name); ok {
		return text[f : f+1]
	}
	if attributes == "" {
		return nil
	}
	if *custom == nil && json.Unmarshal([]byte(attributes), custom) != nil {
		return nil // not what Rollcall writes: there is nothing to find anybody by
	}
	raw := (*custom)[name]
	var one string
	var list []string
	switch {
	case len(raw) == 0:
	case json.Unmarshal(raw, &one) == nil:
		list = []string{one}
	case json.Unmarshal(raw, &list) != nil:
		list = nil
	}
	return list
}
