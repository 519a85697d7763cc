// Package oidc is the OpenID Connect provider: it hands who is signed in (package
// store/logins) on to the applications that are registered (package store/clients),
// by authorization codes, and tells them more when they ask with the tokens they
// got for one. It is small on purpose: one flow, one way to answer, no consent,
// since all clients belong to who runs the installation. Its pages are the way to
// sign out and a few sentences for what went wrong; people sign in on pages of
// their own, which it sends them to.
//
// The sentences "Core", "RFC 6749" and so on name where a rule comes from: OpenID
// Connect Core 1.0, The OAuth 2.0 Authorization Framework.
package oidc

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rates"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/grants"
	"rollcall.dev/rollcall/internal/store/logins"
	"rollcall.dev/rollcall/internal/store/signing"
)

// Ring seals what is sent around and comes back; seal.Ring is one.
type Ring interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Deps is what the provider works with.
type Deps struct {
	Issuer   string // the public address, letter by letter
	Logins   *logins.Logins
	Clients  *clients.Clients
	Grants   *grants.Grants
	Keys     *signing.Keys
	Accounts *accounts.Accounts
	Ring     Ring
	// Connection gives the organization of a connection, or a fault.NotFound.
	Connection func(ctx context.Context, alias string) (organization string, err error)
	// SignedOut ends the login of a token and tells of it; nil ends it only.
	SignedOut func(ctx context.Context, token string) error
	// TrustedProxies are those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
	Now            func() time.Time // time.Now unless set
}

// Provider answers everything below /oauth2/, and the two well-known addresses.
type Provider struct {
	Deps
	base   string // the issuer as addresses begin with it
	secure bool
	cookie string
	failed rates.Names
	mux    *http.ServeMux
}

// Paths are the patterns to mount the provider at.
var Paths = []string{"/oauth2/", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}

// How much is read of a request. Browsers send no longer addresses anyway.
const (
	longestQuery = 16 << 10
	longestBody  = 64 << 10
)

// New makes a provider.
func New(d Deps) *Provider {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{Deps: d, base: strings.TrimSuffix(d.Issuer, "/"), secure: strings.HasPrefix(d.Issuer, "https://"), cookie: "rollcall-login", mux: http.NewServeMux()}
	if p.secure {
		p.cookie = "__Host-" + p.cookie
	}
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /.well-known/openid-configuration":           p.shared("GET", p.discovery),
		"OPTIONS /.well-known/openid-configuration":       p.shared("GET", nil),
		"GET /.well-known/oauth-authorization-server":     p.shared("GET", p.discovery),
		"OPTIONS /.well-known/oauth-authorization-server": p.shared("GET", nil),
		"GET /oauth2/jwks":                                p.shared("GET", p.jwks),
		"OPTIONS /oauth2/jwks":                            p.shared("GET", nil),
		"GET /oauth2/authorize":                           p.authorize,
		"POST /oauth2/authorize":                          p.authorize,
		"GET /oauth2/continue":                            p.proceed,
		"POST /oauth2/token":                              p.shared("POST", p.token),
		"OPTIONS /oauth2/token":                           p.shared("POST", nil),
		"GET /oauth2/userinfo":                            p.shared("GET, POST", p.userinfo),
		"POST /oauth2/userinfo":                           p.shared("GET, POST", p.userinfo),
		"OPTIONS /oauth2/userinfo":                        p.shared("GET, POST", nil),
		"POST /oauth2/revoke":                             p.shared("POST", p.revoke),
		"OPTIONS /oauth2/revoke":                          p.shared("POST", nil),
		"POST /oauth2/introspect":                         p.introspect,
		"GET /oauth2/logout":                              p.logout,
		"POST /oauth2/logout":                             p.logout,
		"POST /oauth2/logout/agree":                       p.agree,
		"/oauth2/": func(w http.ResponseWriter, r *http.Request) {
			p.fail(w, r, fault.New(fault.NotFound, "there is no such page"))
		},
	} {
		p.mux.HandleFunc(pattern, handle)
	}
	return p
}

// ServeHTTP answers.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // Core, section 3.1.3.3
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer") // addresses hold codes
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	if p.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	if len(r.URL.RawQuery) > longestQuery {
		p.fail(w, r, fault.New(fault.Invalid, "the address is too long"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, longestBody)
	p.mux.ServeHTTP(w, r)
}

// shared lets the pages of public clients ask from their own origin (CORS), and
// nobody else. No cookie ever counts there, so none may be sent.
func (p *Provider) shared(methods string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" && len(origin) < 300 {
			known, err := p.Clients.Asks(r.Context(), origin)
			if err != nil {
				p.Log.Error("an origin could not be looked up", "error", err.Error())
			}
			if known {
				h.Set("Access-Control-Allow-Origin", origin)
				h.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
				if r.Method == http.MethodOptions {
					h.Set("Access-Control-Allow-Methods", methods)
					h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept")
					h.Set("Access-Control-Max-Age", "600")
				}
			}
		}
		if next == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next(w, r)
	}
}

func (p *Provider) json(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) //nolint:errcheck // whoever has gone away is told nothing
}

// values are the parameters of a request, each once (RFC 6749, section 3.1: "MUST
// NOT be included more than once").
type values map[string]string

func single(from map[string][]string) (values, string) {
	out := values{}
	for name, list := range from {
		if len(list) > 1 {
			return nil, name
		}
		if list[0] != "" { // "Parameters sent without a value MUST be treated as if they were omitted"
			out[name] = list[0]
		}
	}
	return out, ""
}
