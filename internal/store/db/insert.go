package db

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Insert writes n rows, each given once and in order by row, in the quickest way the
// database has: COPY in PostgreSQL, many rows a statement in SQLite. conflict
// is an ON CONFLICT clause or "".
func (t *Tx) Insert(ctx context.Context, table string, columns []string, n int, row func(i int, into []any), conflict string) error {
	return t.InsertAlike(ctx, table, columns, nil, n, row, conflict)
}

// InsertAlike is Insert of rows that mostly have the same values in some columns,
// which alike names: SQLite is handed those once for many rows, and handing over is a
// fifth of what an INSERT takes.
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
		once[i] = t.db.Dialect == SQLite && slices.Contains(alike, c)
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
