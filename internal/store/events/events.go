// Package events is the table of events: ascending, without gaps, each written
// in the transaction of the change it tells of. It hands them on to the feed,
// to histories and to revert.
package events

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
)

// Events is the table.
type Events struct{ DB *db.DB }

// Lock makes this transaction the only writer of accounts and events until it
// ends: numbers then have no gaps, and two connections of one organization
// cannot give out one username at the same time.
func Lock(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE counters SET value = value WHERE name = 'event'`)
	return err
}

var columns = []string{"id", "span", "members", "type", "organization", "connection", "run", "account", "group_id", "at", "actor", "before", "after", "why", "chain"}

// common are what the events of one run mostly have in common.
var common = []string{"span", "members", "type", "organization", "connection", "run", "group_id", "at", "actor", "before", "why"}

// mostSpan is how many events one row may stand for.
const mostSpan = 500

// Append numbers events and writes them. Members added to one group share a row,
// which stands for an event each: a first import has several memberships a
// person, and a row with its index entries for every one doubled its time.
func Append(ctx context.Context, tx *db.Tx, list []event.Event) error {
	if len(list) == 0 {
		return nil
	}
	total := int64(0)
	for i := range list {
		if len(list[i].Members) > mostSpan {
			return fmt.Errorf("events: %d members in one row, %d is the most", len(list[i].Members), mostSpan)
		}
		total += span(&list[i])
	}
	var was mark
	if err := was.scan(tx.QueryRowContext(ctx, `UPDATE counters SET value = value WHERE name = 'event' RETURNING value, chain, seal`)); err != nil {
		return db.Explain("number events", err)
	}
	now := mark{value: was.value + total, chain: was.chain}
	if now.chain == nil {
		now.chain = beginning(was.value)
	}
	next := was.value + 1
	err := tx.InsertAlike(ctx, "events", columns, common, len(list), func(i int, into []any) {
		list[i].ID = next
		next += span(&list[i])
		r := rowOf(&list[i])
		now.chain = link(now.chain, &r)
		into[0], into[1], into[2] = r.id, r.span, null(r.members)
		into[3], into[4], into[5], into[6] = r.kind, r.organization, r.connection, r.run
		into[7], into[8], into[9], into[10] = null(r.account), null(r.group), r.at, r.actor
		into[11], into[12], into[13], into[14] = r.before, r.after, r.why, now.chain
	}, "")
	if err != nil {
		return err
	}
	if now, err = was.next(tx.Keyed(), "end", now); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE counters SET value = $1, chain = $2, seal = $3 WHERE name = 'event'`, now.value, now.chain, now.seal)
	return err
}

// Record writes one event, of now unless it says of when.
func Record(ctx context.Context, tx *db.Tx, e event.Event) error {
	if e.At.IsZero() {
		e.At = time.Now().UTC().Truncate(time.Microsecond)
	}
	return Append(ctx, tx, []event.Event{e})
}

func span(e *event.Event) int64 { return max(1, int64(len(e.Members))) }

func packed(ids []account.ID) []byte {
	if len(ids) == 0 {
		return nil
	}
	b := make([]byte, 0, 16*len(ids))
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func idBytes(id *account.ID) []byte {
	if id == nil || id.IsZero() {
		return nil
	}
	return id[:]
}

// null makes nothing NULL: a nil slice of bytes is not NULL to every driver.
func null(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

const selected = `SELECT id, members, type, organization, connection, run, account, group_id, at, actor, before, after, why FROM events`

// scan reads one row, and hands on each event it stands for.
func scan(rows *sql.Rows, fn func(event.Event) error) error {
	var e event.Event
	var connection, run, before, after string
	var acc, group account.ID
	var members []byte
	var at int64
	if err := rows.Scan(&e.ID, &members, &e.Type, &e.Organization, &connection, &run, &acc, &group, &at, &e.Actor, &before, &after, &e.Why); err != nil {
		return err
	}
	if connection != "" {
		e.Connection = &connection
	}
	if run != "" {
		e.Run = &run
	}
	if !acc.IsZero() {
		e.Account = &acc
	}
	if !group.IsZero() {
		e.Group = &group
	}
	e.At, e.Before, e.After = db.Time(at), raw(before), raw(after)
	if len(members) == 0 {
		return fn(e)
	}
	for ; len(members) >= 16; members = members[16:] {
		one := e
		id := account.ID(members[:16])
		one.Account = &id
		if err := fn(one); err != nil {
			return err
		}
		e.ID++
	}
	return nil
}

func raw(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(s)
}

// errEnough ends a walk that has given as many events as were asked for.
var errEnough = errors.New("enough")

// After hands on the events behind an ID, in order, at most limit. It is a
// fault.NotFound when some behind that ID are no longer kept.
func (s *Events) After(ctx context.Context, organization string, after int64, limit int, fn func(event.Event) error) error {
	left := limit
	// One picture of both: nothing may be pruned between the look and the reading.
	err := s.DB.Snapshot(ctx, func(q db.Querier) error {
		if err := kept(ctx, q, after); err != nil {
			return err
		}
		return each(ctx, q, ` WHERE id > $1 AND id + span - 1 > $2 AND ($3 = '' OR organization = $3) ORDER BY id LIMIT $4`,
			[]any{after - mostSpan, after, organization, limit}, func(e event.Event) error {
				if e.ID <= after {
					return nil
				}
				if left == 0 {
					return errEnough
				}
				left--
				return fn(e)
			})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// Read hands on the events behind one number up to another, in order, inside a
// transaction or a snapshot. Those no longer kept are left out.
func Read(ctx context.Context, q db.Querier, after, upTo int64, fn func(event.Event) error) error {
	return each(ctx, q, ` WHERE id > $1 AND id <= $2 AND id + span - 1 > $3 ORDER BY id`, []any{after - mostSpan, upTo, after}, func(e event.Event) error {
		if e.ID <= after || e.ID > upTo {
			return nil
		}
		return fn(e)
	})
}

// Last hands on the newest events, oldest first.
func (s *Events) Last(ctx context.Context, organization string, n int, fn func(event.Event) error) error {
	var newest []event.Event
	err := s.each(ctx, ` WHERE id IN (SELECT id FROM events WHERE $1 = '' OR organization = $1 ORDER BY id DESC LIMIT $2) ORDER BY id`, []any{organization, n}, func(e event.Event) error {
		newest = append(newest, e)
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range newest[max(0, len(newest)-n):] {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// OfAccount hands on the newest events of an account, the newest first.
func (s *Events) OfAccount(ctx context.Context, id account.ID, limit int, fn func(event.Event) error) error {
	return s.History(ctx, id, math.MaxInt64, limit, fn)
}

func (s *Events) each(ctx context.Context, where string, args []any, fn func(event.Event) error) error {
	return each(ctx, s.DB.Reader(), where, args, fn)
}

func each(ctx context.Context, q db.Querier, where string, args []any, fn func(event.Event) error) error {
	return db.Each(ctx, q, selected+where, args, func(rows *sql.Rows) error { return scan(rows, fn) })
}
