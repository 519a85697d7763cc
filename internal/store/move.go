package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// stays is what one process or one file has for itself, and what PostgreSQL keeps in
// tables of another form: those of its queue, which is filled from the others.
var stays = []string{"nodes", "agent_presences", "deferred_indexes", "jobs"}

// Move brings all that an SQLite database holds into the empty PostgreSQL database at
// dsn: accounts, histories, what was read, administrators, links, secrets. It is a
// fault.Conflict while anybody is at work on it. The file stays as it is, but for steps of
// the schema that it had still before it.
func Move(ctx context.Context, file, dsn, dir string) (rows int64, err error) {
	if _, err := os.Stat(file); err != nil { // opening it would make it
		return 0, fault.New(fault.Invalid, "move: %w", err).WithHint("name the file of the embedded database, or a `rollcall backup` of it")
	}
	if strings.HasPrefix(dsn, "sqlite:") {
		return 0, fault.New(fault.Invalid, "move: the configuration names an embedded database").WithHint("let `database` name the PostgreSQL database to move into: postgres://...")
	}
	whole, err := filepath.Abs(file)
	if err != nil {
		return 0, err
	}
	from, err := Open(ctx, "sqlite:"+whole, "")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := from.quiet(ctx); err != nil {
		return 0, err
	}
	to, err := db.Open(ctx, dsn, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return from.DB.MoveTo(ctx, to, stays, func(tx *db.Tx) error {
		if err := from.quiet(ctx); err != nil { // somebody may have begun before the file was locked
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE connections SET lease_owner = '', lease_until = 0 WHERE lease_owner <> ''`)
		return err
	})
}

// quiet refuses a database that somebody serves, or with runs that wait, or have not
// come to their end.
func (s *Store) quiet(ctx context.Context) error {
	const stop = "stop every rollcall that uses the old database first"
	busy, err := s.LeaseTable.Busy(ctx)
	if err != nil {
		return err
	}
	if len(busy) > 0 {
		return fault.New(fault.Conflict, "move: somebody is at work on %s", strings.Join(busy, ", ")).WithHint(stop)
	}
	serves, err := s.Nodes.Serving(ctx)
	if err != nil {
		return err
	}
	if len(serves) > 0 {
		return fault.New(fault.Conflict, "move: it is being served, on %s", strings.Join(serves, ", ")).WithHint(stop + "; one that was killed on another machine is forgotten after a minute")
	}
	var open []string
	err = db.Each(ctx, s.DB.Reader(), `SELECT DISTINCT connection FROM runs WHERE state IN ('queued', 'running') ORDER BY connection`, nil, func(rows *sql.Rows) error {
		var alias string
		err := rows.Scan(&alias)
		open = append(open, alias)
		return err
	})
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return fault.New(fault.Conflict, "move: runs of %s wait, or were interrupted", strings.Join(open, ", ")).
			WithHint("with the configuration of the old database run `rollcall sync` for each of them, and stop every rollcall after that")
	}
	return nil
}
