package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"rollcall.dev/rollcall/internal/fault"
)

// printer is standard output. It remembers the first error, so that commands
// print without looking, and a result that did not arrive is still an error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.w.Write(b)
	p.err = err
	return n, err
}

// arrived says whether everything printed went out.
func (p *printer) arrived() error {
	if p.err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "write the result to standard output: %w", p.err)
}

// widthOf is how many columns a terminal has; 0 where lines may be of any length,
// because the output goes to a file or another program.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n >= 40 {
		return n
	}
	return 80
}

// paragraph prints a text after a head. Lines that would leave the terminal go on
// below, indented to where the text began.
func (r *root) paragraph(head, text string) {
	indent := columns(head)
	width := 0
	if r.width > 0 {
		width = max(r.width-indent, 20)
	}
	for i, line := range wrap(clean(text), width) {
		if i > 0 {
			head = strings.Repeat(" ", indent)
		}
		fmt.Fprintln(r.Out, strings.TrimRight(head+line, " "))
	}
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

// number is a count with its thousands apart.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// counted is a count with its noun: "1 problem", "2 problems".
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + one + "s"
}

// stamp is a time as people read it in a list.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// clean takes control characters out of what comes from directories, so that a
// name cannot move the cursor, forge a line or turn the direction of writing.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 && c != '\n' || c >= 0x7f && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 || c == 0x2028 || c == 0x2029 {
			return '\ufffd'
		}
		return c
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// flat is clean, on one line.
func flat(s string) string { return strings.ReplaceAll(clean(s), "\n", " ") }
