package config

import (
	"fmt"
	"slices"

	"rollcall.dev/rollcall/internal/setting"
)

// absent collects what one source's settings name that is not there: variables
// and files. Whoever does not open that source can do without.
type absent struct {
	list   []setting.Unset
	option setting.Option // the one being read
	raw    []string       // its value as it is written
}

// lacks notes that a variable or file a value needs is not there. Outside of a
// source's settings everything needs it.
func (d *decoder) lacks(n *node, format string, args ...any) {
	if d.absent == nil {
		d.add(n, format, args...)
		return
	}
	a := d.absent
	u := setting.Unset{Option: a.option, Problem: d.at(n, fmt.Sprintf(format, args...)).text}
	if !a.option.Secret {
		u.Raw = a.raw
	}
	a.list = append(a.list, u)
}

// reads says which option is read from now on.
func (a *absent) reads(o setting.Option, n *node) {
	a.option, a.raw = o, nil
	switch n.shape {
	case scalar:
		a.raw = []string{n.text}
	case list:
		for _, item := range n.items {
			a.raw = append(a.raw, item.text)
		}
	case mapping:
		for _, e := range n.entries {
			a.raw = append(a.raw, e.key.text+"="+e.value.text)
		}
	case null:
	}
}

// lacks reports whether an option's value is not to be had.
func (a *absent) lacks(option string) bool {
	return slices.ContainsFunc(a.list, func(u setting.Unset) bool { return u.Option.Name == option })
}

// found forgets what an option lacked.
func (a *absent) found(option string) {
	a.list = slices.DeleteFunc(a.list, func(u setting.Unset) bool { return u.Option.Name == option })
}

// written is an unset value as it stood in the file, to be written there again.
func written(u setting.Unset) any {
	if len(u.Raw) == 1 {
		return u.Raw[0]
	}
	return u.Raw
}
