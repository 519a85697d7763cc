package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// key declares one key of the file. Decoding, environment, JSON Schema and the
// reference in the documentation all come from these declarations.
type key struct {
	name    string
	help    string
	typ     string // for a person: "text", "a share such as 20%"
	initial string // the value in force where the file says nothing
	choices []string
	schema  schema
	larger  func() schema // in place of schema, where it takes a while to make
	secret  bool

	// One of the three: a single value's text, nested keys, or anything else.
	set  func(text string) error
	keys []key
	node func(path string, n *node)

	deeper bool // of a node: what is in it has variables
}

// decoder collects every problem instead of stopping at the first.
type decoder struct {
	name     string
	dir      string
	kinds    []source.Kind
	lookup   func(string) (string, bool)
	problems []problem
	absent   *absent // what is not there is noted in here and is no problem; nil outside of backends
	apart    bool    // organizations are kept elsewhere: a connection may name any
	literal  bool    // values mean what they say: no variable and no file is put in their place

	environment environment
}

type problem struct {
	line, column int
	text         string
}

// add notes a problem of a node, where it stood.
func (d *decoder) add(n *node, format string, args ...any) {
	d.problems = append(d.problems, d.at(n, fmt.Sprintf(format, args...)))
}

// at says where a node stood.
func (d *decoder) at(n *node, text string) problem {
	switch {
	case n == nil || n.line == 0 && n.env == "":
		return problem{text: d.name + ": " + text}
	case n.env != "":
		return problem{1 << 30, 0, "environment variable " + n.env + ": " + text}
	}
	return problem{n.line, n.column, fmt.Sprintf("%s:%d:%d: %s", d.name, n.line, n.column, text)}
}

// err is everything that was found, in the order of the file.
func (d *decoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	lines := make([]string, len(d.problems))
	for i, p := range d.problems {
		lines[i] = p.text
	}
	return fault.New(fault.Invalid, "%s", strings.Join(slices.Compact(lines), "\n")).
		WithHint("every key is explained in docs/configuration.md")
}

// block decodes a block of keys. n may be nil: the environment is looked at all
// the same. path is how a person calls the block, env the beginning of the
// names of its variables.
func (d *decoder) block(path, env string, n *node, keys []key) {
	if n != nil && n.shape != mapping {
		if n.shape != null {
			d.add(n, "%s: expected a block of keys, found %s", path, n.shape)
		}
		n = nil
	}
	for _, k := range keys {
		value := n.get(k.name)
		variable := env + "_" + variableName(k.name)
		switch {
		case k.keys != nil:
			d.environment.note(&d.environment.blocks, variable)
			d.block(join(path, k.name), variable, value, k.keys)
		case k.node != nil:
			if !k.deeper {
				d.environment.note(&d.environment.inFile, variable)
			}
			if value != nil && value.shape != null {
				k.node(join(path, k.name), value)
			}
		default:
			if v := d.variable(variable, k.secret); v != nil {
				value = v
			}
			if value != nil {
				d.environment.note(&d.environment.given, variable)
			}
			d.scalar(join(path, k.name), value, k.set)
		}
	}
	if n == nil {
		return
	}
	for _, e := range n.entries {
		if !slices.ContainsFunc(keys, func(k key) bool { return k.name == e.key.text }) {
			names := make([]string, len(keys))
			for i, k := range keys {
				names[i] = k.name
			}
			d.unknown(path, e.key, names)
		}
	}
}

// scalar hands a single value's text on; nothing when there is none.
func (d *decoder) scalar(path string, n *node, set func(string) error) {
	if n == nil || n.shape == null {
		return
	}
	if n.shape != scalar {
		d.add(n, "%s: expected a single value, found %s", path, n.shape)
		return
	}
	text, ok := d.expand(n)
	if !ok {
		return
	}
	if err := set(text); err != nil {
		d.add(n, "%s: %s", path, err)
	}
}

// unknown notes a key that is none and the one that may be meant. A setting
// that stands one level off is found by the end of its name.
func (d *decoder) unknown(path string, k *node, known []string) {
	where := ""
	if path != "" {
		where = " under " + path
	}
	near := ""
	for _, name := range known {
		if strings.HasSuffix(name, "."+k.text) {
			near = name
			break
		}
	}
	if near == "" {
		near = setting.Nearest(k.text, known)
	}
	switch {
	case near != "":
		d.add(k, "unknown key %q%s; did you mean %q?", k.text, where, near)
	case len(known) > 0 && len(known) <= 16:
		d.add(k, "unknown key %q%s; known are %s", k.text, where, strings.Join(known, ", "))
	default:
		d.add(k, "unknown key %q%s", k.text, where)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var underscores = strings.NewReplacer("-", "_", ".", "_")

// variableName is a key as part of an environment variable's name.
func variableName(key string) string {
	return underscores.Replace(strings.ToUpper(key))
}

// variable looks a key up in the environment. A secret may also stand in the
// file that NAME_FILE names, as container platforms hand secrets over.
func (d *decoder) variable(name string, secret bool) *node {
	n := &node{shape: scalar, env: name}
	text, ok := d.look(name)
	d.environment.note(&d.environment.known, name)
	if secret {
		d.environment.note(&d.environment.known, name+"_FILE")
		if path, has := d.look(name + "_FILE"); has {
			if ok {
				d.add(n, "set together with %s_FILE; use one of them", name)
				return nil
			}
			n.env = name + "_FILE"
			var err error
			if text, err = d.file(path); err != nil {
				d.lacks(n, "%s", err)
				return nil
			}
			ok = true
		}
	}
	if !ok {
		return nil
	}
	n.text = text
	return n
}

// file reads a secret's file; the newline at its end does not belong to it.
func (d *decoder) file(path string) (string, error) {
	b, err := os.ReadFile(d.beside(path))
	if err != nil {
		return "", err
	}
	if len(b) > 1<<20 {
		return "", fmt.Errorf("%s is larger than 1 MB; it cannot be a secret", path)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// beside resolves a relative file name from the configuration file's folder.
func (d *decoder) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}

// expand replaces ${NAME} and ${file:PATH} in a value of the file; $${ stands
// for ${ itself. Values from the environment are taken as they are.
func (d *decoder) expand(n *node) (string, bool) {
	if d.literal || n.env != "" || !strings.Contains(n.text, "${") {
		return n.text, true
	}
	var out strings.Builder
	rest, ok := n.text, true
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			return out.String(), ok
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		out.WriteString(rest[:i])
		name, after, closed := strings.Cut(rest[i+2:], "}")
		if !closed {
			d.add(n, "${ without its closing }; write $${ for the two characters themselves")
			return "", false
		}
		rest = after
		if path, isFile := strings.CutPrefix(name, "file:"); isFile {
			text, err := d.file(path)
			if err != nil {
				d.lacks(n, "%s", err)
				ok = false
			}
			out.WriteString(text)
			continue
		}
		text, set := d.look(name)
		if !set {
			d.lacks(n, "environment variable %s is not set", name)
			ok = false
		}
		out.WriteString(text)
	}
}
