package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/runs"
)

// RunPath names a run.
type RunPath struct {
	ID string `path:"id" doc:"The run's ID, a unique beginning of it, or last." maxLength:"64"`
}

const waits = "The run is begun at once and answered with 202; with `wait=true` or `Prefer: wait` the answer comes when the run has ended, with 200."

// Waiting is how a request asks for the end of a run.
type Waiting struct {
	Wait   bool   `query:"wait" doc:"Answer when the run has ended."`
	Prefer string `header:"Prefer" doc:"wait, or wait=SECONDS (RFC 7240), does the same as the query's wait."`
}

// patience says whether to wait, and for how long at the most (0 for ever).
func (w Waiting) patience() (bool, time.Duration) {
	for part := range strings.SplitSeq(w.Prefer, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "wait") {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 || n > 86400 {
			return true, 0
		}
		return true, time.Duration(n) * time.Second
	}
	return w.Wait, 0
}

// begun is the answer to who began a run.
type begun struct {
	Status   int
	Location string `header:"Location"`
	Body     *engine.Run
}

func (s *server) runs() {
	const tag = "runs"
	register(s, operation{id: "list-runs", method: http.MethodGet, path: "/runs", tag: tag, summary: "List runs, the newest first", fails: []int{http.StatusNotFound}}, s.listRuns)
	register(s, operation{id: "get-run", method: http.MethodGet, path: "/runs/{id}", tag: tag, summary: "Show a run"},
		func(ctx context.Context, in *RunPath) (*body[*engine.Run], error) {
			r, err := s.aRun(ctx, in.ID)
			return &body[*engine.Run]{r}, err
		})
	register(s, operation{id: "sync-connection", method: http.MethodPost, path: "/connections/{alias}/sync", tag: tag, summary: "Read the directory, plan and apply",
		description: "A plan over a limit is held and waits for a decision; nothing of it is written. With `who` one person is read, and nobody is missed by it.", waits: true, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *struct {
			AliasPath
			Waiting
			Body *client.SyncInput
		}) (*begun, error) {
			if _, err := s.entry(ctx, in.Alias); err != nil {
				return nil, err
			}
			if in.Body != nil && in.Body.Who != "" {
				run, err := s.Runs.SyncPerson(ctx, in.Alias, in.Body.Who, callerOf(ctx).Actor)
				return s.begun(ctx, run, in.Waiting, err)
			}
			run, err := s.Runs.Sync(ctx, in.Alias, in.Body != nil && in.Body.Full, "manual", callerOf(ctx).Actor)
			return s.begun(ctx, run, in.Waiting, err)
		})
	register(s, operation{id: "revert-run", method: http.MethodPost, path: "/runs/{id}/revert", tag: tag, summary: "Undo an applied run by a new one",
		description: "Attributes, status and memberships go back to what they were; what somebody changed since stays.", waits: true, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *struct {
			RunPath
			Waiting
		}) (*begun, error) {
			run, err := s.aRun(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			run, err = s.Runs.Revert(ctx, run.ID, callerOf(ctx).Actor)
			return s.begun(ctx, run, in.Waiting, err)
		})
	register(s, operation{id: "cancel-run", method: http.MethodPost, path: "/runs/{id}/cancel", tag: tag, summary: "Stop a run",
		description: "What was applied so far stays and is whole. The answer does not wait for the end.", status: http.StatusAccepted, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *RunPath) (*body[*engine.Run], error) {
			run, err := s.aRun(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			if err := s.Runs.Cancel(ctx, run.ID, callerOf(ctx).Actor); err != nil {
				return nil, err
			}
			run, err = s.aRun(ctx, run.ID)
			return &body[*engine.Run]{run}, err
		})
	streams(s, operation{id: "follow-run", method: http.MethodGet, path: "/runs/{id}/progress", tag: tag, summary: "Where a run stands",
		description: "With `Accept: text/event-stream` an event `progress` comes with every change, and an event `end` with the run when it has ended. A comment comes every 15 seconds in between."},
		map[string]*huma.Schema{"application/json": s.schemaOf(client.Progress{}), eventStream: text}, s.progress)
}

// aRun finds a run that the caller's key reaches.
func (s *server) aRun(ctx context.Context, id string) (*engine.Run, error) {
	r, err := s.Store.RunTable.Find(ctx, callerOf(ctx).Organization, id)
	if err == nil {
		about(ctx, r.Connection, r.ID)
	}
	return r, err
}

func (s *server) listRuns(ctx context.Context, in *struct {
	Paging
	Narrow
	State   string    `query:"state" enum:"running,applied,held,failed,rejected,reverted" doc:"Only those in this state."`
	Trigger string    `query:"trigger" maxLength:"64" doc:"Only those begun by this: manual, schedule, approve, revert, upload and so on."`
	Since   time.Time `query:"since" doc:"Only those that began then or later."`
	Until   time.Time `query:"until" doc:"Only those that began before."`
}) (*pageOf[*engine.Run], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	list := fmt.Sprintf("runs %q %q %q %q %d %d", organization, in.Connection, in.State, in.Trigger, db.Micros(in.Since), db.Micros(in.Until))
	var from before
	if err := openCursor(list, in.Cursor, &from); err != nil {
		return nil, err
	}
	found, err := s.Store.RunTable.Page(ctx, runs.Filter{Organization: organization, Connection: in.Connection, State: engine.RunState(in.State),
		Trigger: in.Trigger, Since: in.Since, Until: in.Until, BeforeAt: from.At, BeforeID: from.ID, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(r *engine.Run) any { return before{db.Micros(r.StartedAt), r.ID} })
}

// errPatience ends a wait that has been long enough.
var errPatience = errors.New("the run has not ended yet")

// begun answers who began a run: at once, or when it has ended.
func (s *server) begun(ctx context.Context, run *engine.Run, w Waiting, err error) (*begun, error) {
	if err != nil {
		return nil, err
	}
	about(ctx, run.Connection, run.ID)
	out := &begun{Status: http.StatusAccepted, Location: Prefix + "/runs/" + run.ID, Body: run}
	wait, most := w.patience()
	if !wait {
		return out, nil
	}
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if most > 0 {
		stop := time.AfterFunc(most, func() { cancel(errPatience) })
		defer stop.Stop()
	}
	go func() {
		select {
		case <-s.Draining:
			cancel(errPatience)
		case <-waiting.Done():
		}
	}()
	err = s.Runs.Follow(waiting, run.ID, func(*engine.Run) error { return nil })
	ended := err == nil
	if err != nil && !errors.Is(context.Cause(waiting), errPatience) {
		return nil, err
	}
	if out.Body, err = s.aRun(ctx, run.ID); err == nil && ended {
		out.Status = http.StatusOK
	}
	return out, err
}

func (s *server) progress(ctx context.Context, in *struct {
	RunPath
	Accept
	Last string `header:"Last-Event-ID" hidden:"true"`
}) (func(huma.Context), error) {
	run, err := s.aRun(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !in.stream() {
		p := standing(run)
		if run.Progress == nil && run.FinishedAt == nil {
			if p, err = s.Runs.Progress(ctx, run.ID); err != nil {
				return nil, err
			}
		}
		return func(h huma.Context) { whole(encode(h, p)) }, nil
	}
	return func(h huma.Context) {
		out := newSSE(h)
		last := in.Last
		err := s.beat(h.Context(), out, func(ctx context.Context) error {
			return s.Runs.Follow(ctx, run.ID, func(now *engine.Run) error {
				if now.FinishedAt != nil {
					return nil // the end is told below
				}
				p := standing(now)
				// The ID says what was told: who comes back after a break is not told again.
				id := fmt.Sprintf("%s-%d-%d", p.Phase, p.Done, p.Total)
				if id == last {
					return nil
				}
				last = id
				return out.send("progress", id, p)
			})
		})
		if err == nil {
			run, err = s.aRun(h.Context(), run.ID)
		}
		if err != nil {
			s.failed(h.Context(), out, err)
			return
		}
		whole(out.send("end", "end", run))
	}, nil
}

// standing is where a run stands as far as the run itself tells.
func standing(r *engine.Run) engine.Progress {
	switch {
	case r.FinishedAt != nil:
		return engine.Progress{Phase: "ended", UpdatedAt: *r.FinishedAt}
	case r.Progress != nil:
		return *r.Progress
	}
	return engine.Progress{Phase: "reading", UpdatedAt: r.StartedAt}
}
