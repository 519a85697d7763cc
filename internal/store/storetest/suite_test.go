package storetest

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/mirrors"
)

// shortCopies is how many rows of a picture are copied at once here.
const shortCopies = 25

func TestMain(m *testing.M) {
	plan.ShortChunks(25) // so that every test of some size has several chunks
	mirrors.ShortCopies(shortCopies)
	if os.Getenv(childDSN) != "" {
		os.Exit(child())
	}
	os.Exit(databases.Main(m))
}

// dsns gives a fresh database of each kind.
var dsns = map[string]func(testing.TB) string{"SQLite": databases.SQLite, "PostgreSQL": databases.PostgreSQL}

// both runs a test in a fresh world on each database. What every test leaves
// behind must be whole, and the events must tell all of it.
func both(t *testing.T, fn func(t *testing.T, w *World)) {
	t.Helper()
	for name, dsn := range dsns {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := Open(t, dsn(t))
			fn(t, w)
			w.Examine()
			w.Replay()
		})
	}
}

// same compares lists of lines.
func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// equal compares two values.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// contains checks that some line holds all of the words.
func contains(t *testing.T, lines []string, words ...string) {
	t.Helper()
	for _, l := range lines {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l, w) }) {
			return
		}
	}
	t.Errorf("no line has %q:\n  %s", words, strings.Join(lines, "\n  "))
}

type rec = directory.Record

func sortedLines(lines []string) []string {
	slices.Sort(lines)
	return lines
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

// theClock is now in worlds that are compared with each other.
var theClock = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
