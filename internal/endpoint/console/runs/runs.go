// Package runs is the part of the console about what was done: every pass over a
// directory, live while it goes on, and the way back from it.
package runs

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "runs", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /runs", Handle: list},
		{Pattern: "GET /runs/{id}", Handle: show},
		{Pattern: "GET /runs/{id}/live", Handle: live},
		{Pattern: "POST /runs/{id}/cancel", Need: shell.Changer, Handle: cancel},
		{Pattern: "POST /runs/{id}/revert", Need: shell.Changer, Handle: revert},
	}}
}

type listPage struct {
	Runs       client.Page[client.Run]
	State      string
	Connection string
	Changes    shell.Bars
	Duration   shell.Bars
	Days       int
}

func list(q *shell.Ask) error {
	values := q.Values("state", "connection", "organization", "trigger", "since", "until", "cursor")
	p := listPage{State: values.Get("state"), Connection: values.Get("connection"), Days: 7}
	values.Set("limit", "50")
	var err error
	if p.Runs, err = client.Get[client.Page[client.Run]](q.R.Context(), q.API, "/runs", values); err != nil {
		return err
	}
	if p.Changes, p.Duration, err = Week(q, values.Get("organization"), p.Connection); err != nil {
		return err
	}
	return q.Page("list", "Runs", p)
}

// patience is how long a page waits for its picture.
const patience = 500 * time.Millisecond

// Week draws the last seven days in pieces of six hours: what was changed, and how
// long the longest run took.
func Week(q *shell.Ask, organization, connection string) (changes, duration shell.Bars, err error) {
	const slot, days = 6 * time.Hour, 7
	until := q.Now().UTC().Truncate(slot).Add(slot)
	since := until.Add(-days * 24 * time.Hour)
	// With very many runs adding them up takes longer than anybody should wait for a
	// page: it then comes without the picture.
	ctx, cancel := context.WithTimeout(q.R.Context(), patience)
	defer cancel()
	found, err := q.API.Statistics(ctx, client.StatisticsQuery{Organization: organization, Connection: connection, Since: since, Until: until, By: "hour"})
	if err != nil && ctx.Err() != nil && q.R.Context().Err() == nil {
		changes.Title = "Too many runs to be added up at once; choose a connection"
		return changes, changes, nil
	}
	if err != nil {
		return changes, duration, err
	}
	type sum struct{ runs, failed, held, changes, longest int64 }
	sums := make([]sum, days*24*time.Hour/slot)
	for _, s := range found.Slots {
		i := int(s.At.Sub(since) / slot)
		if i < 0 || i >= len(sums) {
			continue
		}
		x := &sums[i]
		n := s.Runs
		x.runs += int64(n.Running + n.Applied + n.Held + n.Failed + n.Rejected + n.Reverted)
		x.failed += int64(n.Failed)
		x.held += int64(n.Held)
		x.changes += total(s.Changes)
		x.longest = max(x.longest, s.LongestMS)
	}
	changes.Title, duration.Title = "Changes in the last seven days", "The longest run in the last seven days"
	for i, x := range sums {
		at := since.Add(time.Duration(i) * slot)
		label := ""
		if at.Hour() == 0 {
			label = at.Format("Mon 2")
		}
		when := at.Format("Mon 2 January, 15:04") + " to " + at.Add(slot).Format("15:04")
		query := url.Values{"since": {at.Format(time.RFC3339)}, "until": {at.Add(slot).Format(time.RFC3339)}}
		if connection != "" {
			query.Set("connection", connection)
		}
		link := ""
		if x.runs > 0 {
			link = "/runs?" + query.Encode()
		}
		words := []string{shell.Count(x.runs, "run", "runs"), shell.Count(x.changes, "change", "changes")}
		if x.failed > 0 {
			words = append(words, fmt.Sprintf("%d failed", x.failed))
		}
		if x.held > 0 {
			words = append(words, fmt.Sprintf("%d held", x.held))
		}
		tone := "new"
		if x.held > 0 {
			tone = "wait"
		}
		bar := shell.Bar{Label: label, Link: link, Title: when + ": " + strings.Join(words, ", "), Parts: []shell.Part{{Value: x.changes, Tone: tone}}}
		if x.changes == 0 && x.runs > 0 {
			bar.Parts = []shell.Part{{Value: 1, Tone: "calm"}} // there was a run, and nothing to do
		}
		if x.failed > 0 {
			bar.Parts = append(bar.Parts, shell.Part{Value: max(1, x.changes/10), Tone: "bad"})
		}
		changes.Bars = append(changes.Bars, bar)
		duration.Bars = append(duration.Bars, shell.Bar{Label: label, Link: link, Title: when + ": " + shell.Length(time.Duration(x.longest)*time.Millisecond), Parts: []shell.Part{{Value: x.longest, Tone: "calm"}}})
	}
	return changes, duration, nil
}

func total(c client.RunChanges) int64 {
	n := c.Add + c.Remove
	for _, k := range []client.Counts{c.Counts, c.Groups} {
		n += k.Create + k.Update + k.Link + k.Disable + k.Enable + k.Delete + k.Restore
	}
	return int64(n)
}

type page struct {
	Run        client.Run
	Rows       []shell.Change
	More       bool
	Causes     []client.PlanProblem
	MoreCauses int // notes whose causes are not told apart
	Trouble    *shell.Trouble
}

func show(q *shell.Ask) error { return answer(q, nil) }

func answer(q *shell.Ask, trouble *shell.Trouble) error {
	ctx := q.R.Context()
	p := page{Trouble: trouble}
	var err error
	if p.Run, err = q.API.Run(ctx, q.R.PathValue("id")); err != nil {
		return err
	}
	if p.Run.Plan != nil && p.Run.State != "running" {
		if err := p.plan(q, *p.Run.Plan); err != nil {
			return err
		}
	}
	if trouble != nil {
		return q.Refused("run", "Run "+p.Run.ID, p)
	}
	return q.Page("run", "Run "+p.Run.ID, p)
}

// plan adds the first rows of a run's plan, and its notes by cause. Rows that were
// pruned are no reason not to show the run.
func (p *page) plan(q *shell.Ask, id string) error {
	const most = 20
	ctx, path := q.R.Context(), "/plans/"+url.PathEscape(id)
	rows, err := client.Get[client.Page[client.Change]](ctx, q.API, path+"/changes", url.Values{"limit": {fmt.Sprint(most)}})
	if err != nil {
		var gone *client.Problem
		if errors.As(err, &gone) && (gone.Status == http.StatusConflict || gone.Status == http.StatusNotFound) {
			return nil
		}
		return err
	}
	if p.Rows, err = shell.Changes(q, id, rows.Items, false); err != nil {
		return err
	}
	p.More = rows.NextCursor != nil
	problems, err := q.API.Problems(ctx, id)
	if err != nil {
		return err
	}
	p.Causes, p.MoreCauses = problems.Items, problems.More
	return nil
}

// live is a stream of how the run stands, as the page shows it.
func live(q *shell.Ask) error {
	if _, err := q.API.Run(q.R.Context(), q.R.PathValue("id")); err != nil {
		return err // while there is somebody to tell
	}
	events, err := q.Stream()
	if err != nil {
		return err
	}
	_, err = q.API.Wait(q.R.Context(), q.R.PathValue("id"), func(p client.Progress) {
		var b bytes.Buffer
		if q.Part(&b, "progress", p) == nil {
			events.Send("part", b.String())
		}
	})
	if err == nil {
		events.Send("end", "ended")
	}
	return nil // the stream has begun: there is nobody to tell
}

func cancel(q *shell.Ask) error {
	id := q.R.PathValue("id")
	if _, err := q.API.Cancel(q.R.Context(), id); err != nil {
		return answer(q, q.Problem(err))
	}
	q.Say(shell.Path("runs", id), "The run was told to stop.")
	return nil
}

// revert shows what undoing the run would do: its plan can be approved there.
func revert(q *shell.Ask) error {
	p, err := q.API.PlanRevert(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return answer(q, q.Problem(err))
	}
	q.Say(shell.Path("plans", p.ID), "This is what undoing the run would do. Nothing has happened yet.")
	return nil
}
