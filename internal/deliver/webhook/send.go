package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/hooks"
)

// TimeLimit is for a whole attempt: name, connection, TLS, answer (Standard
// Webhooks recommends 15 to 30 seconds).
const TimeLimit = 15 * time.Second

// keptAnswer is how much of an answer is kept for people, and readAnswer how much
// is read so that the connection can be used again.
const (
	keptAnswer = 1 << 10
	readAnswer = 64 << 10
)

// Sender sends single deliveries.
type Sender struct {
	plain, secure *http.Client
	now           func() time.Time
}

// NewSender makes one that goes where the guard lets it. roots are certificates to
// trust; nil stands for the system's.
func NewSender(g *Guard, roots *x509.CertPool, now func() time.Time) *Sender {
	plain, secure := Clients(g, roots)
	return &Sender{plain: plain, secure: secure, now: now}
}

// Clients gives two that go where the guard lets them, one for http and one for
// https.
func Clients(g *Guard, roots *x509.CertPool) (plain, secure *http.Client) {
	client := func(plain bool) *http.Client {
		return &http.Client{
			Timeout: TimeLimit,
			// A redirect is no success: the address is to be changed by who owns it.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:             nil, // it would look names up in our place
				DialContext:       g.Dial(plain),
				TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
				ForceAttemptHTTP2: true, DisableCompression: true,
				MaxIdleConns: 200, MaxIdleConnsPerHost: perEndpoint, IdleConnTimeout: 30 * time.Second,
				TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10,
			},
		}
	}
	return client(true), client(false)
}

// Roots are the system's certificates and those of a file in PEM; nil, which stands
// for the system's, where no file is named.
func Roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "%s holds no certificate", path)
	}
	return pool, nil
}

// Close gives up the connections kept for later.
func (s *Sender) Close() {
	s.plain.CloseIdleConnections()
	s.secure.CloseIdleConnections()
}

// Send makes one attempt. What went wrong is in the outcome; nothing of it names
// the whole address, which may hold a secret.
func (s *Sender) Send(ctx context.Context, j *hooks.Job) hooks.Outcome {
	at := s.now()
	o := s.send(ctx, j, at)
	o.At, o.Took = at, s.now().Sub(at)
	return o
}

func (s *Sender) send(ctx context.Context, j *hooks.Job, at time.Time) hooks.Outcome {
	body, err := hooks.Body(j.Type, j.At, j.Data)
	if err != nil {
		return hooks.Outcome{Error: "the event cannot be written as JSON"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.URL, bytes.NewReader(body))
	if err != nil {
		return hooks.Outcome{Error: "the address cannot be read"}
	}
	if err := Headers(req.Header, j.Secrets, j.ID, at, body); err != nil {
		return hooks.Outcome{Error: err.Error()}
	}
	client := s.secure
	if req.URL.Scheme != "https" {
		client = s.plain
	}
	resp, err := client.Do(req)
	if err != nil {
		return hooks.Outcome{Error: Explain(err)}
	}
	defer resp.Body.Close() //nolint:errcheck // all that counts was read
	// The status says all that counts, whatever becomes of the rest.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, keptAnswer))
	if err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, readAnswer))
	}
	o := hooks.Outcome{Status: resp.StatusCode, Answer: answer, Gone: resp.StatusCode == http.StatusGone}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		o.Error = fmt.Sprintf("answered %d and sent us elsewhere, which is not followed: change the webhook's address", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		o.Error = strings.TrimSpace(fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	}
	if o.Error != "" {
		o.NotBefore = RetryAfter(resp.Header.Get("Retry-After"), s.now())
	}
	return o
}

// Explain says what went wrong without the address.
func Explain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return fmt.Sprintf("no answer within %d s", int(TimeLimit.Seconds()))
		}
		err = u.Err
	}
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &dns):
		return "the name " + dns.Name + " cannot be looked up"
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid):
		return "its certificate is not trusted: " + clip(err.Error())
	}
	return clip(err.Error())
}

func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// longestWait bounds what an endpoint may ask for.
const longestWait = 24 * time.Hour

// RetryAfter reads the header of RFC 9110, section 10.2.3: seconds, or a date. The
// zero time stands for none.
func RetryAfter(text string, now time.Time) time.Time {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}
	}
	at, err := http.ParseTime(text)
	if seconds, serr := strconv.ParseUint(text, 10, 63); serr == nil {
		at, err = now.Add(longestWait), nil
		if seconds < uint64(longestWait/time.Second) {
			at = now.Add(time.Duration(seconds) * time.Second)
		}
	}
	if err != nil || !at.After(now) {
		return time.Time{}
	}
	if latest := now.Add(longestWait); at.After(latest) {
		return latest
	}
	return at
}
