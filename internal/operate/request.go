package operate

import (
	"context"
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/runs"
	"rollcall.dev/rollcall/internal/store/work"
)

// newNode makes a name for a node that nobody had before.
func newNode(host string) string {
	if host == "" {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return host + "-" + strings.ToLower(rand.Text()[:8])
}

// scheduled is the trigger of runs that no person asked for.
const scheduled = "schedule"

// Sync asks for a run of a connection: at once, where nothing else is in its way.
// What waits for its turn already is that run; one that has begun is followed by
// another.
func (o *Operator) Sync(ctx context.Context, alias string, full bool, trigger, actor string) (*engine.Run, error) {
	c, err := o.o.Connections.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	run := engine.NewRun(c, trigger, actor, o.now())
	return o.add(ctx, run, work.Item{Task: work.Sync, Options: work.Options{Full: full}, Urgent: trigger != scheduled})
}

// SyncPerson asks for a run that reads one person: a name, DN, e-mail or external
// ID. What such a run would refuse is refused at once.
func (o *Operator) SyncPerson(ctx context.Context, alias, who, actor string) (*engine.Run, error) {
	c, err := o.o.Connections.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	who = strings.TrimSpace(who)
	if err := o.o.Engine.Pick(ctx, c, who); err != nil {
		return nil, err
	}
	run := engine.NewRun(c, engine.ByPerson, actor, o.now())
	return o.add(ctx, run, work.Item{Task: work.Sync, Subject: who, Urgent: true})
}

// Approve asks for a plan to be carried out, less the rows excluded. A plan that
// cannot be approved is refused at once, by a fault that says why. The run is the
// one that was held with the plan, or a new one.
func (o *Operator) Approve(ctx context.Context, planID string, exclude []int64, actor string) (*engine.Run, error) {
	made, err := o.o.Store.PlanTable.Get(ctx, planID)
	if err != nil {
		return nil, err
	}
	c, err := o.o.Connections.Connection(ctx, made.Connection)
	if err != nil {
		return nil, err
	}
	if made, err = o.o.Engine.Approvable(ctx, c, made.ID, exclude); err != nil {
		return nil, err
	}
	run := engine.NewRun(c, "approve", actor, o.now())
	it := work.Item{Task: work.Approve, Subject: made.ID, Options: work.Options{Exclude: slices.Sorted(slices.Values(exclude))}, Urgent: true}
	if made.Run != nil {
		held, err := o.o.Store.RunTable.Get(ctx, *made.Run)
		if err != nil {
			return nil, err
		}
		if held.State == engine.RunHeld {
			was := &work.Held{Actor: held.Actor}
			if held.FinishedAt != nil {
				was.FinishedAt = db.Micros(*held.FinishedAt)
			}
			if held.Error != nil {
				was.Error = *held.Error
			}
			run, it.Options.Held = held, was
			run.Actor = actor
		}
	}
	return o.add(ctx, run, it)
}

// Revert asks for an applied run to be undone. One that cannot be is refused at
// once, by a fault that says why.
func (o *Operator) Revert(ctx context.Context, runID, actor string) (*engine.Run, error) {
	target, err := o.o.Store.RunTable.Get(ctx, runID)
	if err != nil {
		return nil, err
	}
	c, err := o.o.Connections.Connection(ctx, target.Connection)
	if err != nil {
		return nil, err
	}
	if target, err = o.o.Engine.Revertible(ctx, c, target.ID); err != nil {
		return nil, err
	}
	run := engine.NewRun(c, "revert", actor, o.now())
	run.Reverts = &target.ID
	return o.add(ctx, run, work.Item{Task: work.Revert, Subject: target.ID, Urgent: true})
}

// add puts a run in line, and gives it as it is stored, or the one that waits for
// the same.
func (o *Operator) add(ctx context.Context, run *engine.Run, it work.Item) (*engine.Run, error) {
	var id string
	err := o.o.Store.DB.Write(ctx, func(tx *db.Tx) (err error) {
		id, err = o.line(ctx, tx, run, it)
		return err
	})
	if err != nil {
		return nil, err
	}
	return o.o.Store.RunTable.Get(ctx, id)
}

// line puts a run in line inside a transaction, with its turn.
func (o *Operator) line(ctx context.Context, tx *db.Tx, run *engine.Run, it work.Item) (id string, err error) {
	it.Run, it.Organization, it.Connection = run.ID, run.Organization, run.Connection
	id, added, err := work.Add(ctx, tx, it)
	if err != nil {
		return "", err
	}
	if !added {
		waits, _, err := work.Get(ctx, tx, id)
		if err == nil && !slices.Equal(waits.Options.Exclude, it.Options.Exclude) {
			err = fault.New(fault.Conflict, "plan %s was approved already, with other rows left out, and is about to be carried out", it.Subject).
				WithHint("cancel run %s and approve again, or leave it", id)
		}
		return id, err
	}
	if it.Options.Held == nil {
		err = runs.Queue(ctx, tx, run)
	} else {
		var held bool
		if held, err = runs.Requeue(ctx, tx, run.ID, run.Actor); err == nil && !held {
			err = fault.New(fault.Conflict, "run %s is not held any more", run.ID).WithHint("somebody else decided on its plan at the same moment")
		}
	}
	if err != nil {
		return "", err
	}
	return id, o.ticket(ctx, tx)
}

// Cancel ends a run, wherever it is: before it begins, or at the next moment at
// which what it did is whole. The run then is failed, and says by whom.
func (o *Operator) Cancel(ctx context.Context, runID, actor string) error {
	run, err := o.o.Store.RunTable.Get(ctx, runID)
	if err != nil {
		return err
	}
	err = o.o.Store.DB.Write(ctx, func(tx *db.Tx) error {
		it, ok, err := work.Get(ctx, tx, run.ID)
		if err != nil {
			return err
		}
		if !ok {
			return uncancellable(ctx, tx, run.ID)
		}
		switch {
		case it.Node != "" || it.Task == work.Resume:
			return work.Cancel(ctx, tx, run.ID, actor)
		case it.Options.Held != nil:
			if err := runs.Unqueue(ctx, tx, run.ID, *it.Options.Held); err != nil {
				return err
			}
			_, err := work.Remove(ctx, tx, run.ID)
			return err
		}
		return o.end(ctx, tx, run.ID, "cancelled by "+actor+" before it began", true)
	})
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.running[run.ID]; p != nil {
		p.cancel(&engine.CancelledError{By: actor})
	}
	return nil
}

func uncancellable(ctx context.Context, tx *db.Tx, id string) error {
	run, err := runs.Find(ctx, tx, id)
	if err != nil {
		return err
	}
	if run.State == engine.RunRunning {
		return fault.New(fault.Conflict, "run %s is carried out by a command line", id).WithHint("stop it there")
	}
	return fault.New(fault.Conflict, "run %s is %s; there is nothing to cancel", id, run.State)
}

// end ends a run that never began.
func (o *Operator) end(ctx context.Context, tx *db.Tx, id, why string, cancelled bool) error {
	run, err := runs.Find(ctx, tx, id)
	if err != nil {
		return err
	}
	now := o.now()
	run.State, run.FinishedAt, run.Error, run.Cancelled = engine.RunFailed, &now, &why, cancelled
	return runs.Write(ctx, tx, run)
}

// Progress tells how far a run is, whichever node carries it out. Of one that has
// ended it is a fault.Conflict.
func (o *Operator) Progress(ctx context.Context, runID string) (engine.Progress, error) {
	run, err := o.o.Store.RunTable.Get(ctx, runID)
	if err != nil {
		return engine.Progress{}, err
	}
	if run.Progress != nil {
		return *run.Progress, nil
	}
	if run.State == engine.RunRunning || run.State == engine.RunQueued {
		return engine.Progress{Phase: "reading", UpdatedAt: run.StartedAt}, nil // of a command line
	}
	return engine.Progress{}, fault.New(fault.Conflict, "run %s has ended: it is %s", run.ID, run.State)
}

// Follow calls fn with a run as it stands, and again whenever that changes, until
// it has ended (fn is told of that too), fn fails, or ctx ends.
func (o *Operator) Follow(ctx context.Context, runID string, fn func(*engine.Run) error) error {
	tick := time.NewTicker(o.o.Timing.Follow)
	defer tick.Stop()
	var last engine.Progress
	for first := true; ; first = false {
		run, err := o.o.Store.RunTable.Get(ctx, runID)
		if err != nil {
			return err
		}
		now := engine.Progress{}
		if run.Progress != nil {
			now = *run.Progress
		}
		ended := run.State != engine.RunQueued && run.State != engine.RunRunning
		if first || ended || now != last {
			if err := fn(run); err != nil || ended {
				return err
			}
		}
		last = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
