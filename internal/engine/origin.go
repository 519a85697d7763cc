package engine

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/setting"
)

// RawAttribute is an attribute as the directory gave it, made fit to be shown.
type RawAttribute struct {
	Name   string
	Values []string
	More   int  // values that are not among Values
	Hidden bool // it holds something secret
}

// FieldRule is where a field of an account comes from.
type FieldRule struct {
	Field string
	Kind  string // "attribute", "value", "expr", "role" (of the connection) or "none"
	Text  string // the attribute's name, the constant or the expression
	// Raw are the attributes it takes its value from, as the latest picture of the
	// directory has them.
	Raw []RawAttribute
}

// Origin is where an account comes from, as far as the mirror tells.
type Origin struct {
	Entry string // what the entry is known by, "" where the mirror has none
	Gone  bool   // it is no longer in the directory
	// Known says that the rules are those of the newest plan; without one they are
	// the connection's own, and what the source adds is not among them.
	Known  bool
	Fields []FieldRule
	key    directory.Digest
	row    *mirror.Row
	record directory.Record
}

// Origin says where the fields of an account come from that a connection keeps. It
// asks the directory nothing.
func (e *Engine) Origin(ctx context.Context, c setting.Connection, a *account.Account) (*Origin, error) {
	state, err := e.Store.Leases().State(ctx, c.Alias)
	if err != nil {
		return nil, err
	}
	rules := c.Mapping
	o := &Origin{Known: len(state.Mapping) > 0, key: directory.KeyOf(directory.User, directory.ExternalID(a.ExternalID))}
	if o.Known {
		rules = nil
		if err := json.Unmarshal(state.Mapping, &rules); err != nil {
			return nil, fmt.Errorf("the rules of connection %s cannot be read: %w", c.Alias, err)
		}
	}
	rows, err := e.Store.Mirror().Rows(ctx, c.Alias, []directory.Digest{o.key})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		o.row, o.Entry, o.Gone = &rows[0], rows[0].Name, rows[0].Gone
		if err := o.record.Decode(o.row.Record); err != nil {
			return nil, err
		}
	}
	sources := func(string) []string { return nil }
	if m, err := mapping.Compile(rules, mapping.Options{Region: c.Region, Identifying: match.Further(c.Match)}); err == nil {
		sources = m.Sources // without it the rules are told all the same
	}
	for _, name := range fieldNames(rules, a) {
		o.Fields = append(o.Fields, o.field(c, name, rules, sources(name)))
	}
	return o, nil
}

// fieldNames are the fields of every account, and the custom attributes that have a
// rule or a value.
func fieldNames(rules map[string]setting.Rule, a *account.Account) []string {
	names := append(slices.Clone(account.FieldNames()), "manager", "status")
	known := len(names)
	var custom map[string]json.RawMessage
	if a.Attributes != "" {
		_ = json.Unmarshal([]byte(a.Attributes), &custom) //nolint:errcheck // what is no object has no names
	}
	for name := range rules {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for name := range custom {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[known:])
	return names
}

func (o *Origin) field(c setting.Connection, name string, rules map[string]setting.Rule, sources []string) FieldRule {
	f := FieldRule{Field: name, Kind: "none"}
	rule, ok := rules[name]
	switch {
	case ok && rule.Attribute != "":
		f.Kind, f.Text = "attribute", rule.Attribute
		sources = []string{rule.Attribute}
	case ok && rule.Expr != "":
		f.Kind, f.Text = "expr", rule.Expr
	case ok && !rule.None:
		f.Kind, f.Text = "value", rule.Value
	case name == account.Role.String() && c.Role != "":
		f.Kind, f.Text = "role", c.Role
	}
	for _, attribute := range sources {
		f.Raw = append(f.Raw, o.raw(attribute))
	}
	return f
}

func (o *Origin) raw(name string) RawAttribute {
	if strings.EqualFold(name, "dn") && o.row != nil && len(o.record.Get(name)) == 0 {
		return RawAttribute{Name: name, Values: []string{o.record.Name}}
	}
	return Shown(directory.Attribute{Name: name, Values: o.record.Get(name)})
}

// Raw gives all attributes of the entry, fit to be shown.
func (o *Origin) Raw() []RawAttribute {
	out := make([]RawAttribute, len(o.record.Attributes))
	for i := range o.record.Attributes {
		out[i] = Shown(o.record.Attributes[i])
	}
	return out
}

const (
	mostValues = 20
	mostValue  = 1000 // characters
	mostHex    = 64
)

// Shown makes an attribute fit to be shown: what is secret is hidden, what is long
// is cut, and bytes are hexadecimal.
func Shown(a directory.Attribute) RawAttribute {
	out := RawAttribute{Name: a.Name}
	if directory.Secret(a.Name) {
		out.Hidden, out.More = true, len(a.Values)
		return out
	}
	for _, v := range a.Values {
		if len(out.Values) == mostValues {
			out.More = len(a.Values) - mostValues
			break
		}
		out.Values = append(out.Values, shownValue(v))
	}
	return out
}

func shownValue(v string) string {
	if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) }) {
		if len(v) > mostHex {
			return fmt.Sprintf("(%d bytes)", len(v))
		}
		return "0x" + hex.EncodeToString([]byte(v))
	}
	if utf8.RuneCountInString(v) > mostValue {
		return string([]rune(v)[:mostValue]) + "..."
	}
	return v
}

// GroupRef is a group an account is in, with the key of its entry.
type GroupRef struct {
	ID  account.ID
	Key directory.Digest
}
