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
			{Pattern: "POST /people/{id}/password-link", Need: shell.Changer, Handle: passwordLink},
		}},
		{Name: "why", Templates: templates, Routes: []shell.Route{
			{Pattern: "GET /why", Handle: why},
			{Pattern: "POST /why/read", Need: shell.Changer, Handle: readAnybody},
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
	Origin  *client.AccountOrigin // nil where it could not be told
	Unknown *shell.Trouble        // why not
	Groups  []membership
	History []entry
	Why     []client.Why
	Asked   bool
	Trouble *shell.Trouble
	// Keeps says that their password is kept here; Link is one to choose another.
	Keeps bool
	Link  *client.PasswordLink
}

// entry is a piece of their history.
type entry struct {
	client.Event
	Fields []shell.Field
}

func show(q *shell.Ask) error { return answer(q, nil, nil) }

// passwordLink makes a one-time link, and shows it this once.
func passwordLink(q *shell.Ask) error {
	link, err := q.API.PasswordLink(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return answer(q, q.Problem(err), nil)
	}
	return answer(q, nil, &link)
}

// keeps reports whether the password of an account is kept here: no connection keeps
// it, or one that brings passwords.
func keeps(q *shell.Ask, a *client.Account) bool {
	if a.Connection == "local" {
		return a.Status == "active"
	}
	c, err := q.API.Connection(q.R.Context(), a.Connection)
	_, csv := c.Backend["csv"]
	return err == nil && csv && a.Status == "active"
}

func answer(q *shell.Ask, trouble *shell.Trouble, link *client.PasswordLink) error {
	ctx := q.R.Context()
	p := page{Trouble: trouble, Link: link}
	var err error
	if p.Account, err = q.API.Account(ctx, q.R.PathValue("id")); err != nil {
		return err
	}
	p.Keeps = keeps(q, &p.Account)
	a := &p.Account
	p.Name = shell.NameOf(a)
	if origin, err := q.API.AccountOrigin(ctx, a.ID); err == nil {
		p.Origin, p.Fields, p.Groups = &origin, fields(&origin), memberships(origin.Memberships)
	} else {
		p.Unknown, p.Fields = q.Problem(err), plain(a)
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
		return answer(q, q.Problem(err), nil)
	}
	q.Say(shell.Path("runs", run.ID), "This person is being read from the directory.")
	return nil
}

// readAnybody reads somebody now who may have no account.
func readAnybody(q *shell.Ask) error {
	connection, who := q.R.PostFormValue("connection"), strings.TrimSpace(q.R.PostFormValue("who"))
	run, err := q.API.Sync(q.R.Context(), connection, client.SyncInput{Who: who})
	if err != nil {
		return askWhy(q, connection, who, q.Problem(err))
	}
	q.Say(shell.Path("runs", run.ID), "This person is being read from the directory.")
	return nil
}

type whyPage struct {
	Connections []string
	Connection  string
	Who         string
	Why         []client.Why
	Known       bool // somebody of them is in the directory, or has an account
	Asked       bool
	Trouble     *shell.Trouble
}

func why(q *shell.Ask) error {
	return askWhy(q, q.R.URL.Query().Get("connection"), strings.TrimSpace(q.R.URL.Query().Get("who")), nil)
}

func askWhy(q *shell.Ask, connection, who string, trouble *shell.Trouble) error {
	ctx := q.R.Context()
	p := whyPage{Connection: connection, Who: who, Trouble: trouble}
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
		for i := range p.Why {
			p.Known = p.Known || p.Why[i].Entry != nil || p.Why[i].Account != nil
		}
	}
	if trouble != nil {
		return q.Refused("why", "Why?", p)
	}
	return q.Page("why", "Why?", p)
}
