// Package db opens the database, SQLite or PostgreSQL, brings its schema up to
// date and gives the table packages one way to read and write both. SQL is
// written once, with $1 placeholders, bytes for digests and IDs, and times as
// integer microseconds; what differs lives here.
package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
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
	Keyed   Keyed  // nil where the installation has no key
	read    *sql.DB
	ready   *prepared // of read, in SQLite; pgx keeps statements prepared by itself
	scan    *sql.DB   // for reads during which others are made
	write   *sql.DB
	writer  *writer  // of SQLite
	dsn     string   // of PostgreSQL
	lines   *lines   // to it
	begin   string   // a transaction of it that writes
	still   still    // who keeps others waiting in it
	queries sync.Map // a query to its words in this dialect
	known   atomic.Int64
	life    context.Context // until Close
	die     context.CancelFunc
	beside  sync.WaitGroup // what has to end before the connections do
	trouble atomic.Pointer[func(error)]
}

// mostKnown is how many queries are remembered: filters that strangers send make
// ever new ones.
const mostKnown = 5000

// Keyed gives a digest of a text with the installation's key, 32 bytes, another
// for each purpose: what is written beside it can then not be changed by whoever
// has the database alone.
type Keyed func(purpose, text string) ([]byte, error)

// Open opens "sqlite:path" or "postgres://...", and brings the schema up to date.
func Open(ctx context.Context, dsn, dir string) (*DB, error) {
	d, err := connect(ctx, dsn, dir)
	if err != nil {
		return nil, err
	}
	d.life, d.die = context.WithCancel(context.WithoutCancel(ctx))
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
	page, err := pageSize(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, explain("open "+path, err)
	}
	// The driver puts pragmas in the order of their names, and journal_mode after all of
	// them only by its own parameter: the size of pages is settled by it.
	pragmas := fmt.Sprintf("_pragma=busy_timeout(30000)&_journal_mode=WAL&_pragma=page_size(%d)&_pragma=synchronous(NORMAL)"+
		"&_pragma=foreign_keys(1)&_pragma=temp_store(2)&_pragma=wal_autocheckpoint(%d)&_pragma=journal_size_limit(%d)", page, lastResort/page, ordinaryLimits.copied)
	uri := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}).String()
	write, err := sql.Open(driverName, uri+"?_txlock=immediate&_pragma=cache_size(-2000)&"+pragmas)
	if err != nil {
		return nil, err
	}
	// The large cache is the writer's alone, below: a backup by way of such a connection
	// took 400 MB.
	write.SetMaxOpenConns(3) // the writer's own, one for migrations and copies, and the copier's
	write.SetMaxIdleConns(3)
	conn, err := firstConn(ctx, write)
	if err != nil {
		return nil, errors.Join(explain("open "+path, err), write.Close())
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA cache_size=-32000"); err != nil {
		return nil, errors.Join(explain("open "+path, err), conn.Close(), write.Close())
	}
	read, err := sql.Open(driverName, uri+"?_pragma=query_only(1)&_pragma=cache_size(-8000)&"+pragmas)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	read.SetMaxIdleConns(4) // one is opened by reading the schema, which takes longer than most questions
	scan, err := sql.Open(driverName, uri+"?_pragma=query_only(1)&_pragma=cache_size(-8000)&"+pragmas)
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	scan.SetMaxOpenConns(scans)
	scan.SetMaxIdleConns(1)
	d := &DB{Dialect: SQLite, Path: path, read: read, ready: &prepared{db: read, by: map[string]*sql.Stmt{}}, scan: scan, write: write,
		writer: &writer{conn: conn, turn: make(chan struct{}, 1), ready: map[string]*sql.Stmt{}}}
	d.writer.log = &copier{db: d, page: page, limits: ordinaryLimits, under: make(chan struct{}, 1)}
	return d, nil
}

// firstConn opens a connection. The first one ever makes the file keep a log, and while it
// does others are turned away without the patience that they have for everything else.
func firstConn(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; {
		conn, err := pool.Conn(ctx)
		var failed *sqlite.Error
		if err == nil || !errors.As(err, &failed) || failed.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(end) {
			return conn, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// newPages is the size of a new database's pages, in bytes; SQLite's own choice is
// 4096. A first import takes less time, because twice as much comes in
// before an index's page is full and has to be shared out.
const newPages = 8192

// pageSize is that of a database that exists, or of a new one.
// See https://sqlite.org/fileformat2.html#page_size.
func pageSize(f io.ReaderAt) (int, error) {
	var size [2]byte
	switch _, err := f.ReadAt(size[:], 16); {
	case errors.Is(err, io.EOF):
		return newPages, nil
	case err != nil:
		return 0, err
	}
	if n := int(binary.BigEndian.Uint16(size[:])); n > 1 {
		return n, nil
	}
	return 65536, nil
}

func openPostgreSQL(ctx context.Context, dsn string) (*DB, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fault.New(fault.Invalid, "database: the postgres address cannot be read").
			WithHint("it looks like postgres://user:password@host:5432/name")
	}
	// A plan kept from when a table was empty reads the whole of it for ever after:
	// a first import of 100,000 people took three times as long.
	delete(config.RuntimeParams, "plan_cache_mode")
	config.AfterConnect = set(askAfter(config.RuntimeParams) + "SET plan_cache_mode = force_custom_plan;")
	lines := newLines()
	config.DialFunc = lines.through(config.DialFunc)
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(4)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(explain("connect", err), pool.Close())
	}
	if err := sessions(ctx, pool); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	scan := stdlib.OpenDB(*config)
	scan.SetMaxOpenConns(scans)
	scan.SetMaxIdleConns(1)
	d := &DB{Dialect: PostgreSQL, read: pool, scan: scan, write: pool, dsn: dsn, lines: lines}
	d.waits(standstill)
	return d, nil
}

// Pool opens more connections to a PostgreSQL database, for what works with the
// driver's own: at the most so many. The caller closes it.
func (d *DB) Pool(ctx context.Context, most int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(d.dsn)
	if err != nil {
		return nil, fault.New(fault.Invalid, "database: the postgres address cannot be read")
	}
	config.ConnConfig.AfterConnect = set(askAfter(config.ConnConfig.RuntimeParams) + fmt.Sprintf("SET idle_in_transaction_session_timeout = %d;", standstill.Milliseconds()))
	config.ConnConfig.DialFunc = d.lines.through(config.ConnConfig.DialFunc)
	config.MaxConns = int32(most)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return pool, explain("connect", err)
}

// OnTrouble says who is told of what failed beside the work: nothing that was
// written is lost by it, and nobody waits for it.
func (d *DB) OnTrouble(tell func(error)) { d.trouble.Store(&tell) }

// aside does something beside the work, and ends it when the database is closed.
func (d *DB) aside(fn func(context.Context) error) {
	d.beside.Go(func() {
		if err := fn(d.life); err != nil && d.life.Err() == nil {
			d.Tell(err)
		}
	})
}

// Tell tells of what failed beside the work; see OnTrouble.
func (d *DB) Tell(err error) {
	if tell := d.trouble.Load(); tell != nil {
		(*tell)(err)
	}
}

// Close ends all connections.
func (d *DB) Close() error {
	d.die()
	d.beside.Wait()
	if d.Dialect == PostgreSQL {
		return errors.Join(d.scan.Close(), d.read.Close())
	}
	errs := []error{d.scan.Close()}
	for _, s := range d.writer.ready {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, d.read.Close(), d.writer.conn.Close(), d.write.Close())...)
}

// Copy writes a copy of an SQLite database to a file, consistent even while
// others write.
func (d *DB) Copy(ctx context.Context, path string) error {
	_, err := d.write.ExecContext(ctx, `VACUUM INTO ?`, path)
	return explain("back up", err)
}

// Ping reports whether the database answers.
func (d *DB) Ping(ctx context.Context) error { return explain("ping", d.read.PingContext(ctx)) }

// Reader gives something to read with, outside of any transaction.
func (d *DB) Reader() Querier { return reader{d, d.read, d.ready} }

// scans is how many long reads go on at a time; one more waits for its turn.
const scans = 4

// Scanner gives something to read with while other reads and writes are made
// between the rows. Its connections are its own: passes of several connections
// at once, each holding one in the middle of its rows, would otherwise wait for
// each other's for ever. Nobody scans within a scan.
func (d *DB) Scanner() Querier { return reader{d, d.scan, nil} }

// Snapshot runs fn on one consistent picture of the database.
func (d *DB) Snapshot(ctx context.Context, fn func(Querier) error) error {
	tx, err := d.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: d.snapshotLevel()})
	if err != nil {
		return explain("begin", err)
	}
	defer tx.Rollback() //nolint:errcheck // a read-only transaction has nothing to lose
	return fn(reader{d, tx, nil})
}

// reader puts queries into the dialect's words.
type reader struct {
	db    *DB
	q     Querier
	ready *prepared // nil where statements are not kept
}

func (r reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := r.ready.of(ctx, r.db, query) //nolint:sqlclosecheck // it is kept for the next time
	switch {
	case err != nil:
		return nil, err
	case s != nil:
		return s.QueryContext(ctx, args...)
	}
	return r.q.QueryContext(ctx, r.db.words(query), args...)
}

func (r reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s, err := r.ready.of(ctx, r.db, query); err == nil && s != nil { //nolint:sqlclosecheck // it is kept for the next time
		return s.QueryRowContext(ctx, args...)
	}
	return r.q.QueryRowContext(ctx, r.db.words(query), args...) // it comes upon the same error
}

// prepared keeps statements of SQLite ready: to read a question takes it longer than
// to answer most. Its lists grow with neither what is asked nor what strangers send:
// those that are written out at length, and all after so many, are not kept.
type prepared struct {
	db *sql.DB
	mu sync.Mutex
	by map[string]*sql.Stmt
}

const (
	mostPrepared = 300
	longPrepared = 2000 // bytes
)

// of gives the statement of a query, nil for one that is not kept.
func (p *prepared) of(ctx context.Context, d *DB, query string) (*sql.Stmt, error) {
	if p == nil || len(query) > longPrepared {
		return nil, nil
	}
	p.mu.Lock()
	s, full := p.by[query], len(p.by) >= mostPrepared
	p.mu.Unlock()
	if s != nil || full {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, d.words(query))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if was := p.by[query]; was != nil { // somebody else was quicker
		return was, s.Close() //nolint:sqlclosecheck // nothing can fail in between
	}
	p.by[query] = s
	return s, nil
}

// words makes $1, $2, ... plain question marks for SQLite where each stands once
// and in order. SQLite takes $n for a name, and the driver looks every name up in
// a list: with the thousands of values of one INSERT that took most of the time.
func (d *DB) words(query string) string {
	if d.Dialect != SQLite {
		return query
	}
	if known, ok := d.queries.Load(query); ok {
		return known.(string)
	}
	out := plain(query)
	if d.known.Add(1) <= mostKnown {
		d.queries.Store(query, out)
	}
	return out
}

func plain(query string) string {
	var b strings.Builder
	next := 1
	for i := 0; i < len(query); {
		if query[i] != '$' {
			b.WriteByte(query[i])
			i++
			continue
		}
		end := i + 1
		for end < len(query) && query[end] >= '0' && query[end] <= '9' {
			end++
		}
		if query[i+1:end] != strconv.Itoa(next) {
			return query
		}
		next++
		b.WriteByte('?')
		i = end
	}
	return b.String()
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
		case sqlite3.SQLITE_ERROR:
			if strings.Contains(s.Error(), "no such table") || strings.Contains(s.Error(), "no such column") {
				return altered(doing, err)
			}
		}
	}
	var p *pgconn.PgError
	if errors.As(err, &p) {
		if tried := (*pgconn.ConnectError)(nil); errors.As(err, &tried) {
			err = p // it names each address that was tried, on a line of its own
		}
		switch {
		case p.Code == "42P01" || p.Code == "42703":
			return altered(doing, err)
		// Not fault.Denied, here and below: that is for who signs in with us. A good API key
		// was answered 401 by it, and a refresh token taken for a revoked one.
		case p.Code == "28P01":
			return fault.New(fault.Unavailable, "database: %s: PostgreSQL refused user or password", doing).WithHint("check both in `database`; what is special in an address is written as %%40 for @, and so on")
		case strings.HasPrefix(p.Code, "28"):
			return fault.New(fault.Unavailable, "database: %s: PostgreSQL lets us not in: %s", doing, p.Message).WithHint("pg_hba.conf on its machine says who may come, from where, and whether by TLS (sslmode in `database`)")
		case p.Code == "3D000":
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("make it (CREATE DATABASE), or name another in `database`")
		case p.Code == "42501" || p.Code == "3F000":
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("the user must own the database, or be granted CREATE and USAGE on a schema in its search_path")
		case p.Code == "26000" || p.Code == "42P05": // a prepared statement that is not there, or was
			return transactions(doing, err)
		case p.Code == "25006":
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("name the primary in `database`, not a standby; default_transaction_read_only must be off for the user and the database")
		case p.Code == "25P03":
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("this process stood still in the middle of a step, and others waited for it; nothing of the unfinished step was kept, run again. That happens after %s, or sooner where idle_in_transaction_session_timeout says so", standstill)
		case p.Code == "57014" || p.Code == "55P03" || p.Code == "25P04":
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("PostgreSQL ended it for a time limit; nothing of the unfinished step was kept: ALTER ROLE ... SET statement_timeout = 0, and lock_timeout, transaction_timeout as well")
		case strings.HasPrefix(p.Code, "57P"):
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("PostgreSQL is stopping or starting, an administrator ended the connection, or another rollcall did, because this process stood still and kept it waiting; nothing of the unfinished step was kept, run again")
		case strings.HasPrefix(p.Code, "53"):
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("PostgreSQL has run out of disk, memory or connections")
		case strings.HasPrefix(p.Code, "40"):
			return fault.New(fault.Unavailable, "database: %s: %w", doing, err).WithHint("somebody else was writing the same; nothing of the unfinished step was kept, try again")
		}
	}
	var c *pgconn.ConnectError
	if errors.As(err, &c) {
		return fault.New(fault.Unavailable, "database: %s: PostgreSQL at %s cannot be reached: %s", doing, hostOf(c), strings.Join(strings.Split(errors.Unwrap(c).Error(), "\n"), "; ")).
			WithHint("check the address in `database`, and that the server runs and lets this machine in")
	}
	var n *net.OpError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn) || errors.As(err, &n) {
		return fault.New(fault.Unavailable, "database: %s: the connection to PostgreSQL was cut: %w", doing, err).
			WithHint("nothing of the unfinished step was kept, run again; PostgreSQL's log, or that of a proxy or firewall before it, may say why, or that of another rollcall, if this process stood still and kept it waiting")
	}
	return fmt.Errorf("database: %s: %w", doing, err)
}

func altered(doing string, err error) error {
	return fault.New(fault.Internal, "database: %s: %w", doing, err).
		WithHint("a part of the schema is not there: the database was altered from outside, or is half of a backup. Restore the last whole one")
}

func hostOf(c *pgconn.ConnectError) string {
	return fmt.Sprintf("%s:%d", c.Config.Host, c.Config.Port)
}
