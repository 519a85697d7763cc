package app

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"rollcall.dev/rollcall/internal/deliver/logout"
	"rollcall.dev/rollcall/internal/deliver/notify"
	"rollcall.dev/rollcall/internal/deliver/webhook"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/operate"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/nodes"
	"rollcall.dev/rollcall/internal/telemetry"
)

// part is something that runs beside the requests: it starts before the first and
// is stopped after the last.
type part struct {
	name  string
	start func(context.Context) error
	stop  func(context.Context) error
}

// parts makes what runs beside the requests.
func (s *Server) parts(ctx context.Context, host string) ([]part, error) {
	var err error
	s.Operator, err = operate.New(ctx, operate.Options{
		Store: s.Store, Engine: s.Engine, Connections: s.Registry, Node: nodes.Node{Host: host, Version: s.Version}, Workers: s.Config.Workers,
		Observer: observer{s}, Elsewhere: s.elsewhere, Log: s.Log, Chores: []operate.Chore{{Name: "pushed", Every: time.Hour, Do: s.Store.Pushed.Prune}},
	})
	if err != nil {
		return nil, err
	}
	s.Registry.Changed = func(ctx context.Context, alias string) {
		s.SignIn.Forget(alias)
		s.Pushes.Forget(alias)
		if err := s.Operator.Reschedule(context.WithoutCancel(ctx), alias); err != nil {
			s.Log.Warn("the new schedule is noticed within ten minutes", "connection", alias, "error", err.Error())
		}
	}
	roots, err := webhook.Roots(s.Config.Webhooks.CAFile)
	if err != nil {
		return nil, fault.New(fault.Invalid, "webhooks: ca_file: %w", err)
	}
	deliveries := &webhook.Worker{Hooks: s.Store.HookTable, Sender: webhook.NewSender(s.Guard, roots, time.Now), Log: s.Log, Now: time.Now, Told: s.Metrics.Attempt}
	signouts := &logout.Worker{Issuer: s.Config.PublicURL, Grants: s.Store.GrantTable, Keys: s.Store.SigningKeys, Log: s.Log, Now: time.Now}
	signouts.Plain, signouts.Secure = webhook.Clients(s.Guard, roots)
	s.Pushing.Log = s.Log
	s.SignIn.Told = s.Metrics.SignIn
	if err := errors.Join(s.Metrics.Registry.Register(s.waiting()), s.Metrics.Registry.Register(s.shut())); err != nil {
		return nil, err
	}
	notices, err := notify.New(s.Store.NoticeTable, s.Config.Notifications, s.Config.PublicURL, s.Log, time.Now)
	if err != nil {
		return nil, err
	}
	return []part{
		background("feed", s.heads), // the first to start, and the last to say where the feed ends
		{"runs", s.Operator.Start, s.Operator.Stop},
		background("deliveries", deliveries.Run),
		background("notifications", notices.Run),
		background("sign-outs", signouts.Run),
		background("targets", s.Pushing.Run),
		background("people", s.warm),
		background("log of pushes", s.logPushes),
		background("agents", func(ctx context.Context) { s.Agents.Run(ctx) }), // made with the routes
	}, nil
}

// shut is how many directories do not answer those who sign in on this node.
func (s *Server) shut() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "rollcall_sign_in_directories_shut",
		Help: "Connections whose directory is not asked about sign-ins for now, because it did not answer."}, func() float64 { return float64(len(s.SignIn.Shut())) })
}

// warm reads the people that searches and org charts look at, so that whoever comes
// first does not wait for it.
func (s *Server) warm(ctx context.Context) {
	if _, err := s.Store.People.Warm(ctx); err != nil && ctx.Err() == nil {
		s.Log.Warn("people are read when somebody first asks for them", "error", err.Error())
	}
}

// logPushes writes what SCIM clients asked for.
func (s *Server) logPushes(ctx context.Context) {
	s.Store.PusherTable.Run(ctx, func(err error) { s.Log.Warn("requests of SCIM clients are missing in their log", "error", err.Error()) })
}

// background is a part that runs until its context ends.
func background(name string, run func(context.Context)) part {
	var all sync.WaitGroup
	var cancel context.CancelFunc
	return part{name: name,
		start: func(ctx context.Context) error {
			ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
			all.Go(func() { run(ctx) })
			return nil
		},
		stop: func(context.Context) error {
			cancel()
			all.Wait()
			return nil
		},
	}
}

// observer makes metrics and a trace of each run: a span for the run, and one
// below it for each phase.
type observer struct{ s *Server }

func (o observer) Begin(ctx context.Context, c setting.Connection, run *engine.Run) (context.Context, operate.Observation) {
	ctx, span := o.s.Traces.Tracer().Start(ctx, "run", trace.WithAttributes(attribute.String("rollcall.run", run.ID), attribute.String("rollcall.connection", c.Alias),
		attribute.String("rollcall.organization", c.Organization), attribute.String("rollcall.source", c.Kind), attribute.String("rollcall.trigger", run.Trigger)))
	return ctx, &observed{o: o, ctx: ctx, span: span, kind: c.Kind, began: time.Now()}
}

type observed struct {
	o     observer
	ctx   context.Context
	span  trace.Span
	phase trace.Span
	name  string
	kind  string
	began time.Time
}

func (o *observed) Progress(p engine.Progress) {
	if p.Phase == o.name {
		return
	}
	o.endPhase()
	o.name = p.Phase
	_, o.phase = o.o.s.Traces.Tracer().Start(o.ctx, p.Phase)
}

func (o *observed) endPhase() {
	if o.phase != nil {
		o.phase.End()
		o.phase = nil
	}
}

func (o *observed) End(run *engine.Run, failure error) {
	o.endPhase()
	if failure != nil {
		// Without its text: that may name people.
		o.span.SetStatus(codes.Error, "the run ended early")
	}
	o.span.SetAttributes(attribute.String("rollcall.state", string(run.State)))
	o.span.End()
	changes := map[string]int{}
	if n := run.Summary; n != nil && run.State == engine.RunApplied {
		changes = map[string]int{"create": n.Create, "update": n.Update, "link": n.Link, "disable": n.Disable, "enable": n.Enable, "delete": n.Delete, "restore": n.Restore}
	}
	o.o.s.Metrics.Run(o.kind, run.Trigger, string(run.State), time.Since(o.began), changes)
}

// traced makes a span of each request, as part of the caller's trace where there is
// one.
func (s *Server) traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := telemetry.Propagation.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := s.Traces.Tracer().Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
