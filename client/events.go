package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// EventQuery narrows the feed.
type EventQuery struct {
	Organization string
	Types        []string // account.* stands for all of accounts
	Connection   string
	Run          string
	Account      string    // by ID
	Actor        string    // admin:* stands for all administrators
	Since, Until time.Time // then or later, and before
	Limit        int       // of one piece; the server's 100 unless set
	Wait         time.Duration
}

func (q EventQuery) values() url.Values {
	return query("organization", q.Organization, "types", q.Types, "connection", q.Connection, "run", q.Run, "account", q.Account, "actor", q.Actor,
		"since", moment(q.Since), "until", moment(q.Until), "limit", q.Limit)
}

// Events asks for a piece of the feed behind an event; -1 is its beginning. With
// a Wait the answer comes when there is something, or after that time. A problem
// with the status 410 says that events behind it are no longer kept.
func (c *Client) Events(ctx context.Context, after int64, q EventQuery) (EventPage, error) {
	values := q.values()
	values.Set("after", strconv.FormatInt(after, 10))
	if q.Wait > 0 {
		values.Set("wait", strconv.FormatInt(q.Wait.Milliseconds(), 10)+"ms")
	}
	var p EventPage
	err := c.do(ctx, call{method: http.MethodGet, path: "/events", query: values}, &p)
	return p, err
}

// LastEvents asks for the newest events, oldest first.
func (c *Client) LastEvents(ctx context.Context, q EventQuery) (EventPage, error) {
	return c.EventsBefore(ctx, 0, q)
}

// EventsBefore asks for the newest events before one, oldest first; 0 stands for
// the end of the feed. Go on with the page's Before until that is nil.
func (c *Client) EventsBefore(ctx context.Context, before int64, q EventQuery) (EventPage, error) {
	values := q.values()
	values.Set("last", "true")
	if before > 0 {
		values.Set("before", strconv.FormatInt(before, 10))
	}
	var p EventPage
	err := c.do(ctx, call{method: http.MethodGet, path: "/events", query: values}, &p)
	return p, err
}

// Follow goes through the feed behind an event, and waits for more, until the
// context ends or whoever ranges over it stops. Note the ID of the last event
// that was dealt with: that is where to go on after a restart.
func (c *Client) Follow(ctx context.Context, after int64, q EventQuery) iter.Seq2[Event, error] {
	if q.Wait == 0 {
		q.Wait = 30 * time.Second
	}
	return func(yield func(Event, error) bool) {
		for at := after; ; {
			p, err := c.Events(ctx, at, q)
			if err != nil {
				if ctx.Err() == nil {
					yield(Event{}, err)
				}
				return
			}
			for _, e := range p.Items {
				if !yield(e, nil) {
					return
				}
			}
			at = p.NextAfter
		}
	}
}
