// Package engine is the pass: it takes one connection's directory through every
// stage, from reading to applied changes, and hands runs and plans on to the
// command line and the endpoints.
//
//	reading -> mirror -> mapping -> scope -> match -> plan -> safeguard -> apply -> events
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Engine runs passes. It keeps nothing between them; the store does.
type Engine struct {
	Store   Store
	Kinds   func(name string) (source.Kind, bool)
	Secrets mirror.Secrets
	Env     source.Env
	// Connections are those of an organization: overlaps are judged by both sides'
	// settings. Their secrets need not be opened.
	Connections func(ctx context.Context, organization string) ([]setting.Connection, error)
	// Remotes finds the agents a connection is read through; nil where there are none.
	Remotes source.Remotes
	// Uploads gives the newest file given to a connection through the API.
	Uploads func(ctx context.Context, connection string) (io.ReadCloser, error)
	// Pushed gives what clients pushed to a connection.
	Pushed    func(connection string) source.Pushed
	Retention setting.Retention
	Now       func() time.Time
}

// Progress tells where a pass stands. A pass tells of phase, done and total; the
// rest is added by whoever keeps it for others to see.
type Progress struct {
	Phase     string    `json:"phase"` // "waiting", "reading", "planning", "applying"
	Done      int       `json:"done"`
	Total     int       `json:"total"`               // 0 while unknown
	WaitsFor  string    `json:"waits_for,omitempty"` // what a waiting run waits for, where it is not just its turn
	UpdatedAt time.Time `json:"updated_at"`
}

// Options of one pass.
type Options struct {
	Full     bool   // read everything, whatever the bookmark
	Who      string // read this one person alone: a name, DN, e-mail or external ID
	Actor    string
	Trigger  string
	Progress func(Progress)
	// Run is the ID of a run that was queued and begins with this pass; "" makes
	// a new one.
	Run   string
	draft bool              // the settings are not saved: see Preview
	given *directory.Record // read this one, who is here already: see Door
}

func (o *Options) report(p Progress) {
	if o.Progress != nil {
		o.Progress(p)
	}
}

// Result of a pass: the plan, and the run where one was made.
type Result struct {
	Plan *Plan
	Run  *Run
}

func (e *Engine) now() time.Time { return e.Now().UTC().Truncate(time.Microsecond) }

// Plan reads a connection and plans, and applies nothing. The plan is kept; it
// can be looked at and approved.
func (e *Engine) Plan(ctx context.Context, c setting.Connection, o Options) (*Result, error) {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return &Result{}, err
	}
	var out Result
	err = e.hold(ctx, c, nil, func(ctx context.Context, lease mirror.Lease) error {
		p, err := e.prepare(ctx, c, lease, o)
		if err != nil {
			return err
		}
		defer p.close()
		if _, err := p.read(ctx); err != nil {
			return err
		}
		out.Plan, err = p.make(ctx, nil)
		return err
	})
	return &out, err
}

// Sync reads, plans and applies. A plan over a limit is held, and so is every
// plan under dry-run. A pass that ended half applied is carried on first.
func (e *Engine) Sync(ctx context.Context, c setting.Connection, o Options) (*Result, error) {
	var out Result
	settled, unsettled := e.Settled(ctx, c)
	if unsettled == nil {
		c = settled
	}
	err := e.hold(ctx, c, &o, func(ctx context.Context, lease mirror.Lease) (err error) {
		// First: a directory that cannot be reached, or lets nobody in, is a run that failed.
		if out.Run, err = e.start(ctx, c, lease, o, nil); err != nil {
			return err
		}
		if unsettled != nil {
			return e.failed(ctx, lease, out.Run, unsettled)
		}
		p, err := e.prepare(ctx, c, lease, o)
		if err != nil {
			return e.failed(ctx, lease, out.Run, err)
		}
		defer p.close()
		if out.Plan, err = p.pass(ctx, out.Run); err != nil {
			return e.failed(ctx, lease, out.Run, err)
		}
		return nil
	})
	return &out, e.prune(ctx, err)
}

// HeldByDryRun is why a run is held that nobody is waited for.
const HeldByDryRun = "dry-run is on for this connection: nothing is written"

// pruning is how many transactions of each kind the end of a run spends on what
// is no longer kept. What is left is for the next one.
const pruning = 50

// prune takes away what is no longer kept, after a run that ended well. One that
// is interrupted meanwhile has ended well all the same.
func (e *Engine) prune(ctx context.Context, err error) error {
	if err != nil || e.Retention == (setting.Retention{}) {
		return err
	}
	if _, err = e.Store.Prune(ctx, e.Retention, e.now(), pruning); err == nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the run has ended well, but what is older than `retention` says could not be pruned: %w", err)
}

func (p *pass) pass(ctx context.Context, run *Run) (*Plan, error) {
	report, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	run.Reading = report
	made, err := p.make(ctx, run)
	if err != nil {
		return nil, err
	}
	run.Plan, run.Summary = &made.ID, &made.Summary
	switch {
	case made.Verdict == plan.Nothing:
		return made, p.settleNothing(ctx, made, run)
	case made.Verdict == plan.Held:
		return made, p.e.holdRun(ctx, p.lease, run, made.HeldBecause[0])
	case p.c.Policy.DryRun:
		return made, p.e.holdRun(ctx, p.lease, run, HeldByDryRun)
	}
	return made, p.apply(ctx, made, run, nil)
}

// settleNothing: there is nothing to write, so the basis becomes the
// connection's own and the run is applied.
func (p *pass) settleNothing(ctx context.Context, made *Plan, run *Run) error {
	if p.c.Policy.DryRun {
		summary := made.Summary
		summary.Purge, run.Summary = 0, &summary // that is not done either
		run.end(RunApplied, p.e.now(), "")
		return p.e.Store.Runs().Save(ctx, p.lease, run)
	}
	return p.apply(ctx, made, run, nil)
}

func (r *Run) end(state RunState, at time.Time, text string) {
	r.State, r.FinishedAt = state, &at
	if text != "" {
		r.Error = &text
	}
}

func (e *Engine) holdRun(ctx context.Context, lease mirror.Lease, run *Run, why string) error {
	run.end(RunHeld, e.now(), why)
	return e.Store.Runs().Save(ctx, lease, run)
}

// apply carries out a plan and ends its run.
func (p *pass) apply(ctx context.Context, made *Plan, run *Run, excluded []int64) error {
	made.Run = &run.ID
	if err := p.e.verify(ctx, made); err != nil {
		return err
	}
	err := p.e.Store.Plans().Start(ctx, p.lease, made, excluded, run)
	if fault.KindOf(err) == fault.Held { // others took the seats since it was judged
		return p.e.holdRun(ctx, p.lease, run, err.Error())
	}
	if err != nil {
		return err
	}
	return p.e.carryOut(ctx, p.lease, p.c, made, run, p.o)
}

// carryOut applies the chunks that are not written yet, from wherever an earlier
// attempt stopped.
func (e *Engine) carryOut(ctx context.Context, lease mirror.Lease, c setting.Connection, made *Plan, run *Run, o Options) error {
	excluded, err := e.Store.Plans().Excluded(ctx, made.ID)
	if err != nil {
		return err
	}
	stored := made.stored()
	stored.Excluded = excluded
	batch := apply.Batch{Lease: lease, Organization: c.Organization, Run: run.ID, Plan: made.ID, Actor: run.Actor, Basis: made.Basis}
	if made.Basis.Reverts == "" {
		batch.Match = match.Further(c.Match)
	}
	total := made.Summary.Changes()
	o.report(Progress{Phase: "applying", Total: total})
	failed, err := e.failedBefore(ctx, made)
	if err != nil {
		return err
	}
	more, err := apply.Run(ctx, batch, stored, e.Store.Plans(), e.Store.Ledger(), func(rows int64) {
		o.report(Progress{Phase: "applying", Done: int(rows), Total: total})
	})
	if err != nil {
		return err
	}
	failed = append(failed, more...)
	summary := made.Summary
	rows := map[int64]bool{}
	for _, o := range failed {
		rows[o.Change.Seq] = true
	}
	extra, err := e.leftOut(ctx, made, excluded, rows, &summary)
	if err != nil {
		return err
	}
	if summary.Purge = 0; purges(c) && made.Summary.Purge > 0 && made.Basis.Reverts == "" && made.Basis.Complete {
		spare := make([]account.ID, len(extra))
		for i := range extra {
			spare[i] = extra[i].Account
		}
		if summary.Purge, err = e.Store.Ledger().Purge(ctx, batch, purgedBefore(c, made.Basis), spare); err != nil {
			return err
		}
	}
	for _, o := range failed {
		summary.Uncount(o.Change)
		summary.Failed++
	}
	run.Summary, run.Plan = &summary, &made.ID
	run.end(RunApplied, e.now(), "")
	return e.Store.Plans().Complete(ctx, lease, made, run, extra)
}

// failedBefore gives what an earlier process could not write of a plan that is carried on:
// the run is told of as a whole, whoever did which part of it.
func (e *Engine) failedBefore(ctx context.Context, made *Plan) ([]apply.Outcome, error) {
	if made.Applied == 0 {
		return nil, nil
	}
	left := map[int64]plan.Note{} // by the first row of the change
	err := e.Store.Plans().Notes(ctx, made.ID, func(n plan.Note) error {
		if n.Kind == plan.Failed && n.First > 0 {
			left[n.First] = n
		}
		return nil
	})
	if err != nil || len(left) == 0 {
		return nil, err
	}
	var out []apply.Outcome
	err = e.EachChange(ctx, made, func(c *plan.Change) error {
		n, ok := left[c.Seq]
		if !ok {
			return nil
		}
		one := *c
		if one.Target == plan.Membership {
			one.Members = one.Members[:min(n.Rows, one.Rows())] // which of them is told of by the note
		}
		out = append(out, apply.Outcome{Change: &one, Failed: n.Text})
		return nil
	})
	return out, err
}

// purges reports whether runs of a connection end accounts that are flagged deleted.
func purges(c setting.Connection) bool { return c.Policy.PurgeAfter > 0 && !c.Policy.NoDelete }

// purgedBefore is since when accounts are flagged deleted that a plan ends. It is reckoned
// from the plan, however much later somebody approves it: that many were shown.
func purgedBefore(c setting.Connection, basis plan.Basis) time.Time {
	return basis.At.Add(-c.Policy.PurgeAfter)
}

func (p *Plan) stored() *apply.Stored {
	return &apply.Stored{ID: p.ID, Hash: p.Hash, Chunks: p.Chunks, Applied: p.Applied, BasisText: p.BasisText, Basis: p.Basis}
}

// verify refuses a plan that is not what its hash says. It comes before a plan is
// started: one that was started is carried on until it is done.
func (e *Engine) verify(ctx context.Context, made *Plan) error {
	return apply.Verify(ctx, made.stored(), e.Store.Plans())
}

// leftOut takes the rows a person excluded out of the counts and keeps them
// open, so that later plans propose them again.
func (e *Engine) leftOut(ctx context.Context, made *Plan, excluded, failed map[int64]bool, summary *plan.Summary) ([]plan.Note, error) {
	var notes []plan.Note
	if made.Basis.Reverts != "" {
		// What was undone differs from the directory: look at it again next time.
		err := e.EachChange(ctx, made, func(c *plan.Change) error {
			// Of rows that were not carried out it is said why, and no more.
			if c.Key != ([16]byte{}) && !failed[c.Seq] && (c.Target == plan.Membership || !excluded[c.Seq]) {
				text := "run " + made.Basis.Reverts + " was reverted"
				if c.Target == plan.Account && c.Fields.Has(plan.FieldLink) && c.After.Connection != made.Connection {
					text = plan.WentTo + c.After.Connection // whose groups here are to be left
				}
				notes = append(notes, plan.Note{Kind: plan.Excluded, Key: c.Key, Name: c.Name, ExternalID: c.ExternalID, Account: c.Account, Text: text})
				// And the entry that the account goes back to, where that is another one.
				if c.Target == plan.Account && c.Fields.Has(plan.FieldLink) && c.After != nil && c.After.Connection == made.Connection {
					id := directory.ExternalID(c.After.ExternalID)
					notes = append(notes, plan.Note{Kind: plan.Excluded, Key: directory.KeyOf(directory.User, id), Name: c.Name, ExternalID: id, Account: c.Account,
						Text: "run " + made.Basis.Reverts + " was reverted"})
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(excluded) == 0 {
		return notes, nil
	}
	err := e.EachChange(ctx, made, func(c *plan.Change) error {
		whole := *c
		kept := apply.Without([]plan.Change{*c}, excluded)
		if len(kept) == 1 && kept[0].Rows() == whole.Rows() {
			return nil
		}
		if c.Target == plan.Account && c.Before != nil && c.Fields.Has(plan.FieldLink) && c.Before.Connection == made.Connection {
			// The account stays with the entry it had; that one is looked at again too.
			id := directory.ExternalID(c.Before.ExternalID)
			notes = append(notes, plan.Note{Kind: plan.Excluded, Key: directory.KeyOf(directory.User, id), Name: c.Name, ExternalID: id, Account: c.Account,
				Text: fmt.Sprintf("its account would have gone to the entry %s; a person took that out of plan %s", c.Name, made.ID)})
		}
		summary.Uncount(&whole)
		if len(kept) == 1 {
			summary.Count(&kept[0])
		}
		notes = append(notes, plan.Note{Kind: plan.Excluded, Key: c.Key, Name: c.Name, ExternalID: c.ExternalID, Account: c.Account,
			Text: fmt.Sprintf("%s: taken out of plan %s by a person", c.Action, made.ID)})
		return nil
	})
	return notes, err
}

// EachChange hands on a plan's changes in order.
func (e *Engine) EachChange(ctx context.Context, p *Plan, fn func(*plan.Change) error) error {
	if p.Pruned {
		return p.Gone()
	}
	for seq := range p.Chunks {
		body, err := e.Store.Plans().Chunk(ctx, p.ID, "changes", seq)
		if err != nil {
			return err
		}
		changes, err := plan.Changes(body)
		if err != nil {
			return err
		}
		for i := range changes {
			if err := fn(&changes[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// hold runs fn while holding the connection's lease, with a heartbeat beside it.
// Losing the lease cancels fn's context. A plan that a dead process left half
// applied is carried on first, with the options of whoever may write; carryOn is
// nil for those who only look.
func (e *Engine) hold(ctx context.Context, c setting.Connection, carryOn *Options, fn func(context.Context, mirror.Lease) error) (err error) {
	lease, err := e.Store.Leases().Acquire(ctx, c.Alias, c.Organization, c.Kind)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	beats := make(chan struct{})
	go e.heartbeat(ctx, lease, cancel, beats)
	defer func() {
		cancel(nil)
		<-beats
		free, done := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		err = errors.Join(err, e.Store.Leases().Release(free, lease))
		done()
		// For who was interrupted: whatever ended well has nothing left to do here.
		put, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
		defer done()
		e.Store.Ledger().Ready(put)
	}()
	e.Store.Ledger().Ready(ctx)
	if err := e.recover(ctx, c, lease, carryOn); err != nil {
		return err
	}
	err = fn(ctx, lease)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

const heartbeat = 10 * time.Second

func (e *Engine) heartbeat(ctx context.Context, lease mirror.Lease, lost context.CancelCauseFunc, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// A database that cannot be reached for a moment is no loss: the
			// writes of the run find out for themselves.
			if err := e.Store.Leases().Renew(ctx, lease); fault.KindOf(err) == fault.Conflict && err != nil {
				lost(err)
				return
			}
		}
	}
}

// recover carries on a plan whose process ended while applying it, and marks
// the other runs of dead processes as failed.
func (e *Engine) recover(ctx context.Context, c setting.Connection, lease mirror.Lease, carryOn *Options) error {
	unfinished, err := e.Store.Plans().Unfinished(ctx, c.Alias)
	if err != nil {
		return err
	}
	spare := ""
	if unfinished != nil && unfinished.Run != nil {
		spare = *unfinished.Run
	}
	if err := e.Store.Runs().Interrupted(ctx, lease, spare); err != nil {
		return err
	}
	if unfinished == nil || carryOn == nil || c.Policy.DryRun {
		return nil
	}
	run, err := e.Store.Runs().Get(ctx, spare)
	if err != nil {
		return err
	}
	err = e.verify(ctx, unfinished)
	if err == nil {
		err = e.resettled(c, unfinished)
	}
	if err != nil {
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
		// It was altered since it was started, or what it was made by was. What it did is whole and told of;
		// the rest is planned anew.
		run.end(RunFailed, e.now(), err.Error())
		return e.Store.Plans().Abandon(ctx, lease, unfinished, run)
	}
	run.Error = nil
	if err := e.carryOut(ctx, lease, c, unfinished, run, *carryOn); err != nil {
		if carryOn.Run != "" && !errors.Is(context.Cause(ctx), ErrHandOver) {
			// Whoever cancels the run that follows means that one.
			ended, end := context.WithCancel(context.WithoutCancel(ctx))
			end()
			ctx = ended
		}
		return e.failed(ctx, lease, run, err)
	}
	return nil
}
