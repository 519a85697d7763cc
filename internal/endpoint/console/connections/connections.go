// Package connections is the part of the console about connections: how each
// stands, the form that makes and changes them with a test for every part of it,
// and what a change would do before it takes effect.
package connections

import (
	"embed"
	"net/http"
	"net/url"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/runs"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/source"
)

//go:embed *.html
var templates embed.FS

type section struct{ kinds []source.Kind }

// Section is this part of the console; kinds are the sources there are.
func Section(kinds []source.Kind) shell.Section {
	s := section{kinds}
	return shell.Section{Name: "connections", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /connections", Handle: list},
		{Pattern: "GET /new-connection", Need: shell.Changer, Handle: s.choose},
		{Pattern: "GET /new-connection/{kind}", Need: shell.Changer, Handle: s.begin},
		{Pattern: "POST /new-connection/{kind}", Need: shell.Changer, Handle: s.create},
		{Pattern: "GET /connections/{alias}", Handle: show},
		{Pattern: "GET /connections/{alias}/edit", Need: shell.Changer, Handle: s.edit},
		{Pattern: "POST /connections/{alias}/edit", Need: shell.Changer, Handle: s.change},
		{Pattern: "GET /connections/{alias}/mapping", Need: shell.Changer, Handle: s.mapping},
		{Pattern: "POST /connections/{alias}/mapping", Need: shell.Changer, Handle: s.changeMapping},
		{Pattern: "POST /connections/{alias}/{what}", Need: shell.Changer, Files: true, Handle: act},
	}}
}

func list(q *shell.Ask) error {
	values := q.Values("organization", "cursor")
	values.Set("limit", "100")
	found, err := client.Get[client.Page[client.Connection]](q.R.Context(), q.API, "/connections", values)
	if err != nil {
		return err
	}
	return q.Page("list", "Connections", found)
}

type page struct {
	Connection client.Connection
	Kind       string
	Runs       []client.Run
	Held       []client.Plan
	Files      []client.Upload
	Changes    shell.Bars
	Agents     []client.Agent
	Fenced     bool        // it had agents, and all are revoked
	Policy     []policyRow // where an agent said what it allows; empty elsewhere
	Check      *client.Check
	Trouble    *shell.Trouble
}

func show(q *shell.Ask) error { return answer(q, nil, nil) }

func answer(q *shell.Ask, check *client.Check, trouble *shell.Trouble) error {
	ctx, alias := q.R.Context(), q.R.PathValue("alias")
	p := page{Check: check, Trouble: trouble}
	var err error
	if p.Connection, err = q.API.Connection(ctx, alias); err != nil && q.Problem(err).Status == http.StatusNotFound {
		return gone(q, alias, err)
	}
	if err != nil {
		return err
	}
	for name := range p.Connection.Backend {
		p.Kind = name
	}
	runsOf, err := client.Get[client.Page[client.Run]](ctx, q.API, "/runs", url.Values{"connection": {alias}, "limit": {"8"}})
	if err != nil {
		return err
	}
	held, err := q.API.PlanPage(ctx, client.ListQuery{Connection: alias, State: "held", NoDrafts: true}, client.Piece{Limit: 5})
	if err != nil {
		return err
	}
	if p.Changes, _, err = runs.Week(q, "", alias); err != nil {
		return err
	}
	if backend, ok := p.Connection.Backend["csv"].(map[string]any); ok && backend["upload"] == true {
		files, err := client.Get[client.Page[client.Upload]](ctx, q.API, "/connections/"+url.PathEscape(alias)+"/files", nil)
		if err != nil {
			return err
		}
		p.Files = files.Items
	}
	if p.Agents, p.Fenced, p.Policy, err = agentsOf(q, alias); err != nil {
		return err
	}
	p.Runs, p.Held = runsOf.Items, held.Items
	if trouble != nil {
		return q.Refused("connection", alias, p)
	}
	return q.Page("connection", alias, p)
}

// act does what a button of the page says.
func act(q *shell.Ask) error {
	ctx, alias := q.R.Context(), q.R.PathValue("alias")
	switch q.R.PathValue("what") {
	case "sync":
		run, err := q.API.Sync(ctx, alias, client.SyncInput{Full: q.R.PostFormValue("full") != ""})
		if err != nil {
			return answer(q, nil, q.Problem(err))
		}
		q.Redirect(shell.Path("runs", run.ID))
	case "plan":
		p, err := q.API.MakePlan(ctx, alias, client.SyncInput{}, nil)
		if err != nil {
			return answer(q, nil, q.Problem(err))
		}
		q.Redirect(shell.Path("plans", p.ID))
	case "check":
		found, err := q.API.Check(ctx, alias, nil)
		if err != nil {
			return answer(q, nil, q.Problem(err))
		}
		return answer(q, &found, nil)
	case "reset":
		if err := q.API.ResetConnection(ctx, alias); err != nil {
			return answer(q, nil, q.Problem(err))
		}
		q.Say(shell.Path("connections", alias), "What was read is forgotten: the next reading is a full one.")
	case "delete":
		if q.R.PostFormValue("alias") != alias {
			return answer(q, nil, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "The name typed in is another one.", Hint: "Type " + alias + " to take this connection away."})
		}
		if err := q.API.DeleteConnection(ctx, alias); err != nil {
			return answer(q, nil, q.Problem(err))
		}
		q.Say("/connections", "The connection is gone. Its accounts stay as they are.")
	case "file":
		file, head, err := q.R.FormFile("file")
		if err != nil {
			return answer(q, nil, &shell.Trouble{Status: http.StatusUnprocessableEntity, Text: "No file was chosen."})
		}
		defer file.Close() //nolint:errcheck // only read
		up, err := q.API.Upload(ctx, alias, head.Filename, file)
		if err != nil {
			return answer(q, nil, q.Problem(err))
		}
		if up.Run != nil {
			q.Redirect(shell.Path("runs", *up.Run))
		} else {
			q.Say(shell.Path("connections", alias), "The file was taken.")
		}
	default:
		http.NotFound(q.W, q.R)
	}
	return nil
}
