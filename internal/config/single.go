package config

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Connection reads one connection as the API takes it: JSON (or YAML) of the form
// an entry of `connections:` has. Values mean what they say: what comes over the
// network never names a variable or a file of this machine. name stands in
// errors. Problems are a fault.Invalid that lists all of them, one per line.
func Connection(name string, data []byte, kinds []source.Kind) (setting.Connection, error) {
	d := &decoder{name: name, dir: ".", kinds: kinds, literal: true, lookup: func(string) (string, bool) { return "", false }}
	root := d.parse(data)
	if root == nil {
		return setting.Connection{}, d.err()
	}
	if root.shape != mapping {
		d.add(root, "expected an object with keys such as alias, found %s", root.shape)
		return setting.Connection{}, d.err()
	}
	c := d.connection(root, "")
	switch {
	case c.Alias == "" && root.get("alias") == nil:
		d.add(root, "%q is missing", "alias")
	case c.Organization == "" && root.get("organization") == nil:
		d.add(root, "%q is missing", "organization")
	}
	return c, d.err()
}

// JSON gives a connection in that form, with the defaults that are in force and
// without its secrets.
func JSON(c setting.Connection, kinds []source.Kind) (json.RawMessage, error) {
	return encode(c, kinds, plainly)
}

// Whole is JSON with the secrets, for whoever sends a connection to a server.
func Whole(c setting.Connection, kinds []source.Kind) (json.RawMessage, error) {
	return encode(c, kinds, withSecrets)
}

func encode(c setting.Connection, kinds []source.Kind, spell speller) (json.RawMessage, error) {
	m, err := exportConnection(c, kinds, spell)
	if err != nil {
		return nil, err
	}
	b, err := yaml.MarshalWithOptions(m, yaml.JSON())
	if err != nil {
		return nil, fmt.Errorf("config: connection %s: %w", c.Alias, err)
	}
	return b, nil
}

// Declarations reads the organizations and connections of a file that is no
// installation's own: `rollcall connections apply` sends them to one. Variables and
// files in it are those of whoever sends it.
func Declarations(name string, data []byte, kinds []source.Kind, lookup func(env string) (string, bool)) (*Config, error) {
	return parse(name, data, kinds, lookup, true)
}

// Merge applies a JSON merge patch (RFC 7396) to a document: objects are merged
// key by key, null takes a key away, anything else replaces what was there.
func Merge(document, patch []byte) ([]byte, error) {
	var a, b any
	if err := json.Unmarshal(document, &a); err != nil {
		return nil, fmt.Errorf("config: merge: %w", err)
	}
	if err := json.Unmarshal(patch, &b); err != nil {
		return nil, fault.New(fault.Invalid, "the change is no JSON: %w", err)
	}
	if _, ok := b.(map[string]any); !ok {
		return nil, fault.New(fault.Invalid, "%w", errors.New("the change is not an object")).WithHint("send the keys to change, null for those to take away")
	}
	return json.Marshal(merged(a, b))
}

func merged(a, b any) any {
	patch, ok := b.(map[string]any)
	if !ok {
		return b
	}
	into, ok := a.(map[string]any)
	if !ok {
		into = map[string]any{}
	}
	for k, v := range patch {
		if v == nil {
			delete(into, k)
			continue
		}
		into[k] = merged(into[k], v)
	}
	return into
}

// CheckOrganization refuses a tenant whose ID or limit could not stand in
// rollcall.yaml either.
func CheckOrganization(o setting.Organization) error {
	if err := checkID(o.ID); err != nil {
		return fault.New(fault.Invalid, "organization id %q: %w", o.ID, err)
	}
	if o.Name == "" || len(o.Name) > 200 {
		return fault.New(fault.Invalid, "organization %s: its name is empty or longer than 200 bytes", o.ID)
	}
	if err := checkName(o.Name); err != nil {
		return fault.New(fault.Invalid, "organization %s: its name: %w", o.ID, err)
	}
	if o.LicenceLimit < 0 {
		return fault.New(fault.Invalid, "organization %s: the licence limit is less than 0", o.ID).WithHint("leave it out for no limit")
	}
	return nil
}
