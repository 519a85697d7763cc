package safeguard

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

// usual is a connection of a hundred people in ten groups.
func usual() Facts {
	return Facts{Accounts: 100, Groups: 10, Memberships: 500, Seats: 100, Users: 100, GroupRows: 10}
}

func counts(c plan.Counts) plan.Summary { return plan.Summary{Counts: c} }

func TestEachLimitAtBelowAndAbove(t *testing.T) {
	limits := setting.DefaultLimits() // a fifth, 10 at least; memberships 0.3 and 50; groups a fifth and 5; identities a fifth and 10
	half := setting.Limits{Removals: 0.29, RemovalsMin: 1, MembershipRemovals: 1, GroupRemovals: 1, IdentityChanges: 1}
	none := setting.Limits{Removals: 1, MembershipRemovals: 1, GroupRemovals: 1, IdentityChanges: 1}
	with := func(l setting.Limits, change func(l *setting.Limits)) setting.Limits { change(&l); return l }
	facts := func(change func(f *Facts)) Facts { f := usual(); change(&f); return f }
	groups := func(n int) plan.Summary { return plan.Summary{Groups: plan.Counts{Delete: n}} }
	for _, c := range []struct {
		name    string
		summary plan.Summary
		facts   Facts
		limits  setting.Limits
		want    string // the reasons, "" to go
	}{
		{"removals at the share", counts(plan.Counts{Disable: 20}), usual(), limits, ""},
		{"removals over the share", counts(plan.Counts{Disable: 21}), usual(), limits, "21 accounts would be disabled or deleted, 21 % of 100; the limit is 20 %."},
		{"disables and deletes count together", counts(plan.Counts{Disable: 11, Delete: 10}), usual(), limits, "21 accounts would be disabled or deleted, 21 % of 100; the limit is 20 %."},
		{"over the share, but below the least", counts(plan.Counts{Delete: 9}), facts(func(f *Facts) { f.Accounts = 30 }), limits, ""},
		{"over the share, and at the least", counts(plan.Counts{Delete: 10}), facts(func(f *Facts) { f.Accounts = 30 }), limits, "10 accounts would be disabled or deleted, 33 % of 30; the limit is 20 %."},
		{"identities of accounts that come back to the connection, without a limit", plan.Summary{Counts: plan.Counts{Update: 2}, Identity: 2}, facts(func(f *Facts) { f.Accounts = 0 }), none, ""},
		{"at a share that no binary number is", counts(plan.Counts{Delete: 29}), usual(), half, ""},
		{"over such a share", counts(plan.Counts{Delete: 30}), usual(), half, "30 accounts would be disabled or deleted, 30 % of 100; the limit is 29 %."},
		{"a single account over the share", counts(plan.Counts{Delete: 1}), facts(func(f *Facts) { f.Accounts = 3 }), half, "1 account would be disabled or deleted, 33 % of 3; the limit is 29 %."},
		{"a large directory at the share", counts(plan.Counts{Delete: 200_000}), facts(func(f *Facts) { f.Accounts = 1_000_000 }), limits, ""},
		{"a large directory one over the share", counts(plan.Counts{Delete: 200_001}), facts(func(f *Facts) { f.Accounts = 1_000_000 }), limits, "200001 accounts would be disabled or deleted, 20 % of 1000000; the limit is 20 %."},
		{"a limit by count, at it", counts(plan.Counts{Delete: 3}), usual(), with(limits, func(l *setting.Limits) { l.RemovalsMax = 3 }), ""},
		{"a limit by count, over it, whatever the share", counts(plan.Counts{Delete: 4}), usual(), with(limits, func(l *setting.Limits) { l.RemovalsMax = 3 }), "4 accounts would be disabled or deleted; the limit is 3."},
		{"more than half of a few, below the least", counts(plan.Counts{Disable: 3}), facts(func(f *Facts) { f.Accounts = 5 }), limits, "3 accounts would be disabled or deleted, more than half of 5."},
		{"half of a few", counts(plan.Counts{Disable: 3}), facts(func(f *Facts) { f.Accounts = 6 }), limits, ""},
		{"two of three are no crowd", counts(plan.Counts{Disable: 2}), facts(func(f *Facts) { f.Accounts = 3 }), limits, ""},
		{"more than half where there is no limit", counts(plan.Counts{Disable: 90}), usual(), none, ""},

		{"somebody gone, as another server has it", counts(plan.Counts{Disable: 1}), facts(func(f *Facts) { f.PlaceChanged = true }), limits, "The server or the account that reads changed since the last applied run, and something would be removed; look whether it is the same directory."},
		{"another server, and nobody gone", counts(plan.Counts{Update: 1, Create: 5}), facts(func(f *Facts) { f.PlaceChanged = true }), limits, ""},

		{"purged in their time", plan.Summary{Counts: plan.Counts{Disable: 1}, Purge: 7}, usual(), limits, ""},
		{"purged by a clock that jumped", plan.Summary{Purge: 7}, facts(func(f *Facts) { f.Unlived = 365 * 24 * time.Hour }), limits, "7 accounts flagged deleted would be removed for good, and by the clock the last run was 365 days ago; look whether the clock is right."},
		{"a clock that jumped, and nobody to purge", counts(plan.Counts{Disable: 1}), facts(func(f *Facts) { f.Unlived = 365 * 24 * time.Hour }), limits, ""},

		{"memberships at the share", plan.Summary{Remove: 150}, usual(), limits, ""},
		{"memberships over the share", plan.Summary{Remove: 151}, usual(), limits, "151 memberships would be removed, 30 % of 500; the limit is 30 %."},
		{"memberships over the share, but below the least", plan.Summary{Remove: 49}, facts(func(f *Facts) { f.Memberships = 60 }), limits, ""},
		{"memberships over the share, and at the least", plan.Summary{Remove: 50}, facts(func(f *Facts) { f.Memberships = 60 }), limits, "50 memberships would be removed, 83 % of 60; the limit is 30 %."},
		{"added memberships are no danger", plan.Summary{Add: 100_000}, usual(), limits, ""},

		{"groups at the share, below the least", groups(4), facts(func(f *Facts) { f.Groups = 20 }), limits, ""},
		{"groups at the share and the least", groups(5), facts(func(f *Facts) { f.Groups = 25 }), limits, ""},
		{"groups over the share, and at the least", groups(5), facts(func(f *Facts) { f.Groups = 24 }), limits, "5 groups would be removed, 21 % of 24; the limit is 20 %."},

		{"identities at the share", plan.Summary{Counts: plan.Counts{Update: 20}, Identity: 20}, usual(), limits, ""},
		{"identities over the share", plan.Summary{Counts: plan.Counts{Update: 21}, Identity: 21}, usual(), limits,
			"21 accounts would get another username or e-mail address, 21 % of 100; the limit is 20 %."},
		{"identities over the share, but below the least", plan.Summary{Counts: plan.Counts{Update: 9}, Identity: 9}, facts(func(f *Facts) { f.Accounts = 12 }), limits, ""},

		{"created accounts without a limit", counts(plan.Counts{Create: 100_000}), usual(), limits, ""},
		{"created accounts at the limit", counts(plan.Counts{Create: 50}), usual(), with(limits, func(l *setting.Limits) { l.Creates = 50 }), ""},
		{"created accounts over the limit", counts(plan.Counts{Create: 51}), usual(), with(limits, func(l *setting.Limits) { l.Creates = 50 }), "51 accounts would be created; the limit is 50."},

		{"a reading that found nobody", counts(plan.Counts{Disable: 1}), facts(func(f *Facts) { f.Users, f.Accounts = 0, 1 }), limits, "The reading found nobody, while 1 account is kept by this connection."},
		{"it is held where there is no limit too", counts(plan.Counts{Disable: 100}), facts(func(f *Facts) { f.Users = 0 }), none, "The reading found nobody, while 100 accounts are kept by this connection."},
		{"a reading that found nobody, where nobody was", groups(1), facts(func(f *Facts) { f.Users, f.Accounts = 0, 0 }), limits, ""},
		{"a reading that found no group", groups(1), facts(func(f *Facts) { f.GroupRows, f.Groups = 0, 1 }), limits, "The reading found no group, while 1 group is kept by this connection."},
		{"the last account of somebody else's making", counts(plan.Counts{Disable: 10}), facts(func(f *Facts) { f.Accounts = 0 }), limits, "10 accounts would be disabled or deleted, all of 0; the limit is 20 %."},

		{"changed rules", counts(plan.Counts{Update: 1}), facts(func(f *Facts) { f.RulesChanged = "The mapping" }), limits, "The mapping changed since the last applied run; look at what that does before it is done."},
		{"a reason from earlier", counts(plan.Counts{Update: 1}), facts(func(f *Facts) { f.Attention = "Run r-1 was reverted." }), limits, "Run r-1 was reverted."},
		{"removals that reach the limit with recent ones", counts(plan.Counts{Disable: 1}), facts(func(f *Facts) { f.Recent = Recent{Removals: 19, Accounts: 100} }), limits, ""},
		{"removals over the limit with recent ones", counts(plan.Counts{Disable: 1}), facts(func(f *Facts) { f.Recent = Recent{Removals: 20, Accounts: 100} }), limits,
			"1 account would be disabled or deleted, 21 with those of the last hour, 21 % of 100; the limit is 20 %."},
		{"recent removals count of those who were there", counts(plan.Counts{Delete: 1}), facts(func(f *Facts) { f.Accounts, f.Recent = 81, Recent{Removals: 19, Accounts: 100} }), limits, ""},
		{"recent removals, and a plan that removes nobody", counts(plan.Counts{Update: 5}), facts(func(f *Facts) { f.Recent = Recent{Removals: 90, Accounts: 100} }), limits, ""},
		{"a limit by count, with recent ones", counts(plan.Counts{Delete: 1}), facts(func(f *Facts) { f.Recent = Recent{Removals: 3} }), with(limits, func(l *setting.Limits) { l.RemovalsMax = 3 }),
			"1 account would be disabled or deleted, 4 with those of the last hour; the limit is 3."},
		{"more than half of a few, one after the other", counts(plan.Counts{Disable: 1}), facts(func(f *Facts) { f.Accounts, f.Recent = 5, Recent{Removals: 2, Accounts: 5} }), limits,
			"1 account would be disabled or deleted, 3 with those of the last hour, more than half of 5."},
		{"memberships with recent ones", plan.Summary{Remove: 1}, facts(func(f *Facts) { f.Memberships, f.Recent = 350, Recent{MembershipRemovals: 150} }), limits,
			"1 membership would be removed, 151 with those of the last hour, 30 % of 500; the limit is 30 %."},
		{"groups with recent ones", groups(1), facts(func(f *Facts) { f.Groups, f.Recent = 20, Recent{GroupRemovals: 4} }), limits, "1 group would be removed, 5 with those of the last hour, 21 % of 24; the limit is 20 %."},
		{"identities with recent ones", plan.Summary{Counts: plan.Counts{Update: 1}, Identity: 1}, facts(func(f *Facts) { f.Recent = Recent{IdentityChanges: 20} }), limits,
			"1 account would get another username or e-mail address, 21 with those of the last hour, 21 % of 100; the limit is 20 %."},
		{"created accounts with recent ones", counts(plan.Counts{Create: 1}), facts(func(f *Facts) { f.Recent = Recent{Creates: 50} }), with(limits, func(l *setting.Limits) { l.Creates = 50 }),
			"1 account would be created, 51 with those of the last hour; the limit is 50."},
		{"updates are no danger", counts(plan.Counts{Update: 100, Enable: 100, Restore: 100, Link: 100}), usual(), limits, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			verdict, because := Judge(&c.summary, c.facts, c.limits)
			want := plan.Go
			if c.want != "" {
				want = plan.Held
			}
			if verdict != want || strings.Join(because, " ") != c.want {
				t.Errorf("%s: %s\nwant %s: %s", verdict, strings.Join(because, " "), want, c.want)
			}
		})
	}
}

func TestSeats(t *testing.T) {
	for _, c := range []struct {
		name                  string
		seats, licence, needs int
		want                  string
	}{
		{"no limit", 100, 0, 1000, ""},
		{"the last seat", 99, 100, 1, ""},
		{"one too many", 100, 100, 1, "The organization would need 101 seats, its licence has 100: 1 too few. Nothing is written; raise the limit or exclude people."},
		{"a licence of one", 0, 1, 2, "The organization would need 2 seats, its licence has 1: 1 too few. Nothing is written; raise the limit or exclude people."},
		{"over the limit already, and nobody more", 120, 100, 0, ""},
		{"over the limit already, and fewer than before", 120, 100, -5, ""},
		{"over the limit already, and one more", 120, 100, 1, "The organization would need 121 seats, its licence has 100: 21 too few. Nothing is written; raise the limit or exclude people."},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := plan.Summary{Counts: plan.Counts{Create: 1}, Seats: c.needs}
			f := usual()
			f.Seats, f.Licence = c.seats, c.licence
			if got := Licence(&s, f); got != c.want {
				t.Errorf("%q\nwant\n%q", got, c.want)
			}
			verdict, because := Judge(&s, f, setting.DefaultLimits())
			if (verdict == plan.Held) != (c.want != "") || c.want != "" && !slices.Contains(because, c.want) {
				t.Errorf("%s %q", verdict, because)
			}
		})
	}
}

func TestEveryReasonIsGiven(t *testing.T) {
	s := plan.Summary{Counts: plan.Counts{Create: 60, Disable: 60, Update: 60}, Remove: 400, Identity: 60, Seats: 1, Groups: plan.Counts{Delete: 9}}
	f := usual()
	f.RulesChanged, f.Attention, f.Licence = "The scope", "Run r-1 was reverted.", 50
	l := setting.DefaultLimits()
	l.Creates = 10
	verdict, because := Judge(&s, f, l)
	if verdict != plan.Held || len(because) != 8 {
		t.Errorf("%s with %d reasons:\n%s", verdict, len(because), strings.Join(because, "\n"))
	}
	for _, text := range because {
		if !strings.HasSuffix(text, ".") {
			t.Errorf("not a sentence: %q", text)
		}
	}
}

func TestAPlanThatDoesNothingIsNotHeld(t *testing.T) {
	f := usual()
	f.Users, f.GroupRows, f.RulesChanged, f.Attention, f.Licence = 0, 0, "The mapping", "Run r-1 was reverted.", 1
	s := plan.Summary{Counts: plan.Counts{Keep: 100}, Refused: 50, Problems: 3, Disputes: 2, Warnings: 1, OutOfScope: 9}
	if verdict, because := Judge(&s, f, setting.DefaultLimits()); verdict != plan.Nothing || len(because) != 0 {
		t.Errorf("%s %q", verdict, because)
	}
}

// Whatever the numbers, more removals never turn a held plan into one that goes.
func TestMoreDangerIsNeverLessHeld(t *testing.T) {
	for accounts := range 60 {
		held := false
		for n := range accounts + 1 {
			f := usual()
			f.Accounts = accounts
			s := counts(plan.Counts{Disable: n, Update: 1})
			verdict, _ := Judge(&s, f, setting.DefaultLimits())
			if held && verdict != plan.Held {
				t.Fatalf("of %d accounts %d are let go, fewer are held", accounts, n)
			}
			held = verdict == plan.Held
		}
	}
}
