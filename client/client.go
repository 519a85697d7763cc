// Package client is the Go client of Rollcall's REST API: it hands accounts,
// plans, runs and events on to programs as plain types, follows lists from page
// to page and runs to their end, and tells errors as *Problem.
//
//	c, err := client.New("https://rollcall.example.com", os.Getenv("ROLLCALL_API_KEY"))
//	for account, err := range c.Accounts(ctx, client.AccountQuery{Status: "active"}) {
//		...
//	}
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// prefix is where the API lies below a server's address.
const prefix = "/api/v1"

// Client makes requests. It is safe for concurrent use.
type Client struct {
	base  string
	key   string
	http  *http.Client
	tries int
	agent string
	sleep func(context.Context, time.Duration) error
}

// Option changes how a client works.
type Option func(*Client)

// WithHTTP makes requests by another HTTP client. Its Timeout should be 0: streams
// and runs take as long as they take; contexts say how long to wait.
func WithHTTP(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithTries sets how often a request that may be repeated is made before its
// problem is the answer; 5 unless set.
func WithTries(n int) Option { return func(c *Client) { c.tries = max(1, n) } }

// WithAgent names the program, for the server's log.
func WithAgent(name string) Option { return func(c *Client) { c.agent = name } }

// New makes a client of the server at an address such as
// https://rollcall.example.com, with an API key. Neither is tried yet. A key is
// sent over https, or to this machine; anything else is refused.
func New(server, key string, options ...Option) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(server, "/"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("client: %q is not the address of a server, such as https://rollcall.example.com", redacted(server))
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("client: the API key would be sent to %s in the clear; use https", u.Host)
	}
	if key == "" {
		return nil, errors.New("client: there is no API key")
	}
	base := strings.TrimSuffix(u.String(), prefix) + prefix
	c := &Client{base: base, key: key, http: &http.Client{}, tries: 5, agent: "rollcall-client", sleep: sleep}
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// redacted is an address without a password somebody put into it.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return "the address given"
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call is one request.
type call struct {
	method string
	path   string // below the prefix, its parts escaped
	query  url.Values
	body   any // sent as JSON; an io.Reader is sent as it is, once
	typ    string
	accept string
	once   bool // not again, whatever comes
}

// do makes a request and decodes the answer into out, which may be nil.
func (c *Client) do(ctx context.Context, r call, out any) error {
	answer, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil || answer.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		return fmt.Errorf("client: %s %s: the answer broke off or is no JSON: %w", r.method, r.path, err)
	}
	return nil
}

// send makes a request, again where that is safe and may help, and gives an
// answer of success; anything else is an error.
func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	var body []byte
	stream, streamed := r.body.(io.Reader)
	once := streamed || r.once
	if r.body != nil && !streamed {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
		}
	}
	for try := 1; ; try++ {
		in := stream
		if body != nil {
			in = bytes.NewReader(body)
		}
		answer, err := c.once(ctx, r, in)
		if err == nil && answer.StatusCode < 300 {
			return answer, nil
		}
		wait := time.Duration(0)
		if err == nil {
			wait = patience(answer)
			err = problem(answer)
		}
		if ctx.Err() != nil || once || try >= c.tries || !again(r.method, err) {
			return nil, err
		}
		// Half a second, doubling, with some jitter, unless the server says better.
		backoff := time.Duration(1<<(try-1)) * 500 * time.Millisecond
		if wait == 0 {
			wait = backoff/2 + rand.N(backoff)
		}
		if sleepErr := c.sleep(ctx, wait); sleepErr != nil {
			return nil, errors.Join(sleepErr, err)
		}
	}
}

// again says whether a request may be made once more: one that was turned away
// unseen always, one that may have been seen only where twice is as good as once.
func again(method string, err error) bool {
	repeatable := method == http.MethodGet || method == http.MethodPut || method == http.MethodDelete
	var p *Problem
	if !errors.As(err, &p) {
		return repeatable // the line broke
	}
	return p.Status == http.StatusTooManyRequests ||
		repeatable && (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusBadGateway || p.Status == http.StatusGatewayTimeout)
}

// longestPatience bounds what a server may ask for.
const longestPatience = 5 * time.Minute

// patience reads Retry-After (RFC 9110, section 10.2.3): seconds, or a time.
func patience(answer *http.Response) time.Duration {
	text := answer.Header.Get("Retry-After")
	d := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), longestPatience)
}

func (c *Client) once(ctx context.Context, r call, body io.Reader) (*http.Response, error) {
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("client: %s %s: %w", r.method, r.path, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("User-Agent", c.agent)
	if body != nil {
		typ := r.typ
		if typ == "" {
			typ = "application/json"
		}
		request.Header.Set("Content-Type", typ)
	}
	if r.accept != "" {
		request.Header.Set("Accept", r.accept)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return answer, nil
}

// problem reads what went wrong. Proxies in between answer in their own way.
func problem(answer *http.Response) error {
	defer answer.Body.Close()
	const most = 1 << 20
	b, err := io.ReadAll(io.LimitReader(answer.Body, most))
	p := &Problem{}
	if err != nil || json.Unmarshal(b, p) != nil || p.Status == 0 {
		p = &Problem{Status: answer.StatusCode, Title: http.StatusText(answer.StatusCode), Detail: "the server answered " + answer.Status,
			Hint: "the answer is not Rollcall's: look at the address, and at proxies on the way", RequestID: answer.Header.Get("X-Request-ID")}
	}
	return p
}

// part escapes one part of a path.
func part(s string) string { return url.PathEscape(s) }

// query gathers parameters, leaving out what is zero.
func query(pairs ...any) url.Values {
	out := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name := pairs[i].(string)
		switch v := pairs[i+1].(type) {
		case string:
			if v != "" {
				out.Set(name, v)
			}
		case int:
			if v != 0 {
				out.Set(name, strconv.Itoa(v))
			}
		case bool:
			if v {
				out.Set(name, "true")
			}
		case []string:
			if len(v) > 0 {
				out.Set(name, strings.Join(v, ","))
			}
		}
	}
	return out
}
