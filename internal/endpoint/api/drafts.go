package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/setting"
)

// drafts are the operations that try settings which are not saved.
func (s *server) drafts(tag string) {
	streams(s, operation{id: "check-draft", method: http.MethodPost, path: "/connections/check", tag: tag, summary: "Go step by step to the directory with settings that are not saved",
		description: "The body is a connection as for making one or, with `alias`, a merge patch (RFC 7396) over the one there is. Stored secrets are used where no setting changes that says where they are sent. " +
			"Nothing is kept or changed. Answers as the check of a connection does.",
		fails: []int{http.StatusConflict, http.StatusNotFound}, takes: s.input("application/json", "application/merge-patch+json")},
		map[string]*huma.Schema{"application/json": s.schemaOf(client.Check{}), eventStream: text}, s.checkDraft)
	streams(s, operation{id: "preview-connection", method: http.MethodPost, path: "/connections/{alias}/preview", tag: tag, summary: "Plan with settings that are not saved; apply nothing, save nothing",
		description: "The body is a merge patch (RFC 7396) as for changing the connection; `{}` is the connection as it is. The whole directory is read; bookmark, plans that wait and the next run are not touched. " +
			"The plan is kept, and can be approved once the settings are saved as they are in the patch. Answers as the plan of a connection does.",
		fails: []int{http.StatusConflict}, takes: s.input("application/json", "application/merge-patch+json")},
		map[string]*huma.Schema{"application/json": s.schemaOf(client.Plan{}), eventStream: text}, s.preview)
	register(s, operation{id: "try-rules", method: http.MethodPost, path: "/connections/{alias}/try", tag: tag, summary: "Try rules that are not saved on live entries",
		description: "Shows people with their attributes beside what the rules make of them, now and with the change, and counts over everybody what would change. Nothing is kept.",
		fails:       []int{http.StatusConflict}, anytime: true}, s.try)
}

func (s *server) try(ctx context.Context, in *struct {
	AliasPath
	Body client.TryInput
}) (*body[*engine.Trial], error) {
	c, err := s.open(ctx, in.Alias)
	if err != nil {
		return nil, err
	}
	patch := map[string]any{}
	if in.Body.Mapping != nil {
		patch["mapping"] = in.Body.Mapping
	}
	if in.Body.Scope != nil {
		patch["scope"] = *in.Body.Scope
	}
	form, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	then, err := s.draft(ctx, in.Alias, form)
	if err != nil {
		return nil, err
	}
	if in.Body.Limit == 0 {
		in.Body.Limit = 10
	}
	t, err := s.Engine.Try(ctx, c, then, engine.TryQuery{Who: in.Body.Who, Limit: in.Body.Limit, Tally: !in.Body.NoTally})
	return &body[*engine.Trial]{t}, err
}

func (s *server) preview(ctx context.Context, in *struct {
	AliasPath
	Accept
	Body json.RawMessage
}) (func(huma.Context), error) {
	c, err := s.draft(ctx, in.Alias, in.Body)
	if err != nil {
		return nil, err
	}
	return s.planned(ctx, engine.Options{Actor: callerOf(ctx).Actor}, in.Accept, func(ctx context.Context, o engine.Options) (*engine.Result, error) {
		return s.Engine.Preview(ctx, c, o)
	})
}

// draft is a connection as it would be, to be tried; alias "" stands for one that
// is not there yet.
func (s *server) draft(ctx context.Context, alias string, body json.RawMessage) (setting.Connection, error) {
	about(ctx, alias, "")
	if err := s.mayGive(ctx, alias, body); err != nil {
		return setting.Connection{}, err
	}
	return s.Registry.Draft(ctx, who(ctx), alias, body)
}
