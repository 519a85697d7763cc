package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rollcall.dev/rollcall/internal/fault"
)

// set is what a connection is told when it is made. Said in the startup packet, PgBouncer
// turns it away: it knows no parameter there but a few of its own
// (https://www.pgbouncer.org/config.html#ignore_startup_parameters).
func set(query string) pgconn.AfterConnectFunc {
	return func(ctx context.Context, c *pgconn.PgConn) error {
		_, err := c.Exec(ctx, query).ReadAll()
		return err
	}
}

// sessions refuses a pooler that hands one session of PostgreSQL to whoever has a
// transaction: what is prepared, locked or listened for in a session was lost, or somebody
// else's. Two connections that are both open are then served by one process of it in turn.
func sessions(ctx context.Context, pool *sql.DB) (err error) {
	var conns [2]*sql.Conn
	for i := range conns {
		if conns[i], err = pool.Conn(ctx); err != nil {
			return explain("connect", err)
		}
		defer conns[i].Close() //nolint:errcheck // it goes back to the pool
	}
	var pids [4]int
	for i := range pids {
		if err := conns[i%2].QueryRowContext(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pids[i]); err != nil {
			return explain("connect", err)
		}
	}
	if pids[0] == pids[1] || pids[0] != pids[2] || pids[1] != pids[3] {
		return transactions("connect", errors.New("two connections share one session of PostgreSQL"))
	}
	return nil
}

func transactions(doing string, err error) error {
	return fault.New(fault.Invalid, "database: %s: a pooler hands out transactions, and not sessions: %w", doing, err).
		WithHint("set pool_mode = session in PgBouncer for this database and user, or name PostgreSQL itself in `database`")
}
