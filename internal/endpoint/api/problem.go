package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
)

// statuses is the one table from kinds of errors to HTTP. What cannot be parsed
// at all is 400; what was understood and is wrong is 422.
var statuses = map[fault.Kind]int{
	fault.Internal:    http.StatusInternalServerError,
	fault.NotFound:    http.StatusNotFound,
	fault.Invalid:     http.StatusUnprocessableEntity,
	fault.Conflict:    http.StatusConflict,
	fault.Denied:      http.StatusForbidden,
	fault.Unavailable: http.StatusServiceUnavailable,
	fault.Held:        http.StatusConflict,
}

// problem is a client.Problem on its way out.
type problem struct {
	client.Problem
	header http.Header
}

func (p *problem) GetStatus() int { return p.Status }

func (p *problem) GetHeaders() http.Header { return p.header }

func (*problem) ContentType(string) string { return "application/problem+json" }

func newProblem(ctx context.Context, status int, detail, hint string) *problem {
	return &problem{Problem: client.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Hint: hint, RequestID: requestID(ctx)}}
}

// plainErrors makes huma's own errors look like ours. It is one setting for the
// whole program, so it is made once.
var plainErrors = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		p := newProblem(ctx.Context(), status, msg, "")
		p.take(errs)
		return p
	}
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		p := newProblem(context.Background(), status, msg, "")
		p.take(errs)
		return p
	}
})

// take adds what is wrong with a request. Values are not repeated: one of them
// may be a password.
func (p *problem) take(errs []error) {
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) {
			e := d.ErrorDetail()
			p.Errors = append(p.Errors, client.FieldError{Location: e.Location, Message: e.Message})
		} else if err != nil {
			p.Errors = append(p.Errors, client.FieldError{Message: err.Error()})
		}
	}
	switch {
	case p.Detail == "validation failed":
		p.Detail = "the request is not as the API's document says"
		p.Hint = "every operation is described in " + Prefix + "/openapi.json"
	case p.Status == http.StatusRequestEntityTooLarge:
		p.Hint = "send less at a time"
	}
	if p.Detail != "" {
		p.Detail = strings.ToLower(p.Detail[:1]) + p.Detail[1:]
	}
}

// problem turns an error into what the caller is told. What is ours to mend is
// told to the log; the caller gets the request's ID.
func (s *server) problem(ctx context.Context, err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return newProblem(ctx, http.StatusServiceUnavailable, "the request took too long", "ask for less at a time, or try again later")
	}
	kind := fault.KindOf(err)
	if kind == fault.Internal {
		s.note(ctx, err)
		return newProblem(ctx, http.StatusInternalServerError, "something went wrong inside the server", "the server's log has more under the request's ID")
	}
	p = newProblem(ctx, statuses[kind], err.Error(), fault.HintOf(err))
	if kind == fault.Unavailable {
		p.header = http.Header{"Retry-After": {"5"}}
	}
	return p
}

// refuse writes a problem outside of huma.
func refuse(w http.ResponseWriter, p *problem) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Del("Content-Length")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p.Problem) //nolint:errcheck // whoever has gone away is told nothing
}
