package db_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/databases"
)

func TestConnectionsAreGuardedByDatabaseSQLAlone(t *testing.T) {
	t.Parallel()
	d := databases.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "unguarded.db"))
	guarded, err := d.Guarded(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(guarded) != 4 {
		t.Errorf("looked at %v", guarded)
	}
	for what, is := range guarded {
		if is {
			t.Errorf("the connection for %s has a mutex: the driver's handle is not where it was", what)
		}
	}
}

// Whoever gives up interrupts SQLite from another goroutine, in the middle of its work.
func TestManyReadAndGiveUpWhileOneWrites(t *testing.T) {
	t.Parallel()
	d := databases.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "busy.db"))
	filled(t, d, 0, 20)
	var all sync.WaitGroup
	for reader := range 12 {
		all.Go(func() {
			for i := range 40 {
				patience := time.Hour
				if reader%3 > 0 {
					patience = time.Duration(i) * 50 * time.Microsecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				from := d.Reader()
				if reader%2 == 0 {
					from = d.Scanner()
				}
				var n int
				err := from.QueryRowContext(ctx, `SELECT count(*) FROM organizations a, organizations b, organizations c WHERE a.id <> b.id || c.id`).Scan(&n)
				cancel()
				if err == nil && n < 20*20*20 || err != nil && !(reader%3 > 0 && errors.Is(err, context.DeadlineExceeded)) {
					t.Errorf("counted %d: %v", n, err)
				}
			}
		})
	}
	filled(t, d, 20, 40)
	all.Wait()
	if got := texts(t, d, `PRAGMA integrity_check`); len(got) != 1 || got[0] != "ok" {
		t.Error(got)
	}
}
