package client

import (
	"context"
	"iter"
	"net/url"
)

// DisputeSide is an account, with the entry that holds it where one does, or another
// entry of a directory.
type DisputeSide struct {
	Account    *string  `json:"account" format:"uuid"`
	Connection *string  `json:"connection" doc:"Who keeps the account, or brought the entry; local for no connection."`
	Name       *string  `json:"name" doc:"The account's username, or what the entry is known by."`
	ExternalID *string  `json:"external_id" doc:"Of the entry."`
	By         []string `json:"by" nullable:"false" doc:"The attributes that agree."`
}

// Dispute is a match that waits for the decision of a person.
type Dispute struct {
	Organization string        `json:"organization"`
	Connection   string        `json:"connection"`
	Plan         *string       `json:"plan" doc:"The newest plan of the connection; null where its rows are no longer kept."`
	Kind         string        `json:"kind" enum:"dispute,overlap,mismatch" doc:"Two claims; one person in two connections; an account of another provider that could be adopted."`
	Case         string        `json:"case" enum:"claimed,taken,several,shared,crowded,overlap,mismatch,unknown" doc:"What is the matter: other entries claim the same value; an account that somebody else holds carries it; the entry matches several accounts; several entries match one; too many carry the value; unknown of plans by an earlier version."`
	Entry        DisputeSide   `json:"entry" doc:"The entry it is about, with its own account where it has one."`
	Sides        []DisputeSide `json:"sides" nullable:"false" doc:"Who stands on the other side; at most a handful is named."`
	Text         string        `json:"text"`
}

// DisputeQuery narrows disputes. Zero fields do not narrow.
type DisputeQuery struct {
	Organization string
	Connection   string
	Kind         string // dispute, overlap or mismatch
}

func (q DisputeQuery) values() url.Values {
	return query("organization", q.Organization, "connection", q.Connection, "kind", q.Kind)
}

// Disputes goes through what waits for the decision of a person.
func (c *Client) Disputes(ctx context.Context, q DisputeQuery) iter.Seq2[Dispute, error] {
	return each[Dispute](ctx, c, "/disputes", q.values())
}

// DisputePage gives a piece of what waits for the decision of a person.
func (c *Client) DisputePage(ctx context.Context, q DisputeQuery, p Piece) (Page[Dispute], error) {
	return page[Dispute](ctx, c, "/disputes", q.values(), p)
}

// PlanProblem is one cause for which a plan does not do, or not wholly, what the
// directory asks for.
type PlanProblem struct {
	Kind     string  `json:"kind" enum:"refused,problem,dispute,warning,unresolved,due,failed,excluded"`
	Field    *string `json:"field" doc:"The field or custom attribute it is about."`
	Cause    string  `json:"cause" doc:"Without whom it is about."`
	Count    int     `json:"count" doc:"How many notes have it."`
	Examples []Note  `json:"examples" nullable:"false" doc:"The first few of them."`
}

// PlanProblems are the notes of a plan by cause.
type PlanProblems struct {
	Plan  string        `json:"plan"`
	Items []PlanProblem `json:"items" nullable:"false" doc:"By kind, the most frequent first."`
	More  int           `json:"more" doc:"Notes whose causes are too many to be told apart."`
}

// Problems groups the notes of a plan by cause.
func (c *Client) Problems(ctx context.Context, plan string) (PlanProblems, error) {
	return Get[PlanProblems](ctx, c, "/plans/"+part(plan)+"/problems", nil)
}
