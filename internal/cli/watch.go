package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// settle is how long a change waits for those that come with it: a script that
// edits a hundred people is read once or twice, not a hundred times.
const settle = 500 * time.Millisecond

// watch keeps a connection in step until it is interrupted. Runs that changed or
// held something are shown; what happens to the listening goes to standard error.
func (r *root) watch(ctx context.Context, a *app.App, c setting.Connection, o engine.Options, every time.Duration) error {
	list := stream{w: r.Out}
	var failed error
	err := a.Engine.Watch(ctx, c, engine.WatchOptions{Options: o, Every: every, Settle: settle, Retry: time.Second, Told: func(n engine.Notice) {
		now := time.Now().Format(time.TimeOnly)
		switch {
		case n.Result == nil && n.Listening:
			fmt.Fprintf(r.Err, "%s Listening: %s tells of changes as they happen.\n", now, c.Alias)
		case n.Result == nil && errors.Is(n.Err, source.ErrNoWatch):
			fmt.Fprintf(r.Err, "%s %s does not tell of changes as they happen: it is read every %s.\n", now, c.Alias, every)
		case n.Result == nil:
			fmt.Fprintf(r.Err, "%s Not listening any more: %s. %s is read every %s meanwhile.\n", now, flat(n.Err.Error()), c.Alias, every)
		case n.Err != nil:
			fmt.Fprintf(r.Err, "%s %s\n", now, flat(n.Err.Error()))
			if hint := fault.HintOf(n.Err); hint != "" {
				hang(r.Err, "         ", hint)
			}
		case n.Result.Plan.Verdict == plan.Nothing:
		case r.output == "json":
			failed = errors.Join(failed, list.add(n.Result.Run))
		default:
			failed = errors.Join(failed, r.runText(ctx, direct{a}, n.Result.Run))
		}
	}})
	if r.output == "json" {
		failed = errors.Join(failed, list.close())
	}
	return errors.Join(err, failed)
}
