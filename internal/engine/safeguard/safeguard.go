// Package safeguard judges a plan before it is applied and hands on a verdict:
// go, nothing, or held, with a sentence for each reason. A held plan waits for
// a person.
package safeguard

import (
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

// Facts are what a plan is judged against, all from before it is applied.
type Facts struct {
	Accounts    int // of the connection, active or disabled by something else than absence
	Groups      int // of the connection, not deleted
	Memberships int // in the connection's groups
	Seats       int // active accounts of the organization
	Licence     int // seats it may use; 0 no limit
	Users       int // people in the mirror now
	GroupRows   int // groups in the mirror now
	FirstRun    bool
	// RulesChanged says what changed in filter, anchor, scope or mapping since
	// the last applied run; "" nothing did.
	RulesChanged string
	// PlaceChanged says that another server was read in the last applied run, or by another
	// account: it may hold, or show, something else.
	PlaceChanged bool
	// Again is how many accounts would be disabled or deleted that a person took out of
	// an earlier plan.
	Again int
	// Attention is a reason kept from earlier, such as a reverted run.
	Attention string
	// Recent is what the limits count besides, where changes come one by one.
	Recent Recent
	// Unlived is how much time passed since the last run, by the clock, where accounts are
	// to be purged because of it; 0 where that is nothing out of the ordinary.
	Unlived time.Duration
	// Emptied are the fields that many would lose and nobody would get, Enabled those whom
	// the directory disabled and would enable, while it disables nobody anew.
	Emptied []Emptied
	Enabled Emptied
}

// Emptied is what a plan takes from a field.
type Emptied struct {
	Field string // as people name it: "title", "attributes.badge"
	Lose  int    // accounts that have it and would have it no more
	Have  int    // accounts of the connection that have it
}

// all is true where as good as nobody is left who has it. A few may be left: entries with a
// problem, which stay as they are.
func (e Emptied) all() bool { return e.Lose > 0 && e.Lose*10 >= e.Have*9 }

// Several is from how many on it is no coincidence that they change together.
const Several = 3

// Much is true of so many accounts that it is never routine if all of them lose the same.
func (f *Facts) Much(n int) bool { return n >= 10 || n >= Several && n*2 > f.Accounts }

// Window is for how long what was applied counts against the limits of a connection
// whose clients push: five hundred people disabled one after the other are held as
// they would be all at once.
const Window = time.Hour

// Recent is what runs of the window applied that no person decided upon, since a
// person last decided.
type Recent struct {
	Removals           int // accounts disabled or deleted
	GroupRemovals      int
	MembershipRemovals int
	IdentityChanges    int
	Creates            int
	Accounts           int // the most that the connection had before one of these runs, as in Facts
}

// Add counts a run; what a person decided upon is not one of them.
func (r *Recent) Add(s *plan.Summary) {
	r.Removals += s.Disable + s.Delete
	r.GroupRemovals += s.Groups.Delete
	r.MembershipRemovals += s.Remove
	r.IdentityChanges += s.Identity
	r.Creates += s.Create
	r.Accounts = max(r.Accounts, s.Keep+s.Update+s.Disable+s.Delete)
}

// Judge gives the verdict and its reasons.
func Judge(s *plan.Summary, f Facts, l setting.Limits) (plan.Verdict, []string) {
	var because []string
	say := func(format string, args ...any) { because = append(because, fmt.Sprintf(format, args...)) }
	if s.Purge > 0 && f.Unlived > 0 {
		say("%s flagged deleted would be removed for good, and by the clock the last run was %s ago; look whether the clock is right.",
			count(s.Purge, "account", "accounts"), count(int(f.Unlived.Hours()/24), "day", "days"))
	}
	switch {
	case s.Changes() > 0:
	case len(because) > 0:
		return plan.Held, because
	default:
		return plan.Nothing, nil
	}

	accounts := max(f.Accounts, f.Recent.Accounts)
	removals := tally{s.Disable + s.Delete, f.Recent.Removals, "account", "accounts"}
	if f.Users == 0 && f.Accounts > 0 && removals.now > 0 {
		say("The reading found nobody, while %s kept by this connection.", count(f.Accounts, "account is", "accounts are"))
	} else {
		judgeRemovals(removals, accounts, l, say)
	}
	// What was removed meanwhile was there when the window began.
	groups := tally{s.Groups.Delete, f.Recent.GroupRemovals, "group", "groups"}
	if f.GroupRows == 0 && f.Groups > 0 && groups.now > 0 {
		say("The reading found no group, while %s kept by this connection.", count(f.Groups, "group is", "groups are"))
	} else if all := f.Groups + groups.recent; groups.over(all, l.GroupRemovals, l.GroupRemovalsMin) {
		say("%s, %s of %d; the limit is %s.", groups.would("be removed"), share(groups.all(), all), all, percent(l.GroupRemovals))
	}
	members := tally{s.Remove, f.Recent.MembershipRemovals, "membership", "memberships"}
	if all := f.Memberships + members.recent; members.over(all, l.MembershipRemovals, l.MembershipRemovalsMin) {
		say("%s, %s of %d; the limit is %s.", members.would("be removed"), share(members.all(), all), all, percent(l.MembershipRemovals))
	}
	names := tally{s.Identity, f.Recent.IdentityChanges, "account", "accounts"}
	if names.over(accounts, l.IdentityChanges, l.IdentityChangesMin) {
		say("%s, %s of %d; the limit is %s.", names.would("get another username or e-mail address"), share(names.all(), accounts), accounts, percent(l.IdentityChanges))
	}
	if creates := (tally{s.Create, f.Recent.Creates, "account", "accounts"}); l.Creates > 0 && creates.now > 0 && creates.all() > l.Creates {
		say("%s; the limit is %d.", creates.would("be created"), l.Creates)
	}
	for _, e := range f.Emptied {
		if e.all() {
			say("The %s of %s would be emptied, of %d that have one; look whether the directory still gives it.", e.Field, count(e.Lose, "account", "accounts"), e.Have)
		}
	}
	if f.Enabled.all() {
		say("%s would be enabled, of %d that the directory had disabled; look whether it still says who is disabled.", count(f.Enabled.Lose, "account", "accounts"), f.Enabled.Have)
	}
	if f.RulesChanged != "" {
		say("%s changed since the last applied run; look at what that does before it is done.", f.RulesChanged)
	}
	if gone := s.Disable + s.Delete + s.Groups.Delete + s.Remove; f.PlaceChanged && gone > 0 {
		say("The server or the account that reads changed since the last applied run, and something would be removed; look whether it is the same directory.")
	}
	if f.Again > 0 {
		say("%s that a person took out of an earlier plan; runs leave %s out.", tally{now: f.Again, one: "account", many: "accounts"}.would("be disabled or deleted"), them(f.Again))
	}
	if f.Attention != "" {
		say("%s", f.Attention)
	}
	if text := Licence(s, f); text != "" {
		say("%s", text)
	}
	if len(because) > 0 {
		return plan.Held, because
	}
	return plan.Go, nil
}

// Licence says by how much a plan goes over the organization's seats, or "". A
// person cannot approve that away; they can exclude rows or raise the limit.
func Licence(s *plan.Summary, f Facts) string {
	after := f.Seats + s.Seats
	if f.Licence == 0 || after <= f.Licence || s.Seats <= 0 {
		return ""
	}
	return fmt.Sprintf("The organization would need %s, its licence has %d: %d too few. Nothing is written; raise the limit or exclude people.",
		count(after, "seat", "seats"), f.Licence, after-f.Licence)
}

func judgeRemovals(t tally, accounts int, l setting.Limits, say func(string, ...any)) {
	removals := t.all()
	switch would := t.would("be disabled or deleted"); {
	case t.now == 0:
	case l.RemovalsMax > 0 && removals > l.RemovalsMax:
		say("%s; the limit is %d.", would, l.RemovalsMax)
	case t.over(accounts, l.Removals, l.RemovalsMin):
		say("%s, %s of %d; the limit is %s.", would, share(removals, accounts), accounts, percent(l.Removals))
	case l.Removals < 1 && removals >= 3 && removals*2 > accounts:
		// Below removals_min the share is not looked at, so that a team of five
		// can lose two people. More than half of everybody is never routine.
		say("%s, more than half of %d.", would, accounts)
	}
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// tally is how many a plan changes of something, and recent runs did.
type tally struct {
	now, recent int
	one, many   string
}

func (t tally) all() int { return t.now + t.recent }

// would says how many it is, both together where there were some.
func (t tally) would(what string) string {
	text := count(t.now, t.one, t.many) + " would " + what
	if t.recent > 0 {
		text += fmt.Sprintf(", %d with those of the last hour", t.all())
	}
	return text
}

// over reports a plan that changes some, and together with recent runs at least so
// many and more than the share of all. What was applied is no reason to hold a plan
// that does none of it. A limit of everything lets everything through, also what another
// connection has by now.
func (t tally) over(all int, limit setting.Share, least int) bool {
	const rounding = 1e-6 // 29 of 100 are not more than 29 %, whatever 0.29*100 is
	return limit < 1 && t.now > 0 && t.all() >= least && float64(t.all()) > float64(limit)*float64(all)+rounding
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func share(n, all int) string {
	if all == 0 {
		return "all"
	}
	return fmt.Sprintf("%d %%", (n*100+all/2)/all)
}

func percent(s setting.Share) string { return fmt.Sprintf("%.6g %%", float64(s)*100) }
