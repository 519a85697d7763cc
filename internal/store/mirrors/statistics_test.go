package mirrors

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/leases"
)

// The first run after a first import comes before PostgreSQL's own statistics.
func TestWhatAFirstReadingBroughtIsKnownToPostgreSQLAtOnce(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		d := databases.Open(t, dsn)
		lease, err := (&leases.Leases{DB: d}).Acquire(t.Context(), "hq", "o", "ldap")
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]mirror.Row, many)
		for i := range rows {
			r := directory.Record{Kind: directory.User, ID: directory.ExternalID(fmt.Sprint(i)), Name: fmt.Sprint(i)}
			rows[i] = mirror.Row{Key: directory.KeyOf(r.Kind, r.ID), Kind: r.Kind, ExternalID: r.ID, Name: r.Name, Ref: directory.RefOf(r.Name), Record: r.Append(nil)}
		}
		m := &Mirrors{DB: d}
		if err := m.Stage(t.Context(), lease, 1, rows); err != nil {
			t.Fatal(err)
		}
		users, groups, err := m.Publish(t.Context(), lease, mirror.Publication{Generation: 1, Reading: source.Reading{Full: true, Complete: true}, Fresh: [2]int{many, 0}})
		if err != nil || users != many || groups != 0 {
			t.Fatal(users, groups, err)
		}
		if !strings.HasPrefix(dsn, "postgres") {
			return
		}
		// They are taken beside the work, which goes on meanwhile.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for searched := []string(nil); ; {
			err = db.Each(ctx, d.Reader(), `SELECT attname FROM pg_stats WHERE tablename = 'mirror' ORDER BY attname`, nil, func(r *sql.Rows) error {
				var name string
				err := r.Scan(&name)
				searched = append(searched, name)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(searched, " "); got == "connection generation gone key kind primary_ref ref" {
				break
			} else if got != "" {
				t.Fatalf("there are statistics of %q", got)
			}
		}
	})
}
