package csv

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// errUnmodified says that the server has nothing new.
var errUnmodified = errors.New("csv: not modified")

// remoteState is the cursor of a remote file.
type remoteState struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Basis        string `json:"basis"` // what else decides what is read from the same bytes
}

func (s remoteState) cursor() source.Cursor {
	if s.ETag == "" && s.LastModified == "" {
		return nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil // three strings always marshal
	}
	return b
}

// basis stands for the settings that change what is read from the same bytes.
// Of the default password only its presence is in it: a digest of it here could
// be guessed.
func (t *table) basis() string {
	var b strings.Builder
	b.WriteString("2,") // raised when the same bytes and settings come to be read otherwise
	for _, name := range []string{"url", "key", "manager", "password_column", "passwords", "encoding", "separator"} {
		b.WriteString(strconv.Quote(t.settings.String(name)) + ",")
	}
	for _, pair := range t.settings.List("columns") {
		b.WriteString(strconv.Quote(pair) + ",")
	}
	b.WriteString(strconv.FormatBool(t.settings.String("default_password") != ""))
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:16])
}

func (t *table) openURL(address string, env source.Env) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fault.New(fault.Invalid, "csv: url is not an address").WithHint("write https://host/path")
	}
	if u.User != nil {
		return fault.New(fault.Invalid, "csv: url holds a user name or password").
			WithHint("take them out of the url and set username and password")
	}
	if !safe(u) {
		return fault.New(fault.Invalid, "csv: url %s: only https is allowed", shown(u)).
			WithHint("the file holds personal data, and perhaps passwords")
	}
	if t.settings.String("username") == "" && t.settings.String("password") != "" {
		return fault.New(fault.Invalid, "csv: password is set, but username is not")
	}
	u.Fragment = ""
	t.url = u
	guard := env.Guard
	if env.Declared {
		guard = nil
	}
	if guard != nil {
		if err := guard.Check(u); err != nil {
			return fault.New(fault.KindOf(err), "csv: url: %w", err).WithHint("%s", fault.HintOf(err))
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := t.settings.String("tls.ca_file"); file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(env.Dir, file)
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return fault.New(fault.Invalid, "csv: tls.ca_file: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return fault.New(fault.Invalid, "csv: tls.ca_file %s: no certificate in it", file).WithHint("the file must be PEM")
		}
		config.RootCAs = pool
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	if guard != nil {
		rest.Guarded(transport, guard, u.Scheme != "https")
	}
	t.client = &http.Client{
		Transport:     &authorise{t: t, base: transport},
		CheckRedirect: checkRedirect,
	}
	return nil
}

// safe reports https, or http to this machine.
func safe(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// shown is an address without what may be secret in it.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

var (
	errRedirect  = errors.New("the server sends us on to an address that is not https")
	errRedirects = errors.New("the server sends us on more than five times")
)

func checkRedirect(req *http.Request, via []*http.Request) error {
	if !safe(req.URL) || req.URL.Scheme != "https" && via[0].URL.Scheme == "https" {
		return errRedirect
	}
	if len(via) > 5 { // as many as requests were made before this one
		return errRedirects
	}
	return nil
}

// authorise adds the credentials, to the configured server alone, and takes out
// the address a redirect came from.
type authorise struct {
	t    *table
	base http.RoundTripper
}

func (a *authorise) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Referer")
	req.Header.Del("Authorization")
	if user := a.t.settings.String("username"); user != "" && req.URL.Scheme == a.t.url.Scheme && req.URL.Host == a.t.url.Host {
		req.SetBasicAuth(user, a.t.settings.String("password"))
	}
	return a.base.RoundTrip(req)
}

func (a *authorise) CloseIdleConnections() {
	if c, ok := a.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// refusedAdvice says what to do about a server that does not let us in. One that we
// were sent on to was not given the password: trying others there helps nobody.
func (t *table) refusedAdvice(res *http.Response) string {
	if res.Request != nil && (res.Request.URL.Scheme != t.url.Scheme || res.Request.URL.Host != t.url.Host) {
		return "the url leads on to " + res.Request.URL.Host + ", which is not given username and password: set url to the address at which the file is in the end"
	}
	return "check username and password"
}

// get asks for the file. The caller closes the answer's body.
func (t *table) get(ctx context.Context, from remoteState) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url.String(), nil)
	if err != nil {
		return nil, fault.New(fault.Invalid, "csv: url is not an address")
	}
	req.Header.Set("User-Agent", "rollcall")
	req.Header.Set("Accept", "text/csv, text/plain;q=0.9, */*;q=0.1")
	if from.ETag != "" {
		req.Header.Set("If-None-Match", from.ETag)
	}
	if from.LastModified != "" {
		req.Header.Set("If-Modified-Since", from.LastModified)
	}
	res, err := t.client.Do(req)
	if err != nil {
		return nil, t.unreachable(ctx, err)
	}
	if err := t.status(res, from.ETag != "" || from.LastModified != ""); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

func (t *table) status(res *http.Response, conditional bool) error {
	switch code := res.StatusCode; {
	case code == http.StatusNotModified && conditional:
		return errUnmodified
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fault.New(fault.Denied, "csv: fetch %s: the server answers %d", t.where(), code).
			WithHint("%s", t.refusedAdvice(res))
	case code == http.StatusNotFound, code == http.StatusGone:
		return fault.New(fault.NotFound, "csv: fetch %s: the server answers %d", t.where(), code).
			WithHint("check the url")
	case code != http.StatusOK:
		return fault.New(fault.Unavailable, "csv: fetch %s: the server answers %d", t.where(), code).
			WithHint("%s", advice(code))
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind == "text/html" {
		return fault.New(fault.Invalid, "csv: fetch %s: the answer is a web page", t.where()).
			WithHint("it may be a sign-in page: the url must give the file itself")
	}
	if res.ContentLength > t.settings.Size("max_size") {
		return t.tooLarge()
	}
	return nil
}

// advice says what to do about an answer that is no file.
func advice(code int) string {
	switch {
	case code == http.StatusNoContent, code == http.StatusResetContent:
		return "there is nothing at this address: is the file made, and is the url its own?"
	case code == http.StatusPartialContent:
		return "we asked for the whole file and were given a part: look for a cache or proxy before the server that remembers parts"
	case code == http.StatusNotModified:
		return "we did not ask whether the file has changed: look for a cache or proxy before the server that answers for it"
	case code == http.StatusProxyAuthRequired:
		return "the proxy wants a user name and password: give them in HTTPS_PROXY"
	case code == http.StatusTooManyRequests:
		return "the server is asked too often: read the file more rarely"
	case code >= 500:
		return "the server has trouble of its own: its log says which; the next reading tries again"
	}
	return "check the url: fetch it with curl, say, and see what the server wants"
}

// unreachable makes a fault of a transport error, without the address the
// library puts into it.
func (t *table) unreachable(ctx context.Context, err error) error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(context.Cause(ctx), errTimeout) {
		return fault.New(fault.Unavailable, "csv: fetch %s: no complete answer within %s", t.where(), t.settings.Duration("timeout")).
			WithHint("if the server is that slow, raise timeout")
	}
	if fault.KindOf(err) == fault.Denied {
		return fault.New(fault.Denied, "csv: fetch %s: %w", t.where(), err).
			WithHint("a table inside the network is named in rollcall.yaml, or its network in `webhooks.allow_private`")
	}
	f := fault.New(fault.Unavailable, "csv: fetch %s: %w", t.where(), err)
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dial *net.OpError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return f.WithHint("the server hung up before the end: its log may say why; the next reading tries again")
	case errors.Is(err, errRedirect), errors.Is(err, errRedirects):
		return f.WithHint("set url to the https address at which the file is in the end")
	case errors.As(err, &unknown):
		return f.WithHint("set tls.ca_file to the certificate of the authority that signed the server's")
	case errors.As(err, &name):
		return f.WithHint("the url must use a name that stands in the certificate")
	case errors.As(err, &dial):
		return f.WithHint("is the server up, and does a firewall let us through?")
	}
	return f
}

var errTimeout = errors.New("csv: time limit")

func (t *table) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, t.settings.Duration("timeout"), errTimeout)
}

// fetchHead gives the first bytes of the file and hangs up.
func (t *table) fetchHead(ctx context.Context) ([]byte, error) {
	ctx, cancel := t.limit(ctx)
	defer cancel()
	res, err := t.get(ctx, remoteState{})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(res.Body, headSize))
	if err != nil {
		return nil, t.unreachable(ctx, err)
	}
	return b, nil
}

// fetch downloads the file into a temporary one, or gives errUnmodified.
func (t *table) fetch(ctx context.Context, from source.Cursor) (*copyOf, error) {
	ctx, cancel := t.limit(ctx)
	defer cancel()
	state := remoteState{}
	if len(from) > 0 && (json.Unmarshal(from, &state) != nil || state.Basis != t.basis()) {
		state = remoteState{} // a bookmark of other settings: read everything
	}
	res, err := t.get(ctx, state)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	f, err := os.CreateTemp("", "rollcall-csv-*")
	if err != nil {
		return nil, fault.New(fault.Internal, "csv: make a temporary file: %w", err)
	}
	c := &copyOf{File: f, temp: true, state: remoteState{
		ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified"), Basis: t.basis(),
	}}
	if err := t.download(ctx, c, res.Body); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func (t *table) download(ctx context.Context, c *copyOf, body io.Reader) error {
	limit := t.settings.Size("max_size")
	n, err := io.Copy(c.File, io.LimitReader(body, limit+1))
	if err == nil && ctx.Err() != nil {
		// We hang up when the time is over or the run is cancelled, and a server
		// that notices may end its answer properly before the line is down: such
		// an end is not the file's.
		err = ctx.Err()
	}
	if err != nil {
		var disk *os.PathError
		if errors.As(err, &disk) {
			return fault.New(fault.Internal, "csv: write a temporary file: %w", err)
		}
		if t.url == nil {
			return fault.New(fault.Internal, "csv: read %s: %w", t.where(), err)
		}
		return t.unreachable(ctx, err)
	}
	if n > limit {
		return t.tooLarge()
	}
	if _, err := c.Seek(0, io.SeekStart); err != nil {
		return fault.New(fault.Internal, "csv: %w", err)
	}
	if c.info, err = c.Stat(); err != nil {
		return fault.New(fault.Internal, "csv: %w", err)
	}
	return nil
}

// port is the address to dial.
func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return net.JoinHostPort(u.Hostname(), p)
	}
	return net.JoinHostPort(u.Hostname(), map[string]string{"https": "443", "http": "80"}[u.Scheme])
}
