package csv

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// What says that a file was damaged on its way here. A reading of it must not
// pass for complete: the people who are missing from it are still there.

// cut reports the row in the middle of which the file ends. A last row that has
// all columns may end without a newline, as many programs write it.
func (p *pass) cut(r *row) bool {
	switch {
	case !r.unended():
		return false
	case r.open:
		return true
	case r.columns == 1 && !r.torn && blank(r.fields):
		return false // white space behind the last row
	}
	return r.columns < len(p.layout.header)
}

// ending is the reason why the reading of a file that ends in a row is incomplete.
func ending(r *row) string {
	why := fmt.Sprintf("the file ends in the middle of line %d; it was cut off, or is still being written", r.ends())
	if r.open && r.ends() > r.line {
		why = fmt.Sprintf("the file ends inside of quotes that open in the row of line %d; it was cut off, is still being written, or there is a quote too many", r.line)
	}
	return why + ": nobody counts as gone until the file is whole"
}

// doubt marks a row that may be several. Its key is not certain then, or not the
// only one.
func (p *pass) doubt(r *row) {
	width := len(p.layout.header)
	bare := bareReturn(r.raw, r.torn)
	merged := width > 1 && r.columns >= 2*width-1 // two rows that run together share one column
	// A copy that was broken off, or a disk that failed, leaves zeros where rows were. Ends of
	// lines are among them: what is left looks like one row with one fault.
	hole := bytes.Contains(r.raw, []byte{0, 0})
	switch {
	case hole:
		r.bad, r.many = "several NUL bytes stand in it, so rows may be missing there", true
	case r.many && r.torn:
	case bare:
		r.bad, r.many = "a carriage return stands in the middle of it, so it may be several rows", true
	case merged && r.torn:
		r.bad, r.many = r.bad+", and it may be several rows", true
	case merged:
		r.bad, r.many = fmt.Sprintf("%d columns, the header has %d, so it may be several rows", r.columns, width), true
	case r.many && r.bad == "":
		for i := range r.fields {
			if p.swallowed(r, i) {
				r.bad = fmt.Sprintf("a quote in column %s runs over what look like other rows", p.layout.header[i])
			}
		}
	}
}

// bareReturn reports a carriage return that ends no line and stands outside of
// quotes, between other things. Where quotes are misplaced, nobody knows what is
// outside of them.
func bareReturn(raw []byte, torn bool) bool {
	raw = bytes.Trim(raw, "\r\n")
	if bytes.IndexByte(raw, '\r') < 0 {
		return false
	}
	quoted := false
	for i, c := range raw {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\r' && raw[i+1] != '\n' && (torn || !quoted): // the last byte is another
			return true
		}
	}
	return false
}

// swallowed reports a value that looks like rows: two stray quotes make one
// value of everything between them, and the people in it would seem to be gone.
// k rows that end in it bring k times the separators of a row with them, and
// each whole row among them as many as a row has. Values of several lines, such
// as addresses, have fewer, or are prose; of lines that have fewer likeRow judges.
func (p *pass) swallowed(r *row, column int) bool {
	value := r.fields[column]
	per := len(p.layout.header) - 1
	breaks := strings.Count(value, "\n")
	if breaks == 0 || per < 1 {
		return false
	}
	separator := string(p.layout.separator)
	inner := strings.Split(value, "\n")
	own := slices.Clone(r.fields)
	own[column] = inner[0]
	whole := func(text string, separators int) bool {
		parts := strings.Split(text, separator)
		return len(parts)-1 >= separators && !prose(parts, own)
	}
	if per > 1 { // with two columns there is no telling by their number
		if whole(value, breaks*per) {
			return true
		}
		if slices.ContainsFunc(inner[1:len(inner)-1], func(line string) bool { return strings.Count(line, separator) == per && whole(line, per) }) {
			return true
		}
	}
	return slices.ContainsFunc(inner[1:], func(line string) bool { return p.likeRow(strings.Split(line, separator), own) })
}

// prose reports text in which a space follows most separators, though that is not
// how the row around it is written.
func prose(parts, around []string) bool {
	spaced := func(parts []string) bool {
		n := 0
		for _, part := range parts[1:] {
			if strings.HasPrefix(part, " ") {
				n++
			}
		}
		return 2*n > len(parts)-1
	}
	return spaced(parts) && !spaced(around)
}

// likeRow reports a line inside of a value that may be a row, though it has fewer
// columns. It is no prose, and where the key stands is something that can be one:
// a single word, unless keys are more. Then it must have an address of e-mail where
// the row around it has one, or half of a row's separators, and no fewer than three.
// A doubt too many costs: with such a note in it a file never removes anybody.
func (p *pass) likeRow(line, around []string) bool {
	if len(line) < 2 || prose(line, around) {
		return false
	}
	words := func(f string) int { return len(strings.Fields(f)) }
	if key := p.columns.key; key < len(line) && (words(line[key]) == 0 || words(line[key]) > max(1, words(around[key]))) {
		return false
	}
	for i, f := range line[:min(len(line), len(around))] {
		if strings.Contains(f, "@") && strings.Contains(around[i], "@") {
			return true
		}
	}
	return len(line)-1 >= max(3, len(p.layout.header)/2)
}

// half reports a row with half as many columns as there are in a header that ran
// together with the first row.
func (p *pass) half(r *row) bool {
	width := len(p.layout.header)
	return width > 2 && width%2 == 1 && !r.torn && r.columns == (width+1)/2
}
