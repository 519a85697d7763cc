package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the numbers of one process. What is known from the database alone,
// and is the same on every node, is collected by whoever knows it.
type Metrics struct {
	Registry *prometheus.Registry
	runs     *prometheus.CounterVec
	took     *prometheus.HistogramVec
	changes  *prometheus.CounterVec
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	attempts *prometheus.CounterVec
	signIns  *prometheus.CounterVec
	signIn   *prometheus.HistogramVec
}

// NewMetrics makes them, with those of the Go runtime and the process.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_runs_total",
			Help: "Runs that ended on this node, by trigger and state."}, []string{"trigger", "state"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "rollcall_run_seconds",
			Help: "How long runs took, by source.", Buckets: prometheus.ExponentialBuckets(0.1, 3, 11)}, []string{"source"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_changes_total",
			Help: "Changes to accounts that runs on this node carried out, by action."}, []string{"action"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_http_requests_total",
			Help: "Requests answered, by operation and status."}, []string{"operation", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "rollcall_http_request_seconds",
			Help: "How long requests took, by operation.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"operation"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_delivery_attempts_total",
			Help: "Attempts to deliver an event, by outcome."}, []string{"outcome"}),
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_sign_ins_total",
			Help: "Attempts of people to sign in on this node, by the way they came and outcome."}, []string{"via", "outcome"}),
		signIn: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "rollcall_sign_in_seconds",
			Help: "How long attempts to sign in took, by outcome.", Buckets: prometheus.ExponentialBuckets(0.002, 3, 9)}, []string{"outcome"}),
	}
	m.Registry.MustRegister(m.runs, m.took, m.changes, m.requests, m.latency, m.attempts, m.signIns, m.signIn,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Run counts a run that ended; changes are its actions with how many of each.
func (m *Metrics) Run(source, trigger, state string, took time.Duration, changes map[string]int) {
	m.runs.WithLabelValues(trigger, state).Inc()
	m.took.WithLabelValues(source).Observe(took.Seconds())
	for action, n := range changes {
		m.changes.WithLabelValues(action).Add(float64(n))
	}
}

// Request counts a request that was answered. operation is the route, never the
// path: that holds IDs.
func (m *Metrics) Request(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(operation).Observe(took.Seconds())
}

// Attempt counts an attempt to deliver: "delivered", "retry" or "dead".
func (m *Metrics) Attempt(outcome string) { m.attempts.WithLabelValues(outcome).Inc() }

// SignIn counts an attempt of somebody to sign in: by "page" or "api", and "signed_in",
// the reason why not, "limited" or "unavailable".
func (m *Metrics) SignIn(via, outcome string, took time.Duration) {
	m.signIns.WithLabelValues(via, outcome).Inc()
	m.signIn.WithLabelValues(outcome).Observe(took.Seconds())
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry})
}
