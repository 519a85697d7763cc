package api

import (
	"context"
	"encoding/csv"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/events"
)

// longest is how long a request for events waits at the most: proxies take those
// that wait a minute for dead.
const longest = 55 * time.Second

// piece of the feed; the document shows it as client.EventPage.
type eventPage struct {
	Items     []event.Event `json:"items"`
	NextAfter int64         `json:"next_after"`
	Newest    int64         `json:"newest"`
	Before    *int64        `json:"next_before"`
}

type feed = body[eventPage]

// EventFilter narrows the feed.
type EventFilter struct {
	Organization string    `query:"organization" doc:"Only this organization's."`
	Types        []string  `query:"types" maxItems:"100" doc:"Only these types, separated by commas; account.* stands for all of accounts."`
	Connection   string    `query:"connection" maxLength:"100" doc:"Only what this connection brought about."`
	Run          string    `query:"run" maxLength:"64" doc:"Only what this run did."`
	Account      string    `query:"account" format:"uuid" doc:"Only what happened to this account, its memberships included."`
	Actor        string    `query:"actor" maxLength:"400" doc:"Only what this actor did, such as admin:ada@example.com; admin:* stands for all of them."`
	Since        time.Time `query:"since" doc:"Only what happened then or later."`
	Until        time.Time `query:"until" doc:"Only what happened before."`
}

// query is the filter as the store takes it.
func (f *EventFilter) query(ctx context.Context, limit int) (events.Query, error) {
	q := events.Query{Types: f.Types, Connection: f.Connection, Run: f.Run, Actor: f.Actor, Since: f.Since, Until: f.Until, Limit: limit}
	var err error
	if q.Organization, err = within(ctx, f.Organization); err != nil {
		return q, err
	}
	if f.Account != "" {
		q.Account, err = account.ParseID(f.Account)
	}
	return q, err
}

func (s *server) events() {
	const tag = "events"
	register(s, operation{id: "list-events", method: http.MethodGet, path: "/events", tag: tag, summary: "What happened, in order and without gaps",
		description: "Ask with `after=` the `next_after` of the answer before, for ever. Without it the feed begins with the first event that is kept. `410` says that events behind that number " +
			"are no longer kept, `409` that the number was never given out, as after a backup was restored: take accounts and groups anew. With `wait=30s` the answer comes when there is something, or after that time.",
		fails: []int{http.StatusGone, http.StatusNotFound, http.StatusConflict}, anytime: true}, s.listEvents)
	streams(s, operation{id: "export-events", method: http.MethodGet, path: "/events/export", tag: tag, summary: "All events as NDJSON or CSV", fails: []int{http.StatusGone, http.StatusNotFound, http.StatusConflict}},
		map[string]*huma.Schema{"text/csv": text, "application/x-ndjson": text}, s.exportEvents)
}

// gone makes a feed whose beginning was pruned a 410: asking again does not help.
func gone(ctx context.Context, err error) error {
	if err != nil && fault.KindOf(err) == fault.NotFound {
		return newProblem(ctx, http.StatusGone, err.Error(), fault.HintOf(err))
	}
	return err
}

func (s *server) listEvents(ctx context.Context, in *struct {
	EventFilter
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"How many at the most."`
	After  int64  `query:"after" default:"-1" minimum:"-1" doc:"Only events behind this number; -1 is the beginning."`
	Last   bool   `query:"last" doc:"The newest ones instead, oldest first."`
	Before int64  `query:"before" minimum:"1" doc:"With last: the newest of those before this number. Ask again with next_before to go further back."`
	Wait   string `query:"wait" doc:"How long to wait for something to happen, such as 30s; at most 55s." maxLength:"20"`
}) (*feed, error) {
	q, err := in.query(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	if in.Last {
		return s.newest(ctx, q, in.Before)
	}
	wait, err := patienceOf(in.Wait)
	if err != nil {
		return nil, err
	}
	p, err := s.await(ctx, q, in.After, wait)
	if err != nil {
		return nil, gone(ctx, err)
	}
	out := &feed{}
	out.Body.Items, out.Body.NextAfter, out.Body.Newest = p.Events, p.Next, p.Newest
	return out, nil
}

func patienceOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fault.New(fault.Invalid, "wait is a time such as 30s, not %q", text)
	}
	return min(d, longest), nil
}

func (s *server) newest(ctx context.Context, q events.Query, before int64) (*feed, error) {
	// The end is read first: what happens in between is told by who goes on from there.
	end, err := s.Store.EventTable.Newest(ctx)
	if err != nil {
		return nil, err
	}
	if before == 0 {
		before = math.MaxInt64
	}
	list, next, err := s.Store.EventTable.Back(ctx, q, before)
	slices.Reverse(list)
	out := &feed{}
	if next > 0 {
		out.Body.Before = &next
	}
	out.Body.Items, out.Body.NextAfter, out.Body.Newest = list, end, end
	if n := len(list); n > 0 {
		out.Body.NextAfter = max(end, list[n-1].ID)
		out.Body.Newest = out.Body.NextAfter
	}
	return out, err
}

// await looks for events until there are some or the time is over. It asks for
// the number of the newest alone until that moves.
func (s *server) await(ctx context.Context, q events.Query, after int64, wait time.Duration) (events.Page, error) {
	p, err := s.Store.EventTable.Feed(ctx, q, after)
	if err != nil || len(p.Events) > 0 || wait == 0 {
		return p, err
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(s.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-s.Draining:
			return p, nil
		case <-over.C:
			return p, nil
		case <-tick.C:
		}
		newest, err := s.Store.EventTable.Newest(ctx)
		if err != nil {
			return p, err
		}
		if newest == p.Newest {
			continue
		}
		if p, err = s.Store.EventTable.Feed(ctx, q, p.Next); err != nil || len(p.Events) > 0 {
			return p, err
		}
	}
}

func (s *server) exportEvents(ctx context.Context, in *struct {
	EventFilter
	After  int64  `query:"after" default:"-1" minimum:"-1" doc:"Only events behind this number."`
	Format string `query:"format" enum:"csv,ndjson" default:"ndjson"`
}) (func(huma.Context), error) {
	q, err := in.query(ctx, exportPage)
	if err != nil {
		return nil, err
	}
	first, err := s.Store.EventTable.Feed(ctx, q, in.After)
	if err != nil {
		return nil, gone(ctx, err)
	}
	upTo := first.Newest
	return func(h huma.Context) {
		whole(writeEvents(h, in.Format, func(fn func(event.Event) error) error {
			for p := first; ; {
				for _, e := range p.Events {
					if e.ID > upTo {
						return nil // it happened after the export began
					}
					if err := fn(e); err != nil {
						return err
					}
				}
				if len(p.Events) < exportPage || p.Next >= upTo {
					return nil
				}
				var err error
				if p, err = s.Store.EventTable.Feed(h.Context(), q, p.Next); err != nil {
					return err
				}
			}
		}))
	}, nil
}

func writeEvents(h huma.Context, format string, each func(func(event.Event) error) error) error {
	if format != "csv" {
		out := exporting(h, "application/x-ndjson", "events.ndjson")
		if err := each(func(e event.Event) error { return out.line(e) }); err != nil {
			return err
		}
		return out.end()
	}
	out := exporting(h, "text/csv; charset=utf-8", "events.csv")
	w := csv.NewWriter(out)
	err := w.Write([]string{"id", "type", "at", "organization", "connection", "run", "account", "group", "actor", "why", "before", "after"})
	if err == nil {
		err = each(func(e event.Event) error {
			return w.Write([]string{strconv.FormatInt(e.ID, 10), string(e.Type), e.At.Format(time.RFC3339Nano), e.Organization, orNothing(e.Connection), orNothing(e.Run),
				idOf(e.Account), idOf(e.Group), account.FormulaSafe(e.Actor), account.FormulaSafe(e.Why), string(e.Before), string(e.After)})
		})
	}
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	if err != nil {
		return err
	}
	return out.end()
}

func orNothing(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func idOf(id *account.ID) string {
	if id == nil {
		return ""
	}
	return id.String()
}
