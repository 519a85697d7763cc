package db_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func always(*db.Tx) (bool, error) { return true, nil }

// definitions are those of the indexes of accounts.
func definitions(t *testing.T, d *db.DB) []string {
	t.Helper()
	if d.Dialect == db.PostgreSQL {
		return texts(t, d, `SELECT indexdef FROM pg_indexes WHERE tablename = 'accounts' ORDER BY indexname`)
	}
	return texts(t, d, `SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'accounts' AND sql IS NOT NULL ORDER BY name`)
}

func TestDeferredIndexesComeBackAsTheyWere(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		before := definitions(t, d)
		deferred := func(names ...string) {
			t.Helper()
			if err := d.DeferIndexes(t.Context(), always, names...); err != nil {
				t.Fatal(err)
			}
		}
		deferred("accounts_username", "accounts_purge", "no_such_index")
		deferred("accounts_username", "accounts_manager") // another process, later
		if got, want := len(definitions(t, d)), len(before)-3; got != want {
			t.Fatalf("%d indexes are there, want %d", got, want)
		}
		// Two processes build them at once.
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := d.BuildIndexes(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		equal(t, definitions(t, d), before)
		equal(t, texts(t, d, `SELECT name FROM deferred_indexes`), nil)
		if away, err := d.Deferred(t.Context()); err != nil || away {
			t.Errorf("deferred: %v, %v", away, err)
		}
	})
}

func TestNoIndexIsDeferredWhereNoneMayBe(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		before := definitions(t, d)
		if err := d.DeferIndexes(t.Context(), func(*db.Tx) (bool, error) { return false, nil }, "accounts_username"); err != nil {
			t.Fatal(err)
		}
		equal(t, definitions(t, d), before)
	})
}

// The schema's steps find every index, whatever was deferred when the program ended.
func TestTheSchemaMovesWithIndexesDeferred(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		before := definitions(t, d)
		if err := d.DeferIndexes(t.Context(), always, "accounts_username", "accounts_email"); err != nil {
			t.Fatal(err)
		}
		if err := d.Down(t.Context(), 20); err != nil {
			t.Fatal(err)
		}
		equal(t, definitions(t, d), before)
	})
}

// In PostgreSQL an index is not taken from under somebody who reads by it: it stays.
func TestAnIndexSomebodyReadsByStays(t *testing.T) {
	d := open(t, databases.Blank(t)["PostgreSQL"])
	before := definitions(t, d)
	var refused error
	err := d.Snapshot(t.Context(), func(q db.Querier) error {
		var n int
		if err := q.QueryRowContext(t.Context(), `SELECT count(*) FROM accounts WHERE organization = 'o' AND username_key = 'u'`).Scan(&n); err != nil {
			return err
		}
		refused = d.DeferIndexes(t.Context(), always, "accounts_username")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if refused == nil {
		t.Error("it was taken away all the same")
	}
	equal(t, definitions(t, d), before)
	equal(t, texts(t, d, `SELECT name FROM deferred_indexes`), nil)
}
