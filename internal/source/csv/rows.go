package csv

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// rows goes through the rows below the header.
type rows struct {
	reader    *csv.Reader
	guard     *guard
	separator []byte
	skip      int
	last      int // the line the row before began on
}

// row is one row of the table.
type row struct {
	line    int
	raw     []byte   // as it stands in the file, with the end of its last line
	fields  []string // those read before the problem, where there is one
	columns int      // how many there are, as far as that can be told
	bad     string   // why it is no row, or ""
	torn    bool     // a quote is misplaced
	open    bool     // a quote is open at its end
	many    bool     // more than one line or row may have gone into it
	cut     bool     // the file ends in the middle of it: it is nobody's
}

// unended reports a row that the file ends with, and no line end.
func (r *row) unended() bool { return !bytes.HasSuffix(r.raw, []byte("\n")) }

// ends is the line on which the row ends.
func (r *row) ends() int {
	return r.line + bytes.Count(bytes.TrimSuffix(r.raw, []byte("\n")), []byte("\n"))
}

// guard passes a text through until a row becomes too long. It keeps the row
// being read as it stands there.
type guard struct {
	from      io.Reader
	delivered int64  // bytes
	started   int64  // where the row being read begins
	kept      []byte // the last of what was delivered, from started or before
	ended     bool
	tooLong   bool
}

func (g *guard) Read(p []byte) (int, error) {
	if g.delivered-g.started > rowSize {
		g.tooLong = true
		return 0, io.ErrShortBuffer
	}
	n, err := g.from.Read(p)
	if past := g.at(g.started); past > 0 {
		g.kept = append(g.kept[:0], g.kept[past:]...)
	}
	g.kept = append(g.kept, p[:n]...)
	g.delivered += int64(n)
	g.ended = g.ended || err == io.EOF
	return n, err
}

// at is the place in kept of an offset.
func (g *guard) at(offset int64) int64 { return offset - g.delivered + int64(len(g.kept)) }

// row is what was delivered from started to an offset, without blank lines before.
func (g *guard) row(end int64) []byte {
	return bytes.TrimLeft(g.kept[g.at(g.started):g.at(end)], "\r\n")
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
	return &rows{reader: r, guard: g, separator: []byte(string(l.separator)), skip: l.skip, last: line + l.skip}, nil
}

// next gives the next row, or io.EOF. Its fields are valid until the next call.
func (rs *rows) next() (row, error) {
	rs.guard.started = rs.reader.InputOffset()
	fields, err := rs.reader.Read()
	if err == nil {
		line, _ := rs.reader.FieldPos(0)
		rs.last = line + rs.skip
		many := slices.ContainsFunc(fields, func(f string) bool { return strings.Contains(f, "\n") })
		return row{line: rs.last, raw: rs.guard.row(rs.reader.InputOffset()), fields: fields, columns: len(fields), many: many}, nil
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
	rs.last = line
	r := row{line: line, raw: rs.guard.row(rs.reader.InputOffset()), fields: fields, bad: "a quote is open or misplaced", torn: true, many: parse.Line > parse.StartLine}
	r.columns = bytes.Count(r.raw, rs.separator) + 1
	r.open = errors.Is(parse.Err, csv.ErrQuote) && parse.Column > lastLine(r.raw)
	if r.open && !r.unended() {
		return row{}, fault.New(fault.Invalid, "csv: the row that begins on line %d has an open quote and goes on to the end of the file", line).
			WithHint("the file was cut off, or there is a quote too many on that line")
	}
	return r, nil
}

// lastLine is the length of a row's last line as the reader counts it: behind it
// stands only the error that a quote is open at the end of the file.
func lastLine(raw []byte) int {
	line := raw[bytes.LastIndexByte(bytes.TrimSuffix(raw, []byte("\n")), '\n')+1:]
	if bytes.HasSuffix(line, []byte("\r\n")) || bytes.HasSuffix(line, []byte("\r")) {
		return len(line) - 1
	}
	return len(line)
}
