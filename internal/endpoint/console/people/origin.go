package people

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

// field is one of a person's, with where it comes from.
type field struct {
	Name, Value, Path string
	From              string // in words
	Rule              string // an attribute's name or an expression
	Raw               []client.RawAttribute
	Changed           *client.LastChange
}

// fields are those that have a value or a rule, in words.
func fields(o *client.AccountOrigin) (out []field) {
	for _, f := range o.Fields {
		x := field{Name: strings.ReplaceAll(f.Field, "_", " "), Value: value(f.Value), Changed: f.Changed}
		if f.Custom {
			x.Name = f.Field
		}
		switch f.Kind {
		case "attribute":
			x.From, x.Rule = "attribute", shell.Text(f.Rule)
			// The attribute as it stands in the directory says nothing more.
			if len(f.Raw) != 1 || f.Raw[0].More > 0 || len(f.Raw[0].Values) != 1 || f.Raw[0].Values[0] != x.Value {
				x.Raw = f.Raw
			}
		case "expr":
			x.From, x.Rule, x.Raw = "expression", shell.Text(f.Rule), f.Raw
		case "value":
			x.From = "the same for everybody"
		case "role":
			x.From = "the connection's role"
		case "local":
			x.From = "given here"
		default:
			if x.Value == "" {
				continue
			}
			x.From = "given here, or by the application"
		}
		if f.Field == "manager" && x.Value != "" {
			x.Path = shell.Path("people", x.Value)
			if i := slices.IndexFunc(o.Managers, func(m client.OrgPerson) bool { return m.ID == x.Value }); i >= 0 {
				x.Value = o.Managers[i].Name
			}
		}
		out = append(out, x)
	}
	return out
}

// value is a field's as people read it.
func value(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil || v == nil {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case []any:
		words := make([]string, len(v))
		for i, x := range v {
			words[i] = fmt.Sprint(x)
		}
		return strings.Join(words, ", ")
	}
	return string(raw)
}

// plain are the fields of an account without their origin.
func plain(a *client.Account) (out []field) {
	for _, f := range []struct {
		name  string
		value *string
	}{
		{"username", a.Username}, {"email", a.Email}, {"first name", a.FirstName}, {"last name", a.LastName}, {"display name", a.DisplayName},
		{"title", a.Title}, {"department", a.Department}, {"location", a.Location}, {"mobile phone", a.MobilePhone}, {"phone", a.Phone},
		{"language", a.Language}, {"role", a.Role},
	} {
		if f.value != nil && *f.value != "" {
			out = append(out, field{Name: f.name, Value: *f.value})
		}
	}
	for _, name := range shell.SortedKeys(a.Attributes) {
		out = append(out, field{Name: name, Value: shell.Text(a.Attributes[name])})
	}
	return out
}

// membership is a group somebody is in, with how.
type membership struct {
	client.MembershipOrigin
	Words string
}

func memberships(list []client.MembershipOrigin) (out []membership) {
	words := map[string]string{"direct": "a member itself", "primary": "by the primary group of the entry", "nested": "through", "kept": "kept: the directory no longer says so, or was not asked"}
	for _, m := range list {
		out = append(out, membership{m, words[m.How]})
	}
	return out
}
