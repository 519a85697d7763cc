package storetest

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
)

// fails checks the kind and words of an error.
func fails(t *testing.T, err error, kind fault.Kind, words string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		t.Errorf("want an error of kind %d with %q, got kind %d: %v", kind, words, fault.KindOf(err), err)
	}
}

func (w *World) approveErr(alias string, p *engine.Plan, exclude ...int64) error {
	_, err := w.Engine.Approve(w.T.Context(), *w.Conn(alias), p.ID, exclude, options)
	return err
}

func TestAfterAChangeOfRulesThePlanIsHeldAndNamesThePart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *World)
		held   string
	}{
		"mapping":          {func(w *World) { w.Conn("hq").Mapping["title"] = setting.Rule{Value: "Colleague"} }, "The mapping changed since the last applied run"},
		"starting mapping": {func(w *World) { w.Dirs.Of("hq").Mapping = map[string]setting.Rule{"title": {Value: "Colleague"}} }, "The mapping changed"},
		"scope":            {func(w *World) { w.Conn("hq").Scope = []string{`username != "anna"`} }, "The scope changed"},
		"filter option": {func(w *World) {
			w.Conn("hq").Backend["filter"] = "(mail=*)"
			w.Holds("hq", Person("bob"), Person("carl"))
		}, "What is read (base, filter or groups) changed"},
		"filter in force": {func(w *World) {
			w.Dirs.Of("hq").Filter = "(objectClass=user)"
			w.Holds("hq", Person("bob"), Person("carl"))
		}, "What is read (base, filter or groups) changed"},
		"matching and mapping": {func(w *World) {
			w.Conn("hq").Match = []string{"email"}
			w.Conn("hq").Mapping["title"] = setting.Rule{Value: "Colleague"}
		}, "The mapping and the matching attributes changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				w.Holds("hq", Person("anna"), Person("bob"), Person("carl"))
				w.Applied("hq")
				c.change(w)
				w.Held("hq", c.held)
				r := w.Held("hq", c.held)
				w.Approve("hq", r.Plan)
				w.Settled("hq")
				w.Holds("hq", append(w.Dirs.Of("hq").Records, Person("dora"))...)
				w.Applied("hq")
			})
		})
	}
}

func TestAChangeOfAnOptionThatDecidesNothingHoldsNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		w.Conn("hq").Backend["page_size"] = "17"
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
	})
}

func TestExcludedRowsAreNotDoneAndProposedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", before()...)
		w.Applied("hq")
		w.Holds("hq", after()...)
		p := w.Plan("hq")
		all := w.Brief(p)
		r := w.Approve("hq", p, w.RowOf(p, "disable account carl"), w.RowOf(p, "remove membership staff: anna"), w.RowOf(p, "delete group old"), w.RowOf(p, "update account anna"))
		equal(t, "the run counts what was done", r.Run.Summary.Changes(), len(all)-4)
		equal(t, "carl", w.Account("carl").Status, account.Active)
		equal(t, "staff", w.Members("staff"), "anna bob carl newbie")
		equal(t, "old", w.Members("old"), "anna")
		// The next run does the others, and disables nobody whom a person left out; nor does
		// the one after it.
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "delete group old", "remove membership staff: anna", "update account anna")
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan))
		equal(t, "carl", w.Account("carl").Status, account.Active)
		w.Examine()
		// A plan has it again, for a person to decide.
		p = w.Plan("hq")
		same(t, "rows", w.Brief(p), "disable account carl")
		equal(t, "verdict", p.Verdict, plan.Held)
		contains(t, p.HeldBecause, "1 account would be disabled or deleted that a person took out of an earlier plan; runs leave it out.")
		w.Approve("hq", p)
		equal(t, "carl", w.Account("carl").Status, account.Disabled)
		w.Settled("hq")
	})
}

// What a person said no to is over when the person is there again.
func TestARemovalThatWasTakenOutIsForgottenWhenItIsOver(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		p := w.Plan("hq")
		w.Approve("hq", p, w.RowOf(p, "disable account carl"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl", "sn=Married"))
		same(t, "rows", w.Brief(w.Applied("hq").Plan), "update account carl")
		w.Settled("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		same(t, "rows", w.Brief(w.Applied("hq").Plan), "disable account carl")
		w.Settled("hq")
	})
}

func TestWhatHangsOnAnExcludedCreateIsNotDoneEither(t *testing.T) {
	t.Parallel()
	for _, excluded := range []string{"create account boss", "create group staff"} {
		t.Run(excluded, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				w.Holds("hq", Person("anna", "manager=boss"), Person("boss"), Group("staff", "anna", "boss"), Group("all", "@staff"))
				p := w.Plan("hq")
				w.Approve("hq", p, w.RowOf(p, excluded))
				w.Examine()
				w.Replay()
				w.Applied("hq")
				equal(t, "manager", w.Account("anna").Manager, w.Account("boss").ID)
				equal(t, "staff", w.Members("staff"), "anna boss")
				equal(t, "all", w.Members("all"), "anna boss")
				w.Settled("hq")
			})
		})
	}
}

func TestARowThatIsNotInThePlanCannotBeExcluded(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		p := w.Plan("hq")
		fails(t, w.approveErr("hq", p, 2), fault.Invalid, "has no row 2; its rows are 1 to 1")
		fails(t, w.approveErr("hq", p, 0), fault.Invalid, "has no row 0")
		equal(t, "accounts", len(w.Accounts()), 0)
		w.Approve("hq", p)
		fails(t, w.approveErr("hq", p), fault.Conflict, "is applied")
	})
}

func TestARejectedPlanIsNotAppliedAndProposedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		w.Holds("hq")
		r := w.Held("hq", "found nobody")
		p, err := w.Engine.Reject(t.Context(), *w.Conn("hq"), r.Plan.ID, "boss")
		w.must(err)
		equal(t, "plan", p.State, plan.Rejected)
		run, err := w.Store.RunTable.Get(t.Context(), r.Run.ID)
		w.must(err)
		equal(t, "run", run.State, engine.RunRejected)
		fails(t, w.approveErr("hq", r.Plan), fault.Conflict, "is rejected")
		_, err = w.Engine.Reject(t.Context(), *w.Conn("hq"), r.Plan.ID, "boss")
		fails(t, err, fault.Conflict, "is rejected")
		told, _ := w.Events(0)
		contains(t, told, "plan.rejected")
		w.Held("hq", "found nobody")
	})
}

func TestALaterPlanTakesThePlaceOfOneThatWaits(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		w.Holds("hq")
		first := w.Held("hq", "found nobody")
		again := w.Held("hq", "found nobody")
		equal(t, "the plan, while nothing moves", again.Plan.ID, first.Plan.ID)
		equal(t, "the plan's run", *again.Plan.Run, again.Run.ID)
		w.Conn("hq").Limits.RemovalsMax = 5
		w.Conn("hq").Policy.DeleteDisables = false
		second := w.Held("hq", "found nobody")
		fails(t, w.approveErr("hq", first.Plan), fault.Conflict, "superseded")
		run, err := w.Store.RunTable.Get(t.Context(), first.Run.ID)
		w.must(err)
		equal(t, "the first run", run.State, engine.RunRejected)
		r := w.Approve("hq", second.Plan)
		equal(t, "the second run is carried on", r.Run.ID, second.Run.ID)
		equal(t, "its state", r.Run.State, engine.RunApplied)
	})
}

// A plan that waits while another connection goes on keeps its rows, and says beside them
// what is so now.
func TestAPlanThatWaitsSaysWhatIsSoNow(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Match, c.Policy.NoCreate = []string{"email"}, true })
		w.Connect("branch")
		w.Holds("hq", Person("anna"))
		before := w.Plan("hq")
		contains(t, w.Notes(before), "refused", "`no-create` is on")
		w.Holds("branch", Person("anna"), Person("bob"))
		w.Applied("branch")
		r := w.Applied("hq")
		equal(t, "the plan", r.Plan.ID, before.ID)
		contains(t, w.Notes(r.Plan), "dispute", "connection branch keeps account anna")
		equal(t, "disputes", r.Run.Summary.Disputes, 1)
		equal(t, "refused", r.Run.Summary.Refused, 0)
		equal(t, "seats", r.Run.Summary.SeatsNeeded, 2)
		// And the other connection leaves them alone as well.
		w.Holds("branch", Person("anna", "title=Queen"), Person("bob"))
		contains(t, w.Notes(w.Applied("branch").Plan), "dispute", "connection hq claims this account too")

		w.Conn("hq").Policy.NoCreate = false
		w.Holds("hq", Person("anna"), Person("carl"))
		p := w.Plan("hq")
		equal(t, "seats of the plan", p.Summary.SeatsNeeded, 3)
		w.Holds("branch", Person("anna", "title=Queen"))
		w.Applied("branch")
		equal(t, "seats of the run", w.Approve("hq", p).Run.Summary.SeatsNeeded, 2)
	})
}

// What a plan was made from can move in three ways. Reading the directory again
// makes a plan of its own; here the reading is published and its planning fails.
func TestAStalePlanIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		move  func(t *testing.T, w *World)
		words string
	}{
		"after the directory changed": {func(t *testing.T, w *World) {
			w.Holds("hq", Person("anna", "title=King"), Person("bob"))
			broken := w.NewEngine(&tap{Store: w.Store, before: func(op string) error {
				if op == "plan begin" {
					return errPower
				}
				return nil
			}})
			if _, err := broken.Plan(t.Context(), *w.Conn("hq"), options); err == nil {
				t.Fatal("the planning did not fail")
			}
		}, "the directory was read again since, and has changed"},
		"after the policy changed":  {func(_ *testing.T, w *World) { w.Conn("hq").Policy.NoDelete = true }, "the connection's settings have changed since"},
		"after the mapping changed": {func(_ *testing.T, w *World) { w.Conn("hq").Mapping["title"] = setting.Rule{Value: "x"} }, "the connection's settings have changed since"},
		"after an account changed": {func(t *testing.T, w *World) {
			w.must(w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(t.Context(), `UPDATE accounts SET version = version + 1 WHERE username = 'anna'`)
				return err
			}))
		}, "account anna was changed since"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				w.Holds("hq", Person("anna"), Person("bob"))
				w.Applied("hq")
				w.Holds("hq", Person("anna", "title=Queen"), Person("bob"))
				p := w.Plan("hq")
				c.move(t, w)
				people := w.People()
				fails(t, w.approveErr("hq", p), fault.Conflict, c.words)
				equal(t, "people", w.People(), people)
				equal(t, "title", w.Account("anna").Text[account.Title], "")
			})
		})
	}
}

func TestAPlanAlteredInTheDatabaseIsRefusedAndTheNextOneIsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"a chunk of another plan": `UPDATE plan_chunks SET body = (SELECT body FROM plan_chunks WHERE plan = $2 AND part = 'changes') WHERE plan = $1 AND part = 'changes'`,
		"a chunk cut short":       `UPDATE plan_chunks SET body = substr(body, 1, 9) WHERE plan = $1 AND part = 'changes' AND $2 <> ''`,
		"the hash":                `UPDATE plans SET hash = $2 WHERE id = $1`,
		"its basis":               `UPDATE plans SET basis = (SELECT basis FROM plans WHERE id = $2) WHERE id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				w.Holds("hq", Person("anna"))
				first := w.Plan("hq")
				w.Holds("hq", Person("anna"), Person("bob"))
				second := w.Plan("hq")
				w.must(w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
					n, err := tx.Exec(t.Context(), tamper, second.ID, first.ID)
					equal(t, "altered", n, 1)
					return err
				}))
				if err := w.approveErr("hq", second); err == nil {
					t.Fatal("the altered plan was applied")
				}
				equal(t, "accounts", len(w.Accounts()), 0)
				w.Examine()
				w.Applied("hq")
				equal(t, "accounts", len(w.Accounts()), 2)
				w.Settled("hq")
			})
		})
	}
}

func TestAPlanOverTheLicenceIsHeldAndOnlyExcludingMakesRoom(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 3})
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob", "userAccountControl=514"), Person("carl"))
		w.Applied("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Person("dora"), Person("emil", "userAccountControl=514"))
		r := w.Held("hq", "would need 4 seats, its licence has 3: 1 too few")
		equal(t, "seats needed", r.Plan.Summary.SeatsNeeded, 4)
		fails(t, w.approveErr("hq", r.Plan), fault.Held, "cannot be approved")
		fails(t, w.approveErr("hq", r.Plan, w.RowOf(r.Plan, "create account emil")), fault.Held, "cannot be approved")
		equal(t, "bob", w.Account("bob").Status, account.Disabled)
		done := w.Approve("hq", r.Plan, w.RowOf(r.Plan, "create account dora"))
		equal(t, "run", done.Run.State, engine.RunApplied)
		equal(t, "seats", done.Run.Summary.SeatsNeeded, 3)
		equal(t, "bob", w.Account("bob").Status, account.Active)
		w.Held("hq", "licence")
		// Who leaves makes room in the same run; a plan that needs no more seats is not held.
		w.Holds("hq", Person("anna", "title=Queen"), Person("bob"), Person("dora"), Person("emil", "userAccountControl=514"))
		w.Applied("hq")
		equal(t, "dora", w.Account("dora").Status, account.Active)
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 1})
		w.Holds("hq", Person("anna"), Person("bob"), Person("dora"), Person("emil", "userAccountControl=514"))
		w.Applied("hq")
		w.Settled("hq")
	})
}

// Who is kept by a person keeps their names as well, and everything else about them goes on.
func TestWhoWasLeftOutOfARemovalKeepsTheirNames(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		others := []rec{Person("b"), Person("c"), Person("d"), Person("e")}
		w.Holds("hq", append(others, Person("anna"), Person("dora"))...)
		w.Applied("hq")
		off := Person("dora", "userAccountControl=514")
		w.Holds("hq", append(others, off)...)
		p := w.Plan("hq")
		w.Approve("hq", p, w.RowOf(p, "disable account anna"), w.RowOf(p, "disable account dora"))
		// Somebody new wants the names of the one, and the other gets a title.
		w.Holds("hq", append(others, Person("dora", "userAccountControl=514", "title=Boss"), Person("eve", "mail=anna@example.org"))...)
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "update account dora")
		contains(t, w.Notes(r.Plan), "dispute", "eve", "anna@example.org")
		contains(t, w.Notes(r.Plan), "excluded", "disable: taken out of plan "+p.ID)
		equal(t, "dora's title", w.Account("dora").Text[account.Title], "Boss")
		equal(t, "dora", w.Account("dora").Status, account.Active)
		w.Examine()
		// With a yes to all of it everything is as the directory says.
		w.Approve("hq", w.Plan("hq"))
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
		equal(t, "dora", w.Account("dora").Status, account.Disabled)
		equal(t, "eve", w.Account("eve").Status, account.Active)
		w.Settled("hq")
	})
}
