package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rollcall.dev/rollcall/internal/fault"
)

const eventStream = "text/event-stream"

// Accept is the header by which a request asks for a stream.
type Accept struct {
	Accept string `header:"Accept" hidden:"true"`
}

func (a Accept) stream() bool { return strings.Contains(a.Accept, eventStream) }

// tooSlow is how long one write of a stream may take: whoever does not read for
// that long has gone.
const tooSlow = 30 * time.Second

// heartbeat keeps proxies from taking a stream that is silent for a dead one.
const heartbeat = 15 * time.Second

// output is an answer that is written piece by piece.
type output struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
}

func outputOf(ctx huma.Context, contentType string) *output {
	_, w := humago.Unwrap(ctx)
	w.Header().Set("Content-Type", contentType)
	return &output{w: w, ctl: http.NewResponseController(w)}
}

// Write gives every write its own time: an answer may take hours as long as it moves.
func (o *output) Write(b []byte) (int, error) {
	_ = o.ctl.SetWriteDeadline(time.Now().Add(tooSlow)) //nolint:errcheck // a writer that has none needs none
	return o.w.Write(b)
}

func (o *output) flush() error { return o.ctl.Flush() }

// whole ends an answer. What broke off must not look whole: the connection is cut.
func whole(err error) {
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// encode answers with JSON, outside of huma's own way.
func encode(h huma.Context, v any) error {
	return json.NewEncoder(outputOf(h, "application/json")).Encode(v)
}

// sse writes server-sent events (HTML, section 9.2). It may be used by several
// goroutines.
type sse struct {
	mu sync.Mutex
	*output
}

func newSSE(ctx huma.Context) *sse {
	o := &sse{output: outputOf(ctx, eventStream)}
	o.w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events to itself otherwise
	o.w.WriteHeader(http.StatusOK)
	return o
}

// send writes an event. id may be "".
func (s *sse) send(name, id string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return s.put(fmt.Sprintf("event: %s\n%sdata: %s\n\n", name, id, b))
}

func (s *sse) put(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s, text); err != nil {
		return err
	}
	return s.flush()
}

// beat sends comments while fn works, and ends fn's context when nobody listens
// any more or the server is about to stop.
func (s *server) beat(ctx context.Context, out *sse, fn func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.Draining:
				cancel(errDraining)
				return
			case <-tick.C:
				if err := out.put(": still there\n\n"); err != nil {
					cancel(err)
					return
				}
			}
		}
	}()
	err := fn(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	cancel(nil)
	<-done
	return err
}

var errDraining = fault.New(fault.Unavailable, "the server is about to stop").WithHint("ask again in a moment")

// failed tells of an error after the answer has begun.
func (s *server) failed(ctx context.Context, out *sse, err error) {
	if ctx.Err() == nil {
		whole(out.send("problem", "", s.problem(ctx, err).Problem))
	}
}
