package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/source"
)

// watching runs Watch and hands on its notices one by one.
func watching(t *testing.T, w *World, every time.Duration) (next func() engine.Notice, stop func() error) {
	t.Helper()
	notices := make(chan engine.Notice)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Engine.Watch(ctx, *w.Conn("hq"), engine.WatchOptions{Options: options, Every: every, Retry: time.Microsecond, Told: func(n engine.Notice) {
			select {
			case notices <- n:
			case <-ctx.Done():
			}
		}})
	}()
	return func() engine.Notice {
			t.Helper()
			select {
			case n := <-notices:
				return n
			case <-time.After(time.Minute):
				t.Fatal("nothing happens")
				return engine.Notice{}
			}
		}, func() error {
			cancel()
			return <-ended
		}
}

func TestAChangeThatIsToldOfArrivesWithoutWaiting(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		tell, drop := make(chan struct{}), make(chan error)
		w.Dirs.Of("hq").Watch = func(ctx context.Context, changed func()) error {
			changed()
			for {
				select {
				case <-tell:
					changed()
				case err := <-drop:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		next, stop := watching(t, w, time.Hour)
		// Listening begins, and two passes are made: the first, and one for what
		// may have changed before.
		passes, listening := 0, false
		for passes < 2 {
			n := next()
			listening = listening || n.Listening
			if n.Result != nil {
				w.must(n.Err)
				passes++
			}
		}
		equal(t, "listening", listening, true)
		w.Holds("hq", Person("anna"), Person("bob"))
		tell <- struct{}{}
		n := next()
		w.must(n.Err)
		equal(t, "created", n.Result.Run.Summary.Create, 1)
		// A pass that fails ends nothing.
		w.Dirs.Of("hq").Breaks = errors.New("script: gone")
		tell <- struct{}{}
		if n = next(); n.Err == nil || !strings.Contains(n.Err.Error(), "gone") {
			t.Errorf("the pass ended with %v", n.Err)
		}
		w.Dirs.Of("hq").Breaks = nil
		// Nor does a connection that drops: the next one begins with a pass.
		w.Holds("hq", Person("anna"), Person("bob", "title=Boss"))
		drop <- errors.New("script: connection reset")
		equal(t, "told of the drop", next().Err.Error(), "script: connection reset")
		equal(t, "listening again", next().Listening, true)
		n = next()
		w.must(n.Err)
		equal(t, "updated", n.Result.Run.Summary.Update, 1)
		w.must(stop())
		equal(t, "bob", w.Account("bob").Text[account.Title], "Boss")
		w.Settled("hq")
	})
}

func TestWithoutAnAbilityToTellTheScheduleRemains(t *testing.T) {
	t.Parallel()
	w := Open(t, dsns["SQLite"](t))
	w.Connect("hq")
	w.Holds("hq", Person("anna"))
	next, stop := watching(t, w, time.Millisecond)
	passes, said := 0, false
	for passes < 3 || !said {
		n := next()
		switch {
		case n.Result != nil:
			w.must(n.Err)
			passes++
		default:
			said = errors.Is(n.Err, source.ErrNoWatch)
		}
	}
	w.must(stop())
	equal(t, "accounts", len(w.Accounts()), 1)
}
