package storetest

import (
	"fmt"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
)

// elsewhere is the same installation with another database.
func (w *World) elsewhere(dsn string) *World {
	w.T.Helper()
	n := Open(w.T, dsn)
	n.Dirs, n.Connections, n.Clock, n.Engine.Kinds = w.Dirs, w.Connections, w.Clock, w.Dirs.Kind
	return n
}

func TestAnInstallationGoesOnWhereItWasMovedTo(t *testing.T) {
	t.Parallel()
	dsns := databases.Blank(t)
	w := Open(t, dsns["SQLite"])
	w.Connect("hq", byEmail)
	w.Connect("branch", byEmail)
	var people []rec
	for i := range 30 {
		people = append(people, Person(fmt.Sprintf("p%02d", i), "manager=uid=p00,ou=people"))
	}
	staff := Group("staff", "p01", "p02", "@inner")
	w.Holds("hq", append(people, staff, Group("inner", "p03"))...)
	w.Applied("hq")
	w.Holds("branch", Person("p01", "id=b-1", "ref=branch p01"), Person("carl"))
	w.Applied("branch")
	w.local("org", "Zoë", "zoe@example.org")
	w.Holds("hq", append(people[1:], staff, Group("inner", "p03"))...)
	last := w.Applied("hq") // the manager of all goes, and comes under standing rules
	w.Holds("hq", append(people[20:], staff)...)
	held := w.Held("hq", "")
	before := w.Everything()
	w.Close()

	file := strings.TrimPrefix(dsns["SQLite"], "sqlite:")
	rows, err := store.Move(t.Context(), file, dsns["PostgreSQL"], "")
	w.must(err)
	if rows < 100 {
		t.Errorf("only %d rows were moved", rows)
	}
	n := w.elsewhere(dsns["PostgreSQL"])
	if d := Difference(before, n.Everything()); d != "" {
		t.Errorf("the database says something else:\n%s", d)
	}
	n.Examine()
	n.Replay()

	// The plan that waits can be decided on, a run of before undone, and directories
	// be read on.
	_, err = n.Engine.Reject(t.Context(), *n.Conn("hq"), held.Plan.ID, "tester")
	n.must(err)
	n.Holds("hq", append(people[1:], staff, Group("inner", "p03"))...)
	n.Settled("hq")
	n.Settled("branch")
	n.Revert("hq", last.Run)
	equal(t, "p00", n.Account("p00").Status, account.Active)
	equal(t, "Zoë", n.Account("Zoë").Text[account.Email], "zoe@example.org")
	n.Examine()
	n.Replay()

	_, err = store.Move(t.Context(), file, dsns["PostgreSQL"], "")
	equal(t, "moved again", fault.KindOf(err), fault.Conflict)
}

func TestNothingIsMovedThatSomebodyIsAtWorkOn(t *testing.T) {
	t.Parallel()
	dsns := databases.Blank(t)
	w := Open(t, dsns["SQLite"])
	w.Connect("hq")
	w.Holds("hq", Person("anna"))
	w.Applied("hq")
	refused := func(words string) {
		t.Helper()
		_, err := store.Move(t.Context(), strings.TrimPrefix(dsns["SQLite"], "sqlite:"), dsns["PostgreSQL"], "")
		if err == nil || fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), words) || fault.HintOf(err) == "" {
			t.Errorf("got %v, want a word of %q", err, words)
		}
	}
	w.lease("hq", "elsewhere/1/1/1", 30)
	refused("somebody is at work on hq")
	w.lease("hq", "", 0)
	w.must(w.Store.Nodes.Beat(t.Context(), nodes.Node{ID: "n1", Host: "elsewhere"}))
	refused("it is being served, on elsewhere")
	w.must(w.Store.Nodes.Leave(t.Context(), "n1"))
	state := func(from, to engine.RunState) {
		t.Helper()
		w.must(w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE runs SET state = $2 WHERE state = $1`, from, to)
			return err
		}))
	}
	state(engine.RunApplied, engine.RunRunning)
	refused("runs of hq wait, or were interrupted")
	state(engine.RunRunning, engine.RunApplied)
	for dsn, words := range map[string]string{dsns["SQLite"]: "names an embedded database", "postgres://nobody@127.0.0.1:1/no": "connect"} {
		if _, err := store.Move(t.Context(), strings.TrimPrefix(dsns["SQLite"], "sqlite:"), dsn, ""); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want a word of %q", err, words)
		}
	}
	if _, err := store.Move(t.Context(), "no.db", dsns["PostgreSQL"], ""); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a file that is not there: %v", err)
	}
	_, err := store.Move(t.Context(), strings.TrimPrefix(dsns["SQLite"], "sqlite:"), dsns["PostgreSQL"], "")
	w.must(err)
}
