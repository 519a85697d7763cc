package rest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Client calls one API. Its methods may be called at the same time.
type Client struct {
	config   Config
	root     *url.URL
	http     *http.Client
	requests atomic.Int64
	notes    atomic.Int64 // how often the vendor asked to wait
}

var (
	errTimeout  = errors.New("no complete answer within the time limit")
	errRedirect = errors.New("the server sends us on to another host")
)

// New makes a client; it reads no network. An address that is not https, or a CA
// file that cannot be read, is a fault.Invalid.
func New(c Config) (*Client, error) {
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxBody <= 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.Tries <= 0 {
		c.Tries = DefaultTries
	}
	if c.MaxWait <= 0 {
		c.MaxWait = DefaultMaxWait
	}
	if c.Explain == nil {
		c.Explain = Explain
	}
	if c.Retry == nil {
		c.Retry = Retryable
	}
	c.Clock = c.Clock.whole()
	root, err := Address(c.Root, c.Guard)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", c.Name, err)
	}
	if c.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		transport.ResponseHeaderTimeout = 0 // Timeout holds for the whole
		if c.CAFile != "" {
			if transport.TLSClientConfig.RootCAs, err = trusted(c.CAFile); err != nil {
				return nil, fault.New(fault.Invalid, "%s: tls.ca_file: %w", c.Name, err).WithHint("the file must be PEM")
			}
		}
		if c.Guard != nil {
			Guarded(transport, c.Guard, root.Scheme != "https")
		}
		c.Transport = transport
	}
	return &Client{config: c, root: root, http: &http.Client{
		Transport: c.Transport,
		// Redirects are followed by hand, see send: a library that follows them
		// signs nothing and sends the credentials where it pleases.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func trusted(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

// Guarded has connections go where a guard lets them, but for those to a proxy, which
// the environment names and nobody who sets up a connection.
func Guarded(transport *http.Transport, guard source.Guard, plain bool) {
	var proxies sync.Map
	free, dial, proxy := transport.DialContext, guard.Dial(plain), transport.Proxy
	transport.Proxy = func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if u != nil {
			proxies.Store(net.JoinHostPort(u.Hostname(), portOf(u)), true)
		}
		return u, err
	}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if _, is := proxies.Load(address); is {
			return free(ctx, network, address)
		}
		return dial(ctx, network, address)
	}
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	case strings.HasPrefix(u.Scheme, "socks5"):
		return "1080"
	}
	return "80"
}

// Address parses an address that credentials may be sent to: https, or what the guard
// lets be reached by http too, without user, query or fragment.
func Address(s string, guard source.Guard) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return nil, fault.New(fault.Invalid, "not an address").WithHint("write https://host")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "address %s://%s holds more than host and path", u.Scheme, u.Host).WithHint("write https://host")
	}
	switch {
	case u.Scheme != "https" && (guard == nil || u.Scheme != "http"):
		return nil, fault.New(fault.Invalid, "address %s://%s: only https is allowed", u.Scheme, u.Host).WithHint("write https://host")
	case guard != nil:
		if err := guard.Check(u); err != nil {
			return nil, err
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Requests is how many requests were sent so far, tries and tokens among them.
func (c *Client) Requests() int64 { return c.requests.Load() }

// Waits is how many times the vendor made us wait so far.
func (c *Client) Waits() int64 { return c.notes.Load() }

// Resolve gives the address of a ref: a path from the root or a whole link, which
// must lie on the root's scheme and host. A link to elsewhere is a fault.Invalid:
// with it our credentials would go there.
func (c *Client) Resolve(ref string) (*url.URL, error) {
	if strings.HasPrefix(ref, "/") && !strings.HasPrefix(ref, "//") {
		u, err := url.Parse(ref)
		if err != nil {
			return nil, fault.New(fault.Internal, "%s: a path of ours is none", c.config.Name)
		}
		full := *c.root
		full.Path, full.RawPath, full.RawQuery = c.root.Path+u.Path, "", u.RawQuery
		if u.RawPath != "" {
			full.RawPath = c.root.EscapedPath() + u.RawPath
		}
		return &full, nil
	}
	u, err := url.Parse(ref)
	if err != nil || u.Scheme != c.root.Scheme || !strings.EqualFold(u.Host, c.root.Host) || u.User != nil {
		where := "no address"
		if err == nil {
			where = fmt.Sprintf("%.80q", u.Host)
		}
		return nil, fault.New(fault.Invalid, "%s: a link leads from %s to %s: not followed", c.config.Name, c.root.Host, where)
	}
	u.Fragment = ""
	return u, nil
}

// shown is an address without what may be secret in it.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Do sends a call until there is an answer, or trying more is of no use, and
// decodes the answer's JSON into into, unless into is nil. The answer is nil with
// an error.
func (c *Client) Do(ctx context.Context, call Call, into any) (*Answer, error) {
	u, err := c.address(call)
	if err != nil {
		return nil, err
	}
	waited, rejected := time.Duration(0), false
	for try := 1; ; try++ {
		answer, failed, err := c.once(ctx, call, u, into)
		if err != nil {
			return nil, err
		}
		if failed == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return nil, c.ended(ctx, u)
		}
		if failed.Status == http.StatusUnauthorized && !call.Elsewhere && c.config.Auth != nil {
			if again := !rejected && c.config.Auth.Rejected(failed.Header); again {
				rejected = true
				continue
			}
			return nil, c.fault(u, failed, try)
		}
		wait, again := c.config.Retry(failed, c.config.Clock.Now())
		tries, most := c.config.Tries, c.config.MaxWait
		if Hurried(ctx) {
			tries, most = min(tries, hurryTries), min(most, hurryWait)
		}
		if !again || try >= tries {
			return nil, c.fault(u, failed, try)
		}
		if wait <= 0 {
			wait = c.pause(failed, try)
		}
		if waited += wait; waited > most {
			return nil, c.fault(u, failed, try)
		}
		c.notes.Add(1)
		if err := c.config.Clock.Sleep(ctx, wait); err != nil {
			return nil, c.ended(ctx, u)
		}
	}
}

func (c *Client) address(call Call) (*url.URL, error) {
	if !call.Elsewhere {
		return c.Resolve(call.Ref)
	}
	u, err := Address(call.Ref, c.config.Guard)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s: %w", c.config.Name, err)
	}
	return u, nil
}

// once sends a call once. failed is a refusal or a failed connection, which may be
// tried again; err is final.
func (c *Client) once(ctx context.Context, call Call, u *url.URL, into any) (answer *Answer, failed *Error, err error) {
	limited, cancel := c.config.Clock.Limit(ctx, c.config.Timeout)
	defer cancel()
	method := call.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(limited, method, u.String(), nil)
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "%s: make a request: %s", c.config.Name, shown(u))
	}
	req.Header.Set("User-Agent", "rollcall")
	req.Header.Set("Accept", "application/json")
	if call.Body != nil {
		body, kind, err := call.Body()
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set("Content-Type", kind)
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	for _, h := range []http.Header{c.config.Header, call.Header} {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	if c.config.Auth != nil && !call.Elsewhere {
		// ctx, not limited: fetching a token has limits of its own.
		if err := c.config.Auth.Sign(ctx, req); err != nil {
			return nil, nil, err
		}
	}
	res, body, err := c.send(limited, req) //nolint:bodyclose // send has read and closed it
	if err != nil {
		return nil, c.broken(limited, err), nil
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, c.refusal(res, body), nil
	}
	if into != nil {
		if err := json.Unmarshal(body, into); err != nil {
			return nil, c.undecoded(res, err), nil
		}
	}
	return &Answer{Status: res.StatusCode, Header: res.Header, Body: body}, nil, nil
}

var errTooLarge = errors.New("the answer is larger than allowed")

// send sends one request and reads the whole answer.
func (c *Client) send(ctx context.Context, req *http.Request) (*http.Response, []byte, error) {
	c.requests.Add(1)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(res.Body, c.config.MaxBody+1))
	if err == nil && ctx.Err() != nil {
		// Hanging up, we may be given a proper end that is not the answer's.
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	if int64(len(body)) > c.config.MaxBody {
		return nil, nil, errTooLarge
	}
	return res, body, nil
}
