// Package db opens the database, SQLite or PostgreSQL, brings its schema up to
// date and gives the table packages one way to read and write both. SQL is
// written once, with $1 placeholders, bytes for digests and IDs, and times as
// integer microseconds; what differs lives here.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"rollcall.dev/rollcall/internal/fault"
)

// Dialect of a database.
type Dialect string

// The databases there are.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// DB is an open database. Reading is shared; in SQLite there is one connection
// for writing, so writers of one process queue here instead of failing there.
type DB struct {
	Dialect Dialect
	Path    string // of the SQLite file
	read    *sql.DB
	write   *sql.DB
}

// Open opens "sqlite:path" or "postgres://...", and brings the schema up to date.
func Open(ctx context.Context, dsn, dir string) (*DB, error) {
	d, err := connect(ctx, dsn, dir)
	if err != nil {
		return nil, err
	}
	if err := d.migrate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func connect(ctx context.Context, dsn, dir string) (*DB, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return openSQLite(ctx, path)
	}
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return openPostgreSQL(ctx, dsn)
	}
	return nil, fault.New(fault.Invalid, "database: the address is neither sqlite:FILE nor postgres://...").
		WithHint("set database in rollcall.yaml, for instance sqlite:rollcall.db")
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	// The file is made here, so that nobody but us may read it from the first byte on.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "database: open: %w", err).
			WithHint("the folder must exist and be writable for the user rollcall runs as")
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	pragmas := "_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
		"&_pragma=foreign_keys(1)&_pragma=cache_size(-32000)&_pragma=temp_store(2)"
	uri := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()
	write, err := sql.Open("sqlite", uri+"?_txlock=immediate&"+pragmas)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil {
		return nil, errors.Join(explain("open "+path, err), write.Close())
	}
	read, err := sql.Open("sqlite", uri+"?_pragma=query_only(1)&"+pragmas)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	return &DB{Dialect: SQLite, Path: path, read: read, write: write}, nil
}

func openPostgreSQL(ctx context.Context, dsn string) (*DB, error) {
	pool, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, fault.New(fault.Invalid, "database: the postgres address cannot be read").
			WithHint("it looks like postgres://user:password@host:5432/name")
	}
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(4)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(explain("connect", err), pool.Close())
	}
	return &DB{Dialect: PostgreSQL, read: pool, write: pool}, nil
}

// Close ends all connections.
func (d *DB) Close() error {
	if d.read == d.write {
		return d.read.Close()
	}
	return errors.Join(d.read.Close(), d.write.Close())
}

// Reader gives something to read with, outside of any transaction.
func (d *DB) Reader() *sql.DB { return d.read }

// Snapshot runs fn on one consistent picture of the database.
func (d *DB) Snapshot(ctx context.Context, fn func(Querier) error) error {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: d.snapshotLevel()})
	if err != nil {
		return explain("begin", err)
	}
	defer tx.Rollback() //nolint:errcheck // a read-only transaction has nothing to lose
	return fn(tx)
}

func (d *DB) snapshotLevel() sql.IsolationLevel {
	if d.Dialect == PostgreSQL {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

// Querier is what reading needs: a pool or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Micros is a time as the database keeps it; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is what Micros wrote, in UTC.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// explain turns a driver's error into a fault with a hint where a person can
// do something. The address is not part of it: it may hold a password.
func explain(doing string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var s *sqlite.Error
	if errors.As(err, &s) {
		switch s.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).
				WithHint("the disk is full or failing; nothing of the unfinished step was kept, free some room and run again")
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return fault.New(fault.Unavailable, "database: %s: another process is writing: %w", doing, err).
				WithHint("run again when the other process has ended")
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).
				WithHint("the file and its folder must be writable for the user rollcall runs as")
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			return fault.New(fault.Internal, "database: %s: %w", doing, err).
				WithHint("the file is damaged or not a database: restore the last `rollcall backup`")
		}
	}
	var p *pgconn.PgError
	if errors.As(err, &p) {
		switch {
		case strings.HasPrefix(p.Code, "28"):
			return fault.New(fault.Denied, "database: %s: PostgreSQL refused user or password", doing)
		case strings.HasPrefix(p.Code, "53"):
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("PostgreSQL has run out of disk, memory or connections")
		}
	}
	var c *pgconn.ConnectError
	if errors.As(err, &c) {
		return fault.New(fault.Unavailable, "database: %s: PostgreSQL at %s cannot be reached: %v", doing, hostOf(c), errors.Unwrap(c)).
			WithHint("check the address in `database`, and that the server runs and lets this machine in")
	}
	return fmt.Errorf("database: %s: %w", doing, err)
}

func hostOf(c *pgconn.ConnectError) string {
	return fmt.Sprintf("%s:%d", c.Config.Host, c.Config.Port)
}
