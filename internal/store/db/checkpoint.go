package db

import (
	"context"
	"database/sql"
	"errors"

	"modernc.org/sqlite"
)

// What is written in SQLite goes to a log first and is copied into the file from
// there. Left to itself SQLite has whoever commits do that, once every so many
// pages, and a first import waited a tenth of its time for it. So it is done beside
// the writer, by a connection of its own.

// logLimits are lengths of the log, in bytes.
type logLimits struct {
	copied int // so many more are copied at once
	begun  int // one that is longer begins anew: it can where all of it is copied, which needs a moment without writers
}

// The last resort is SQLite's own: at that length the writer copies after all,
// because nobody else did.
var ordinaryLimits = logLimits{copied: 64 << 20, begun: 256 << 20}

const lastResort = 512 << 20

// copier copies the log into the file.
type copier struct {
	db     *DB
	page   int // the size of one, in bytes
	limits logLimits
	seen   int           // pages written when the log was last copied; whose turn it is to write may look
	under  chan struct{} // holds one token while the log is being copied
}

// committed is told after each commit, by whoever has the turn to write. What it
// finds out may be wrong without harm: the log is then copied later.
func (c *copier) committed(conn *sql.Conn) {
	pages, err := written(conn)
	if err != nil || (pages-c.seen)*c.page < c.limits.copied {
		return
	}
	select {
	case c.under <- struct{}{}:
	default:
		return // it is being copied
	}
	c.seen = pages
	c.db.aside(func(ctx context.Context) error {
		defer func() { <-c.under }()
		return c.copy(ctx) // what fails is tried again with what comes after it
	})
}

// written is how many pages a connection wrote since it was opened.
func written(conn *sql.Conn) (pages int, err error) {
	err = conn.Raw(func(driver any) error {
		status, ok := driver.(sqlite.DBStatus)
		if !ok {
			return errors.ErrUnsupported
		}
		pages, _, err = status.Status(sqlite.DBStatusCacheWrite, false)
		return err
	})
	return pages, err
}

func (c *copier) copy(ctx context.Context) error {
	conn, err := c.db.write.Conn(ctx)
	if err != nil {
		return explain("copy the log", err)
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	length, err := checkpoint(ctx, conn)
	if err != nil || length*c.page < c.limits.begun {
		return err
	}
	// What was written meanwhile first, so that the turn to write is held for little.
	if _, err := checkpoint(ctx, conn); err != nil {
		return err
	}
	_, _, done, err := c.db.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = checkpoint(ctx, conn)
	return err
}

// checkpoint copies what is in the log, waiting for nobody, and tells how many pages it has.
// See https://sqlite.org/pragma.html#pragma_wal_checkpoint.
func checkpoint(ctx context.Context, conn *sql.Conn) (length int, err error) {
	var busy, copied int
	err = conn.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &length, &copied)
	return length, explain("copy the log", err)
}
