package client

import (
	"context"
	"net/http"
	"time"
)

// OverviewConnection is one connection at a glance.
type OverviewConnection struct {
	Alias          string     `json:"alias"`
	Organization   string     `json:"organization"`
	Health         string     `json:"health" enum:"quarantined,failing,unset,held,incomplete,new,ok" doc:"One word: quarantined failed so often that its schedule waits; unset lacks a setting or a secret; held has a plan that waits for a person; incomplete did not see everything; new was never read."`
	Attention      *string    `json:"attention" doc:"What a person should look at, in a sentence."`
	Scheduled      bool       `json:"scheduled" doc:"It runs by itself."`
	LastCompleteAt *time.Time `json:"last_complete_at" doc:"When a reading last saw everything."`
	NextRunAt      *time.Time `json:"next_run_at"`
	RetryAt        *time.Time `json:"retry_at" doc:"In quarantine: until when the schedule waits."`
	Failures       int        `json:"failures" doc:"Runs that failed in a row."`
	Plan           *string    `json:"plan" doc:"The plan that waits."`
	PlanHeld       bool       `json:"plan_held" doc:"It waits for a person; otherwise it was only made, or dry-run is on."`
	Running        *string    `json:"running" doc:"The run that is carried out just now."`
	LastRun        *string    `json:"last_run"`
	LastRunAt      *time.Time `json:"last_run_at"`
	LastRunState   *string    `json:"last_run_state"`
	Expires        *string    `json:"expires" doc:"Which credential runs out soon."`
	ExpiresAt      *time.Time `json:"expires_at"`
	People         int        `json:"people" doc:"In the latest picture of the directory."`
	Groups         int        `json:"groups"`
	Undecided      int        `json:"undecided" doc:"Disputes, and changes that are refused, of the newest plan."`
}

// OverviewHealth counts connections by how they are.
type OverviewHealth struct {
	Quarantined int `json:"quarantined"`
	Failing     int `json:"failing"`
	Unset       int `json:"unset"`
	Held        int `json:"held"`
	Incomplete  int `json:"incomplete"`
	New         int `json:"new"`
	OK          int `json:"ok"`
}

// OverviewSeats is how full an organization is.
type OverviewSeats struct {
	Organization string `json:"organization"`
	Name         string `json:"name"`
	LicenceLimit *int   `json:"licence_limit" doc:"Null means no limit."`
	SeatsUsed    int    `json:"seats_used"`
}

// Overview is how everything is, at a glance.
type Overview struct {
	Items      []OverviewConnection `json:"items" nullable:"false" doc:"Connections, those that are worst first and then by alias."`
	NextCursor *string              `json:"next_cursor" doc:"Ask again with this cursor for what follows; null at the end."`

	Connections     int             `json:"connections"`
	Health          OverviewHealth  `json:"health"`
	Unscheduled     int             `json:"unscheduled" doc:"Connections that run on demand alone."`
	Attention       int             `json:"attention" doc:"Connections whose next plan waits for a person, whatever is in it."`
	Expiring        int             `json:"expiring" doc:"Connections with a credential that runs out within 60 days."`
	Undecided       int             `json:"undecided" doc:"Connections with disputes, or with changes that are refused."`
	Accounts        int             `json:"accounts" doc:"Accounts but for those whose person left."`
	Active          int             `json:"active" doc:"Active accounts, which are the seats used."`
	People          int             `json:"people" doc:"In the latest pictures of all directories."`
	Groups          int             `json:"groups" doc:"In the latest pictures of all directories."`
	DeadDeliveries  int             `json:"dead_deliveries" doc:"Deliveries to webhooks that were given up."`
	FailingWebhooks int             `json:"failing_webhooks" doc:"Webhooks that accept nothing, or were disabled for it."`
	Seats           []OverviewSeats `json:"seats" nullable:"false" doc:"The fullest organizations first, at most 20."`
}

// OverviewQuery narrows the overview. Zero fields do not narrow.
type OverviewQuery struct {
	Organization string
	Health       string
}

// Overview gives a piece of the connections, the worst first, and all numbers.
func (c *Client) Overview(ctx context.Context, q OverviewQuery, p Piece) (Overview, error) {
	var out Overview
	err := c.do(ctx, call{method: http.MethodGet, path: "/overview", query: query("organization", q.Organization, "health", q.Health, "limit", p.Limit, "cursor", p.Cursor)}, &out)
	return out, err
}
