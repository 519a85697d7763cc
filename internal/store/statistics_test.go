package store_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/runs"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func TestRunsAreCountedByHourAndDay(t *testing.T) {
	midnight := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	rows := []struct {
		organization, connection, state, trigger, summary string
		at, took                                          time.Duration // after midnight; took 0: it has not ended
	}{
		{"org", "hq", "applied", "schedule", `{"create": 3, "update": 2, "add": 7, "groups": {"create": 1}}`, 0, time.Minute},
		{"org", "hq", "reverted", "schedule", `{"create": 1, "remove": 4}`, 59 * time.Minute, 3 * time.Minute},
		{"org", "lab", "held", "manual", `{"delete": 1000}`, 59*time.Minute + 59*time.Second, 10 * time.Minute},
		{"org", "hq", "failed", "schedule", "", time.Hour, time.Second},
		{"org", "hq", "queued", "manual", "", 23 * time.Hour, 0},
		{"org", "hq", "running", "manual", "", 23 * time.Hour, 0},
		{"org", "hq", "applied", "schedule", `{"update": 5}`, 24 * time.Hour, 2 * time.Minute},
		{"other", "far", "applied", "schedule", `{"create": 500}`, time.Hour, time.Hour},
		{"org", "hq", "applied", "schedule", `{"update": 900}`, 48 * time.Hour, time.Minute},
	}
	both(t, func(t *testing.T, w *storetest.World) {
		err := w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
			for i, r := range rows {
				at, end := midnight.Add(r.at), int64(0)
				if r.took > 0 {
					end = db.Micros(at.Add(r.took))
				}
				if _, err := tx.Exec(t.Context(), `INSERT INTO runs (id, organization, connection, trigger_by, actor, state, fence, summary, started_at, finished_at)
					VALUES ($1, $2, $3, $4, 'x', $5, 1, $6, $7, $8)`, fmt.Sprintf("r%d", i), r.organization, r.connection, r.trigger, r.state, r.summary, db.Micros(at), end); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		f := runs.Filter{Organization: "org", Since: midnight, Until: midnight.Add(48 * time.Hour)}
		days, err := w.Store.RunTable.Statistics(t.Context(), f, 24*time.Hour)
		if err != nil || len(days) != 2 {
			t.Fatalf("%d days, %v", len(days), err)
		}
		if d := days[0]; !d.At.Equal(midnight) || d.Changes.Create != 4 || d.Changes.Update != 2 || d.Changes.Delete != 0 || d.Changes.Add != 7 || d.Changes.Remove != 4 || d.Changes.Groups.Create != 1 ||
			d.States["running"] != 2 || d.States["held"] != 1 || d.States["failed"] != 1 || d.Longest != 10*time.Minute || d.Median != time.Minute {
			t.Errorf("the first day: %+v", d)
		}
		if d := days[1]; !d.At.Equal(midnight.Add(24*time.Hour)) || d.Changes.Update != 5 || d.States["applied"] != 1 {
			t.Errorf("the second day: %+v", d)
		}
		f.Connection = "hq"
		hours, err := w.Store.RunTable.Statistics(t.Context(), f, time.Hour)
		if err != nil || len(hours) != 4 || hours[0].States["held"] != 0 || hours[2].Longest != 0 {
			t.Fatalf("%d hours, %v", len(hours), err)
		}
		f = runs.Filter{Trigger: "schedule", Since: midnight.Add(time.Hour), Until: midnight.Add(48 * time.Hour), Limit: 10}
		list, err := w.Store.RunTable.Page(t.Context(), f)
		if err != nil || len(list) != 3 || list[0].ID != "r6" {
			t.Errorf("%d runs, %v", len(list), err)
		}
		f.BeforeAt, f.BeforeID = db.Micros(list[0].StartedAt), list[0].ID
		if list, err = w.Store.RunTable.Page(t.Context(), f); err != nil || len(list) != 2 {
			t.Errorf("%d runs behind the first, %v", len(list), err)
		}
	})
}
