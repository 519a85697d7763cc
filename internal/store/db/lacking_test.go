package db_test

import (
	"slices"
	"testing"

	"rollcall.dev/rollcall/internal/store/db"
)

func TestWhatTheSchemaHasAndTheDatabaseLacks(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		lacks := func(doing string, want ...string) {
			t.Helper()
			if got, err := d.Lacking(t.Context()); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: it lacks %q, want %q; %v", doing, got, want, err)
			}
		}
		lacks("new")
		if err := d.DeferIndexes(t.Context(), func(*db.Tx) (bool, error) { return true, nil }, "accounts_email"); err != nil {
			t.Fatal(err)
		}
		lacks("an index is yet to be built")
		write(t, d, `DROP INDEX accounts_username`)
		write(t, d, `DROP TABLE standing`)
		write(t, d, `ALTER TABLE nodes DROP COLUMN draining`)
		write(t, d, `CREATE TABLE another (id bigint)`)
		lacks("altered", "index accounts_username", "column nodes.draining", "table standing")
		write(t, d, `DROP TABLE deferred_indexes`)
		lacks("nobody knows what is to be built", "index accounts_email", "index accounts_username", "table deferred_indexes", "column nodes.draining", "table standing")
	})
}
