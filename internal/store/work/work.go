// Package work is the table of runs that wait for their turn and of those a node
// carries out. It hands the next one to whoever has room, tells everybody how far
// each is, and passes on that somebody wants it cancelled.
package work

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
)

// Work is the table.
type Work struct{ DB *db.DB }

// Task is what a run is to do.
type Task string

// The tasks. Resume carries on what a node that went away left half applied.
const (
	Sync    Task = "sync"
	Approve Task = "approve"
	Revert  Task = "revert"
	Resume  Task = "resume"
)

// Options of a task.
type Options struct {
	Full    bool    `json:"full,omitempty"`
	Exclude []int64 `json:"exclude,omitempty"` // rows left out of an approved plan
	Held    *Held   `json:"held,omitempty"`
	Lost    int     `json:"lost,omitempty"`  // how many nodes went away while they had it
	Waits   int     `json:"waits,omitempty"` // how often it went back into the line because its node could not carry it out
}

// Held is how a held run stood before its plan was approved: it stands so again
// when the approval is cancelled before it began.
type Held struct {
	FinishedAt int64  `json:"finished_at"` // microseconds
	Error      string `json:"error"`
	Actor      string `json:"actor"`
}

// Item is one run that waits or is carried out.
type Item struct {
	Run          string
	Organization string
	Connection   string
	Task         Task
	Subject      string // the plan to approve, the run to revert, the one person to read
	Options      Options
	Urgent       bool   // a person waits for it
	Node         string // that carries it out; "" while it waits
	Phase        string
}

// Lock makes this transaction the only one that adds to or takes from the line.
func Lock(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE counters SET value = value + 1 WHERE name = 'line'`)
	return err
}

// Add puts an item in line: behind the last of its lane, and where that is empty
// beside the first of everybody else's. It reports false when the same already
// waits, whose run it gives; what is asked for then holds for that one too.
func Add(ctx context.Context, tx *db.Tx, it Item) (run string, added bool, err error) {
	options, err := json.Marshal(it.Options)
	if err != nil {
		return "", false, err
	}
	lane := "schedule " + it.Organization
	if it.Urgent {
		lane = "person " + it.Organization
	}
	if err := Lock(ctx, tx); err != nil {
		return "", false, err
	}
	waits, err := one(ctx, tx, ` WHERE connection = $1 AND task = $2 AND subject = $3 AND node = '' ORDER BY turn LIMIT 1`, it.Connection, string(it.Task), it.Subject)
	if errors.Is(err, sql.ErrNoRows) {
		// The first of all that wait stands where everybody is by now.
		_, err = tx.Exec(ctx, `INSERT INTO work (run, organization, connection, task, subject, options, lane, turn, queued_at, updated_at)
			SELECT $1, $2, $3, $4, $5, $6, $7, CASE WHEN now.turn > lane.turn + 1 THEN now.turn ELSE lane.turn + 1 END, `+tx.Now()+`, `+tx.Now()+`
			FROM (SELECT COALESCE(min(turn), 0) AS turn FROM work WHERE node = '') now,
				(SELECT COALESCE(max(turn), 0) AS turn FROM work WHERE node = '' AND lane = $8) lane`,
			it.Run, it.Organization, it.Connection, string(it.Task), it.Subject, string(options), lane, lane)
		return it.Run, err == nil, err
	}
	if err != nil {
		return "", false, err
	}
	if it.Options.Full && !waits.Options.Full {
		waits.Options.Full = true
		if options, err = json.Marshal(waits.Options); err != nil {
			return "", false, err
		}
		if _, err := tx.Exec(ctx, `UPDATE work SET options = $2 WHERE run = $1`, waits.Run, string(options)); err != nil {
			return "", false, err
		}
	}
	if it.Urgent {
		// Somebody waits for what a schedule put in line.
		_, err = tx.Exec(ctx, `UPDATE work SET lane = $2, turn = (SELECT COALESCE(min(turn), 1) FROM work WHERE node = '') WHERE run = $1 AND lane <> $3`, waits.Run, lane, lane)
	}
	return waits.Run, false, err
}

const columns = `run, organization, connection, task, subject, options, lane, node, phase`

func scan(row interface{ Scan(...any) error }) (it Item, err error) {
	var options, lane string
	if err := row.Scan(&it.Run, &it.Organization, &it.Connection, &it.Task, &it.Subject, &options, &lane, &it.Node, &it.Phase); err != nil {
		return it, err
	}
	it.Urgent = len(lane) > 7 && lane[:7] == "person "
	return it, json.Unmarshal([]byte(options), &it.Options)
}

func one(ctx context.Context, q db.Querier, where string, args ...any) (Item, error) {
	it, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM work`+where, args...))
	return it, db.Explain("read the work", err)
}

// Get gives an item inside a transaction that is going to change it, and whether
// there is one.
func Get(ctx context.Context, tx *db.Tx, run string) (Item, bool, error) {
	it, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM work WHERE run = $1`+tx.Locked(), run))
	if errors.Is(err, sql.ErrNoRows) {
		return it, false, nil
	}
	return it, err == nil, db.Explain("read the work", err)
}

// claimable is what can be begun now: its time has come, and nobody works on its
// connection.
func claimable(now string) string {
	return `w.node = '' AND w.not_before <= ` + now + ` AND NOT EXISTS (SELECT 1 FROM work b WHERE b.connection = w.connection AND b.node <> '')`
}

// Claim gives the node the item whose turn it is, or nil.
func (w *Work) Claim(ctx context.Context, node string) (*Item, error) {
	var out *Item
	err := w.DB.Write(ctx, func(tx *db.Tx) error {
		// One node at a time: two items of one connection must not go to two.
		if err := Lock(ctx, tx); err != nil {
			return err
		}
		it, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM work w WHERE `+claimable(tx.Now())+` ORDER BY turn, queued_at, run LIMIT 1`+tx.Locked()))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return db.Explain("read the work", err)
		}
		it.Node, out = node, &it
		_, err = tx.Exec(ctx, `UPDATE work SET node = $2, waits_for = '', updated_at = `+tx.Now()+` WHERE run = $1`, it.Run, node)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Waiting tells how many items could be begun now and have waited for longer
// than a while; at the most limit are counted.
func (w *Work) Waiting(ctx context.Context, a time.Duration, limit int) (n int, err error) {
	now := w.DB.Now()
	err = w.DB.Reader().QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM work w WHERE `+claimable(now)+` AND w.updated_at <= `+now+` - $1 LIMIT $2) x`, a.Microseconds(), limit).Scan(&n)
	return n, db.Explain("read the work", err)
}

// Follows reports whether something waits for the connection.
func Follows(ctx context.Context, q db.Querier, connection string) (yes bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM work WHERE connection = $1 AND node = '')`, connection).Scan(&yes)
	return yes, db.Explain("read the work", err)
}

// Return puts an item that a node has back in line, not to be begun before a
// while has passed. It reports false when the node does not have it any more.
func Return(ctx context.Context, tx *db.Tx, it Item, task Task, wait time.Duration, waitsFor string) (bool, error) {
	options, err := json.Marshal(it.Options)
	if err != nil {
		return false, err
	}
	n, err := tx.Exec(ctx, `UPDATE work SET node = '', task = $3, not_before = `+tx.Now()+` + $4, waits_for = $5, options = $6, phase = 'waiting', done = 0, total = 0, updated_at = `+tx.Now()+`
		WHERE run = $1 AND node = $2`, it.Run, it.Node, string(task), wait.Microseconds(), waitsFor, string(options))
	return n == 1, err
}

// Remove takes an item out, and gives what it was to do, or "" where there was
// none. The end of its run does so too.
func Remove(ctx context.Context, tx *db.Tx, run string) (Task, error) {
	var task Task
	err := tx.QueryRowContext(ctx, `DELETE FROM work WHERE run = $1 RETURNING task`, run).Scan(&task)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return task, db.Explain("take a run out of the line", err)
}

// Cancel says that somebody wants a run cancelled that a node carries out.
func Cancel(ctx context.Context, tx *db.Tx, run, actor string) error {
	_, err := tx.Exec(ctx, `UPDATE work SET cancelled_by = $2 WHERE run = $1 AND cancelled_by = ''`, run, actor)
	return err
}

// Report writes how far a run is, and gives who wants it cancelled, or "".
func (w *Work) Report(ctx context.Context, run, node, phase string, done, total int) (cancelledBy string, err error) {
	err = w.DB.Write(ctx, func(tx *db.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE work SET phase = $3, done = $4, total = $5, updated_at = `+tx.Now()+` WHERE run = $1 AND node = $2 RETURNING cancelled_by`,
			run, node, phase, done, total).Scan(&cancelledBy)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return db.Explain("write the progress", err)
	})
	return cancelledBy, err
}

// Cancelled gives the node's runs that somebody wants cancelled, with who.
func (w *Work) Cancelled(ctx context.Context, node string) (map[string]string, error) {
	out := map[string]string{}
	err := db.Each(ctx, w.DB.Reader(), `SELECT run, cancelled_by FROM work WHERE node = $1 AND node <> '' AND cancelled_by <> ''`, []any{node}, func(rows *sql.Rows) error {
		var run, by string
		err := rows.Scan(&run, &by)
		out[run] = by
		return err
	})
	return out, err
}

// Taken gives all items that nodes have.
func (w *Work) Taken(ctx context.Context) ([]Item, error) {
	return w.list(ctx, ` WHERE node <> ''`)
}

func (w *Work) list(ctx context.Context, where string) ([]Item, error) {
	var out []Item
	err := db.Each(ctx, w.DB.Reader(), `SELECT `+columns+` FROM work`+where, nil, func(rows *sql.Rows) error {
		it, err := scan(rows)
		out = append(out, it)
		return err
	})
	return out, err
}

// Alone gives the items of nodes that are gone.
func (w *Work) Alone(ctx context.Context, a time.Duration) ([]Item, error) {
	return w.list(ctx, ` WHERE node <> '' AND `+nodes.Gone(w.DB, "work.node", a))
}

// Counts tells how many items wait and how many are carried out.
func (w *Work) Counts(ctx context.Context) (waiting, running int, err error) {
	err = w.DB.Reader().QueryRowContext(ctx, `SELECT COALESCE(sum(CASE WHEN node = '' THEN 1 ELSE 0 END), 0), COALESCE(sum(CASE WHEN node = '' THEN 0 ELSE 1 END), 0) FROM work`).Scan(&waiting, &running)
	return waiting, running, db.Explain("read the work", err)
}
