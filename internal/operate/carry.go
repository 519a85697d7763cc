package operate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/jobs"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/runs"
	"rollcall.dev/rollcall/internal/store/work"
)

// turn is the handler of turns in line: it carries out whatever is next.
func (o *Operator) turn(ctx context.Context, _ jobs.Job) error {
	it, p, ctx, err := o.claim(ctx)
	if err != nil || it == nil {
		return err
	}
	defer p.cancel(nil)
	err = o.carry(ctx, *it, p)
	return o.settle(ctx, *it, err)
}

// claim takes what is next, so that nobody who looks for work that was left alone
// takes it for that.
func (o *Operator) claim(ctx context.Context) (*work.Item, *pass, context.Context, error) {
	o.claiming.RLock()
	defer o.claiming.RUnlock()
	it, err := o.o.Store.WorkTable.Claim(ctx, o.o.Node.ID)
	if err != nil || it == nil {
		return nil, nil, ctx, err
	}
	// What ends the run is decided here, and not by the queue.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	p := &pass{ctx: ctx, cancel: cancel}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running[it.Run] = p
	if o.handOver {
		cancel(engine.ErrHandOver)
	}
	return it, p, ctx, nil
}

func (o *Operator) carry(ctx context.Context, it work.Item, p *pass) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "run %s: %v", it.Run, r).WithHint("this is a fault of ours; please report it")
		}
	}()
	c, err := o.o.Connections.Connection(ctx, it.Connection)
	if err != nil {
		return err
	}
	run, err := o.o.Store.RunTable.Get(ctx, it.Run)
	if err != nil {
		return err
	}
	// A command line may have it for hours. That is neither logged nor observed each
	// time somebody looks.
	if err := o.o.Store.LeaseTable.Free(ctx, it.Connection); err != nil {
		return err
	}
	if o.o.Elsewhere != nil {
		why, err := o.o.Elsewhere(ctx, it.Connection)
		if err != nil {
			return err
		}
		if why != "" && it.Options.Waits < mostWaits {
			return &fault.Error{Kind: fault.Conflict, Cause: errElsewhere, Message: why}
		}
	}
	o.o.Log.Info("run begins", "run", it.Run, "task", string(it.Task), "connection", it.Connection, "organization", it.Organization, "trigger", run.Trigger)
	began := time.Now()
	ctx, seen := o.o.Observer.Begin(ctx, c, run)
	err = o.engine(ctx, c, it, engine.Options{Full: it.Options.Full, Actor: run.Actor, Trigger: run.Trigger, Run: it.Run, Progress: func(now engine.Progress) {
		p.at.Store(&now)
		seen.Progress(now)
	}})
	if after, ferr := o.o.Store.RunTable.Get(context.WithoutCancel(ctx), it.Run); ferr == nil {
		run = after
	}
	seen.End(run, err)
	if err != nil {
		o.o.Log.Warn("run ended early", "run", it.Run, "connection", it.Connection, "seconds", time.Since(began).Seconds(), "error", err.Error())
	} else {
		o.o.Log.Info("run ended", "run", it.Run, "connection", it.Connection, "seconds", time.Since(began).Seconds())
	}
	return err
}

func (o *Operator) engine(ctx context.Context, c setting.Connection, it work.Item, options engine.Options) error {
	var err error
	switch it.Task {
	case work.Sync:
		options.Who = it.Subject
		_, err = o.o.Engine.Sync(ctx, c, options)
	case work.Approve:
		_, err = o.o.Engine.Approve(ctx, c, it.Subject, it.Options.Exclude, options)
	case work.Revert:
		_, err = o.o.Engine.Revert(ctx, c, it.Subject, false, options)
	case work.Resume:
		options.Run = ""
		err = o.o.Engine.Resume(ctx, c, options)
	default:
		err = fmt.Errorf("run %s: there is no task %q", it.Run, it.Task)
	}
	return err
}

// settle does what is left after a pass: mostly nothing, since the end of a run
// takes it out of the line.
func (o *Operator) settle(ctx context.Context, it work.Item, failure error) error {
	why := context.Cause(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.running, it.Run)
	}()
	var snooze error
	var person *engine.CancelledError
	err := o.o.Store.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		snooze = nil
		switch {
		case (errors.Is(failure, engine.ErrBusy) || errors.Is(failure, errElsewhere)) && !errors.As(why, &person):
			it := it
			if errors.Is(failure, errElsewhere) {
				it.Options.Waits++
			}
			snooze = jobs.Snooze(o.o.Timing.Busy)
			_, err = work.Return(ctx, tx, it, it.Task, o.o.Timing.Busy, failure.Error())
		case errors.Is(why, engine.ErrHandOver):
			err = o.handOn(ctx, tx, it, "node "+o.o.Node.ID+" was stopped", false)
		default:
			err = o.unfinished(ctx, tx, it, failure, why)
		}
		if err != nil {
			return err
		}
		follows, err := work.Follows(ctx, tx, it.Connection)
		if err == nil && follows && snooze == nil {
			err = o.ticket(ctx, tx)
		}
		return err
	})
	if err != nil {
		return err
	}
	return snooze
}

// unfinished ends a run that its pass could not end: it was refused before it
// began. One that did begin is left for whoever looks for work that was left
// alone.
func (o *Operator) unfinished(ctx context.Context, tx *db.Tx, it work.Item, failure, why error) error {
	have, ok, err := work.Get(ctx, tx, it.Run)
	if err != nil || !ok || have.Node != it.Node {
		return err
	}
	run, err := runs.Find(ctx, tx, it.Run)
	if err != nil {
		return err
	}
	var person *engine.CancelledError
	switch {
	case it.Task == work.Resume && failure == nil:
		// In dry-run nothing is carried on. The next run that may write does so.
		_, err := work.Remove(ctx, tx, it.Run)
		return err
	case run.State != engine.RunQueued:
		return nil
	case errors.As(why, &person):
		return o.end(ctx, tx, it.Run, why.Error()+" before it began", true)
	case failure == nil:
		failure = fault.New(fault.Internal, "it ended without having begun")
	}
	return o.end(ctx, tx, it.Run, failure.Error(), false)
}

// errElsewhere is in the chain of the fault with which a run goes back into the line that
// another node may be able to carry out, and mostWaits is how often it does: which node
// takes it up next is anybody's guess.
var errElsewhere = errors.New("another node may be able to")

const mostWaits = 10

// mostLost is how often a run is taken over from nodes that went away: it may be
// what makes them go.
const mostLost = 5

// handOn has a run done by others that a node had: carried on where it was half
// applied, done again otherwise, in a run that says which one it replaces.
func (o *Operator) handOn(ctx context.Context, tx *db.Tx, it work.Item, why string, lost bool) error {
	free, err := leases.Revoke(ctx, tx, it.Connection)
	if err != nil || !free {
		return err // somebody works on it; looked at again
	}
	have, ok, err := work.Get(ctx, tx, it.Run)
	if err != nil || !ok || have.Node != it.Node {
		return err
	}
	run, err := runs.Find(ctx, tx, it.Run)
	if err != nil {
		return err
	}
	if lost {
		if have.Options.Lost++; have.Options.Lost >= mostLost {
			if err := runs.Interrupt(ctx, tx, it.Run, why+fmt.Sprintf("; this happened %d times and is not tried again", mostLost)); err != nil {
				return err
			}
			_, err := work.Remove(ctx, tx, it.Run)
			return err
		}
	}
	if run.State == engine.RunQueued {
		if _, err := work.Return(ctx, tx, have, have.Task, 0, ""); err != nil {
			return err
		}
		return o.ticket(ctx, tx)
	}
	half, err := halfApplied(ctx, tx, it.Run)
	if err != nil {
		return err
	}
	if half {
		if _, err := work.Return(ctx, tx, have, work.Resume, 0, why+"; what it left half applied is carried on"); err != nil {
			return err
		}
		return o.ticket(ctx, tx)
	}
	return o.again(ctx, tx, have, run, why)
}

func halfApplied(ctx context.Context, tx *db.Tx, run string) (half bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM plans WHERE run = $1 AND state = 'applying')`, run).Scan(&half)
	return half, db.Explain("read plans", err)
}

// adopt sees to the end of a run whose command line was killed: what it left half
// applied is carried on; otherwise it has failed. It is not done again: whoever
// started it saw it go.
func (o *Operator) adopt(ctx context.Context, tx *db.Tx, id string) error {
	run, err := runs.Find(ctx, tx, id)
	if err != nil {
		return err
	}
	free, err := leases.Revoke(ctx, tx, run.Connection)
	if err != nil || !free {
		return err
	}
	// Only now is it certain that nobody ends it meanwhile.
	if run, err = runs.Find(ctx, tx, id); err != nil || run.State != engine.RunRunning {
		return err
	}
	half, err := halfApplied(ctx, tx, id)
	if err != nil {
		return err
	}
	if !half {
		return runs.Interrupt(ctx, tx, id, "the process ended before the run did; nothing of the run was applied")
	}
	if _, _, err := work.Add(ctx, tx, work.Item{Run: id, Organization: run.Organization, Connection: run.Connection, Task: work.Resume, Subject: id, Urgent: true}); err != nil {
		return err
	}
	return o.ticket(ctx, tx)
}

// again puts a run in line in place of one that was interrupted before it
// applied anything.
func (o *Operator) again(ctx context.Context, tx *db.Tx, it work.Item, run *engine.Run, why string) error {
	if _, err := work.Remove(ctx, tx, it.Run); err != nil {
		return err
	}
	next := engine.NewRun(setting.Connection{Alias: run.Connection, Organization: run.Organization}, run.Trigger, run.Actor, o.now())
	next.Replaces, next.Reverts = &run.ID, run.Reverts
	old := it.Run
	it.Node, it.Options.Held = "", nil
	id, err := o.line(ctx, tx, next, it)
	if err != nil {
		return err
	}
	if run.State == engine.RunRunning {
		return runs.Interrupt(ctx, tx, old, why+"; nothing was applied, and run "+id+" does it again")
	}
	return runs.Replaced(ctx, tx, old, id)
}

// sweep looks for work that was left alone: of nodes that are gone, of this one
// where a run could not be ended, and of command lines that were killed. It also sees to it that nothing waits
// without a turn.
func (o *Operator) sweep(ctx context.Context) error {
	if err := o.o.Store.Nodes.Bury(ctx); err != nil {
		return err
	}
	o.claiming.Lock()
	taken, err := o.o.Store.WorkTable.Taken(ctx)
	o.mu.Lock()
	var mine []work.Item
	for _, it := range taken {
		if it.Node == o.o.Node.ID && o.running[it.Run] == nil {
			mine = append(mine, it)
		}
	}
	o.mu.Unlock()
	o.claiming.Unlock()
	if err != nil {
		return err
	}
	gone, err := o.o.Store.WorkTable.Alone(ctx, o.o.Timing.Gone)
	if err != nil {
		return err
	}
	for _, it := range append(gone, mine...) {
		err := o.o.Store.DB.Write(ctx, func(tx *db.Tx) error {
			return o.handOn(ctx, tx, it, "node "+it.Node+" went away", it.Node != o.o.Node.ID)
		})
		if err != nil {
			return err
		}
	}
	left, err := o.o.Store.RunTable.Left(ctx)
	if err != nil {
		return err
	}
	for _, id := range left {
		if err := o.o.Store.DB.Write(ctx, func(tx *db.Tx) error { return o.adopt(ctx, tx, id) }); err != nil {
			return err
		}
	}
	// First: spare turns may be among the jobs of a node that is gone.
	if err := o.queue.Rescue(ctx); err != nil {
		return err
	}
	n, err := o.o.Store.WorkTable.Waiting(ctx, 2*o.o.Timing.Sweep, o.o.Workers)
	if err != nil || n == 0 {
		return err
	}
	return o.spare(ctx, n)
}
