package scim

import (
	"maps"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
)

// sameMail keeps userName and the work e-mail equal, where a connection's settings
// say so (username_is_email). What changed is followed by the other; where both did,
// or all is new, an address goes before what is none, and userName before the
// e-mail. before is nil for what is new.
func sameMail(before, after scim.Object) {
	name, mail := userName(after), workMail(after)
	if name == mail {
		return
	}
	to := name
	nameMoved, mailMoved := name != userName(before), mail != workMail(before)
	switch {
	case mail == "":
	case mailMoved && !nameMoved, mailMoved == nameMoved && !looksLikeMail(name) && looksLikeMail(mail):
		to = mail
	}
	if to == "" {
		return
	}
	after["userName"] = to
	setWorkMail(after, to)
}

func looksLikeMail(s string) bool { return strings.Contains(s, "@") }

func userName(o scim.Object) string {
	s, _ := o["userName"].(string)
	return s
}

// work finds the work e-mail: the one of that type, or the primary one, or the only one.
func work(list []any) int {
	primary := -1
	for i, one := range list {
		m, ok := one.(scim.Object)
		if !ok {
			continue
		}
		if t, _ := m["type"].(string); strings.EqualFold(t, "work") {
			return i
		}
		if p, _ := m["primary"].(bool); p && primary < 0 {
			primary = i
		}
	}
	if primary < 0 && len(list) == 1 {
		return 0
	}
	return primary
}

func workMail(o scim.Object) string {
	list, _ := o["emails"].([]any)
	if i := work(list); i >= 0 {
		if m, ok := list[i].(scim.Object); ok {
			s, _ := m["value"].(string)
			return s
		}
	}
	return ""
}

func setWorkMail(o scim.Object, to string) {
	list, _ := o["emails"].([]any)
	list = append([]any{}, list...)
	i := work(list)
	if i < 0 {
		list = append(list, scim.Object{"type": "work", "primary": len(list) == 0})
		i = len(list) - 1
	}
	m, ok := list[i].(scim.Object)
	if !ok {
		m = scim.Object{"type": "work"}
	}
	m = maps.Clone(m)
	m["value"] = to
	list[i] = m
	o["emails"] = list
}
