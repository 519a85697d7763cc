package setting

import "time"

// Server is how a server process behaves.
type Server struct {
	LogFormat     string // "text" or "json"
	LogLevel      string // "debug", "info", "warn" or "error"
	TraceEndpoint string // OTLP over HTTP; "" for no traces
	TraceShare    Share
	Drain         time.Duration // after SIGTERM
}

// DefaultServer is in force where a file says nothing.
func DefaultServer() Server {
	return Server{LogFormat: "text", LogLevel: "info", TraceShare: 1, Drain: 30 * time.Second}
}
