package db_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

// columnsOf names all tables of a database, and says of what kind their columns are in
// PostgreSQL, with a question mark where NULL may be.
func columnsOf(t *testing.T, d *db.DB) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	err := db.Each(t.Context(), d.Reader(), `SELECT table_name, column_name, udt_name || CASE WHEN is_nullable = 'YES' THEN '?' ELSE '' END FROM information_schema.columns WHERE table_schema = current_schema()`, nil, func(r *sql.Rows) error {
		var table, column, kind string
		err := r.Scan(&table, &column, &kind)
		if out[table] == nil {
			out[table] = map[string]string{}
		}
		out[table][column] = kind
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(out, "goose_db_version")
	return out
}

// whole gives the rows of a table, told the same by either database.
func whole(t *testing.T, d *db.DB, table string, columns []string) []string {
	t.Helper()
	var out []string
	err := db.Each(t.Context(), d.Reader(), `SELECT "`+strings.Join(columns, `", "`)+`" FROM "`+table+`"`, nil, func(r *sql.Rows) error {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		err := r.Scan(to...)
		for i, v := range row {
			switch v := v.(type) {
			case bool:
				row[i] = map[bool]int64{true: 1}[v]
			case []byte:
				row[i] = append([]byte{}, v...)
			}
		}
		out = append(out, fmt.Sprintf("%#v", row))
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", table, err)
	}
	slices.Sort(out)
	return out
}

// Every table there is, and every table there will be, has two rows with something in
// each column, or with NULL in the second where that may be.
func TestEveryColumnOfEveryTableIsMoved(t *testing.T) {
	t.Parallel()
	from, to := databases.Open(t, databases.SQLite(t)), databases.Open(t, databases.PostgreSQL(t))
	all := columnsOf(t, to)
	if len(all) < 60 {
		t.Fatalf("only %d tables are looked at", len(all))
	}
	kinds := map[string][2]any{"text": {"", "Ж'\"\\\n€"}, "int8": {int64(1), int64(-1 << 62)}, "int2": {int64(1), int64(2)}, "int4": {int64(1), int64(-1 << 31)}, "bool": {true, false}, "bytea": {[]byte{}, []byte{0, 255, '\\'}}, "float8": {1.5, 2.5}}
	err := from.Write(t.Context(), func(tx *db.Tx) error {
		// Whom a row belongs to may be in a later table.
		if _, err := tx.Exec(t.Context(), `PRAGMA defer_foreign_keys = ON`); err != nil {
			return err
		}
		for table, columns := range all {
			if _, err := tx.Exec(t.Context(), `DELETE FROM "`+table+`"`); err != nil {
				return err
			}
			for i := range 2 {
				var names, marks []string
				var values []any
				for name, kind := range columns {
					kind, null := strings.CutSuffix(kind, "?")
					v, ok := kinds[kind]
					if !ok {
						return fmt.Errorf("nothing is known of the kind %s", kind)
					}
					if null && i == 1 {
						v[i] = nil
					}
					names, values = append(names, `"`+name+`"`), append(values, v[i])
					marks = append(marks, fmt.Sprintf("$%d", len(values)))
				}
				if _, err := tx.Exec(t.Context(), `INSERT INTO "`+table+`" (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, values...); err != nil {
					return fmt.Errorf("%s: %w", table, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := from.MoveTo(t.Context(), to, []string{"jobs"}, func(*db.Tx) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(2 * (len(all) - 1)); moved != want {
		t.Errorf("%d rows were moved, want %d", moved, want)
	}
	for table, columns := range all {
		names := make([]string, 0, len(columns))
		for name := range columns {
			names = append(names, name)
		}
		got, want := whole(t, to, table, names), whole(t, from, table, names)
		if table == "jobs" {
			want = nil
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n  %s\nwant\n  %s", table, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
}

func TestNothingIsMovedWhereSomethingIs(t *testing.T) {
	t.Parallel()
	from, to := databases.Open(t, databases.SQLite(t)), databases.Open(t, databases.PostgreSQL(t))
	organization := func(d *db.DB, alias string) {
		t.Helper()
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO organizations (id, name, created_at) VALUES ($1, $1, 1)`, alias)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	organization(from, "old")
	move := func() error {
		_, err := from.MoveTo(t.Context(), to, nil, func(*db.Tx) error { return nil })
		return err
	}
	// What goes wrong at the end leaves nothing behind.
	wrong := errors.New("something went wrong")
	if _, err := from.MoveTo(t.Context(), to, nil, func(*db.Tx) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	organization(to, "other")
	if err := move(); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "not empty: there is something in organizations") {
		t.Errorf("got %v", err)
	}
	equal(t, texts(t, to, `SELECT id FROM organizations`), []string{"other"})
	if err := to.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(t.Context(), `DELETE FROM organizations`); return err }); err != nil {
		t.Fatal(err)
	}
	if err := move(); err != nil {
		t.Error(err)
	}
	equal(t, texts(t, to, `SELECT id FROM organizations`), []string{"old"})
	if _, err := to.MoveTo(t.Context(), from, nil, nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("the way back: %v", err)
	}
}
