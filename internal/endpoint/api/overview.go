package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/store/overview"
)

func (s *server) overview() {
	register(s, operation{id: "get-overview", method: http.MethodGet, path: "/overview", tag: "overview", summary: "How everything is: connections, the worst first, and numbers", fails: []int{http.StatusNotFound}}, s.glance)
}

// soon is how long before its end a credential is told of.
const soon = 60 * 24 * time.Hour

func (s *server) glance(ctx context.Context, in *struct {
	Paging
	Organization string `query:"organization" doc:"Only this organization's."`
	Health       string `query:"health" enum:"quarantined,failing,unset,held,incomplete,new,ok" doc:"Only connections that are so."`
}) (*body[client.Overview], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	if in.Organization != "" {
		if _, err := s.Registry.Organization(ctx, who(ctx), in.Organization); err != nil {
			return nil, err
		}
	}
	list := fmt.Sprintf("overview %q %q", organization, in.Health)
	q := overview.Query{Organization: organization, Health: overview.Health(in.Health), Limit: in.Limit, Now: s.Now(), Soon: soon}
	if err := openCursor(list, in.Cursor, &q.After); err != nil {
		return nil, err
	}
	for _, c := range s.Registry.Config().Connections {
		if organization == "" || c.Organization == organization {
			q.Declared = append(q.Declared, overview.Declared{Alias: c.Alias, Organization: c.Organization, Scheduled: c.Schedule != "", Unset: len(c.Unset) > 0})
		}
	}
	found, n, err := s.Store.Overview.Read(ctx, q)
	if err != nil {
		return nil, err
	}
	page, err := cut(list, found, in.Limit, func(c overview.Connection) any { return c.Place() })
	if err != nil {
		return nil, err
	}
	out := client.Overview{Items: make([]client.OverviewConnection, len(page.Body.Items)), NextCursor: page.Body.NextCursor, Connections: n.Connections,
		Health: client.OverviewHealth{Quarantined: n.Health[overview.Quarantined], Failing: n.Health[overview.Failing], Unset: n.Health[overview.Unset], Held: n.Health[overview.Held],
			Incomplete: n.Health[overview.Incomplete], New: n.Health[overview.New], OK: n.Health[overview.OK]},
		Unscheduled: n.Unscheduled, Attention: n.Attention, Expiring: n.Expiring, Undecided: n.Undecided, Accounts: n.Accounts, Active: n.Active, People: n.People, Groups: n.Groups,
		DeadDeliveries: n.Dead, FailingWebhooks: n.Failing, Seats: make([]client.OverviewSeats, len(n.Seats))}
	for i := range page.Body.Items {
		out.Items[i] = glanceAt(&page.Body.Items[i])
	}
	for i, o := range n.Seats {
		out.Seats[i] = client.OverviewSeats{Organization: o.Organization, Name: o.Name, SeatsUsed: o.Used}
		if o.Limit > 0 {
			out.Seats[i].LicenceLimit = &n.Seats[i].Limit
		}
	}
	return &body[client.Overview]{out}, nil
}

func glanceAt(c *overview.Connection) client.OverviewConnection {
	out := client.OverviewConnection{Alias: c.Alias, Organization: c.Organization, Health: string(c.Health), Scheduled: c.Scheduled, Failures: c.Failures, PlanHeld: c.PlanHeld,
		LastCompleteAt: at(c.CompleteAt), NextRunAt: at(c.NextAt), RetryAt: at(c.RetryAt), LastRunAt: at(c.RunAt), ExpiresAt: at(c.ExpiresAt),
		Plan: optional(c.Plan), Running: optional(c.Running), LastRun: optional(c.RunID), Expires: optional(c.Expires), People: c.People, Groups: c.Groups, Undecided: c.Undecided}
	if c.RunState != "" {
		out.LastRunState = optional(engine.RunState(c.RunState).String())
	}
	out.Attention = optional(attentionOf(c))
	return out
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// attentionOf says in a sentence what a person should look at; "" for nothing.
func attentionOf(c *overview.Connection) string {
	switch {
	case c.Health == overview.Quarantined:
		return fmt.Sprintf("%d runs failed one after the other; the schedule waits until %s: %s", c.Failures, c.RetryAt.Format(time.RFC3339), c.Cause)
	case c.Health == overview.Failing:
		return c.Cause
	case c.Health == overview.Unset:
		return "a setting or a secret is missing"
	case c.Health == overview.Held:
		return c.Because
	case c.Health == overview.Incomplete:
		return "the last reading was not complete: " + c.Reason
	case c.Attention != "":
		return c.Attention
	case c.Expires != "":
		return fmt.Sprintf("%s runs out on %s", c.Expires, c.ExpiresAt.Format(time.DateOnly))
	}
	return ""
}
