// Package overview is the console's first page: how the connections stand, what
// waits for a person, and what happened in the last week.
package overview

import (
	"embed"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "overview", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /{$}", Handle: show},
		{Pattern: "POST /theme", Handle: theme},
	}}
}

type page struct {
	Connections   []client.Connection
	Organizations []client.Organization
	Held          []client.Plan
}

// theme remembers the colours somebody wants in this browser.
func theme(q *shell.Ask) error {
	q.Remember("theme", q.R.PostFormValue("theme"))
	q.Redirect(shell.Back(q.R.PostFormValue("back")))
	return nil
}

func show(q *shell.Ask) error {
	var p page
	for c, err := range q.API.Connections(q.R.Context(), "") {
		if err != nil {
			return err
		}
		if p.Connections = append(p.Connections, c); len(p.Connections) == 100 {
			break
		}
	}
	return q.Page("overview", "Overview", p)
}
