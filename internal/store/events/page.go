package events

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// History hands on the events of an account before one, the newest first. Members
// added to a group are looked for in the groups it is in or was taken out of.
func (s *Events) History(ctx context.Context, id account.ID, before int64, limit int, fn func(event.Event) error) error {
	var all []event.Event
	keep := func(e event.Event) error {
		if e.Account != nil && *e.Account == id && e.ID < before {
			all = append(all, e)
		}
		return nil
	}
	if err := s.each(ctx, ` WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, []any{id, before, limit}, keep); err != nil {
		return err
	}
	err := s.each(ctx, ` WHERE members IS NOT NULL AND group_id IN (SELECT group_id FROM memberships WHERE account_id = $1
		UNION SELECT group_id FROM events WHERE account = $1 AND type = 'membership.removed')`, []any{id}, keep)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b event.Event) int { return cmp.Compare(b.ID, a.ID) })
	for _, e := range all[:min(limit, len(all))] {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// Query narrows the feed. Zero fields do not narrow. A type may end in ".*", and
// an actor in "*".
type Query struct {
	Organization string
	Types        []string
	Connection   string
	Run          string
	Actor        string
	Account      account.ID
	Since, Until time.Time // then or later, and before
	Limit        int
	Look         int64 // over how many events Back looks at once, not fewer than one row stands for; LooksBack unless set
}

// Page is a piece of the feed. Next is the number behind which to go on: that of
// the last event looked at, whether or not it is one that was asked for.
type Page struct {
	Events []event.Event
	Next   int64
	Newest int64 // of all there are
}

// Feed gives the events behind a number, in order, at most as many as are asked
// for. A number below 0 begins with the first that is kept. It is a
// fault.NotFound when some behind a number are no longer kept, and a fault.Conflict
// when the number was never given out.
func (s *Events) Feed(ctx context.Context, q Query, after int64) (Page, error) {
	p := Page{Events: []event.Event{}, Next: after}
	// One picture of all: what is numbered later must not be passed over.
	err := s.DB.Snapshot(ctx, func(r db.Querier) error {
		if err := r.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'event'`).Scan(&p.Newest); err != nil {
			return db.Explain("read the end of the feed", err)
		}
		if after < 0 {
			if err := r.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'pruned'`).Scan(&p.Next); err != nil {
				return db.Explain("read the beginning of the feed", err)
			}
			after = p.Next
		}
		if err := kept(ctx, r, after); err != nil {
			return err
		}
		if after > p.Newest {
			return fault.New(fault.Conflict, "events: number %d has not been given out; the newest is %d", after, p.Newest).
				WithHint("whoever got that far followed another database, or this one was restored from a backup since: take accounts and groups anew, and go on behind %d", p.Newest)
		}
		most := q.Limit
		if !q.Account.IsZero() {
			most = math.MaxInt32 // a row of members may hold nobody that was asked for
		}
		where, args := q.narrow([]any{after - mostSpan, after, q.Organization, most})
		return each(ctx, r, ` WHERE id > $1 AND id + span - 1 > $2 AND ($3 = '' OR organization = $3)`+where+` ORDER BY id LIMIT $4`, args, func(e event.Event) error {
			if e.ID <= after || !q.about(&e) {
				return nil
			}
			if len(p.Events) == q.Limit {
				return errEnough
			}
			p.Events = append(p.Events, e)
			return nil
		})
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return p, err
	case len(p.Events) == q.Limit:
		p.Next = p.Events[len(p.Events)-1].ID
	default:
		p.Next = max(p.Next, p.Newest)
	}
	return p, nil
}

// narrow is the condition for all but the organization.
func (q *Query) narrow(args []any) (string, []any) {
	var where strings.Builder
	also := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", db.Placeholder(len(args)), 1)
		}
		where.WriteString(" AND " + condition)
	}
	if len(q.Types) > 0 {
		var either []string
		var values []any
		for _, t := range q.Types {
			one, with := alike("type", t)
			either, values = append(either, one), append(values, with...)
		}
		also("("+strings.Join(either, " OR ")+")", values...)
	}
	if q.Connection != "" {
		also("connection = ?", q.Connection)
	}
	if q.Run != "" {
		also("run = ?", q.Run)
	}
	if q.Actor != "" {
		one, with := alike("actor", q.Actor)
		also(one, with...)
	}
	if !q.Account.IsZero() {
		also("(account = ? OR members IS NOT NULL)", q.Account)
	}
	if !q.Since.IsZero() {
		also("at >= ?", db.Micros(q.Since))
	}
	if !q.Until.IsZero() {
		also("at < ?", db.Micros(q.Until))
	}
	return where.String(), args
}

// alike compares a column with a text that may end in "*".
func alike(column, text string) (string, []any) {
	if beginning, ok := strings.CutSuffix(text, "*"); ok {
		return "substr(" + column + ", 1, ?) = ?", []any{len(beginning), beginning}
	}
	return column + " = ?", []any{text}
}

// about looks at what narrow cannot: whom of a row of members an event is about.
func (q *Query) about(e *event.Event) bool {
	return q.Account.IsZero() || e.Account != nil && *e.Account == q.Account
}

// LooksBack is over how many events one look goes back at the most: what is rare
// is not looked for in a feed of years at once.
const LooksBack = 500_000

// Back gives the newest events before a number, the newest first, and the number
// before which to go on looking; 0 at the beginning of what is kept. It goes back
// over a bounded number of events, so it may give fewer than asked for, or none,
// and yet a number to go on with.
func (s *Events) Back(ctx context.Context, q Query, before int64) (list []event.Event, next int64, err error) {
	list = []event.Event{}
	err = s.DB.Snapshot(ctx, func(r db.Querier) error {
		var first, last int64
		if err := r.QueryRowContext(ctx, `SELECT coalesce((SELECT id FROM events ORDER BY id LIMIT 1), 1), value FROM counters WHERE name = 'event'`).Scan(&first, &last); err != nil {
			return db.Explain("read the ends of the feed", err)
		}
		high := min(before, last+1)
		// Events of a time stand together, but for minutes: a time is that of the change,
		// a number that of its writing.
		if !q.Until.IsZero() {
			at, err := numberAt(ctx, r, q.Until.Add(writtenWithin), first, last)
			if err != nil {
				return err
			}
			high = min(high, at)
		}
		low := first
		if !q.Since.IsZero() {
			at, err := numberAt(ctx, r, q.Since.Add(-writtenWithin), first, last)
			if err != nil {
				return err
			}
			low = max(low, at-mostSpan)
		}
		look := q.Look
		if look == 0 {
			look = LooksBack
		}
		step := max(1, look/10)
		for end := high - look; high > low && high > end && len(list) < q.Limit; {
			from := max(low, high-step)
			if err := s.stretch(ctx, r, &q, from, high, before, &list); err != nil {
				return err
			}
			high = from
		}
		switch {
		case len(list) >= q.Limit:
			list = list[:q.Limit]
			if next = list[q.Limit-1].ID; next <= first {
				next = 0
			}
		case high > low:
			// A row that begins below may reach above: its end is where to go on.
			err := r.QueryRowContext(ctx, `SELECT id + span FROM events WHERE id < $1 ORDER BY id DESC LIMIT 1`, high).Scan(&next)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return db.Explain("look further back", err)
			}
			next = min(next, before)
		}
		return nil
	})
	return list, next, err
}

// writtenWithin is how long after its time an event is in the feed at the latest.
const writtenWithin = time.Hour

// stretch adds the events of rows from one number up to before another, newest
// first, and may add more than are asked for.
func (s *Events) stretch(ctx context.Context, r db.Querier, q *Query, from, high, before int64, list *[]event.Event) error {
	most := q.Limit - len(*list)
	if !q.Account.IsZero() {
		most = math.MaxInt32
	}
	var found []event.Event
	// A row of several is taken with the stretch it begins in, and may reach out of it:
	// what it holds behind was not given by the stretch before.
	where, args := q.narrow([]any{from, high, q.Organization, most})
	err := each(ctx, r, ` WHERE id >= $1 AND id < $2 AND ($3 = '' OR organization = $3)`+where+` ORDER BY id DESC LIMIT $4`, args, func(e event.Event) error {
		if e.ID < before && q.about(&e) {
			found = append(found, e)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b event.Event) int { return cmp.Compare(b.ID, a.ID) })
	*list = append(*list, found...)
	return err
}

// numberAt finds the first number with a time or later, where times go up.
func numberAt(ctx context.Context, r db.Querier, at time.Time, low, high int64) (int64, error) {
	high++
	for low < high {
		middle := low + (high-low)/2
		var id, its int64
		err := r.QueryRowContext(ctx, `SELECT id, at FROM events WHERE id >= $1 ORDER BY id LIMIT 1`, middle).Scan(&id, &its)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && its >= db.Micros(at):
			high = middle
		case err != nil:
			return 0, db.Explain("look for the events of a time", err)
		default:
			low = id + 1
		}
	}
	return low, nil
}

// OfFields hands on the newest events that changed an account itself, the newest
// first; memberships are not among them.
func (s *Events) OfFields(ctx context.Context, id account.ID, limit int, fn func(event.Event) error) error {
	return s.each(ctx, ` WHERE account = $1 AND type LIKE 'account.%' ORDER BY id DESC LIMIT $2`, []any{id, limit}, fn)
}

// OfGroup hands on the events of a group before one, its memberships included, the
// newest first and at most limit.
func (s *Events) OfGroup(ctx context.Context, group account.ID, before int64, limit int, fn func(event.Event) error) error {
	// A row may stand for several events, the last of which come first.
	var all []event.Event
	err := s.each(ctx, ` WHERE group_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, []any{group, before, limit}, func(e event.Event) error {
		if e.ID < before {
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b event.Event) int { return cmp.Compare(b.ID, a.ID) })
	for _, e := range all[:min(limit, len(all))] {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}
