package engine

import (
	"context"
	"fmt"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Approve applies a stored plan: exactly its rows, less the excluded ones. It
// refuses when what the plan was made from has moved.
func (e *Engine) Approve(ctx context.Context, c setting.Connection, id string, exclude []int64, o Options) (*Result, error) {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return &Result{}, err
	}
	var out Result
	if c.Policy.DryRun {
		return &out, fault.New(fault.Denied, "connection %s is in dry-run; no plan of it is applied", c.Alias).
			WithHint("set dry-run to false in its settings first")
	}
	err = e.hold(ctx, c, &o, func(ctx context.Context, lease mirror.Lease) error {
		made, err := e.Store.Plans().Get(ctx, id)
		if err != nil {
			return err
		}
		out.Plan = made
		if err := e.current(ctx, c, made); err != nil {
			return err
		}
		if err := e.approvable(ctx, c, made, exclude); err != nil {
			return err
		}
		if err := e.verify(ctx, made); err != nil {
			return err
		}
		run, err := e.runOf(ctx, c, lease, made, o)
		if err != nil {
			return err
		}
		out.Run = run
		made.Run, run.Plan = &run.ID, &made.ID
		err = e.Store.Plans().Start(ctx, lease, made, exclude, run)
		if err == nil {
			err = e.carryOut(ctx, lease, c, made, run, o)
		}
		if err != nil {
			return e.failed(ctx, lease, run, err)
		}
		return nil
	})
	return &out, e.prune(ctx, err)
}

// current refuses a plan whose basis has moved.
func (e *Engine) current(ctx context.Context, c setting.Connection, made *Plan) error {
	stale := func(format string, args ...any) error {
		return fault.New(fault.Conflict, "plan %s is stale: %s", made.ID, fmt.Sprintf(format, args...)).
			WithHint("make a new one with `rollcall plan %s`; nothing was changed", c.Alias)
	}
	if made.State != plan.Ready && made.State != plan.Waiting {
		return fault.New(fault.Conflict, "plan %s is %s; only a plan that is ready or held can be applied", made.ID, made.State).
			WithHint("make a new one with `rollcall plan %s`", c.Alias)
	}
	if err := basisComplete(c); err != nil {
		return err
	}
	state, err := e.Store.Leases().State(ctx, c.Alias)
	if err != nil {
		return err
	}
	owners, err := e.owners(ctx, c)
	if err != nil {
		return err
	}
	kind, ok := e.Kinds(c.Kind)
	switch {
	case !ok:
		return fault.New(fault.Invalid, "connection %s: there is no source %q", c.Alias, c.Kind)
	case made.Basis.Reverts == "" && state.Generation != made.Basis.Generation:
		return stale("the directory was read again since, and has changed")
	case made.Basis.Draft != "" && made.Basis.Draft != draftOf(c, kind):
		return stale("it was made with settings that are not those of the connection")
	case c.Backend.String(source.RemoteBasis) == source.UnknownBasis:
		return fault.New(fault.Unavailable, "connection %s: none of its agents is connected here, so whether it reads what the plan was made from is not known", c.Alias).
			WithHint("look at the agent in the customer's network, and decide again once it is connected; a command without a server needs --server URL --api-key KEY")
	case made.Basis.Config != configOf(c, kind):
		return stale("the connection's settings have changed since")
	case made.Basis.Reverts == "" && made.Basis.Owners != owners:
		return stale("the owner of what several connections claim was declared anew since")
	}
	return e.untouched(ctx, made, stale)
}

// untouched checks that every account of the plan is as it was then.
func (e *Engine) untouched(ctx context.Context, made *Plan, stale func(string, ...any) error) error {
	for seq := range made.Chunks {
		body, err := e.Store.Plans().Chunk(ctx, made.ID, "changes", seq)
		if err != nil {
			return err
		}
		changes, err := plan.Changes(body)
		if err != nil {
			return err
		}
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
		for i := range changes {
			ch := &changes[i]
			if ch.Target != plan.Account {
				continue
			}
			a := have[ch.Account]
			switch {
			case a == nil && ch.Action != plan.Create:
				return stale("account %s (%s) no longer exists", ch.Account, ch.Name)
			case a != nil && ch.Action == plan.Create:
				return stale("account %s (%s) exists by now", ch.Account, ch.Name)
			case a != nil && a.Version != ch.Version:
				return stale("account %s was changed since", a.Text[account.Username])
			}
		}
	}
	return nil
}

// approvable refuses what a person cannot decide: seats that do not exist, and
// rows that are not in the plan.
func (e *Engine) approvable(ctx context.Context, c setting.Connection, made *Plan, exclude []int64) error {
	excluded := map[int64]bool{}
	for _, seq := range exclude {
		excluded[seq] = true
	}
	summary := made.Summary
	rows := int64(0)
	err := e.EachChange(ctx, made, func(ch *plan.Change) error {
		rows = ch.Seq + ch.Rows() - 1
		kept := apply.Without([]plan.Change{*ch}, excluded)
		if len(kept) == 0 || kept[0].Rows() != ch.Rows() {
			summary.Uncount(ch)
			if len(kept) == 1 {
				summary.Count(&kept[0])
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, seq := range exclude {
		if seq < 1 || seq > rows {
			return fault.New(fault.Invalid, "plan %s has no row %d; its rows are 1 to %d", made.ID, seq, rows)
		}
	}
	if err := e.freed(ctx, made, excluded); err != nil {
		return err
	}
	facts, err := e.Store.Accounts().Facts(ctx, c.Organization, c.Alias)
	if err != nil {
		return err
	}
	made.Summary.SeatsNeeded = facts.Seats + made.Summary.Seats // others came and went since
	if text := safeguard.Licence(&summary, facts); text != "" {
		return fault.New(fault.Held, "plan %s cannot be approved: %s", made.ID, text).
			WithHint("exclude people with --exclude, or raise licence_limit of organization %s", c.Organization)
	}
	return nil
}

// freed refuses to leave out a row that frees a username or e-mail address which
// another row takes: both accounts would carry it.
func (e *Engine) freed(ctx context.Context, made *Plan, excluded map[int64]bool) error {
	kept := map[string]int64{} // a name an excluded row would have freed, and that row
	var ids []account.ID
	rows := map[account.ID]int64{}
	err := e.EachChange(ctx, made, func(ch *plan.Change) error {
		if ch.Target == plan.Account && excluded[ch.Seq] && ch.Action != plan.Create {
			ids = append(ids, ch.Account)
			rows[ch.Account] = ch.Seq
		}
		return nil
	})
	if err != nil || len(ids) == 0 {
		return err
	}
	have, err := e.Store.Accounts().Fetch(ctx, ids)
	if err != nil {
		return err
	}
	for id, a := range have {
		if a.Left() {
			continue // whose person left holds no name
		}
		for _, f := range [...]account.Field{account.Username, account.Email} {
			kept[f.String()+"\x00"+account.Fold(a.Text[f])] = rows[id]
		}
	}
	return e.EachChange(ctx, made, func(ch *plan.Change) error {
		if ch.Target != plan.Account || excluded[ch.Seq] || ch.After == nil {
			return nil
		}
		for _, f := range [...]account.Field{account.Username, account.Email} {
			if ch.Action != plan.Create && !ch.Fields.Has(plan.Text(f)) {
				continue
			}
			if row, ok := kept[f.String()+"\x00"+account.Fold(ch.After.Text[f])]; ok {
				return fault.New(fault.Invalid, "plan %s: row %d takes the %s %q, which row %d frees", made.ID, ch.Seq, f, ch.After.Text[f], row).
					WithHint("exclude both rows or neither")
			}
		}
		return nil
	})
}

// runOf is the queued run, the held run the plan belongs to, or a new one.
func (e *Engine) runOf(ctx context.Context, c setting.Connection, lease mirror.Lease, made *Plan, o Options) (*Run, error) {
	if o.Run == "" && made.Run != nil {
		run, err := e.Store.Runs().Get(ctx, *made.Run)
		if err != nil {
			return nil, err
		}
		if run.State == RunHeld {
			run.State, run.FinishedAt, run.Error, run.Actor = RunRunning, nil, nil, o.Actor
			return run, e.Store.Runs().Save(ctx, lease, run)
		}
	}
	o.Trigger = "approve"
	return e.start(ctx, c, lease, o, nil)
}

// Reject ends a plan that waits. Its changes are proposed again by the next.
func (e *Engine) Reject(ctx context.Context, c setting.Connection, id, actor string) (*Plan, error) {
	var made *Plan
	err := e.hold(ctx, c, nil, func(ctx context.Context, lease mirror.Lease) error {
		var err error
		if made, err = e.Store.Plans().Get(ctx, id); err != nil {
			return err
		}
		if err := e.Store.Plans().Reject(ctx, lease, made, actor); err != nil {
			return err
		}
		made.State = plan.Rejected
		return nil
	})
	return made, err
}

// Reset forgets a connection's bookmark and the contents of its mirror: the next
// reading is a full one and every entry is planned anew. No account is touched.
func (e *Engine) Reset(ctx context.Context, c setting.Connection, actor string) error {
	return e.hold(ctx, c, nil, func(ctx context.Context, lease mirror.Lease) error {
		return e.Store.Mirror().Reset(ctx, lease, c.Organization, actor, e.now())
	})
}
