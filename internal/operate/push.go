package operate

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/jobs"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/pushed"
	"rollcall.dev/rollcall/internal/store/work"
)

// Pushed is the trigger, and the actor, of runs that follow what a client pushed.
const Pushed = "push"

// pushKind are jobs that put such a run in line. The key stays free: what is pending
// is a flag of the connection, which is set once and taken once. A job with a key
// would not be put in while the one before it is about to be noted as done.
const pushKind = "push"

// follow puts in a job for a connection to which something was pushed, in the
// transaction of that. Its run begins at once, unless there was one just now: while a
// client goes on, what it pushes is taken together.
func (o *Operator) follow(ctx context.Context, tx *db.Tx, connection string, last time.Time) error {
	j := jobs.Job{Kind: pushKind, Args: []byte(`"` + connection + `"`)}
	if at := last.Add(o.o.Timing.Push); at.After(o.now()) {
		j.At = at
	}
	return o.queue.Enqueue(ctx, tx, j)
}

// push is the handler of such jobs.
func (o *Operator) push(ctx context.Context, j jobs.Job) error {
	if len(j.Args) < 2 {
		return nil
	}
	return o.takePush(ctx, string(j.Args[1:len(j.Args)-1]))
}

// takePush puts a run in line for what is pending of a connection. What is pushed
// from then on asks for another.
func (o *Operator) takePush(ctx context.Context, alias string) error {
	c, err := o.o.Connections.Connection(ctx, alias)
	gone := err != nil && fault.KindOf(err) == fault.NotFound
	if err != nil && !gone {
		return err
	}
	return o.o.Store.DB.Write(ctx, func(tx *db.Tx) error {
		pending, err := pushed.Take(ctx, tx, alias, o.now())
		if err != nil || !pending || gone {
			return err
		}
		run := engine.NewRun(c, Pushed, Pushed, o.now())
		_, err = o.line(ctx, tx, run, work.Item{Task: work.Sync, Urgent: true})
		return err
	})
}

// overdue is after how many times the wait a flag has been left alone: its job was
// lost, or was put in by a process that carries out no runs.
const overdue = 30

// pushes looks for what was pushed and left alone.
func (o *Operator) pushes(ctx context.Context) error {
	left, err := o.o.Store.Pushed.Pending(ctx, overdue*o.o.Timing.Push)
	if err != nil {
		return err
	}
	for _, alias := range left {
		if err := o.takePush(ctx, alias); err != nil {
			return err
		}
	}
	return nil
}
