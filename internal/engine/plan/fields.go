package plan

import "rollcall.dev/rollcall/internal/account"

// Fields is a set of account fields, a bit each.
type Fields uint32

// The fields besides the text fields.
const (
	FieldManager Fields = 1 << (31 - iota)
	FieldStatus
	FieldAttributes
	FieldLink // connection and external ID
)

// Text is the bit of a text field.
func Text(f account.Field) Fields { return 1 << f }

// Has reports whether all of the fields are in the set.
func (f Fields) Has(other Fields) bool { return f&other == other }

// Names lists the fields in the set as JSON and people name them.
func (f Fields) Names() []string {
	var out []string
	for i, name := range account.FieldNames() {
		if f.Has(Text(account.Field(i))) {
			out = append(out, name)
		}
	}
	for _, x := range [...]struct {
		bit  Fields
		name string
	}{{FieldManager, "manager"}, {FieldStatus, "status"}, {FieldAttributes, "attributes"}, {FieldLink, "connection"}, {FieldLink, "external_id"}} {
		if f.Has(x.bit) {
			out = append(out, x.name)
		}
	}
	return out
}

// Diff gives the fields in which two accounts differ.
func Diff(a, b *account.Account) Fields {
	var f Fields
	for i := range a.Text {
		if a.Text[i] != b.Text[i] {
			f |= Text(account.Field(i))
		}
	}
	if a.Manager != b.Manager {
		f |= FieldManager
	}
	if a.Status != b.Status || a.Cause != b.Cause {
		f |= FieldStatus
	}
	if a.Attributes != b.Attributes {
		f |= FieldAttributes
	}
	if a.Connection != b.Connection || a.ExternalID != b.ExternalID {
		f |= FieldLink
	}
	return f
}

// Overlay writes the fields of the set from one account onto another.
func (f Fields) Overlay(onto, from *account.Account) {
	for i := range from.Text {
		if f.Has(Text(account.Field(i))) {
			onto.Text[i] = from.Text[i]
		}
	}
	if f.Has(FieldManager) {
		onto.Manager = from.Manager
	}
	if f.Has(FieldStatus) {
		onto.Status, onto.Cause = from.Status, from.Cause
	}
	if f.Has(FieldAttributes) {
		onto.Attributes = from.Attributes
	}
	if f.Has(FieldLink) {
		onto.Connection, onto.ExternalID = from.Connection, from.ExternalID
	}
}

// Only gives an account that holds the fields of the set and nothing else.
func (f Fields) Only(a *account.Account) *account.Account {
	var out account.Account
	f.Overlay(&out, a)
	return &out
}

// Cleared gives the fields that have a value before and none after.
func (f Fields) Cleared(before, after *account.Account) Fields {
	var out Fields
	for i := range before.Text {
		if bit := Text(account.Field(i)); f.Has(bit) && before.Text[i] != "" && after.Text[i] == "" {
			out |= bit
		}
	}
	if f.Has(FieldManager) && !before.Manager.IsZero() && after.Manager.IsZero() {
		out |= FieldManager
	}
	if f.Has(FieldAttributes) && before.Attributes != "" && after.Attributes == "" {
		out |= FieldAttributes
	}
	return out
}
