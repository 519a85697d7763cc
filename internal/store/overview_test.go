package store_test

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/overview"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func TestTheWorstConnectionsComeFirst(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		now := time.Now().UTC()
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 10}, setting.Organization{ID: "other", Name: "Other"})
		for _, alias := range []string{"a-ok", "b-held", "c-part"} {
			w.Connect(alias)
			w.Holds(alias, storetest.Person(alias[2:]+"-anna"), storetest.Person(alias[2:]+"-bo"))
			w.Applied(alias)
		}
		w.Dirs.Of("c-part").Missing = "page 2 did not come"
		w.Sync("c-part")
		w.Holds("b-held")
		held := w.Sync("b-held")
		run := func(query string, args ...any) {
			t.Helper()
			if err := w.Store.DB.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(t.Context(), query, args...); return err }); err != nil {
				t.Fatal(err)
			}
		}
		for _, alias := range []string{"d-quarantined", "e-fails", "f-new", "g-secret", "h-expires", "i-attention", "j-other"} {
			organization := "org"
			if alias == "j-other" {
				organization = "other"
			}
			run(`INSERT INTO declarations (alias, organization, scheduled, body, version, created_at, updated_at, updated_by) VALUES ($1, $2, $3, '{}', 1, 1, 1, 'x')`, alias, organization, alias != "f-new")
		}
		for _, alias := range []string{"h-expires", "i-attention"} {
			run(`INSERT INTO connections (alias, organization, kind, generation, complete, users) VALUES ($1, 'org', 'script', 1, $2, 7)`, alias, true)
		}
		run(`UPDATE connections SET attention = 'look here' WHERE alias = 'i-attention'`)
		run(`INSERT INTO health (connection, organization, failures, cause, failed_at, quarantined_at, retry_at) VALUES ('d-quarantined', 'org', 5, 'down', 1, 2, 3), ('e-fails', 'org', 1, 'down', 1, 0, 0), ('long-gone', 'org', 1, 'x', 1, 0, 0)`)
		run(`INSERT INTO secrets (owner, name, sealed, updated_at) VALUES ('connection g-secret', 'password', $1, 1)`, []byte{})
		run(`INSERT INTO expiries (connection, name, organization, expires_at) VALUES ('h-expires', 'client secret', 'org', $1)`, db.Micros(now.Add(24*time.Hour)))
		run(`INSERT INTO schedules (connection, organization, spec, next_at, due_at) VALUES ('a-ok', 'org', '', 5, 6000000)`)

		q := overview.Query{Organization: "org", Limit: 100, Now: now, Soon: 48 * time.Hour}
		for _, c := range w.Connections {
			q.Declared = append(q.Declared, overview.Declared{Alias: c.Alias, Organization: "org", Scheduled: true})
		}
		list, n, err := w.Store.Overview.Read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		at := map[string]overview.Connection{}
		for _, c := range list {
			got = append(got, c.Alias+" "+string(c.Health))
			at[c.Alias] = c
		}
		const want = "d-quarantined quarantined, e-fails failing, g-secret unset, b-held held, c-part incomplete, i-attention ok, h-expires ok, f-new new, a-ok ok"
		if all := strings.Join(got, ", "); all != want {
			t.Errorf("%s\nwant %s", all, want)
		}
		if c := at["a-ok"]; c.People != 2 || !c.Complete || c.CompleteAt.IsZero() || c.RunState != "applied" || c.NextAt.IsZero() || c.Plan != "" {
			t.Errorf("%+v", c)
		}
		if c := at["b-held"]; !c.PlanHeld || c.Plan != held.Plan.ID || c.Because == "" || c.RunID != held.Run.ID {
			t.Errorf("%+v", c)
		}
		if c := at["c-part"]; c.Reason != "page 2 did not come" || c.CompleteAt.IsZero() || c.Complete {
			t.Errorf("%+v", c)
		}
		if n.Connections != 9 || n.Health[overview.OK] != 3 || n.Unscheduled != 1 || n.Expiring != 1 || n.Accounts != 6 || n.Active != 6 || n.People != 18 || len(n.Seats) != 1 || n.Seats[0].Used != 6 || n.Seats[0].Limit != 10 {
			t.Errorf("%+v", n)
		}
		var pieces []string
		for q.Limit = 1; ; {
			list, _, err := w.Store.Overview.Read(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			place := list[0].Place()
			pieces, q.After = append(pieces, list[0].Alias+" "+string(list[0].Health)), &place
		}
		if all := strings.Join(pieces, ", "); all != want {
			t.Errorf("in pieces: %s", all)
		}
		q.After, q.Limit, q.Health = nil, 10, overview.Incomplete
		if list, n, err := w.Store.Overview.Read(t.Context(), q); err != nil || len(list) != 1 || list[0].Alias != "c-part" || n.Connections != 9 {
			t.Errorf("%+v %v", list, err)
		}
		if list, n, err := w.Store.Overview.Read(t.Context(), overview.Query{Limit: 10, Now: now}); err != nil || n.Connections != 7 || len(n.Seats) != 2 {
			t.Errorf("%+v %+v %v", list, n, err)
		}
	})
}
