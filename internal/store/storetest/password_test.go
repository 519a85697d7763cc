package storetest

import (
	"database/sql"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store/db"
)

// hash gives the stored hash of somebody's password, or "".
func (w *World) hash(username string) string {
	w.T.Helper()
	var out string
	id := w.Account(username).ID
	w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), `SELECT hash FROM credentials WHERE account = $1`, []any{id[:]}, func(rows *sql.Rows) error { return rows.Scan(&out) }))
	return out
}

func (w *World) opens(username, password string) bool {
	w.T.Helper()
	ok, err := seal.VerifyPassword(w.T.Context(), password, w.hash(username))
	w.must(err)
	return ok
}

func TestAPasswordIsKeptAsAHashAndItsPlainTextNowhere(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Engine.Secrets = Secrets{Real: true}
		const first, second, refused = "Correct-Horse-7", "Battery-Staple-9", "Never-Applied-5"
		w.Holds("hq", Person("anna", "password="+first), Person("bob"))
		w.Applied("hq")
		if h := w.hash("anna"); !strings.HasPrefix(h, "$argon2id$") {
			t.Fatalf("the hash is %q", h)
		}
		equal(t, "opens", w.opens("anna", first), true)
		equal(t, "bob has none", w.hash("bob"), "")
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)

		w.Holds("hq", Person("anna", "password="+second), Person("bob", "password="+first))
		r := w.Applied("hq")
		contains(t, w.Rows(r.Plan), "update account anna", "password")
		equal(t, "the new one opens", w.opens("anna", second), true)
		equal(t, "the old one does not", w.opens("anna", first), false)
		equal(t, "bob's opens", w.opens("bob", first), true)
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)

		w.Conn("hq").Policy.NoUpdate = true
		w.Holds("hq", Person("anna", "password="+refused), Person("bob", "password="+first))
		r = w.Applied("hq")
		contains(t, w.Notes(r.Plan), "refused", "uid=anna", "`no-update` is on")
		equal(t, "the one before opens still", w.opens("anna", second), true)
		w.Conn("hq").Policy.NoUpdate = false
		w.Applied("hq")
		equal(t, "now the refused one", w.opens("anna", refused), true)
		equal(t, "title", w.Account("anna").Text[account.Title], "")
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)

		// A row without a password leaves the one there is.
		w.Holds("hq", Person("anna"), Person("bob", "password="+first))
		w.Applied("hq")
		equal(t, "kept", w.opens("anna", refused), true)

		all := w.Everything()
		for _, plain := range []string{first, second, refused} {
			if strings.Contains(all, plain) {
				t.Errorf("%q stands in the database", plain)
			}
		}
		told, _ := w.Events(0)
		contains(t, told, "account.updated anna")
	})
}
