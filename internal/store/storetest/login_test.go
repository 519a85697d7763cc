package storetest

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/logins"
)

func TestALoginIsGoodForAsLongAsItIsSaid(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		anna, bob := w.Account("anna"), w.Account("bob")
		clock := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
		l := w.Store.LoginTable
		l.Clock = func() time.Time { return clock }
		l.Limits = func() (idle, most time.Duration) { return time.Hour, 3 * time.Hour }
		open := func(a *account.Account) *logins.Login {
			t.Helper()
			x, err := l.Open(t.Context(), logins.Login{Organization: "org", Connection: "hq", Account: a.ID, Methods: []string{"pwd"}, Address: "192.0.2.7", Agent: strings.Repeat("é", 300)})
			w.must(err)
			return x
		}
		good := func(x *logins.Login, want bool) {
			t.Helper()
			is, a, err := l.Check(t.Context(), x.Token)
			if want {
				w.must(err)
				if is.ID != x.ID || a.ID != x.Account || is.Token != "" || len(is.Methods) != 1 || !is.EndsAt.Equal(x.EndsAt) {
					t.Errorf("%+v", is)
				}
				return
			}
			if fault.KindOf(err) != fault.Denied {
				t.Errorf("still good: %v", err)
			}
		}
		x := open(anna)
		if y := open(anna); y.Token == x.Token || y.ID == x.ID {
			t.Error("two logins are one")
		}
		good(x, true)
		for _, token := range []string{"", "ru_", x.ID, x.Token + "A", x.Token[:len(x.Token)-1] + "!", "rs_" + x.Token[3:], "ru_" + strings.Repeat("\x00", 43)} {
			if _, _, err := l.Check(t.Context(), token); fault.KindOf(err) != fault.Denied {
				t.Errorf("%q: %v", token, err)
			}
		}
		// Used, it goes on; left alone for an hour, it does not; after three it is over.
		for range 5 {
			clock = clock.Add(30 * time.Minute)
			good(x, true)
		}
		clock = clock.Add(30 * time.Minute)
		good(x, false)
		x = open(anna)
		clock = clock.Add(time.Hour)
		good(x, false)

		// Whoever is disabled is out in that moment.
		x, y := open(anna), open(bob)
		w.Holds("hq", Person("bob"))
		w.Applied("hq")
		equal(t, "status", w.Account("anna").Status, account.Disabled)
		good(x, false)
		good(y, true)
		if _, _, err := l.Session(t.Context(), x.ID); fault.KindOf(err) != fault.Denied {
			t.Error(err)
		}
		if _, a, err := l.Session(t.Context(), y.ID); err != nil || a.ID != bob.ID {
			t.Error(err)
		}
		// And stays so when they come back, by the same runs.
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		equal(t, "status", w.Account("anna").Status, account.Active)
		good(x, false)
		good(open(anna), true)
		z := open(bob)
		list, err := l.Of(t.Context(), bob.ID)
		w.must(err)
		equal(t, "logins of bob", len(list), 2)
		w.must(w.Store.DB.Write(t.Context(), func(tx *db.Tx) error { return logins.EndAll(t.Context(), tx, clock, bob.ID) }))
		good(y, false)
		good(z, false)
		z = open(bob)
		good(z, true)
		w.must(w.Store.DB.Write(t.Context(), func(tx *db.Tx) error { return l.End(t.Context(), tx, z.ID) }))
		good(z, false)
		if strings.Contains(w.Everything(), x.Token) {
			t.Error("a token stands in the database")
		}
	})
}
