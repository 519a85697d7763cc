package config

import (
	"rollcall.dev/rollcall/internal/setting"
)

// mapping decodes "field: rule". A rule is an attribute's name, or a block with
// one of attribute, value, expr; null leaves the field to the application.
func (d *decoder) mapping(path string, n *node, c *setting.Connection) {
	if n.shape != mapping {
		d.add(n, "%s: expected a block of fields, found %s", path, n.shape)
		return
	}
	for _, e := range n.entries {
		if err := checkField(e.key.text); err != nil {
			d.add(e.key, "%s: %s", path, err)
			continue
		}
		if rule, ok := d.rule(join(path, e.key.text), e.value); ok {
			c.Mapping[e.key.text] = rule
		}
	}
}

func (d *decoder) rule(path string, n *node) (setting.Rule, bool) {
	before := len(d.problems)
	var r setting.Rule
	switch n.shape {
	case null:
		r.None = true
	case scalar:
		d.scalar(path, n, func(s string) error {
			r.Attribute = s
			return nil
		})
		if r.Attribute == "none" {
			r = setting.Rule{None: true}
		} else if r.Attribute == "" && len(d.problems) == before {
			d.add(n, "%s: the name of an attribute is empty; write null to leave the field to the application", path)
		}
	case list:
		d.add(n, "%s: expected an attribute's name, {value: }, {expr: } or null, found a list; use {expr: 'a ?? b'} for several", path)
	case mapping:
		if len(n.entries) != 1 {
			d.add(n, "%s: expected exactly one of attribute, value, expr", path)
			return r, false
		}
		at := n.entries[0].value
		filled := func(to *string) func(string) error {
			return func(s string) error {
				*to = s
				return nil
			}
		}
		switch k := n.entries[0].key; k.text {
		case "attribute":
			d.scalar(path, at, filled(&r.Attribute))
		case "value":
			d.scalar(path, at, filled(&r.Value))
		case "expr":
			d.scalar(path, at, filled(&r.Expr))
		default:
			d.unknown(path, k, []string{"attribute", "value", "expr"})
		}
		if r == (setting.Rule{}) && len(d.problems) == before {
			d.add(at, "%s: the rule is empty; write null to leave the field to the application", path)
		}
	}
	return r, len(d.problems) == before
}
