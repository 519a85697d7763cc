// Package api is the REST API below /api/v1/: it hands accounts, plans, runs and
// events on to applications and to the command line, and takes their wishes to
// the engine. Its OpenAPI document is made from the same declarations that
// answer requests, see document.go.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rates"
	"rollcall.dev/rollcall/internal/registry"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store"
)

// Prefix is where the API is mounted.
const Prefix = "/api/v1"

// Deps is what the API works with.
type Deps struct {
	Store    *store.Store
	Engine   Engine
	Runs     Runs
	Registry *registry.Registry
	// SignIn lets people in.
	SignIn SignIn
	// Targets looks at applications that accounts are pushed to.
	Targets Targets
	// Kinds are the sources whose settings the document describes.
	Kinds []source.Kind
	Rates *setting.Rates // setting.DefaultRates unless set
	// TrustedProxies are those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Installation is what operators are told of it, but for its nodes.
	Installation client.Installation
	Log          *slog.Logger
	// Observe is told of every answer: the route ("GET /api/v1/accounts/{id}"), its
	// status and how long it took. May be nil.
	Observe func(route string, status int, took time.Duration)
	// Draining is closed when the server is about to stop: whoever waits for
	// something is answered with what there is. May be nil.
	Draining <-chan struct{}
	Now      func() time.Time // time.Now unless set
	// Poll is how often a request that waits looks again; a second unless set.
	Poll time.Duration
}

// Engine is the part of the engine that requests reach without a run.
type Engine interface {
	Plan(ctx context.Context, c setting.Connection, o engine.Options) (*engine.Result, error)
	Preview(ctx context.Context, c setting.Connection, o engine.Options) (*engine.Result, error)
	Check(ctx context.Context, c setting.Connection, report func(source.Step)) (bool, error)
	Try(ctx context.Context, c, then setting.Connection, q engine.TryQuery) (*engine.Trial, error)
	Explain(ctx context.Context, c setting.Connection, who string) ([]engine.Why, error)
	Origin(ctx context.Context, c setting.Connection, a *account.Account) (*engine.Origin, error)
	Paths(ctx context.Context, c setting.Connection, o *engine.Origin, groups []engine.GroupRef) (map[account.ID]engine.Path, error)
	Revert(ctx context.Context, c setting.Connection, run string, only bool, o engine.Options) (*engine.Result, error)
	Reject(ctx context.Context, c setting.Connection, plan, actor string) (*engine.Plan, error)
	Reset(ctx context.Context, c setting.Connection, actor string) error
}

// Runs begins runs, on whatever node, and tells how they stand. The run comes
// back at once; Follow stays until it has ended.
type Runs interface {
	Sync(ctx context.Context, alias string, full bool, trigger, actor string) (*engine.Run, error)
	// SyncPerson is Sync for one person.
	SyncPerson(ctx context.Context, alias, who, actor string) (*engine.Run, error)
	Approve(ctx context.Context, plan string, exclude []int64, actor string) (*engine.Run, error)
	Revert(ctx context.Context, run, actor string) (*engine.Run, error)
	Cancel(ctx context.Context, run, actor string) error
	// Progress is where a run stands that has not ended.
	Progress(ctx context.Context, run string) (engine.Progress, error)
	// Follow calls fn with the run as it stands now and whenever that changes, and
	// returns when it has ended, or with fn's error.
	Follow(ctx context.Context, run string, fn func(*engine.Run) error) error
}

// SignIn tries people's passwords, and makes links to choose another.
type SignIn interface {
	Authenticate(ctx context.Context, a signin.Attempt) (*signin.Result, error)
	PasswordLink(ctx context.Context, a *account.Account, actor string) (address string, ends time.Time, err error)
}

// server is the API.
type server struct {
	Deps
	api       huma.API
	mux       *http.ServeMux
	limit     rates.Limit
	asked     rates.Names // by caller
	strangers rates.Names // by address, for those without a key
	nests     nests
}

// New makes the handler for everything below Prefix.
func New(d Deps) http.Handler {
	s := build(d)
	return s.identified(s.logged(s.routed(s.authenticated(s.mux))))
}

func build(d Deps) *server {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Poll == 0 {
		d.Poll = time.Second
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Rates == nil {
		usual := setting.DefaultRates()
		d.Rates = &usual
	}
	s := &server{Deps: d, mux: http.NewServeMux(), limit: rates.Limit{PerSecond: float64(d.Rates.PerSecond), Burst: d.Rates.Burst}}
	plainErrors()
	s.api = humago.NewWithPrefix(s.mux, Prefix, s.describe())
	for _, part := range []func(){s.organizations, s.connections, s.plans, s.runs, s.accounts, s.groups, s.events, s.why, s.apikeys, s.webhooks, s.targets, s.clients, s.agents, s.statistics, s.orgchart, s.disputes, s.overview, s.origins, s.installation, s.signIn} {
		part()
	}
	s.finish()
	return s
}

// Document is the OpenAPI 3.1 document in JSON, ending with a newline.
func Document(kinds []source.Kind) ([]byte, error) { return build(Deps{Kinds: kinds}).document() }

// Caller is who makes a request: an API key, or a person whom another endpoint
// of this process knows, see As.
type Caller struct {
	ID           string // of the key or the person, for the log
	Organization string // "" reaches all of them
	ReadOnly     bool
	Actor        string // as events name it
	// Connection is the only one that a guest reaches, see guest.go; "" for everybody
	// else. Makes is the kind of source of which they may make it, where it is not
	// there yet.
	Connection, Makes string
}

type (
	callerKey struct{}
	knownKey  struct{}
)

// As has requests with this context made by somebody who is known already, in
// place of an API key. A context never comes from outside: only code of this
// process can say it, such as the console for who has signed in.
func As(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, knownKey{}, &c)
}

// who is the caller as the registry knows people.
func who(ctx context.Context) registry.Who {
	c := callerOf(ctx)
	return registry.Who{Organization: c.Organization, Actor: c.Actor}
}

func callerOf(ctx context.Context) *Caller {
	c, ok := ctx.Value(callerKey{}).(*Caller)
	if !ok {
		panic("api: a request got past authentication without a caller")
	}
	return c
}
