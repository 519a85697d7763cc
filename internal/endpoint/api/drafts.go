package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/setting"
)

// drafts are the operations that try settings which are not saved.
func (s *server) drafts(tag string) {
	streams(s, operation{id: "check-draft", method: http.MethodPost, path: "/connections/check", tag: tag, summary: "Go step by step to the directory with settings that are not saved",
		description: "The body is a connection as for making one or, with `alias`, a merge patch (RFC 7396) over the one there is. Stored secrets are used where no setting changes that says where they are sent. " +
			"Nothing is kept or changed. Answers as the check of a connection does.",
		fails: []int{http.StatusConflict, http.StatusNotFound}, takes: s.input("application/json", "application/merge-patch+json")},
		map[string]*huma.Schema{"application/json": s.schemaOf(client.Check{}), eventStream: text}, s.checkDraft)
}

// draft is a connection as it would be, to be tried; alias "" stands for one that
// is not there yet.
func (s *server) draft(ctx context.Context, alias string, body json.RawMessage) (setting.Connection, error) {
	about(ctx, alias, "")
	return s.Registry.Draft(ctx, who(ctx), alias, body)
}
