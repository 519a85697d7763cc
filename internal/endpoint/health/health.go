// Package health answers whoever watches over the process: /healthz for the one
// that restarts it, /readyz for the one that sends it requests, /metrics for
// Prometheus. It hands them on to the routes; nothing of it needs a key, and
// nothing of it names a person.
package health

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"
)

// Check is one thing that must be well for the process to take requests.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Health is the state of the process. The zero value is alive, and ready as soon
// as its checks are.
type Health struct {
	Checks   []Check
	draining atomic.Bool
}

// Drain makes it not ready from now on: it finishes what it has and takes no more.
func (h *Health) Drain() { h.draining.Store(true) }

// Live answers /healthz: the process runs and answers. A database that cannot be
// reached is no reason to restart it.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"status": "ok"})
}

// patience is how long one check may take.
const patience = 3 * time.Second

// Ready answers /readyz, with a line for each check. Reasons stay in the log:
// anybody may ask.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	status, checks := http.StatusOK, map[string]string{}
	if h.draining.Load() {
		status, checks["server"] = http.StatusServiceUnavailable, "draining"
	}
	for _, c := range h.Checks {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		err := c.Run(ctx)
		cancel()
		checks[c.Name] = "ok"
		if err != nil {
			status, checks[c.Name] = http.StatusServiceUnavailable, "failed"
		}
	}
	word := "ready"
	if status != http.StatusOK {
		word = "not ready"
	}
	answer(w, status, map[string]any{"status": word, "checks": checks})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errcheck // nobody is left to be told
}
