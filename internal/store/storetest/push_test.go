package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	pushing "rollcall.dev/rollcall/internal/source/scim"
	"rollcall.dev/rollcall/internal/store/pushed"
)

// inbox is a connection of a world to which clients push.
type inbox struct {
	*World
	alias string
}

func (w *World) inbox(alias string, change ...func(*setting.Connection)) *inbox {
	scripted := w.Dirs.Kind
	w.Engine.Kinds = func(name string) (source.Kind, bool) {
		if name == pushing.Kind.Name {
			return pushing.Kind, true
		}
		return scripted(name)
	}
	w.Engine.Pushed = w.Store.Pushed.Of
	w.Store.Pushed.Now = func() time.Time { return w.Clock }
	w.Connect(alias, append([]func(*setting.Connection){func(c *setting.Connection) { c.Kind, c.Backend = pushing.Kind.Name, setting.Values{} }}, change...)...)
	return &inbox{w, alias}
}

func (in *inbox) write(fn func(*pushed.Tx) error) {
	in.T.Helper()
	in.Clock = in.Clock.Add(time.Second)
	in.must(in.Store.Pushed.Write(in.T.Context(), in.alias, fn))
}

func (in *inbox) create(t scim.Type, body scim.Object) *pushed.Resource {
	in.T.Helper()
	var r *pushed.Resource
	in.write(func(tx *pushed.Tx) (err error) {
		r, err = tx.Create(t, body)
		return err
	})
	return r
}

// set changes attributes of resources, all at once.
func (in *inbox) set(t scim.Type, name string, value any, ids ...string) {
	in.T.Helper()
	in.write(func(tx *pushed.Tx) error {
		for _, id := range ids {
			r, err := tx.Get(t, id, false, false)
			if err != nil {
				return err
			}
			body := scim.Object{}
			for k, v := range r.Body {
				body[k] = v
			}
			body[name] = value
			if err := tx.Replace(r, body); err != nil {
				return err
			}
		}
		return nil
	})
}

func (in *inbox) gone(t scim.Type, ids ...string) {
	in.T.Helper()
	in.write(func(tx *pushed.Tx) error {
		for _, id := range ids {
			r, err := tx.Get(t, id, false, false)
			if err != nil {
				return err
			}
			if err := tx.Delete(r); err != nil {
				return err
			}
		}
		return nil
	})
}

func pushedUser(name string, more ...any) scim.Object {
	o := scim.Object{"schemas": []any{scim.UserSchema}, "userName": name + "@example.org", "active": true,
		"name":   scim.Object{"givenName": strings.ToUpper(name[:1]) + name[1:], "familyName": "Doe"},
		"emails": []any{scim.Object{"type": "work", "primary": true, "value": name + "@example.org"}}}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// people pushes so many.
func (in *inbox) people(n int) (ids []string) {
	in.T.Helper()
	in.write(func(tx *pushed.Tx) error {
		for i := range n {
			r, err := tx.Create(scim.User, pushedUser(fmt.Sprintf("p%d", i)))
			if err != nil {
				return err
			}
			ids = append(ids, r.ID)
		}
		return nil
	})
	return ids
}

func (w *World) statuses() map[account.Status]int {
	out := map[account.Status]int{}
	for _, a := range w.Accounts() {
		out[a.Status]++
	}
	return out
}

func TestWhatIsPushedBecomesAccounts(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		in := w.inbox("okta")
		boss := in.create(scim.User, pushedUser("boss"))
		jane := in.create(scim.User, pushedUser("jane", "title", "Lawyer", "phoneNumbers", []any{scim.Object{"type": "mobile", "value": "+32475123456"}},
			"preferredLanguage", "nl-BE", "addresses", []any{scim.Object{"type": "work", "locality": "Ghent"}},
			scim.EnterpriseSchema, scim.Object{"department": "Law", "manager": scim.Object{"value": boss.ID}}))
		staff := in.create(scim.Group, scim.Object{"displayName": "Staff"})
		in.write(func(tx *pushed.Tx) error {
			_, err := tx.AddMembers(staff, []pushed.Member{{ID: jane.ID}, {ID: boss.ID}, {ID: "nobody we know"}})
			return err
		})
		r := in.Applied("okta")
		equal(t, "the first reading", r.Run.Reading.Method, "full")
		a := in.Account("jane@example.org")
		if a == nil {
			t.Fatal("she has no account")
		}
		for f, want := range map[account.Field]string{account.Email: "jane@example.org", account.FirstName: "Jane", account.LastName: "Doe", account.Title: "Lawyer",
			account.MobilePhone: "+32475123456", account.Language: "nl", account.Location: "Ghent", account.Department: "Law"} {
			equal(t, f.String(), a.Text[f], want)
		}
		equal(t, "external ID", a.ExternalID, jane.ID)
		equal(t, "manager", a.Manager, in.Account("boss@example.org").ID)
		equal(t, "members", in.Members("Staff"), "boss@example.org jane@example.org")

		in.set(scim.User, "active", false, jane.ID)
		r = in.Applied("okta")
		equal(t, "the next reading", r.Run.Reading.Method, "push")
		equal(t, "what it brought", r.Run.Reading.Entries, 1)
		equal(t, "her status", in.Account("jane@example.org").Status, account.Disabled)
		in.set(scim.User, "active", true, jane.ID)
		in.Applied("okta")
		equal(t, "her status", in.Account("jane@example.org").Status, account.Active)

		in.gone(scim.User, jane.ID)
		in.Applied("okta")
		equal(t, "her status when she was deleted", in.Account("jane@example.org").Status, account.Disabled)
		again := in.create(scim.User, pushedUser("jane"))
		in.Applied("okta")
		equal(t, "her resource", again.ID, jane.ID)
		equal(t, "her account", in.Account("jane@example.org").ID, a.ID)
		equal(t, "her status when she is back", in.Account("jane@example.org").Status, account.Active)
		in.Settled("okta")

		for _, who := range []string{"jane@example.org", jane.ID} {
			why, err := in.Engine.Explain(t.Context(), *in.Conn("okta"), who)
			in.must(err)
			if len(why) != 1 || !why[0].In {
				t.Errorf("why %s: %+v", who, why)
			}
		}
		in.set(scim.User, "title", "Judge", jane.ID)
		why, err := in.Engine.Explain(t.Context(), *in.Conn("okta"), "JANE@example.org")
		in.must(err)
		if len(why) != 1 || !why[0].In {
			t.Errorf("why: %+v", why)
		}
		one, err := in.Engine.Sync(t.Context(), *in.Conn("okta"), engine.Options{Who: "jane@example.org", Actor: "tester", Trigger: engine.ByPerson})
		in.must(err)
		equal(t, "the run for one", one.Run.State, engine.RunApplied)
		equal(t, "her title", in.Account("jane@example.org").Text[account.Title], "Judge")
	})
}

func TestDisabledOneByOneIsHeldAsAllAtOnce(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		in := w.inbox("entra")
		ids := in.people(300)
		in.Applied("entra")
		var held *engine.Result
		for i := range 150 {
			in.set(scim.User, "active", false, ids[i])
			if i%3 != 0 && i < 147 {
				continue // a run takes what came meanwhile
			}
			r := in.Sync("entra")
			switch {
			case r.Run.State == engine.RunHeld:
				held = r
			case held != nil:
				t.Fatalf("after the limit a run is %s: %v", r.Run.State, in.Rows(r.Plan))
			}
			if n := in.statusesOf("entra"); n > 60 {
				t.Fatalf("%d are disabled", n)
			}
		}
		before := in.statuses()[account.Disabled]
		if held == nil || before < 57 || before > 60 {
			t.Fatalf("%d are disabled, held: %v", before, held)
		}
		if because := held.Plan.HeldBecause; len(because) != 1 || !strings.Contains(because[0], "150 with those of the last hour, 50 % of 300; the limit is 20 %") {
			t.Errorf("because %q", because)
		}
		in.Approve("entra", held.Plan)
		equal(t, "disabled after a person approved", in.statuses()[account.Disabled], 150)
		in.Clock = in.Clock.Add(time.Second)
		in.set(scim.User, "active", false, ids[150:180]...)
		in.Applied("entra") // it counts anew
		equal(t, "disabled", in.statuses()[account.Disabled], 180)
		in.set(scim.User, "active", false, ids[180:240]...)
		in.Held("entra", "with those of the last hour")
		in.Clock = in.Clock.Add(time.Hour)
		in.Applied("entra")
		equal(t, "disabled an hour later", in.statuses()[account.Disabled], 240)
	})
}

// statusesOf counts those who are disabled.
func (in *inbox) statusesOf(alias string) (n int) {
	in.T.Helper()
	in.must(in.Store.DB.Reader().QueryRowContext(in.T.Context(), `SELECT count(*) FROM accounts WHERE connection = $1 AND status = 'disabled'`, alias).Scan(&n))
	return n
}

func TestDeletedOneByOneIsHeldAtTheSameNumber(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		in := w.inbox("entra")
		ids := in.people(100)
		in.Applied("entra")
		for i := range 30 {
			in.gone(scim.User, ids[i])
			in.Sync("entra")
		}
		equal(t, "disabled", in.statuses()[account.Disabled], 20)
		in.Held("entra", "30 with those of the last hour, 30 % of 100")
	})
}

func TestABulkIsHeldWhole(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		in := w.inbox("entra")
		ids := in.people(100)
		in.Applied("entra")
		in.set(scim.User, "active", false, ids[:50]...)
		r := in.Held("entra", "50 accounts would be disabled or deleted, 50 % of 100")
		equal(t, "disables of the plan", r.Plan.Summary.Disable, 50)
		equal(t, "disabled", in.statuses()[account.Disabled], 0)
	})
}

func TestNobodyGoesBecauseTheTablesAreEmpty(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		in := w.inbox("entra")
		in.people(3)
		in.Applied("entra")
		in.must(in.Engine.Reset(t.Context(), *in.Conn("entra"), "tester"))
		r := in.Sync("entra")
		equal(t, "the run after a reset", r.Run.State, engine.RunApplied)
		equal(t, "active after a reset", in.statuses()[account.Active], 3)
		tx := func() error {
			return in.Store.Pushed.Write(t.Context(), "entra", func(tx *pushed.Tx) error { return in.Store.Pushed.Delete(t.Context(), tx.DB(), "entra") })
		}
		in.must(tx())
		in.Held("entra", "The reading found nobody, while 3 accounts are kept by this connection.")
		equal(t, "active when nothing is pushed", in.statuses()[account.Active], 3)
	})
}

func TestAnOverlapWithADirectoryThatIsRead(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		in := w.inbox("entra")
		w.Connect("hq")
		w.Holds("hq", Person("jane", "mail=jane@example.org"))
		w.Applied("hq")
		w.Conn("entra").Match = []string{"email"}
		w.Conn("entra").Policy.NoUpdateProviderMismatch = false
		in.create(scim.User, pushedUser("jane"))
		r := in.Sync("entra")
		equal(t, "accounts", len(w.Accounts()), 1)
		equal(t, "who keeps hers", w.Accounts()[0].Connection, "hq")
		contains(t, w.Notes(r.Plan), "dispute", "jane@example.org", "connection hq keeps account jane", "claims the same person", "`overlap: own`")
		equal(t, "verdict", r.Plan.Verdict, plan.Nothing)
	})
}
