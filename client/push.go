package client

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// PushToken is what the SCIM client of an identity provider signs in with, without
// its secret.
type PushToken struct {
	ID         string     `json:"id" doc:"How its secret begins."`
	Kind       string     `json:"kind" enum:"bearer,oauth" doc:"bearer: a token sent with every request. oauth: the secret of an OAuth 2.0 client, with which it gets access tokens."`
	ClientID   *string    `json:"client_id" doc:"Of kind oauth: the client's ID, the same for all secrets of a connection."`
	Name       string     `json:"name"`
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at" doc:"Null: never."`
	ReplacedAt *time.Time `json:"replaced_at" doc:"When another took its place; expires_at is the end of the time in which both are good."`
	LastUsedAt *time.Time `json:"last_used_at" doc:"To the minute."`
	RevokedAt  *time.Time `json:"revoked_at"`
	RevokedBy  *string    `json:"revoked_by"`
}

// Valid reports whether it still opens the door.
func (t *PushToken) Valid(now time.Time) bool {
	return t.RevokedAt == nil && (t.ExpiresAt == nil || t.ExpiresAt.After(now))
}

// NewPushToken is one with its secret, which is shown this once.
type NewPushToken struct {
	PushToken
	Secret    string  `json:"secret" doc:"It is shown this once."`
	TenantURL string  `json:"tenant_url" doc:"Where the client pushes to."`
	TokenURL  *string `json:"token_url" doc:"Of kind oauth: where the client gets its access tokens (RFC 6749, section 4.4)."`
}

// PushTokenInput asks for a token.
type PushTokenInput struct {
	Name      string     `json:"name,omitempty" maxLength:"100" doc:"For people: who has it."`
	Kind      string     `json:"kind,omitempty" enum:"bearer,oauth" doc:"bearer unless given."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"In a year unless given."`
	NoExpiry  bool       `json:"no_expiry,omitempty" doc:"It never expires."`
}

// PushRotateInput asks for a token in the place of another.
type PushRotateInput struct {
	Kind           string `json:"kind,omitempty" enum:"bearer,oauth" doc:"bearer unless given."`
	OverlapSeconds *int   `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the one before stays valid; a day unless given."`
}

// Exchange is one request of a SCIM client and what it was answered. Values of
// people are shortened unless the connection's settings keep them; secrets are
// always left out.
type Exchange struct {
	ID      int64     `json:"id" doc:"Ascending in a connection."`
	At      time.Time `json:"at"`
	Method  string    `json:"method"`
	Path    string    `json:"path" doc:"Below the tenant URL."`
	Query   string    `json:"query" doc:"Not escaped."`
	Status  int       `json:"status"`
	Took    int64     `json:"took_microseconds"`
	Client  string    `json:"client" doc:"What the client calls itself (User-Agent)."`
	Remote  string    `json:"remote" doc:"The address it came from."`
	Token   *string   `json:"token" doc:"The token's ID. Null where none was valid."`
	Request string    `json:"request" doc:"The body, its first 16 KiB. Empty in lists."`
	Answer  string    `json:"answer" doc:"The body of the answer, its first 16 KiB. Empty in lists."`
}

// ExchangeQuery chooses among them.
type ExchangeQuery struct {
	Failed bool // answered with a status of 400 and above
}

func tokensOf(alias string) string { return "/connections/" + part(alias) + "/token" }

// CreatePushToken makes a token for a connection that is pushed to, and gives it with
// its secret.
func (c *Client) CreatePushToken(ctx context.Context, alias string, in PushTokenInput) (NewPushToken, error) {
	return Send[NewPushToken](ctx, c, http.MethodPost, tokensOf(alias), nil, in)
}

// RotatePushToken makes another one in the place of the newest; for a while both are
// good.
func (c *Client) RotatePushToken(ctx context.Context, alias string, in PushRotateInput) (NewPushToken, error) {
	return Send[NewPushToken](ctx, c, http.MethodPost, tokensOf(alias)+"/rotate", nil, in)
}

// PushTokens lists the tokens of a connection, also those that ended lately, the
// newest first.
func (c *Client) PushTokens(ctx context.Context, alias string) ([]PushToken, error) {
	p, err := Get[Page[PushToken]](ctx, c, tokensOf(alias)+"s", nil)
	return p.Items, err
}

// RevokePushToken ends a token at once.
func (c *Client) RevokePushToken(ctx context.Context, alias, id string) (PushToken, error) {
	return Send[PushToken](ctx, c, http.MethodDelete, tokensOf(alias)+"s/"+part(id), nil, nil)
}

// Exchanges goes through the last requests of a connection's clients, the newest
// first, without bodies.
func (c *Client) Exchanges(ctx context.Context, alias string, q ExchangeQuery) iter.Seq2[Exchange, error] {
	return each[Exchange](ctx, c, "/connections/"+part(alias)+"/exchanges", query("failed", q.Failed))
}

// ExchangePage gives a piece of that list.
func (c *Client) ExchangePage(ctx context.Context, alias string, q ExchangeQuery, p Piece) (Page[Exchange], error) {
	return page[Exchange](ctx, c, "/connections/"+part(alias)+"/exchanges", query("failed", q.Failed), p)
}

// Exchange gives one of them with its bodies.
func (c *Client) Exchange(ctx context.Context, alias string, id int64) (Exchange, error) {
	return Get[Exchange](ctx, c, "/connections/"+part(alias)+"/exchanges/"+strconv.FormatInt(id, 10), nil)
}
