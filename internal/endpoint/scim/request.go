package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rates"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/pushers"
)

// request is one on its way: who sent it, and what is answered.
type request struct {
	e      *Endpoint
	r      *http.Request
	w      http.ResponseWriter
	c      *connection // it was let in to
	door   *connection // it came to
	token  pushers.Token
	body   []byte
	status int
	answer []byte
}

// serve lets through who may, and writes down what was sent and answered.
func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request, route string, handle func(*request) error) {
	began := e.Now()
	q := &request{e: e, r: r, w: w}
	err := q.admit()
	if err == nil {
		err = q.read()
	}
	if err == nil {
		err = handle(q)
	}
	if err != nil {
		q.fail(err)
	}
	took := e.Now().Sub(began)
	if e.Observe != nil {
		e.Observe(route, q.status, took)
	}
	switch {
	case q.c != nil:
		e.Pushers.Log(q.c.alias, q.exchange(q.c, began, took))
	case q.door != nil:
		e.Pushers.LogRefused(q.door.alias, q.exchange(q.door, began, took))
	}
}

// exchange is the request for the log, which masks it as the connection's settings say.
func (q *request) exchange(c *connection, at time.Time, took time.Duration) pushers.Exchange {
	const most = 64 << 10 // of a body; the log keeps less
	return pushers.Exchange{At: at.UTC(), Method: q.r.Method, Path: strings.TrimPrefix(q.r.URL.Path, Prefix+c.alias), Query: q.r.URL.RawQuery, Status: q.status, Took: took,
		Client: q.r.UserAgent(), Remote: q.e.address(q.r), Token: q.token.ID, Mode: c.mask, Request: string(q.body[:min(len(q.body), most)]), Answer: string(q.answer[:min(len(q.answer), most)])}
}

// admit finds out who asks, for which connection, and whether it may do so now. A
// connection that does not exist and a wrong token look the same.
func (q *request) admit() error {
	e, ctx, now := q.e, q.r.Context(), q.e.Now()
	c, err := e.connection(ctx, q.r.PathValue("alias"))
	if err != nil {
		return err
	}
	q.door = c
	scheme, secret, _ := strings.Cut(q.r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	if c != nil && strings.EqualFold(scheme, "Bearer") && secret != "" {
		q.token, err = e.Pushers.Authenticate(ctx, c.alias, secret)
		if err == nil {
			q.c = c
			if wait := e.asked.Take(c.alias, 1, c.limit, now); wait > 0 {
				return q.busy(wait)
			}
			return nil
		}
		if fault.KindOf(err) != fault.Denied {
			return err
		}
	}
	if wait := e.stranger(q.r, now); wait > 0 {
		return q.busy(wait)
	}
	return q.unknown(secret != "")
}

// often is how often those without a good token may try.
var often = rates.Limit{PerSecond: 5, Burst: 50}

// stranger counts somebody without a good token, by address and connection: the
// provisioning services of Microsoft and Okta come from the same addresses for all
// their customers, of whom one's ended token must stop nobody else.
func (e *Endpoint) stranger(r *http.Request, now time.Time) (wait int) {
	alias := r.PathValue("alias")
	return e.strangers.Take(e.address(r)+" "+alias[:min(len(alias), 64)], 1, often, now)
}

func (q *request) busy(seconds int) error {
	q.w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return &scim.Error{Status: http.StatusTooManyRequests, Detail: "too many requests; come again after as many seconds as Retry-After says"}
}

func (q *request) unknown(given bool) error {
	more := ""
	if given {
		more = `, error="invalid_token"` // RFC 6750, section 3.1
	}
	q.w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`+more)
	return &scim.Error{Status: http.StatusUnauthorized, Detail: "the token is missing, wrong, or has ended; an administrator of the connection makes a new one"}
}

// read takes the body in.
func (q *request) read() error {
	if q.r.Body == nil || q.r.Body == http.NoBody {
		return nil
	}
	most := int64(longestBody)
	if strings.HasSuffix(q.r.URL.Path, "/Bulk") {
		most = longestBulk
	}
	body, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, most))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &scim.Error{Status: http.StatusRequestEntityTooLarge, Detail: "the body is larger than " + strconv.FormatInt(most>>20, 10) + " MiB; send less at a time"}
	}
	if err != nil {
		return scim.Bad(scim.InvalidSyntax, "the body could not be read to its end")
	}
	q.body = body
	return nil
}

func (q *request) wrongMethod() error {
	return &scim.Error{Status: http.StatusMethodNotAllowed, Detail: q.r.Method + " is not for this address"}
}

func (q *request) nowhere() error {
	return &scim.Error{Status: http.StatusNotFound, Detail: "there is nothing at this address; there are /Users, /Groups, /Schemas, /ResourceTypes, /ServiceProviderConfig, /Bulk and /.search"}
}

// me is refused: a token is a program's, and stands for no user (RFC 7644, section
// 3.11).
func (q *request) me() error {
	return &scim.Error{Status: http.StatusNotImplemented, Detail: "the token stands for a program, which has no user of its own"}
}

// base is the address that those of resources begin with.
func (q *request) base() string {
	return strings.TrimSuffix(q.e.PublicURL, "/") + Prefix + q.c.alias
}

// location is the address of a resource.
func (q *request) location(t scim.Type, id string) string {
	return q.base() + "/" + plural(t) + "/" + id
}

// reply answers; a nil body is none.
func (q *request) reply(status int, body any) error {
	q.status = status
	if body == nil {
		q.w.WriteHeader(status)
		return nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return err
	}
	q.answer = out.Bytes()
	q.w.Header().Set("Content-Type", scim.ContentType+"; charset=utf-8")
	q.w.WriteHeader(status)
	_, _ = q.w.Write(q.answer) //nolint:errcheck // whoever has gone away is told nothing
	return nil
}

// fail answers with an error.
func (q *request) fail(err error) {
	told := q.e.told(q.r.Context(), err)
	if told.Status == http.StatusServiceUnavailable {
		q.w.Header().Set("Retry-After", "10")
	}
	_ = q.reply(told.Status, scim.ErrorObject(told)) //nolint:errcheck // an error is always written
}

// refuse is fail for those of whom nothing is known.
func refuse(w http.ResponseWriter, err *scim.Error) {
	w.Header().Set("Content-Type", scim.ContentType+"; charset=utf-8")
	w.WriteHeader(err.Status)
	_ = json.NewEncoder(w).Encode(scim.ErrorObject(err)) //nolint:errcheck // whoever has gone away is told nothing
}

// address is where a request comes from, without the port.
func (e *Endpoint) address(r *http.Request) string { return admins.From(r, e.TrustedProxies).String() }
