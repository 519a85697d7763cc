// Package databases gives tests fresh databases of both kinds, by their addresses.
// The tests of a package share one PostgreSQL, which starts when the first of them
// asks for it: those that need none, and workers that fuzz, wait for none.
package databases

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// Bringing the schema into a database takes half a second or more under the race
// detector, and there are hundreds of tests that want one. It is done once in a process,
// and copied.
var (
	file = sync.OnceValues(func() (text []byte, err error) {
		dir, err := os.MkdirTemp("", "rollcall-schema-")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		path := filepath.Join(dir, "rollcall.db")
		if err := migrate("sqlite:" + path); err != nil {
			return nil, err
		}
		return os.ReadFile(path) // closing it has left nothing beside it
	})
	template = sync.OnceValues(func() (string, error) {
		s, err := server()
		if err != nil {
			return "", err
		}
		dsn, err := s.NewDatabase(context.Background())
		if err != nil {
			return "", err
		}
		return dsn, migrate(dsn)
	})
)

func migrate(dsn string) error {
	d, err := db.Open(context.Background(), dsn, "")
	if err != nil {
		return err
	}
	return d.Close()
}

// Put makes a file that holds the schema and nothing else.
func Put(t testing.TB, path string) {
	t.Helper()
	text, err := file()
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// SQLite is a file that holds the schema and nothing else.
func SQLite(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rollcall.db")
	Put(t, path)
	return "sqlite:" + path
}

// PostgreSQL is a database that holds the schema and nothing else.
func PostgreSQL(t testing.TB) string {
	t.Helper()
	s, dsn := Server(t), ""
	from, err := template()
	if err == nil {
		dsn, err = s.CopyDatabase(t.Context(), from)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Blank gives a database of each kind without a schema: a file that is not there yet,
// and an empty database.
func Blank(t testing.TB) map[string]string {
	t.Helper()
	dsn, err := Server(t).NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"SQLite": "sqlite:" + filepath.Join(t.TempDir(), "rollcall.db"), "PostgreSQL": dsn}
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

// Explain is how a database goes about a query.
func Explain(t testing.TB, d *db.DB, query string, args ...any) string {
	t.Helper()
	explain := "EXPLAIN "
	if d.Dialect == db.SQLite {
		explain = "EXPLAIN QUERY PLAN "
	}
	var lines []string
	err := db.Each(t.Context(), d.Reader(), explain+query, args, func(rows *sql.Rows) error {
		var a, b, c int
		var line string
		into := []any{&line}
		if d.Dialect == db.SQLite {
			into = []any{&a, &b, &c, &line}
		}
		err := rows.Scan(into...)
		lines = append(lines, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
