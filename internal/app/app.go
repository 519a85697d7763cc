// Package app wires a configuration, a database and the engine together. It
// hands the whole on to the command line, and serves it.
package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/deliver/scim"
	"rollcall.dev/rollcall/internal/deliver/webhook"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/registry"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/tunnel"
)

// App is an opened installation.
type App struct {
	Config   *config.Config
	Store    *store.Store
	Engine   *engine.Engine
	Registry *registry.Registry
	Ring     *seal.Ring
	Guard    *webhook.Guard // where deliveries may go
	SignIn   *signin.Service
	Pushing  *scim.Worker // to applications that speak SCIM
	Hub      *tunnel.Hub  // agents that are connected to this process
}

// Open loads the configuration and opens its database.
func Open(ctx context.Context, path string, lookup func(string) (string, bool)) (*App, error) {
	cfg, err := config.Load(path, all.Kinds(), lookup)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, cfg.Database, cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := s.Declare(ctx, cfg.Organizations); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	key := cfg.KeyFile
	if !filepath.IsAbs(key) {
		key = filepath.Join(cfg.Dir, key)
	}
	ring := &seal.Ring{Path: key}
	s.SecretTable.Ring, s.UploadTable.Ring = ring, ring
	s.DB.Keyed = ring.Keyed
	guard := &webhook.Guard{All: cfg.Webhooks.AllowAll, Allow: cfg.Webhooks.AllowPrivate}
	s.HookTable.Sealer, s.HookTable.Check = ring, guard.Check
	s.TargetTable.Sealer, s.TargetTable.Check = ring, guard.Check
	s.AdminTable.Ring, s.SigningKeys.Ring = ring, ring
	s.ClientTable.Check = guard.Check
	s.AdminTable.SessionIdle, s.AdminTable.SessionMax = cfg.Console.SessionIdle, cfg.Console.SessionMax
	s.AdminTable.PublicURL, s.AdminTable.TrustedProxies = cfg.PublicURL, cfg.Console.TrustedProxies
	s.SetupTable.SessionIdle = cfg.Console.SessionIdle
	r := &registry.Registry{Store: s, Kinds: all.Kinds(), Now: time.Now}
	r.Reload(cfg)
	e := &engine.Engine{Store: s, Kinds: all.Named, Secrets: ring, Env: source.Env{Dir: cfg.Dir, Guard: guard}, Connections: r.Connections,
		Uploads: func(ctx context.Context, connection string) (io.ReadCloser, error) {
			_, body, err := s.UploadTable.Newest(ctx, connection)
			return body, err
		}, Pushed: s.Pushed.Of, Retention: cfg.Retention, Now: time.Now}
	r.Validate = e.Validate
	hub := &tunnel.Hub{Kinds: all.Named, Limits: tunnel.DefaultLimits(), Agents: func(ctx context.Context, connection string) ([]tunnel.Agent, error) { return known(ctx, s, connection) }}
	e.Remotes = hub.Remote
	s.ClientTable.Known = func(ctx context.Context, alias string) (string, error) {
		c, err := r.Describe(ctx, "", alias)
		if err != nil {
			return "", err
		}
		return c.Connection.Organization, nil
	}
	s.PusherTable.Known = r.Pushed
	s.TargetTable.Known = s.ClientTable.Known
	s.AgentTable.Known = s.ClientTable.Known
	s.LoginTable.Limits = func() (idle, most time.Duration) { o := r.Config().SignIn; return o.SessionIdle, o.SessionMax }
	people := signin.New(signin.Options{Store: s, Remotes: hub.Remote, Settled: e.Settled, Connections: r, Kinds: all.Named, Env: e.Env, Ring: ring, Dial: guard.Dial(false), PublicURL: strings.TrimSuffix(cfg.PublicURL, "/"),
		Settings: func() setting.SignIn { return r.Config().SignIn },
		Open:     func(ctx context.Context, c setting.Connection) (signin.Door, error) { return e.Door(ctx, c) }})
	roots, err := webhook.Roots(cfg.Webhooks.CAFile)
	if err != nil {
		roots = nil // a server does not start so; commands that push nothing need not know
	}
	pushing := &scim.Worker{Targets: s.TargetTable, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	pushing.Plain, pushing.Secure = webhook.Clients(guard, roots)
	return &App{Hub: hub, Pushing: pushing, Config: cfg, Store: s, Engine: e, Registry: r, Ring: ring, Guard: guard, SignIn: people}, nil
}

// Close closes the database.
func (a *App) Close() error { return errors.Join(a.SignIn.Close(), a.Store.Close()) }
