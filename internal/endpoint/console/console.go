// Package console is the web console at /: it hands what the REST API knows on to
// people, and their wishes back. This is the list of its sections; package shell
// is what they stand in.
package console

import (
	"rollcall.dev/rollcall/internal/endpoint/console/overview"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

// New makes the console.
func New(d shell.Deps) (*shell.Shell, error) {
	return shell.New(d, sections()...)
}

func sections() []shell.Section {
	return []shell.Section{
		overview.Section(),
	}
}
