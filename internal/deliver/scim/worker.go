// Package scim pushes accounts and groups to applications that speak SCIM 2.0
// (RFC 7644): it brings what the store says is due (package store/targets) in step
// there, and hands what it is there by now back to the store. It looks for somebody
// before it makes them, keeps what applications add of their own, and never reaches
// addresses inside the operator's network unless it was allowed to.
package scim

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/targets"
)

const (
	atOnce   = 4               // requests to one application
	together = 16              // applications
	batch    = 100             // links that are read at a time
	lease    = 4 * time.Minute // longer than bringing one link in step takes
	idle     = time.Second
)

// Worker pushes what is due. Any number of them may run on one database; each
// application is one worker's at a time.
type Worker struct {
	Targets       *targets.Targets
	Plain, Secure *http.Client // for http and https; see webhook.Clients
	Log           *slog.Logger
	Now           func() time.Time
	// Jitter gives a number from 0 up to, but not, 1; nil is a random one.
	Jitter func() float64

	mu    sync.Mutex
	known map[string]*known
}

// pass is one turn at one application.
type pass struct {
	*clientOf
	worker *Worker
	mu     sync.Mutex
	kept   time.Time // the lease was last made longer
}

func (w *Worker) client(turn *targets.Turn) *clientOf {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil {
		w.known = map[string]*known{}
	}
	id := turn.Target.ID
	if k := w.known[id]; k == nil || !k.stamp.Equal(turn.Target.UpdatedAt) {
		w.known[id] = &known{stamp: turn.Target.UpdatedAt}
	}
	plain, secure := *w.Plain, *w.Secure
	plain.Timeout, secure.Timeout = timeLimit, timeLimit
	return &clientOf{turn: turn, plain: &plain, secure: &secure, now: w.Now, known: w.known[id]}
}

// about spreads a time by up to a fifth in both directions, so that what failed
// together does not come back together.
func (w *Worker) about(d time.Duration) time.Duration {
	j := w.Jitter
	if j == nil {
		j = rand.Float64
	}
	return time.Duration(float64(d) * (0.8 + 0.4*j()))
}

// Run pushes what becomes due until ctx ends. A database that is away for a while
// ends nothing.
func (w *Worker) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	room := make(chan struct{}, together)
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			turn, err := w.Targets.Claim(ctx, lease)
			if err != nil && ctx.Err() == nil {
				w.Log.Error("targets could not be looked for", "error", err)
			}
			if turn == nil {
				break
			}
			room <- struct{}{}
			under.Go(func() {
				w.take(ctx, turn)
				<-room
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Step takes one turn, if there is something to do, and waits for its end.
func (w *Worker) Step(ctx context.Context) (worked bool, err error) {
	turn, err := w.Targets.Claim(ctx, lease)
	if turn == nil {
		return false, err
	}
	w.take(ctx, turn)
	return true, nil
}

// Finish takes turns until there is nothing to do any more, for who has no loop.
func (w *Worker) Finish(ctx context.Context) error {
	for {
		worked, err := w.Step(ctx)
		if err != nil || !worked || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// take brings everything that is due at an application in step, or as much of it as
// the application lets us.
func (w *Worker) take(ctx context.Context, turn *targets.Turn) {
	p := &pass{clientOf: w.client(turn), worker: w, kept: w.Now()}
	err := p.all(ctx)
	// What was begun is written down, also when the process is about to end.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var s *standstill
	switch {
	case errors.As(err, &s):
		until := w.Now().Add(w.about(min(5*time.Second<<min(turn.Failures(), 10), 10*time.Minute)))
		if s.until.After(until) {
			until = s.until
		}
		w.Log.Info("an application takes nothing for now", "target", turn.Target.ID, "error", s.why, "until", until)
		err = w.Targets.Stumble(after, turn, until, s.why)
	case err == nil || ctx.Err() != nil:
		err = w.Targets.Release(after, turn)
	}
	if err != nil && !errors.Is(err, targets.ErrLost) { // somebody changed the target
		w.Log.Error("accounts could not be pushed; it is tried again", "target", turn.Target.ID, "error", err)
	}
}

func (p *pass) all(ctx context.Context) error {
	for {
		for more := true; more; {
			var err error
			if more, err = p.worker.Targets.Prepare(ctx, p.turn); err != nil {
				return err
			}
		}
		links, err := p.worker.Targets.Due(ctx, p.turn, batch)
		if err != nil || len(links) == 0 {
			return err
		}
		if err := p.batch(ctx, links); err != nil {
			return err
		}
	}
}

// batch brings some links in step, a few at the same time. What concerns the whole
// application ends it.
func (p *pass) batch(ctx context.Context, links []*targets.Link) error {
	var found map[account.ID]*account.Account
	var managers map[account.ID]string
	if links[0].Kind == "user" {
		var err error
		if found, managers, err = p.worker.Targets.Accounts(ctx, p.turn, links); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var under sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for _, l := range links {
		room <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		under.Go(func() {
			defer func() { <-room }()
			if err := p.one(ctx, l, found[l.ID], managers); err != nil {
				cancel(err)
			}
		})
	}
	under.Wait()
	return context.Cause(ctx)
}

// one brings one link in step and writes down what became of it. What it returns ends
// the turn.
func (p *pass) one(ctx context.Context, l *targets.Link, a *account.Account, managers map[account.ID]string) error {
	if err := p.keep(ctx); err != nil {
		return err
	}
	var err error
	if l.Kind == "group" {
		err = p.group(ctx, l)
	} else {
		manager := ""
		if a != nil && !a.Manager.IsZero() {
			// Who was not there when the batch was read may be by now.
			if manager = managers[a.Manager]; manager == "" {
				manager, err = p.worker.Targets.Remote(ctx, p.turn, a.Manager)
			}
		}
		if err == nil {
			err = p.user(ctx, l, a, manager)
		}
	}
	// What was done there is written down, also when the turn is about to end.
	after := context.WithoutCancel(ctx)
	var r *refusal
	switch {
	case errors.Is(err, errGone):
		return p.worker.Targets.Drop(after, p.turn, l)
	case err == nil:
		return p.worker.Targets.Save(after, p.turn, l, "", time.Time{})
	case errors.As(err, &r):
		wait := p.worker.about(min(30*time.Second<<min(l.Attempts, 12), 6*time.Hour))
		p.worker.Log.Info("an account or group could not be pushed", "target", p.turn.Target.ID, "kind", l.Kind, "id", l.ID, "status", r.status)
		return p.worker.Targets.Save(after, p.turn, l, r.Error(), p.now().Add(wait))
	}
	return err
}

// keep makes the lease longer when a good part of it is over.
func (p *pass) keep(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.kept) < lease/8 {
		return nil
	}
	p.kept = now
	return p.worker.Targets.Extend(ctx, p.turn, lease)
}
