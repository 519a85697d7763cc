package client

import (
	"context"
	"net/url"
	"strconv"
)

// Page is a piece of a list, for programs that show one piece at a time. What goes
// through a whole list asks for the pieces by itself.
type Page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"` // nil at the end
}

// Piece says which piece of a list: at most Limit items (0 for a hundred) from where
// the piece before said, "" for the beginning.
type Piece struct {
	Limit  int
	Cursor string
}

func page[T any](ctx context.Context, c *Client, path string, q url.Values, p Piece) (Page[T], error) {
	if q == nil {
		q = url.Values{}
	}
	if p.Limit > 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Cursor != "" {
		q.Set("cursor", p.Cursor)
	}
	return Get[Page[T]](ctx, c, path, q)
}

// AccountPage gives a piece of a list of accounts.
func (c *Client) AccountPage(ctx context.Context, q AccountQuery, p Piece) (Page[Account], error) {
	return page[Account](ctx, c, "/accounts", q.values(), p)
}

// HistoryPage gives a piece of what happened to an account, the newest first.
func (c *Client) HistoryPage(ctx context.Context, account string, p Piece) (Page[Event], error) {
	return page[Event](ctx, c, "/accounts/"+part(account)+"/events", nil, p)
}

// RunPage gives a piece of a list of runs, the newest first.
func (c *Client) RunPage(ctx context.Context, q RunQuery, p Piece) (Page[Run], error) {
	return page[Run](ctx, c, "/runs", q.values(), p)
}

// PlanPage gives a piece of a list of plans, the newest first, without their rows.
func (c *Client) PlanPage(ctx context.Context, q ListQuery, p Piece) (Page[Plan], error) {
	return page[Plan](ctx, c, "/plans", q.values(), p)
}
