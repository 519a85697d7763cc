// Package events is the part of the console about what happened: the feed with
// filters, and of it the audit log, what people did to the installation.
package events

import (
	"embed"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "events", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /events", Handle: list},
		{Pattern: "GET /events/export", Handle: export},
	}}
}

// Family is a choice of types.
type Family struct {
	Name, Text string
	Types      []string
}

// Families are what the feed is usually narrowed to; Audit is what administrators
// did, and what happened to settings.
func Families() []Family {
	return []Family{
		{"accounts", "accounts", []string{"account.*"}},
		{"groups", "groups and memberships", []string{"group.*", "membership.*"}},
		{"runs", "runs and plans", []string{"run.*", "plan.*"}},
		{"connections", "connections", []string{"connection.*"}},
		{"admins", "administrators", []string{"admin.*", "setup_link.*"}},
		{"settings", "settings and keys", []string{"organization.*", "apikey.*", "webhook.*", "delivery.*", "client.*", "signing_keys.*", "target.*", "secrets.*", "feed.*"}},
	}
}

// audit are the types that are about the installation, and decisions of people.
var audit = []string{"admin.*", "setup_link.*", "organization.*", "connection.*", "apikey.*", "webhook.*", "delivery.*", "client.*", "signing_keys.*", "target.*", "secrets.*", "feed.*", "plan.*"}

type page struct {
	Events        []entry
	Families      []Family
	Types         []string // all there are, to choose one
	Connections   []string
	Organizations []client.Organization
	Audit         bool
	Next          string
	Searching     bool // there may be more further back, although this page is not full
	Newest        int64
	Wrong         string // what is wrong with a filter
}

// entry is an event as the page shows it.
type entry struct {
	client.Event
	Fields []shell.Field
	Whom   string // the account's name
	Group  string
	// Webhook is the ID of the one it is about; "" where it is gone or about another
	// thing.
	Webhook string
	Actor   actor
}

// actor is who did it.
type actor struct{ Kind, Name string }

// actorOf takes "admin:ada@example.com" apart.
func actorOf(s string) actor {
	kind, name, named := strings.Cut(s, ":")
	if !named {
		return actor{"", s}
	}
	words := map[string]string{"admin": "", "apikey": "API key", "operator": "command line", "setup": "set-up link"}
	if word, ok := words[kind]; ok {
		return actor{word, name}
	}
	return actor{kind, name}
}

// filter is the API's query of what was asked for, and what is wrong with it.
func filter(given url.Values) (out url.Values, wrong string) {
	out = url.Values{}
	for _, name := range []string{"organization", "connection", "account", "run"} {
		if v := strings.TrimSpace(given.Get(name)); v != "" {
			out.Set(name, v)
		}
	}
	if who := strings.TrimSpace(given.Get("actor")); who != "" {
		// An address is an administrator's.
		if strings.Contains(who, "@") && !strings.Contains(who, ":") {
			who = "admin:" + who
		}
		out.Set("actor", who)
	}
	types := []string{}
	if t := given.Get("type"); t != "" {
		types = []string{t}
	} else if i := slices.IndexFunc(Families(), func(f Family) bool { return f.Name == given.Get("about") }); i >= 0 {
		types = Families()[i].Types
	} else if given.Get("about") == "audit" {
		types = audit
	}
	if len(types) > 0 {
		out.Set("types", strings.Join(types, ","))
	}
	for _, name := range []string{"since", "until"} {
		v := strings.TrimSpace(given.Get(name))
		if v == "" {
			continue
		}
		at, err := moment(v)
		if err != nil {
			wrong = "“" + v + "” is no time such as 2026-11-22 or 2026-11-22T14:00."
			continue
		}
		if name == "until" && len(v) == len(time.DateOnly) {
			at = at.AddDate(0, 0, 1) // that day included
		}
		out.Set(name, at.Format(time.RFC3339))
	}
	return out, wrong
}

// moment reads what the input of a time, a link or a person gives; without a zone
// it is UTC.
func moment(text string) (time.Time, error) {
	var at time.Time
	var err error
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if at, err = time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return at, err
}

const pageSize = 50

func list(q *shell.Ask) error {
	ctx, given := q.R.Context(), q.R.URL.Query()
	values, wrong := filter(given)
	p := page{Families: Families(), Audit: given.Get("about") == "audit", Wrong: wrong}
	values.Set("last", "true")
	values.Set("limit", strconv.Itoa(pageSize))
	if before := given.Get("cursor"); before != "" {
		values.Set("before", before)
	}
	found, err := client.Get[client.EventPage](ctx, q.API, "/events", values)
	if t := q.Problem(err); t != nil && t.Status == 422 {
		p.Wrong = t.Text
	} else if err != nil {
		return err
	}
	p.Newest = found.Newest
	if found.Before != nil {
		p.Next, p.Searching = strconv.FormatInt(*found.Before, 10), len(found.Items) < pageSize
	}
	if err := p.show(q, found.Items); err != nil {
		return err
	}
	for c, err := range q.API.Connections(ctx, "") {
		if err != nil {
			return err
		}
		if p.Connections = append(p.Connections, c.Alias); len(p.Connections) == 200 {
			break
		}
	}
	if q.Me.All() {
		for o, err := range q.API.Organizations(ctx) {
			if err != nil {
				return err
			}
			if p.Organizations = append(p.Organizations, o); len(p.Organizations) == 200 {
				break
			}
		}
	}
	return q.Page("list", "Events", p)
}

// show turns the feed's order round, and names who and what events are about.
func (p *page) show(q *shell.Ask, found []client.Event) error {
	names := shell.NewNames(q)
	for _, e := range found {
		names.Want(e.Before, e.After)
		if e.Account != nil {
			names.WantAccount(*e.Account)
		}
		if e.Group != nil {
			names.WantGroup(*e.Group)
		}
	}
	if err := names.Load(); err != nil {
		return err
	}
	for _, e := range slices.Backward(found) {
		x := entry{Event: e, Fields: names.Fields(e.Before, e.After), Actor: actorOf(e.Actor)}
		if e.Account != nil {
			x.Whom = names.Account(*e.Account)
		}
		if e.Group != nil {
			x.Group = names.Group(*e.Group)
		}
		x.Webhook = webhookOf(e)
		p.Events = append(p.Events, x)
	}
	return nil
}

// webhookOf is the webhook that stands in what an event says.
func webhookOf(e client.Event) string {
	if !strings.HasPrefix(e.Type, "webhook.") && !strings.HasPrefix(e.Type, "delivery.") || e.Type == "webhook.deleted" {
		return ""
	}
	var form struct{ Webhook string }
	if json.Unmarshal(e.After, &form) != nil {
		return ""
	}
	return form.Webhook
}

// export hands on everything the filter lets through, the oldest first.
func export(q *shell.Ask) error {
	values, _ := filter(q.R.URL.Query())
	values.Set("format", "csv")
	if q.R.URL.Query().Get("format") == "ndjson" {
		values.Set("format", "ndjson")
	}
	return q.Export("/events/export", values, "events")
}
