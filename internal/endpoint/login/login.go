// Package login is the pages at which people sign in. It hands a login on to the
// browser, in a cookie, and sends whoever came from an application back to it.
//
// The pages are plain forms: no script, nothing inline, nothing from elsewhere.
package login

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/store/logins"
)

// SignIn tries passwords; signin.Service is one.
type SignIn interface {
	Authenticate(ctx context.Context, a signin.Attempt) (*signin.Result, error)
	Change(ctx context.Context, a signin.Attempt, fresh string) (*signin.Result, error)
	Place(ctx context.Context, alias, organization string) (*signin.Place, error)
	Places(ctx context.Context, organization string) ([]signin.Place, error)
	ByDomain(ctx context.Context, domain string) ([]signin.Place, error)
	ByLink(ctx context.Context, token string) (*account.Account, error)
	UseLink(ctx context.Context, token, fresh string) (*account.Account, error)
	SignedOut(ctx context.Context, token string) error
	Begin(ctx context.Context, a signin.Attempt, fresh bool) (address string, state []byte, err error)
	Finish(ctx context.Context, a signin.Attempt, answer map[string][]string, state []byte) (*signin.Result, error)
}

// Deps is what the pages work with.
type Deps struct {
	SignIn SignIn
	Logins *logins.Logins
	// Ring seals the forms; seal.Ring.
	Ring interface {
		Fingerprint(purpose, text string) (string, error)
		Seal(purpose string, plain []byte) ([]byte, error)
		Open(purpose string, sealed []byte) ([]byte, error)
	}
	PublicURL      string
	TrustedProxies []netip.Prefix
	// About gives the name of the application that a path of ours leads back to, ""
	// where it is not known. May be nil.
	About func(next string) (application string)
	// Leads gives the origin that such a path leads on to, or "": browsers hold the
	// redirects after a form against form-action too. May be nil.
	Leads    func(next string) (origin string)
	Settings func() setting.SignIn
	Log      *slog.Logger
	Now      func() time.Time // time.Now unless set
}

// Prefix is where the pages are mounted.
const Prefix = "/login"

//go:embed pages assets
var files embed.FS

type pages struct {
	Deps
	secure bool
	cross  *http.CrossOriginProtection
	tree   map[string]*template.Template
	mux    *http.ServeMux
}

// New makes the handler for everything below Prefix.
func New(d Deps) (http.Handler, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Settings == nil {
		d.Settings = setting.DefaultSignIn
	}
	p := &pages{Deps: d, secure: strings.HasPrefix(d.PublicURL, "https://"), cross: http.NewCrossOriginProtection(), tree: map[string]*template.Template{}, mux: http.NewServeMux()}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/layout.html") {
			continue
		}
		t, err := template.New("").ParseFS(files, "pages/layout.html", name)
		if err != nil {
			return nil, err
		}
		p.tree[strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".html")] = t
	}
	for pattern, h := range map[string]func(*ask) error{
		"GET /login":                   p.find,
		"POST /login":                  p.found,
		"GET /login/{alias}":           p.form,
		"POST /login/{alias}":          p.signIn,
		"GET /login/provider/{alias}":  p.begin,
		"GET /login/callback/{alias}":  p.finish,
		"GET /login/done":              p.done,
		"POST /login/signout":          p.signOut,
		"GET /login/password/{token}":  p.link,
		"POST /login/password/{token}": p.useLink,
	} {
		p.mux.HandleFunc(pattern, p.handle(h))
	}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, err
	}
	p.mux.Handle("GET /login/assets/", http.StripPrefix("/login/assets/", http.FileServerFS(assets)))
	p.mux.HandleFunc("/", p.handle(func(*ask) error { return errNoPage() }))
	return p, nil
}

// policy lets a page load its looks from here, and nothing else from anywhere.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.URL.Path, "/login/assets/") {
		h.Set("Cache-Control", "max-age=3600")
	}
	if p.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	p.mux.ServeHTTP(w, r)
}

// largestForm bounds what a form may send.
const largestForm = 16 << 10

// handle is the way of every request.
func (p *pages) handle(fn func(*ask) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := &ask{w: w, r: r, p: p}
		defer func() {
			if e := recover(); e != nil {
				if e == http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
					panic(e)
				}
				p.Log.Error("a page panicked", "route", r.Pattern, "panic", fmt.Sprint(e), "stack", string(debug.Stack()))
				q.fail(errInside())
			}
		}()
		if r.Method == http.MethodPost {
			r.Body = http.MaxBytesReader(w, r.Body, largestForm)
			if err := p.meant(q); err != nil {
				q.fail(err)
				return
			}
		}
		if err := fn(q); err != nil {
			q.fail(err)
		}
	}
}
