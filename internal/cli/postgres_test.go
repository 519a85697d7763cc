package cli

import (
	"net/url"
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/postgres"
)

// ownPostgreSQL is a server for one test.
func ownPostgreSQL(t *testing.T) *postgres.Server {
	t.Helper()
	db, err := postgres.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// The same commands on PostgreSQL, which has a password of its own to keep.
func TestOnPostgreSQL(t *testing.T) {
	t.Parallel()
	db := ownPostgreSQL(t)
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

func TestAnEmbeddedDatabaseIsMovedToPostgreSQL(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	config := hq(s, "    limits: {removals: 20%, removals_min: 2}\n")
	h := newHouse(t, config)
	h.env["HQ_PASSWORD"] = s.ReaderPassword
	h.run(0, "sync", "hq")
	change(t, s, day)
	var run ran
	h.json(0, &run, "sync", "hq")
	words := secret("quiet-harbour-lantern-four")
	if r := h.tryWith(words+"\n", "admins", "create", "--email", "eve@example.com", "--password-stdin"); r.status != 0 {
		t.Fatal(r)
	}
	people, members, doctor := h.people(), h.members(), h.run(0, "doctor")
	hasNot(t, doctor, "FAIL")
	has(t, h.refuses(1, "move", h.path("rollcall.db")), "names an embedded database", "hint: let `database` name")
	has(t, h.refuses(2, "move"), "the file of the embedded database")
	has(t, h.refuses(2, "move", h.path("rollcall.db"), "--server", "http://localhost:1"), "database itself")

	// The new configuration lies in a folder of its own, as on another machine.
	old := h.path("rollcall.db")
	n := &house{T: t, dir: t.TempDir(), env: map[string]string{"HQ_PASSWORD": s.ReaderPassword, "DATABASE": ownPostgreSQL(t).DSN}}
	n.write("rollcall.yaml", "database: ${DATABASE}\n"+config)
	has(t, n.refuses(1, "move", old), "is in "+h.path("rollcall.key"), "which is not the same", "hint: let `key_file` name it")
	n.write("rollcall.yaml", "database: ${DATABASE}\nkey_file: "+h.path("rollcall.key")+"\n"+config)
	has(t, n.refuses(1, "move", n.path("rollcall.db")), "no such file", "hint: name the file")
	has(t, n.run(0, "move", old), "All of "+old+" is moved: ", " rows.", "rollcall doctor")
	sameJSON(t, "people", people, n.people())
	sameJSON(t, "members", members, n.members())
	hasNot(t, n.run(0, "doctor"), "FAIL")
	has(t, n.run(0, "admins", "list"), "eve@example.com")
	has(t, n.run(0, "plan", "hq"), ": nothing to do")
	eventsAreWhole(t, n)
	has(t, n.refuses(1, "move", old), "not empty", "nothing was changed")
	has(t, n.run(0, "runs", "revert", run.ID), "applied")
	sameJSON(t, "people where it was", people, h.people())
}
