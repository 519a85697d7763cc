package engine

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// WatchOptions say how a connection is kept in step.
type WatchOptions struct {
	Options
	Every  time.Duration // between two passes, whatever the directory says
	Settle time.Duration // how long to wait for more after a change was told of
	Retry  time.Duration // before listening again after a connection dropped, doubled each time up to Every
	// Told is called after each pass, and whenever listening begins or ends;
	// never at the same time.
	Told func(Notice)
}

// Notice is what happened while watching: a pass with its result or error, or a
// turn of the listening.
type Notice struct {
	Result    *Result // nil for a turn of the listening
	Err       error   // of the pass, or why listening ended
	Listening bool    // the directory tells of changes from now on
}

// Watch keeps a connection in step until ctx ends: with a pass at once, another
// whenever the directory tells of a change, and one every so often. A pass that
// fails ends nothing. Where the directory tells of no changes, or cannot be
// reached, the passes of the schedule remain.
func (e *Engine) Watch(ctx context.Context, c setting.Connection, o WatchOptions) error {
	if err := complete(c, func(setting.Option) bool { return true }); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	changed, turns := make(chan struct{}, 1), make(chan Notice)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		e.listen(ctx, c, o, changed, turns)
	}()
	defer func() {
		stop()
		<-listening
	}()
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	passes := make(chan Notice, 1)
	pass := func() {
		result, err := e.Sync(ctx, c, o.Options)
		passes <- Notice{Result: result, Err: err}
	}
	go pass()
	for due, running := false, true; ; {
		select {
		case n := <-turns:
			o.Told(n)
		case <-tick.C:
			due = true
		case <-changed:
			due = true
			if running {
				break
			}
			settle := time.NewTimer(o.Settle)
			select {
			case <-settle.C:
			case <-ctx.Done():
			}
			settle.Stop()
		case n := <-passes:
			running = false
			if ctx.Err() == nil {
				o.Told(n)
			}
		case <-ctx.Done():
			if running {
				<-passes
			}
			return nil
		}
		if due && !running && ctx.Err() == nil {
			due, running = false, true
			go pass()
		}
	}
}

// listen stays connected to a directory that tells of changes.
func (e *Engine) listen(ctx context.Context, c setting.Connection, o WatchOptions, changed chan<- struct{}, turns chan<- Notice) {
	tell := func(n Notice) {
		select {
		case turns <- n:
		case <-ctx.Done():
		}
	}
	for wait := o.Retry; ; wait = min(2*wait, o.Every) {
		heard := false
		err := e.watchOnce(ctx, c, func() {
			if !heard {
				heard = true
				tell(Notice{Listening: true})
			}
			select {
			case changed <- struct{}{}:
			default: // one that waits stands for this one too
			}
		})
		if ctx.Err() != nil {
			return
		}
		tell(Notice{Err: err})
		if errors.Is(err, source.ErrNoWatch) {
			return
		}
		if heard {
			wait = o.Retry
		}
		again := time.NewTimer(wait)
		select {
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

func (e *Engine) watchOnce(ctx context.Context, c setting.Connection, changed func()) error {
	_, src, err := e.open(ctx, c)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // nothing was written through it
	w, ok := source.As[source.Watcher](src)
	if !ok {
		return source.ErrNoWatch
	}
	err = w.Watch(ctx, changed)
	if err == nil {
		err = errors.New("the directory ended the connection")
	}
	return err
}
