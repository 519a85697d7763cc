package plan

import (
	"encoding/json"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
)

// JSON gives the fields of the set as a JSON object, named as in the account's
// own form. It is what before and after hold in plans and events.
func (f Fields) JSON(a *account.Account) []byte {
	if a == nil {
		return []byte("null")
	}
	b := []byte{'{'}
	field := func(name, value string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		if value == "" {
			b = append(b, "null"...)
		} else {
			b = appendString(b, value)
		}
	}
	for i, name := range account.FieldNames() {
		if f.Has(Text(account.Field(i))) {
			field(name, a.Text[i])
		}
	}
	if f.Has(FieldManager) {
		field("manager", a.Manager.String())
	}
	if f.Has(FieldStatus) {
		field("status", string(a.Status))
	}
	if f.Has(FieldAttributes) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, `"attributes":`...)
		if a.Attributes == "" {
			b = append(b, "{}"...)
		} else {
			b = append(b, a.Attributes...)
		}
	}
	if f.Has(FieldLink) {
		field("connection", a.Connection)
		field("external_id", a.ExternalID)
	}
	return append(b, '}')
}

// appendString writes a JSON string. Most values are plain ASCII.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // a string always marshals
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// Everything are the fields of an account that have a value.
func Everything(a *account.Account) Fields { return everything(a) }

// Row is one row of a plan as people and programs see it: the contract's form
// of a change. Memberships are one row each.
type Row struct {
	Seq        int64           `json:"seq"`
	Action     Action          `json:"action"`
	Target     Target          `json:"target"`
	Account    *account.ID     `json:"account"`
	Group      *account.ID     `json:"group"`
	ExternalID *string         `json:"external_id"`
	Name       string          `json:"name"`
	Before     json.RawMessage `json:"before"`
	After      json.RawMessage `json:"after"`
	Why        string          `json:"why"`
	Excluded   bool            `json:"excluded,omitempty"`
}

// Each calls fn for every row of a change.
func (c *Change) Each(fn func(Row) error) error {
	r := Row{Seq: c.Seq, Action: c.Action, Target: c.Target, Name: c.Name, Why: c.Why, Before: json.RawMessage("null"), After: json.RawMessage("null")}
	if c.ExternalID != "" {
		id := string(c.ExternalID)
		r.ExternalID = &id
	}
	if !c.Account.IsZero() {
		r.Account = &c.Account
	}
	if !c.Group.IsZero() {
		r.Group = &c.Group
	}
	switch c.Target {
	case Account:
		r.Before = c.Fields.JSON(c.Before)
		if c.Action == Create {
			full, err := json.Marshal(c.After)
			if err != nil {
				return err
			}
			r.Before, r.After = json.RawMessage("null"), full
		} else {
			r.After = c.Fields.JSON(c.After)
		}
	case Group:
		r.Before, r.After = groupJSON(c.GroupName[0]), groupJSON(c.GroupName[1])
	case Membership:
		for i := range c.Members {
			m := r
			m.Seq = c.Seq + int64(i)
			m.Account = &c.Members[i]
			if err := fn(m); err != nil {
				return err
			}
		}
		return nil
	}
	return fn(r)
}

func groupJSON(name string) []byte {
	if name == "" {
		return []byte("null")
	}
	return append(appendString([]byte(`{"name":`), name), '}')
}

// GroupJSON is the form of a group in before and after.
func GroupJSON(name string) []byte { return groupJSON(name) }

// NoteRow is a note as people and programs see it.
type NoteRow struct {
	Kind       NoteKind    `json:"kind"`
	Name       string      `json:"name"`
	ExternalID *string     `json:"external_id"`
	Account    *account.ID `json:"account"`
	Text       string      `json:"text"`
}

// Row is the note as it is shown.
func (n *Note) Row() NoteRow {
	r := NoteRow{Kind: n.Kind, Name: n.Name, Text: n.Text}
	if n.ExternalID != "" {
		id := string(n.ExternalID)
		r.ExternalID = &id
	}
	if !n.Account.IsZero() {
		id := n.Account
		r.Account = &id
	}
	return r
}

// RowNumbers reads row numbers as people write them: 3, 7, 10-14, a word each.
func RowNumbers(words []string) ([]int64, error) {
	const most = 10_000_000 // in one range
	var out []int64
	for _, w := range words {
		from, to, isRange := strings.Cut(w, "-")
		a, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
		b := a
		if isRange && err == nil {
			b, err = strconv.ParseInt(strings.TrimSpace(to), 10, 64)
		}
		if err != nil || a < 1 || b < a || b-a > most {
			return nil, fault.New(fault.Invalid, "%q is not a row number or a range such as 10-14", w)
		}
		for ; a <= b; a++ {
			out = append(out, a)
		}
	}
	return out, nil
}
