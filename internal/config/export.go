package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Export writes connections as they would stand in rollcall.yaml, with the
// organizations they belong to: what it gives is a configuration. Secrets are
// left out: in their place stands the variable to give them by.
func Export(list []setting.Connection, organizations []setting.Organization, kinds []source.Kind) ([]byte, error) {
	out := make([]yaml.MapSlice, 0, len(list))
	for _, c := range list {
		m, err := exportConnection(c, kinds, forFile)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return yaml.Marshal(yaml.MapSlice{
		{Key: "organizations", Value: exportOrganizations(list, organizations)},
		{Key: "connections", Value: out},
	})
}

// speller writes values for a reader.
type speller struct {
	text   func(string) string                              // a text so that reading it gives the same
	secret func(c setting.Connection, o setting.Option) any // what stands in a secret's place; nil for nothing
}

var forFile = speller{text: literal, secret: func(c setting.Connection, o setting.Option) any {
	name := variableName(c.Alias + "_" + o.Name)
	if name[0] <= '9' { // no shell sets a variable that begins with a digit; no alias begins with what is put before it
		name = "_" + name
	}
	return "${" + name + "}"
}}

// plainly is for readers that put nothing in a value's place.
var plainly = speller{text: func(s string) string { return s }, secret: func(setting.Connection, setting.Option) any { return nil }}

// withSecrets is for whoever sends a connection on, with its secrets.
var withSecrets = speller{text: plainly.text, secret: func(c setting.Connection, o setting.Option) any { return c.Backend[o.Name] }}

func exportConnection(c setting.Connection, kinds []source.Kind, spell speller) (yaml.MapSlice, error) {
	i := slices.IndexFunc(kinds, func(k source.Kind) bool { return k.Name == c.Kind })
	if i < 0 {
		return nil, fmt.Errorf("config: connection %s: there is no source %q", c.Alias, c.Kind)
	}
	m := yaml.MapSlice{{Key: "alias", Value: c.Alias}, {Key: "organization", Value: c.Organization}}
	for _, one := range []struct{ key, value string }{{"schedule", c.Schedule}, {"time_zone", c.TimeZone}, {"jitter", exportJitter(c.Jitter)}, {"role", c.Role}, {"region", c.Region}, {"credential_expires", exportDay(c.CredentialExpires)}, {"overlap", c.Overlap}} {
		if one.value != "" {
			m = append(m, yaml.MapItem{Key: one.key, Value: spell.text(one.value)})
		}
	}
	if len(c.Match) > 0 {
		m = append(m, yaml.MapItem{Key: "match", Value: c.Match})
	}
	if len(c.Scope) > 0 {
		m = append(m, yaml.MapItem{Key: "scope", Value: spell.texts(c.Scope)})
	}
	m = append(m, yaml.MapItem{Key: "settings", Value: exportPolicy(c.Policy)}, yaml.MapItem{Key: "sign_in", Value: exportSignIn(c.SignIn)}, yaml.MapItem{Key: "limits", Value: exportLimits(c.Limits)},
		yaml.MapItem{Key: "backend", Value: yaml.MapSlice{{Key: c.Kind, Value: exportBackend(c, kinds[i].Options, spell)}}})
	if len(c.Mapping) > 0 {
		m = append(m, yaml.MapItem{Key: "mapping", Value: exportMapping(c.Mapping, spell)})
	}
	return m, nil
}

func exportOrganizations(list []setting.Connection, organizations []setting.Organization) []yaml.MapSlice {
	var out []yaml.MapSlice
	for _, o := range organizations {
		if !slices.ContainsFunc(list, func(c setting.Connection) bool { return c.Organization == o.ID }) {
			continue
		}
		m := yaml.MapSlice{{Key: "id", Value: literal(o.ID)}, {Key: "name", Value: literal(o.Name)}}
		if o.LicenceLimit > 0 {
			m = append(m, yaml.MapItem{Key: "licence_limit", Value: o.LicenceLimit})
		}
		out = append(out, m)
	}
	return out
}

// literal writes a text so that reading it gives the same: a ${ of its own is no
// variable.
func literal(s string) string { return strings.ReplaceAll(s, "${", "$${") }

func (spell speller) texts(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = spell.text(s)
	}
	return out
}

func exportPolicy(p setting.Policy) yaml.MapSlice {
	m := yaml.MapSlice{
		{Key: "dry-run", Value: p.DryRun}, {Key: "no-create", Value: p.NoCreate}, {Key: "no-update", Value: p.NoUpdate}, {Key: "no-delete", Value: p.NoDelete},
		{Key: "delete-disables", Value: p.DeleteDisables}, {Key: "create-as-disabled", Value: p.CreateAsDisabled},
		{Key: "no-update-provider-mismatch", Value: p.NoUpdateProviderMismatch},
	}
	if p.PurgeAfter > 0 {
		m = append(m, yaml.MapItem{Key: "purge-after", Value: exportDuration(p.PurgeAfter)})
	}
	return m
}

func exportDay(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.DateOnly)
}

func exportJitter(d *time.Duration) string {
	switch {
	case d == nil:
		return ""
	case *d == 0:
		return "0s"
	}
	return exportDuration(*d)
}

func exportDuration(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return d.String()
}

func exportLimits(l setting.Limits) yaml.MapSlice {
	share := func(s setting.Share) string { return fmt.Sprintf("%g%%", float64(s)*100) }
	return yaml.MapSlice{
		{Key: "removals", Value: share(l.Removals)}, {Key: "removals_min", Value: l.RemovalsMin}, {Key: "removals_max", Value: l.RemovalsMax},
		{Key: "membership_removals", Value: share(l.MembershipRemovals)}, {Key: "membership_removals_min", Value: l.MembershipRemovalsMin},
		{Key: "group_removals", Value: share(l.GroupRemovals)}, {Key: "group_removals_min", Value: l.GroupRemovalsMin},
		{Key: "identity_changes", Value: share(l.IdentityChanges)}, {Key: "identity_changes_min", Value: l.IdentityChangesMin},
		{Key: "creates", Value: l.Creates},
	}
}

// exportBackend puts dotted names back into blocks, in the order in which the
// source declares them.
func exportBackend(c setting.Connection, options []setting.Option, spell speller) yaml.MapSlice {
	var root yaml.MapSlice
	for _, o := range options {
		v, ok := c.Backend[o.Name]
		i := slices.IndexFunc(c.Unset, func(u setting.Unset) bool { return u.Option.Name == o.Name })
		if !ok && i < 0 {
			continue
		}
		switch x := v.(type) {
		case time.Duration:
			v = exportDuration(x)
		case []string:
			if len(x) == 0 {
				continue
			}
			v = spell.texts(x)
		case string:
			v = spell.text(x)
		}
		if i >= 0 {
			v = written(c.Unset[i])
		}
		if o.Secret {
			if v = spell.secret(c, o); v == nil {
				continue
			}
		}
		root = nest(root, strings.Split(o.Name, "."), v)
	}
	return root
}

func nest(m yaml.MapSlice, path []string, v any) yaml.MapSlice {
	for i := range m {
		if m[i].Key == path[0] {
			inner, ok := m[i].Value.(yaml.MapSlice)
			if ok && len(path) > 1 {
				m[i].Value = nest(inner, path[1:], v)
			}
			return m
		}
	}
	if len(path) == 1 {
		return append(m, yaml.MapItem{Key: path[0], Value: v})
	}
	return append(m, yaml.MapItem{Key: path[0], Value: nest(nil, path[1:], v)})
}

func exportMapping(rules map[string]setting.Rule, spell speller) yaml.MapSlice {
	var m yaml.MapSlice
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		r := rules[name]
		item := yaml.MapItem{Key: name, Value: spell.text(r.Attribute)}
		switch {
		case r.None:
			item.Value = nil
		case r.Attribute == "none": // bare, it would stand for no attribute at all
			item.Value = yaml.MapSlice{{Key: "attribute", Value: r.Attribute}}
		case r.Expr != "":
			item.Value = yaml.MapSlice{{Key: "expr", Value: spell.text(r.Expr)}}
		case r.Attribute == "":
			item.Value = yaml.MapSlice{{Key: "value", Value: spell.text(r.Value)}}
		}
		m = append(m, item)
	}
	return m
}
