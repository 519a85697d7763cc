// Package rest hands answers of a vendor's HTTP API on to the kinds of directories
// that are read from one (entra, okta, google): decoded, after all retries, from
// the one host that was configured. What is particular to a vendor (how a request
// is signed, how errors look, how long to wait) is told to it in Config.
//
//	c, err := rest.New(rest.Config{Name: "entra", Root: "https://graph.microsoft.com", Auth: tokens})
//	var page struct{ Value []user }
//	_, err = c.Get(ctx, "/v1.0/users?$select=id", nil, &page)
//
// An error is a fault that says in which request, what status, which code of the
// vendor and which request id; its cause is an *Error for whoever acts on a code.
// No error holds a query, a token or a secret: queries carry delta tokens, and
// vendors repeat in their messages what they were given.
package rest

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"rollcall.dev/rollcall/internal/source"
)

// The limits where Config names none.
const (
	DefaultTimeout = time.Minute      // of one request, from dialling to the last byte
	DefaultMaxBody = 32 << 20         // bytes of one answer
	DefaultTries   = 8                // of one call, the first among them
	DefaultMaxWait = 15 * time.Minute // of one call, all its waits together
)

// What is tried while somebody waits at a screen, see Hurry.
const (
	hurryTries = 2
	hurryWait  = 10 * time.Second
)

type hurry struct{}

// Hurry has calls give up soon: a person who checks a connection wants to know that a
// host does not answer, not to wait until it does.
func Hurry(ctx context.Context) context.Context { return context.WithValue(ctx, hurry{}, true) }

// Hurried reports whether calls of this context are to give up soon.
func Hurried(ctx context.Context) bool { return ctx.Value(hurry{}) != nil }

// Config says which API is called, and how.
type Config struct {
	Name string // begins every error: "entra"
	Root string // the API's root: https://graph.microsoft.com; http only where Guard lets it
	// Auth signs the requests; nil for an API that wants no credentials.
	Auth Auth
	// Header is sent with every request, the token's too.
	Header http.Header
	// Guard says where connections may lead; nil is anywhere, by https.
	Guard  source.Guard
	CAFile string // certificates (PEM) to trust beside the system's; absolute; may be ""
	// Timeout, MaxBody (bytes), Tries and MaxWait are as the defaults above where 0.
	Timeout time.Duration
	MaxBody int64
	Tries   int
	MaxWait time.Duration
	Clock   Clock
	// Secrets are taken out of whatever the vendor says before it gets into an error.
	Secrets []string
	// Explain finds the vendor's code, message and request id in a refusal. Nil
	// knows the shapes of OAuth 2 and of Microsoft.
	Explain func(status int, h http.Header, body []byte) Refusal
	// Retry says whether a refusal is worth another try and after how long; a wait
	// of 0 asks for the usual one (Retry-After, or exponential). Nil is Retryable.
	Retry func(e *Error, now time.Time) (wait time.Duration, again bool)
	// Transport replaces the usual one, in tests.
	Transport http.RoundTripper
}

// Auth signs requests. Its methods may be called at the same time.
type Auth interface {
	// Sign puts credentials on a request about to be sent; called for every try.
	Sign(ctx context.Context, req *http.Request) error
	// Rejected is told of a 401 that a signed request was answered with, and says
	// whether signing it anew may help. It is asked once in each call.
	Rejected(h http.Header) (again bool)
	// Secrets are what Sign may have put on requests: no error may hold them.
	Secrets() []string
}

// Clock is time as the client sees it; what is nil is the real one.
type Clock struct {
	Now    func() time.Time
	Sleep  func(ctx context.Context, d time.Duration) error // ends early with ctx's error
	Limit  func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	Jitter func() float64 // from 0 up to, but without, 1
}

// Call is one request as a caller describes it.
type Call struct {
	Method string // "" is GET
	// Ref is a path from the root ("/v1.0/users"), or a link that the vendor gave.
	Ref    string
	Header http.Header
	// Body gives body and content type, anew for each try; nil for none.
	Body func() (body []byte, contentType string, err error)
	// Elsewhere allows the address to lie outside of the API's root, without Auth:
	// for the endpoint that issues tokens.
	Elsewhere bool
}

// Answer is a good answer (2xx).
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Refusal is what a vendor says beside the status.
type Refusal struct {
	Code      string // "syncStateNotFound", "invalid_client", "E0000047"
	Message   string // for a person
	RequestID string // what the vendor's support asks for
}

// Error is an answer that is none, as a cause of the faults this package returns.
type Error struct {
	Status int // 0 where there was no answer
	Refusal
	Header http.Header // of the answer
	Err    error       // of the connection, where there was no answer
	text   string
}

func (e *Error) Error() string { return e.text }

func (e *Error) Unwrap() error { return e.Err }

func (c Clock) whole() Clock {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Limit == nil {
		c.Limit = func(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, d, errTimeout)
		}
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	return c
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Get asks for ref and decodes the answer into into (JSON), unless into is nil.
func (c *Client) Get(ctx context.Context, ref string, header http.Header, into any) (*Answer, error) {
	return c.Do(ctx, Call{Ref: ref, Header: header}, into)
}

// Form sends a form without credentials of Auth to any https address and decodes
// the answer: the way of asking for a token. form is asked anew for each try, so
// that an assertion is never sent twice.
func (c *Client) Form(ctx context.Context, address string, header http.Header, form func() (url.Values, error), into any) (*Answer, error) {
	return c.Do(ctx, Call{Method: http.MethodPost, Ref: address, Header: header, Elsewhere: true, Body: func() ([]byte, string, error) {
		v, err := form()
		return []byte(v.Encode()), "application/x-www-form-urlencoded", err
	}}, into)
}
