package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

// record is what the log says of a request. Handlers add to it what they find out.
type record struct {
	mu         sync.Mutex
	id         string
	key        string
	tenant     string
	connection string
	run        string
	err        error
}

type recordKey struct{}

func recordOf(ctx context.Context) *record {
	if r, ok := ctx.Value(recordKey{}).(*record); ok {
		return r
	}
	return &record{}
}

func requestID(ctx context.Context) string { return recordOf(ctx).id }

// note keeps the error that the caller is not told, for the log.
func (s *server) note(ctx context.Context, err error) {
	r := recordOf(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func about(ctx context.Context, connection, run string) {
	r := recordOf(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if connection != "" {
		r.connection = connection
	}
	if run != "" {
		r.run = run
	}
}

// saneID is a request's ID as a proxy before us may have given it.
var saneID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}$`)

// identified gives every request an ID, its own where it has a sane one.
func (s *server) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-ID")
		if !saneID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-ID", id)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), recordKey{}, &record{id: id})))
	})
}

// answer remembers the status, and whether anything was written.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// logged writes a line for every request, and answers for those that panic. The
// line holds neither headers nor the query: both may name people, one has the key.
func (s *server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w}
		began := s.Now()
		aborted := false
		defer func() {
			s.line(r, a.status, s.Now().Sub(began), aborted)
			if aborted {
				panic(http.ErrAbortHandler) // an answer that broke off must not look whole
			}
		}()
		defer func() {
			p := recover()
			err, isError := p.(error)
			switch {
			case p == nil:
			case isError && errors.Is(err, http.ErrAbortHandler):
				aborted = true
			default:
				s.note(r.Context(), fault.New(fault.Internal, "panic: %v\n%s", p, debug.Stack()))
				if aborted = a.status != 0; !aborted {
					refuse(a, newProblem(r.Context(), http.StatusInternalServerError, "something went wrong inside the server", "the server's log has more under the request's ID"))
				}
			}
		}()
		next.ServeHTTP(a, r)
	})
}

func (s *server) line(r *http.Request, status int, took time.Duration, aborted bool) {
	if s.Observe != nil {
		_, route := s.mux.Handler(r)
		s.Observe(route, status, took)
	}
	rec := recordOf(r.Context())
	rec.mu.Lock()
	defer rec.mu.Unlock()
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("request", rec.id), slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Duration("took", took), slog.String("from", s.address(r))}
	for _, one := range []struct{ name, value string }{{"key", rec.key}, {"organization", rec.tenant}, {"connection", rec.connection}, {"run", rec.run}} {
		if one.value != "" {
			attrs = append(attrs, slog.String(one.name, one.value))
		}
	}
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if rec.err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", rec.err.Error()))
	}
	s.Log.LogAttrs(r.Context(), level, "api request", attrs...)
}

func (s *server) address(r *http.Request) string { return admins.From(r, s.TrustedProxies).String() }

// routed answers for paths there are not, and for methods they do not have.
func (s *server) routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := s.mux.Handler(r)
		if pattern != "" {
			next.ServeHTTP(w, r)
			return
		}
		// The mux knows which methods a path has; its answer says so in a header.
		seen := &probe{header: http.Header{}}
		h.ServeHTTP(seen, r)
		if seen.status == http.StatusMethodNotAllowed {
			p := newProblem(r.Context(), seen.status, r.Method+" is not for "+r.URL.Path, "it takes "+seen.header.Get("Allow"))
			p.header = http.Header{"Allow": seen.header["Allow"]}
			refuse(w, p)
			return
		}
		refuse(w, newProblem(r.Context(), http.StatusNotFound, "there is nothing at "+r.URL.Path, "every path is described in "+Prefix+"/openapi.json"))
	})
}

// probe takes an answer that nobody gets.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

// public are the paths that need no key: they tell nothing of anybody.
func public(path string) bool { return strings.HasPrefix(path, Prefix+"/openapi") }
