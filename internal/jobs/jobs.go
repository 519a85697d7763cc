// Package jobs is the queue of what has to be done soon, once, by any node. It
// hands jobs on to their handlers: on PostgreSQL River keeps and deals them out,
// on the embedded database a small table does. Jobs are put in within the
// transaction of what they follow from: both are written, or neither.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// Job is a thing to do.
type Job struct {
	// Kind names the handler, in letters, digits and underscores.
	Kind string
	// Key makes a job unique: while one of the kind and key waits or is being done,
	// no other is put in. "" puts in any number.
	Key string
	// Args are for the handler; JSON.
	Args []byte
	// At is when it may begin; the zero time is at once.
	At time.Time
	// Attempt counts from 1; set for handlers.
	Attempt int
}

// Handler does a job. It may be called again for a job it has done already: a node
// may go away between the doing and the noting. With nil the job is done; with
// Snooze it comes again later; with any other error it is tried again after a
// back-off, MostAttempts times. ctx ends when the queue is stopped and has lost
// its patience.
type Handler func(ctx context.Context, j Job) error

// Queue is the seam. Its members are River and Embedded; the suite in jobstest
// says what they have in common.
type Queue interface {
	// Enqueue puts jobs in, as part of a transaction.
	Enqueue(ctx context.Context, tx *db.Tx, list ...Job) error
	// Handle names who does the jobs of a kind, and how many at a time on this
	// node. It is called before Start.
	Handle(kind string, workers int, h Handler)
	// Start begins to hand jobs to the handlers. ctx is for starting alone.
	Start(ctx context.Context) error
	// Stop takes up no more jobs and waits for those that are being done. When ctx
	// ends first, it ends theirs, and waits until they have noticed; what they were
	// at is done again elsewhere, or at the next start.
	Stop(ctx context.Context) error
	// Rescue gives jobs of nodes that are gone to others. It is called now and then.
	Rescue(ctx context.Context) error
}

// MostAttempts is how often a job is tried that ends with an error.
const MostAttempts = 25

// Options of a queue.
type Options struct {
	Node string        // this process, as the table of nodes names it
	Gone time.Duration // a node that was not seen for so long is gone
	Poll time.Duration // how often to look for jobs nobody told of; 0 is a second
	Log  *slog.Logger  // nil is silent
}

// Open gives the queue of a database.
func Open(ctx context.Context, d *db.DB, o Options) (Queue, error) {
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if d.Dialect == db.PostgreSQL {
		return openRiver(ctx, d, o)
	}
	return openEmbedded(d, o), nil
}

// patience is how long a job has to end after it was told to.
const patience = 15 * time.Second

var errStuck = fault.New(fault.Internal, "jobs: some did not end within %s of being told to", patience).
	WithHint("they are done again, by another node or at the next start")

// snooze is the error of a handler that wants its job again later.
type snooze time.Duration

func (s snooze) Error() string { return fmt.Sprintf("again in %s", time.Duration(s)) }

// Snooze is what a handler returns to have its job again after a while. It counts
// as no attempt.
func Snooze(d time.Duration) error { return snooze(d) }

func snoozed(err error) (time.Duration, bool) {
	var s snooze
	ok := errors.As(err, &s)
	return time.Duration(s), ok
}

// Backoff is how long a job waits after an attempt that failed: a second, doubled
// each time up to an hour, and up to a tenth less.
func Backoff(attempt int) time.Duration {
	wait := time.Hour
	if attempt < 12 {
		wait = min(wait, time.Second<<max(0, attempt-1))
	}
	return wait - rand.N(wait/10)
}
