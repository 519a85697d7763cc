package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
)

// poolSize is enough for River's own housekeeping: its listener, its leader and
// the fetching of jobs. What handlers do goes through the store.
const poolSize = 6

// River is the queue on PostgreSQL.
type River struct {
	db       *db.DB
	o        Options
	pool     *pgxpool.Pool
	config   *river.Config
	client   *river.Client[pgx.Tx]
	handlers map[string]Handler
}

func openRiver(ctx context.Context, d *db.DB, o Options) (*River, error) {
	pool, err := d.Pool(ctx, poolSize)
	if err != nil {
		return nil, err
	}
	r := &River{db: d, o: o, pool: pool, handlers: map[string]Handler{}}
	if err := migrate(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	log := slog.New(quiet{o.Log.Handler()})
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{queue: r})
	r.config = &river.Config{
		ID: o.Node, Logger: log, Workers: workers, Queues: map[string]river.QueueConfig{}, MaxAttempts: MostAttempts,
		FetchPollInterval: max(o.Poll, time.Millisecond), FetchCooldown: min(100*time.Millisecond, max(o.Poll, time.Millisecond)),
		JobTimeout: -1,
		// One is put in for every run; what there is to know of runs is told elsewhere.
		CompletedJobRetentionPeriod: 10 * time.Minute,
		// A job may take a day. Those of nodes that are gone are given out by Rescue
		// within seconds; River looks at the clock alone.
		RescueStuckJobsAfter: 48 * time.Hour,
	}
	// One that only puts jobs in, until Start knows the queues.
	r.client, err = river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: log, Workers: workers, MaxAttempts: MostAttempts})
	if err != nil {
		pool.Close()
		return nil, fault.New(fault.Internal, "jobs: open the queue: %w", err)
	}
	return r, nil
}

// migrate brings River's tables up to date, under the lock under which the
// schema of the store is: two nodes that start at once do not get in each other's
// way.
func migrate(ctx context.Context, pool *pgxpool.Pool) (err error) {
	fail := func(err error) error {
		return fault.New(fault.Unavailable, "jobs: bring the queue's tables up to date: %w", err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return fail(err)
	}
	if checked, err := migrator.Validate(ctx, nil); err == nil && checked.OK {
		return nil
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fail(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, lock.DefaultLockID); err != nil {
		return fail(err)
	}
	defer func() {
		if _, unlock := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, lock.DefaultLockID); unlock != nil {
			err = errors.Join(err, fail(unlock))
		}
	}()
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fail(err)
	}
	return nil
}

// args are a job as River keeps it. All have one kind there; a queue of River is a
// kind of ours, so that each has its own workers.
type args struct {
	What string          `json:"what" river:"unique"`
	Key  string          `json:"key" river:"unique"`
	Args json.RawMessage `json:"args,omitempty"`
}

func (args) Kind() string { return "rollcall" }

type worker struct {
	river.WorkerDefaults[args]
	queue *River
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, j *river.Job[args]) error {
	h, ok := w.queue.handlers[j.Args.What]
	if !ok {
		return fmt.Errorf("nobody handles %q here", j.Args.What)
	}
	err := h(ctx, Job{Kind: j.Args.What, Key: j.Args.Key, Args: j.Args.Args, At: j.ScheduledAt, Attempt: j.Attempt})
	if wait, ok := snoozed(err); ok {
		return river.JobSnooze(wait)
	}
	return err
}

// NextRetry implements river.Worker.
func (w *worker) NextRetry(j *river.Job[args]) time.Time { return time.Now().Add(Backoff(j.Attempt)) }

// Enqueue implements Queue.
func (r *River) Enqueue(ctx context.Context, tx *db.Tx, list ...Job) error {
	if len(list) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, 0, len(list))
	met := map[[2]string]bool{}
	for _, j := range list {
		if j.Key != "" && met[[2]string{j.Kind, j.Key}] {
			continue // River takes no job twice in one statement
		}
		met[[2]string{j.Kind, j.Key}] = true
		o := &river.InsertOpts{Queue: j.Kind, ScheduledAt: j.At}
		if j.Key != "" {
			o.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending,
				rivertype.JobStateRunning, rivertype.JobStateScheduled, rivertype.JobStateRetryable}}
		}
		params = append(params, river.InsertManyParams{Args: args{What: j.Kind, Key: j.Key, Args: j.Args}, InsertOpts: o})
	}
	return tx.Postgres(func(c *pgx.Conn) error {
		_, err := r.client.InsertManyTx(ctx, borrowed{conn{c}}, params)
		return db.Explain("put a job in", err)
	})
}

// Handle implements Queue.
func (r *River) Handle(kind string, workers int, h Handler) {
	r.handlers[kind] = h
	r.config.Queues[kind] = river.QueueConfig{MaxWorkers: workers}
}

// Start implements Queue.
func (r *River) Start(ctx context.Context) error {
	if len(r.handlers) == 0 {
		return nil // it only puts jobs in
	}
	client, err := river.NewClient(riverpgxv5.New(r.pool), r.config)
	if err != nil {
		return fault.New(fault.Internal, "jobs: start the queue: %w", err)
	}
	r.client = client
	return db.Explain("start the queue", client.Start(context.WithoutCancel(ctx)))
}

// Stop implements Queue.
func (r *River) Stop(ctx context.Context) error {
	defer r.pool.Close()
	if len(r.handlers) == 0 {
		return nil
	}
	err := r.client.Stop(ctx)
	if err == nil {
		return nil
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.client.StopAndCancel(last); err != nil {
		return errors.Join(errStuck, err)
	}
	return nil
}

// Rescue implements Queue. It does what River's own rescuer does, by signs of life
// in place of the clock.
func (r *River) Rescue(ctx context.Context) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE river_job SET state = 'retryable', scheduled_at = now()
			WHERE state = 'running' AND `+nodes.Gone(r.db, "attempted_by[array_upper(attempted_by, 1)]", r.o.Gone))
		return err
	})
}

// quiet leaves out what River tells of its housekeeping.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

// borrowed is a transaction that somebody else began and will end, as River wants
// to see it.
type borrowed struct{ conn }

var errBorrowed = errors.New("the transaction is somebody else's")

func (borrowed) Begin(context.Context) (pgx.Tx, error) { return nil, errBorrowed }

func (borrowed) Commit(context.Context) error { return errBorrowed }

func (borrowed) Rollback(context.Context) error { return errBorrowed }

func (borrowed) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

func (b borrowed) Conn() *pgx.Conn { return b.conn.Conn }

// conn keeps the name of the method free.
type conn struct{ *pgx.Conn }
