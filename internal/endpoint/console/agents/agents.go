// Package agents is the part of the console about agents in customers' networks:
// which there are and how they are connected, making one, and its secret, shown once
// with what to type to install it.
package agents

import (
	"embed"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/store/admins"
)

//go:embed *.html
var templates embed.FS

type section struct {
	admins *admins.Admins
	public string
}

// Section is this part of the console; the administrators' tables say whether a
// password was given lately: who has an agent's secret answers for a directory.
func Section(a *admins.Admins, publicURL string) shell.Section {
	s := section{a, publicURL}
	return shell.Section{Name: "agents", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /agents", Handle: list},
		{Pattern: "GET /new-agent", Need: shell.Changer, Handle: s.blank},
		{Pattern: "POST /new-agent", Need: shell.Changer, Handle: s.create},
		{Pattern: "GET /agents/{id}", Handle: show},
		{Pattern: "POST /agents/{id}/{what}", Need: shell.Changer, Handle: s.act},
	}}
}

type listPage struct {
	client.Page[client.Agent]
	Connection string
}

func list(q *shell.Ask) error {
	values := q.Values("connection", "cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.Agent]](q.R.Context(), q.API, "/agents", values)
	if err != nil {
		return err
	}
	return q.Page("list", "Agents", listPage{found, values.Get("connection")})
}

// form is an agent as inputs.
type form struct {
	Name       string
	Connection string
	All        []client.Connection
	Trouble    *shell.Trouble
}

// offer fills in what there is to choose from: connections that are read, not those
// that somebody pushes to.
func (f *form) offer(q *shell.Ask) error {
	found, err := client.Get[client.Page[client.Connection]](q.R.Context(), q.API, "/connections", url.Values{"limit": {"200"}})
	if err != nil {
		return err
	}
	for i := range found.Items {
		if _, pushed := found.Items[i].Backend["scim"]; !pushed {
			f.All = append(f.All, found.Items[i])
		}
	}
	return nil
}

func (s section) blank(q *shell.Ask) error {
	f := &form{Connection: q.R.URL.Query().Get("connection")}
	in, err := signed.Fresh(q, s.admins, newPath(f.Connection))
	if err != nil || in == nil {
		return err
	}
	if err := f.offer(q); err != nil {
		return err
	}
	return q.Page("form", "New agent", f)
}

func newPath(connection string) string {
	if connection == "" {
		return "/new-agent"
	}
	return "/new-agent?" + url.Values{"connection": {connection}}.Encode()
}

func (s section) create(q *shell.Ask) error {
	f := &form{Name: strings.TrimSpace(q.R.PostFormValue("name")), Connection: q.R.PostFormValue("connection")}
	in, err := signed.Fresh(q, s.admins, newPath(f.Connection))
	if err != nil || in == nil {
		return err
	}
	made, err := q.API.CreateAgent(q.R.Context(), client.AgentInput{Name: f.Name, Connection: f.Connection})
	if err != nil {
		f.Trouble = q.Problem(err)
		if err := f.offer(q); err != nil {
			return err
		}
		return q.Refused("form", "New agent", f)
	}
	return q.Page("secret", "The agent", shownSecret{made, true, Address(s.public)})
}

// shownSecret is the page that shows a secret, once.
type shownSecret struct {
	Agent   client.NewAgent
	Made    bool
	Address string
}

// Address is what an agent is given to find the server by: host and port, and the
// scheme where it is not https.
func Address(public string) string {
	u, err := url.Parse(public)
	if err != nil || u.Host == "" {
		return "SERVER:443"
	}
	switch {
	case u.Scheme == "http":
		return "http://" + u.Host
	case u.Port() == "":
		return u.Host + ":443"
	}
	return u.Host
}

type page struct {
	Agent   client.Agent
	Valid   bool // it is not revoked
	Trouble *shell.Trouble
}

func show(q *shell.Ask) error { return answer(q, nil) }

func answer(q *shell.Ask, trouble *shell.Trouble) error {
	a, err := q.API.Agent(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return err
	}
	p := page{Agent: a, Valid: a.RevokedAt == nil, Trouble: trouble}
	if trouble != nil {
		return q.Refused("agent", a.Name, p)
	}
	return q.Page("agent", a.Name, p)
}

// act does what a button of the page says.
func (s section) act(q *shell.Ask) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	in, err := signed.Fresh(q, s.admins, shell.Path("agents", id))
	if err != nil || in == nil {
		return err
	}
	switch q.R.PathValue("what") {
	case "secret":
		hours, err := strconv.Atoi(q.R.PostFormValue("overlap"))
		if err != nil || hours < 0 || hours > 720 {
			return answer(q, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "How long the old secret stays good is hours, 720 at the most."})
		}
		seconds := int(time.Duration(hours) * time.Hour / time.Second)
		a, err := q.API.RotateAgentSecret(ctx, id, client.AgentRotateInput{OverlapSeconds: &seconds})
		if err != nil {
			return answer(q, q.Problem(err))
		}
		return q.Page("secret", "The secret", shownSecret{Agent: a, Address: Address(s.public)})
	case "revoke":
		a, err := q.API.RevokeAgent(ctx, id)
		if err != nil {
			return answer(q, q.Problem(err))
		}
		q.Say(shell.Path("agents", id), a.Name+" is revoked: its connection is cut, and its secret is good for nothing.")
		return nil
	case "forget":
		a, err := q.API.ForgetAgent(ctx, id)
		if err != nil {
			return answer(q, q.Problem(err))
		}
		q.Say("/agents", a.Name+" is off the list.")
		return nil
	}
	http.NotFound(q.W, q.R)
	return nil
}
