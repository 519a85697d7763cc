package storetest

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store/logins"
)

func TestAPasswordThatAPersonChoseStaysUntilTheFileHasAnother(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Engine.Secrets = Secrets{Real: true}
		w.Holds("hq", Person("anna", "password=Given-Password-1"))
		w.Applied("hq")
		anna := w.Account("anna")
		was, err := w.Store.PasswordTable.Of(t.Context(), anna.ID)
		w.must(err)
		equal(t, "own", was.Own, false)
		hash, err := seal.HashPassword(t.Context(), "winter kettle orbit")
		w.must(err)
		login, err := w.Store.LoginTable.Open(t.Context(), logins.Login{Organization: "org", Connection: "hq", Account: anna.ID})
		w.must(err)
		w.must(w.Store.PasswordTable.Choose(t.Context(), anna, was.Hash, hash))
		_, _, err = w.Store.LoginTable.Check(t.Context(), login.Token)
		equal(t, "logins of the old password end", fault.KindOf(err), fault.Denied)
		// Nobody chooses with a password that is not the one any more.
		err = w.Store.PasswordTable.Choose(t.Context(), anna, was.Hash, hash)
		equal(t, "chosen with the old one", fault.KindOf(err), fault.Conflict)

		// Read again as it is, and with something else changed in the row.
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)
		w.Holds("hq", Person("anna", "password=Given-Password-1", "title=Lead"))
		rows := strings.Join(w.Rows(w.Applied("hq").Plan), "\n")
		if strings.Contains(rows, "password") {
			t.Errorf("the plan changes the password:\n%s", rows)
		}
		equal(t, "title", w.Account("anna").Text[account.Title], "Lead")
		equal(t, "her own opens", w.opens("anna", "winter kettle orbit"), true)
		now, err := w.Store.PasswordTable.Of(t.Context(), anna.ID)
		w.must(err)
		equal(t, "own", now.Own, true)

		// Another password in the file is another password, and ends logins.
		login, err = w.Store.LoginTable.Open(t.Context(), logins.Login{Organization: "org", Connection: "hq", Account: anna.ID})
		w.must(err)
		w.Holds("hq", Person("anna", "password=Given-Password-2", "title=Lead"))
		contains(t, w.Rows(w.Applied("hq").Plan), "update account anna", "password")
		equal(t, "the new one opens", w.opens("anna", "Given-Password-2"), true)
		equal(t, "her own does not", w.opens("anna", "winter kettle orbit"), false)
		_, _, err = w.Store.LoginTable.Check(t.Context(), login.Token)
		equal(t, "logins of the old password end", fault.KindOf(err), fault.Denied)
	})
}
