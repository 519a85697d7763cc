package app

import (
	"net/http"

	"rollcall.dev/rollcall/internal/endpoint/api"
)

// routes mounts the endpoints: each is a package that gives a handler, on one line
// here.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.Health.Live)
	mux.HandleFunc("GET /readyz", s.Health.Ready)
	mux.Handle("GET /metrics", s.Metrics.Handler())
	mux.Handle(api.Prefix+"/", s.traced(api.New(s.api())))
	return mux
}

func (s *Server) api() api.Deps {
	return api.Deps{Store: s.Store, Engine: s.Engine, Runs: s.Operator, Registry: s.Registry, Kinds: s.Registry.Kinds,
		Rates: &s.Config.Rates, Log: s.Log, Observe: s.Metrics.Request, Draining: s.draining}
}
