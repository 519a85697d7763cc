package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// ErrBusy is in the chain of the fault with which a pass is refused while another
// process works on the connection.
var ErrBusy = errors.New("another process works on the connection")

// ErrHandOver is the cause (context.Cause) to end a pass with whose run somebody
// else carries on: the run is left as it stands, and nothing is said of its end.
var ErrHandOver = errors.New("this node stops; another one carries the run on")

// CancelledError is the cause (context.Cause) to end a pass with when a person says so.
type CancelledError struct{ By string }

func (c *CancelledError) Error() string { return "cancelled by " + c.By }

// NewRun gives a run that is not stored yet, in state RunQueued.
func NewRun(c setting.Connection, trigger, actor string, now time.Time) *Run {
	now = now.UTC().Truncate(time.Microsecond)
	return &Run{ID: newID("r", now), Organization: c.Organization, Connection: c.Alias, Trigger: trigger, Actor: actor, State: RunQueued, StartedAt: now}
}

// start begins a run: the queued one the options name, or a new one, which fill
// completes.
func (e *Engine) start(ctx context.Context, c setting.Connection, lease mirror.Lease, o Options, fill func(*Run)) (*Run, error) {
	run := NewRun(c, o.Trigger, o.Actor, e.now())
	if o.Run != "" {
		queued, err := e.Store.Runs().Get(ctx, o.Run)
		if err != nil {
			return nil, err
		}
		if queued.Plan == nil { // one that was held began when it read
			queued.StartedAt = run.StartedAt
		}
		run = queued
	}
	if fill != nil {
		fill(run)
	}
	run.State, run.FinishedAt, run.Error, run.Progress = RunRunning, nil, nil, nil
	return run, e.Store.Runs().Start(ctx, lease, run)
}

// Resume carries on what a process that ended left half applied, under the run
// it belongs to, and does nothing else.
func (e *Engine) Resume(ctx context.Context, c setting.Connection, o Options) error {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return err
	}
	return e.hold(ctx, c, &o, func(context.Context, mirror.Lease) error { return nil })
}

// resettled refuses to carry on a plan that was made under other settings: who stops a
// process and switches on no-delete, say, does not want the rest. Where the settings are
// not all known here, the plan is the one thing that is.
func (e *Engine) resettled(c setting.Connection, half *Plan) error {
	kind, ok := e.Kinds(c.Kind)
	if !ok || basisComplete(c) != nil || c.Backend.String(source.RemoteBasis) == source.UnknownBasis || half.Basis.Config == configOf(c, kind) {
		return nil
	}
	return fault.New(fault.Conflict, "the settings of connection %s were changed while plan %s was half applied; what was applied is whole, and the rest is planned anew", c.Alias, half.ID)
}

// failed writes down why a run ended early. The write has a context of its own: what
// ended the run may be that the first one was cancelled.
func (e *Engine) failed(ctx context.Context, lease mirror.Lease, run *Run, cause error) error {
	why := context.Cause(ctx)
	if errors.Is(why, ErrHandOver) {
		return cause
	}
	var person *CancelledError
	switch {
	case errors.As(why, &person):
		run.Cancelled = true
	case errors.Is(cause, context.Canceled):
		cause = fault.New(fault.Conflict, "stopped before the end; %s", stoppedWhere(run))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var err error
	if person != nil {
		cause, err = e.cancel(ctx, lease, run, person.By)
	} else {
		run.end(RunFailed, e.now(), cause.Error())
		err = e.Store.Runs().Save(ctx, lease, run)
	}
	if err != nil {
		return errors.Join(cause, fmt.Errorf("and the run could not be marked as failed: %w", err))
	}
	return cause
}

func stoppedWhere(run *Run) string {
	if run.Plan == nil {
		return "nothing was changed"
	}
	return "what was applied so far is whole, and the next run goes on from there"
}

// cancel ends a run that a person stopped. A plan that is half applied is not
// carried on: nobody stops it to have the next run do the rest. That is planned
// anew instead, and waits for a person.
func (e *Engine) cancel(ctx context.Context, lease mirror.Lease, run *Run, by string) (cause, err error) {
	half, err := e.Store.Plans().Unfinished(ctx, run.Connection)
	text := "cancelled by " + by + "; nothing was changed"
	if half != nil && half.Run != nil && *half.Run == run.ID {
		text = "cancelled by " + by + "; what was applied so far is whole, the rest was left out, and the next plan waits for a person"
		err = errors.Join(err, e.Store.Leases().Remember(ctx, lease, "Run "+run.ID+" was cancelled by "+by+" while it was applied; this plan may do what was stopped."))
	} else {
		half = nil
	}
	cause = fault.New(fault.Conflict, "%s", text)
	if err != nil {
		return cause, err
	}
	run.end(RunFailed, e.now(), text)
	if half != nil {
		return cause, e.Store.Plans().Abandon(ctx, lease, half, run)
	}
	return cause, e.Store.Runs().Save(ctx, lease, run)
}

// Approvable gives a plan that can be approved now without the rows named, or
// says why it cannot. Nothing is held meanwhile: Approve looks again.
func (e *Engine) Approvable(ctx context.Context, c setting.Connection, id string, exclude []int64) (*Plan, error) {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Policy.DryRun {
		return nil, fault.New(fault.Denied, "connection %s is in dry-run; no plan of it is applied", c.Alias).
			WithHint("set dry-run to false in its settings first")
	}
	made, err := e.Store.Plans().Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if made.Connection != c.Alias {
		return nil, fault.New(fault.NotFound, "connection %s has no plan %s", c.Alias, id)
	}
	if err := e.current(ctx, c, made); err != nil {
		return nil, err
	}
	return made, e.approvable(ctx, c, made, exclude)
}

// Revertible gives a run that can be reverted now, or says why it cannot.
func (e *Engine) Revertible(ctx context.Context, c setting.Connection, id string) (*Run, error) {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Policy.DryRun {
		return nil, inDryRun(c)
	}
	if err := basisComplete(c); err != nil {
		return nil, err
	}
	return e.revertible(ctx, c, id)
}

func inDryRun(c setting.Connection) error {
	return fault.New(fault.Denied, "connection %s is in dry-run; nothing is written", c.Alias).WithHint("look at the plan with --plan")
}
