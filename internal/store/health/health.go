// Package health is the table of connections whose runs fail. After three
// failures in a row a connection is in quarantine: its schedule waits longer and
// longer, until a run goes well. It is kept in the transactions that end runs, and
// read by the schedule, the console and metrics.
package health

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"hash/fnv"
	"strconv"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
)

// Most failures in a row before quarantine, and for how long it holds back the
// schedule: First after the failure that led there, doubled with each further one
// up to Longest.
const (
	Most    = 3
	First   = 15 * time.Minute
	Longest = 24 * time.Hour
)

// Health is the table.
type Health struct{ DB *db.DB }

// State is how a connection fares.
type State struct {
	Connection    string     `json:"connection"`
	Organization  string     `json:"organization"`
	Failures      int        `json:"failures"` // in a row
	Cause         string     `json:"cause"`    // of the last
	FailedAt      time.Time  `json:"failed_at"`
	QuarantinedAt *time.Time `json:"quarantined_at"`
	RetryAt       *time.Time `json:"retry_at"` // before this no schedule runs it; on demand it always runs
}

// Failure is the end of a run that failed.
type Failure struct {
	Organization string
	Connection   string
	Run          string
	Cause        string
	At           time.Time
	Scheduled    bool
	Read         bool // something was read before
}

// Wait is how long the schedule waits after so many failures in a row. It hangs
// on the connection as well, so that many which fail together do not come back
// together.
func Wait(connection string, failures int) time.Duration {
	if failures < Most {
		return 0
	}
	wait := Longest
	if n := failures - Most; n < 8 {
		wait = min(Longest, First<<n)
	}
	h := fnv.New32a()
	h.Write([]byte(connection + strconv.Itoa(failures))) //nolint:errcheck // a hash takes everything
	return wait - wait/5*time.Duration(h.Sum32()%1000)/1000
}

// Failed notes a failure, in the transaction that ends the run. It gives the event
// that tells of a quarantine that begins, if one does. Who presses the button
// again while the directory cannot be reached makes it no worse: a failure before
// anything was read, for the cause known already, counts for schedules only.
func Failed(ctx context.Context, tx *db.Tx, f Failure) ([]event.Event, error) {
	var failures int
	var cause string
	var since int64
	err := tx.QueryRowContext(ctx, `SELECT failures, cause, quarantined_at FROM health WHERE connection = $1`+tx.Locked(), f.Connection).Scan(&failures, &cause, &since)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, db.Explain("read the connection's failures", err)
	}
	if !f.Read && !f.Scheduled && cause == f.Cause && failures > 0 {
		_, err := tx.Exec(ctx, `UPDATE health SET failed_at = $2 WHERE connection = $1`, f.Connection, db.Micros(f.At))
		return nil, err
	}
	failures++
	begins := failures >= Most && since == 0
	var retry int64
	if failures >= Most {
		retry = db.Micros(f.At.Add(Wait(f.Connection, failures)))
		if begins {
			since = db.Micros(f.At)
		}
	}
	if _, err := tx.Exec(ctx, `INSERT INTO health (connection, organization, failures, cause, failed_at, quarantined_at, retry_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (connection) DO UPDATE SET failures = excluded.failures, cause = excluded.cause, failed_at = excluded.failed_at,
			quarantined_at = excluded.quarantined_at, retry_at = excluded.retry_at`, f.Connection, f.Organization, failures, f.Cause, db.Micros(f.At), since, retry); err != nil {
		return nil, err
	}
	if retry == 0 {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, `UPDATE schedules SET due_at = CASE WHEN next_at > $2 THEN next_at ELSE $3 END WHERE connection = $1`, f.Connection, retry, retry); err != nil || !begins {
		return nil, err
	}
	return told(event.ConnectionQuarantined, f.Organization, f.Connection, f.Run, f.At, f.Cause, map[string]any{"failures": failures, "retry_at": db.Time(retry)})
}

// Well notes a run that went well, and gives the event that tells of the end of a
// quarantine, if there was one. The schedule goes on as it would have.
func Well(ctx context.Context, tx *db.Tx, organization, connection, run string, at time.Time) ([]event.Event, error) {
	var failures int
	var since int64
	err := tx.QueryRowContext(ctx, `DELETE FROM health WHERE connection = $1 RETURNING failures, quarantined_at`, connection).Scan(&failures, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil || since == 0 {
		return nil, db.Explain("forget the connection's failures", err)
	}
	if _, err := tx.Exec(ctx, `UPDATE schedules SET due_at = next_at WHERE connection = $1`, connection); err != nil {
		return nil, err
	}
	return told(event.ConnectionRecovered, organization, connection, run, at, "", map[string]any{"failures": failures, "quarantined_at": db.Time(since)})
}

func told(t event.Type, organization, connection, run string, at time.Time, why string, after map[string]any) ([]event.Event, error) {
	text, err := json.Marshal(after)
	return []event.Event{{Type: t, Organization: organization, Connection: &connection, Run: &run, At: at, Actor: "rollcall", After: text, Why: why}}, err
}

const selected = `SELECT connection, organization, failures, cause, failed_at, quarantined_at, retry_at FROM health`

func scan(row interface{ Scan(...any) error }) (s State, err error) {
	var failed, since, retry int64
	err = row.Scan(&s.Connection, &s.Organization, &s.Failures, &s.Cause, &failed, &since, &retry)
	s.FailedAt, s.QuarantinedAt, s.RetryAt = db.Time(failed), optional(since), optional(retry)
	return s, err
}

func optional(us int64) *time.Time {
	if us == 0 {
		return nil
	}
	t := db.Time(us)
	return &t
}

// Of gives how a connection fares; one that never failed has no failures.
func (h *Health) Of(ctx context.Context, connection string) (State, error) {
	s, err := scan(h.DB.Reader().QueryRowContext(ctx, selected+` WHERE connection = $1`, connection))
	if errors.Is(err, sql.ErrNoRows) {
		return State{Connection: connection}, nil
	}
	return s, db.Explain("read the connection's failures", err)
}

// Forget takes a connection out that is none any more.
func (h *Health) Forget(ctx context.Context, connection string) error {
	return h.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM health WHERE connection = $1`, connection)
		return err
	})
}

// Each hands on the connections whose last run failed, of one organization or of
// all ("").
func (h *Health) Each(ctx context.Context, organization string, fn func(State) error) error {
	return db.Each(ctx, h.DB.Reader(), selected+` WHERE $1 = '' OR organization = $1 ORDER BY connection`, []any{organization}, func(rows *sql.Rows) error {
		s, err := scan(rows)
		if err != nil {
			return err
		}
		return fn(s)
	})
}
