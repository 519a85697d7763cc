package events

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

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

// Query narrows the feed. Zero fields do not narrow. A type may end in ".*".
type Query struct {
	Organization string
	Types        []string
	Limit        int
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
		where, args := narrow(q.Types, []any{after - mostSpan, after, q.Organization, q.Limit})
		return each(ctx, r, ` WHERE id > $1 AND id + span - 1 > $2 AND ($3 = '' OR organization = $3)`+where+` ORDER BY id LIMIT $4`, args, func(e event.Event) error {
			if e.ID <= after {
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

// narrow is the condition for types.
func narrow(types []string, args []any) (string, []any) {
	var either []string
	for _, t := range types {
		if family, ok := strings.CutSuffix(t, "*"); ok {
			args = append(args, family, len(family))
			either = append(either, "substr(type, 1, "+db.Placeholder(len(args))+") = "+db.Placeholder(len(args)-1))
			continue
		}
		args = append(args, t)
		either = append(either, "type = "+db.Placeholder(len(args)))
	}
	if len(either) == 0 {
		return "", args
	}
	return " AND (" + strings.Join(either, " OR ") + ")", args
}

// NewestOf gives the newest events of an organization ("" for all) of some types,
// oldest first.
func (s *Events) NewestOf(ctx context.Context, q Query) ([]event.Event, error) {
	where, args := narrow(q.Types, []any{q.Organization, q.Limit})
	out := []event.Event{}
	err := s.each(ctx, ` WHERE id IN (SELECT id FROM events WHERE ($1 = '' OR organization = $1)`+where+` ORDER BY id DESC LIMIT $2) ORDER BY id`, args, func(e event.Event) error {
		out = append(out, e)
		return nil
	})
	return out[max(0, len(out)-q.Limit):], err
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
