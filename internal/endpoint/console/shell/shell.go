// Package shell is what all pages of the console stand in: it knows who looks,
// gives every section a client of the API that may do what they may, and puts
// what a section hands on into the one layout. Sections are packages beside it,
// a handful of routes each; none knows another.
//
// The console has no way to the database of its own. What it shows and does goes
// through the handler of the REST API, in this process, as the person who is
// signed in: roles and tenants are checked there, by what checks everybody.
package shell

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
)

// Deps is what the shell works with.
type Deps struct {
	// API answers what sections ask, and As makes a context in which it takes the
	// asker for somebody.
	API http.Handler
	As  func(ctx context.Context, me *Me) context.Context
	// Who finds who a session token belongs to; nil for nobody's.
	Who func(ctx context.Context, token string) (*Me, error)
	// Empty says that nobody was made an administrator yet.
	Empty     func(ctx context.Context) (bool, error)
	PublicURL string
	Version   string
	Log       *slog.Logger
	Now       func() time.Time
}

// Shell holds the sections.
type Shell struct {
	Deps
	api    *client.Client
	pages  map[string]*page
	assets map[string]asset
	mux    *http.ServeMux
	routes []Route
	secure bool
	cross  *http.CrossOriginProtection
}

// Need is what somebody must be to see a page. The API checks what they do there
// once more.
type Need int

// What routes need. Public ones are for people who are not signed in: they get no
// client, and their forms have no session to take a token from, only the browser's
// word that they come from here. Somebody is anybody who is signed in; Changer may change something;
// Operator is one of the installation.
const (
	Somebody Need = iota
	Public
	Changer
	Operator
)

// Route is one page or action: a pattern as net/http knows it ("GET /people/{id}").
// Handle answers through the Ask, or gives an error, which becomes a page that
// says what to do.
type Route struct {
	Pattern string
	Need    Need
	// Files says that its form may give a file.
	Files bool
	// Guest says that it is also there for who came by a set-up link; for them, other
	// pages are not.
	Guest  bool
	Handle func(*Ask) error
}

// Section is one part of the console.
type Section struct {
	Name      string // as in the navigation, and the folder of its pages
	Templates fs.FS  // its pages: NAME.html; files that begin with _ are parts of them
	Assets    fs.FS  // more files below /assets/; may be nil
	Routes    []Route
}

//go:embed templates assets
var files embed.FS

// New makes the console of its sections.
func New(d Deps, sections ...Section) (*Shell, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	s := &Shell{Deps: d, pages: map[string]*page{}, assets: map[string]asset{}, mux: http.NewServeMux(),
		secure: strings.HasPrefix(d.PublicURL, "https://"), cross: http.NewCrossOriginProtection()}
	var err error
	// The address and the key are never used: the transport hands requests on.
	s.api, err = client.New("http://localhost", "none", client.WithTries(1), client.WithAgent("console"),
		client.WithHTTP(&http.Client{Transport: inProcess{d.API}}))
	if err != nil {
		return nil, err
	}
	own, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, err
	}
	if err := s.addAssets(own); err != nil {
		return nil, err
	}
	for _, section := range sections {
		if section.Assets != nil {
			if err := s.addAssets(section.Assets); err != nil {
				return nil, err
			}
		}
	}
	if err := s.parse(sections); err != nil {
		return nil, err
	}
	for _, section := range sections {
		for _, r := range section.Routes {
			s.routes = append(s.routes, r)
			s.mux.HandleFunc(r.Pattern, s.handle(section.Name, r))
		}
	}
	s.mux.HandleFunc("GET /assets/{file}", s.serveAsset)
	s.mux.HandleFunc("/", s.handle("", Route{Need: Somebody, Handle: func(*Ask) error {
		return fault.New(fault.NotFound, "there is no such page")
	}}))
	return s, nil
}

// Routes are all pages and actions, for tests that walk them.
func (s *Shell) Routes() []Route { return s.routes }

// ServeHTTP answers.
func (s *Shell) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("Cache-Control", "no-store")
	if s.secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	s.mux.ServeHTTP(w, r)
}

// largestForm bounds what a form may send, largestFile one that gives a file.
const (
	largestForm = 1 << 20
	largestFile = 257 << 20
)

// handle is the way of every request: who asks, may they, did they mean it.
func (s *Shell) handle(section string, r Route) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		q := &Ask{W: w, R: req, shell: s, section: section}
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				s.Log.Error("a page panicked", "route", r.Pattern, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				q.fail(fault.New(fault.Internal, "something went wrong inside the server"))
			}
		}()
		if err := s.admit(q, r); err != nil {
			q.fail(err)
			return
		}
		if q.answered {
			return
		}
		if err := r.Handle(q); err != nil {
			q.fail(err)
		}
	}
}

func (s *Shell) admit(q *Ask, r Route) error {
	token := s.token(q.R)
	if token != "" {
		me, err := s.Who(q.R.Context(), token)
		if err != nil {
			return err
		}
		q.Me = me
	}
	writes := q.R.Method != http.MethodGet && q.R.Method != http.MethodHead
	if writes {
		if err := s.cross.Check(q.R); err != nil {
			return fault.New(fault.Denied, "the form was not sent from here").WithHint("open the page again and send it once more")
		}
		limit := int64(largestForm)
		if r.Files && q.Me != nil {
			limit = largestFile
		}
		q.R.Body = http.MaxBytesReader(q.W, q.R.Body, limit)
	}
	if q.Me != nil && q.Me.Connection != "" && !r.Guest {
		if r.Need != Public {
			return s.guestElsewhere(q)
		}
		q.Me = nil // at the door they are as strange as anybody
	}
	if r.Need == Public {
		q.R = q.R.WithContext(q.context())
		return nil
	}
	if q.Me == nil {
		return s.toTheDoor(q)
	}
	if writes && !q.Me.meant(q.R) {
		return fault.New(fault.Denied, "the form was not sent from this session").WithHint("open the page again and send it once more")
	}
	if r.Need == Changer && q.Me.ReadOnly {
		return fault.New(fault.Denied, "%s may only read", q.Me.Email).WithHint("ask an operator or an administrator of the organization")
	}
	if r.Need == Operator && (q.Me.Organization != "" || q.Me.ReadOnly) {
		return fault.New(fault.Denied, "this page is the operators'")
	}
	q.R = q.R.WithContext(q.context())
	return nil
}

// guestElsewhere leads who came by a set-up link from the first page to theirs;
// nothing else is there for them.
func (s *Shell) guestElsewhere(q *Ask) error {
	if q.R.Method == http.MethodGet && q.R.URL.Path == "/" {
		q.Redirect("/setup")
		return nil
	}
	return fault.New(fault.NotFound, "there is no such page").WithHint("a set-up link is for one connection")
}

// context is one in which the API knows who asks.
func (q *Ask) context() context.Context {
	if q.Me == nil {
		return q.R.Context()
	}
	q.API = q.shell.api
	return q.shell.As(q.R.Context(), q.Me)
}

// toTheDoor has somebody sign in and come back.
func (s *Shell) toTheDoor(q *Ask) error {
	empty, err := s.Empty(q.R.Context())
	if err != nil {
		return err
	}
	to := "/signin"
	if q.R.Method == http.MethodGet && q.R.URL.Path != "/" && q.R.Header.Get("Sec-Fetch-Dest") != "empty" {
		to += "?next=" + url.QueryEscape(q.R.URL.RequestURI())
	}
	if empty {
		to = "/welcome"
	}
	q.Redirect(to)
	return nil
}
