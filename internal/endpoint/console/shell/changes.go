package shell

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"rollcall.dev/rollcall/client"
)

// Change is a row of a plan as people read it.
type Change struct {
	client.Change
	Who    string // by name; of a membership, the member
	Entry  string // in the directory; "" where that is the name
	Group  string // its name, of a membership
	There  bool   // the account is there already
	Fields []Field
}

// Changes gives rows of a plan as people read them. A guest sees nobody but in plans.
func Changes(q *Ask, plan string, rows []client.Change, guest bool) ([]Change, error) {
	names := NewNames(q)
	for i := range rows {
		names.Want(rows[i].Before, rows[i].After)
		if rows[i].Action != "create" && rows[i].Account != nil {
			names.WantAccount(*rows[i].Account)
		}
	}
	if !guest {
		if err := names.Load(); err != nil {
			return nil, err
		}
	}
	if err := names.loadPlanned(plan); err != nil {
		return nil, err
	}
	out := make([]Change, len(rows))
	for i, c := range rows {
		r := Change{Change: c, Who: called(&c), Fields: names.Fields(c.Before, c.After)}
		if c.Action != "create" && c.Account != nil {
			r.There = !names.planned[*c.Account] || c.Target == "account"
			if r.Who = names.Account(*c.Account); guest && r.Who == *c.Account {
				r.Who = "somebody who is there already"
			}
		}
		switch {
		case c.Target == "membership":
			r.Group = c.Name
		case r.Who != c.Name:
			r.Entry = c.Name
		}
		out[i] = r
	}
	return out, nil
}

// loadPlanned names those who are not there yet by what a plan makes of them.
func (n *Names) loadPlanned(plan string) error {
	var ids []string
	for id, name := range n.accounts {
		if name == "" {
			ids = append(ids, id)
		}
	}
	for part := range slices.Chunk(ids, 100) {
		found, err := client.Get[client.Page[client.Change]](n.q.R.Context(), n.q.API, "/plans/"+url.PathEscape(plan)+"/changes",
			url.Values{"accounts": {strings.Join(part, ",")}, "target": {"account"}, "limit": {"100"}})
		if err != nil {
			return err
		}
		for i := range found.Items {
			if c := &found.Items[i]; c.Account != nil {
				n.accounts[*c.Account] = called(c)
				n.planned[*c.Account] = true
			}
		}
	}
	return nil
}

// called is how people know what a change is about: the name its new or old values
// have, or the entry's own.
func called(c *client.Change) string {
	for _, form := range []json.RawMessage{c.After, c.Before} {
		var a client.Account
		if c.Target != "account" || json.Unmarshal(form, &a) != nil {
			continue
		}
		if given := or(text(a.DisplayName), strings.TrimSpace(text(a.FirstName)+" "+text(a.LastName))); given != "" {
			return given
		}
	}
	return c.Name
}
