package db_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

// filled writes transactions of some 64 kB each, and gives what an organization
// of each is called.
func filled(t *testing.T, d *db.DB, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		write(t, d, `INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, 0)`, fmt.Sprint("o", i), strings.Repeat("x", 48<<10))
	}
}

func TestTheLogIsCopiedBesideTheWriterAndBeginsAnew(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "log.db")
	fresh, err := db.Open(t.Context(), dsn, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Close(); err != nil { // the log of the schema goes with it
		t.Fatal(err)
	}
	d := databases.Open(t, dsn)
	d.LimitLog(200<<10, 800<<10)
	longest := int64(0)
	for i := range 40 {
		filled(t, d, 10*i, 10*i+10)
		d.LogCopied()
		log, err := os.Stat(d.Path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, log.Size()>>10)
	}
	// Some 30 MB were written; the log is begun anew at 800 kB of them, and ten
	// transactions come in between.
	if longest < 800 || longest > 3200 {
		t.Errorf("the log grew to %d kB", longest)
	}
	if got := texts(t, d, `SELECT count(*) FROM organizations WHERE length(name) = 49152`); got[0] != "400" {
		t.Errorf("%s of 400 rows are there", got[0])
	}
	if got := texts(t, d, `PRAGMA integrity_check`); len(got) != 1 || got[0] != "ok" {
		t.Error(got)
	}
}

func TestTheLogIsNotBegunAnewUnderAReader(t *testing.T) {
	t.Parallel()
	d := databases.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "read.db"))
	d.LimitLog(80<<10, 160<<10)
	filled(t, d, 0, 10)
	seen := 0
	err := d.Snapshot(t.Context(), func(q db.Querier) error {
		count := func(want int) error {
			return db.Each(t.Context(), q, `SELECT count(*) FROM organizations WHERE length(name) = 49152`, nil, func(rows *sql.Rows) error {
				seen++
				var n int
				if err := rows.Scan(&n); err != nil {
					return err
				}
				if n != want {
					t.Errorf("the picture has %d rows, it had %d", n, want)
				}
				return nil
			})
		}
		for i := range 5 {
			if err := count(10); err != nil {
				return err
			}
			filled(t, d, 10+10*i, 20+10*i)
			d.LogCopied()
		}
		return count(10)
	})
	if err != nil || seen != 6 {
		t.Errorf("%d looks: %v", seen, err)
	}
	if got := texts(t, d, `SELECT count(*) FROM organizations WHERE length(name) = 49152`); got[0] != "60" {
		t.Errorf("%s of 60 rows are there", got[0])
	}
}

func TestClosingWaitsForTheLog(t *testing.T) {
	t.Parallel()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "close.db")
	for i := range 10 {
		d, err := db.Open(t.Context(), dsn, "")
		if err != nil {
			t.Fatal(err)
		}
		d.LimitLog(1, 8<<10)
		filled(t, d, 5*i, 5*i+5) // the last commit began to copy
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(d.Path + "-wal"); !os.IsNotExist(err) {
			t.Errorf("a log is left behind: %v", err)
		}
	}
	if got := texts(t, databases.Open(t, dsn), `SELECT count(*) FROM organizations`); got[0] != "50" {
		t.Errorf("%s of 50 rows are there", got[0])
	}
}

func TestWhatFailsBesideTheWorkIsTold(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		told := make(chan error, 10)
		d.OnTrouble(func(err error) { told <- err })
		if d.Dialect == db.SQLite {
			d.LimitLog(1, 1<<20)
			if err := d.BreakCopying(); err != nil {
				t.Fatal(err)
			}
			filled(t, d, 0, 1)
		} else {
			d.AnalyzeBeside("no_such_table")
		}
		if err := <-told; !strings.Contains(err.Error(), "database: ") {
			t.Error(err)
		}
		filled(t, d, 1, 3) // the work goes on
		if got := texts(t, d, `SELECT count(*) FROM organizations WHERE id <> 'o0'`); got[0] != "2" {
			t.Errorf("%s of 2 rows are there", got[0])
		}
	})
}
