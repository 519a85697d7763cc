package webhook

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/store/hooks"
)

// How many deliveries are under way at once: one endpoint can only hold up its own.
const (
	perEndpoint = 4
	altogether  = 256
)

// lease is how long a delivery is one node's: longer than an attempt takes with
// the writing of its outcome.
const lease = 90 * time.Second

// Schedule is how long to wait after each failed attempt: nine times after the
// first, over three days (Standard Webhooks, "Deliverability and reliability").
var Schedule = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Worker sends what is due. Any number of them may run on one database.
type Worker struct {
	Hooks  *hooks.Hooks
	Sender *Sender
	Log    *slog.Logger
	Now    func() time.Time
	// Told is called with what became of each attempt: "delivered", "retry" (it comes
	// again) or "dead" (it does not). May be nil.
	Told func(outcome string)
	// Jitter gives a number from 0 up to, but not, 1; nil is a random one.
	Jitter func() float64

	mu   sync.Mutex
	busy map[string]int // by webhook
	all  int
	wake chan struct{}
}

// plan fills in what follows from a failure.
func (w *Worker) plan(j *hooks.Job, o *hooks.Outcome) {
	o.PauseFor = w.pause
	if o.Error == "" || o.Gone || j.Step >= len(Schedule) {
		return
	}
	at := w.Now().Add(w.about(Schedule[j.Step]))
	if o.NotBefore.After(at) {
		at = o.NotBefore
	}
	if at.Before(j.GiveUp) {
		o.NextAt = at
	}
}

// pause is how long an endpoint that keeps failing is left alone: 30 seconds, then
// twice as long each time, ten minutes at the most.
func (w *Worker) pause(beyond int) time.Duration {
	return w.about(min(30*time.Second<<min(beyond, 10), 10*time.Minute))
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

// Prepare makes deliveries of all events there are by now, and ends those tried
// for long enough.
func (w *Worker) Prepare(ctx context.Context) (worked bool, err error) {
	for {
		made, more, err := w.Hooks.FanOut(ctx)
		worked = worked || made > 0
		if err != nil {
			return worked, err
		}
		if !more {
			break
		}
	}
	_, err = w.Hooks.GiveUp(ctx)
	return worked, err
}

func (w *Worker) free(webhook string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return perEndpoint - w.busy[webhook]
}

func (w *Worker) count(webhook string, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy == nil {
		w.busy = map[string]int{}
	}
	w.all += by
	if w.busy[webhook] += by; w.busy[webhook] == 0 {
		delete(w.busy, webhook)
	}
}

func (w *Worker) room() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return altogether - w.all
}

// start claims up to n deliveries that are due and sends them in the background;
// after is called when one has ended.
func (w *Worker) start(ctx context.Context, n int, under *sync.WaitGroup, after func()) (int, error) {
	jobs, err := w.Hooks.Claim(ctx, min(n, w.room()), lease, w.free)
	for _, j := range jobs {
		w.count(j.Webhook, 1)
		under.Go(func() {
			w.attempt(ctx, j)
			w.count(j.Webhook, -1)
			after()
		})
	}
	return len(jobs), err
}

// attempt sends one delivery and writes down what became of it. One that has begun
// goes on when the worker is told to end: whoever is cut off in the middle of an
// answer would get everything again.
func (w *Worker) attempt(ctx context.Context, j *hooks.Job) {
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), TimeLimit+30*time.Second)
	defer cancel()
	if ctx.Err() != nil {
		w.report(w.Hooks.Forget(kept, []*hooks.Job{j}), j)
		return
	}
	var o hooks.Outcome
	if j.Data == nil {
		o = hooks.Outcome{At: w.Now(), Error: "its event is no longer kept"}
		j.Step = len(Schedule)
	} else {
		o = w.Sender.Send(kept, j)
	}
	w.plan(j, &o)
	w.report(w.Hooks.Finish(kept, j, o), j)
	w.tell(o)
	if o.Error != "" {
		w.Log.Info("a delivery failed", "webhook", j.Webhook, "delivery", j.ID, "attempt", j.Step+1, "status", o.Status, "error", o.Error)
	}
}

func (w *Worker) tell(o hooks.Outcome) {
	switch {
	case w.Told == nil:
	case o.Error == "":
		w.Told("delivered")
	case o.NextAt.IsZero():
		w.Told("dead")
	default:
		w.Told("retry")
	}
}

func (w *Worker) report(err error, j *hooks.Job) {
	if err != nil {
		w.Log.Error("what became of a delivery could not be written; it is sent again", "webhook", j.Webhook, "delivery", j.ID, "error", err)
	}
}

// Deliver claims up to n deliveries that are due, sends them and waits for all of
// them. It gives how many there were.
func (w *Worker) Deliver(ctx context.Context, n int) (int, error) {
	var under sync.WaitGroup
	started, err := w.start(ctx, n, &under, func() {})
	under.Wait()
	return started, err
}

// idle is how long nothing is looked for where nothing was found.
const idle = time.Second

// Step does what there is to do once, for whoever calls it from a job: it reports
// whether there was anything, and when to come again. Run is better where there
// can be a loop: there no endpoint waits for another.
func (w *Worker) Step(ctx context.Context) (worked bool, next time.Time, err error) {
	worked, err = w.Prepare(ctx)
	n := 0
	if err == nil {
		n, err = w.Deliver(ctx, altogether)
	}
	next = w.Now()
	if worked = worked || n > 0; !worked {
		next = next.Add(idle)
	}
	return worked, next, err
}

// Wake makes Run look at once: something was written.
func (w *Worker) Wake() {
	select {
	case w.waker() <- struct{}{}:
	default:
	}
}

func (w *Worker) waker() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wake == nil {
		w.wake = make(chan struct{}, 1)
	}
	return w.wake
}

// Run sends what becomes due until ctx ends, and then waits for the attempts under
// way, TimeLimit at the most. A database that is away for a while ends nothing.
func (w *Worker) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer w.Sender.Close()
	defer under.Wait()
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for {
		// The next look follows when an attempt has ended, so that an endpoint with
		// much to be told goes as fast as it answers.
		_, err := w.Prepare(ctx)
		if err == nil {
			_, err = w.start(ctx, altogether, &under, w.Wake)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			w.Log.Error("deliveries could not be looked for", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.waker():
		}
	}
}
