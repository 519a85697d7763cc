// Package registry knows the organizations and connections there are, whether
// declared in rollcall.yaml or made through the API. It hands their settings on
// to the engine, the schedule, the endpoints and the command line, secrets opened
// only for the connection that is asked for by its alias.
package registry

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/declarations"
)

// Registry is safe for concurrent use.
type Registry struct {
	Store *store.Store
	Kinds []source.Kind
	// Validate refuses settings that cannot work; the engine's.
	Validate func(setting.Connection) error
	Now      func() time.Time
	// Changed is told of a connection that was made, changed or deleted through the
	// API, once that is written. May be nil.
	Changed  func(ctx context.Context, alias string)
	declared atomic.Pointer[config.Config]
}

// Reload takes over a configuration that was read anew.
func (r *Registry) Reload(c *config.Config) { r.declared.Store(c) }

// Config is the configuration in force.
func (r *Registry) Config() *config.Config { return r.declared.Load() }

func (r *Registry) now() time.Time { return r.Now().UTC().Truncate(time.Microsecond) }

// Entry is a connection as people see it. Its settings hold no secrets.
type Entry struct {
	Connection setting.Connection
	Declared   bool            // in rollcall.yaml, where alone it can be changed
	Body       json.RawMessage // the settings in the form of rollcall.yaml
	SecretsSet []string        // settings that are secret and given
	Missing    []string        // those that were taken away and have to be given again
	Version    int64           // counts changes; 0 of a declared one
	UpdatedAt  *time.Time
	UpdatedBy  string
}

// fromFile finds a declared connection.
func (r *Registry) fromFile(alias string) (setting.Connection, bool) {
	list := r.Config().Connections
	i := slices.IndexFunc(list, func(c setting.Connection) bool { return c.Alias == alias })
	if i < 0 {
		return setting.Connection{}, false
	}
	c := list[i]
	c.Declared = true
	return c, true
}

// Connection gives a connection ready to be opened, its secrets in their places.
// It is a fault.NotFound, with the nearest alias there is, where there is none.
func (r *Registry) Connection(ctx context.Context, alias string) (setting.Connection, error) {
	if c, ok := r.fromFile(alias); ok {
		return c, nil
	}
	row, err := r.Store.DeclarationTable.Get(ctx, r.Store.DB.Reader(), "", alias)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return setting.Connection{}, r.unknown(ctx, "", alias)
	}
	if err != nil {
		return setting.Connection{}, err
	}
	return r.opened(ctx, r.Store.DB.Reader(), row)
}

// unknown says that an organization has no such connection, and which one may be
// meant.
func (r *Registry) unknown(ctx context.Context, organization, alias string) error {
	var known []string
	err := r.Each(ctx, organization, func(c setting.Connection) error {
		known = append(known, c.Alias)
		return nil
	})
	if err != nil {
		return err
	}
	unknown := fault.New(fault.NotFound, "there is no connection %q", alias)
	switch near := setting.Nearest(alias, known); {
	case near != "":
		return unknown.WithHint("did you mean %q?", near)
	case len(known) == 0 && r.Config().Path == "":
		return unknown.WithHint("no configuration was read: there is no %s in this folder, and --config named none", config.DefaultPath)
	case len(known) == 0:
		return unknown.WithHint("declare one under `connections:` in rollcall.yaml")
	}
	return unknown.WithHint("`rollcall connections list` shows those there are")
}

// owner is whose a connection's secrets are, in the table of secrets.
func owner(alias string) string { return "connection " + alias }

// opened puts the secrets of a stored connection into its settings. One that is
// missing stops whoever opens the source, and nobody else.
func (r *Registry) opened(ctx context.Context, q db.Querier, row *declarations.Row) (setting.Connection, error) {
	c, err := r.decode(row)
	if err != nil {
		return c, err
	}
	list, err := r.Store.SecretTable.Of(ctx, q, owner(row.Alias), true)
	if err != nil {
		return c, err
	}
	kind := r.kind(c.Kind)
	for _, s := range list {
		o, ok := setting.Find(kind.Options, s.Name)
		switch {
		case !ok:
		case s.Taken:
			c.Unset = append(c.Unset, setting.Unset{Option: o, Problem: s.Name + " was taken away when the settings it was given for were changed; give it again"})
		case s.Err != nil:
			c.Unset = append(c.Unset, setting.Unset{Option: o, Problem: s.Name + " cannot be opened: " + s.Err.Error()})
		default:
			c.Backend[s.Name] = s.Plain
		}
	}
	return c, nil
}

func (r *Registry) decode(row *declarations.Row) (setting.Connection, error) {
	c, err := config.Connection("connection "+row.Alias, row.Body, r.Kinds)
	if err != nil {
		return c, fault.New(fault.Invalid, "connection %s as it is stored cannot be read: %w", row.Alias, err).
			WithHint("a newer version may have written it; run that one again, or change the connection through the API")
	}
	return c, nil
}

func (r *Registry) kind(name string) source.Kind {
	i := slices.IndexFunc(r.Kinds, func(k source.Kind) bool { return k.Name == name })
	if i < 0 {
		return source.Kind{}
	}
	return r.Kinds[i]
}

// Each hands on the connections of an organization ("" for all), declared ones
// first, secrets left out of those that were made through the API.
func (r *Registry) Each(ctx context.Context, organization string, fn func(setting.Connection) error) error {
	return r.each(ctx, organization, false, fn)
}

// Scheduled hands on those with a schedule.
func (r *Registry) Scheduled(ctx context.Context, fn func(setting.Connection) error) error {
	return r.each(ctx, "", true, fn)
}

func (r *Registry) each(ctx context.Context, organization string, scheduled bool, fn func(setting.Connection) error) error {
	for _, c := range r.Config().Connections {
		if organization != "" && c.Organization != organization || scheduled && c.Schedule == "" {
			continue
		}
		c.Declared = true
		if err := fn(c); err != nil {
			return err
		}
	}
	return r.Store.DeclarationTable.Each(ctx, organization, "", scheduled, 0, func(row *declarations.Row) error {
		if _, twice := r.fromFile(row.Alias); twice {
			return nil // the file wins
		}
		c, err := r.decode(row)
		if err != nil {
			c = setting.Connection{Alias: row.Alias, Organization: row.Organization, Unset: []setting.Unset{{Problem: err.Error()}}}
		}
		return fn(c)
	})
}

// Connections gives those of an organization.
func (r *Registry) Connections(ctx context.Context, organization string) ([]setting.Connection, error) {
	var out []setting.Connection
	err := r.Each(ctx, organization, func(c setting.Connection) error {
		out = append(out, c)
		return nil
	})
	return out, err
}

// Describe gives a connection to be looked at, of an organization ("" for any).
func (r *Registry) Describe(ctx context.Context, organization, alias string) (*Entry, error) {
	if c, ok := r.fromFile(alias); ok {
		if organization != "" && c.Organization != organization {
			return nil, r.unknown(ctx, organization, alias)
		}
		e := &Entry{Declared: true, UpdatedBy: "rollcall.yaml"}
		for _, o := range r.kind(c.Kind).Options {
			if v, set := c.Backend[o.Name]; o.Secret && set && v != "" {
				e.SecretsSet = append(e.SecretsSet, o.Name)
			}
		}
		return r.shown(e, c)
	}
	row, err := r.Store.DeclarationTable.Get(ctx, r.Store.DB.Reader(), organization, alias)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil, r.unknown(ctx, organization, alias)
	}
	if err != nil {
		return nil, err
	}
	return r.entry(ctx, r.Store.DB.Reader(), row)
}

func (r *Registry) entry(ctx context.Context, q db.Querier, row *declarations.Row) (*Entry, error) {
	c, err := r.decode(row)
	if err != nil {
		return nil, err
	}
	e := &Entry{Version: row.Version, UpdatedAt: &row.UpdatedAt, UpdatedBy: row.UpdatedBy}
	list, err := r.Store.SecretTable.Of(ctx, q, owner(row.Alias), false)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.Taken {
			e.Missing = append(e.Missing, s.Name)
		} else {
			e.SecretsSet = append(e.SecretsSet, s.Name)
		}
	}
	return r.shown(e, c)
}

func (r *Registry) shown(e *Entry, c setting.Connection) (*Entry, error) {
	body, err := config.JSON(c, r.Kinds)
	e.Connection, e.Body = r.withoutSecrets(c), body
	return e, err
}

// withoutSecrets is a copy for whoever only looks.
func (r *Registry) withoutSecrets(c setting.Connection) setting.Connection {
	values := setting.Values{}
	for _, o := range r.kind(c.Kind).Options {
		if v, ok := c.Backend[o.Name]; ok && !o.Secret {
			values[o.Name] = v
		}
	}
	c.Backend = values
	return c
}
