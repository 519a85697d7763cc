package api

import (
	"context"
	"fmt"
	"net/http"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/targets"
)

// Targets looks at what the applications have that accounts are pushed to.
type Targets interface {
	Check(ctx context.Context, asks, target string) (*client.TargetReport, error)
	Repair(ctx context.Context, asks, target, actor string) (*client.TargetReport, error)
}

// TargetPath names a target.
type TargetPath struct {
	ID string `path:"id" doc:"The target's ID." maxLength:"64"`
}

func (s *server) targets() {
	const tag = "targets"
	register(s, operation{id: "list-targets", method: http.MethodGet, path: "/targets", tag: tag, summary: "List the applications that accounts are pushed to"}, s.listTargets)
	register(s, operation{id: "get-target", method: http.MethodGet, path: "/targets/{id}", tag: tag, summary: "Show a target, with how many are in step"},
		func(ctx context.Context, in *TargetPath) (*body[*client.Target], error) {
			t, err := s.Store.TargetTable.Get(ctx, callerOf(ctx).Organization, in.ID)
			return &body[*client.Target]{t}, err
		})
	register(s, operation{id: "create-target", method: http.MethodPost, path: "/targets", tag: tag, summary: "Push accounts to an application",
		description: "Everybody who is active is pushed once, and what changes after that as it changes. Who is there already, by user name or by our identifier, is not made again.",
		status:      http.StatusCreated, fails: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *body[client.TargetInput]) (*body[*client.Target], error) {
			t, err := s.Store.TargetTable.Create(ctx, callerOf(ctx).Organization, in.Body, callerOf(ctx).Actor)
			return &body[*client.Target]{t}, err
		})
	register(s, operation{id: "update-target", method: http.MethodPatch, path: "/targets/{id}", tag: tag, summary: "Change a target, or have it tried again at once"},
		func(ctx context.Context, in *struct {
			TargetPath
			Body client.TargetPatchInput
		}) (*body[*client.Target], error) {
			t, err := s.Store.TargetTable.Update(ctx, callerOf(ctx).Organization, in.ID, in.Body, callerOf(ctx).Actor)
			return &body[*client.Target]{t}, err
		})
	register(s, operation{id: "delete-target", method: http.MethodDelete, path: "/targets/{id}", tag: tag, summary: "Push no more; the application keeps what it has", status: http.StatusNoContent},
		func(ctx context.Context, in *TargetPath) (*struct{}, error) {
			return nil, s.Store.TargetTable.Delete(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor)
		})
	register(s, operation{id: "list-target-links", method: http.MethodGet, path: "/targets/{id}/links", tag: tag, summary: "List what accounts and groups are at a target"}, s.listTargetLinks)
	register(s, operation{id: "sync-target", method: http.MethodPost, path: "/targets/{id}/sync", tag: tag, summary: "Look at everything again, at once", status: http.StatusAccepted, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *TargetPath) (*body[client.Marked], error) {
			n, err := s.Store.TargetTable.Sync(ctx, callerOf(ctx).Organization, in.ID)
			return &body[client.Marked]{client.Marked{Marked: n}}, err
		})
	register(s, operation{id: "check-target", method: http.MethodPost, path: "/targets/{id}/check", tag: tag, summary: "Compare what a target has with what was pushed; changes nothing",
		anytime: true, fails: []int{http.StatusServiceUnavailable}},
		func(ctx context.Context, in *TargetPath) (*body[*client.TargetReport], error) {
			r, err := s.Targets.Check(ctx, callerOf(ctx).Organization, in.ID)
			return &body[*client.TargetReport]{r}, err
		})
	register(s, operation{id: "repair-target", method: http.MethodPost, path: "/targets/{id}/repair", tag: tag, summary: "Compare, and push what is missing or different again",
		anytime: true, fails: []int{http.StatusServiceUnavailable}},
		func(ctx context.Context, in *TargetPath) (*body[*client.TargetReport], error) {
			r, err := s.Targets.Repair(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor)
			return &body[*client.TargetReport]{r}, err
		})
}

func (s *server) listTargets(ctx context.Context, in *struct{ Paging }) (*pageOf[*client.Target], error) {
	const list = "targets"
	var after string
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	found, err := s.Store.TargetTable.List(ctx, callerOf(ctx).Organization, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(t *client.Target) any { return t.ID })
}

func (s *server) listTargetLinks(ctx context.Context, in *struct {
	TargetPath
	Paging
	State string `query:"state" enum:"due,synced,failed" doc:"Only those in this state."`
}) (*pageOf[client.TargetLink], error) {
	list := fmt.Sprintf("links %q %q", in.ID, in.State)
	var after [2]string
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	place := targets.Place{Kind: after[0]}
	if after[1] != "" {
		var err error
		if place.ID, err = account.ParseID(after[1]); err != nil {
			return nil, fault.New(fault.Invalid, "the cursor is none of this list")
		}
	}
	found, err := s.Store.TargetTable.Links(ctx, callerOf(ctx).Organization, in.ID, in.State, place, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(l client.TargetLink) any { return [2]string{l.Kind, l.ID} })
}
