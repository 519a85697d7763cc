package engine

import (
	"context"
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// Revert undoes an applied run by a new plan: attributes, status and
// memberships go back to what they were before it. What somebody changed since
// is left alone and noted. With only set, the plan is made and not applied.
//
// The person who reverts has named the run, so limits do not hold the plan; the
// next plan from the directory is held instead, as it may do the same again.
func (e *Engine) Revert(ctx context.Context, c setting.Connection, id string, only bool, o Options) (*Result, error) {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return &Result{}, err
	}
	var out Result
	if c.Policy.DryRun && !only {
		return &out, inDryRun(c)
	}
	if err := basisComplete(c); err != nil {
		return &out, err
	}
	err = e.hold(ctx, c, &o, func(ctx context.Context, lease mirror.Lease) error {
		target, err := e.revertible(ctx, c, id)
		if err != nil {
			return err
		}
		var run *Run
		if !only {
			o.Trigger = "revert"
			if run, err = e.start(ctx, c, lease, o, func(r *Run) { r.Reverts = &target.ID }); err != nil {
				return err
			}
		}
		out.Run = run
		if out.Plan, err = e.planRevert(ctx, c, lease, target, run); err == nil && run != nil {
			err = e.applyRevert(ctx, c, lease, out.Plan, run, o)
		}
		if err != nil && run != nil {
			return e.failed(ctx, lease, run, err)
		}
		return err
	})
	return &out, e.prune(ctx, err)
}

func (e *Engine) revertible(ctx context.Context, c setting.Connection, id string) (*Run, error) {
	run, err := e.Store.Runs().Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if run.Connection != c.Alias {
		return nil, fault.New(fault.NotFound, "connection %s has no run %s", c.Alias, id)
	}
	if run.State != RunApplied || run.Plan == nil {
		return nil, fault.New(fault.Conflict, "run %s is %s; only an applied run can be reverted", run.ID, run.State)
	}
	done, err := e.Store.Plans().Get(ctx, *run.Plan)
	if err == nil && done.Pruned {
		err = done.Gone()
		return nil, fault.New(fault.Conflict, "run %s cannot be reverted any more: %w", run.ID, err).WithHint("%s", fault.HintOf(err))
	}
	return run, err
}

func (e *Engine) applyRevert(ctx context.Context, c setting.Connection, lease mirror.Lease, made *Plan, run *Run, o Options) error {
	run.Plan, run.Summary = &made.ID, &made.Summary
	if made.Verdict == plan.Held {
		return e.holdRun(ctx, lease, run, made.HeldBecause[0])
	}
	if err := e.verify(ctx, made); err != nil {
		return err
	}
	err := e.Store.Plans().Start(ctx, lease, made, nil, run)
	if fault.KindOf(err) == fault.Held { // others took the seats since it was judged
		return e.holdRun(ctx, lease, run, err.Error())
	}
	if err != nil {
		return err
	}
	return e.carryOut(ctx, lease, c, made, run, o)
}

func (e *Engine) planRevert(ctx context.Context, c setting.Connection, lease mirror.Lease, target, run *Run) (*Plan, error) {
	state, err := e.Store.Leases().State(ctx, c.Alias)
	if err != nil {
		return nil, err
	}
	kind, _ := e.Kinds(c.Kind)
	now := e.now()
	made, err := e.newPlan(c, plan.Basis{Generation: state.Generation, Config: configOf(c, kind), At: now, Reverts: target.ID}, run, now)
	if err != nil {
		return nil, err
	}
	if err := e.Store.Plans().Begin(ctx, lease, made); err != nil {
		return nil, err
	}
	p := &pass{e: e, c: c, lease: lease, rules: nil}
	keep := func(part string) func(plan.Chunk) error {
		return func(c plan.Chunk) error {
			return e.Store.Plans().Append(ctx, lease, made.ID, part, c)
		}
	}
	b := &builder{ctx: ctx, p: p, plan: made, changes: plan.NewWriter(made.BasisText, keep("changes")), notes: plan.NewWriter(nil, keep("notes"))}
	defer b.stop()
	if err := e.undo(ctx, target, b); err != nil {
		return nil, err
	}
	facts, err := e.Store.Accounts().Facts(ctx, c.Organization, c.Alias)
	if err != nil {
		return nil, err
	}
	// A person named the run to undo: of the safeguards only the seats remain.
	none := setting.Limits{Removals: 1, MembershipRemovals: 1, GroupRemovals: 1, IdentityChanges: 1}
	facts.Users, facts.GroupRows = 1, 1 // the reading is not judged
	return made, e.finish(ctx, lease, made, b, facts, none)
}

// undo writes the inverse of every change the run made.
func (e *Engine) undo(ctx context.Context, target *Run, b *builder) error {
	done, err := e.Store.Plans().Get(ctx, *target.Plan)
	if err != nil {
		return err
	}
	excluded, err := e.Store.Plans().Excluded(ctx, done.ID)
	if err != nil {
		return err
	}
	failed := map[directory.Digest]bool{}
	err = e.Store.Plans().Notes(ctx, done.ID, func(n plan.Note) error {
		if n.Kind == plan.Failed {
			failed[n.Key] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	groups, err := e.Store.Accounts().Groups(ctx, target.Connection)
	if err != nil {
		return err
	}
	// Whom the run brought, or brought back, goes again and gives their names free; who got
	// another name gives that one back.
	gives := map[account.ID]plan.Fields{}
	err = e.EachChange(ctx, done, func(c *plan.Change) error {
		if a := opposite[c.Action]; c.Target == plan.Account && !excluded[c.Seq] && !failed[c.Key] {
			gives[c.Account] = c.Fields
			if a == plan.Delete || a == plan.Disable {
				gives[c.Account] = plan.Text(account.Username) | plan.Text(account.Email)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	each := func(b *builder) error {
		for seq := range done.Chunks {
			body, err := e.Store.Plans().Chunk(ctx, done.ID, "changes", seq)
			if err != nil {
				return err
			}
			changes, err := plan.Changes(body)
			if err != nil {
				return err
			}
			if err := e.undoChunk(ctx, apply.Without(changes, excluded), failed, gives, groups, target, b); err != nil {
				return err
			}
		}
		return nil
	}
	// Who is refused keeps their names, which may refuse the next one: until nobody more is.
	for before := -1; before != len(gives); {
		before = len(gives)
		if err := each(nil); err != nil {
			return err
		}
	}
	return each(b)
}

// undoChunk writes the inverse of a chunk; without a builder it only takes out of gives
// whose change is not undone.
func (e *Engine) undoChunk(ctx context.Context, changes []plan.Change, failed map[directory.Digest]bool, gives map[account.ID]plan.Fields, groups map[account.ID]account.Group, target *Run, b *builder) error {
	var ids []account.ID
	for i := range changes {
		if changes[i].Target == plan.Account {
			ids = append(ids, changes[i].Account)
		}
	}
	have, err := e.Store.Accounts().Fetch(ctx, ids)
	if err != nil {
		return err
	}
	backs, refusals := make([]*plan.Change, len(changes)), make([]string, len(changes))
	for i := range changes {
		if c := &changes[i]; c.Target == plan.Membership || !failed[c.Key] {
			backs[i], refusals[i] = inverse(c, target.Connection, have[c.Account], groups[c.Group])
		}
	}
	holders, err := e.holders(ctx, target.Organization, backs, have)
	if err != nil {
		return err
	}
	for i := range changes {
		c, back, refused := &changes[i], backs[i], refusals[i]
		if back != nil && refused == "" {
			refused = givenAway(back, have[c.Account], holders, gives)
		}
		if b == nil {
			if refused != "" {
				delete(gives, c.Account)
			}
			continue
		}
		if refused != "" {
			if err := b.note(plan.Note{Kind: plan.Refused, Key: c.Key, Name: c.Name, ExternalID: c.ExternalID, Account: c.Account, Text: refused}); err != nil {
				return err
			}
			continue
		}
		if c.Target == plan.Account && c.Secret && c.Action != plan.Create {
			if err := b.note(plan.Note{Kind: plan.Warning, Key: c.Key, Name: c.Name, ExternalID: c.ExternalID, Account: c.Account, Text: passwordStays}); err != nil {
				return err
			}
		}
		if back != nil && back.Target == plan.Membership {
			var others int
			if back.Members, others, err = e.undone(ctx, target.Connection, back); err != nil {
				return err
			}
			if others > 0 {
				if err := b.note(plan.Note{Kind: plan.Refused, Key: c.Key, Name: c.Name, Text: fmt.Sprintf("add: others keep the accounts of %d who were in it", others)}); err != nil {
					return err
				}
			}
		}
		if back != nil && (back.Target != plan.Membership || len(back.Members) > 0) {
			back.Why = "undoes run " + target.ID
			if err := b.emit(back); err != nil {
				return err
			}
		}
	}
	return nil
}

// undone leaves out of memberships to be undone those that are as they were already, and
// counts who is not added because the connection does not keep their account any more.
func (e *Engine) undone(ctx context.Context, connection string, back *plan.Change) (members []account.ID, others int, err error) {
	in := map[account.ID]bool{}
	err = e.Store.Accounts().GroupsOf(ctx, connection, back.Members, func(group, id account.ID) {
		in[id] = in[id] || group == back.Group
	})
	if err != nil {
		return nil, 0, err
	}
	have, err := e.Store.Accounts().Fetch(ctx, back.Members)
	for _, id := range back.Members {
		switch a := have[id]; {
		case in[id] == (back.Action == plan.Add):
		case back.Action == plan.Add && a != nil && a.Connection != connection:
			others++
		default:
			members = append(members, id)
		}
	}
	return members, others, err
}

// givesBack is the name that an undone change gives back to an account, "" where there is none.
func givesBack(back *plan.Change, now *account.Account, f account.Field) string {
	if back == nil || back.Target != plan.Account || now == nil {
		return ""
	}
	is := *now
	back.Fields.Overlay(&is, back.After)
	if is.Left() || !now.Left() && !back.Fields.Has(plan.Text(f)) {
		return ""
	}
	return is.Text[f]
}

// holders gives the accounts that have names which undone changes give back, by name.
func (e *Engine) holders(ctx context.Context, organization string, backs []*plan.Change, have map[account.ID]*account.Account) (map[string][]match.Holder, error) {
	var usernames, emails []string
	for _, back := range backs {
		if back == nil {
			continue
		}
		if name := givesBack(back, have[back.Account], account.Username); name != "" {
			usernames = append(usernames, account.Fold(name))
		}
		if name := givesBack(back, have[back.Account], account.Email); name != "" {
			emails = append(emails, account.Fold(name))
		}
	}
	list, err := e.Store.Accounts().Holders(ctx, organization, usernames, emails, nil)
	out := map[string][]match.Holder{}
	for _, h := range list {
		out["username "+h.UsernameKey] = append(out["username "+h.UsernameKey], h)
		out["email "+h.EmailKey] = append(out["email "+h.EmailKey], h)
	}
	return out, err
}

// givenAway says which name that an undone change would give back belongs to somebody
// else by now; "" where none does.
func givenAway(back *plan.Change, now *account.Account, holders map[string][]match.Holder, gives map[account.ID]plan.Fields) string {
	for _, f := range [...]account.Field{account.Username, account.Email} {
		name := givesBack(back, now, f)
		if name == "" {
			continue
		}
		for _, h := range holders[f.String()+" "+account.Fold(name)] {
			if h.ID != now.ID && !h.Leaver() && !gives[h.ID].Has(plan.Text(f)) {
				return fmt.Sprintf("its %s %q belongs to account %s by now", f, name, h.Username)
			}
		}
	}
	return ""
}

// passwordStays is said of accounts whose password the run changed.
const passwordStays = "its password stays the one that the run gave it, the one before is not kept; `rollcall accounts password-link` lets its owner choose another"

var opposite = map[plan.Action]plan.Action{
	plan.Create: plan.Delete, plan.Delete: plan.Restore, plan.Restore: plan.Delete, plan.Disable: plan.Enable, plan.Enable: plan.Disable,
	plan.Update: plan.Update, plan.Link: plan.Update, plan.Add: plan.Remove, plan.Remove: plan.Add,
}

// inverse gives the change that undoes c, of a run of a connection, or says why it is left
// alone. Both are empty where there is nothing to undo.
func inverse(c *plan.Change, connection string, now *account.Account, group account.Group) (back *plan.Change, refused string) {
	back = &plan.Change{Action: opposite[c.Action], Target: c.Target, Account: c.Account, Group: c.Group, Key: c.Key, ExternalID: c.ExternalID, Name: c.Name}
	switch c.Target {
	case plan.Membership:
		back.Members, back.Version = c.Members, 1
		return back, ""
	case plan.Group:
		if group.ID.IsZero() {
			return nil, "the group no longer exists"
		}
		if group.Status == account.Deleted && c.Action != plan.Delete {
			return nil, "the group was deleted since"
		}
		if group.Name != c.GroupName[1] {
			return nil, "the group was changed since"
		}
		back.Version, back.GroupName = group.Version, [2]string{c.GroupName[1], c.GroupName[0]}
		if c.Action == plan.Create {
			back.GroupName[1] = c.GroupName[1]
		}
		return back, ""
	case plan.Account:
	}
	if now == nil {
		return nil, "the account no longer exists"
	}
	if c.Fields.Has(plan.FieldLink) {
		connection = c.After.Connection
	}
	if now.Connection != connection && now.Connection != account.Local { // its directory says how it is, and is not asked again
		return nil, "the account is kept by " + now.Connection + " by now"
	}
	back.Version = now.Version
	if now.ExternalID != "" { // the entry it has now is looked at again
		back.ExternalID = directory.ExternalID(now.ExternalID)
		back.Key = directory.KeyOf(directory.User, back.ExternalID)
	}
	if c.Action == plan.Create {
		if now.Status == account.Deleted {
			return nil, ""
		}
		after := *now
		after.Status, after.Cause = account.Deleted, account.ByOperator
		back.Fields = plan.FieldStatus
		back.Before, back.After = back.Fields.Only(now), back.Fields.Only(&after)
		return back, ""
	}
	if moved := plan.Diff(now, overlaid(now, c)) & c.Fields; moved != 0 {
		return nil, "changed since: " + strings.Join(moved.Names(), ", ")
	}
	if c.Fields == 0 {
		return nil, "" // only a password was set; the one before is not kept
	}
	back.Fields, back.Before, back.After = c.Fields, c.After, c.Before
	return back, ""
}

// overlaid is the account with the fields of a change as it left them.
func overlaid(now *account.Account, c *plan.Change) *account.Account {
	a := *now
	c.Fields.Overlay(&a, c.After)
	return &a
}
