package rest_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/source/rest"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// server answers each request with the next of its faults, and with {} when there is
// none left.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	script []sourcetest.Fault
	asked  []*http.Request
}

func serve(t *testing.T, script ...sourcetest.Fault) *server {
	t.Helper()
	s := &server{script: script}
	fine := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"name":"a long enough answer"}`))
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		n := len(s.asked)
		s.asked = append(s.asked, r)
		s.mu.Unlock()
		if n < len(s.script) && s.script[n] != nil {
			s.script[n](w, r, fine)
			return
		}
		fine(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// always is a script that never ends.
func always(f sourcetest.Fault) []sourcetest.Fault { return slices.Repeat([]sourcetest.Fault{f}, 100) }

func refuse(status int, header ...string) sourcetest.Fault {
	h := map[string]string{"Content-Type": "application/json"}
	for i := 0; i < len(header); i += 2 {
		h[header[i]] = header[i+1]
	}
	return sourcetest.Says(sourcetest.Answer{Status: status, Header: h, Body: `{"error":{"code":"Code","message":"No."}}`})
}

// reset breaks the line off before any byte of an answer.
func reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// watch is a clock that keeps how long each wait was.
type watch struct {
	*sourcetest.Clock
	mu    sync.Mutex
	waits []time.Duration
}

func newWatch() *watch { return &watch{Clock: sourcetest.NewClock()} }

func (w *watch) clock() rest.Clock {
	return rest.Clock{Now: w.Now, Jitter: func() float64 { return 0.5 }, Sleep: func(ctx context.Context, d time.Duration) error {
		w.mu.Lock()
		w.waits = append(w.waits, d)
		w.mu.Unlock()
		return w.Clock.Sleep(ctx, d)
	}}
}

func client(t *testing.T, s *server, w *watch, change func(*rest.Config)) *rest.Client {
	t.Helper()
	config := rest.Config{Name: "vendor", Root: s.URL, Auth: rest.Static("SSWS", "t0ken"), Clock: w.clock(), Guard: sourcetest.Loopback}
	if change != nil {
		change(&config)
	}
	c, err := rest.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

type named struct{ Name string }
