package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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
		return conn, "BEGIN", func() { _ = conn.Close() }, nil //nolint:errcheck // it goes back to the pool
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

// Insert writes n rows, each given once and in order by row, in the quickest way the
// database has: COPY in PostgreSQL, many rows a statement in SQLite. conflict
// is an ON CONFLICT clause or "".
func (t *Tx) Insert(ctx context.Context, table string, columns []string, n int, row func(i int, into []any), conflict string) error {
	return t.InsertAlike(ctx, table, columns, nil, n, row, conflict)
}

// InsertAlike is Insert of rows that mostly have the same values in some columns,
// which alike names: SQLite is handed those once for many rows, and a third of the
// time of an INSERT is what it is handed.
func (t *Tx) InsertAlike(ctx context.Context, table string, columns, alike []string, n int, row func(i int, into []any), conflict string) error {
	if n == 0 {
		return nil
	}
	if t.db.Dialect == PostgreSQL && conflict == "" && n > 8 {
		return t.copyFrom(ctx, table, columns, n, row)
	}
	verb := "INSERT"
	if t.db.Dialect == SQLite && conflict == "" {
		// Whoever gets an error ends the transaction: SQLite need not take down, page
		// by page, how to undo the statement alone, which is a fifth of its time.
		verb = "INSERT OR FAIL"
	}
	query, of := "", block{}
	put := func(b block) error {
		if query == "" || b.rows != of.rows || len(b.args) != len(of.args) { // to write it takes as long as a tenth of the work it says
			query, of = verb+" INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES "+b.tuples()+" "+conflict, b
		}
		if _, err := t.Exec(ctx, query, b.args...); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		return nil
	}
	once := make([]bool, len(columns))
	if n <= rowsAStatement {
		return put(block{args: fillRows(make([]any, n*len(columns)), 0, n, row), rows: n, once: once})
	}
	for i, c := range columns {
		once[i] = slices.Contains(alike, c)
	}
	next, stop := fillAhead(n, once, row)
	defer stop()
	for b := range next {
		if err := put(b); err != nil {
			return err
		}
	}
	return nil
}

// fillRows gives the values of count rows in place of what args held.
func fillRows(args []any, from, count int, row func(i int, into []any)) []any {
	columns := len(args) / count
	for i := range count {
		row(from+i, args[i*columns:(i+1)*columns])
	}
	return args
}

// rowsAStatement is how many rows one INSERT of SQLite holds.
const rowsAStatement = 64

// block is what one INSERT of SQLite is handed.
type block struct {
	args  []any
	rows  int
	once  []bool // by column: the values are to be the same in all rows
	alike bool   // they are, and stand in the first row alone
}

// fillAhead gives the values of n rows, those of one statement at a time. The next
// ones are filled in while a statement runs, which is half as long as the statement
// takes where rows are texts to be folded and encoded. What was given is good until
// the next but one is asked for. stop waits until no row is being filled in.
func fillAhead(n int, once []bool, row func(i int, into []any)) (next <-chan block, stop func()) {
	out, over, ended := make(chan block), make(chan struct{}), make(chan struct{})
	columns := len(once)
	go func() {
		defer close(ended)
		defer close(out)
		var buffers [2][]any
		for from, turn := 0, 0; from < n; from, turn = from+rowsAStatement, 1-turn {
			b := block{rows: min(rowsAStatement, n-from), once: once}
			if buffers[turn] == nil {
				buffers[turn] = make([]any, b.rows*columns)
			}
			b.args = fillRows(buffers[turn][:b.rows*columns], from, b.rows, row)
			b.shorten()
			select {
			case out <- b:
			case <-over:
				return
			}
		}
	}()
	return out, func() {
		close(over)
		<-ended
	}
}

// shorten leaves out what all rows have in common.
func (b *block) shorten() {
	columns := len(b.once)
	for at := columns; at < len(b.args); at++ {
		if b.once[at%columns] && !same(b.args[at], b.args[at%columns]) {
			return
		}
	}
	if !slices.Contains(b.once, true) {
		return
	}
	kept := columns
	for at := columns; at < len(b.args); at++ {
		if !b.once[at%columns] {
			b.args[kept] = b.args[at]
			kept++
		}
	}
	b.args, b.alike = b.args[:kept], true
}

// same compares values of the kinds that are alike in practice; others are told
// apart, which is never wrong.
func same(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case string:
		b, ok := b.(string)
		return ok && a == b
	case int64:
		b, ok := b.(int64)
		return ok && a == b
	}
	return false
}

// tuples are the places of the values.
func (b *block) tuples() string {
	if !b.alike {
		return Tuples(b.rows, len(b.once))
	}
	var s strings.Builder
	for r := range b.rows {
		if r > 0 {
			s.WriteString(", ")
		}
		s.WriteByte('(')
		for c, once := range b.once {
			if c > 0 {
				s.WriteString(", ")
			}
			s.WriteByte('?') // SQLite's own: the one after the last
			if once && r > 0 {
				s.WriteString(strconv.Itoa(c + 1))
			}
		}
		s.WriteByte(')')
	}
	return s.String()
}

func (t *Tx) copyFrom(ctx context.Context, table string, columns []string, n int, row func(i int, into []any)) error {
	into := make([]any, len(columns))
	source := pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		row(i, into)
		return into, nil
	})
	return t.conn.Raw(func(driver any) error {
		c := driver.(*stdlib.Conn).Conn()
		_, err := c.CopyFrom(ctx, pgx.Identifier{table}, columns, source)
		return explain("copy into "+table, err)
	})
}

// Tuples gives "($1, $2), ($3, $4)".
func Tuples(rows, columns int) string {
	var b strings.Builder
	k := 1
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for c := range columns {
			if c > 0 {
				b.WriteString(", ")
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(k))
			k++
		}
		b.WriteByte(')')
	}
	return b.String()
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
// them; SQLite needs none for the indexes we have.
func (t *Tx) Analyze(ctx context.Context, tables ...string) error {
	if t.db.Dialect != PostgreSQL {
		return nil
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
		_, err := d.write.ExecContext(ctx, "ANALYZE "+strings.Join(tables, ", "))
		return explain("take statistics", err)
	})
}
