package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/goccy/go-yaml"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/hooks"
	"rollcall.dev/rollcall/internal/store/keys"
	"rollcall.dev/rollcall/internal/store/organizations"
	"rollcall.dev/rollcall/internal/store/uploads"
)

// shown pairs each of our types with the plain one of package client that has the
// same JSON: the document describes what clients decode into, and the contract
// test holds what handlers answer against it.
var shown = []struct{ ours, theirs reflect.Type }{
	{reflect.TypeFor[shape](), reflect.TypeFor[client.Connection]()},
	{reflect.TypeFor[account.Account](), reflect.TypeFor[client.Account]()},
	{reflect.TypeFor[account.Group](), reflect.TypeFor[client.Group]()},
	{reflect.TypeFor[engine.Plan](), reflect.TypeFor[client.Plan]()},
	{reflect.TypeFor[engine.Run](), reflect.TypeFor[client.Run]()},
	{reflect.TypeFor[engine.Why](), reflect.TypeFor[client.Why]()},
	{reflect.TypeFor[engine.Trial](), reflect.TypeFor[client.Trial]()},
	{reflect.TypeFor[plan.Row](), reflect.TypeFor[client.Change]()},
	{reflect.TypeFor[plan.NoteRow](), reflect.TypeFor[client.Note]()},
	{reflect.TypeFor[eventPage](), reflect.TypeFor[client.EventPage]()},
	{reflect.TypeFor[event.Event](), reflect.TypeFor[client.Event]()},
	{reflect.TypeFor[organizations.Organization](), reflect.TypeFor[client.Organization]()},
	{reflect.TypeFor[engine.Progress](), reflect.TypeFor[client.Progress]()},
	{reflect.TypeFor[hooks.Webhook](), reflect.TypeFor[client.Webhook]()},
	{reflect.TypeFor[newWebhook](), reflect.TypeFor[client.NewWebhook]()},
	{reflect.TypeFor[hooks.Delivery](), reflect.TypeFor[client.Delivery]()},
	{reflect.TypeFor[sentDelivery](), reflect.TypeFor[client.SentDelivery]()},
	{reflect.TypeFor[hooks.Attempt](), reflect.TypeFor[client.Attempt]()},
	{reflect.TypeFor[accounts.State](), reflect.TypeFor[client.StateHash]()},
	{reflect.TypeFor[uploads.Upload](), reflect.TypeFor[client.Upload]()},
	{reflect.TypeFor[keys.Key](), reflect.TypeFor[client.Key]()},
	{reflect.TypeFor[clients.Client](), reflect.TypeFor[client.OIDCClient]()},
	{reflect.TypeFor[newClient](), reflect.TypeFor[client.NewOIDCClient]()},
}

// describe is the document's head. There is no page that loads scripts from
// elsewhere: whoever wants one points it at the document.
func (s *server) describe() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	for _, pair := range shown {
		registry.RegisterTypeAlias(pair.ours, pair.theirs)
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Rollcall", Version: "1", // of the API; it grows, and nothing of it goes
				Description: "Accounts kept in step with directories. Errors are `application/problem+json` (RFC 9457). Lists answer `{\"items\": [...], \"next_cursor\": ...}`: " +
					"ask again with that cursor until it is null. Every key is limited to so many requests a second; `429` says in `Retry-After` when to come again.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: Prefix}},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"key": {Type: "http", Scheme: "bearer", Description: "An API key, made by `rollcall apikeys create`."},
				},
			},
			Security: []map[string][]string{{"key": {}}},
			Tags:     tags,
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		// A misspelt filter would otherwise give everybody instead of a few.
		RejectUnknownQueryParameters: true,
	}
}

var tags = []*huma.Tag{
	{Name: "overview", Description: "How everything is, at a glance."},
	{Name: "organizations", Description: "The tenants."},
	{Name: "connections", Description: "The directories of organizations."},
	{Name: "plans", Description: "What would be done, and decisions on it."},
	{Name: "runs", Description: "What was done."},
	{Name: "accounts", Description: "The people."},
	{Name: "sign-in", Description: "Letting people in with the password they have."},
	{Name: "groups", Description: "Groups and who is in them."},
	{Name: "events", Description: "What happened, in order and without gaps; also the audit log."},
	{Name: "webhooks", Description: "Addresses that are told of events, signed by the Standard Webhooks rules."},
	{Name: "targets", Description: "Applications that accounts are pushed to, over SCIM 2.0."},
	{Name: "apikeys", Description: "Who may use this API."},
}

// operation is what an operation is called, and how it can fail.
type operation struct {
	id, method, path, tag string
	summary, description  string
	status                int               // of success; 200 unless set
	fails                 []int             // besides 401, 429 and 500
	waits                 bool              // it answers 202 at once, or 200 with the run that has ended
	anytime               bool              // it may take as long as it takes
	body                  int64             // bytes of the request at the most; 1 MiB unless set
	takes                 *huma.RequestBody // where it is not to be seen from the handler's type, which then checks it itself
}

func (o operation) huma() huma.Operation {
	h := huma.Operation{OperationID: o.id, Method: o.method, Path: o.path, Tags: []string{o.tag}, Summary: o.summary, Description: o.description,
		DefaultStatus: o.status, MaxBodyBytes: o.body, Responses: map[string]*huma.Response{}}
	if h.MaxBodyBytes == 0 {
		h.MaxBodyBytes = 1 << 20
	} else {
		h.BodyReadTimeout = -1 // a large one takes as long as the line needs
	}
	h.RequestBody, h.SkipValidateBody = o.takes, o.takes != nil
	fails := append([]int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}, o.fails...)
	if o.method != http.MethodGet {
		fails = append(fails, http.StatusForbidden)
	}
	if strings.Contains(o.path, "{") {
		fails = append(fails, http.StatusNotFound)
	}
	if o.method == http.MethodPost || o.method == http.MethodPatch || o.method == http.MethodPut {
		fails = append(fails, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	fails = append(fails, http.StatusUnprocessableEntity)
	slices.Sort(fails)
	h.Errors = slices.Compact(fails)
	return h
}

// ordinary is how long a request may take. Streams, waits and plans take as long
// as they do.
const ordinary = time.Minute

// register declares an operation and answers it.
func register[I, O any](s *server, o operation, fn func(context.Context, *I) (*O, error)) {
	h := o.huma()
	if o.waits {
		h.Description = strings.TrimSpace(h.Description + " " + waits)
		h.DefaultStatus = http.StatusAccepted
		h.Responses["200"] = &huma.Response{Description: "The run has ended", Content: map[string]*huma.MediaType{"application/json": {Schema: s.schemaOf(client.Run{})}}}
	}
	huma.Register(s.api, h, func(ctx context.Context, in *I) (*O, error) {
		if !o.anytime && !o.waits {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, ordinary)
			defer cancel()
		}
		out, err := fn(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// streams declares an operation whose answer is written piece by piece, in one of
// several types.
func streams[I any](s *server, o operation, types map[string]*huma.Schema, fn func(context.Context, *I) (func(huma.Context), error)) {
	h := o.huma()
	content := map[string]*huma.MediaType{}
	for t, schema := range types {
		content[t] = &huma.MediaType{Schema: schema}
	}
	h.Responses["200"] = &huma.Response{Description: "OK", Content: content}
	huma.Register(s.api, h, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		write, err := fn(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: write}, nil
	})
}

// schemaOf describes a type that no handler answers with directly.
func (s *server) schemaOf(v any) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

var text = &huma.Schema{Type: "string"}

// finish rounds the document off, and serves it.
func (s *server) finish() {
	doc := s.api.OpenAPI()
	nullable(doc.Components.Schemas)
	for name, schema := range doc.Components.Schemas.Map() {
		// Answers may have more one day: nobody's client is to break of that.
		if schema.AdditionalProperties == false && !strings.HasSuffix(name, "Input") {
			schema.AdditionalProperties = nil
		}
	}
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Put, item.Delete} {
			if op == nil {
				continue
			}
			for code, r := range op.Responses {
				if code == strconv.Itoa(http.StatusTooManyRequests) {
					r.Headers = map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait.", Schema: &huma.Schema{Type: "integer"}}}
				}
			}
		}
	}
	s.mux.HandleFunc("GET "+Prefix+"/openapi.json", s.served("application/openapi+json", s.document))
	s.mux.HandleFunc("GET "+Prefix+"/openapi.yaml", s.served("application/openapi+yaml", func() ([]byte, error) {
		b, err := s.document()
		if err != nil {
			return nil, err
		}
		return yaml.JSONToYAML(b)
	}))
}

func (s *server) served(contentType string, build func() ([]byte, error)) http.HandlerFunc {
	once := sync.OnceValues(build)
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := once()
		if err != nil {
			refuse(w, s.problem(r.Context(), err))
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "max-age=300")
		_, _ = w.Write(b) //nolint:errcheck // whoever has gone away is told nothing
	}
}

func (s *server) document() ([]byte, error) {
	b, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// nullable lets fields that point to an object be null, which huma leaves out.
func nullable(registry huma.Registry) {
	for name, schema := range registry.Map() {
		t := registry.TypeFromRef("#/components/schemas/" + name)
		if t == nil {
			continue
		}
		for i := range t.NumField() {
			f := t.Field(i)
			tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := schema.Properties[tag]
			if p == nil || p.Ref == "" || f.Type.Kind() != reflect.Pointer || strings.Contains(options, "omitempty") {
				continue
			}
			schema.Properties[tag] = &huma.Schema{Description: p.Description, AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
		}
	}
}

// connectionInput is the form of rollcall.yaml, as its own schema describes it.
// What is wrong with one is told by package config, which knows more about it.
func (s *server) connectionInput() *huma.Schema {
	const name = "ConnectionInput"
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	if schemas[name] == nil {
		var whole struct {
			Properties struct {
				Connections struct {
					Items map[string]any `json:"items"`
				} `json:"connections"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(config.Schema(s.Kinds), &whole); err != nil {
			panic("api: the schema of rollcall.yaml is no JSON: " + err.Error())
		}
		schemas[name] = &huma.Schema{Extensions: whole.Properties.Connections.Items}
	}
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}
