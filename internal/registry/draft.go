package registry

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// Draft gives a connection as it would be, ready to be opened, and keeps nothing:
// with an alias the one there is under a JSON merge patch (RFC 7396), without one
// what body says, as for Create. Stored secrets are in it under the condition
// under which Update would leave them where they are: no setting says now that
// they go elsewhere. Those that are missing for that are in Unset. A declared
// connection may be looked at so too, though it is changed in its file alone.
func (r *Registry) Draft(ctx context.Context, who Who, alias string, body []byte) (setting.Connection, error) {
	if alias == "" {
		return r.fresh(ctx, who, body)
	}
	if c, ok := r.fromFile(alias); ok && (who.Organization == "" || c.Organization == who.Organization) {
		return r.overFile(who, c, body)
	}
	row, before, err := r.changeable(ctx, who, alias)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return setting.Connection{}, r.unknown(ctx, who.Organization, alias)
	}
	if err != nil {
		return setting.Connection{}, err
	}
	whole, err := config.Merge(row.Body, body)
	if err != nil {
		return setting.Connection{}, err
	}
	d, err := r.read(who, "connection "+alias, whole)
	if err != nil {
		return setting.Connection{}, err
	}
	if err := d.stays(alias, row.Organization); err != nil {
		return setting.Connection{}, err
	}
	c := d.Connection
	if before.Kind != c.Kind {
		return c, r.Validate(c)
	}
	have, err := r.Store.SecretTable.Of(ctx, r.Store.DB.Reader(), owner(alias), true)
	if err != nil {
		return c, err
	}
	options := r.kind(c.Kind).Options
	goesElsewhere, gone := moved(before, c, options), emptied(body, c.Kind, options)
	for _, s := range have {
		o, ok := setting.Find(options, s.Name)
		_, anew := d.secrets[s.Name]
		switch {
		case !ok, anew, slices.Contains(gone, s.Name):
		case s.Taken || goesElsewhere:
			c.Unset = append(c.Unset, notGiven(o))
		case s.Err != nil:
			c.Unset = append(c.Unset, setting.Unset{Option: o, Problem: s.Name + " cannot be opened: " + s.Err.Error()})
		default:
			c.Backend[s.Name] = s.Plain
		}
	}
	return c, r.Validate(c)
}

func notGiven(o setting.Option) setting.Unset {
	return setting.Unset{Option: o, Problem: o.Name + " has to be given again: the settings it was given for are changed"}
}

// moved reports that a setting changes which says where secrets are sent.
func moved(before, after setting.Connection, options []setting.Option) bool {
	return before.Kind != after.Kind || slices.ContainsFunc(options, func(o setting.Option) bool {
		return o.Place && !reflect.DeepEqual(before.Backend[o.Name], after.Backend[o.Name])
	})
}

// stays refuses to make another connection out of one.
func (d *draft) stays(alias, organization string) error {
	if d.Alias != alias || d.Organization != organization {
		return fault.New(fault.Invalid, "alias and organization of a connection stay as they are").
			WithHint("make another connection; accounts belong to the alias")
	}
	return nil
}

// fresh is the draft of a connection that is not there yet.
func (r *Registry) fresh(ctx context.Context, who Who, body []byte) (setting.Connection, error) {
	d, err := r.read(who, "connection", body)
	if err != nil {
		return setting.Connection{}, err
	}
	// Under the alias of another one it would be given what belongs to that: its file.
	taken := fault.New(fault.Conflict, "the alias %q is taken", d.Alias).WithHint("an alias is unique in the installation; choose another")
	if _, there := r.fromFile(d.Alias); there {
		return setting.Connection{}, taken
	}
	q := r.Store.DB.Reader()
	switch _, err := r.Store.DeclarationTable.Get(ctx, q, "", d.Alias); {
	case err == nil:
		return setting.Connection{}, taken
	case fault.KindOf(err) != fault.NotFound:
		return setting.Connection{}, err
	}
	if err := r.aliasIsFree(ctx, q, d); err != nil {
		return setting.Connection{}, err
	}
	return d.Connection, r.Validate(d.Connection)
}

// overFile is the draft of a connection that stands in rollcall.yaml. What names
// files of this machine there was written by an operator; nobody else changes it.
func (r *Registry) overFile(who Who, before setting.Connection, patch []byte) (setting.Connection, error) {
	if empty(patch) {
		return before, nil
	}
	old, err := config.JSON(before, r.Kinds)
	if err != nil {
		return setting.Connection{}, err
	}
	body, err := config.Merge(old, patch)
	if err != nil {
		return setting.Connection{}, err
	}
	d, err := r.read(Who{}, "connection "+before.Alias, body)
	if err != nil {
		return setting.Connection{}, err
	}
	if err := d.stays(before.Alias, before.Organization); err != nil {
		return setting.Connection{}, err
	}
	c, options := d.Connection, r.kind(d.Kind).Options
	changed := setting.Connection{Kind: c.Kind, Backend: setting.Values{}}
	for _, o := range options {
		if v, ok := c.Backend[o.Name]; ok && (before.Kind != c.Kind || !reflect.DeepEqual(v, before.Backend[o.Name])) {
			changed.Backend[o.Name] = v
		}
	}
	if err := mayBeGiven(who, changed, options); err != nil {
		return setting.Connection{}, err
	}
	if before.Kind == c.Kind {
		keepFromFile(before, &c, options, emptied(patch, c.Kind, options))
	}
	return c, r.Validate(c)
}

// keepFromFile takes over what JSON of a declared connection does not hold:
// secrets, under the usual condition, and what its variables did not give.
func keepFromFile(before setting.Connection, c *setting.Connection, options []setting.Option, gone []string) {
	goesElsewhere := moved(before, *c, options)
	for _, o := range options {
		v, had := before.Backend[o.Name]
		_, anew := c.Backend[o.Name]
		switch {
		case !o.Secret || !had || v == "" || anew && c.Backend[o.Name] != "" || slices.Contains(gone, o.Name):
		case goesElsewhere:
			c.Unset = append(c.Unset, notGiven(o))
		default:
			c.Backend[o.Name] = v
		}
	}
	for _, u := range before.Unset {
		if asWritten(c.Backend[u.Option.Name], u.Raw) {
			delete(c.Backend, u.Option.Name)
		}
		if _, given := c.Backend[u.Option.Name]; !given && !slices.Contains(gone, u.Option.Name) {
			c.Unset = append(c.Unset, u)
		}
	}
}

// asWritten reports a value that is the text of a variable which is not set.
func asWritten(v any, raw []string) bool {
	switch x := v.(type) {
	case string:
		return len(raw) == 1 && x == raw[0]
	case []string:
		return len(raw) > 0 && slices.Equal(x, raw)
	}
	return false
}

func empty(patch []byte) bool {
	var form map[string]json.RawMessage
	return json.Unmarshal(patch, &form) == nil && form != nil && len(form) == 0
}
