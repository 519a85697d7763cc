package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/deliver/webhook"
	protocol "rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/targets"
)

// timeLimit is for one request; the answer with the members of a large group takes
// longer than a webhook's.
const timeLimit = 30 * time.Second

const (
	mostAnswer = 32 << 20
	mostDetail = 300 // of what an application says of an error
)

// refusal is an answer that concerns one account or group: the others go on.
type refusal struct {
	status int
	kind   protocol.ErrorType
	detail string
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("answered %d %s", r.status, http.StatusText(r.status))
	if r.detail != "" {
		text += ": " + r.detail
	}
	return text
}

func refused(err error, status ...int) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, s := range status {
		if r.status == s {
			return true
		}
	}
	return false
}

// standstill is what concerns the whole application: nothing more is tried there for
// now.
type standstill struct {
	why   string
	until time.Time // that it asked for; zero for none
}

func (s *standstill) Error() string { return s.why }

// answer is one of an application.
type answer struct {
	body protocol.Object // nil where there is none
	etag string
	at   string // Location
}

// clientOf talks to one application.
type clientOf struct {
	turn   *targets.Turn
	plain  *http.Client
	secure *http.Client
	now    func() time.Time
	known  *known
}

// known is what is remembered of an application between turns.
type known struct {
	mu     sync.Mutex
	stamp  time.Time // of the target as it was then
	token  string
	ends   time.Time
	config *config
	until  time.Time // the configuration is believed
}

// config is what its ServiceProviderConfig says that we go by.
type config struct{ patch, etag bool }

// do makes a request below the address of the application.
func (c *clientOf) do(ctx context.Context, method, path string, query url.Values, body any, etag string) (*answer, error) {
	a, err := c.once(ctx, method, path, query, body, etag)
	if refused(err, http.StatusUnauthorized) && c.turn.Target.Auth == targets.OAuth {
		c.known.mu.Lock()
		c.known.token = ""
		c.known.mu.Unlock()
		a, err = c.once(ctx, method, path, query, body, etag)
	}
	if refused(err, http.StatusUnauthorized) {
		return nil, &standstill{why: "it does not know our secret: " + err.Error()}
	}
	return a, err
}

func (c *clientOf) once(ctx context.Context, method, path string, query url.Values, body any, etag string) (*answer, error) {
	u, err := url.Parse(c.turn.Target.URL)
	if err != nil {
		return nil, &standstill{why: "its address cannot be read"}
	}
	// Some addresses carry a query of their own, which is for every request.
	all := u.Query()
	for k, v := range query {
		all[k] = v
	}
	u = u.JoinPath(path)
	u.RawQuery = all.Encode()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), in)
	if err != nil {
		return nil, &standstill{why: "its address cannot be read"}
	}
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", protocol.ContentType)
	req.Header.Set("User-Agent", "Rollcall-SCIM/1")
	if body != nil {
		req.Header.Set("Content-Type", protocol.ContentType)
	}
	if etag != "" {
		req.Header.Set("If-Match", etag)
	}
	return c.send(req)
}

func (c *clientOf) send(req *http.Request) (*answer, error) {
	client := c.secure
	if req.URL.Scheme != "https" {
		client = c.plain
	}
	resp, err := client.Do(req)
	if err != nil {
		if req.Context().Err() != nil {
			return nil, req.Context().Err()
		}
		return nil, &standstill{why: c.clean(webhook.Explain(err))}
	}
	defer resp.Body.Close() //nolint:errcheck // all that counts was read
	raw, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	if err != nil || len(raw) > mostAnswer {
		return nil, &standstill{why: "its answer broke off, or is larger than 32 MiB"}
	}
	var o protocol.Object
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&o) != nil {
		o = nil
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return &answer{body: o, etag: etagOf(resp.Header.Get("ETag"), o), at: resp.Header.Get("Location")}, nil
	}
	r := &refusal{status: resp.StatusCode}
	kind, _ := o["scimType"].(string)
	detail, _ := o["detail"].(string)
	r.kind, r.detail = protocol.ErrorType(kind), c.clean(detail)
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, &standstill{why: fmt.Sprintf("answered %d and sent us elsewhere, which is not followed: change the target's address", resp.StatusCode)}
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return nil, &standstill{why: r.Error(), until: webhook.RetryAfter(resp.Header.Get("Retry-After"), c.now())}
	}
	return nil, r
}

// clean shortens what others say, and takes our secrets out of it.
func (c *clientOf) clean(text string) string {
	c.known.mu.Lock()
	secrets := []string{c.turn.Secret, c.known.token}
	c.known.mu.Unlock()
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "(secret)")
		}
	}
	if len(text) > mostDetail {
		text = text[:mostDetail] + "..."
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
}

func etagOf(header string, o protocol.Object) string {
	if header != "" {
		return header
	}
	meta, _ := o["meta"].(protocol.Object)
	version, _ := meta["version"].(string)
	return version
}

// token gives what the application knows us by: the secret itself, or a token got
// for it (RFC 6749, section 4.4), which is kept until shortly before it ends.
func (c *clientOf) token(ctx context.Context) (string, error) {
	if c.turn.Target.Auth != targets.OAuth {
		return c.turn.Secret, nil
	}
	c.known.mu.Lock()
	token, ends := c.known.token, c.known.ends
	c.known.mu.Unlock()
	if token != "" && c.now().Before(ends) {
		return token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if s := c.turn.Target.OAuthScope; s != nil {
		form.Set("scope", *s)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, *c.turn.Target.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", &standstill{why: "the address of its tokens cannot be read"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	// Section 2.3.1: both are form-encoded first.
	req.SetBasicAuth(url.QueryEscape(*c.turn.Target.ClientID), url.QueryEscape(c.turn.Secret))
	a, err := c.send(req)
	if err != nil {
		var s *standstill
		if errors.As(err, &s) || ctx.Err() != nil {
			return "", err
		}
		return "", &standstill{why: "it gives us no token: " + err.Error()}
	}
	token, _ = a.body["access_token"].(string)
	if token == "" {
		return "", &standstill{why: "it gives us no token: its answer has no access_token"}
	}
	life := time.Hour
	if n, ok := a.body["expires_in"].(json.Number); ok {
		if seconds, err := n.Int64(); err == nil && seconds > 0 && seconds < 1e6 {
			life = time.Duration(seconds) * time.Second
		}
	}
	c.known.mu.Lock()
	c.known.token, c.known.ends = token, c.now().Add(life-min(time.Minute, life/2))
	c.known.mu.Unlock()
	return token, nil
}

// configLife is how long an application's configuration is believed.
const configLife = time.Hour

// config reads what the application can do. One that does not tell is taken to do
// what the RFC says, and found out by its answers.
func (c *clientOf) config(ctx context.Context) (config, error) {
	c.known.mu.Lock()
	have, until := c.known.config, c.known.until
	c.known.mu.Unlock()
	if have != nil && c.now().Before(until) {
		return *have, nil
	}
	is := config{patch: true}
	a, err := c.do(ctx, http.MethodGet, "ServiceProviderConfig", nil, nil, "")
	var r *refusal
	switch {
	case err == nil:
		is.patch = supported(a.body, "patch", true)
		is.etag = supported(a.body, "etag", false)
	case !errors.As(err, &r):
		return is, err
	}
	c.remember(is)
	return is, nil
}

func (c *clientOf) remember(is config) {
	c.known.mu.Lock()
	defer c.known.mu.Unlock()
	c.known.config, c.known.until = &is, c.now().Add(configLife)
}

func supported(o protocol.Object, name string, unless bool) bool {
	part, _ := o[name].(protocol.Object)
	if is, ok := part["supported"].(bool); ok {
		return is
	}
	return unless
}

// find gives resources for which an attribute has a value; none where the
// application cannot look for it.
func (c *clientOf) find(ctx context.Context, kind, attribute, value string) ([]protocol.Object, error) {
	f := protocol.Filter{Op: protocol.Eq, Path: protocol.Path{Attr: attribute}, Value: value}
	query := url.Values{"filter": {f.String()}, "startIndex": {"1"}, "count": {"10"}}
	if kind == "Groups" {
		query.Set("excludedAttributes", "members")
	}
	a, err := c.do(ctx, http.MethodGet, kind, query, nil, "")
	if refused(err, http.StatusBadRequest, http.StatusNotFound, http.StatusInternalServerError, http.StatusNotImplemented, http.StatusForbidden) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return resources(a.body), nil
}

func resources(body protocol.Object) []protocol.Object {
	list, _ := body["Resources"].([]any)
	out := make([]protocol.Object, 0, len(list))
	for _, e := range list {
		if o, ok := e.(protocol.Object); ok && idOf(o) != "" {
			out = append(out, o)
		}
	}
	return out
}

// at is the path of a resource. Identifiers may be anything: some are names of users.
func at(kind, id string) string { return kind + "/" + url.PathEscape(id) }

// idOf is the identifier of a resource; one that cannot be the end of a path is none.
func idOf(o protocol.Object) string {
	id, _ := o["id"].(string)
	if id == "." || id == ".." {
		return ""
	}
	return id
}
