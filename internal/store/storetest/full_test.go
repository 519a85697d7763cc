package storetest

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// pages lets an SQLite database grow by so many pages and no more, as a full
// disk does; 0 takes the bound away.
func (w *World) pages(more int) {
	w.T.Helper()
	w.must(w.Store.DB.Write(w.T.Context(), func(tx *db.Tx) error {
		limit := 1 << 30
		if more > 0 {
			var have int
			if err := tx.QueryRowContext(w.T.Context(), `PRAGMA page_count`).Scan(&have); err != nil {
				return err
			}
			limit = have + more
		}
		var now int
		return tx.QueryRowContext(w.T.Context(), `PRAGMA max_page_count = `+text(int64(limit))).Scan(&now)
	}))
}

// smallPages is an SQLite file with pages of 4 kB, so that few rows fill some.
func smallPages(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.db")
	d, err := sql.Open("sqlite", "file:"+path+"?_pragma=page_size(4096)")
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Exec(`PRAGMA user_version = 1`) // anything that is written
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

func TestAFullDiskIsSaidClearlyLosesNothingAndTheRunGoesOnWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	calm, w := Open(t, dsns["SQLite"](t)), Open(t, smallPages(t))
	for _, world := range []*World{calm, w} {
		world.Connect("hq", chapterConnection)
		world.Holds("hq", chapters()[0]...)
	}
	calm.Applied("hq")
	want := calm.State()
	full := 0
	for room := 1; ; room++ {
		w.pages(room)
		_, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options)
		w.pages(0)
		if err == nil {
			break
		}
		full++
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "full") || !strings.Contains(fault.HintOf(err), "the disk is full") {
			t.Fatalf("with room for %d pages: %v (hint %q)", room, err, fault.HintOf(err))
		}
		findings, err := w.Store.Examine(t.Context())
		w.must(err)
		for _, f := range findings {
			// What waits for the next run is in order here.
			if f.Count != 0 && !strings.HasPrefix(f.Check, "no run is left") && !strings.HasPrefix(f.Check, "no plan is left") && !strings.HasPrefix(f.Check, "no index is left") && !strings.HasPrefix(f.Check, "no row of an unfinished") {
				t.Errorf("with room for %d pages, %s: not so in %d cases", room, f.Check, f.Count)
			}
		}
		w.leaseRunsOut("hq")
	}
	if full < 3 {
		t.Errorf("the disk was full only %d times", full)
	}
	w.Applied("hq")
	if got := w.State(); got != want {
		t.Errorf("after a disk that was full %d times the end is another:\n%s", full, Difference(want, got))
	}
	w.Examine()
	w.Replay()
	w.Settled("hq")
}
