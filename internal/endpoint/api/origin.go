package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/accounts"
)

func (s *server) origins() {
	register(s, operation{id: "get-account-origin", method: http.MethodGet, path: "/accounts/{id}/origin", tag: "accounts", summary: "Where an account comes from, field by field",
		description: "From the latest picture of the directory, which is not asked. Passwords and keys an entry holds are not shown."}, s.origin)
}

func (s *server) origin(ctx context.Context, in *AccountPath) (*body[client.AccountOrigin], error) {
	a, err := s.account(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := client.AccountOrigin{Account: a.ID.String(), Attributes: []client.RawAttribute{}, Memberships: []client.MembershipOrigin{}, Managers: []client.OrgPerson{}}
	o := &engine.Origin{Fields: localFields(a)}
	var c *setting.Connection
	if a.Connection != account.Local {
		out.Connection = &a.Connection
		if c, err = s.settings(ctx, a.Connection); err != nil {
			return nil, err
		}
	}
	if c != nil {
		if o, err = s.Engine.Origin(ctx, *c, a); err != nil {
			return nil, err
		}
		out.Entry, out.Gone, out.RulesKnown, out.Attributes = optional(o.Entry), o.Gone, o.Known, rawAttributes(o.Raw())
	}
	changed, matched, err := s.lastChanges(ctx, a)
	if err != nil {
		return nil, err
	}
	out.Matched = matched
	values, custom, err := valuesOf(a)
	if err != nil {
		return nil, err
	}
	for _, f := range o.Fields {
		one := client.FieldOrigin{Field: f.Field, Value: values[f.Field], Kind: f.Kind, Rule: optional(f.Text), Raw: rawAttributes(f.Raw), Changed: changed[f.Field]}
		if _, known := values[f.Field]; !known {
			one.Custom, one.Value, one.Changed = true, custom[f.Field], changed["attributes."+f.Field]
		}
		if one.Value == nil {
			one.Value = json.RawMessage("null")
		}
		out.Fields = append(out.Fields, one)
	}
	if out.Memberships, err = s.memberships(ctx, a, c, o); err != nil {
		return nil, err
	}
	p, err := s.Store.People.Of(ctx, a.Organization)
	if err != nil {
		return nil, err
	}
	if path, _, cycle, ok := p.Chart().Path(a.ID, mostAbove); ok {
		out.Managers, out.Cycle = orgPeople(path[1:]), cycle
	}
	return &body[client.AccountOrigin]{out}, nil
}

// settings are those of a connection without its secrets; nil where it was taken away.
func (s *server) settings(ctx context.Context, alias string) (*setting.Connection, error) {
	e, err := s.entry(ctx, alias)
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &e.Connection, nil
}

// localFields are the fields of an account whose values are its own.
func localFields(a *account.Account) []engine.FieldRule {
	names := append(slices.Clone(account.FieldNames()), "manager", "status")
	var custom map[string]json.RawMessage
	if a.Attributes != "" {
		_ = json.Unmarshal([]byte(a.Attributes), &custom) //nolint:errcheck // what is no object has no names
	}
	known := len(names)
	for name := range custom {
		names = append(names, name)
	}
	slices.Sort(names[known:])
	kind := "local"
	if a.Connection != account.Local {
		kind = "none" // its connection was taken away
	}
	out := make([]engine.FieldRule, len(names))
	for i, name := range names {
		out[i] = engine.FieldRule{Field: name, Kind: kind}
	}
	return out
}

func rawAttributes(list []engine.RawAttribute) []client.RawAttribute {
	out := make([]client.RawAttribute, len(list))
	for i, a := range list {
		out[i] = client.RawAttribute{Name: a.Name, Values: append([]string{}, a.Values...), More: a.More, Hidden: a.Hidden}
	}
	return out
}

// valuesOf gives an account's fields and its custom attributes as JSON.
func valuesOf(a *account.Account) (fields, custom map[string]json.RawMessage, err error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(b, &fields); err != nil {
		return nil, nil, err
	}
	err = json.Unmarshal(fields["attributes"], &custom)
	for _, name := range []string{"attributes", "id", "organization", "connection", "external_id", "groups", "created_at", "updated_at"} {
		delete(fields, name) // no field of a rule; a custom attribute may be called so
	}
	return fields, custom, err
}

// mostChanges is how many events are looked through for the last change of each field.
const mostChanges = 500

// lastChanges says of each field by which event it became as it is, custom attributes
// with "attributes." before their names, and how the account came to its connection.
func (s *server) lastChanges(ctx context.Context, a *account.Account) (map[string]*client.LastChange, *client.LastChange, error) {
	out := map[string]*client.LastChange{}
	var matched *client.LastChange
	err := s.Store.EventTable.OfFields(ctx, a.ID, mostChanges, func(e event.Event) error {
		change := &client.LastChange{Event: e.ID, Type: string(e.Type), At: e.At, Run: e.Run, Actor: e.Actor, Why: e.Why}
		if matched == nil && (e.Type == event.AccountLinked || e.Type == event.AccountCreated) {
			matched = change
		}
		names, err := changedNames(e.Before, e.After)
		for _, name := range names {
			if out[name] == nil {
				out[name] = change
			}
		}
		return err
	})
	return out, matched, err
}

// changedNames are the fields that differ, custom attributes one by one.
func changedNames(before, after json.RawMessage) ([]string, error) {
	was, err := object(before)
	if err != nil {
		return nil, err
	}
	is, err := object(after)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, value := range is {
		if name != "attributes" {
			if !bytes.Equal(was[name], value) {
				names = append(names, name)
			}
			continue
		}
		old, err := object(was[name])
		if err != nil {
			return nil, err
		}
		now, err := object(value)
		if err != nil {
			return nil, err
		}
		for custom, value := range now {
			if !bytes.Equal(old[custom], value) {
				names = append(names, "attributes."+custom)
			}
		}
		for custom := range old {
			if now[custom] == nil {
				names = append(names, "attributes."+custom)
			}
		}
	}
	return names, nil
}

func object(b json.RawMessage) (map[string]json.RawMessage, error) {
	var out map[string]json.RawMessage
	if len(b) == 0 {
		return nil, nil
	}
	err := json.Unmarshal(b, &out)
	return out, err
}

// memberships says how an account came into its groups.
func (s *server) memberships(ctx context.Context, a *account.Account, c *setting.Connection, o *engine.Origin) ([]client.MembershipOrigin, error) {
	groups, err := s.Store.AccountTable.GroupsByID(ctx, a.Groups)
	if err != nil {
		return nil, err
	}
	var refs []engine.GroupRef
	for _, g := range groups {
		if g.Connection == a.Connection {
			refs = append(refs, engine.GroupRef{ID: g.ID, Key: g.Key})
		}
	}
	paths := map[account.ID]engine.Path{}
	if c != nil {
		if paths, err = s.Engine.Paths(ctx, *c, o, refs); err != nil {
			return nil, err
		}
	}
	out := []client.MembershipOrigin{}
	for _, g := range sortedGroups(groups) {
		one := client.MembershipOrigin{Group: groupName(g), Connection: g.Connection, How: "kept", Through: []client.GroupName{}}
		if p, ok := paths[g.ID]; ok {
			one.How = p.How
			for _, via := range p.Through {
				if name := (client.GroupName{Name: via.Name}); via.ID.IsZero() {
					one.Through = append(one.Through, name)
				} else {
					one.Through = append(one.Through, groupName(groups[via.ID]))
				}
			}
		}
		out = append(out, one)
	}
	return out, nil
}

func groupName(g accounts.Keyed) client.GroupName {
	return client.GroupName{ID: g.ID.String(), Name: g.Name}
}

func sortedGroups(m map[account.ID]accounts.Keyed) []accounts.Keyed {
	out := make([]accounts.Keyed, 0, len(m))
	for _, g := range m {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b accounts.Keyed) int {
		if a.Name != b.Name {
			if a.Name < b.Name {
				return -1
			}
			return 1
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return out
}
