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
	"rollcall.dev/rollcall/internal/store/health"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/work"
)

// Runs is the table.
type Runs struct{ DB *db.DB }

// Start writes a new run, or begins one that was queued.
func (s *Runs) Start(ctx context.Context, lease mirror.Lease, r *engine.Run) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		n, err := insert(ctx, tx, r, lease.Fence)
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "run %s has ended before it began", r.ID)
		}
		return err
	})
}

func insert(ctx context.Context, tx *db.Tx, r *engine.Run, fence int64) (int64, error) {
	return tx.Exec(ctx, `INSERT INTO runs (id, organization, connection, trigger_by, actor, state, fence, reverts, replaces, started_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, fence = excluded.fence, reverts = excluded.reverts, started_at = excluded.started_at, finished_at = 0, error = ''
			WHERE runs.state = 'queued'`,
		r.ID, r.Organization, r.Connection, r.Trigger, r.Actor, string(r.State), fence, text(r.Reverts), text(r.Replaces), db.Micros(r.StartedAt))
}

// Queue writes a run that waits for its turn.
func Queue(ctx context.Context, tx *db.Tx, r *engine.Run) error {
	_, err := insert(ctx, tx, r, 0)
	return err
}

// Requeue makes a held run one that waits for its turn, on behalf of an actor. It
// reports false when it is not held.
func Requeue(ctx context.Context, tx *db.Tx, id, actor string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE runs SET state = 'queued', actor = $2, finished_at = 0, error = '' WHERE id = $1 AND state = 'held'`, id, actor)
	return n == 1, err
}

// Unqueue makes a queued run held again, as it was.
func Unqueue(ctx context.Context, tx *db.Tx, id string, was work.Held) error {
	_, err := tx.Exec(ctx, `UPDATE runs SET state = 'held', actor = $2, finished_at = $3, error = $4 WHERE id = $1 AND state = 'queued'`, id, was.Actor, was.FinishedAt, was.Error)
	return err
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
	if r.Cancelled {
		kind = event.RunCancelled
	}
	task, err := work.Remove(ctx, tx, r.ID)
	if err != nil {
		return err
	}
	fares, err := fares(ctx, tx, r, task)
	if err != nil {
		return err
	}
	return events.Append(ctx, tx, append([]event.Event{{Type: kind, Organization: r.Organization, Connection: &r.Connection, Run: &r.ID,
		At: *r.FinishedAt, Actor: r.Actor, After: json.RawMessage(summary), Why: text(r.Error)}}, fares...))
}

// fares keeps how the connection fares. That a person stopped a run says nothing
// of it, nor does a plan that was decided upon: nothing was read.
func fares(ctx context.Context, tx *db.Tx, r *engine.Run, task work.Task) ([]event.Event, error) {
	switch {
	case r.Cancelled || task == work.Approve || r.Trigger == "approve" || r.Trigger == "revert":
		return nil, nil
	case r.State == engine.RunFailed:
		return health.Failed(ctx, tx, health.Failure{Organization: r.Organization, Connection: r.Connection, Run: r.ID, Cause: text(r.Error), At: *r.FinishedAt,
			Scheduled: r.Trigger == "schedule", Read: r.Reading != nil})
	}
	return health.Well(ctx, tx, r.Organization, r.Connection, r.ID, *r.FinishedAt)
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
	const which = ` FROM runs WHERE connection = $1 AND state = 'running' AND fence < $2 AND id <> $3`
	args := []any{lease.Connection, lease.Fence, spare}
	var some bool
	if err := s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+which+`)`, args...).Scan(&some); err != nil || !some {
		return db.Explain("read runs", err)
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		var ids []string
		err := db.Each(ctx, tx, `SELECT id`+which, args, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
		for _, id := range ids {
			if err == nil {
				err = Interrupt(ctx, tx, id, "the process ended before the run did; nothing of the run was applied")
			}
		}
		return err
	})
}

// Interrupt ends one run whose process is gone, inside a transaction that made
// sure of that, unless it has ended by itself. It says nothing of how the
// connection fares.
func Interrupt(ctx context.Context, tx *db.Tx, id, why string) error {
	var organization, connection, actor string
	var at int64
	err := tx.QueryRowContext(ctx, `UPDATE runs SET state = 'failed', finished_at = `+tx.Now()+`, error = $2 WHERE id = $1 AND state IN ('running', 'queued')
		RETURNING organization, connection, actor, finished_at`, id, why).Scan(&organization, &connection, &actor, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return db.Explain("end the run", err)
	}
	return events.Append(ctx, tx, []event.Event{{Type: event.RunFailed, Organization: organization, Connection: &connection, Run: &id, At: db.Time(at), Actor: actor, Why: why}})
}

// Left names runs that say they are carried out although nobody holds their
// connection, and that are not in line: their command line was killed.
func (s *Runs) Left(ctx context.Context) ([]string, error) {
	var ids []string
	err := db.Each(ctx, s.DB.Reader(), `SELECT r.id FROM runs r JOIN connections c ON c.alias = r.connection WHERE r.state = 'running'
		AND (c.lease_owner = '' OR c.lease_until < `+s.DB.Now()+`) AND NOT EXISTS (SELECT 1 FROM work w WHERE w.run = r.id)`, nil, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// Replaced says in a run that was interrupted which one does it again.
func Replaced(ctx context.Context, tx *db.Tx, id, by string) error {
	_, err := tx.Exec(ctx, `UPDATE runs SET error = error || $2 WHERE id = $1 AND state = 'failed'`, id, "; run "+by+" does it again")
	return err
}

// Find gives a run inside a transaction that is about to change it.
func Find(ctx context.Context, tx *db.Tx, id string) (*engine.Run, error) {
	r, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM `+joined+` WHERE r.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no run %q", id)
	}
	return r, db.Explain("read run "+id, err)
}

const columns = `r.id, r.organization, r.connection, r.trigger_by, r.actor, r.state, r.reading, r.summary, r.plan, r.reverts, r.replaces, r.error, r.started_at, r.finished_at,
	COALESCE(w.phase, ''), COALESCE(w.done, 0), COALESCE(w.total, 0), COALESCE(w.waits_for, ''), COALESCE(w.updated_at, 0)`

const joined = `runs r LEFT JOIN work w ON w.run = r.id`

func scan(row interface{ Scan(...any) error }) (*engine.Run, error) {
	var r engine.Run
	var reading, summary, plan, reverts, replaces, failure string
	var started, finished, updated int64
	var p engine.Progress
	if err := row.Scan(&r.ID, &r.Organization, &r.Connection, &r.Trigger, &r.Actor, &r.State, &reading, &summary, &plan, &reverts, &replaces, &failure, &started, &finished,
		&p.Phase, &p.Done, &p.Total, &p.WaitsFor, &updated); err != nil {
		return nil, err
	}
	r.Plan, r.Reverts, r.Replaces, r.Error = optional(plan), optional(reverts), optional(replaces), optional(failure)
	if p.Phase != "" && (r.State == engine.RunQueued || r.State == engine.RunRunning) {
		p.UpdatedAt = db.Time(updated)
		r.Progress = &p
	}
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
	const mine = ` AND ($2 = '' OR r.organization = $2)`
	// People write the beginning of an ID; everybody else has all of it, and must
	// not wait for a look at every run.
	found, err := s.query(ctx, ` WHERE r.id = $1`+mine, id, organization)
	switch {
	case err != nil || len(found) == 1:
	case id == "last":
		found, err = s.query(ctx, ` WHERE $1 = '' OR r.organization = $1 ORDER BY r.started_at DESC LIMIT 1`, organization)
	case len(id) >= 4:
		found, err = s.query(ctx, ` WHERE substr(r.id, 1, length($1)) = $1`+mine+` ORDER BY r.started_at DESC LIMIT 2`, id, organization)
	}
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fault.New(fault.NotFound, "there is no run %q", id).WithHint("`rollcall runs list` shows them")
	case len(found) == 2:
		return nil, fault.New(fault.Invalid, "%q begins the ID of several runs", id).WithHint("give more of it")
	}
	return found[0], nil
}

func (s *Runs) query(ctx context.Context, where string, args ...any) (found []*engine.Run, err error) {
	err = db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM `+joined+where, args, func(rows *sql.Rows) error {
		r, err := scan(rows)
		found = append(found, r)
		return err
	})
	return found, err
}

// List hands on runs, the newest first.
func (s *Runs) List(ctx context.Context, connection string, limit int, fn func(*engine.Run) error) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM `+joined+` WHERE $1 = '' OR r.connection = $1 ORDER BY r.started_at DESC, r.id DESC LIMIT $2`,
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
