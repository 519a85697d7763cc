//go:build linux

package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rollcall.dev/rollcall/internal/engine"
)

// pseudoTerminal opens both ends of a terminal: what is shown, and where it is written.
func pseudoTerminal(t *testing.T) (shown, written *os.File) {
	t.Helper()
	shown, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shown.Close() })
	fd := int(shown.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	written, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { written.Close() })
	return shown, written
}

// sent gives the lines that a terminal was sent before a last one.
func sent(shown *os.File) []string {
	var lines []string
	for s := bufio.NewScanner(shown); s.Scan(); {
		line := strings.TrimRight(s.Text(), "\r")
		if strings.HasSuffix(line, "the end") {
			break
		}
		lines = append(lines, line)
	}
	return lines
}

// appears is what stands on it then.
func appears(shown *os.File) []string {
	lines := sent(shown)
	for i, line := range lines {
		if at := strings.LastIndex(line, anew); at >= 0 {
			lines[i] = line[at+len(anew):]
		}
	}
	return lines
}

// A sync that has nothing to apply leaves no bar before its result.
func TestAPhaseThatDoesNothingLeavesNothingBehind(t *testing.T) {
	t.Setenv("TERM", "xterm")
	shown, written := pseudoTerminal(t)
	b := newBar(written)
	b.report(engine.Progress{Phase: "planning"})
	b.report(engine.Progress{Phase: "applying"})
	b.end()
	fmt.Fprintln(written, "Run r1 applied.")
	fmt.Fprintln(written, "the end")
	if lines := appears(shown); len(lines) != 1 || lines[0] != "Run r1 applied." {
		t.Errorf("shown:\n%s", strings.Join(lines, "\n"))
	}
}

// A terminal that knows no signs is given none.
func TestADumbTerminalGetsLines(t *testing.T) {
	t.Setenv("TERM", "dumb")
	shown, written := pseudoTerminal(t)
	b := newBar(written)
	b.report(engine.Progress{Phase: "reading", Done: 100, Total: 100})
	warn(written, "rollcall: warning: the copy failed")
	b.report(engine.Progress{Phase: "applying"})
	b.end()
	fmt.Fprintln(written, "the end")
	lines := sent(shown)
	if len(lines) != 2 || lines[0] != "rollcall: warning: the copy failed" || !strings.HasPrefix(lines[1], "reading    100 of 100  ") {
		t.Errorf("shown: %q", lines)
	}
}

func TestAWarningHasALineOfItsOwnBesideTheBar(t *testing.T) {
	t.Setenv("TERM", "xterm")
	shown, written := pseudoTerminal(t)
	b := newBar(written)
	if !b.live {
		t.Fatal("a terminal is not seen as one")
	}
	b.report(engine.Progress{Phase: "reading", Done: 10, Total: 100})
	warn(written, "rollcall: warning: the copy failed")
	b.report(engine.Progress{Phase: "reading", Done: 100, Total: 100})
	b.end()
	fmt.Fprintln(written, "the end")
	if lines := appears(shown); len(lines) != 2 || lines[0] != "rollcall: warning: the copy failed" || !strings.HasPrefix(lines[1], "reading   [====") {
		t.Errorf("shown:\n%s", strings.Join(lines, "\n"))
	}
}
