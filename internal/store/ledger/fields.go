package ledger

import (
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// AttributePrefix begins the names of custom attributes in a row of Fields, as
// JSON has them one level down.
const AttributePrefix = account.CustomPrefix

// Fields checks the fields of a local account by the same rules as those of a
// synchronised one. row has them by name, custom attributes with their prefix.
// What cannot be is a fault.Invalid that names all of it.
func Fields(row map[string]string, now time.Time) (account.Text, string, error) {
	rules := map[string]setting.Rule{}
	record := directory.Record{Kind: directory.User, ID: "local", Name: row["username"]}
	for _, name := range account.FieldNames() {
		rules[name] = setting.Rule{Attribute: name}
		if v := row[name]; v != "" {
			record.Attributes = append(record.Attributes, directory.Attribute{Name: name, Values: []string{v}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(row)) {
		if custom, ok := strings.CutPrefix(name, AttributePrefix); ok {
			rules[custom] = setting.Rule{Attribute: name}
			record.Attributes = append(record.Attributes, directory.Attribute{Name: name, Values: []string{row[name]}})
		}
	}
	m, err := mapping.Compile(rules, mapping.Options{})
	if err != nil {
		return account.Text{}, "", err
	}
	u := m.Map(&record, now)
	if problems := append(u.Problems, u.Warnings...); len(problems) > 0 {
		return account.Text{}, "", fault.New(fault.Invalid, "the account cannot be like that: %s", strings.Join(problems, "; "))
	}
	return u.Text, u.Attributes, nil
}
