package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// pageSize is how many items a request asks for.
const pageSize = 1000

// each goes through a list from page to page. What is ranged over ends with the
// first error; whoever stops early asks for no more pages.
func each[T any](ctx context.Context, c *Client, path string, q url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		q := maps.Clone(q)
		if q == nil {
			q = url.Values{}
		}
		if !q.Has("limit") {
			q.Set("limit", strconv.Itoa(pageSize))
		}
		for {
			var page struct {
				Items      []T     `json:"items"`
				NextCursor *string `json:"next_cursor"`
			}
			if err := c.do(ctx, call{method: http.MethodGet, path: path, query: q}, &page); err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.NextCursor == nil {
				return
			}
			q.Set("cursor", *page.NextCursor)
		}
	}
}

// AccountQuery narrows accounts. Zero fields do not narrow.
type AccountQuery struct {
	Organization string
	Connection   string // local for those of none
	Status       string
	Group        string   // by ID
	Manager      string   // who report directly to this account, by ID
	Search       string   // all of its words in username, e-mail address, names, IDs and custom attributes; the best fit first
	Sort         string   // "name", or in no order that means anything
	IDs          []string // these, a hundred at the most
	Who          string   // exactly this ID, username, e-mail address or external ID
}

func (q AccountQuery) values() url.Values {
	return query("organization", q.Organization, "connection", q.Connection, "status", q.Status, "group", q.Group, "manager", q.Manager, "q", q.Search, "sort", q.Sort, "who", q.Who, "ids", q.IDs)
}

// Organizations goes through the organizations.
func (c *Client) Organizations(ctx context.Context) iter.Seq2[Organization, error] {
	return each[Organization](ctx, c, "/organizations", nil)
}

// Connections goes through the connections, of one organization where it is given.
func (c *Client) Connections(ctx context.Context, organization string) iter.Seq2[Connection, error] {
	return each[Connection](ctx, c, "/connections", query("organization", organization))
}

// Accounts goes through accounts, in no order that means anything.
func (c *Client) Accounts(ctx context.Context, q AccountQuery) iter.Seq2[Account, error] {
	return each[Account](ctx, c, "/accounts", q.values())
}

// History goes through what happened to an account, the newest first.
func (c *Client) History(ctx context.Context, account string) iter.Seq2[Event, error] {
	return each[Event](ctx, c, "/accounts/"+part(account)+"/events", nil)
}

// Groups goes through groups by name.
func (c *Client) Groups(ctx context.Context, organization, connection string) iter.Seq2[Group, error] {
	return each[Group](ctx, c, "/groups", query("organization", organization, "connection", connection))
}

// Members goes through the accounts in a group.
func (c *Client) Members(ctx context.Context, group string) iter.Seq2[Account, error] {
	return each[Account](ctx, c, "/groups/"+part(group)+"/members", nil)
}

// GroupsFound goes through groups by name, those that contain all of some words.
func (c *Client) GroupsFound(ctx context.Context, organization, connection, search string) iter.Seq2[Group, error] {
	return each[Group](ctx, c, "/groups", query("organization", organization, "connection", connection, "q", search))
}

// ListQuery narrows plans and runs. Zero fields do not narrow.
type ListQuery struct {
	Organization string
	Connection   string
	State        string
	NoDrafts     bool // without plans made with settings that are not saved
}

func (q ListQuery) values() url.Values {
	v := query("organization", q.Organization, "connection", q.Connection, "state", q.State)
	if q.NoDrafts {
		v.Set("drafts", "false")
	}
	return v
}

// Plans goes through plans, the newest first, without their rows.
func (c *Client) Plans(ctx context.Context, q ListQuery) iter.Seq2[Plan, error] {
	return each[Plan](ctx, c, "/plans", q.values())
}

// Changes goes through the rows of a plan in their order.
func (c *Client) Changes(ctx context.Context, plan string) iter.Seq2[Change, error] {
	return each[Change](ctx, c, "/plans/"+part(plan)+"/changes", nil)
}

// Notes goes through what a plan does not do.
func (c *Client) Notes(ctx context.Context, plan string) iter.Seq2[Note, error] {
	return each[Note](ctx, c, "/plans/"+part(plan)+"/notes", nil)
}

// RunQuery narrows runs. Zero fields do not narrow.
type RunQuery struct {
	ListQuery
	Trigger string
	Since   time.Time // when they began: then or later
	Until   time.Time // before
}

func (q RunQuery) values() url.Values {
	v := q.ListQuery.values()
	maps.Copy(v, query("trigger", q.Trigger, "since", moment(q.Since), "until", moment(q.Until)))
	return v
}

// moment is a time as parameters carry it; "" where there is none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Runs goes through runs, the newest first.
func (c *Client) Runs(ctx context.Context, q ListQuery) iter.Seq2[Run, error] {
	return c.RunsOf(ctx, RunQuery{ListQuery: q})
}

// RunsOf goes through the runs of a time, or begun by something, the newest first.
func (c *Client) RunsOf(ctx context.Context, q RunQuery) iter.Seq2[Run, error] {
	return each[Run](ctx, c, "/runs", q.values())
}

// Keys goes through the API keys.
func (c *Client) Keys(ctx context.Context) iter.Seq2[Key, error] {
	return each[Key](ctx, c, "/apikeys", nil)
}

// Webhooks goes through the webhooks.
func (c *Client) Webhooks(ctx context.Context) iter.Seq2[Webhook, error] {
	return each[Webhook](ctx, c, "/webhooks", nil)
}

// ExportAccounts goes through all accounts of a query by one request, as one wants
// where there are many. An error in the middle means that the rest is missing.
func (c *Client) ExportAccounts(ctx context.Context, q AccountQuery) iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		values := q.values()
		values.Set("format", "ndjson")
		answer, err := c.send(ctx, call{method: http.MethodGet, path: "/accounts/export", query: values})
		if err != nil {
			yield(Account{}, err)
			return
		}
		defer answer.Body.Close()
		for d := json.NewDecoder(answer.Body); ; {
			var a Account
			switch err := d.Decode(&a); {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(Account{}, fmt.Errorf("client: the export broke off: %w", err))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}
