package shell

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"rollcall.dev/rollcall/client"
)

// Field is a field that changes, as people read it.
type Field struct {
	Name       string
	Before     string
	After      string
	Is, Was    bool   // there is a value after, before
	BeforePath string // leads to what the value names; ""
	AfterPath  string
}

// Names finds the names of accounts and groups that changes speak of by ID, with
// as few questions as can be.
type Names struct {
	q        *Ask
	accounts map[string]string
	groups   map[string]string
	planned  map[string]bool // accounts that are not there yet
}

// NewNames begins with none.
func NewNames(q *Ask) *Names {
	return &Names{q, map[string]string{}, map[string]string{}, map[string]bool{}}
}

// Want notes the managers that forms of accounts name.
func (n *Names) Want(forms ...json.RawMessage) {
	for _, f := range forms {
		var form struct{ Manager *string }
		if json.Unmarshal(f, &form) == nil && form.Manager != nil {
			n.accounts[*form.Manager] = ""
		}
	}
}

// WantAccount notes an account, WantGroup a group.
func (n *Names) WantAccount(id string) { n.accounts[id] = "" }

// WantGroup notes a group.
func (n *Names) WantGroup(id string) { n.groups[id] = "" }

// Load asks for all that was noted.
func (n *Names) Load() error {
	ids := make([]string, 0, len(n.accounts))
	for id := range n.accounts {
		ids = append(ids, id)
	}
	for part := range slices.Chunk(ids, 100) {
		found, err := client.Get[client.Page[client.Account]](n.q.R.Context(), n.q.API, "/accounts", url.Values{"ids": {strings.Join(part, ",")}, "limit": {"100"}})
		if err != nil {
			return err
		}
		for i := range found.Items {
			n.accounts[found.Items[i].ID] = NameOf(&found.Items[i])
		}
	}
	for id := range n.groups {
		g, err := n.q.API.Group(n.q.R.Context(), id)
		if err == nil {
			n.groups[id] = g.Name
		} else if t := n.q.Problem(err); t.Status != 404 {
			return err
		}
	}
	return nil
}

// Account is a name, or the ID where there is none.
func (n *Names) Account(id string) string { return or(n.accounts[id], id) }

// Group is a name, or the ID where there is none.
func (n *Names) Group(id string) string { return or(n.groups[id], id) }

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// NameOf is how people know an account.
func NameOf(a *client.Account) string {
	if a.DisplayName != nil && *a.DisplayName != "" {
		return *a.DisplayName
	}
	if name := strings.TrimSpace(text(a.FirstName) + " " + text(a.LastName)); name != "" {
		return name
	}
	for _, s := range []*string{a.Username, a.Email, a.ExternalID} {
		if s != nil && *s != "" {
			return *s
		}
	}
	return a.ID
}

// Fields lists what changes between two forms, in the order they have.
func (n *Names) Fields(before, after json.RawMessage) []Field {
	was, is := ordered(before), ordered(after)
	var out []Field
	at := map[string]int{}
	for _, list := range [][]pair{was, is} {
		for _, p := range list {
			if _, there := at[p.name]; !there {
				at[p.name] = len(out)
				out = append(out, Field{Name: strings.ReplaceAll(p.name, "_", " ")})
			}
		}
	}
	for _, p := range was {
		f := &out[at[p.name]]
		f.Before, f.BeforePath, f.Was = n.shown(p)
	}
	for _, p := range is {
		f := &out[at[p.name]]
		f.After, f.AfterPath, f.Is = n.shown(p)
	}
	whole := len(was) == 0 && len(is) > 0 // something new: what it is called elsewhere says enough
	return slices.DeleteFunc(out, func(f Field) bool {
		return f.Was == f.Is && f.Before == f.After || whole && slices.Contains(beside, f.Name)
	})
}

// beside are what a new account has that a reader has before them anyway.
var beside = []string{"id", "organization", "connection", "external id", "status", "created at", "updated at", "groups"}

func (n *Names) shown(p pair) (text, path string, there bool) {
	switch v := p.value.(type) {
	case nil:
		return "", "", false
	case string:
		if p.name == "manager" {
			if n.planned[v] {
				return n.Account(v), "", true
			}
			return n.Account(v), Path("people", v), true
		}
		return v, "", true
	case json.Number, bool:
		return fmt.Sprint(v), "", true
	}
	b, err := json.Marshal(p.value)
	if err != nil {
		return fmt.Sprint(p.value), "", true
	}
	return string(b), "", string(b) != "{}" && string(b) != "[]"
}

// Text is a value as plain text: what a pointer points at, "" for nil.
func Text(v any) string { return text(v) }

// SortedKeys are the names of a form in their order.
func SortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

type pair struct {
	name  string
	value any
}

// ordered are the members of an object in their order; those of "attributes"
// stand among the others, by their names.
func ordered(form json.RawMessage) []pair {
	d := json.NewDecoder(bytes.NewReader(form))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var out []pair
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return out
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return out
		}
		name, _ := key.(string)
		if name == "attributes" {
			out = append(out, ordered(raw)...)
			continue
		}
		v := json.NewDecoder(bytes.NewReader(raw))
		v.UseNumber()
		var value any
		if v.Decode(&value) == nil {
			out = append(out, pair{name, value})
		}
	}
	return out
}
