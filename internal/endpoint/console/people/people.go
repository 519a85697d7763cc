// Package people is the part of the console about persons: who is in, what is
// known of them and where from, and why somebody is in or is not.
package people

import (
	"embed"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Sections are these parts of the console: the persons, and the question why.
func Sections() []shell.Section {
	return []shell.Section{
		{Name: "people", Templates: templates, Routes: []shell.Route{
			{Pattern: "GET /people", Handle: list},
			{Pattern: "GET /people/export", Handle: func(q *shell.Ask) error {
				return q.Export("/accounts/export", q.Values("q", "status", "connection", "organization", "group", "format"), "people")
			}},
			{Pattern: "GET /people/{id}", Handle: show},
			{Pattern: "POST /people/{id}/read", Need: shell.Changer, Handle: read},
		}},
		{Name: "why", Templates: templates, Routes: []shell.Route{
			{Pattern: "GET /why", Handle: why},
		}},
	}
}

type listPage struct {
	People client.Page[client.Account]
	Counts client.AccountCounts
	Search string
}

func list(q *shell.Ask) error {
	ctx := q.R.Context()
	values := q.Values("q", "status", "connection", "organization", "group", "manager", "cursor")
	p := listPage{Search: values.Get("q")}
	values.Set("limit", "50")
	var err error
	if p.People, err = client.Get[client.Page[client.Account]](ctx, q.API, "/accounts", values); err != nil {
		return err
	}
	if p.Counts, err = q.API.CountAccounts(ctx, values.Get("organization"), values.Get("connection")); err != nil {
		return err
	}
	return q.Page("list", "People", p)
}

type page struct {
	Account client.Account
	Name    string
	Fields  []field
	Chain   []client.OrgPerson
	Groups  []client.Group
	History []entry
	Why     []client.Why
	Asked   bool
	Trouble *shell.Trouble
}

// field is one of a person's, with where it comes from.
type field struct {
	Name, Value, Path string
	From              string
}

// entry is a piece of their history.
type entry struct {
	client.Event
	Fields []shell.Field
}

func show(q *shell.Ask) error { return answer(q, nil) }

func answer(q *shell.Ask, trouble *shell.Trouble) error {
	ctx := q.R.Context()
	p := page{Trouble: trouble}
	var err error
	if p.Account, err = q.API.Account(ctx, q.R.PathValue("id")); err != nil {
		return err
	}
	a := &p.Account
	p.Name = shell.NameOf(a)
	path, err := q.API.OrgPath(ctx, a.ID)
	if err == nil && len(path.People) > 1 {
		p.Chain = path.People[1:]
	} else if err != nil && q.Problem(err).Status != http.StatusNotFound {
		return err
	}
	for _, id := range a.Groups[:min(len(a.Groups), 100)] {
		g, err := q.API.Group(ctx, id)
		if err == nil {
			p.Groups = append(p.Groups, g)
		} else if q.Problem(err).Status != http.StatusNotFound {
			return err
		}
	}
	events, err := client.Get[client.Page[client.Event]](ctx, q.API, "/accounts/"+url.PathEscape(a.ID)+"/events", url.Values{"limit": {"30"}})
	if err != nil {
		return err
	}
	names := shell.NewNames(q)
	for _, e := range events.Items {
		names.Want(e.Before, e.After)
	}
	if err := names.Load(); err != nil {
		return err
	}
	for _, e := range events.Items {
		p.History = append(p.History, entry{e, names.Fields(e.Before, e.After)})
	}
	p.fields()
	if q.R.URL.Query().Has("why") && a.Connection != "local" && a.ExternalID != nil {
		p.Asked = true
		if p.Why, err = q.API.Why(ctx, a.Connection, *a.ExternalID); err != nil {
			p.Trouble = q.Problem(err)
		}
	}
	if trouble != nil {
		return q.Refused("person", p.Name, p)
	}
	return q.Page("person", p.Name, p)
}

func (p *page) fields() {
	a := &p.Account
	for _, f := range []struct {
		name  string
		value *string
	}{
		{"username", a.Username}, {"email", a.Email}, {"first name", a.FirstName}, {"last name", a.LastName}, {"display name", a.DisplayName},
		{"title", a.Title}, {"department", a.Department}, {"location", a.Location}, {"mobile phone", a.MobilePhone}, {"phone", a.Phone},
		{"language", a.Language}, {"role", a.Role},
	} {
		if f.value != nil && *f.value != "" {
			p.Fields = append(p.Fields, field{Name: f.name, Value: *f.value})
		}
	}
	for _, name := range shell.SortedKeys(a.Attributes) {
		p.Fields = append(p.Fields, field{Name: name, Value: shell.Text(a.Attributes[name])})
	}
}

// read reads this person now.
func read(q *shell.Ask) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	a, err := q.API.Account(ctx, id)
	if err != nil {
		return err
	}
	if a.ExternalID == nil {
		q.Say(shell.Path("people", id), "Nobody keeps this account but you.")
		return nil
	}
	run, err := client.Send[client.Run](ctx, q.API, http.MethodPost, "/connections/"+url.PathEscape(a.Connection)+"/sync", nil, map[string]string{"who": *a.ExternalID})
	if err != nil {
		return answer(q, q.Problem(err))
	}
	q.Say(shell.Path("runs", run.ID), "This person is being read from the directory.")
	return nil
}

type whyPage struct {
	Connections []string
	Connection  string
	Who         string
	Why         []client.Why
	Asked       bool
	Trouble     *shell.Trouble
}

func why(q *shell.Ask) error {
	ctx := q.R.Context()
	p := whyPage{Connection: q.R.URL.Query().Get("connection"), Who: strings.TrimSpace(q.R.URL.Query().Get("who"))}
	list, err := client.Get[client.Page[client.Connection]](ctx, q.API, "/connections", url.Values{"limit": {"500"}})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		p.Connections = append(p.Connections, c.Alias)
	}
	if p.Connection == "" && len(p.Connections) > 0 {
		p.Connection = p.Connections[0]
	}
	if p.Who != "" {
		p.Asked = true
		if p.Why, err = q.API.Why(ctx, p.Connection, p.Who); err != nil {
			p.Trouble = q.Problem(err)
		}
	}
	return q.Page("why", "Why?", p)
}
