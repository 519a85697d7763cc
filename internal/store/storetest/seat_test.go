package storetest

import (
	"strconv"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/ledger"
)

// Two connections that want the last seats at once do not both get them, whichever way
// the second comes by its plan, and however little of the first one's is written yet.
func TestTheLastSeatsAreGivenOutOnce(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(*World, *engine.Plan) (*engine.Result, error){
		"a run": func(w *World, _ *engine.Plan) (*engine.Result, error) {
			return w.Engine.Sync(w.T.Context(), *w.Conn("branch"), options)
		},
		"a plan that is approved": func(w *World, p *engine.Plan) (*engine.Result, error) {
			return w.Engine.Approve(w.T.Context(), *w.Conn("branch"), p.ID, nil, options)
		},
		"a plan that is approved without a row": func(w *World, p *engine.Plan) (*engine.Result, error) {
			return w.Engine.Approve(w.T.Context(), *w.Conn("branch"), p.ID, []int64{1}, options)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 50})
				w.Connect("hq")
				w.Connect("branch")
				w.Holds("hq", People("p", 40)...)
				w.Holds("branch", People("q", 12)...)
				p := w.Plan("branch")
				equal(t, "verdict", p.Verdict, plan.Go)
				asked := false
				first := w.NewEngine(&tap{Store: w.Store, before: func(op string) error {
					if op != "ledger commit" || asked {
						return nil
					}
					asked = true
					r, err := second(w, p)
					held := err == nil && r.Run.State == engine.RunHeld && strings.Contains(*r.Run.Error, "its licence has 50")
					if !held && (fault.KindOf(err) != fault.Held || !strings.Contains(err.Error(), "its licence has 50")) {
						t.Errorf("%v, run %+v", err, r.Run)
					}
					return nil
				}})
				r, err := first.Sync(t.Context(), *w.Conn("hq"), options)
				w.must(err)
				equal(t, "the first", r.Run.State, engine.RunApplied)
				active := 0
				for _, a := range w.Accounts() {
					if a.Status == account.Active {
						active++
					}
				}
				equal(t, "seats that are taken", active, 40)
				w.Held("branch", "its licence has 50")
				w.Examine()

				// There are seats for ten of them.
				held := w.Plan("branch")
				equal(t, "the second", w.Approve("branch", held, 1, 2).Run.State, engine.RunApplied)
			})
		})
	}
}

// Seats that a plan at work is about to take are not given to accounts made by hand.
func TestSeatsOfAPlanAtWorkAreNotGivenToLocalAccounts(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 42})
		w.Connect("hq")
		w.Holds("hq", People("p", 40)...)
		make3 := func(prefix string) error {
			list := make([]ledger.Local, 3)
			for i := range list {
				list[i].Account.Text[account.Username] = prefix + strconv.Itoa(i)
			}
			return w.Store.LedgerTable.CreateLocal(t.Context(), "org", "tester", list)
		}
		asked := false
		first := w.NewEngine(&tap{Store: w.Store, before: func(op string) error {
			if op == "ledger commit" && !asked {
				asked = true
				if err := make3("early"); fault.KindOf(err) != fault.Held || !strings.Contains(err.Error(), "has 42 seats, 40 are used and 3 more") {
					t.Errorf("three accounts by hand: %v", err)
				}
			}
			return nil
		}})
		r, err := first.Sync(t.Context(), *w.Conn("hq"), options)
		w.must(err)
		equal(t, "the run", r.Run.State, engine.RunApplied)
		equal(t, "asked", asked, true)
		equal(t, "accounts", len(w.Accounts()), 40)
		equal(t, "afterwards", fault.KindOf(make3("late")), fault.Held)
		w.Examine()
	})
}
