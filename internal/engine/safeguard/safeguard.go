// Package safeguard judges a plan before it is applied and hands on a verdict:
// go, nothing, or held, with a sentence for each reason. A held plan waits for
// a person.
package safeguard

import (
	"fmt"

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
	// Attention is a reason kept from earlier, such as a reverted run.
	Attention string
}

// Judge gives the verdict and its reasons.
func Judge(s *plan.Summary, f Facts, l setting.Limits) (plan.Verdict, []string) {
	if s.Changes() == 0 {
		return plan.Nothing, nil
	}
	var because []string
	say := func(format string, args ...any) { because = append(because, fmt.Sprintf(format, args...)) }

	removals := s.Disable + s.Delete
	if f.Users == 0 && f.Accounts > 0 && removals > 0 {
		say("The reading found nobody, while %s kept by this connection.", count(f.Accounts, "account is", "accounts are"))
	} else {
		judgeRemovals(removals, f.Accounts, l, say)
	}
	if f.GroupRows == 0 && f.Groups > 0 && s.Groups.Delete > 0 {
		say("The reading found no group, while %s kept by this connection.", count(f.Groups, "group is", "groups are"))
	} else if over(s.Groups.Delete, f.Groups, l.GroupRemovals, l.GroupRemovalsMin) {
		say("%s would be removed, %s of %d; the limit is %s.", count(s.Groups.Delete, "group", "groups"), share(s.Groups.Delete, f.Groups), f.Groups, percent(l.GroupRemovals))
	}
	if over(s.Remove, f.Memberships, l.MembershipRemovals, l.MembershipRemovalsMin) {
		say("%s would be removed, %s of %d; the limit is %s.", count(s.Remove, "membership", "memberships"), share(s.Remove, f.Memberships), f.Memberships, percent(l.MembershipRemovals))
	}
	if over(s.Identity, f.Accounts, l.IdentityChanges, l.IdentityChangesMin) {
		say("%s would get another username or e-mail address, %s of %d; the limit is %s.", count(s.Identity, "account", "accounts"), share(s.Identity, f.Accounts), f.Accounts, percent(l.IdentityChanges))
	}
	if l.Creates > 0 && s.Create > l.Creates {
		say("%s would be created; the limit is %d.", count(s.Create, "account", "accounts"), l.Creates)
	}
	if f.RulesChanged != "" {
		say("%s changed since the last applied run; look at what that does before it is done.", f.RulesChanged)
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

func judgeRemovals(removals, accounts int, l setting.Limits, say func(string, ...any)) {
	switch {
	case l.RemovalsMax > 0 && removals > l.RemovalsMax:
		say("%s would be disabled or deleted; the limit is %d.", count(removals, "account", "accounts"), l.RemovalsMax)
	case over(removals, accounts, l.Removals, l.RemovalsMin):
		say("%s would be disabled or deleted, %s of %d; the limit is %s.", count(removals, "account", "accounts"), share(removals, accounts), accounts, percent(l.Removals))
	case l.Removals < 1 && removals >= 3 && removals*2 > accounts:
		// Below removals_min the share is not looked at, so that a team of five
		// can lose two people. More than half of everybody is never routine.
		say("%s would be disabled or deleted, more than half of %d.", count(removals, "account", "accounts"), accounts)
	}
}

// over reports n of all being at least min, and more than the share.
func over(n, all int, limit setting.Share, least int) bool {
	const rounding = 1e-6 // 29 of 100 are not more than 29 %, whatever 0.29*100 is
	return n > 0 && n >= least && float64(n) > float64(limit)*float64(all)+rounding
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
