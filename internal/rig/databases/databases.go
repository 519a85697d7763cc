// Package databases gives tests fresh databases of both kinds, by their addresses.
// The tests of a package share one PostgreSQL, which starts when the first of them
// asks for it: those that need none, and workers that fuzz, wait for none.
package databases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/rig/postgres"
	"rollcall.dev/rollcall/internal/store/db"
)

var (
	started bool
	server  = sync.OnceValues(func() (*postgres.Server, error) {
		started = true
		return postgres.Start(context.Background())
	})
)

// Main runs a package's tests and ends what they have started. What it gives is
// for os.Exit.
func Main(m *testing.M) int {
	code := m.Run()
	if !started {
		return code
	}
	s, err := server()
	if err == nil {
		err = s.Stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Server is the PostgreSQL of this package's tests.
func Server(t testing.TB) *postgres.Server {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// SQLite is a file that is not there yet.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "rollcall.db")
}

// PostgreSQL is an empty database.
func PostgreSQL(t testing.TB) string {
	t.Helper()
	dsn, err := Server(t).NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Both runs a test on a database of each kind, side by side.
func Both(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	for name, fresh := range map[string]func(testing.TB) string{"SQLite": SQLite, "PostgreSQL": PostgreSQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, fresh(t))
		})
	}
}

// Open opens a database until the test ends.
func Open(t testing.TB, dsn string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), dsn, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
