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
	})
}
