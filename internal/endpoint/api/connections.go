package api

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/registry"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/runs"
	"rollcall.dev/rollcall/internal/store/uploads"
)

// AliasPath names a connection.
type AliasPath struct {
	Alias string `path:"alias" doc:"The connection's alias." maxLength:"64"`
}

// shape is a connection's JSON: the keys of rollcall.yaml, and how it stands.
type shape map[string]any

func (s *server) connections() {
	const tag = "connections"
	register(s, operation{id: "list-connections", method: http.MethodGet, path: "/connections", tag: tag, summary: "List connections and how they stand", fails: []int{http.StatusNotFound}}, s.listConnections)
	register(s, operation{id: "get-connection", method: http.MethodGet, path: "/connections/{alias}", tag: tag, summary: "Show a connection's settings and how it stands"}, s.getConnection)
	s.changes(tag)
	s.actions(tag)
	streams(s, operation{id: "check-connection", method: http.MethodPost, path: "/connections/{alias}/check", tag: tag, summary: "Go step by step to the directory and through it",
		description: "Nothing is kept or changed. With `Accept: text/event-stream` each step is an event `step` as it ends, and the whole an event `end`."},
		map[string]*huma.Schema{"application/json": s.schemaOf(client.Check{}), eventStream: text}, s.check)
	s.drafts(tag)
	s.pushes()
}

// changes are the operations that make, change and take away connections.
func (s *server) changes(tag string) {
	register(s, operation{id: "create-connection", method: http.MethodPost, path: "/connections", tag: tag, summary: "Make a connection",
		description: "In the form of rollcall.yaml. Values mean what they say: no variable is put in their place.", status: http.StatusCreated,
		fails: []int{http.StatusConflict, http.StatusNotFound}, takes: s.input("application/json")},
		func(ctx context.Context, in *body[json.RawMessage]) (*body[shape], error) {
			if err := s.mayGive(ctx, "", in.Body); err != nil {
				return nil, err
			}
			form, err := s.waiting(ctx, in.Body)
			if err != nil {
				return nil, err
			}
			e, err := s.Registry.Create(ctx, who(ctx), form)
			return s.shape(ctx, e, err)
		})
	register(s, operation{id: "update-connection", method: http.MethodPatch, path: "/connections/{alias}", tag: tag, summary: "Change some settings of a connection",
		description: "A JSON merge patch (RFC 7396): objects are merged key by key, null takes a key away. A secret that is not given anew goes when the place it was given for changes. " +
			"One that stands in rollcall.yaml is changed there.",
		fails: []int{http.StatusConflict}, takes: s.input("application/json", "application/merge-patch+json")},
		func(ctx context.Context, in *struct {
			AliasPath
			Version int64 `query:"version" minimum:"0" doc:"The version that was read: what somebody else changed since is not overwritten."`
			Body    json.RawMessage
		}) (*body[shape], error) {
			about(ctx, in.Alias, "")
			if err := s.mayGive(ctx, in.Alias, in.Body); err != nil {
				return nil, err
			}
			e, err := s.Registry.Update(ctx, who(ctx), in.Alias, in.Body, in.Version)
			return s.shape(ctx, e, err)
		})
	register(s, operation{id: "replace-connection", method: http.MethodPut, path: "/connections/{alias}", tag: tag, summary: "Change a connection into what is given",
		description: "What is not given goes back to its default; a secret that is not given stays, where the place it was given for does.",
		fails:       []int{http.StatusConflict}, takes: s.input("application/json")},
		func(ctx context.Context, in *struct {
			AliasPath
			Version int64 `query:"version" minimum:"0" doc:"The version that was read."`
			Body    json.RawMessage
		}) (*body[shape], error) {
			about(ctx, in.Alias, "")
			e, err := s.Registry.Replace(ctx, who(ctx), in.Alias, in.Body, in.Version)
			return s.shape(ctx, e, err)
		})
	register(s, operation{id: "delete-connection", method: http.MethodDelete, path: "/connections/{alias}", tag: tag, summary: "Forget a connection's settings, secrets and files",
		description: "Its accounts stay as they are: nobody loses access because a connection was taken away. Made again under its alias it takes them up again.",
		status:      http.StatusNoContent, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *AliasPath) (*struct{}, error) {
			about(ctx, in.Alias, "")
			return nil, s.Registry.Delete(ctx, who(ctx), in.Alias)
		})
}

// input is a connection in the form of rollcall.yaml.
func (s *server) input(types ...string) *huma.RequestBody {
	b := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	for _, t := range types {
		b.Content[t] = &huma.MediaType{Schema: s.connectionInput()}
	}
	return b
}

func (s *server) actions(tag string) {
	register(s, operation{id: "reset-connection", method: http.MethodPost, path: "/connections/{alias}/reset", tag: tag, summary: "Forget what was read: the next reading is a full one",
		description: "Every entry is planned anew. No account is touched.", status: http.StatusNoContent, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *AliasPath) (*struct{}, error) {
			c, err := s.open(ctx, in.Alias)
			if err != nil {
				return nil, err
			}
			return nil, s.Engine.Reset(ctx, c, callerOf(ctx).Actor)
		})
	register(s, operation{id: "get-connection-state", method: http.MethodGet, path: "/connections/{alias}/state", tag: tag, summary: "A hash with which an application proves that it is in step"},
		func(ctx context.Context, in *AliasPath) (*body[client.StateHash], error) {
			e, err := s.entry(ctx, in.Alias)
			if err != nil {
				return nil, err
			}
			h, err := s.Store.AccountTable.StateHash(ctx, e.Connection.Organization, in.Alias)
			if err != nil {
				return nil, err
			}
			return &body[client.StateHash]{client.StateHash(*h)}, nil
		})
	register(s, operation{id: "upload-file", method: http.MethodPut, path: "/connections/{alias}/file", tag: tag, summary: "Give a CSV connection its file; a run follows",
		description: "For connections with `upload: true`. The last few files are kept.", status: http.StatusCreated, fails: []int{http.StatusConflict}, anytime: true,
		takes: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/csv": {Schema: text}, "application/octet-stream": {Schema: text}}}}, s.upload)
	register(s, operation{id: "list-files", method: http.MethodGet, path: "/connections/{alias}/files", tag: tag, summary: "List the last files given to a connection"},
		func(ctx context.Context, in *AliasPath) (*pageOf[uploads.Upload], error) {
			about(ctx, in.Alias, "")
			list, err := s.Registry.Uploads(ctx, who(ctx), in.Alias)
			return &pageOf[uploads.Upload]{Body: Page[uploads.Upload]{Items: list}}, err
		})
}

// entry is a connection to be looked at, if the caller's key reaches it.
func (s *server) entry(ctx context.Context, alias string) (*registry.Entry, error) {
	about(ctx, alias, "")
	return s.Registry.Describe(ctx, callerOf(ctx).Organization, alias)
}

// open is a connection with its secrets, to be worked with, under the same condition.
func (s *server) open(ctx context.Context, alias string) (setting.Connection, error) {
	if _, err := s.entry(ctx, alias); err != nil {
		return setting.Connection{}, err
	}
	return s.Registry.Connection(ctx, alias)
}

func (s *server) listConnections(ctx context.Context, in *struct {
	Paging
	Organization string `query:"organization" doc:"Only this organization's."`
}) (*pageOf[shape], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	list := "connections " + organization
	var after string
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	found, err := s.Registry.Page(ctx, organization, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	shapes := make([]shape, len(found))
	for i, e := range found {
		one, err := s.shape(ctx, e, nil)
		if err != nil {
			return nil, err
		}
		shapes[i] = one.Body
	}
	return cut(list, shapes, in.Limit, func(o shape) any { return o["alias"] })
}

func (s *server) getConnection(ctx context.Context, in *AliasPath) (*body[shape], error) {
	e, err := s.entry(ctx, in.Alias)
	return s.shape(ctx, e, err)
}

// shape shows a connection; err is that of having got it.
func (s *server) shape(ctx context.Context, e *registry.Entry, err error) (*body[shape], error) {
	if err != nil {
		return nil, err
	}
	about(ctx, e.Connection.Alias, "")
	out := shape{}
	if err := json.Unmarshal(e.Body, &out); err != nil {
		return nil, err
	}
	state, err := s.stateOf(ctx, e)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, shape{"declared": e.Declared, "secrets_set": listed(e.SecretsSet), "secrets_missing": listed(e.Missing), "version": e.Version,
		"updated_at": e.UpdatedAt, "updated_by": e.UpdatedBy, "state": state})
	return &body[shape]{out}, nil
}

func listed(names []string) []string {
	out := append([]string{}, names...)
	slices.Sort(out)
	return out
}

// stateOf says how a connection stands.
func (s *server) stateOf(ctx context.Context, e *registry.Entry) (client.ConnectionState, error) {
	out := client.ConnectionState{Health: "new", Unset: []string{}}
	known, err := s.Store.LeaseTable.State(ctx, e.Connection.Alias)
	if err != nil {
		return out, err
	}
	out.People, out.Groups = known.Users, known.Groups
	if !known.LastFullAt.IsZero() {
		out.LastFullAt = &known.LastFullAt
	}
	if known.Reading != nil {
		out.Health, out.Complete = "ok", &known.Complete
		if !known.Complete {
			out.Health = "incomplete"
			out.Reason = &known.Reading.Reason
			out.Attention = sentence("the last reading was not complete: " + known.Reading.Reason)
		}
	}
	last, err := s.Store.RunTable.Page(ctx, runs.Filter{Connection: e.Connection.Alias, Limit: 1})
	if err != nil {
		return out, err
	}
	if len(last) > 0 {
		r := last[0]
		state := r.State.String()
		out.LastRun, out.LastRunAt, out.LastRunDone = &r.ID, &r.StartedAt, &state
		switch r.State {
		case engine.RunFailed:
			out.Health, out.Attention = "failing", r.Error
		case engine.RunHeld:
			out.Health, out.Attention = "held", r.Error
		case engine.RunQueued, engine.RunRunning, engine.RunApplied, engine.RunRejected, engine.RunReverted:
		}
	}
	if known.Attention != "" {
		out.Attention, out.Waits = &known.Attention, &known.Attention
	}
	if err := s.fares(ctx, e.Connection.Alias, &out); err != nil {
		return out, err
	}
	switch next, scheduled, err := s.Store.Schedules.Of(ctx, e.Connection.Alias); {
	case err != nil:
		return out, err
	case scheduled:
		out.NextRunAt = &next.DueAt
	}
	for _, u := range e.Connection.Unset {
		out.Unset = append(out.Unset, u.Problem)
	}
	if len(out.Unset) > 0 || len(e.Missing) > 0 {
		out.Health = "unset"
	}
	return out, nil
}

func sentence(s string) *string { return &s }

// Streamed hands a handler the body of its request as it comes, however long.
type Streamed struct{ body io.Reader }

// Resolve implements huma.Resolver.
func (b *Streamed) Resolve(ctx huma.Context) []error {
	// The server's time for reading a request is for small ones.
	_ = ctx.SetReadDeadline(time.Time{}) //nolint:errcheck // a reader that has none needs none
	b.body = ctx.BodyReader()
	return nil
}

func (s *server) upload(ctx context.Context, in *struct {
	AliasPath
	Streamed
	Name string `query:"name" maxLength:"200" doc:"The file's name, for people."`
}) (*body[client.Upload], error) {
	about(ctx, in.Alias, "")
	f, err := s.Registry.Upload(ctx, who(ctx), in.Alias, in.Name, in.body)
	if err != nil {
		return nil, err
	}
	out := client.Upload{ID: f.ID, Name: f.Name, Size: f.Size, SHA256: f.Sum, Actor: f.Actor, At: f.At}
	if callerOf(ctx).Connection != "" {
		return &body[client.Upload]{out}, nil // what a guest gives waits for a person: no run follows
	}
	run, err := s.Runs.Sync(ctx, in.Alias, false, "upload", callerOf(ctx).Actor)
	if err != nil {
		return nil, err
	}
	about(ctx, "", run.ID)
	out.Run = &run.ID
	return &body[client.Upload]{out}, nil
}
