// Package operate has runs carried out: those that people ask for and those of
// schedules, on any number of nodes, each by one of them. It hands runs, and how
// far they are, on to the API, the console and the command line.
//
// A run that is asked for is put in line at once, with an ID. A turn in line is a
// job of the queue: the node that gets it takes whatever is next by then, so that
// no organization waits for all of another's. What a node has when it goes away
// is noticed by the others within seconds, and done again or carried on.
package operate

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/jobs"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
)

// Connections knows the connections there are.
type Connections interface {
	// Connection gives one ready to be opened, secrets included; a fault.NotFound
	// where there is none.
	Connection(ctx context.Context, alias string) (setting.Connection, error)
	// Scheduled hands on all that have a schedule. Their secrets are not needed.
	Scheduled(ctx context.Context, fn func(setting.Connection) error) error
}

// Chore is something one node of all does again and again: pruning, deliveries.
type Chore struct {
	Name  string // unique; letters, digits and dashes
	Every time.Duration
	// Do does what is due, or a part of it. It reports whether there is more, which
	// is then done at once, by whichever node. An error is logged, and the chore
	// comes again in its time.
	Do func(ctx context.Context) (more bool, err error)
}

// Observer is told of the runs that are carried out on this node, for metrics and
// traces. Its methods return at once.
type Observer interface {
	// Begin gives the context that the run goes on in, and whom to tell the rest.
	Begin(ctx context.Context, c setting.Connection, run *engine.Run) (context.Context, Observation)
}

// Observation is of one run. Its methods are not called at the same time.
type Observation interface {
	Progress(engine.Progress)
	// End is told how the run stands then, which may be that it goes on elsewhere.
	End(run *engine.Run, failure error)
}

// unobserved is nobody looking.
type unobserved struct{}

func (unobserved) Begin(ctx context.Context, _ setting.Connection, _ *engine.Run) (context.Context, Observation) {
	return ctx, unobserved{}
}
func (unobserved) Progress(engine.Progress) {}
func (unobserved) End(*engine.Run, error)   {}

// Timing is how often things are looked at.
type Timing struct {
	Beat    time.Duration // between a node's signs of life
	Gone    time.Duration // a node not seen for so long is gone
	Sweep   time.Duration // between looks for work of nodes that are gone
	Tick    time.Duration // between looks at the schedules
	Report  time.Duration // between writing how far runs are, and looking whether they are cancelled
	Refresh time.Duration // between comparisons of the schedules with the connections
	Busy    time.Duration // before trying a connection again that a command line works on
	Follow  time.Duration // between looks at a run that somebody follows
	Push    time.Duration // between runs of a connection that follow what is pushed
}

// DefaultTiming is for servers.
var DefaultTiming = Timing{Beat: 5 * time.Second, Gone: 20 * time.Second, Sweep: 3 * time.Second, Tick: time.Second, Report: time.Second,
	Refresh: 10 * time.Minute, Busy: 3 * time.Second, Follow: 500 * time.Millisecond, Push: 3 * time.Second}

// Options of an Operator.
type Options struct {
	Store       *store.Store
	Engine      *engine.Engine
	Connections Connections
	Node        nodes.Node // ID may be left out; one is made
	Workers     int        // runs carried out at a time; 0 carries out none here
	Timing      Timing     // the zero value is DefaultTiming
	Chores      []Chore
	Observer    Observer // may be nil
	// Elsewhere says what a run of a connection waits for that another node may be able to
	// carry out, or this one in a moment, but not this one now; "" is nothing. It goes back
	// into the line then, some ten times. May be nil.
	Elsewhere func(ctx context.Context, connection string) (waitsFor string, err error)
	Log       *slog.Logger // nil is silent
}

// Operator is one node's part in it. Its methods are safe for concurrent use.
type Operator struct {
	o     Options
	queue jobs.Queue

	mu       sync.Mutex
	running  map[string]*pass // runs carried out here
	handOver bool             // what is begun now is ended at once
	claiming sync.RWMutex     // held for reading between taking a run and knowing of it

	draining atomic.Bool
	loops    sync.WaitGroup
	quit     context.CancelFunc // of all loops but the beat
	beats    context.CancelFunc
}

// pass is a run that is carried out here.
type pass struct {
	ctx    context.Context // ends when the run is told to
	cancel context.CancelCauseFunc
	at     atomic.Pointer[engine.Progress]
	told   *engine.Progress // what the database knows; of the loop that reports
}

// The kinds of jobs.
const (
	turnKind  = "run"
	choreKind = "chore"
)

// New prepares a node. Nothing is carried out before Start.
func New(ctx context.Context, o Options) (*Operator, error) {
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.Node.ID == "" {
		o.Node.ID = newNode(o.Node.Host)
	}
	queue, err := jobs.Open(ctx, o.Store.DB, jobs.Options{Node: o.Node.ID, Gone: o.Timing.Gone, Poll: o.Timing.Tick, Log: o.Log})
	if err != nil {
		return nil, err
	}
	op := &Operator{o: o, queue: queue, running: map[string]*pass{}}
	o.Store.Pushed.Line = op.follow
	return op, nil
}

// Node is the name of this node.
func (o *Operator) Node() string { return o.o.Node.ID }

// Queue is for those who have jobs of their own: to name handlers before Start,
// and to put jobs in.
func (o *Operator) Queue() jobs.Queue { return o.queue }

func (o *Operator) now() time.Time { return o.o.Engine.Now().UTC().Truncate(time.Microsecond) }

// Start begins to carry out runs and to follow the schedules.
func (o *Operator) Start(ctx context.Context) error {
	if err := o.beat(ctx); err != nil {
		return err
	}
	if err := o.o.Store.Nodes.Bury(ctx); err != nil {
		return err
	}
	if o.o.Workers > 0 {
		o.queue.Handle(turnKind, o.o.Workers, o.turn)
		o.queue.Handle(choreKind, 1, o.chore)
		o.queue.Handle(pushKind, 1, o.push)
	}
	if err := o.queue.Start(ctx); err != nil {
		return err
	}
	var loops, beats context.Context
	loops, o.quit = context.WithCancel(context.WithoutCancel(ctx))
	beats, o.beats = context.WithCancel(context.WithoutCancel(ctx))
	t := o.o.Timing
	o.loop(beats, "sign of life", t.Beat, o.beat)
	o.loop(beats, "progress", t.Report, o.report)
	if o.o.Workers > 0 {
		o.loop(loops, "work of nodes that are gone", t.Sweep, o.sweep)
		o.loop(loops, "schedules due", t.Tick, o.tick)
		o.loop(loops, "schedules", t.Refresh, o.Refresh)
		o.loop(loops, "what was pushed", t.Sweep, o.pushes)
	}
	o.o.Log.Info("node started", "node", o.o.Node.ID, "workers", o.o.Workers)
	return nil
}

// loop does something at once and every so often until ctx ends.
func (o *Operator) loop(ctx context.Context, what string, every time.Duration, do func(context.Context) error) {
	o.loops.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for failing := false; ; {
			err := do(ctx)
			switch {
			case ctx.Err() != nil:
			case err != nil && !failing: // a database that is away says so every second
				o.o.Log.Error("could not be looked at, and is tried again until it can", "what", what, "error", err.Error())
			case err == nil && failing:
				o.o.Log.Info("can be looked at again", "what", what)
			}
			failing = err != nil
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

func (o *Operator) beat(ctx context.Context) error {
	n := o.o.Node
	n.Draining = o.draining.Load()
	return o.o.Store.Nodes.Beat(ctx, n)
}

// Stop takes up nothing new, and waits for the runs that are carried out here.
// When ctx ends first, they are stopped where they stand, and handed over to the
// other nodes, or to the next start.
func (o *Operator) Stop(ctx context.Context) error {
	if o.quit == nil {
		return nil // never started
	}
	o.draining.Store(true)
	o.quit()
	errs := []error{o.beat(context.WithoutCancel(ctx))}
	stopped := context.AfterFunc(ctx, o.endAll)
	errs = append(errs, o.queue.Stop(ctx))
	stopped()
	o.beats()
	o.loops.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	errs = append(errs, o.o.Store.Nodes.Leave(last, o.o.Node.ID))
	return errors.Join(errs...)
}

// endAll tells every run that is carried out here to stop for another to go on.
func (o *Operator) endAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handOver = true
	for _, p := range o.running {
		p.cancel(engine.ErrHandOver)
	}
}

// Nodes lists the nodes there are, this one among them.
func (o *Operator) Nodes(ctx context.Context) ([]nodes.Node, error) {
	return o.o.Store.Nodes.List(ctx)
}

// Line tells how many runs wait and how many are carried out, on all nodes.
func (o *Operator) Line(ctx context.Context) (waiting, running int, err error) {
	return o.o.Store.WorkTable.Counts(ctx)
}

// Running names the runs that are carried out here.
func (o *Operator) Running() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.running))
}

// report writes how far the runs here are, and ends those that somebody wants
// cancelled.
func (o *Operator) report(ctx context.Context) error {
	o.mu.Lock()
	here := maps.Clone(o.running)
	o.mu.Unlock()
	if len(here) == 0 {
		return nil
	}
	var errs []error
	for run, p := range here {
		if at := p.at.Load(); at != p.told {
			p.told = at
			_, err := o.o.Store.WorkTable.Report(ctx, run, o.o.Node.ID, at.Phase, at.Done, at.Total)
			errs = append(errs, err)
		}
	}
	unwanted, err := o.o.Store.WorkTable.Cancelled(ctx, o.o.Node.ID)
	for run, by := range unwanted {
		if p := here[run]; p != nil {
			p.cancel(&engine.CancelledError{By: by})
		}
	}
	return errors.Join(append(errs, err)...)
}

// ticket is a turn in line, part of the transaction that puts something there.
func (o *Operator) ticket(ctx context.Context, tx *db.Tx) error {
	return o.queue.Enqueue(ctx, tx, jobs.Job{Kind: turnKind})
}

// spare puts in turns for what waits without one. There are none too many: they
// are the same few each time.
func (o *Operator) spare(ctx context.Context, n int) error {
	return o.o.Store.DB.Write(ctx, func(tx *db.Tx) error {
		list := make([]jobs.Job, n)
		for i := range list {
			list[i] = jobs.Job{Kind: turnKind, Key: "spare " + strconv.Itoa(i)}
		}
		return o.queue.Enqueue(ctx, tx, list...)
	})
}
