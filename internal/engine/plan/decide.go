package plan

import (
	"fmt"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/setting"
)

// Rules are what decisions depend on besides the pair.
type Rules struct {
	Organization string
	Connection   string
	Role         string // of created accounts
	Policy       setting.Policy
	// Incomplete: the reading did not see everything. Nothing is then removed,
	// disabled or emptied.
	Incomplete bool
	Reason     string // why it is incomplete
	// Managed fields have a rule; the others are the application's own.
	Managed Fields
	Now     time.Time
	// Spared are removals, by entry, that a person took out of an earlier plan: this one
	// leaves them out and says so.
	Spared map[directory.Digest]Note
}

// Why an account is updated, where there is nothing to add.
const (
	ChangedThere = "changed in the directory"
	ChangedRules = "the connection's rules changed"
	// NewPassword stands beside the reason where the file gives another password: no field
	// shows it, and who approves the plan has to know.
	NewPassword = "password changed"
)

// Decision is what is to be done about one pair.
type Decision struct {
	Change *Change // nil where nothing is done
	Notes  []Note
	Keep   bool // the account stays as it is
	Out    bool // the entry is out of scope
}

// Decide says what is to be done about one pair:
//
//	entry         account                     change
//	------------  --------------------------  ---------------------------------------------
//	present       none                        create (disabled: by the entry, by policy)
//	present       linked, same                keep
//	present       linked, other values        update
//	present       linked, entry disabled      disable
//	present       disabled by entry/absence   enable
//	present       deleted                     restore
//	present       found by an attribute       link (restore, enable where it had left)
//	out of scope  linked                      disable, or delete without delete-disables
//	or gone       disabled by entry           update of the cause, or delete
//	broken        any                         nothing, a problem is noted
//	in dispute    any                         nothing, the dispute is noted
//
// What the policy or an incomplete reading forbids becomes a note instead.
func Decide(p *match.Pair, r *Rules) Decision {
	if p.Refusal != nil {
		kind := Dispute
		if p.Refusal.Kind == "refused" {
			kind = Refused
		}
		d := Decision{Keep: p.How == match.Linked}
		d.note(p, kind, p.Refusal.Text)
		if p.Refusal.About.Case != "" {
			d.Notes[0].About = &p.Refusal.About
		}
		return d
	}
	switch p.State {
	case match.Broken:
		d := Decision{Keep: p.How == match.Linked}
		d.note(p, Problem, p.Why)
		return d
	case match.Gone, match.OutOfScope:
		return leave(p, r)
	case match.Present:
	}
	if p.How == match.Not {
		return create(p, r)
	}
	return change(p, r)
}

func (d *Decision) note(p *match.Pair, kind NoteKind, text string) {
	n := Note{Kind: kind, Key: p.Key, Name: p.Name, ExternalID: p.ExternalID, Text: text}
	if p.Account != nil {
		n.Account = p.Account.ID
	}
	d.Notes = append(d.Notes, n)
}

func (d *Decision) refuse(p *match.Pair, action Action, format string, args ...any) {
	d.note(p, Refused, fmt.Sprintf("%s: ", action)+fmt.Sprintf(format, args...))
	d.Notes[len(d.Notes)-1].Action = action
}

// spares notes a removal that a person took out of an earlier plan, and that this one
// leaves out.
func (d *Decision) spares(p *match.Pair, r *Rules, action Action) bool {
	n, ok := r.Spared[p.Key]
	if !ok || !n.TakesOut(action) {
		return false
	}
	d.Notes = append(d.Notes, n)
	return true
}

func leave(p *match.Pair, r *Rules) Decision {
	d := Decision{Out: p.State == match.OutOfScope}
	if p.How != match.Linked || p.Account == nil {
		return d
	}
	d.Keep = true
	action, status := Disable, account.Disabled
	if !r.Policy.DeleteDisables {
		action, status = Delete, account.Deleted
	}
	if p.Account.Status == account.Deleted || p.Account.Status == status && p.Account.Cause != account.ByEntry {
		return d
	}
	if p.Account.Status == status {
		action = Update // disabled already: what changes is that names and address are free now
	}
	why := "no longer in the directory"
	if p.State == match.OutOfScope {
		why = "out of scope: " + p.Why
	}
	if r.Incomplete {
		d.refuse(p, action, "%s, but the reading was not complete (%s)", why, r.Reason)
		return d
	}
	if r.Policy.NoDelete {
		d.refuse(p, action, "%s; `no-delete` is on", why)
		return d
	}
	if d.spares(p, r, action) {
		return d
	}
	after := *p.Account
	after.Status = status
	if action != Delete || !disabledHere(after.Cause) { // that outlasts the deletion: whoever comes back is disabled
		after.Cause = account.ByAbsence
	}
	d.Change, d.Keep = modification(p, action, &after, FieldStatus, why), false
	return d
}

// disabledHere is true of what nothing in the directory lifts. (A revert deletes as
// the operator.)
func disabledHere(c account.Cause) bool { return c == account.ByPolicy }

func create(p *match.Pair, r *Rules) Decision {
	var d Decision
	if r.Policy.NoCreate {
		d.refuse(p, Create, "`no-create` is on")
		return d
	}
	a := &account.Account{ID: p.NewID, Organization: r.Organization, Connection: r.Connection,
		ExternalID: string(p.ExternalID), Text: p.User.Text, Attributes: p.User.Attributes, Manager: p.Manager, Status: account.Active}
	if a.Text[account.Role] == "" {
		a.Text[account.Role] = r.Role
	}
	why := "new in the directory"
	if p.User.Disabled {
		a.Status, a.Cause = account.Disabled, account.ByEntry
		why += ", disabled there: " + p.User.StatusWhy
	}
	if r.Policy.CreateAsDisabled { // the stronger cause: an entry that is enabled later does not lift it
		a.Status, a.Cause = account.Disabled, account.ByPolicy
		why += "; `create-as-disabled` is on"
	}
	d.Change = &Change{Action: Create, Target: Account, Account: a.ID, Key: p.Key, ExternalID: p.ExternalID, Name: p.Name,
		After: a, Secret: p.HasSecret, Why: why}
	d.remarks(p)
	return d
}

// remarks notes what was left out, and when to look again.
func (d *Decision) remarks(p *match.Pair) {
	for _, w := range p.User.Warnings {
		d.note(p, Warning, w)
	}
	if p.Unresolved != "" {
		d.note(p, Unresolved, p.Unresolved)
	}
	if !p.User.ReviewAt.IsZero() {
		d.note(p, Due, "its status changes by itself")
		d.Notes[len(d.Notes)-1].DueAt = p.User.ReviewAt
	}
}

func change(p *match.Pair, r *Rules) Decision {
	var d Decision
	was := p.Account
	after := *was
	from := account.Account{Text: p.User.Text, Attributes: p.User.Attributes, Manager: p.Manager}
	managed := r.Managed
	if from.Text[account.Role] == "" {
		managed &^= Text(account.Role) // a role given here is not taken away by an empty one
	}
	managed.Overlay(&after, &from)
	after.Connection, after.ExternalID = r.Connection, string(p.ExternalID)

	action, why := Update, ""
	if p.How == match.Found {
		action, why = Link, "matched by "+p.By
		if was.Connection != r.Connection {
			why += ", taken over from " + was.Connection
		}
	}
	left := was.Cause == account.ByAbsence || was.Status == account.Deleted
	plain, plainWhy := action, why
	switch {
	case was.Status == account.Deleted:
		action, why = Restore, join(why, "back in the directory")
		after.Status, after.Cause = account.Active, account.NoCause
		if p.User.Disabled {
			after.Status, after.Cause = account.Disabled, account.ByEntry
			why = join(why, "disabled there: "+p.User.StatusWhy)
		}
		if disabledHere(was.Cause) {
			after.Status, after.Cause = account.Disabled, was.Cause
			why = join(why, "disabled here before it was deleted")
		}
	case was.Status == account.Active && p.User.Disabled:
		action, why = Disable, join(why, "disabled in the directory: "+p.User.StatusWhy)
		after.Status, after.Cause = account.Disabled, account.ByEntry
	case was.Status == account.Disabled && was.Cause == account.ByEntry && p.User.Unclear:
		// Disabled by a status that was clear: one that is not lets nobody in again.
	case was.Status == account.Disabled && !p.User.Disabled && (was.Cause == account.ByEntry || left):
		action = Enable
		if left {
			why = join(why, "back in the directory")
		} else {
			why = join(why, "no longer disabled in the directory")
		}
		after.Status, after.Cause = account.Active, account.NoCause
	case was.Status == account.Disabled && left:
		// No longer a leaver: their names are theirs again.
		why = join(why, "back in the directory, disabled there: "+p.User.StatusWhy)
		after.Cause = account.ByEntry
	}
	if r.Incomplete && action == Disable {
		d.refuse(p, Disable, "the reading was not complete (%s)", r.Reason)
		action, why = plain, plainWhy
		after.Status, after.Cause = was.Status, was.Cause
	}
	if d.spares(p, r, action) {
		action, why = plain, plainWhy
		after.Status, after.Cause = was.Status, was.Cause
	}
	fields := Diff(was, &after)
	d.limitIncomplete(p, r, &fields, &after)
	if fields == 0 && !p.HasSecret {
		d.Keep = true
		d.remarks(p)
		return d
	}
	if r.Policy.NoUpdate {
		allowed := Fields(0)
		if left {
			allowed = FieldStatus | FieldLink // undoing a removal is not an update
		}
		names := (fields &^ allowed).Names()
		if p.HasSecret {
			names = append(names, "password")
		}
		if len(names) > 0 {
			d.refuse(p, action, "%s; `no-update` is on", strings.Join(names, ", "))
		}
		fields = Diff(was, &after) & allowed
		if fields == 0 {
			d.Keep = true
			return d
		}
	}
	if why == "" {
		why = ChangedThere
	}
	secret := p.HasSecret && !r.Policy.NoUpdate
	if secret {
		why = join(why, NewPassword)
	}
	d.Change = modification(p, action, &after, fields, why)
	d.Change.Secret = secret
	d.remarks(p)
	return d
}

// limitIncomplete takes out of a change what an incomplete reading must not empty.
func (d *Decision) limitIncomplete(p *match.Pair, r *Rules, fields *Fields, after *account.Account) {
	if !r.Incomplete {
		return
	}
	if cleared := fields.Cleared(p.Account, after); cleared != 0 {
		d.refuse(p, Update, "%s would be emptied, but the reading was not complete (%s)", strings.Join(cleared.Names(), ", "), r.Reason)
		cleared.Overlay(after, p.Account)
		*fields &^= cleared
	}
}

func modification(p *match.Pair, action Action, after *account.Account, fields Fields, why string) *Change {
	return &Change{Action: action, Target: Account, Account: p.Account.ID, Key: p.Key, ExternalID: p.ExternalID, Name: p.Name,
		Version: p.Account.Version, Fields: fields, Before: fields.Only(p.Account), After: fields.Only(after), Why: why}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
