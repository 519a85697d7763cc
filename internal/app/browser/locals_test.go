package browser_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/ledger"
)

var errEnough = errors.New("enough")

// locals makes some people by hand in the other organization, as they are in the
// directory but for their titles, so that they could be taken over.
func locals(t *testing.T, a *app.App) {
	t.Helper()
	var list []ledger.Local
	err := a.Store.AccountTable.List(t.Context(), accounts.Filter{Organization: "sample"}, func(x *account.Account) error {
		if !strings.HasPrefix(x.Text[account.Username], "c") {
			return nil
		}
		one, err := ledger.NewLocal(t.Context(), map[string]string{"username": x.Text[account.Username], "email": x.Text[account.Email], "first_name": x.Text[account.FirstName], "last_name": x.Text[account.LastName], "title": "By hand"}, time.Now())
		if err != nil {
			return err
		}
		if list = append(list, one); len(list) == 3 {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	// Somebody who signs in.
	doris, err := ledger.NewLocal(t.Context(), map[string]string{"username": "doris", "email": "doris@other.example", "first_name": "Doris", "last_name": "Door", "password": "a password that was given"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	list = append(list, doris)
	if err := a.Store.LedgerTable.CreateLocal(t.Context(), "other", "operator:test", list); err != nil {
		t.Fatal(err)
	}
}

// wide makes an organization by hand in which one person leads 450, and two people
// each other.
func wide(t *testing.T, a *app.App) {
	t.Helper()
	list := make([]ledger.Local, 453)
	for i := range list {
		one, err := ledger.NewLocal(t.Context(), map[string]string{"username": fmt.Sprintf("w%03d", i), "email": fmt.Sprintf("w%03d@wide.example", i), "first_name": fmt.Sprintf("Person %03d", i), "last_name": "Wide", "title": "Worker", "department": "Wide works"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		list[i] = one
	}
	if err := a.Store.LedgerTable.CreateLocal(t.Context(), "wide", "operator:test", list); err != nil {
		t.Fatal(err)
	}
	lead := func(manager, report int) {
		if _, err := a.Store.LedgerTable.ChangeLocal(t.Context(), "wide", list[report].Account.ID, ledger.Edit{Manager: &list[manager].Account.ID}, "operator:test"); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i <= 450; i++ {
		lead(0, i)
	}
	lead(451, 452)
	lead(452, 451)
}
