package cli

import (
	"net/url"
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/postgres"
)

// The same commands on PostgreSQL, which has a password of its own to keep.
func TestOnPostgreSQL(t *testing.T) {
	t.Parallel()
	db, err := postgres.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := url.Parse(db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	if password, ok := dsn.User.Password(); ok {
		secret(password)
	}
	s := rehearsal(t, openldap.Options{})
	h := newHouse(t, "database: ${DATABASE}\n"+hq(s, "    limits: {removals: 20%, removals_min: 2}\n"))
	h.env["HQ_PASSWORD"], h.env["DATABASE"] = s.ReaderPassword, db.DSN
	want := truthOf(t, s)
	agrees(t, h, want, "plan", summary{})
	h.run(0, "sync", "hq")
	holds(t, h, want, "")
	before := h.people()
	change(t, s, day)
	var run ran
	h.json(0, &run, "sync", "hq")
	holds(t, h, truthOf(t, s), "intern")
	has(t, h.run(0, "accounts", "list", "--search", "ПЕТРОВ", "--limit", "5"), "petrova")
	has(t, h.run(0, "runs", "revert", run.ID), "2 updated, 1 enabled, 2 deleted")
	sameJSON(t, "an account after the revert", before["fsmit"], h.people()["fsmit"])
	has(t, h.run(3, "sync", "hq"), "was reverted")
	has(t, h.run(0, "plans", "approve", lastPlan(h), "--exclude", "1"), "applied")
	has(t, h.run(0, "plans", "list"), "applied")
	has(t, h.refuses(1, "backup", h.path("copy.db")), "PostgreSQL", "hint: use pg_dump")
	hasNot(t, h.run(0, "doctor"), "FAIL")
	has(t, h.run(0, "why", "hq", "petrova"), "In: ")
	eventsAreWhole(t, h)
	dsn.User = url.UserPassword(dsn.User.Username(), secret("not-the-password-of-postgres"))
	h.env["DATABASE"] = dsn.String()
	has(t, h.refuses(1, "doctor"), "database: connect: PostgreSQL refused user or password")
}
