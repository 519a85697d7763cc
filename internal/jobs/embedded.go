package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
)

// Embedded is the queue on the embedded database: a table, and workers in this
// process.
type Embedded struct {
	db    *db.DB
	o     Options
	kinds map[string]*kind
	wake  chan struct{}
	quit  chan struct{} // closed: nothing new is taken up
	done  chan struct{} // closed: nothing new will be
	jobs  sync.WaitGroup
	work  context.Context // of handlers
	end   context.CancelFunc
}

type kind struct {
	handle Handler
	free   chan struct{} // a token for each job that may be done at a time
}

func openEmbedded(d *db.DB, o Options) *Embedded {
	return &Embedded{db: d, o: o, kinds: map[string]*kind{}, wake: make(chan struct{}, 1)}
}

// Enqueue implements Queue.
func (e *Embedded) Enqueue(ctx context.Context, tx *db.Tx, list ...Job) error {
	for _, j := range list {
		if _, err := tx.Exec(ctx, `INSERT INTO jobs (kind, key, args, at) VALUES ($1, $2, $3, $4) ON CONFLICT (kind, key) WHERE key <> '' DO NOTHING`,
			j.Kind, j.Key, string(j.Args), db.Micros(j.At)); err != nil {
			return err
		}
	}
	// Who is woken now waits for this transaction's end to look.
	e.nudge()
	return nil
}

func (e *Embedded) nudge() {
	select {
	case e.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// Handle implements Queue.
func (e *Embedded) Handle(name string, workers int, h Handler) {
	k := &kind{handle: h, free: make(chan struct{}, workers)}
	for range workers {
		k.free <- struct{}{}
	}
	e.kinds[name] = k
}

// Start implements Queue.
func (e *Embedded) Start(ctx context.Context) error {
	if err := e.Rescue(ctx); err != nil {
		return err
	}
	e.work, e.end = context.WithCancel(context.WithoutCancel(ctx))
	e.quit, e.done = make(chan struct{}), make(chan struct{})
	go e.deal()
	return nil
}

// deal takes up jobs whenever somebody says that there may be some, and now and
// then.
func (e *Embedded) deal() {
	defer close(e.done)
	tick := time.NewTicker(e.o.Poll)
	defer tick.Stop()
	for told := false; ; {
		for name, k := range e.kinds {
			if err := e.take(name, k, told); err != nil && !e.quitting() {
				e.o.Log.Error("jobs could not be taken up", slog.String("kind", name), slog.String("error", err.Error()))
			}
		}
		select {
		case <-e.quit:
			return
		case <-e.wake:
			told = true
		case <-tick.C:
			told = false
		}
	}
}

func (e *Embedded) quitting() bool {
	select {
	case <-e.quit:
		return true
	default:
		return false
	}
}

// take begins jobs of a kind, as many as there is room for.
func (e *Embedded) take(name string, k *kind, told bool) error {
	for !e.quitting() {
		select {
		case <-k.free:
		default:
			return nil // whoever ends a job says so
		}
		id, j, err := e.claim(name, told)
		if err != nil || id == 0 {
			k.free <- struct{}{}
			return err
		}
		e.jobs.Go(func() {
			e.do(k, id, j)
			k.free <- struct{}{}
			e.nudge()
		})
	}
	return nil
}

// claim takes the first job that waits, or gives 0. Who was told of one waits for
// its transaction to end; who was not has a look first that is in nobody's way.
func (e *Embedded) claim(name string, told bool) (id int64, j Job, err error) {
	const first = ` FROM jobs WHERE kind = $1 AND node = '' AND at <= $2 ORDER BY at, id LIMIT 1`
	now := db.Micros(time.Now())
	ctx := e.work
	if !told {
		var some bool
		if err := e.db.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+first+`)`, name, now).Scan(&some); err != nil || !some {
			return 0, j, err
		}
	}
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		var text string
		var at int64
		err := tx.QueryRowContext(ctx, `UPDATE jobs SET node = $3, attempt = attempt + 1 WHERE id = (SELECT id`+first+`) RETURNING id, key, args, attempt, at`,
			name, now, e.o.Node).Scan(&id, &j.Key, &text, &j.Attempt, &at)
		j.Kind, j.Args, j.At = name, []byte(text), db.Time(at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return id, j, err
}

// do does a job and notes how it went.
func (e *Embedded) do(k *kind, id int64, j Job) {
	err := call(e.work, k.handle, j)
	wait, again := snoozed(err)
	query, args := `DELETE FROM jobs WHERE id = $1 AND node = $2`, []any{id, e.o.Node}
	switch {
	case e.work.Err() != nil && err != nil: // it was told to end
		query = `UPDATE jobs SET node = '', attempt = attempt - 1 WHERE id = $1 AND node = $2`
	case again:
		query, args = `UPDATE jobs SET node = '', attempt = attempt - 1, at = $3 WHERE id = $1 AND node = $2`, append(args, db.Micros(time.Now().Add(wait)))
	case err != nil && j.Attempt < MostAttempts:
		e.o.Log.Warn("a job failed and is tried again", slog.String("kind", j.Kind), slog.String("key", j.Key), slog.Int("attempt", j.Attempt), slog.String("error", err.Error()))
		query, args = `UPDATE jobs SET node = '', at = $3 WHERE id = $1 AND node = $2`, append(args, db.Micros(time.Now().Add(Backoff(j.Attempt))))
	case err != nil:
		e.o.Log.Error("a job failed and is given up", slog.String("kind", j.Kind), slog.String("key", j.Key), slog.Int("attempt", j.Attempt), slog.String("error", err.Error()))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.work), patience)
	defer cancel()
	err = e.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		e.o.Log.Error("the end of a job could not be noted", slog.String("kind", j.Kind), slog.String("key", j.Key), slog.String("error", err.Error()))
	}
}

// call makes a panic of a handler an error of its job: other jobs go on.
func call(ctx context.Context, h Handler, j Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return h(ctx, j)
}

// Stop implements Queue.
func (e *Embedded) Stop(ctx context.Context) error {
	if e.quit == nil {
		return nil // never started
	}
	close(e.quit)
	<-e.done
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.jobs.Wait()
	}()
	select {
	case <-ended:
		e.end()
		return nil
	case <-ctx.Done():
	}
	e.end()
	last := time.NewTimer(patience)
	defer last.Stop()
	select {
	case <-ended:
		return nil
	case <-last.C:
		return errStuck
	}
}

// Rescue implements Queue.
func (e *Embedded) Rescue(ctx context.Context) error {
	return e.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE jobs SET node = '' WHERE node <> '' AND `+nodes.Gone(e.db, "jobs.node", e.o.Gone))
		return err
	})
}
