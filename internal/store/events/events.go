// Package events is the table of events: ascending, without gaps, each written
// in the transaction of the change it tells of. It hands them on to the feed,
// to histories and to revert.
package events

import (
	"context"
	"database/sql"
	"encoding/json"

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

var columns = []string{"id", "type", "organization", "connection", "run", "account", "group_id", "at", "actor", "before", "after", "why"}

// Append numbers events and writes them.
func Append(ctx context.Context, tx *db.Tx, list []event.Event) error {
	if len(list) == 0 {
		return nil
	}
	var last int64
	row := tx.QueryRowContext(ctx, `UPDATE counters SET value = value + $1 WHERE name = 'event' RETURNING value`, len(list))
	if err := row.Scan(&last); err != nil {
		return db.Explain("number events", err)
	}
	first := last - int64(len(list)) + 1
	return tx.Insert(ctx, "events", columns, len(list), func(i int, into []any) {
		e := &list[i]
		e.ID = first + int64(i)
		into[0], into[1], into[2], into[3], into[4] = e.ID, string(e.Type), e.Organization, text(e.Connection), text(e.Run)
		into[5], into[6], into[7], into[8] = bytes(e.Account), bytes(e.Group), db.Micros(e.At), e.Actor
		into[9], into[10], into[11] = string(e.Before), string(e.After), e.Why
	}, "")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func bytes(id *account.ID) any {
	if id == nil || id.IsZero() {
		return nil
	}
	return id[:]
}

const selected = `SELECT id, type, organization, connection, run, account, group_id, at, actor, before, after, why FROM events`

func scan(rows *sql.Rows) (event.Event, error) {
	var e event.Event
	var connection, run, before, after string
	var acc, group account.ID
	var at int64
	if err := rows.Scan(&e.ID, &e.Type, &e.Organization, &connection, &run, &acc, &group, &at, &e.Actor, &before, &after, &e.Why); err != nil {
		return e, err
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
	return e, nil
}

func raw(s string) json.RawMessage {
	if s == "" {
		return json.RawMessage("null")
	}
	return json.RawMessage(s)
}

// After hands on the events behind an ID, in order, at most limit.
func (s *Events) After(ctx context.Context, organization string, after int64, limit int, fn func(event.Event) error) error {
	return s.each(ctx, ` WHERE id > $1 AND ($2 = '' OR organization = $2) ORDER BY id LIMIT $3`, []any{after, organization, limit}, fn)
}

// Last hands on the newest events, oldest first.
func (s *Events) Last(ctx context.Context, organization string, n int, fn func(event.Event) error) error {
	return s.each(ctx, ` WHERE id IN (SELECT id FROM events WHERE $1 = '' OR organization = $1 ORDER BY id DESC LIMIT $2) ORDER BY id`, []any{organization, n}, fn)
}

// OfRun hands on the events of a run, the newest first.
func (s *Events) OfRun(ctx context.Context, run string, fn func(event.Event) error) error {
	return s.each(ctx, ` WHERE run = $1 ORDER BY id DESC`, []any{run}, fn)
}

// OfAccount hands on the newest events of an account, the newest first.
func (s *Events) OfAccount(ctx context.Context, id account.ID, limit int, fn func(event.Event) error) error {
	return s.each(ctx, ` WHERE account = $1 ORDER BY id DESC LIMIT $2`, []any{id, limit}, fn)
}

func (s *Events) each(ctx context.Context, where string, args []any, fn func(event.Event) error) error {
	return db.Each(ctx, s.DB.Reader(), selected+where, args, func(rows *sql.Rows) error {
		e, err := scan(rows)
		if err != nil {
			return err
		}
		return fn(e)
	})
}
