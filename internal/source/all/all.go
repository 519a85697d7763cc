// Package all lists the kinds of directories there are. It hands them on to the
// configuration, the console and whoever opens a source. A new kind is one
// folder beside this one and one line here.
package all

import (
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/agent"
	"rollcall.dev/rollcall/internal/source/csv"
	"rollcall.dev/rollcall/internal/source/entra"
	"rollcall.dev/rollcall/internal/source/google"
	"rollcall.dev/rollcall/internal/source/ldap"
	"rollcall.dev/rollcall/internal/source/okta"
	"rollcall.dev/rollcall/internal/source/scim"
)

// Kinds lists every kind, in the order in which people are offered them.
func Kinds() []source.Kind {
	return []source.Kind{
		ldap.Kind,
		entra.Kind,
		okta.Kind,
		google.Kind,
		csv.Kind,
		scim.Kind,
		agent.Kind,
	}
}

// Named finds a kind by its name.
func Named(name string) (source.Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return source.Kind{}, false
}
