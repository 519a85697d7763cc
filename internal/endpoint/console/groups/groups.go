// Package groups is the part of the console about groups and who is in them.
package groups

import (
	"embed"
	"net/url"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "groups", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /groups", Handle: list},
		{Pattern: "GET /groups/{id}", Handle: show},
	}}
}

func list(q *shell.Ask) error {
	values := q.Values("q", "connection", "organization", "cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.Group]](q.R.Context(), q.API, "/groups", values)
	if err != nil {
		return err
	}
	return q.Page("list", "Groups", found)
}

type page struct {
	Group   client.Group
	Members client.Page[client.Account]
}

func show(q *shell.Ask) error {
	ctx := q.R.Context()
	var p page
	var err error
	if p.Group, err = q.API.Group(ctx, q.R.PathValue("id")); err != nil {
		return err
	}
	values := q.Values("q", "cursor")
	values.Set("limit", "50")
	if p.Members, err = client.Get[client.Page[client.Account]](ctx, q.API, "/groups/"+url.PathEscape(p.Group.ID)+"/members", values); err != nil {
		return err
	}
	return q.Page("group", p.Group.Name, p)
}
