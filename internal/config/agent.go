package config

import (
	"path/filepath"
	"slices"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Agent is the file of an agent in a customer's network.
type Agent struct {
	Dir     string          // where relative file names in it start
	Policy  *setting.Policy // nil where it has no `settings:`; a switch it does not name forbids nothing
	Kind    string          // "" where it has no `backend:`
	Backend setting.Values
}

// ReadAgent reads such a file: the keys `settings:` and `backend:` of a connection, and
// no others. Everything it names has to be there.
func ReadAgent(name string, data []byte, kinds []source.Kind, lookup func(env string) (string, bool)) (*Agent, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	d := &decoder{name: name, dir: dir, kinds: kinds, lookup: lookup}
	root := d.parse(data)
	if err := d.err(); err != nil {
		return nil, err
	}
	out := &Agent{Dir: dir}
	if root == nil || root.shape == null {
		return out, nil
	}
	if root.shape != mapping {
		d.add(root, "expected the keys settings: and backend:, found %s", root.shape)
		return nil, d.err()
	}
	const env = "ROLLCALL_AGENT"
	var c setting.Connection
	keys := slices.DeleteFunc(d.connectionKeys(&c, env), func(k key) bool { return k.name != "settings" && k.name != "backend" })
	d.environ(env + "_")
	d.environment.bases = []string{env + "_SETTINGS", env + "_BACKEND"}
	d.block("", env, root, keys)
	d.stray(nil)
	for _, u := range c.Unset {
		d.problems = append(d.problems, problem{text: u.Problem})
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	if n := root.get("settings"); n != nil && n.shape == mapping {
		out.Policy = &c.Policy
	}
	out.Kind, out.Backend = c.Kind, c.Backend
	return out, nil
}
