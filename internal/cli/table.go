package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// fit is what a column does when the table is wider than the terminal.
type fit uint8

const (
	fixed fit = iota // what people copy stays whole
	wraps            // goes on in the next line
)

type column struct {
	head string
	fit  fit
}

// table is a list on a terminal, its columns wide enough for what is in them. A
// long list is printed page by page, so that it needs no memory.
type table struct {
	w       io.Writer
	width   int // of the terminal; 0 for lines of any length
	columns []column
	rows    []row
	natural []int
	printed int
}

type row struct {
	cells []string
	below string // a sentence of its own under the row
}

const page = 1000

func (r *root) table(columns ...column) *table {
	return &table{w: r.Out, width: r.width, columns: columns, natural: make([]int, len(columns))}
}

func (t *table) add(cells ...any) {
	if len(t.rows) == page {
		t.flush()
	}
	one := row{cells: make([]string, len(cells))}
	for i, c := range cells {
		one.cells[i] = cell(c)
	}
	t.rows = append(t.rows, one)
}

// below puts a sentence under the row added last.
func (t *table) below(text string) {
	if text != "" {
		t.rows[len(t.rows)-1].below = flat(text)
	}
}

func (t *table) count() int { return t.printed + len(t.rows) }

// end prints what is left, or a sentence where there was nothing.
func (t *table) end(empty string) {
	if t.count() == 0 {
		if empty != "" {
			fmt.Fprintln(t.w, empty)
		}
		return
	}
	t.flush()
}

func (t *table) flush() {
	head := row{cells: make([]string, len(t.columns))}
	for i, c := range t.columns {
		head.cells[i] = c.head
	}
	lines := t.rows
	if t.printed == 0 {
		lines = append([]row{head}, lines...)
	}
	for _, one := range lines {
		for i, c := range one.cells {
			t.natural[i] = max(t.natural[i], columns(c))
		}
	}
	width := t.fitted()
	for _, one := range lines {
		t.line(one, width)
	}
	t.printed += len(t.rows)
	t.rows = t.rows[:0]
}

// least is how narrow a column may become.
const least = 8

// fitted takes from the widest columns that may give until the table fits.
func (t *table) fitted() []int {
	width := append([]int(nil), t.natural...)
	if t.width == 0 {
		return width
	}
	total := 2 * (len(width) - 1)
	for _, w := range width {
		total += w
	}
	// One long text among many short ones gives way first, the longest before others.
	var order []int
	spare := make([]int, len(width))
	for i, c := range t.columns {
		if spare[i] = width[i] - t.usual(i); c.fit != fixed && spare[i] > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return spare[b] - spare[a] })
	for _, i := range order {
		give := max(0, min(spare[i], total-t.width))
		width[i] -= give
		total -= give
	}
	for ; total > t.width; total-- {
		widest := -1
		for i, c := range t.columns {
			if c.fit != fixed && width[i] > least && (widest < 0 || width[i] > width[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		width[widest]--
	}
	return width
}

// usual is a width that is enough for four out of five rows.
func (t *table) usual(i int) int {
	all := []int{}
	for _, one := range t.rows {
		all = append(all, columns(one.cells[i]))
	}
	slices.Sort(all)
	return max(2*least, columns(t.columns[i].head), all[len(all)*4/5])
}

func (t *table) line(one row, width []int) {
	cells := make([][]string, len(one.cells))
	height := 1
	for i, c := range one.cells {
		switch {
		case columns(c) <= width[i]:
			cells[i] = []string{c}
		default:
			cells[i] = wrap(c, width[i])
		}
		height = max(height, len(cells[i]))
	}
	for n := range height {
		var line strings.Builder
		at := 0 // where the line has come to
		for i := range cells {
			if n < len(cells[i]) && cells[i][n] != "" {
				begin := 0
				for _, w := range width[:i] {
					begin += w + 2
				}
				line.WriteString(strings.Repeat(" ", max(0, begin-at)))
				line.WriteString(cells[i][n])
				at = max(at, begin) + columns(cells[i][n])
			}
		}
		fmt.Fprintln(t.w, line.String())
	}
	if one.below == "" {
		return
	}
	wide := 0
	if t.width > 0 {
		wide = t.width - 4
	}
	for _, l := range wrap(one.below, wide) {
		fmt.Fprintln(t.w, "    "+l)
	}
}

func cell(c any) string {
	switch v := c.(type) {
	case nil:
		return "-"
	case string:
		if v == "" {
			return "-"
		}
		return flat(v)
	case *string:
		if v == nil {
			return "-"
		}
		return cell(*v)
	case time.Time:
		return stamp(v)
	}
	return flat(fmt.Sprint(c))
}

// columns is how wide a text stands on a terminal: marks that combine take no
// room, East Asian letters take two.
func columns(s string) int {
	n := 0
	for _, c := range s {
		n += wide(c)
	}
	return n
}

func wide(c rune) int {
	switch {
	case c >= 0x300 && c < 0x370 || c >= 0x200b && c < 0x2010 || c >= 0xfe00 && c < 0xfe10:
		return 0
	case c >= 0x1100 && c < 0x1160 || c >= 0x2e80 && c < 0xa4d0 || c >= 0xac00 && c < 0xd7a4 || c >= 0xf900 && c < 0xfb00 ||
		c >= 0xfe30 && c < 0xfe70 || c >= 0xff00 && c < 0xff61 || c >= 0x1f300 && c < 0x1faff || c >= 0x20000 && c < 0x3fffe:
		return 2
	}
	return 1
}

// shorten cuts a text to a number of columns.
func shorten(s string, most int) string {
	if columns(s) <= most {
		return s
	}
	n := 0
	for i, c := range s {
		if n += wide(c); n > most-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// wrap breaks a text into lines of a width: at spaces, within a long word behind
// what parts a DN or an address, and anywhere where there is no such place. With
// width 0 only the text's own lines are.
func wrap(s string, width int) []string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		begin := len(out)
		for width > 0 && columns(line) > width {
			at := breakAt(line, width)
			out = append(out, strings.TrimRight(line[:at], " "))
			line = strings.TrimLeft(line[at:], " ")
		}
		if line != "" || len(out) == begin {
			out = append(out, line)
		}
	}
	return out
}

// breakAt gives how many bytes of a line go into a width.
func breakAt(line string, width int) int {
	n, space, part, fits := 0, 0, 0, 0
	for i, c := range line {
		if n += wide(c); n > width {
			// A space right behind the width takes no room.
			if c == ' ' {
				space = i
			}
			break
		}
		fits = i + utf8.RuneLen(c)
		switch c {
		case ' ':
			space = fits
		case ',', '@', '-', '/', ';':
			part = fits
		}
	}
	switch {
	case space > 0 && space >= fits/4:
		return space
	case part > 0 && part >= fits/3:
		return part
	}
	return max(fits, firstRune(line))
}

func firstRune(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}
