// Package organizations is the part of the console about tenants: the seats each
// uses of those it has, and what belongs to it.
package organizations

import (
	"embed"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "organizations", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /organizations", Handle: list},
		{Pattern: "POST /organizations", Need: shell.Operator, Handle: create},
		{Pattern: "GET /organizations/{id}", Handle: show},
		{Pattern: "POST /organizations/{id}", Need: shell.Operator, Handle: change},
		{Pattern: "POST /organizations/{id}/delete", Need: shell.Operator, Handle: remove},
	}}
}

type listPage struct {
	Organizations     client.Page[client.Organization]
	ID, Name, Licence string // what was given
	Trouble           *shell.Trouble
}

func list(q *shell.Ask) error { return answerList(q, listPage{}) }

func answerList(q *shell.Ask, p listPage) error {
	values := q.Values("cursor")
	values.Set("limit", "50")
	var err error
	if p.Organizations, err = client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", values); err != nil {
		return err
	}
	if p.Trouble != nil {
		return q.Refused("list", "Organizations", p)
	}
	return q.Page("list", "Organizations", p)
}

// seats reads a licence limit; empty is no limit.
func seats(text string) (int, *shell.Trouble) {
	text = strings.ReplaceAll(strings.TrimSpace(text), ",", "")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "The licence limit is a number of seats.", Hint: "Leave it empty for no limit."}
	}
	return n, nil
}

// input is what the form says.
func input(q *shell.Ask) (client.OrganizationInput, *shell.Trouble) {
	name := strings.TrimSpace(q.R.PostFormValue("name"))
	limit, trouble := seats(q.R.PostFormValue("licence"))
	return client.OrganizationInput{Name: &name, LicenceLimit: &limit}, trouble
}

func create(q *shell.Ask) error {
	in, trouble := input(q)
	in.ID = strings.TrimSpace(q.R.PostFormValue("id"))
	if trouble == nil {
		made, err := q.API.CreateOrganization(q.R.Context(), in)
		if err == nil {
			q.Say(shell.Path("organizations", made.ID), "The organization is made. Its first connection comes next.")
			return nil
		}
		trouble = q.Problem(err)
	}
	return answerList(q, listPage{ID: in.ID, Name: *in.Name, Licence: q.R.PostFormValue("licence"), Trouble: trouble})
}

type page struct {
	Organization client.Organization
	Connections  client.Page[client.Connection]
	Counts       client.AccountCounts
	Name         string
	Licence      string
	Trouble      *shell.Trouble
}

func show(q *shell.Ask) error { return answer(q, nil) }

func answer(q *shell.Ask, trouble *shell.Trouble) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	p := page{Trouble: trouble}
	var err error
	if p.Organization, err = q.API.Organization(ctx, id); err != nil {
		return err
	}
	p.Name = p.Organization.Name
	if p.Organization.LicenceLimit != nil {
		p.Licence = strconv.Itoa(*p.Organization.LicenceLimit)
	}
	if trouble != nil && q.R.PostForm.Has("name") {
		p.Name, p.Licence = q.R.PostForm.Get("name"), q.R.PostForm.Get("licence")
	}
	if p.Connections, err = client.Get[client.Page[client.Connection]](ctx, q.API, "/connections", url.Values{"organization": {id}, "limit": {"50"}}); err != nil {
		return err
	}
	if p.Counts, err = q.API.CountAccounts(ctx, id, ""); err != nil {
		return err
	}
	if trouble != nil {
		return q.Refused("organization", p.Organization.Name, p)
	}
	return q.Page("organization", p.Organization.Name, p)
}

func change(q *shell.Ask) error {
	in, trouble := input(q)
	if trouble == nil {
		_, err := q.API.UpdateOrganization(q.R.Context(), q.R.PathValue("id"), in)
		if err == nil {
			q.Say(shell.Path("organizations", q.R.PathValue("id")), "Saved.")
			return nil
		}
		trouble = q.Problem(err)
	}
	return answer(q, trouble)
}

func remove(q *shell.Ask) error {
	id := q.R.PathValue("id")
	if q.R.PostFormValue("id") != id {
		return answer(q, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "The name typed in is another one.", Hint: "Type " + id + " to take this organization away."})
	}
	if err := q.API.DeleteOrganization(q.R.Context(), id); err != nil {
		return answer(q, q.Problem(err))
	}
	q.Say("/organizations", "The organization is gone. Nobody else is ever given its ID.")
	return nil
}
