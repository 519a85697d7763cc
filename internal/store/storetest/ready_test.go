package storetest

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
)

// indexes gives the definitions of all there are.
func (w *World) indexes() (list []string) {
	w.T.Helper()
	query := `SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY sql`
	if w.Store.DB.Dialect == db.PostgreSQL {
		query = `SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexdef`
	}
	w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), query, nil, func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		list = append(list, s)
		return err
	}))
	return list
}

// away names those of a list that are not there.
func (w *World) away(from []string) string {
	w.T.Helper()
	have := w.indexes()
	var out []string
	for _, s := range from {
		if !slices.Contains(have, s) {
			out = append(out, strings.Fields(s[strings.Index(s, "INDEX ")+len("INDEX "):])[0])
		}
	}
	for _, s := range have {
		if !slices.Contains(from, s) {
			out = append(out, "too many: "+s)
		}
	}
	return strings.Join(out, " ")
}

const deferred = "accounts_email accounts_manager accounts_username memberships_account"

// dieAt runs chapter 0 in a process whose power goes at its n-th commit, and says what
// is away before it goes.
func (w *World) dieAt(alias string, n int, all []string) (away string) {
	w.T.Helper()
	w.Holds(alias, chapters()[0]...)
	commits, dead := 0, false
	broken := &tap{Store: w.Store, before: func(op string) error {
		if op == "ledger commit" {
			if commits++; commits == n {
				away, dead = w.away(all), true
			}
		}
		if dead {
			return errPower
		}
		return nil
	}}
	if _, err := w.NewEngine(broken).Sync(w.T.Context(), *w.Conn(alias), options); err == nil {
		w.T.Fatal("the power is gone, and nobody noticed")
	}
	return away
}

func TestAFirstImportBuildsIndexesWhenItsRowsAreIn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		all := w.indexes()
		w.Connect("hq", chapterConnection)
		equal(t, "away while the first import goes on", w.dieAt("hq", 2, all), deferred)
		w.leaseRunsOut("hq")
		equal(t, "away after the power came back", w.away(all), deferred)
		w.Applied("hq")
		equal(t, "away in the end", w.away(all), "")
		w.Examine()
	})
}

func TestALaterImportKeepsTheIndexesAsItGoes(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		all := w.indexes()
		w.Connect("many")
		w.Holds("many", People("m", 1001)...)
		w.Applied("many")
		equal(t, "away in the end", w.away(all), "")
		w.Connect("hq", chapterConnection)
		equal(t, "away while it goes on", w.dieAt("hq", 2, all), "")
	})
}

// Whoever works on another connection asks for names, of all there are.
func TestARunBesideAFirstImportHasTheIndexesBuilt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		all := w.indexes()
		w.Connect("hq", chapterConnection)
		w.Connect("branch")
		w.Holds("branch", Person("zoe"))
		equal(t, "away while the first import goes on", w.dieAt("hq", 2, all), deferred)
		w.Applied("branch")
		equal(t, "away after another's run", w.away(all), "")
		w.leaseRunsOut("hq")
		w.Applied("hq")
		w.Examine()
	})
}

func TestAnInstallationIsOpenedWithTheIndexesBuilt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		all := w.indexes()
		w.Connect("hq", chapterConnection)
		w.dieAt("hq", 2, all)
		reopened := func() {
			s, err := store.Open(t.Context(), w.DSN, t.TempDir())
			w.must(err)
			w.must(s.Close())
		}
		reopened()
		equal(t, "away while somebody is at work", w.away(all), deferred)
		w.leaseRunsOut("hq")
		reopened()
		equal(t, "away once nobody is", w.away(all), "")
		w.Applied("hq")
	})
}

// An index is there to be quick: where it cannot be built, everything else goes on.
func TestAnIndexThatCannotBeBuiltStopsNobody(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		all := w.indexes()
		w.Connect("hq", chapterConnection)
		w.dieAt("hq", 2, all)
		define := func(query string) {
			w.must(w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(t.Context(), query)
				return err
			}))
		}
		define(`UPDATE deferred_indexes SET definition = 'no ' || definition WHERE name = 'accounts_email'`)
		var told []string
		w.Store.DB.OnTrouble(func(err error) { told = append(told, err.Error()) })
		w.leaseRunsOut("hq")
		s, err := store.Open(t.Context(), w.DSN, t.TempDir())
		w.must(err)
		w.must(s.Close())
		w.Applied("hq")
		if len(told) == 0 || !strings.Contains(told[0], "build index accounts_email") {
			t.Errorf("told: %q", told)
		}
		equal(t, "away", w.away(all), "accounts_email")
		contains(t, w.findings(), "no index is left to be built")
		define(`UPDATE deferred_indexes SET definition = substr(definition, 4) WHERE name = 'accounts_email'`)
		w.Applied("hq")
		equal(t, "away in the end", w.away(all), "")
	})
}

// findings names what is amiss.
func (w *World) findings() (list []string) {
	w.T.Helper()
	all, err := w.Store.Examine(w.T.Context())
	w.must(err)
	for _, f := range all {
		if f.Count > 0 {
			list = append(list, f.Check)
		}
	}
	return list
}

// A process that was killed leaves its lease behind, which says nothing.
func TestWhatAKilledProcessLeftIsNamed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", chapterConnection)
		w.dieAt("hq", 2, w.indexes())
		for _, check := range []string{"no plan is left half applied", "no run is left running", "no index is left to be built"} {
			if slices.Contains(w.findings(), check) {
				t.Errorf("while somebody is at work: %s", check)
			}
		}
		w.leaseRunsOut("hq")
		for _, check := range []string{"no plan is left half applied", "no run is left running", "no index is left to be built"} {
			contains(t, w.findings(), check)
		}
		w.Applied("hq")
	})
}
