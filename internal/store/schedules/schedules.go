// Package schedules is the table of when each connection runs next. It hands
// those that are due to whoever puts their runs in line.
package schedules

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
)

// Schedules is the table.
type Schedules struct{ DB *db.DB }

// Entry is one connection's schedule.
type Entry struct {
	Connection   string
	Organization string
	Spec         string    // whatever its owner needs to know when it comes next
	NextAt       time.Time // by the schedule
	DueAt        time.Time // the same, or later in quarantine
}

const columns = `connection, organization, spec, next_at, due_at`

func scan(row interface{ Scan(...any) error }) (e Entry, err error) {
	var next, due int64
	err = row.Scan(&e.Connection, &e.Organization, &e.Spec, &next, &due)
	e.NextAt, e.DueAt = db.Time(next), db.Time(due)
	return e, err
}

// Due gives the connections that are due, those that have waited longest first.
// Inside the transaction they are nobody else's.
func Due(ctx context.Context, tx *db.Tx, now time.Time, limit int) ([]Entry, error) {
	var out []Entry
	err := db.Each(ctx, tx, `SELECT `+columns+` FROM schedules WHERE due_at <= $1 ORDER BY due_at LIMIT $2`+tx.Unlocked(), []any{db.Micros(now), limit}, func(rows *sql.Rows) error {
		e, err := scan(rows)
		out = append(out, e)
		return err
	})
	return out, err
}

// Any reports whether some connection is due.
func (s *Schedules) Any(ctx context.Context, now time.Time) (yes bool, err error) {
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM schedules WHERE due_at <= $1)`, db.Micros(now)).Scan(&yes)
	return yes, db.Explain("read the schedules", err)
}

// Move says when a connection that was due runs next.
func Move(ctx context.Context, tx *db.Tx, connection string, next time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE schedules SET next_at = $2, due_at = $3 WHERE connection = $1`, connection, db.Micros(next), db.Micros(next))
	return err
}

// Set writes a connection's schedule. One that is there and the same stays as it
// is; next is when a new one comes first.
func (s *Schedules) Set(ctx context.Context, e Entry) error {
	var spec, organization string
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT spec, organization FROM schedules WHERE connection = $1`, e.Connection).Scan(&spec, &organization)
	if err == nil && spec == e.Spec && organization == e.Organization {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return db.Explain("read the schedules", err)
	}
	return s.SetAll(ctx, []Entry{e})
}

// SetAll is Set for several, which all differ from what is there. DueAt is the latest
// that each may be due: a quarantine that lasts longer was begun by another clock.
func (s *Schedules) SetAll(ctx context.Context, list []Entry) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		for _, e := range list {
			// A quarantine outlives a change of the schedule.
			if _, err := tx.Exec(ctx, `INSERT INTO schedules (connection, organization, spec, next_at, due_at)
				SELECT $1, $2, $3, CAST($4 AS bigint), CASE WHEN h.retry_at > $5 AND h.retry_at <= $6 THEN h.retry_at ELSE $7 END FROM (SELECT COALESCE(max(retry_at), 0) AS retry_at FROM health WHERE connection = $8) h
				WHERE true ON CONFLICT (connection) DO UPDATE SET organization = excluded.organization, spec = excluded.spec, next_at = excluded.next_at, due_at = excluded.due_at`,
				e.Connection, e.Organization, e.Spec, db.Micros(e.NextAt), db.Micros(e.NextAt), db.Micros(e.DueAt), db.Micros(e.NextAt), e.Connection); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove takes connections out that have no schedule any more.
func (s *Schedules) Remove(ctx context.Context, connections ...string) error {
	if len(connections) == 0 {
		return nil
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		for _, c := range connections {
			if _, err := tx.Exec(ctx, `DELETE FROM schedules WHERE connection = $1`, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// Each hands on all schedules.
func (s *Schedules) Each(ctx context.Context, fn func(Entry) error) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM schedules ORDER BY connection`, nil, func(rows *sql.Rows) error {
		e, err := scan(rows)
		if err != nil {
			return err
		}
		return fn(e)
	})
}

// Of gives a connection's schedule, and whether it has one.
func (s *Schedules) Of(ctx context.Context, connection string) (Entry, bool, error) {
	e, err := scan(s.DB.Reader().QueryRowContext(ctx, `SELECT `+columns+` FROM schedules WHERE connection = $1`, connection))
	if errors.Is(err, sql.ErrNoRows) {
		return e, false, nil
	}
	return e, err == nil, db.Explain("read the schedules", err)
}

// Turn reports that it is this caller's turn to do a chore that comes every so
// often, and sets when it comes next: of all nodes one is told so.
func Turn(ctx context.Context, tx *db.Tx, chore string, every time.Duration) (bool, error) {
	if _, err := tx.Exec(ctx, `INSERT INTO chores (name, next_at) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING`, chore); err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `UPDATE chores SET next_at = `+tx.Now()+` + $2 WHERE name = $1 AND next_at <= `+tx.Now(), chore, every.Microseconds())
	return n == 1, err
}

// Resting names the chores whose time has not come.
func (s *Schedules) Resting(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT name FROM chores WHERE next_at > `+s.DB.Now(), nil, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		out[name] = true
		return err
	})
	return out, err
}
