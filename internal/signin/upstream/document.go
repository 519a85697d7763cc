package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"rollcall.dev/rollcall/internal/fault"
)

// What a provider says of itself is read at the first sign-in and again when it is
// an hour old. While it cannot be read, what is known is used for a day.

const (
	patience = 10 * time.Second // for each question to a provider
	most     = 1 << 20          // bytes of an answer; a long list of keys has some ten thousand

	documentFresh = time.Hour
	documentStale = 24 * time.Hour
	// documentPause is how long a provider that could not be read is left alone,
	// where something is known of it.
	documentPause = time.Minute
)

// document is what a provider says of itself, with its keys.
type document struct {
	provider *oidc.Provider
	names    bool // it puts iss into its responses
	post     bool // it takes the client's secret in the form alone
	userinfo bool
	algs     []string
}

// book keeps the newest document.
type book struct {
	turn chan struct{} // one asks, the others wait for the answer

	mu   sync.Mutex
	have *document
	at   time.Time // when it was read
	next time.Time // not to be read again before
}

func (b *book) look(now time.Time) (d *document, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.have == nil || now.Sub(b.at) > documentStale {
		return nil, false
	}
	return b.have, now.Before(b.next)
}

func (p *Party) discover(ctx context.Context) (*document, error) {
	if d, fresh := p.book.look(p.o.Now()); fresh {
		return d, nil
	}
	select {
	case p.book.turn <- struct{}{}:
		defer func() { <-p.book.turn }()
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "upstream: ask %s what it is: %w", p.o.Issuer, ctx.Err())
	}
	d, fresh := p.book.look(p.o.Now())
	if fresh {
		return d, nil
	}
	read, err := p.read(ctx)
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	now := p.o.Now()
	switch {
	case err == nil:
		p.book.have, p.book.at, p.book.next = read, now, now.Add(documentFresh)
		return read, nil
	case d != nil && fault.KindOf(err) == fault.Unavailable:
		p.book.next = now.Add(documentPause)
		return d, nil
	}
	return nil, err
}

// read asks the provider.
func (p *Party) read(ctx context.Context) (*document, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), patience)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, p.o.Issuer)
	var other *oidc.IssuerMismatchError
	switch {
	case errors.As(err, &other):
		return nil, fault.New(fault.Invalid, "upstream: ask %s what it is: it calls itself %q", p.o.Issuer, clip(other.Discovered)).
			WithHint("Set the issuer to exactly that, if it is the provider you mean; a slash at the end counts.")
	case err != nil:
		return nil, fault.New(fault.Unavailable, "upstream: ask %s what it is: %s", p.o.Issuer, clip(err.Error())).
			WithHint("Below the issuer there must be /.well-known/openid-configuration, without being sent on to another address.")
	}
	var says struct {
		Names    bool     `json:"authorization_response_iss_parameter_supported"`
		Methods  []string `json:"token_endpoint_auth_methods_supported"`
		Keys     string   `json:"jwks_uri"`
		Signings []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&says); err != nil {
		return nil, fault.New(fault.Unavailable, "upstream: ask %s what it is: %s", p.o.Issuer, clip(err.Error()))
	}
	at := provider.Endpoint()
	if err := errors.Join(checkEndpoint("authorization_endpoint", at.AuthURL, true), checkEndpoint("token_endpoint", at.TokenURL, true),
		checkEndpoint("jwks_uri", says.Keys, true), checkEndpoint("userinfo_endpoint", provider.UserInfoEndpoint(), false)); err != nil {
		return nil, fault.New(fault.Invalid, "upstream: ask %s what it is: %w", p.o.Issuer, err).WithHint("A provider's addresses must all be https.")
	}
	d := &document{provider: provider, names: says.Names, userinfo: provider.UserInfoEndpoint() != ""}
	d.post = slices.Contains(says.Methods, "client_secret_post") && !slices.Contains(says.Methods, "client_secret_basic")
	// Signatures by a key that only the provider has: neither none nor a shared secret.
	for _, a := range says.Signings {
		if slices.Contains(signings, a) {
			d.algs = append(d.algs, a)
		}
	}
	if len(d.algs) == 0 {
		d.algs = []string{oidc.RS256}
	}
	return d, nil
}

var signings = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// config is what the OAuth library needs. How the secret is shown is said, or the
// library would try both ways, and the code with them.
func (d *document) config(o *Options) *oauth2.Config {
	at := d.provider.Endpoint()
	at.AuthStyle = oauth2.AuthStyleInHeader
	if o.Secret == "" || d.post {
		at.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{ClientID: o.ClientID, ClientSecret: o.Secret, Endpoint: at, RedirectURL: o.Redirect, Scopes: o.Scopes}
}

// newClient makes requests that are not sent on elsewhere, and reads answers that
// are not without end.
func newClient(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if dial != nil {
		// A proxy would connect for us to where we may not.
		t.DialContext, t.Proxy = dial, nil
	}
	t.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{Transport: limited{t}, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// limited ends answers that are too long.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err == nil {
		res.Body = &limitedBody{ReadCloser: res.Body, left: most}
	}
	return res, err
}

var errTooLong = errors.New("the answer is longer than a provider's may be")

type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
