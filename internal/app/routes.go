package app

import (
	"net/http"

	"rollcall.dev/rollcall/internal/endpoint/api"
)

// routes mounts the endpoints: each is a package that gives a handler, on one line
// here.
func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.Health.Live)
	mux.HandleFunc("GET /readyz", s.Health.Ready)
	mux.Handle("GET /metrics", s.Metrics.Handler())
	rest := api.New(s.api())
	mux.Handle(api.Prefix+"/", s.traced(rest))
	pages, err := s.console(rest)
	if err != nil {
		return nil, err
	}
	mux.Handle("/", s.traced(pages))
	return mux, nil
}

func (s *Server) api() api.Deps {
	return api.Deps{Store: s.Store, Engine: s.Engine, Runs: s.Operator, Registry: s.Registry, Kinds: s.Registry.Kinds,
		Rates: &s.Config.Rates, Log: s.Log, Observe: s.Metrics.Request, Draining: s.draining}
}
