package storetest

import (
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/ledger"
)

func ptr[T any](v T) *T { return &v }

func TestALocalAccountIsChangedByTheRulesItWasMadeBy(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 3})
		w.Connect("hq")
		w.Holds("hq", Person("dora"))
		w.Applied("hq")
		anna, bob := w.local("org", "anna", "anna@example.org"), w.local("org", "bob", "bob@example.org")
		dora, err := w.Store.AccountTable.Find(t.Context(), "org", "dora")
		w.must(err)
		change := func(id account.ID, e ledger.Edit) (*account.Account, error) {
			return w.Store.LedgerTable.ChangeLocal(t.Context(), "org", id, e, "tester")
		}
		must := func(id account.ID, e ledger.Edit) *account.Account {
			t.Helper()
			a, err := change(id, e)
			w.must(err)
			return a
		}
		a := must(anna, ledger.Edit{Text: map[account.Field]string{account.Title: "Boss", account.Email: "ANNA@example.org"}, Manager: &bob,
			Attributes: map[string]*string{"badge": ptr("7"), "desk": ptr("a")}})
		if a.Text[account.Title] != "Boss" || a.Manager != bob || a.Attributes != `{"badge":"7","desk":"a"}` || a.Version != 2 {
			t.Errorf("%+v", a)
		}
		if a = must(anna, ledger.Edit{Attributes: map[string]*string{"badge": nil}, Manager: &account.ID{}}); a.Attributes != `{"desk":"a"}` || !a.Manager.IsZero() {
			t.Errorf("%+v", a)
		}
		before := must(anna, ledger.Edit{})
		equal(t, "version after no change", before.Version, a.Version)

		for _, c := range []struct {
			name string
			id   account.ID
			e    ledger.Edit
			kind fault.Kind
		}{
			{"a name that is taken", anna, ledger.Edit{Text: map[account.Field]string{account.Username: "BOB"}}, fault.Conflict},
			{"no address", anna, ledger.Edit{Text: map[account.Field]string{account.Email: ""}}, fault.Invalid},
			{"a telephone that is none", anna, ledger.Edit{Text: map[account.Field]string{account.MobilePhone: "call me"}}, fault.Invalid},
			{"a manager who is nobody", anna, ledger.Edit{Manager: &account.ID{1}}, fault.Invalid},
			{"herself as manager", anna, ledger.Edit{Manager: &anna}, fault.Invalid},
			{"an account of a directory", dora[0].ID, ledger.Edit{Text: map[account.Field]string{account.Title: "x"}}, fault.Conflict},
			{"an account there is not", account.ID{9}, ledger.Edit{}, fault.NotFound},
		} {
			if _, err := change(c.id, c.e); fault.KindOf(err) != c.kind || err == nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if _, err := w.Store.LedgerTable.ChangeLocal(t.Context(), "elsewhere", anna, ledger.Edit{}, "tester"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("another tenant changes it: %v", err)
		}

		must(bob, ledger.Edit{Status: ptr(account.Deleted), Hash: ptr("$argon2id$x")})
		if _, err := change(bob, ledger.Edit{Text: map[account.Field]string{account.Title: "Ghost"}}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a deleted account is changed: %v", err)
		}
		// His name and his seat go to somebody else meanwhile.
		carl := w.local("org", "carl", "bob@example.org")
		if _, err := change(bob, ledger.Edit{Status: ptr(account.Active)}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("two have one address: %v", err)
		}
		must(carl, ledger.Edit{Text: map[account.Field]string{account.Email: "carl@example.org"}})
		if _, err := change(bob, ledger.Edit{Status: ptr(account.Active)}); fault.KindOf(err) != fault.Held {
			t.Errorf("there is no seat: %v", err)
		}
		must(carl, ledger.Edit{Status: ptr(account.Disabled)})
		if a := must(bob, ledger.Edit{Status: ptr(account.Active)}); a.Status != account.Active || !a.DeletedAt.IsZero() {
			t.Errorf("%+v", a)
		}
		var types []event.Type
		w.must(w.Store.EventTable.History(t.Context(), bob, 1<<40, 10, func(e event.Event) error {
			types = append(types, e.Type)
			return nil
		}))
		if len(types) != 4 || types[0] != event.AccountRestored || types[1] != event.AccountUpdated || types[2] != event.AccountDeleted {
			t.Errorf("%v", types)
		}
	})
}

// The feed goes on behind what was looked at, found or not, and rows that stand
// for many events are told one by one.
func TestTheFeedIsReadPieceByPiece(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob", "carl"))
		w.Applied("hq")
		whole, err := w.Store.EventTable.Feed(t.Context(), events.Query{Limit: 1000}, -1)
		w.must(err)
		equal(t, "next", whole.Next, whole.Newest)
		for _, q := range []events.Query{{Limit: 1}, {Limit: 2, Types: []string{"membership.*"}}, {Limit: 2, Types: []string{"account.created", "run.applied"}, Organization: "org"}} {
			var got []int64
			for at := int64(-1); ; {
				p, err := w.Store.EventTable.Feed(t.Context(), q, at)
				w.must(err)
				for _, e := range p.Events {
					got = append(got, e.ID)
				}
				if at = p.Next; len(p.Events) < q.Limit {
					break
				}
			}
			var want []int64
			for _, e := range whole.Events {
				if len(q.Types) == 0 || string(e.Type) == q.Types[0] || len(q.Types) > 1 && string(e.Type) == q.Types[1] || q.Types[0] == "membership.*" && e.Type == event.MembershipAdded {
					want = append(want, e.ID)
				}
			}
			if len(got) != len(want) || len(got) < 3 {
				t.Errorf("%+v: %v, want %v", q, got, want)
			}
		}
		if p, err := w.Store.EventTable.Feed(t.Context(), events.Query{Limit: 10, Organization: "elsewhere"}, -1); err != nil || len(p.Events) != 0 || p.Next != whole.Newest {
			t.Errorf("%+v %v", p, err)
		}
	})
}
