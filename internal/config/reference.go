package config

import (
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Reference gives the tables of docs/configuration.md in Markdown: every key
// but those of the backends, with type, default and meaning.
func Reference(kinds []source.Kind) string {
	d := &decoder{kinds: kinds}
	c := newConnection()
	connection := d.connectionKeys(&c, "")
	var b strings.Builder
	section := func(title, intro string, keys []key) {
		if intro != "" {
			intro = "\n" + intro + "\n"
		}
		fmt.Fprintf(&b, "### %s\n%s\n| key | is | default | |\n|---|---|---|---|\n", title, intro)
		for _, k := range keys {
			if k.keys != nil {
				k.typ = "a block of keys"
				k.initial = ""
			}
			help := k.help
			if len(k.choices) > 0 {
				help += " One of `" + strings.Join(k.choices, "`, `") + "`."
			}
			row(&b, k.name, k.typ, k.initial, help)
		}
		b.WriteByte('\n')
	}
	top := d.topKeys(defaults())
	section("The file", "", top)
	var below func(under string, keys []key)
	below = func(under string, keys []key) {
		for _, k := range keys {
			if k.keys != nil {
				section(join(under, k.name), k.help, k.keys)
				below(join(under, k.name), k.keys)
			}
		}
	}
	below("", top)
	section("organizations", "Each entry of the list:", organizationKeys(&setting.Organization{}))
	section("connections", "Each entry of the list:", connection)
	for _, k := range connection {
		if k.keys != nil {
			section(k.name, k.help, k.keys)
		}
	}
	return b.String()
}

// Options gives the table of one kind's settings, the keys below
// `backend: {KIND: }`, in Markdown.
func Options(options []setting.Option) string {
	var b strings.Builder
	b.WriteString("| key | is | default | |\n|---|---|---|---|\n")
	for _, o := range options {
		help := o.Help
		if help == "" {
			help = o.Label
		}
		if len(o.Choices) > 0 {
			help = strings.TrimSuffix(help, ".") + ". One of `" + strings.Join(o.Choices, "`, `") + "`."
		}
		if o.Required {
			help += " **Required.**"
		}
		if o.Basis {
			help += " ⚑"
		}
		typ := o.Type.String()
		if o.Secret {
			typ += ", secret"
		}
		row(&b, o.Name, typ, o.Default, help)
	}
	return b.String()
}

func row(b *strings.Builder, name, typ, initial, help string) {
	if initial != "" {
		initial = "`" + initial + "`"
	}
	cell := strings.NewReplacer("|", `\|`, "\n", " ").Replace
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, cell(typ), cell(initial), cell(help))
}
