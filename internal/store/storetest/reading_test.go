package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

func TestFromAnIncompleteReadingNothingIsRemovedDisabledOrEmptied(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna", "title=Queen", "manager=bob", "employeeNumber=7"), Person("bob"), Person("carl"), Person("dora"),
			Group("staff", "anna", "bob", "carl"), Group("old", "carl"))
		w.Conn("hq").Limits.Removals = 1
		w.Applied("hq")
		w.Dirs.Of("hq").Missing = "the server's size limit was hit"
		w.Holds("hq", Person("anna", "department=Board"), Person("bob", "userAccountControl=514"), Person("newbie"), Group("staff", "anna", "newbie"), Group("fresh", "newbie"))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "add membership fresh: newbie", "add membership staff: newbie", "create account newbie", "create group fresh", "update account anna")
		anna := w.Account("anna")
		equal(t, "anna's department", anna.Text[account.Department], "Board")
		equal(t, "her title", anna.Text[account.Title], "Queen")
		equal(t, "her manager", anna.Manager, w.Account("bob").ID)
		equal(t, "her attributes", anna.Attributes, `{"badge":"7"}`)
		for _, name := range []string{"bob", "carl", "dora"} {
			equal(t, name, w.Account(name).Status, account.Active)
		}
		equal(t, "staff", w.Members("staff"), "anna bob carl newbie")
		equal(t, "old", w.Members("old"), "carl")
		contains(t, w.Notes(r.Plan), "refused", "title", "would be emptied, but the reading was not complete (the server's size limit was hit)")
		contains(t, w.Notes(r.Plan), "refused", "uid=bob", "disable", "not complete")
		contains(t, w.Notes(r.Plan), "refused", "staff", "not complete")
		equal(t, "the run says so", r.Run.Reading.Complete, false)
		equal(t, "and why", *r.Run.Reading.Reason, "the server's size limit was hit")

		again := w.Applied("hq")
		equal(t, "a second incomplete reading", again.Plan.Verdict, plan.Nothing)

		w.Dirs.Of("hq").Missing = ""
		r = w.Applied("hq")
		same(t, "the next complete reading", w.Brief(r.Plan), "delete group old", "disable account bob", "disable account carl", "disable account dora",
			"remove membership staff: bob", "update account anna")
		equal(t, "anna's title", w.Account("anna").Text[account.Title], "")
		equal(t, "staff", w.Members("staff"), "anna carl newbie")
		w.Settled("hq")
	})
}

func TestAnIncompleteFirstReadingCreatesWhoItBrought(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Dirs.Of("hq").Missing = "cut short"
		w.Holds("hq", Person("anna", "manager=zoe"), Group("staff", "anna", "zoe"))
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "anna")
		w.Dirs.Of("hq").Missing = ""
		w.Holds("hq", Person("anna", "manager=zoe"), Person("zoe"), Group("staff", "anna", "zoe"))
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "anna zoe")
		equal(t, "manager", w.Account("anna").Manager, w.Account("zoe").ID)
		w.Settled("hq")
	})
}

func TestAReadingThatBreaksOffChangesNothingAtAll(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		first := append(People("p", 20), Group("staff", "p001", "p002"))
		w.Holds("hq", first...)
		w.Applied("hq")
		before := w.State()
		dir := w.Dirs.Of("hq")
		many := append(People("q", 1500), first...) // more than is written at once
		for _, at := range []int{0, 1, 10, 1400, len(many)} {
			w.Holds("hq", many...)
			dir.Breaks, dir.BreakAt = errors.New("script: connection reset by peer"), at
			r, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options)
			if err == nil || !strings.Contains(err.Error(), "connection reset by peer") {
				t.Fatalf("broken off before record %d: %v", at, err)
			}
			equal(t, "run", r.Run.State, engine.RunFailed)
			if after := w.State(); after != before {
				t.Errorf("broken off before record %d, and something changed:\n%s", at, Difference(before, after))
			}
			w.Examine()
			if _, err := w.Engine.Plan(t.Context(), *w.Conn("hq"), options); err == nil {
				t.Error("a plan was made of a reading that broke off")
			}
		}
		dir.Breaks, dir.Away = nil, errors.New("script: no route to host")
		r, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options)
		if err == nil {
			t.Error("a directory out of reach is no error")
		}
		if r.Run == nil || r.Run.State != engine.RunFailed || !strings.Contains(*r.Run.Error, "no route to host") {
			t.Errorf("a directory out of reach is a run that failed, not %+v", r.Run)
		}
		if kept, err := w.Store.RunTable.Get(t.Context(), r.Run.ID); err != nil || kept.State != engine.RunFailed {
			t.Errorf("it is kept: %+v, %v", kept, err)
		}
		dir.Away = nil
		if after := w.State(); after != before {
			t.Errorf("something changed:\n%s", Difference(before, after))
		}
		w.Holds("hq", first...)
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)
		w.Settled("hq")
	})
}

func TestAnEmptyReadingIsHeldAndSoIsOneWithoutGroups(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Group("staff", "anna"))
		w.Applied("hq")
		people := w.People()
		w.Holds("hq")
		r := w.Held("hq", "The reading found nobody, while 1 account is kept by this connection.")
		contains(t, r.Plan.HeldBecause, "The reading found no group")
		w.Held("hq", "The reading found nobody")
		equal(t, "people", w.People(), people)
		w.Holds("hq", Person("anna"), Group("staff", "anna"))
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)
		w.Settled("hq")
	})
}

func TestALargeShareOfLeaversIsHeldAndASmallOneIsNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		leave, of int
		limits    func(*setting.Limits)
		held      string
	}{
		"30 % gone":                              {leave: 30, of: 100, held: "30 accounts would be disabled or deleted, 30 % of 100; the limit is 20 %."},
		"just the limit":                         {leave: 20, of: 100},
		"one more than the limit":                {leave: 21, of: 100, held: "21 accounts"},
		"a large share of few":                   {leave: 4, of: 10},
		"more than half of few":                  {leave: 6, of: 10, held: "more than half of 10"},
		"a count of its own":                     {leave: 6, of: 100, limits: func(l *setting.Limits) { l.RemovalsMax = 5 }, held: "6 accounts would be disabled or deleted; the limit is 5."},
		"no limit at all":                        {leave: 99, of: 100, limits: func(l *setting.Limits) { l.Removals, l.GroupRemovals = 1, 1 }},
		"everybody, and no limit, is held still": {leave: 12, of: 12, limits: func(l *setting.Limits) { l.Removals = 1 }, held: "found nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				if c.limits != nil {
					c.limits(&w.Conn("hq").Limits)
				}
				all := People("p", c.of)
				w.Holds("hq", all...)
				w.Applied("hq")
				w.Holds("hq", all[c.leave:]...)
				if c.held == "" {
					w.Applied("hq")
				} else {
					r := w.Held("hq", c.held)
					equal(t, "verdict", r.Plan.Verdict, plan.Held)
					_, last := w.Events(0)
					equal(t, "active", strings.Count(w.People(), " active "), c.of)
					w.Approve("hq", r.Plan)
					told, _ := w.Events(last)
					contains(t, told, "plan.approved")
				}
				equal(t, "disabled", strings.Count(w.People(), " disabled "), c.leave)
				w.Settled("hq")
			})
		})
	}
}

func TestOtherLimitsHoldAPlanToo(t *testing.T) {
	t.Parallel()
	groups := func(n int) []rec {
		var out []rec
		for i := range n {
			out = append(out, Group("g"+text(int64(i)), "p000"))
		}
		return out
	}
	for name, c := range map[string]struct {
		first, then []rec
		limits      func(*setting.Limits)
		held        string
	}{
		"groups": {first: append(People("p", 1), groups(10)...), then: append(People("p", 1), groups(5)...), held: "5 groups would be removed, 50 % of 10"},
		"memberships": {first: append(People("p", 20), Group("staff", strings.Fields("p000 p001 p002 p003 p004 p005")...)), then: append(People("p", 20), Group("staff", "p000")),
			limits: func(l *setting.Limits) { l.MembershipRemovalsMin = 2 }, held: "5 memberships would be removed, 83 % of 6"},
		"addresses": {first: []rec{Person("anna"), Person("bob")}, then: []rec{Person("anna", "mail=a@example.org"), Person("bob", "mail=b@example.org")},
			limits: func(l *setting.Limits) { l.IdentityChangesMin = 2 }, held: "2 accounts would get another username or e-mail address, 100 % of 2"},
		"creates": {first: People("p", 2), then: append(People("p", 2), People("q", 4)...),
			limits: func(l *setting.Limits) { l.Creates = 3 }, held: "4 accounts would be created; the limit is 3."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq")
				if c.limits != nil {
					c.limits(&w.Conn("hq").Limits)
				}
				w.Holds("hq", c.first...)
				w.Applied("hq")
				w.Holds("hq", c.then...)
				r := w.Held("hq", c.held)
				w.Approve("hq", r.Plan)
				w.Settled("hq")
			})
		})
	}
}

func TestAnIncrementalReadingBringsWhatChangedAndWhoWent(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob", "manager=carl"), Person("carl"), Group("staff", "anna", "carl"))
		w.Applied("hq")
		dir := w.Dirs.Of("hq")
		dir.Delta = true
		gone := rec{Kind: Person("x").Kind, ID: "id-carl", Gone: true}
		w.Holds("hq", Person("anna", "title=Queen"), gone, Person("newbie"), Group("staff", "anna", "carl", "newbie"))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "add membership staff: newbie", "create account newbie", "disable account carl", "update account anna", "update account bob")
		w.Holds("hq")
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)
		dir.Missing = "an entry could not be read"
		w.Holds("hq", rec{Kind: gone.Kind, ID: "id-bob", Gone: true})
		w.Applied("hq")
		equal(t, "bob", w.Account("bob").Status, account.Active)
		dir.Missing = ""
		w.Holds("hq")
		w.Applied("hq")
		equal(t, "bob after a complete one", w.Account("bob").Status, account.Disabled)
		w.Holds("hq", Person("carl"), rec{Kind: gone.Kind, ID: "nobody", Gone: true})
		w.Applied("hq")
		equal(t, "carl", w.Account("carl").Status, account.Active)
		equal(t, "staff", w.Members("staff"), "anna carl newbie")
	})
}

func TestAnEntryThatLosesItsKeyIsNotTakenForALeaver(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", "id=", "problem=its entryUUID could not be read"), Person("bob"), Group("staff", "anna", "bob"))
		r := w.Applied("hq")
		equal(t, "problems", r.Run.Summary.Problems, 1)
		equal(t, "anna", w.Account("anna").Status, account.Active)
		equal(t, "staff", w.Members("staff"), "anna bob")
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna", "bob"))
		equal(t, "verdict", w.Applied("hq").Plan.Verdict, plan.Nothing)
		w.Holds("hq", Person("bob"), Group("staff", "anna", "bob"))
		w.Applied("hq")
		equal(t, "gone for good", w.Account("anna").Status, account.Disabled)
		w.Settled("hq")
	})
}

func TestAReadingStartsFromTheBookmarkOfTheLastCompleteOneUnlessAllIsAskedFor(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		dir := w.Dirs.Of("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		asked := func(what, want string) {
			t.Helper()
			equal(t, what, string(dir.Asked), want)
		}
		dir.Missing, dir.Next = "cut short", "zero"
		w.Applied("hq")
		dir.Missing, dir.Next = "", "one"
		w.Applied("hq")
		asked("after an incomplete first reading", "")
		dir.Next = "two"
		w.Applied("hq")
		asked("after a complete one", "one")
		dir.Delta = true
		w.Holds("hq")
		dir.Missing, dir.Next = "cut short", "three"
		w.Applied("hq")
		dir.Missing, dir.Next = "", "four"
		w.Applied("hq")
		asked("after an incomplete one of changes", "two")
		dir.Breaks, dir.Next = errors.New("script: gone"), "five"
		if _, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options); err == nil {
			t.Fatal("no error")
		}
		dir.Breaks, dir.Next = nil, "six"
		w.Applied("hq")
		asked("after one that broke off", "four")
		dir.Delta = false
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Conn("hq").Scope = []string{`username != "nobody"`}
		w.Applied("hq")
		asked("after a change of rules", "")
		dir.Missing = "cut short"
		full := options
		full.Full = true
		_, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), full)
		w.must(err)
		dir.Missing = ""
		w.Applied("hq")
		asked("after an incomplete one of everything", "")
		_, err = w.Engine.Sync(t.Context(), *w.Conn("hq"), full)
		w.must(err)
		asked("with --full", "")
		w.must(w.Engine.Reset(t.Context(), *w.Conn("hq"), "tester"))
		w.Applied("hq")
		asked("after a reset", "")
	})
}

func TestMorePeopleThanAreLookedAtOrWrittenAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		const many = 620
		w.Connect("hq")
		var records []rec
		var keys []string
		for i := range many {
			keys = append(keys, fmt.Sprintf("p%03d", i))
			records = append(records, Person(keys[i], fmt.Sprintf("manager=p%03d", i/5)))
		}
		w.Holds("hq", append(records, Group("everybody", keys...), Group("again", "@everybody"))...)
		w.Applied("hq")
		equal(t, "again", len(strings.Fields(w.Members("again"))), many)
		equal(t, "the manager of the last", w.Account("p619").Manager, w.Account("p123").ID)
		r := w.Applied("hq")
		equal(t, "verdict", r.Plan.Verdict, plan.Nothing)
		equal(t, "kept", r.Plan.Summary.Keep, many)
		records = records[20:]
		w.Holds("hq", append(records, Group("everybody", keys[20:]...), Group("again", "@everybody"))...)
		r = w.Applied("hq")
		equal(t, "disabled", r.Plan.Summary.Disable, 20)
		equal(t, "their memberships", r.Plan.Summary.Remove, 0)
	})
}
