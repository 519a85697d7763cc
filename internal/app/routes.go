package app

import "net/http"

// parts wires what runs beside the requests, and the routes: each endpoint is a
// package that gives a handler, mounted on one line.
func (s *Server) parts() ([]part, http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.Health.Live)
	mux.HandleFunc("GET /readyz", s.Health.Ready)
	mux.Handle("GET /metrics", s.Metrics.Handler())
	return nil, mux, nil
}
