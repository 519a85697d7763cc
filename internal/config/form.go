package config

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Input is one value of a connection, as a form asks for it: a path into the form
// that the file, the API and the console share, and what is to be said of it.
type Input struct {
	Path     string // "limits.removals", "backend.ldap.tls.server_name"
	Label    string
	Help     string
	Type     string   // "text", "true or false", "list", ... as the documentation says
	Default  string   // in force where nothing is said
	Choices  []string // "" for anything
	Required bool
	Secret   bool
	Lines    bool // of a secret: it has several lines
	Advanced bool
	Local    bool // names a file of this machine: operators only
}

// List and Bool report how the value is written.
func (i Input) List() bool { return i.Type == setting.List.String() }

// Bool reports a value that is true or false.
func (i Input) Bool() bool { return i.Type == setting.Bool.String() }

// Inputs are all single values of a connection of a kind: what it is and when it
// runs, the policy ("settings."), the limits, and the source's own ("backend.KIND.").
// Mapping, scope and match are lists of their own and not among them.
func Inputs(kind source.Kind) []Input {
	c := newConnection()
	d := &decoder{kinds: []source.Kind{kind}}
	var out []Input
	var add func(prefix string, keys []key)
	add = func(prefix string, keys []key) {
		for _, k := range keys {
			if len(k.keys) > 0 {
				add(prefix+k.name+".", k.keys)
			} else if k.set != nil {
				out = append(out, Input{Path: prefix + k.name, Label: label(k.name), Help: k.help, Type: k.typ, Default: k.initial, Choices: k.choices, Secret: k.secret})
			}
		}
	}
	add("", d.connectionKeys(&c, ""))
	for _, o := range kind.Options {
		out = append(out, Input{Path: "backend." + kind.Name + "." + o.Name, Label: o.Label, Help: o.Help, Type: o.Type.String(), Default: o.Default, Choices: o.Choices,
			Required: o.Required, Secret: o.Secret, Lines: o.Lines, Advanced: o.Advanced, Local: o.Local})
	}
	return slices.Clip(out)
}

// label makes words of a key.
func label(name string) string {
	words := strings.NewReplacer("-", " ", "_", " ").Replace(name)
	return strings.ToUpper(words[:1]) + words[1:]
}
