package csv

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// rows goes through the rows below the header.
type rows struct {
	reader *csv.Reader
	guard  *guard
	skip   int
	last   int // the line the row before began on
}

// row is one row of the table.
type row struct {
	line   int
	fields []string // those read before the problem, where there is one
	bad    string   // why it is no row, or ""
	many   bool     // more than one line went into it
}

// guard passes a text through until a row becomes too long.
type guard struct {
	from      io.Reader
	delivered int64 // bytes
	started   int64 // where the row being read begins
	ended     bool
	tooLong   bool
}

func (g *guard) Read(p []byte) (int, error) {
	if g.delivered-g.started > rowSize {
		g.tooLong = true
		return 0, io.ErrShortBuffer
	}
	n, err := g.from.Read(p)
	g.delivered += int64(n)
	g.ended = g.ended || err == io.EOF
	return n, err
}

// rows starts behind the header.
func (l *layout) rows(raw io.Reader) (*rows, error) {
	text := bufio.NewReaderSize(l.text(raw), 32<<10)
	for range l.skip {
		if _, err := text.ReadString('\n'); err != nil {
			return nil, err
		}
	}
	g := &guard{from: text}
	r := csv.NewReader(g)
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = l.separator, -1, true
	if _, err := r.Read(); err != nil {
		return nil, err
	}
	line, _ := r.FieldPos(0)
	return &rows{reader: r, guard: g, skip: l.skip, last: line + l.skip}, nil
}

// next gives the next row, or io.EOF. Its fields are valid until the next call.
func (rs *rows) next() (row, error) {
	rs.guard.started = rs.reader.InputOffset()
	fields, err := rs.reader.Read()
	if err == nil {
		line, _ := rs.reader.FieldPos(0)
		rs.last = line + rs.skip
		many := slices.ContainsFunc(fields, func(f string) bool { return strings.Contains(f, "\n") })
		return row{line: rs.last, fields: fields, many: many}, nil
	}
	if err == io.EOF {
		return row{}, io.EOF
	}
	parse, _ := err.(*csv.ParseError) //nolint:errorlint // the reader gives it bare
	if rs.guard.tooLong {
		return row{}, fault.New(fault.Invalid, "csv: the row behind line %d is longer than 1 MiB", rs.last).
			WithHint("there is probably a quote too many there")
	}
	if parse == nil {
		return row{}, fault.New(fault.Unavailable, "csv: %w", err)
	}
	line := parse.StartLine + rs.skip
	if rs.guard.ended && rs.reader.InputOffset() >= rs.guard.delivered && errors.Is(parse.Err, csv.ErrQuote) {
		return row{}, fault.New(fault.Invalid, "csv: the row that begins on line %d has an open or misplaced quote and goes on to the end of the file", line).
			WithHint("the file was cut off, or there is a quote too many on that line")
	}
	rs.last = line
	return row{line: line, fields: fields, bad: "a quote is open or misplaced", many: parse.Line > parse.StartLine}, nil
}
