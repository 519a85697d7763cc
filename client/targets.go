package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Target is an application whose accounts Rollcall keeps in step over SCIM 2.0.
type Target struct {
	ID           string     `json:"id"`
	Organization string     `json:"organization"`
	Name         string     `json:"name"`
	URL          string     `json:"url" doc:"The address that /Users is appended to."`
	Auth         string     `json:"auth" enum:"bearer,oauth" doc:"A secret token, or one got by OAuth 2.0 client credentials."`
	ClientID     *string    `json:"client_id"`
	TokenURL     *string    `json:"token_url"`
	OAuthScope   *string    `json:"oauth_scope"`
	Connections  []string   `json:"connections" nullable:"false" doc:"Whose accounts and groups are pushed; none stands for all of the organization."`
	Groups       bool       `json:"groups" doc:"Whether groups are pushed too."`
	Leavers      string     `json:"leavers" enum:"disable,delete" doc:"What becomes there of accounts that are flagged deleted here."`
	Enabled      bool       `json:"enabled"`
	Due          int        `json:"due" doc:"Accounts and groups that wait to be looked at."`
	Synced       int        `json:"synced" doc:"Accounts and groups that are in step."`
	Failed       int        `json:"failed" doc:"Accounts and groups that could not be brought in step; they are tried again."`
	Error        *string    `json:"error" doc:"Why nothing could be pushed the last time; null where it could."`
	FailingSince *time.Time `json:"failing_since"`
	PausedUntil  *time.Time `json:"paused_until" doc:"Nothing is pushed before."`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
}

// TargetInput asks for a target.
type TargetInput struct {
	Organization string `json:"organization,omitempty" doc:"Whose accounts are pushed. Left out by a key of one organization, that one."`
	TargetPatchInput
}

// TargetPatchInput changes a target; what is absent stays.
type TargetPatchInput struct {
	Name        *string   `json:"name,omitempty" maxLength:"100"`
	URL         *string   `json:"url,omitempty" maxLength:"2000" doc:"The address that /Users is appended to. Another one stands for another application: everything is looked for there anew, and another server needs the secret again."`
	Auth        *string   `json:"auth,omitempty" enum:"bearer,oauth" doc:"Bearer unless given."`
	Secret      *string   `json:"secret,omitempty" maxLength:"4096" doc:"The token, or the client's secret. It is never shown."`
	ClientID    *string   `json:"client_id,omitempty" maxLength:"1000" doc:"Of OAuth."`
	TokenURL    *string   `json:"token_url,omitempty" maxLength:"2000" doc:"Of OAuth."`
	OAuthScope  *string   `json:"oauth_scope,omitempty" maxLength:"1000" doc:"Of OAuth; none unless given."`
	Connections *[]string `json:"connections,omitempty" maxItems:"100"`
	Groups      *bool     `json:"groups,omitempty" doc:"True unless given."`
	Leavers     *string   `json:"leavers,omitempty" enum:"disable,delete" doc:"Disable unless given."`
	Enabled     *bool     `json:"enabled,omitempty" doc:"True unless given."`
}

// TargetLink is what an account or a group is at a target.
type TargetLink struct {
	Kind      string     `json:"kind" enum:"user,group"`
	ID        string     `json:"id" doc:"Of the account or group."`
	RemoteID  *string    `json:"remote_id" doc:"Its identifier there; null where it has none yet."`
	State     string     `json:"state" enum:"due,synced,failed"`
	Attempts  int        `json:"attempts" doc:"That failed, since it was last in step."`
	Error     *string    `json:"error"`
	NextAt    *time.Time `json:"next_at" doc:"When it is looked at again; null for not before it changes."`
	UpdatedAt time.Time  `json:"updated_at"`
}

// TargetReport is what a look at everything that a target has came to.
type TargetReport struct {
	Users  TargetCounts `json:"users"`
	Groups TargetCounts `json:"groups"`
	Drift  []Drift      `json:"drift" nullable:"false" doc:"What is not as it was pushed, at most the first thousand."`
	Marked int          `json:"marked" doc:"How many are pushed again; 0 where that was not asked for."`
}

// TargetCounts counts what a target has of one type.
type TargetCounts struct {
	Same      int `json:"same" doc:"As they were pushed."`
	Different int `json:"different" doc:"Changed since by somebody else."`
	Missing   int `json:"missing" doc:"Pushed, and not there."`
	Unknown   int `json:"unknown" doc:"There, and never pushed. They are left alone."`
}

// Drift is one account or group that is not as it was pushed.
type Drift struct {
	Kind     string  `json:"kind" enum:"user,group"`
	ID       *string `json:"id" doc:"Of the account or group; null for what was never pushed."`
	RemoteID string  `json:"remote_id"`
	Name     string  `json:"name" doc:"As it is there; empty for what is missing."`
	Problem  string  `json:"problem" enum:"different,missing,unknown"`
}

// Marked is how many accounts and groups are looked at again.
type Marked struct {
	Marked int `json:"marked"`
}

// Targets goes through the applications that accounts are pushed to.
func (c *Client) Targets(ctx context.Context) iter.Seq2[Target, error] {
	return each[Target](ctx, c, "/targets", nil)
}

// Target gives a target.
func (c *Client) Target(ctx context.Context, id string) (Target, error) {
	return Get[Target](ctx, c, "/targets/"+part(id), nil)
}

// CreateTarget begins to push to an application.
func (c *Client) CreateTarget(ctx context.Context, in TargetInput) (Target, error) {
	return Send[Target](ctx, c, http.MethodPost, "/targets", nil, in)
}

// UpdateTarget changes a target.
func (c *Client) UpdateTarget(ctx context.Context, id string, in TargetPatchInput) (Target, error) {
	return Send[Target](ctx, c, http.MethodPatch, "/targets/"+part(id), nil, in)
}

// DeleteTarget ends pushing to an application. What is there stays there.
func (c *Client) DeleteTarget(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/targets/" + part(id)}, nil)
}

// TargetLinks goes through what accounts and groups are at a target; state may be "".
func (c *Client) TargetLinks(ctx context.Context, id, state string) iter.Seq2[TargetLink, error] {
	return each[TargetLink](ctx, c, "/targets/"+part(id)+"/links", query("state", state))
}

// SyncTarget has everything looked at again, at once.
func (c *Client) SyncTarget(ctx context.Context, id string) (Marked, error) {
	return Send[Marked](ctx, c, http.MethodPost, "/targets/"+part(id)+"/sync", nil, nil)
}

// CheckTarget compares what a target has with what was pushed, and changes nothing.
func (c *Client) CheckTarget(ctx context.Context, id string) (TargetReport, error) {
	return Send[TargetReport](ctx, c, http.MethodPost, "/targets/"+part(id)+"/check", nil, nil)
}

// RepairTarget is CheckTarget, and pushes what is missing or different again.
func (c *Client) RepairTarget(ctx context.Context, id string) (TargetReport, error) {
	return Send[TargetReport](ctx, c, http.MethodPost, "/targets/"+part(id)+"/repair", nil, nil)
}
