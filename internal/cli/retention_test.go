package cli

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
)

// What is older than the configuration says goes, and whoever asks for it is told.
func TestWhatIsNoLongerKept(t *testing.T) {
	t.Parallel()
	const keep = "retention: {plans: 30d, runs: 60d, events: 30d}\n"
	h := newHouse(t, keep+staff)
	h.apart = true
	h.write("people.csv", threePeople)
	h.run(0, "sync", "staff")
	var runs []struct{ ID, Plan string }
	h.json(0, &runs, "runs", "list")
	h.write("people.csv", strings.Replace(threePeople, "jane@", "jane.doe@", 1))
	age(t, h)
	h.write("rollcall.yaml", "retention: {plans: 0, runs: 0}\n"+staff)
	h.run(0, "sync", "staff")
	has(t, h.run(0, "runs", "show", runs[0].ID), "kmüller")
	has(t, h.run(0, "events", "tail", "--after", "0"), "account.created")

	h.write("rollcall.yaml", keep+staff)
	r := h.try("doctor", "--prune")
	if has(t, r.err, "Pruned: the rows of 1 plan, 0 runs, 4 events."); r.status != 0 {
		t.Errorf("doctor: %d\n%s", r.status, r.out)
	}
	hasNot(t, r.out, "FAIL")
	text := h.run(0, "runs", "show", runs[0].ID)
	has(t, text, "3 create", "Its rows were pruned and are no longer kept")
	hasNot(t, text, "kmüller")
	var p struct {
		Pruned  bool
		Summary summary
		Changes []any
	}
	h.json(0, &p, "plans", "show", runs[0].Plan)
	if !p.Pruned || p.Summary.Create != 3 || len(p.Changes) != 0 {
		t.Errorf("%+v", p)
	}
	has(t, h.refuses(1, "runs", "revert", runs[0].ID), "run "+runs[0].ID+" cannot be reverted any more", "were pruned", "`retention.plans`")
	has(t, h.refuses(1, "events", "tail", "--after", "2"), "those behind 2 are not all kept: the feed begins behind 4", "`retention.events`")
	has(t, h.run(0, "events", "tail", "--after", "4"), "account.updated")
	has(t, h.run(0, "events", "tail"), "account.updated")
	h.run(0, "sync", "staff")
	hasNot(t, h.run(0, "doctor"), "FAIL")
}

// age makes everything that happened forty days older.
func age(t *testing.T, h *house) {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+h.path("rollcall.db"), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	const by = ` - 40 * 86400000000`
	err = s.DB.Write(t.Context(), func(tx *db.Tx) error {
		for _, q := range []string{`UPDATE events SET at = at`, `UPDATE plans SET created_at = created_at` + by + `, ended_at = ended_at`,
			`UPDATE runs SET started_at = started_at` + by + `, finished_at = finished_at`, `UPDATE accounts SET created_at = created_at`} {
			if _, err := tx.Exec(t.Context(), q+by); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
