package pushed

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// request is one write that waits for its turn.
type request struct {
	ctx    context.Context
	fn     func(*Tx) error
	err    error
	panics any
	done   chan struct{}
}

// mostTogether is how many writes share a transaction.
const mostTogether = 64

// Write runs fn in a transaction: an error of fn undoes all of it, and is returned
// as it is. Writes that come at the same time share a transaction of the database,
// each within a savepoint of its own, so that one commit does for all. fn runs on
// another goroutine, must not call Write itself, and is not interrupted once it has
// begun.
func (p *Pushed) Write(ctx context.Context, connection string, fn func(*Tx) error) error {
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	p.mu.Lock()
	waiting, busy := p.lines[connection]
	if p.lines == nil {
		p.lines = map[string][]*request{}
	}
	p.lines[connection] = append(waiting, r)
	p.mu.Unlock()
	if !busy {
		go p.drain(connection)
	}
	<-r.done
	if r.panics != nil {
		panic(r.panics)
	}
	return r.err
}

// drain carries out writes of a connection until none waits.
func (p *Pushed) drain(connection string) {
	for {
		p.mu.Lock()
		waiting := p.lines[connection]
		n := min(len(waiting), mostTogether)
		if n == 0 {
			delete(p.lines, connection)
			p.mu.Unlock()
			return
		}
		batch := waiting[:n:n]
		p.lines[connection] = waiting[n:]
		p.mu.Unlock()
		p.together(connection, batch)
		for _, r := range batch {
			close(r.done)
		}
	}
}

// errNone ends a transaction in which nothing is to be kept.
var errNone = errors.New("nothing is to be kept")

// together carries out writes in one transaction. Whoever went away before is left
// out; who goes away meanwhile is not noticed, since to interrupt a statement would
// undo everybody's.
func (p *Pushed) together(connection string, batch []*request) {
	ctx := context.WithoutCancel(batch[0].ctx)
	err := p.DB.Write(ctx, func(tx *db.Tx) error {
		at, err := lock(ctx, tx, connection)
		if err != nil {
			return err
		}
		changed, kept := false, 0
		for _, r := range batch {
			if r.err = r.ctx.Err(); r.err != nil {
				continue
			}
			t := &Tx{p: p, ctx: context.WithoutCancel(r.ctx), tx: tx, connection: connection, seq: at.seq + 1, now: p.now()}
			if len(batch) == 1 {
				if t.run(r); r.err != nil {
					return errNone
				}
			} else if err := t.within(r); err != nil {
				return err
			}
			if r.err == nil {
				kept++
				changed = changed || t.changed
			}
		}
		if kept == 0 {
			return errNone
		}
		if !changed {
			return nil
		}
		return p.note(ctx, tx, connection, at)
	})
	if err == nil || errors.Is(err, errNone) {
		return
	}
	for _, r := range batch {
		if r.err == nil {
			r.err = err
		}
	}
}

// note keeps that something changed, and has a run follow.
func (p *Pushed) note(ctx context.Context, tx *db.Tx, connection string, at state) error {
	now := db.Micros(p.now())
	if at.pending {
		_, err := tx.Exec(ctx, `UPDATE pushed_state SET seq = $2, changed_at = $3 WHERE connection = $1`, connection, at.seq+1, now)
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE pushed_state SET seq = $2, changed_at = $3, pending = true, pending_at = $4 WHERE connection = $1`, connection, at.seq+1, now, now); err != nil {
		return err
	}
	if p.Line == nil {
		return nil
	}
	return p.Line(ctx, tx, connection, at.taken)
}

// run calls a write, and keeps what came of it.
func (t *Tx) run(r *request) {
	defer func() {
		if r.panics = recover(); r.panics != nil {
			r.err = fault.New(fault.Internal, "a write of what was pushed broke off")
		}
	}()
	r.err = r.fn(t)
}

// within runs a write in a savepoint; its error is the transaction's.
func (t *Tx) within(r *request) error {
	if _, err := t.tx.Exec(t.ctx, `SAVEPOINT one`); err != nil {
		return err
	}
	if t.run(r); r.err != nil {
		if _, err := t.tx.Exec(t.ctx, `ROLLBACK TO SAVEPOINT one`); err != nil {
			return err
		}
	}
	_, err := t.tx.Exec(t.ctx, `RELEASE SAVEPOINT one`)
	return err
}

// state is how far a connection's clients are.
type state struct {
	epoch       string
	seq, pruned int64
	pending     bool
	taken       time.Time // when the last run was put in line
}

const ofState = `SELECT epoch, seq, pruned, pending, taken_at FROM pushed_state WHERE connection = $1`

// lock gives the state, which nobody else changes until the transaction ends: the
// order of sequence numbers is that of commits.
func lock(ctx context.Context, tx *db.Tx, connection string) (state, error) {
	var s state
	var taken int64
	read := func() error {
		err := tx.QueryRowContext(ctx, ofState+tx.Locked(), connection).Scan(&s.epoch, &s.seq, &s.pruned, &s.pending, &taken)
		s.taken = db.Time(taken)
		return err
	}
	err := read()
	if !errors.Is(err, sql.ErrNoRows) {
		return s, db.Explain("read what is pushed", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO pushed_state (connection, epoch, seq, pruned, pending, pending_at, taken_at, changed_at) VALUES ($1, $2, 0, 0, false, 0, 0, 0) ON CONFLICT (connection) DO NOTHING`,
		connection, rand.Text())
	if err != nil {
		return s, err
	}
	if err = read(); err != nil {
		return s, fmt.Errorf("pushed: the state of connection %s: %w", connection, err)
	}
	return s, nil
}
