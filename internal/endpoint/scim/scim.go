// Package scim takes pushes: at /scim/v2/{alias} the clients of Microsoft Entra ID,
// Okta and others create, read, change and delete users and groups by SCIM 2.0
// (RFC 7643, RFC 7644, RFC 9865). What they send is kept as they sent it (package
// store/pushed), and a run of the connection follows within about a second, in which
// it goes the way of everything that is read.
//
// Clients differ, and each believes to be the standard: what they really send, and
// how it is understood, is in package scim. Here is what belongs to HTTP: who may,
// how often, what is answered, and the log in which an administrator sees both.
package scim

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rates"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/pushed"
	"rollcall.dev/rollcall/internal/store/pushers"
)

// Prefix is where it is mounted.
const Prefix = "/scim/v2/"

// Deps is what it works with.
type Deps struct {
	PublicURL string
	Pushed    *pushed.Pushed
	Pushers   *pushers.Pushers
	// Connection gives one with its settings; a fault.NotFound where there is none.
	Connection func(ctx context.Context, alias string) (setting.Connection, error)
	// TrustedProxies are those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
	// Observe is told of every answer: the route ("GET /scim/v2/{alias}/Users/{id}"), its
	// status and how long it took; nil tells nobody.
	Observe func(route string, status int, took time.Duration)
	Now     func() time.Time // time.Now unless set
}

// Endpoint answers everything below Prefix. Its methods may be called at the same
// time.
type Endpoint struct {
	Deps
	mux       *http.ServeMux
	known     known
	asked     rates.Names // by connection
	strangers rates.Names // by address and connection, for those without a token that is good
}

// Sizes of what is taken. A group of 100,000 members, sent whole, is about 6 MB.
const (
	longestBody  = 16 << 20
	longestQuery = 16 << 10
	mostBulk     = 1000 // operations of one bulk request
	longestBulk  = 4 << 20
	usualCount   = 100  // of a page, where the client does not say
	mostCount    = 1000 // of a page
)

// New makes an endpoint.
func New(d Deps) *Endpoint {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	e := &Endpoint{Deps: d, mux: http.NewServeMux()}
	e.known.by = map[string]*connection{}
	routes := map[string]func(*request) error{
		"GET /Schemas":               (*request).schemas,
		"GET /Schemas/{id}":          (*request).schema,
		"GET /ResourceTypes":         (*request).resourceTypes,
		"GET /ResourceTypes/{id}":    (*request).resourceType,
		"GET /ServiceProviderConfig": (*request).config,
		"POST /Bulk":                 (*request).bulk,
		"GET /{$}":                   (*request).listAll,
		"POST /.search":              (*request).searchAll,
		"/Me":                        (*request).me,
		"/Me/":                       (*request).me,
	}
	for name, t := range kinds {
		routes["GET /"+name] = func(r *request) error { return r.list(t) }
		routes["POST /"+name] = func(r *request) error { return r.create(t) }
		routes["POST /"+name+"/.search"] = func(r *request) error { return r.search(t) }
		routes["GET /"+name+"/{id}"] = func(r *request) error { return r.get(t) }
		routes["PUT /"+name+"/{id}"] = func(r *request) error { return r.replace(t) }
		routes["PATCH /"+name+"/{id}"] = func(r *request) error { return r.patch(t) }
		routes["DELETE /"+name+"/{id}"] = func(r *request) error { return r.remove(t) }
	}
	for pattern, handle := range routes {
		method, path, named := strings.Cut(pattern, " ")
		if !named {
			method, path = "", pattern
		}
		route := strings.TrimSpace(method + " " + Prefix + "{alias}" + path)
		e.mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, route, handle) })
	}
	e.mux.HandleFunc("POST "+Prefix+"{alias}/oauth/token", e.token)
	for _, one := range []string{"/Users", "/Users/{id}", "/Groups", "/Groups/{id}", "/Schemas", "/Schemas/{id}", "/ResourceTypes", "/ResourceTypes/{id}", "/ServiceProviderConfig", "/Bulk", "/.search"} {
		e.mux.HandleFunc(Prefix+"{alias}"+one, func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, "other", (*request).wrongMethod) })
	}
	e.mux.HandleFunc(Prefix+"{alias}/", func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, "other", (*request).nowhere) })
	e.mux.HandleFunc(Prefix, func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, "other", (*request).nowhere) })
	return e
}

// kinds are the types of resources by their names in addresses.
var kinds = map[string]scim.Type{"Users": scim.User, "Groups": scim.Group}

// plural is the name of a type in addresses.
func plural(t scim.Type) string { return string(t) + "s" }

// ServeHTTP answers.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if len(r.URL.RawQuery) > longestQuery {
		refuse(w, &scim.Error{Status: http.StatusRequestURITooLong, Detail: "the query is too long; POST to .search takes longer ones"})
		return
	}
	// A client may end addresses of collections in a slash, or write a double one.
	if path := r.URL.Path; len(path) > len(Prefix) && (strings.HasSuffix(path, "/") && strings.Count(path[len(Prefix):], "/") > 1 || strings.Contains(path, "//")) {
		for strings.Contains(path, "//") {
			path = strings.ReplaceAll(path, "//", "/")
		}
		u := *r.URL
		u.Path, u.RawPath = strings.TrimSuffix(path, "/"), ""
		r = r.Clone(r.Context())
		r.URL = &u
	}
	e.mux.ServeHTTP(w, r)
}

// connection is what requests to one need of its settings.
type connection struct {
	alias string
	at    time.Time
	mail  bool // userName and the work e-mail are kept equal
	limit rates.Limit
	mask  pushers.Mode // of the log
}

// known remembers connections for a moment: settings are read from the database, and
// most requests come in a row.
type known struct {
	mu sync.Mutex
	by map[string]*connection
}

// remembered is for how long. On this node a change counts at once, see Forget.
const remembered = 5 * time.Second

// mostKnown bounds what is remembered.
const mostKnown = 10_000

// Forget has a connection's settings read again.
func (e *Endpoint) Forget(alias string) {
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	delete(e.known.by, alias)
}

// connection gives the settings of one that takes pushes; nil where there is none.
func (e *Endpoint) connection(ctx context.Context, alias string) (*connection, error) {
	now := e.Now()
	e.known.mu.Lock()
	c := e.known.by[alias]
	e.known.mu.Unlock()
	if c != nil && now.Sub(c.at) < remembered {
		return c, nil
	}
	s, err := e.Deps.Connection(ctx, alias)
	if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && s.Kind != "scim" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c = &connection{alias: s.Alias, at: now, mail: s.Backend.Bool("username_is_email"), limit: rates.Limit{PerSecond: float64(s.Backend.Int("rate")), Burst: s.Backend.Int("burst")}, mask: pushers.Mode(s.Backend.String("log"))}
	e.known.mu.Lock()
	defer e.known.mu.Unlock()
	if len(e.known.by) >= mostKnown {
		clear(e.known.by)
	}
	e.known.by[alias] = c
	return c, nil
}
