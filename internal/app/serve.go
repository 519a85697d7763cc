package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/endpoint/agent"
	"rollcall.dev/rollcall/internal/endpoint/health"
	"rollcall.dev/rollcall/internal/endpoint/oidc"
	"rollcall.dev/rollcall/internal/endpoint/scim"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/operate"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/telemetry"
)

// Server is an installation that serves.
type Server struct {
	*App
	Version string
	Log     *slog.Logger
	Metrics *telemetry.Metrics
	Traces  *telemetry.Traces
	Health  *health.Health

	Operator *operate.Operator
	Provider *oidc.Provider
	Pushes   *scim.Endpoint
	Agents   *agent.Endpoint
	draining chan struct{}
	began    time.Time
}

// Serve answers requests and does what is due until ctx ends, then drains: no new
// work is taken, what goes on may end for as long as the configuration says. Each
// value of reload has the configuration read anew. ready is told the address once
// requests are taken.
func (a *App) Serve(ctx context.Context, version string, logs io.Writer, reload <-chan os.Signal, lookup func(string) (string, bool), ready func(address string)) (err error) {
	node, err := os.Hostname()
	if err != nil {
		node = "localhost"
	}
	s := &Server{App: a, Version: version, Metrics: telemetry.NewMetrics(), Health: &health.Health{}, draining: make(chan struct{}), began: time.Now(),
		Log: telemetry.Logger(logs, a.Config.Server.LogFormat, a.Config.Server.LogLevel)}
	if s.Traces, err = telemetry.NewTraces(ctx, a.Config.Server.TraceEndpoint, version, node, float64(a.Config.Server.TraceShare)); err != nil {
		return err
	}
	a.Store.DB.OnTrouble(func(err error) {
		s.Log.Warn("the database could not be tended; what was written is safe, and it is tried again", "error", err, "hint", fault.HintOf(err))
	})
	s.Health.Checks = []health.Check{{Name: "database", Run: a.Store.DB.Ping}}
	// The listener comes first: a port that is taken is told before any work begins.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.Config.Listen)
	if err != nil {
		return fault.New(fault.Unavailable, "listen on %s: %w", a.Config.Listen, err).WithHint("another process has the port; stop it, or set `listen` to another")
	}
	parts, err := s.parts(ctx, node)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	routes, err := s.routes()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	web := &http.Server{
		Handler: routes, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn), BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	var running []part
	stop := func() error {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Config.Server.Drain)
		defer cancel()
		s.Health.Drain()
		close(s.draining)
		errs := []error{web.Shutdown(drain)}
		for i := len(running) - 1; i >= 0; i-- {
			if err := running[i].stop(drain); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", running[i].name, err))
			}
		}
		errs = append(errs, s.Agents.Drain(drain)) // last: what goes on goes on through them
		return errors.Join(append(errs, s.Traces.Close(drain))...)
	}
	for _, p := range parts {
		if err := p.start(ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", p.name, err), stop(), listener.Close())
		}
		running = append(running, p)
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	s.Log.Info("serving", "address", listener.Addr().String(), "public_url", a.Config.PublicURL, "version", version, "node", node)
	ready(listener.Addr().String())
	for {
		select {
		case err := <-served:
			return errors.Join(err, stop())
		case <-reload:
			s.reload(lookup)
		case <-ctx.Done():
			s.Log.Info("draining", "at_most", a.Config.Server.Drain.String())
			err := stop()
			s.Log.Info("stopped")
			return err
		}
	}
}

// reload takes over a configuration that was changed: organizations and
// connections at once. One that cannot be read changes nothing.
func (s *Server) reload(lookup func(string) (string, bool)) {
	cfg, err := config.Load(s.Config.Path, all.Kinds(), lookup)
	if err == nil {
		err = s.Store.Declare(context.Background(), cfg.Organizations)
	}
	if err != nil {
		s.Log.Error("the configuration was not reloaded; the one before stays in force", "error", err.Error())
		return
	}
	s.Registry.Reload(cfg)
	if err := s.Operator.Refresh(context.Background()); err != nil {
		s.Log.Warn("new schedules are noticed within ten minutes", "error", err.Error())
	}
	s.Log.Info("configuration reloaded", "connections", len(cfg.Connections), "organizations", len(cfg.Organizations))
	for _, key := range restart(s.Config, cfg) {
		s.Log.Warn("a changed setting takes effect at the next start", "key", key)
	}
}

// restart names what a reload does not take over.
func restart(before, after *config.Config) (keys []string) {
	for _, k := range []struct {
		name    string
		changed bool
	}{
		{"listen", before.Listen != after.Listen}, {"public_url", before.PublicURL != after.PublicURL}, {"database", before.Database != after.Database},
		{"key_file", before.KeyFile != after.KeyFile}, {"retention", before.Retention != after.Retention}, {"log, tracing or drain", before.Server != after.Server},
		{"workers", before.Workers != after.Workers}, {"rate_limits", before.Rates != after.Rates},
		{"console", !reflect.DeepEqual(before.Console, after.Console)}, {"webhooks", !reflect.DeepEqual(before.Webhooks, after.Webhooks)}, {"notifications", !reflect.DeepEqual(before.Notifications, after.Notifications)},
	} {
		if k.changed {
			keys = append(keys, k.name)
		}
	}
	return keys
}
