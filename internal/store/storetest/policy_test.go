package storetest

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

func policy(change func(*setting.Policy)) func(*setting.Connection) {
	return func(c *setting.Connection) { change(&c.Policy) }
}

// before and after are a directory in which everything happens: somebody comes,
// somebody changes, somebody is disabled, somebody leaves, and so with groups.
func before() []rec {
	return []rec{Person("anna"), Person("bob"), Person("carl"), Person("dora"),
		Group("staff", "anna", "bob", "carl"), Group("old", "anna"), Group("name", "bob")}
}

func after() []rec {
	return []rec{Person("anna", "title=Queen"), Person("bob", "userAccountControl=514"), Person("dora"), Person("newbie"),
		Group("staff", "bob", "carl", "newbie"), Group("name", "bob", "cn=renamed"), Group("fresh", "dora")}
}

func TestEachPolicySwitchKeepsBackWhatItSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	all := []string{
		"add membership fresh: dora", "add membership staff: newbie", "create account newbie", "create group fresh", "delete group old",
		"disable account bob", "disable account carl", "remove membership staff: anna", "update account anna", "update group name -> renamed",
	}
	for name, c := range map[string]struct {
		set     func(*setting.Policy)
		without []string // rows that are not in the plan
		with    []string // rows that are there instead
		refused []string // words of notes
	}{
		"no switch":           {set: func(*setting.Policy) {}},
		"no-create":           {set: func(p *setting.Policy) { p.NoCreate = true }, without: []string{"create ", "add membership fresh", "add membership staff: newbie"}, refused: []string{"create: `no-create` is on"}},
		"no-update":           {set: func(p *setting.Policy) { p.NoUpdate = true }, without: []string{"update ", "disable account bob", "remove ", "add membership staff"}, refused: []string{"title; `no-update` is on", "`no-update` is on"}},
		"no-delete":           {set: func(p *setting.Policy) { p.NoDelete = true }, without: []string{"disable account carl", "delete "}, refused: []string{"no longer in the directory; `no-delete` is on"}},
		"not delete-disables": {set: func(p *setting.Policy) { p.DeleteDisables = false }, without: []string{"disable account carl"}, with: []string{"delete account carl"}},
		"no-delete, not delete-disables": {set: func(p *setting.Policy) { p.NoDelete, p.DeleteDisables = true, false },
			without: []string{"disable account carl", "delete "}, refused: []string{"delete: no longer in the directory; `no-delete` is on"}},
		"no-create, no-update": {set: func(p *setting.Policy) { p.NoCreate, p.NoUpdate = true, true },
			without: []string{"create ", "update ", "add ", "remove ", "disable account bob"}},
		"no-update, no-delete": {set: func(p *setting.Policy) { p.NoUpdate, p.NoDelete = true, true },
			without: []string{"update ", "delete ", "remove ", "disable ", "add membership staff"}},
		"no-create, no-update, no-delete": {set: func(p *setting.Policy) { p.NoCreate, p.NoUpdate, p.NoDelete = true, true, true }, without: []string{""}},
		"create-as-disabled":              {set: func(p *setting.Policy) { p.CreateAsDisabled = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				w.Holds("hq", before()...)
				w.Applied("hq")
				c.set(&w.Conn("hq").Policy)
				w.Holds("hq", after()...)
				r := w.Applied("hq")
				want := append([]string{}, c.with...)
			rows:
				for _, row := range all {
					for _, out := range c.without {
						if strings.HasPrefix(row, out) {
							continue rows
						}
					}
					want = append(want, row)
				}
				same(t, "rows", w.Brief(r.Plan), sortedLines(want)...)
				for _, words := range c.refused {
					contains(t, w.Notes(r.Plan), "refused", words)
				}
				w.Settled("hq")

				// What was kept back is done when the switch is off again.
				w.Conn("hq").Policy = setting.DefaultPolicy()
				w.Conn("hq").Policy.DeleteDisables = !strings.Contains(name, "delete-disables")
				w.Applied("hq")
				w.Settled("hq")
				carl := account.Disabled
				if strings.Contains(name, "delete-disables") {
					carl = account.Deleted
				}
				equal(t, "carl", w.Account("carl").Status, carl)
				equal(t, "anna", w.Account("anna").Text[account.Title], "Queen")
				equal(t, "bob", w.Account("bob").Status, account.Disabled)
				equal(t, "newbie's groups", len(w.Account("newbie").Groups), 1)
				equal(t, "fresh", w.Members("fresh"), "dora")
				equal(t, "old", w.Members("old"), "-")
				equal(t, "renamed", w.Members("renamed"), "bob")
			})
		})
	}
}

func TestADryRunWritesNothingButItsPlanAndRun(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.DryRun = true }))
		w.Holds("hq", before()...)
		r := w.Sync("hq")
		equal(t, "state", r.Run.State, engine.RunHeld)
		equal(t, "verdict", r.Plan.Verdict, plan.Go)
		equal(t, "accounts", len(w.Accounts()), 0)
		told, _ := w.Events(0)
		same(t, "events", told, "run.held")
		if _, err := w.Engine.Approve(t.Context(), *w.Conn("hq"), r.Plan.ID, nil, options); err == nil {
			t.Error("a plan of a dry run was approved")
		}
		w.Conn("hq").Policy.DryRun = false
		w.Approve("hq", r.Plan)
		equal(t, "accounts", len(w.Accounts()), 4)
		w.Conn("hq").Policy.DryRun = true
		w.Holds("hq", after()...)
		state := w.People()
		w.Sync("hq")
		w.Sync("hq")
		equal(t, "people", w.People(), state)
		w.Conn("hq").Policy.DryRun = false
		w.Applied("hq")
		w.Settled("hq")
	})
}

func TestCreatedAsDisabledStaysSoUntilAPersonEnablesIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.CreateAsDisabled = true }))
		w.Holds("hq", Person("anna"), Person("bob", "userAccountControl=514"))
		w.Applied("hq")
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
		w.Holds("hq", Person("anna", "title=Queen"), Person("bob"))
		w.Applied("hq")
		equal(t, "anna after a change of her entry", w.Account("anna").Status, account.Disabled)
		equal(t, "bob after his entry was enabled", w.Account("bob").Status, account.Disabled)
		w.Settled("hq")
	})
}

// The account of somebody who was disabled here and leaves stays as it is, and so does
// their hold on its names: also in the run that finds them gone and somebody new under them.
func TestWhoWasCreatedAsDisabledAndLeavesKeepsTheirNames(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", policy(func(p *setting.Policy) { p.CreateAsDisabled = true }))
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		w.Holds("hq", Person("bob"), Person("anna", "id=other"))
		r := w.Sync("hq")
		same(t, "rows", w.Brief(r.Plan))
		contains(t, w.Notes(r.Plan), "dispute", "the username and email it claims belongs to account anna")
		w.Settled("hq")
	})
}

func TestAnEntryDisabledInTheDirectoryIsDisabledAndEnabledAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		staff := Group("staff", "anna", "bob")
		w.Holds("hq", Person("anna"), Person("bob", "userAccountControl=514"), staff)
		r := w.Applied("hq")
		equal(t, "bob is created disabled", w.Account("bob").Status, account.Disabled)
		equal(t, "seats", r.Run.Summary.SeatsNeeded, 1)
		w.Holds("hq", Person("anna", "userAccountControl=514"), Person("bob"), staff)
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "disable account anna", "enable account bob")
		equal(t, "memberships are kept", w.Members("staff"), "anna bob")
		w.Holds("hq", Person("anna"), Person("bob"), staff)
		w.Applied("hq")
		equal(t, "anna", w.Account("anna").Status, account.Active)
		w.Settled("hq")
	})
}

// filetime is a time as Active Directory writes it.
func filetime(at time.Time) string { return text((at.Unix() + 11644473600) * 1e7) }

func TestAnAccountThatExpiresIsDisabledByALaterRunAlthoughItsEntryDidNotChange(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		expires := w.Clock.Add(48 * time.Hour)
		entry := Person("anna", "accountExpires="+filetime(expires))
		w.Holds("hq", entry, Person("bob", "accountExpires=9223372036854775807"))
		w.Applied("hq")
		w.Clock = expires.Add(-time.Second)
		r := w.Applied("hq")
		equal(t, "verdict a second before", r.Plan.Verdict, plan.Nothing)
		w.Clock = expires
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "disable account anna")
		equal(t, "rows changed in the mirror", r.Run.Reading.Changed, 0)
		contains(t, w.Rows(r.Plan), "accountExpires says expired")
		w.Settled("hq")
		later := expires.Add(24 * time.Hour)
		w.Holds("hq", Person("anna", "accountExpires="+filetime(later)), Person("bob"))
		w.Applied("hq")
		equal(t, "prolonged", w.Account("anna").Status, account.Active)
		w.Clock = later.Add(time.Hour)
		w.Applied("hq")
		equal(t, "expired again", w.Account("anna").Status, account.Disabled)
	})
}

func TestAnExpiryIsNotForgottenWhenThePersonIsRefusedOrUpdatedMeanwhile(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		expires := w.Clock.Add(48 * time.Hour)
		entry := func(set ...string) rec { return Person("anna", append(set, "accountExpires="+filetime(expires))...) }
		w.Holds("hq", entry())
		w.Applied("hq")
		w.Conn("hq").Policy.NoUpdate = true
		w.Holds("hq", entry("title=Queen"))
		w.Applied("hq")
		w.Conn("hq").Policy.NoUpdate = false
		w.Applied("hq")
		w.Dirs.Of("hq").Missing = "cut short"
		w.Holds("hq", entry())
		w.Applied("hq")
		w.Dirs.Of("hq").Missing = ""
		w.Applied("hq")
		w.Clock = expires
		w.Applied("hq")
		equal(t, "anna", w.Account("anna").Status, account.Disabled)
	})
}
