package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/plans"
)

// PlanPath names a plan.
type PlanPath struct {
	ID string `path:"id" doc:"The plan's ID, a unique beginning of it, or last." maxLength:"64"`
}

func (s *server) plans() {
	const tag = "plans"
	whole := map[string]*huma.Schema{"application/json": s.schemaOf(client.Plan{})}
	register(s, operation{id: "list-plans", method: http.MethodGet, path: "/plans", tag: tag, summary: "List plans, the newest first, without their rows", fails: []int{http.StatusNotFound}}, s.listPlans)
	streams(s, operation{id: "get-plan", method: http.MethodGet, path: "/plans/{id}", tag: tag, summary: "Show a plan with its rows and notes",
		description: "Of any length; `changes=false` leaves rows and notes out."}, whole, s.getPlan)
	register(s, operation{id: "list-plan-changes", method: http.MethodGet, path: "/plans/{id}/changes", tag: tag, summary: "List a plan's rows in their order", fails: []int{http.StatusConflict}}, s.listChanges)
	register(s, operation{id: "list-plan-notes", method: http.MethodGet, path: "/plans/{id}/notes", tag: tag, summary: "List what a plan does not do, and why", fails: []int{http.StatusConflict}}, s.listNotes)
	register(s, operation{id: "approve-plan", method: http.MethodPost, path: "/plans/{id}/approve", tag: tag, summary: "Carry a plan out as it was shown, less the rows excluded",
		description: "Exactly its rows, or nothing where the directory, the settings or an account of it has changed since.", waits: true, fails: []int{http.StatusConflict}},
		s.approve)
	register(s, operation{id: "reject-plan", method: http.MethodPost, path: "/plans/{id}/reject", tag: tag, summary: "End a plan that waits; nothing of it is written", fails: []int{http.StatusConflict}}, s.reject)
	streams(s, operation{id: "plan-connection", method: http.MethodPost, path: "/connections/{alias}/plan", tag: tag, summary: "Read the directory and plan; apply nothing",
		description: "The plan is kept, and can be approved. With `Accept: text/event-stream` come events `progress`, and the plan as an event `plan`.", fails: []int{http.StatusConflict}},
		map[string]*huma.Schema{"application/json": whole["application/json"], eventStream: text}, s.makePlan)
	streams(s, operation{id: "plan-revert", method: http.MethodPost, path: "/runs/{id}/revert/plan", tag: tag, summary: "Plan how a run would be undone; apply nothing", fails: []int{http.StatusConflict}},
		whole, s.planRevert)
}

// aPlan finds a plan that the caller's key reaches.
func (s *server) aPlan(ctx context.Context, id string) (*engine.Plan, error) {
	p, err := s.Store.PlanTable.Find(ctx, callerOf(ctx).Organization, id)
	if own := callerOf(ctx).Connection; err == nil && own != "" && p.Connection != own {
		return nil, fault.New(fault.NotFound, "there is no plan %q", id)
	}
	if err == nil {
		about(ctx, p.Connection, "")
	}
	return p, err
}

// Narrow is how lists of plans and runs are narrowed.
type Narrow struct {
	Organization string `query:"organization" doc:"Only this organization's."`
	Connection   string `query:"connection" doc:"Only this connection's, by alias."`
}

// before is where a list goes on that begins with the newest.
type before struct {
	At int64
	ID string
}

func (s *server) listPlans(ctx context.Context, in *struct {
	Paging
	Narrow
	State  string `query:"state" enum:"ready,held,applying,applied,rejected,superseded" doc:"Only those in this state."`
	Drafts bool   `query:"drafts" default:"true" doc:"With those that were made with settings which are not saved: nobody has to decide about them."`
}) (*pageOf[*engine.Plan], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	if own := callerOf(ctx).Connection; own != "" {
		in.Connection = own
	}
	list := fmt.Sprintf("plans %q %q %q %t", organization, in.Connection, in.State, in.Drafts)
	var from before
	if err := openCursor(list, in.Cursor, &from); err != nil {
		return nil, err
	}
	found, err := s.Store.PlanTable.Page(ctx, plans.Filter{Organization: organization, Connection: in.Connection, State: plan.State(in.State), NoDrafts: !in.Drafts, BeforeAt: from.At, BeforeID: from.ID, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(p *engine.Plan) any { return before{db.Micros(p.CreatedAt), p.ID} })
}

func (s *server) getPlan(ctx context.Context, in *struct {
	PlanPath
	Changes bool `query:"changes" default:"true" doc:"With rows and notes."`
}) (func(huma.Context), error) {
	p, err := s.aPlan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return func(h huma.Context) {
		out := outputOf(h, "application/json")
		if !in.Changes {
			whole(json.NewEncoder(out).Encode(p))
			return
		}
		whole(s.writePlan(h.Context(), out, p))
	}, nil
}

// writePlan writes a plan of any length on one line without holding it: the head,
// then rows and notes one by one.
func (s *server) writePlan(ctx context.Context, w io.Writer, p *engine.Plan) error {
	head, err := json.Marshal(p)
	if err != nil {
		return err
	}
	out := &buffered{w: w, b: append(head[:len(head)-1], `,"changes":[`...)}
	if !p.Pruned {
		if err := s.Store.PlanTable.Rows(ctx, p, 0, func(row plan.Row) error { return out.item(row) }); err != nil {
			return err
		}
	}
	out.text(`],"notes":[`)
	if !p.Pruned {
		err := s.pages(ctx, p, func(n plan.NoteRow) error { return out.item(n) })
		if err != nil {
			return err
		}
	}
	out.text("]}")
	return out.end()
}

// pages hands on all notes of a plan, reading a piece at a time: nothing of the
// database is held while somebody reads slowly.
func (s *server) pages(ctx context.Context, p *engine.Plan, fn func(plan.NoteRow) error) error {
	var at plans.NotePlace
	for {
		notes, places, err := s.notes(ctx, p, at, 1000)
		if err != nil || len(notes) == 0 {
			return err
		}
		for _, n := range notes {
			if err := fn(n); err != nil {
				return err
			}
		}
		at = places[len(places)-1]
	}
}

func (s *server) notes(ctx context.Context, p *engine.Plan, after plans.NotePlace, limit int) ([]plan.NoteRow, []plans.NotePlace, error) {
	var rows []plan.NoteRow
	var places []plans.NotePlace
	err := s.Store.PlanTable.NotesFrom(ctx, p, after, func(at plans.NotePlace, n plan.Note) error {
		rows, places = append(rows, n.Row()), append(places, at)
		if len(rows) == limit {
			return plans.ErrEnough
		}
		return nil
	})
	return rows, places, err
}

func (s *server) listNotes(ctx context.Context, in *struct {
	PlanPath
	Paging
}) (*pageOf[plan.NoteRow], error) {
	p, err := s.aPlan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list := "notes " + p.ID
	var from plans.NotePlace
	if err := openCursor(list, in.Cursor, &from); err != nil {
		return nil, err
	}
	rows, places, err := s.notes(ctx, p, from, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, rows, in.Limit, func(plan.NoteRow) any { return places[in.Limit-1] })
}

func (s *server) listChanges(ctx context.Context, in *struct {
	PlanPath
	Paging
	Action []string `query:"action" enum:"create,update,link,disable,enable,delete,restore,keep,add,remove" doc:"Only these actions, separated by commas."`
	Target string   `query:"target" enum:"account,group,membership" doc:"Only this target."`
	Search string   `query:"q" maxLength:"200" doc:"Only rows whose name, external ID or values contain this."`
	Of     []string `query:"accounts" maxItems:"100" doc:"Only rows of these accounts, by ID, separated by commas: of memberships, the members."`
}) (*pageOf[plan.Row], error) {
	p, err := s.aPlan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list := fmt.Sprintf("changes %s %q %q %q %q", p.ID, in.Action, in.Target, in.Search, in.Of)
	var after int64
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	only := plan.Narrow{Target: plan.Target(in.Target), Word: in.Search}
	for _, a := range in.Action {
		only.Actions = append(only.Actions, plan.Action(a))
	}
	for _, text := range in.Of {
		id, err := account.ParseID(text)
		if err != nil {
			return nil, fault.New(fault.Invalid, "accounts: %q is not the ID of an account", text)
		}
		only.Accounts = append(only.Accounts, id)
	}
	var rows []plan.Row
	err = s.Store.PlanTable.RowsOf(ctx, p, after, only, func(row plan.Row) error {
		if rows = append(rows, row); len(rows) > in.Limit {
			return plans.ErrEnough
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return cut(list, rows, in.Limit, func(r plan.Row) any { return r.Seq })
}

func (s *server) approve(ctx context.Context, in *struct {
	PlanPath
	Waiting
	Body *client.ApproveInput
}) (*begun, error) {
	p, err := s.aPlan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var exclude []int64
	if in.Body != nil {
		if exclude, err = plan.RowNumbers(in.Body.Exclude); err != nil {
			return nil, err
		}
	}
	run, err := s.Runs.Approve(ctx, p.ID, exclude, callerOf(ctx).Actor)
	return s.begun(ctx, run, in.Waiting, err)
}

func (s *server) reject(ctx context.Context, in *PlanPath) (*body[*engine.Plan], error) {
	p, err := s.aPlan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	c, err := s.open(ctx, p.Connection)
	if err != nil {
		return nil, err
	}
	p, err = s.Engine.Reject(ctx, c, p.ID, callerOf(ctx).Actor)
	return &body[*engine.Plan]{p}, err
}

func (s *server) makePlan(ctx context.Context, in *struct {
	AliasPath
	Accept
	Body *client.SyncInput
}) (func(huma.Context), error) {
	c, err := s.open(ctx, in.Alias)
	if err != nil {
		return nil, err
	}
	if in.Body != nil && in.Body.Who != "" {
		return nil, fault.New(fault.Invalid, "who: one person is read by a run; a plan is made of everybody")
	}
	o := engine.Options{Actor: callerOf(ctx).Actor, Trigger: "manual", Full: in.Body != nil && in.Body.Full}
	return s.planned(ctx, o, in.Accept, func(ctx context.Context, o engine.Options) (*engine.Result, error) { return s.Engine.Plan(ctx, c, o) })
}

// planned has a plan made, and tells how far it is where the caller wants to know.
func (s *server) planned(ctx context.Context, o engine.Options, in Accept, plan func(context.Context, engine.Options) (*engine.Result, error)) (func(huma.Context), error) {
	if in.stream() {
		return func(h huma.Context) {
			out := newSSE(h)
			var made *engine.Result
			err := s.beat(h.Context(), out, func(ctx context.Context) (err error) {
				o.Progress = s.told(out)
				made, err = plan(ctx, o)
				return err
			})
			if err != nil {
				s.failed(h.Context(), out, err)
				return
			}
			_, err = io.WriteString(out, "event: plan\ndata: ")
			if err == nil {
				err = s.writePlan(h.Context(), out, made.Plan)
			}
			if err == nil {
				err = out.put("\n\n")
			}
			whole(err)
		}, nil
	}
	made, err := plan(ctx, o)
	if err != nil {
		return nil, err
	}
	return func(h huma.Context) { whole(s.writePlan(h.Context(), outputOf(h, "application/json"), made.Plan)) }, nil
}

// told sends progress, no more often than a person can see. A listener who has
// gone is noticed by the heartbeat and at the end.
func (s *server) told(out *sse) func(engine.Progress) {
	const often = 4 // a second
	var last engine.Progress
	var at int64
	return func(p engine.Progress) {
		now := s.Now().UnixMilli()
		if p.Phase == last.Phase && now-at < 1000/often {
			return
		}
		last, at = p, now
		_ = out.send("progress", "", client.Progress{Phase: p.Phase, Done: p.Done, Total: p.Total}) //nolint:errcheck // see above
	}
}

func (s *server) planRevert(ctx context.Context, in *RunPath) (func(huma.Context), error) {
	run, err := s.aRun(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	c, err := s.open(ctx, run.Connection)
	if err != nil {
		return nil, err
	}
	made, err := s.Engine.Revert(ctx, c, run.ID, true, engine.Options{Actor: callerOf(ctx).Actor})
	if err != nil {
		return nil, err
	}
	return func(h huma.Context) { whole(s.writePlan(h.Context(), outputOf(h, "application/json"), made.Plan)) }, nil
}
