// Package overview is the console's first page: how the connections stand, what
// waits for a person, how full the organizations are, and what happened in the last
// week.
package overview

import (
	"embed"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/runs"
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
	client.Overview
	Healths []health
	Health  string // the only one that is shown; ""
	Held    []client.Plan
	More    bool // more plans are held than are shown
	Changes shell.Bars
	Todo    []todo
	Running int
}

// health is how many connections are in one way.
type health struct {
	Word, Tone string
	Count      int
	From, Wide string // of its piece of the bar, in hundredths
}

// todo is something a person should do, with where.
type todo struct {
	Tone, Text, Hint, Link, Do string
}

// theme remembers the colours somebody wants in this browser.
func theme(q *shell.Ask) error {
	q.Remember("theme", q.R.PostFormValue("theme"))
	q.Redirect(shell.Back(q.R.PostFormValue("back")))
	return nil
}

func show(q *shell.Ask) error {
	const held, shown = 5, 50
	ctx, query := q.R.Context(), q.R.URL.Query()
	p := page{Health: query.Get("health")}
	var err error
	if p.Overview, err = q.API.Overview(ctx, client.OverviewQuery{Health: p.Health}, client.Piece{Limit: shown, Cursor: query.Get("cursor")}); err != nil {
		return err
	}
	plans, err := q.API.PlanPage(ctx, client.ListQuery{State: "held", NoDrafts: true}, client.Piece{Limit: held})
	if err != nil {
		return err
	}
	p.Held, p.More = plans.Items, plans.NextCursor != nil
	if p.Changes, _, err = runs.Week(q, "", ""); err != nil {
		return err
	}
	p.Healths = healths(p.Overview.Health)
	p.Todo = todos(&p.Overview)
	for i := range p.Items {
		if p.Items[i].Running != nil {
			p.Running++
		}
	}
	return q.Page("overview", "Overview", p)
}

// healths are those that some connection is in, the worst first.
func healths(h client.OverviewHealth) (out []health) {
	all := h.Quarantined + h.Failing + h.Unset + h.Held + h.Incomplete + h.New + h.OK
	from := 0.0
	for _, one := range []health{
		{Word: "quarantined", Tone: "bad", Count: h.Quarantined}, {Word: "failing", Tone: "bad", Count: h.Failing}, {Word: "unset", Tone: "wait", Count: h.Unset}, {Word: "held", Tone: "wait", Count: h.Held},
		{Word: "incomplete", Tone: "wait", Count: h.Incomplete}, {Word: "new", Tone: "new", Count: h.New}, {Word: "ok", Tone: "good", Count: h.OK},
	} {
		if one.Count == 0 {
			continue
		}
		wide := 100 * float64(one.Count) / float64(all)
		one.From, one.Wide = strconv.FormatFloat(from, 'f', 2, 64), strconv.FormatFloat(wide, 'f', 2, 64)
		from += wide
		out = append(out, one)
	}
	return out
}

// todos are the things beside the connections' own troubles that a person should
// look at, the gravest first.
func todos(o *client.Overview) (out []todo) {
	for _, s := range o.Seats {
		if s.LicenceLimit == nil || s.SeatsUsed < *s.LicenceLimit {
			continue
		}
		out = append(out, todo{"bad", s.Name + " has no seat left", "Whoever comes next waits for a person: a plan that needs more seats is held.", shell.Path("organizations"), "Organizations"})
	}
	if n := o.FailingWebhooks; n > 0 {
		out = append(out, todo{"bad", shell.Count(n, "webhook accepts nothing", "webhooks accept nothing"), "What they should have been told waits, or was given up.", "/webhooks", "Webhooks"})
	}
	if n := o.DeadDeliveries; n > 0 {
		out = append(out, todo{"bad", shell.Count(n, "delivery was given up", "deliveries were given up"), "Each can be sent again once its receiver is there.", "/webhooks", "Webhooks"})
	}
	if n := o.Undecided; n > 0 {
		out = append(out, todo{"wait", shell.Count(n, "connection has claims to decide", "connections have claims to decide"), "Two entries claim one person, or a change is refused by the policy.", "/disputes", "Disputes"})
	}
	return out
}

// Words says how all connections stand, in a sentence.
func (p page) Words() string {
	h := p.Overview.Health
	bad, waits := h.Quarantined+h.Failing+h.Unset, h.Held+h.Incomplete
	if bad+waits+h.New == 0 {
		if p.Connections == 1 {
			return "The connection is well."
		}
		return "All " + shell.Count(p.Connections, "connection", "connections") + " are well."
	}
	var parts []string
	for _, one := range []struct {
		n         int
		one, more string
	}{{bad, "does not work", "do not work"}, {h.Held, "waits for a person", "wait for a person"}, {h.Incomplete, "did not see everything", "did not see everything"}, {h.New, "was never read", "were never read"}} {
		if one.n > 0 {
			parts = append(parts, shell.Count(one.n, one.one, one.more))
		}
	}
	return "Of " + shell.Count(p.Connections, "connection", "connections") + " " + strings.Join(parts, ", ") + "."
}
