package rest

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"rollcall.dev/rollcall/internal/fault"
)

// Explain is the usual reading of a refusal: {"error":{"code","message",
// "innerError":{"request-id"}}} of Microsoft and Google, {"error":"…",
// "error_description":"…"} of OAuth 2, {"errorCode","errorSummary","errorId"} of
// Okta; the request id of the body, else of the headers.
func Explain(_ int, h http.Header, body []byte) Refusal {
	var r Refusal
	var b struct {
		Error            json.RawMessage `json:"error"`
		ErrorDescription string          `json:"error_description"`
		TraceID          string          `json:"trace_id"`
		ErrorCode        string          `json:"errorCode"`
		ErrorSummary     string          `json:"errorSummary"`
		ErrorID          string          `json:"errorId"`
	}
	if json.Unmarshal(body, &b) == nil {
		var inner struct {
			Code       json.RawMessage `json:"code"`
			Message    string          `json:"message"`
			Status     string          `json:"status"`
			InnerError struct {
				RequestID string `json:"request-id"`
			} `json:"innerError"`
		}
		switch {
		case json.Unmarshal(b.Error, &r.Code) == nil && r.Code != "":
			r.Message, r.RequestID = b.ErrorDescription, b.TraceID
		case json.Unmarshal(b.Error, &inner) == nil:
			if json.Unmarshal(inner.Code, &r.Code) != nil {
				r.Code = string(inner.Code) // a number
			}
			if inner.Status != "" {
				r.Code = inner.Status
			}
			r.Message, r.RequestID = inner.Message, inner.InnerError.RequestID
		default:
			r = Refusal{Code: b.ErrorCode, Message: b.ErrorSummary, RequestID: b.ErrorID}
		}
	}
	for _, name := range []string{"Request-Id", "X-Okta-Request-Id", "X-Ms-Request-Id", "X-Request-Id"} {
		if r.RequestID == "" {
			r.RequestID = h.Get(name)
		}
	}
	return r
}

// Retryable is the usual verdict: a connection that broke, 408, 429 and every 5xx
// but 501 are worth another try, after the usual wait.
func Retryable(e *Error, _ time.Time) (time.Duration, bool) {
	switch {
	case e.Status == 0:
		return 0, !certain(e.Err)
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests:
		return 0, true
	}
	return 0, e.Status >= 500 && e.Status != http.StatusNotImplemented
}

// certain reports a failure that the next try would meet again.
func certain(err error) bool {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	return errors.Is(err, errTooLarge) || refusedByGuard(err) || errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid) ||
		errors.As(err, &dns) && dns.IsNotFound
}

func refusedByGuard(err error) bool { return fault.KindOf(err) == fault.Denied }

// pause is how long to wait after a failed try: what Retry-After says, and at least
// a little; else 1, 2, 4 ... 60 seconds, of which up to half is left to chance, so
// that several that were refused together do not come back together.
func (c *Client) pause(e *Error, try int) time.Duration {
	if d, ok := RetryAfter(e.Header, c.config.Clock.Now()); ok {
		return d + time.Duration(c.config.Clock.Jitter()*float64(time.Second))
	}
	most := min(time.Second<<min(try-1, 10), time.Minute)
	return most/2 + time.Duration(c.config.Clock.Jitter()*float64(most/2))
}

// RetryAfter reads the header of that name: whole seconds or a date, as RFC 9110
// has it, or decimal seconds, as Microsoft's own pages show it ("2.128"). A moment
// that has passed is 0; what cannot be read is not ok.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if s == "" {
		return 0, false
	}
	if sec, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(sec) || sec < 0 || sec > 1e6 {
			return 0, false
		}
		return time.Duration(sec * float64(time.Second)), true
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	// The server's clock, where it tells it: the date was reckoned by that.
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}

// refusal makes an Error of an answer that is not good.
func (c *Client) refusal(res *http.Response, body []byte) *Error {
	e := &Error{Status: res.StatusCode, Header: res.Header}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		e.Code, e.Message = "redirect", errRedirect.Error()
	} else {
		e.Refusal = c.config.Explain(res.StatusCode, res.Header, body)
	}
	e.Code, e.Message, e.RequestID = c.clean(e.Code, 80), c.clean(e.Message, 400), c.clean(e.RequestID, 80)
	var b strings.Builder
	fmt.Fprintf(&b, "the server answers %d", e.Status)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	e.text = b.String()
	return e
}

// clean is text of the vendor as it may stand in an error: one line, not long,
// without our secrets.
func (c *Client) clean(s string, most int) string {
	secrets := c.config.Secrets
	if c.config.Auth != nil {
		secrets = append(secrets[:len(secrets):len(secrets)], c.config.Auth.Secrets()...)
	}
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		// As it is, and as it stood in the form.
		s = strings.NewReplacer(secret, "***", url.QueryEscape(secret), "***", url.PathEscape(secret), "***").Replace(s)
	}
	s, _, _ = strings.Cut(s, "\n")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strings.TrimSpace(s)
}

// broken makes an Error of a connection that failed, without the address that the
// library puts into it.
func (c *Client) broken(ctx context.Context, err error) *Error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		err = fmt.Errorf("%w of %s", errTimeout, c.config.Timeout)
	}
	return &Error{Err: err, text: c.clean(err.Error(), 400)}
}

// undecoded is a good status with an answer that is not what it should be: a cut
// one, or a page of a proxy in between.
func (c *Client) undecoded(res *http.Response, err error) *Error {
	text := "the answer is not whole"
	if kind := res.Header.Get("Content-Type"); strings.HasPrefix(kind, "text/html") {
		text = "the answer is a web page"
	}
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		text = fmt.Sprintf("the answer is not as described: %s is a %s", c.clean(typed.Field, 80), c.clean(typed.Value, 40))
	}
	return &Error{Err: errors.New(text), text: text}
}

// ended is the fault of a call whose context ended.
func (c *Client) ended(ctx context.Context, u *url.URL) error {
	return fault.New(fault.Unavailable, "%s: %s: %w", c.config.Name, shown(u), context.Cause(ctx))
}

// fault says what became of a call, after so many tries.
func (c *Client) fault(u *url.URL, e *Error, tries int) error {
	after := ""
	if tries > 1 {
		after = fmt.Sprintf(" after %d tries", tries)
	}
	kind := fault.Unavailable
	switch {
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		kind = fault.Denied
	case e.Status == http.StatusNotFound, e.Status == http.StatusGone:
		kind = fault.NotFound
	case e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout:
		kind = fault.Invalid
	case errors.Is(e.Err, errTooLarge), e.Status == 0 && refusedByGuard(e.Err):
		kind = fault.Invalid
	}
	f := fault.New(kind, "%s: %s%s: %w", c.config.Name, shown(u), after, e)
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case e.Status == 0 && refusedByGuard(e.Err):
		return f.WithHint("name the network in `webhooks.allow_private` if it may be reached all the same")
	case errors.As(e.Err, &authority):
		return f.WithHint("if a proxy on the way opens encrypted connections, set tls.ca_file to the certificate of its authority")
	case errors.As(e.Err, &name):
		return f.WithHint("the address must use a name that stands in the certificate")
	case e.Status == http.StatusTooManyRequests:
		return f.WithHint("the vendor limits how much may be asked; the next run tries again")
	}
	return f
}
