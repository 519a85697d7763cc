// Package runs is the table of runs: it keeps how each one stands, for the
// engine that writes them and for everybody who looks.
package runs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/leases"
)

// Runs is the table.
type Runs struct{ DB *db.DB }

// Start writes a new run.
func (s *Runs) Start(ctx context.Context, lease mirror.Lease, r *engine.Run) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO runs (id, organization, connection, trigger_by, actor, state, fence, reverts, started_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, r.ID, r.Organization, r.Connection, r.Trigger, r.Actor, string(r.State), lease.Fence, text(r.Reverts), db.Micros(r.StartedAt))
		return err
	})
}

// Save writes how a run stands, with the event that tells of its end.
func (s *Runs) Save(ctx context.Context, lease mirror.Lease, r *engine.Run) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		return Write(ctx, tx, r)
	})
}

var ended = map[engine.RunState]event.Type{
	engine.RunApplied: event.RunApplied, engine.RunHeld: event.RunHeld, engine.RunFailed: event.RunFailed,
}

// Write updates a run inside a transaction, with the event of its end.
func Write(ctx context.Context, tx *db.Tx, r *engine.Run) error {
	reading, err := encode(r.Reading)
	if err != nil {
		return err
	}
	summary, err := encode(r.Summary)
	if err != nil {
		return err
	}
	finished := int64(0)
	if r.FinishedAt != nil {
		finished = db.Micros(*r.FinishedAt)
	}
	if _, err := tx.Exec(ctx, `UPDATE runs SET state = $2, reading = $3, summary = $4, plan = $5, error = $6, finished_at = $7 WHERE id = $1`,
		r.ID, string(r.State), reading, summary, text(r.Plan), text(r.Error), finished); err != nil {
		return err
	}
	kind, ok := ended[r.State]
	if !ok || r.FinishedAt == nil {
		return nil
	}
	return events.Append(ctx, tx, []event.Event{{Type: kind, Organization: r.Organization, Connection: &r.Connection, Run: &r.ID,
		At: *r.FinishedAt, Actor: r.Actor, After: json.RawMessage(summary), Why: text(r.Error)}})
}

func encode[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Interrupted ends runs of a connection that say they are running although
// their process is gone.
func (s *Runs) Interrupted(ctx context.Context, lease mirror.Lease, spare string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE runs SET state = 'failed', finished_at = `+tx.Now()+`, error = 'the process ended before the run did; nothing of the run was applied'
			WHERE connection = $1 AND state = 'running' AND fence < $2 AND id <> $3`, lease.Connection, lease.Fence, spare)
		return err
	})
}

const columns = `id, organization, connection, trigger_by, actor, state, reading, summary, plan, reverts, error, started_at, finished_at`

func scan(row interface{ Scan(...any) error }) (*engine.Run, error) {
	var r engine.Run
	var reading, summary, plan, reverts, failure string
	var started, finished int64
	if err := row.Scan(&r.ID, &r.Organization, &r.Connection, &r.Trigger, &r.Actor, &r.State, &reading, &summary, &plan, &reverts, &failure, &started, &finished); err != nil {
		return nil, err
	}
	r.Plan, r.Reverts, r.Error = optional(plan), optional(reverts), optional(failure)
	r.StartedAt = db.Time(started)
	if finished != 0 {
		t := db.Time(finished)
		r.FinishedAt = &t
	}
	if reading != "" {
		r.Reading = &engine.ReadingReport{}
		if err := json.Unmarshal([]byte(reading), r.Reading); err != nil {
			return nil, err
		}
	}
	if summary != "" {
		if err := json.Unmarshal([]byte(summary), &r.Summary); err != nil {
			return nil, err
		}
	}
	return &r, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Get gives a run by its ID, a unique beginning of it, or "last".
func (s *Runs) Get(ctx context.Context, id string) (*engine.Run, error) { return s.Find(ctx, "", id) }

// Find is Get among the runs of an organization, "" for all of them.
func (s *Runs) Find(ctx context.Context, organization, id string) (*engine.Run, error) {
	query, args := `SELECT `+columns+` FROM runs WHERE ($2 = '' OR organization = $2) AND (id = $1 OR (length($1) >= 4 AND substr(id, 1, length($1)) = $1))
		ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END, started_at DESC LIMIT 2`, []any{id, organization}
	if id == "last" {
		query, args = `SELECT `+columns+` FROM runs WHERE $1 = '' OR organization = $1 ORDER BY started_at DESC LIMIT 1`, []any{organization}
	}
	var found []*engine.Run
	err := db.Each(ctx, s.DB.Reader(), query, args, func(rows *sql.Rows) error {
		r, err := scan(rows)
		found = append(found, r)
		return err
	})
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return nil, err
	case len(found) == 0:
		return nil, fault.New(fault.NotFound, "there is no run %q", id).WithHint("`rollcall runs list` shows them")
	case len(found) == 2 && found[0].ID != id:
		return nil, fault.New(fault.Invalid, "%q begins the ID of several runs", id).WithHint("give more of it")
	}
	return found[0], nil
}

// List hands on runs, the newest first.
func (s *Runs) List(ctx context.Context, connection string, limit int, fn func(*engine.Run) error) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM runs WHERE $1 = '' OR connection = $1 ORDER BY started_at DESC, id DESC LIMIT $2`,
		[]any{connection, limit}, func(rows *sql.Rows) error {
			r, err := scan(rows)
			if err != nil {
				return err
			}
			return fn(r)
		})
}

// Last gives when a connection was last applied; zero if never.
func (s *Runs) Last(ctx context.Context, connection string) (time.Time, error) {
	var us sql.NullInt64
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT max(finished_at) FROM runs WHERE connection = $1 AND state = 'applied'`, connection).Scan(&us)
	return db.Time(us.Int64), db.Explain("read runs", err)
}
