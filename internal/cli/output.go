package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// table is a list on a terminal: columns wide enough for what is in them.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = cell(c)
	}
	t.rows = append(t.rows, row)
}

func cell(c any) string {
	switch v := c.(type) {
	case nil:
		return "-"
	case string:
		if v == "" {
			return "-"
		}
		return strings.ReplaceAll(clean(v), "\n", " ")
	case *string:
		if v == nil {
			return "-"
		}
		return cell(*v)
	case time.Time:
		if v.IsZero() {
			return "-"
		}
		return v.Local().Format("2006-01-02 15:04:05")
	case *time.Time:
		if v == nil {
			return "-"
		}
		return cell(*v)
	}
	return fmt.Sprint(c)
}

func (t *table) print(w io.Writer) {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			width[i] = max(width[i], columns(c))
		}
	}
	for _, row := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for i, c := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(c)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", width[i]-columns(c)))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// columns is how wide a text stands on a terminal: marks that combine take no
// room, East Asian letters take two.
func columns(s string) int {
	n := 0
	for _, c := range s {
		switch {
		case c >= 0x300 && c < 0x370 || c == 0x200d || c >= 0xfe00 && c < 0xfe10:
		case c >= 0x1100 && c < 0x1160 || c >= 0x2e80 && c < 0xa4d0 || c >= 0xac00 && c < 0xd7a4 || c >= 0xf900 && c < 0xfb00 ||
			c >= 0xfe30 && c < 0xfe70 || c >= 0xff00 && c < 0xff61 || c >= 0x1f300 && c < 0x1faff || c >= 0x20000 && c < 0x3fffe:
			n += 2
		default:
			n++
		}
	}
	return n
}

// shorten cuts a text to a number of letters.
func shorten(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// json prints a value, indented.
func (r *root) json(v any) error {
	e := json.NewEncoder(r.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// stream prints a JSON array element by element, so that a list of any length
// takes no memory.
type stream struct {
	w     io.Writer
	count int
}

func (s *stream) add(v any) error {
	sep := "[\n"
	if s.count > 0 {
		sep = ",\n"
	}
	s.count++
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.w, "%s  %s", sep, b)
	return err
}

func (s *stream) close() error {
	text := "\n]\n"
	if s.count == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(s.w, text)
	return err
}

func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
