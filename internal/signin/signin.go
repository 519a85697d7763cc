// Package signin lets people in: by the password of their directory or, where the
// directory has none to ask, by the one kept here. It hands the account of who is
// there on to the pages at which people sign in and to the API, or the reason why
// there is none, and decides what of it whoever asks may learn.
//
// One attempt goes this way, and stops at the first thing that stands in it:
//
//	shape -> connection -> limits -> password (directory or kept here) -> account -> event
package signin

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/tries"
)

// What strangers may type, in bytes.
const (
	longestLogin    = 320
	longestPassword = 1024
)

// Attempt is one try to sign in.
type Attempt struct {
	Connection string // its alias; account.Local for accounts that no connection keeps
	// Organization is whose person it must be, "" for any. For account.Local it has to
	// be said where there are several.
	Organization string
	Login        string
	Password     string
	From         netip.Addr // the person's; invalid where it is not known
	Agent        string     // the browser's name of itself
	Via          string     // "page" or "api"
}

// Reason says why somebody is not let in, in the words of the API.
type Reason string

// The reasons.
const (
	InvalidCredentials Reason = "invalid_credentials"
	Disabled           Reason = "disabled"
	Expired            Reason = "expired"
	Locked             Reason = "locked"
	MustChangePassword Reason = "must_change_password"
	NotInScope         Reason = "not_in_scope"
	LicenceFull        Reason = "licence_full"
)

// Result is what became of an attempt: one of Account, Reason, Wait and Unavailable
// is set.
type Result struct {
	Account      *account.Account
	Organization string
	Connection   string
	Reason       Reason
	// Exact is the reason in more words than the API has, such as "ended".
	Exact string
	// Shown says that the person may be told the reason: their password was right, so
	// it tells nobody else anything.
	Shown bool
	// Own says that the password that has to be changed is kept here, and that Change
	// does it.
	Own  bool
	hash string // that the password fitted, where it is kept here
	// Wait is how long to wait where there were too many tries.
	Wait time.Duration
	// Unavailable says that the directory could not be asked. Nobody's password is
	// wrong.
	Unavailable bool
	// AuthAt is when somebody proved who they are to the provider that vouches for
	// them; zero where it does not say.
	AuthAt time.Time
}

// Door makes accounts of those whom a directory vouches for; engine.Door is one.
type Door interface {
	Attributes() []string
	Admit(ctx context.Context, r *directory.Record, actor string) (engine.Admission, error)
}

// Connections knows their settings; registry.Registry is one.
type Connections interface {
	// Connection gives one ready to be opened, or a fault.NotFound.
	Connection(ctx context.Context, alias string) (setting.Connection, error)
	// Each hands on those of an organization ("" for all).
	Each(ctx context.Context, organization string, fn func(setting.Connection) error) error
}

// Ring gives keyed digests; seal.Ring is one.
type Ring interface {
	Fingerprint(purpose, text string) (string, error)
}

// Options are what a Service works with.
type Options struct {
	Store       *store.Store
	Connections Connections
	Kinds       func(name string) (source.Kind, bool)
	// Remotes finds the agents a connection is asked through, and Settled gives it as it
	// is in force; Engine's. nil where there are no agents.
	Remotes source.Remotes
	Settled func(ctx context.Context, c setting.Connection) (setting.Connection, error)
	// Env is what an authenticator may know of its surroundings.
	Env source.Env
	// Open opens a connection's door; Engine.Door.
	Open func(ctx context.Context, c setting.Connection) (Door, error)
	Ring Ring
	// PublicURL is the address people reach us under; links begin with it.
	PublicURL string
	// Dial connects to companies' own providers, and refuses what must not be reached.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Settings are those in force; setting.DefaultSignIn unless set.
	Settings func() setting.SignIn
	Log      *slog.Logger
	// Told is told of every attempt's outcome ("signed_in", a reason, "limited",
	// "unavailable") and how long it took. May be nil.
	Told func(via, outcome string, took time.Duration)

	Now func() time.Time // time.Now unless set
	// Sleep waits so long, or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration)
	// Verify and Hash are seal's unless set.
	Verify func(ctx context.Context, plain, hash string) (bool, error)
	Hash   func(ctx context.Context, plain string) (string, error)
}

// Service lets people in. It is safe for concurrent use.
type Service struct {
	Options
	tries  tries.Table
	places tries.Places
	queue  queue

	mu      sync.Mutex
	doors   map[string]*door  // by alias
	parties map[string]*known // too

	looking sync.Mutex
	domains *domains
}

// New makes a Service.
func New(o Options) *Service {
	o = withDefaults(o)
	return &Service{Options: o, tries: tries.Table{DB: o.Store.DB, Name: "login_tries"}, places: tries.Places{DB: o.Store.DB, Name: "login_places"},
		queue: queue{by: map[string]*line{}}, doors: map[string]*door{}, parties: map[string]*known{}}
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Authenticate tries to let somebody in. A fault.NotFound says that there is no such
// connection, or that nobody signs in through it; aliases are no secret, they stand
// in addresses. Every answer that the login or the password was wrong takes equally
// long, whether there is such a person or not.
func (s *Service) Authenticate(ctx context.Context, a Attempt) (*Result, error) {
	// Who goes away in the middle has been answered by the directory all the same: it
	// counts, and is told of.
	ctx = context.WithoutCancel(ctx)
	began := s.Now()
	out, err := s.authenticate(ctx, a)
	if err == nil && out.Reason != "" && !out.Shown {
		s.even(ctx, began)
	}
	if s.Told != nil && (err == nil || fault.KindOf(err) != fault.NotFound) {
		s.Told(a.Via, outcome(out, err), s.Now().Sub(began))
	}
	return out, err
}

func outcome(r *Result, err error) string {
	switch {
	case err != nil:
		return "error"
	case r.Unavailable:
		return "unavailable"
	case r.Wait > 0:
		return "limited"
	case r.Reason != "":
		return string(r.Reason)
	}
	return "signed_in"
}

// quantum is what answers to a wrong login or password take a multiple of. It is
// longer than the difference between a search alone and a search with a bind.
const quantum = 250 * time.Millisecond

// even waits until the next multiple of the quantum.
func (s *Service) even(ctx context.Context, began time.Time) {
	took := max(0, s.Now().Sub(began))
	s.Sleep(ctx, took.Truncate(quantum)+quantum-took)
}

func sane(text string, most int) bool {
	return text != "" && len(text) <= most && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func (s *Service) authenticate(ctx context.Context, a Attempt) (*Result, error) {
	p, err := s.place(ctx, a)
	if err != nil {
		return nil, err
	}
	if p.provider != nil {
		return nil, errElsewhere(p.alias)
	}
	out := &Result{Organization: p.organization, Connection: p.alias}
	// What could be nobody's is not counted for anybody, and no server is asked.
	if a.Login = strings.TrimSpace(a.Login); !sane(a.Login, longestLogin) || !sane(a.Password, longestPassword) {
		out.Reason = InvalidCredentials
		return out, nil
	}
	t, err := s.try(ctx, p, a)
	if err != nil {
		return nil, err
	}
	// One after the other: right passwords at the same moment do not count as guesses.
	leave, ok := s.queue.enter(t.counters[0].ID)
	if !ok {
		out.Wait = time.Second
		return out, nil
	}
	defer leave()
	if err := s.tries.Begin(ctx, t.counters, s.now()); err != nil {
		if wait, limited := tries.Waits(err); limited {
			out.Wait = max(wait, time.Second)
			return out, nil
		}
		return nil, err
	}
	v, err := p.ask(ctx, s, t)
	if err != nil {
		if gerr := s.giveBack(ctx, t); gerr != nil {
			return nil, gerr
		}
		if fault.KindOf(err) == fault.Unavailable {
			s.Log.Warn("the directory could not be asked about a sign-in", "connection", p.alias, "error", err.Error())
			out.Unavailable = true
			return out, nil
		}
		return nil, err
	}
	return s.settle(ctx, p, t, v, out)
}

// verdict is what is known after the password was tried.
type verdict struct {
	account *account.Account // nil where there is none, or nobody knows whose it would be
	reason  Reason           // "" lets in
	right   bool             // the password is the person's
	exact   string           // for events: more words than the API has
	detail  string           // for whoever supports people
	entry   string           // the name of the directory's entry
	run     string
	own     bool // see Result.Own
	hash    string
}

// settle writes down what came of it.
func (s *Service) settle(ctx context.Context, p *place, t *try, v *verdict, out *Result) (*Result, error) {
	out.hash = v.hash
	if v.reason != "" {
		out.Reason, out.Exact, out.Shown, out.Own = v.reason, v.exact, v.right && p.reasons, v.own
		if v.right {
			if err := s.giveBack(ctx, t); err != nil {
				return nil, err
			}
		}
		if v.own {
			return out, nil // nothing failed: they choose a password now, and come in
		}
		return out, s.failed(ctx, p, t, v)
	}
	if err := s.signedIn(ctx, p, t, v); err != nil {
		return nil, err
	}
	out.Account = v.account
	return out, nil
}
