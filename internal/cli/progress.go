package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"rollcall.dev/rollcall/internal/engine"
)

// bar shows where a pass stands: a bar on a terminal, plain lines otherwise.
type bar struct {
	mu      sync.Mutex
	w       io.Writer
	live    bool
	width   int
	phase   string
	began   time.Time
	printed time.Time
	last    engine.Progress
}

func newBar(w io.Writer) *bar {
	b := &bar{w: w, width: 80}
	if f := terminal(w); f != nil {
		b.live = true
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 20 {
			b.width = n
		}
	}
	return b
}

// terminal is w where it is one whose line can be taken away, or nil: a dumb one
// shows our signs for it.
func terminal(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return f
	}
	return nil
}

// anew takes away what stands in a terminal's line.
const anew = "\r\x1b[K"

// warn writes a line of its own, whether a bar is shown or not: the bar comes back
// below it with its next report.
func warn(w io.Writer, text string) {
	if terminal(w) != nil {
		text = anew + text
	}
	fmt.Fprintln(w, text) // in one piece: a bar may be drawn at the same time
}

func (b *bar) report(p engine.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if p.Phase != b.phase {
		b.close()
		b.phase, b.began, b.printed = p.Phase, now, time.Time{}
	}
	b.last = p
	switch {
	case b.live && now.Sub(b.printed) > 100*time.Millisecond:
		b.printed = now
		fmt.Fprint(b.w, anew+b.line(now))
	case !b.live && !b.printed.IsZero() && now.Sub(b.printed) > 10*time.Second:
		b.printed = now
		fmt.Fprintln(b.w, b.line(now))
	case b.printed.IsZero():
		b.printed = now
	}
}

func (b *bar) line(now time.Time) string {
	p := b.last
	text := fmt.Sprintf("%-9s", p.Phase)
	if b.live && p.Total > 0 {
		const cells = 24
		full := min(cells, p.Done*cells/p.Total)
		text += " [" + strings.Repeat("=", full) + strings.Repeat(" ", cells-full) + fmt.Sprintf("] %3d %%", min(100, p.Done*100/p.Total))
	}
	text += "  " + number(p.Done)
	if p.Total > 0 {
		text += " of " + number(p.Total)
	}
	if s := now.Sub(b.began).Seconds(); s > 0.5 {
		text += fmt.Sprintf("  %s/s", number(int(float64(p.Done)/s)))
	}
	return shorten(text, b.width-1)
}

// close ends the phase that is shown. One that did nothing leaves nothing behind.
func (b *bar) close() {
	if b.phase == "" {
		return
	}
	now := time.Now()
	if b.live {
		fmt.Fprint(b.w, anew)
	}
	if b.last.Done > 0 {
		fmt.Fprintf(b.w, "%s  %.1f s\n", b.line(now), now.Sub(b.began).Seconds())
	}
	b.phase, b.last = "", engine.Progress{}
}

// end is close from outside.
func (b *bar) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close()
}
