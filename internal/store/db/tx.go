package db

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Tx is one writing transaction.
type Tx struct {
	db   *DB
	conn *sql.Conn
}

// writer is SQLite's one connection for writing, with the statements prepared on
// it. They outlive transactions: preparing an INSERT of a thousand values costs
// as much as running it.
type writer struct {
	conn  *sql.Conn
	turn  chan struct{} // holds one token: whose turn it is to write
	ready map[string]*sql.Stmt
	log   *copier
}

// mostReady bounds the statements kept prepared; lists of varying length would
// otherwise add one for every length.
const mostReady = 200

// Write runs fn in a transaction: all of it or nothing.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) (err error) {
	conn, begin, done, err := d.turn(ctx)
	if err != nil {
		return explain("connect", err)
	}
	defer done()
	defer d.lookout(ctx)()
	finished := false
	defer func() {
		if !finished {
			// What is undone is undone whatever became of the caller's context,
			// and also when fn panics. The first error is the one that counts. A
			// transaction may have begun although its beginning was interrupted.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // see above
		}
	}()
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return explain("begin", err)
	}
	if err := fn(&Tx{db: d, conn: conn}); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return explain("commit", err)
	}
	finished = true
	if d.Dialect == SQLite {
		d.writer.log.committed(conn)
	}
	return nil
}

// turn waits for a connection to write on.
func (d *DB) turn(ctx context.Context) (conn *sql.Conn, begin string, done func(), err error) {
	if d.Dialect == PostgreSQL {
		conn, err := d.write.Conn(ctx)
		if err != nil {
			return nil, "", nil, err
		}
		return conn, d.begin, func() { _ = conn.Close() }, nil //nolint:errcheck // it goes back to the pool
	}
	select {
	case d.writer.turn <- struct{}{}:
		return d.writer.conn, "BEGIN IMMEDIATE", func() { <-d.writer.turn }, nil
	case <-ctx.Done():
		return nil, "", nil, ctx.Err()
	}
}

// Exec runs a statement and gives the number of rows it touched.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	var r sql.Result
	var err error
	if t.db.Dialect == PostgreSQL {
		r, err = t.conn.ExecContext(ctx, query, args...) // pgx keeps statements prepared by itself
	} else {
		var s *sql.Stmt
		if s, err = t.prepared(ctx, query); err == nil { //nolint:sqlclosecheck // the writer keeps it for the next transaction
			r, err = s.ExecContext(ctx, args...)
		}
	}
	if err != nil {
		return 0, explain("write", err)
	}
	n, err := r.RowsAffected()
	return n, explain("write", err)
}

func (t *Tx) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	w := t.db.writer
	if s, ok := w.ready[query]; ok {
		return s, nil
	}
	if len(w.ready) >= mostReady {
		for q, s := range w.ready {
			delete(w.ready, q)
			if err := s.Close(); err != nil {
				return nil, err
			}
		}
	}
	s, err := t.conn.PrepareContext(ctx, t.db.words(query))
	if err == nil {
		w.ready[query] = s
	}
	return s, err
}

// QueryContext and QueryRowContext make a Tx a Querier.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.conn.QueryContext(ctx, t.db.words(query), args...)
}

// QueryRowContext asks for one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if t.db.Dialect == SQLite {
		if s, err := t.prepared(ctx, query); err == nil { //nolint:sqlclosecheck // the writer keeps it for the next transaction
			return s.QueryRowContext(ctx, args...)
		}
	}
	return t.conn.QueryRowContext(ctx, t.db.words(query), args...)
}

// In gives "($3, $4, $5)" for n values whose first placeholder is first. An
// empty list is "(NULL)", which no value is in.
func In(first, n int) string {
	if n == 0 {
		return "(NULL)"
	}
	var b strings.Builder
	b.WriteByte('(')
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	b.WriteByte(')')
	return b.String()
}

// Explain makes a driver's error one of ours; nil stays nil.
func Explain(doing string, err error) error { return explain(doing, err) }

// Now is the database's own clock in microseconds, as SQL: nodes that share a
// database then agree on when a lease has run out.
func (d *DB) Now() string {
	if d.Dialect == PostgreSQL {
		return "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
	}
	return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
}

// Keyed is DB.Keyed inside a transaction.
func (t *Tx) Keyed() Keyed { return t.db.Keyed }

// Now is DB.Now inside a transaction.
func (t *Tx) Now() string { return t.db.Now() }

// Each runs a query and calls scan for every row.
func Each(ctx context.Context, q Querier, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return explain("read", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return explain("read", rows.Err())
}

// Digest scans 16 bytes into d, which may be NULL.
type Digest struct{ To *[16]byte }

// Scan implements sql.Scanner.
func (d Digest) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.To = [16]byte{}
		return nil
	case []byte:
		if len(v) == 16 {
			copy(d.To[:], v)
			return nil
		}
	}
	return fmt.Errorf("database: expected 16 bytes, got %T", src)
}

// Placeholder gives "$n".
func Placeholder(n int) string { return "$" + strconv.Itoa(n) }

// Bytes is the dialect's type for bytes, where a cast needs it.
func (t *Tx) Bytes() string {
	if t.db.Dialect == PostgreSQL {
		return "bytea"
	}
	return "blob"
}

// Unlocked is the end of a SELECT whose rows are locked until the transaction
// ends, and that leaves out those another one has locked: it waits for nobody.
// Writers of SQLite are alone from the first statement on.
func (t *Tx) Unlocked() string {
	if t.db.Dialect == PostgreSQL {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// Locked is the end of a SELECT whose rows nobody else changes until the
// transaction ends; it waits for those who are about to.
func (t *Tx) Locked() string {
	if t.db.Dialect == PostgreSQL {
		return " FOR UPDATE"
	}
	return ""
}

// Postgres hands fn the connection of PostgreSQL on which the transaction runs.
func (t *Tx) Postgres(fn func(*pgx.Conn) error) error {
	return t.conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("database: %s has no connection of PostgreSQL", t.db.Dialect)
		}
		return fn(c.Conn())
	})
}

// Analyze takes tables' statistics anew in PostgreSQL, where the planner believes
// them; SQLite needs none for the indexes we have. Behind a table's name the columns can
// be named by which it is searched, as "t (a, b)". A tenth of the usual sample tells what
// is large from what is small; autovacuum makes up for the rest.
func (t *Tx) Analyze(ctx context.Context, tables ...string) error {
	if t.db.Dialect != PostgreSQL {
		return nil
	}
	if _, err := t.Exec(ctx, `SET LOCAL default_statistics_target = 10`); err != nil {
		return err
	}
	_, err := t.Exec(ctx, "ANALYZE "+strings.Join(tables, ", "))
	return err
}

// AnalyzeBeside is Tx.Analyze of what is committed, while others go on.
func (d *DB) AnalyzeBeside(tables ...string) {
	if d.Dialect != PostgreSQL {
		return
	}
	d.aside(func(ctx context.Context) error {
		return d.Write(ctx, func(tx *Tx) error { return tx.Analyze(ctx, tables...) })
	})
}
