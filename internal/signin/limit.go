package signin

import (
	"context"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/tries"
)

const (
	knownFor  = 90 * 24 * time.Hour // a place is, after the last sign-in from it
	forget    = 24 * time.Hour      // tries are forgotten so long after the last
	tellEvery = time.Minute
)

// try is an attempt with what it is counted for.
type try struct {
	Attempt
	account     *account.Account // whom the login names among the accounts there are; nil for nobody, or for several
	several     bool
	changeFirst bool // see setting.ConnectionSignIn
	// counters begin with those of the person, own in number; then comes that of the
	// network.
	counters []tries.Counter
	own      int
	place    string // where the person sits; "" where it is not known
}

// key is what tries at a login are counted under: what stands before the last @ and
// behind the last \, in one case. Names and addresses of one person mostly have that
// in common, and it tells nobody whether there is such a person.
func key(login string) string {
	login = account.Fold(login)
	if i := strings.LastIndexByte(login, '\\'); i >= 0 && i < len(login)-1 {
		login = login[i+1:]
	}
	if i := strings.LastIndexByte(login, '@'); i > 0 {
		login = login[:i]
	}
	return login
}

// try says what an attempt is counted for: the login and, where there is an account,
// that, whatever it is called by; and the network address. Where the person signed
// in from this network before, it is counted for the two together instead: a
// stranger can keep a name waiting, but not whoever sits where they always sit.
func (s *Service) try(ctx context.Context, p *place, a Attempt) (*try, error) {
	t := &try{Attempt: a, changeFirst: p.changeFirst}
	found, err := s.Store.AccountTable.ByLogin(ctx, p.organization, p.alias, a.Login)
	if err != nil {
		return nil, err
	}
	if t.several = len(found) > 1; len(found) == 1 {
		t.account = found[0]
	}
	where, network, who := p.organization+"\x00"+p.alias, tries.Network(a.From), key(a.Login)
	if network != "" {
		if t.place, err = s.Ring.Fingerprint("sign-in place", where+"\x00"+who+"\x00"+network); err != nil {
			return nil, err
		}
		known, err := s.places.Knows(ctx, t.place, s.now().Add(-knownFor))
		if err != nil {
			return nil, err
		}
		if known {
			return t, s.count(t, s.personal(), "place\x00"+t.place)
		}
	}
	of := []string{"login\x00" + where + "\x00" + who}
	if t.account != nil {
		of = append(of, "account\x00"+t.account.ID.String())
	}
	if err := s.count(t, s.personal(), of...); err != nil || network == "" {
		return t, err
	}
	o := s.Settings()
	own := t.own
	err = s.count(t, tries.Rule{Free: o.AddressTries, First: 5 * time.Second, Longest: 15 * time.Minute, Forget: forget, Each: time.Minute}, "network\x00"+network)
	t.own = own
	return t, err
}

func (s *Service) personal() tries.Rule {
	o := s.Settings()
	return tries.Rule{Free: o.Tries, First: o.FirstWait, Longest: o.LongestWait, LockAfter: o.LockAfter, LockFor: o.LockFor, Forget: max(forget, o.LockFor, o.LongestWait)}
}

func (s *Service) count(t *try, r tries.Rule, of ...string) error {
	for _, text := range of {
		id, err := s.Ring.Fingerprint("sign-in tries", text)
		if err != nil {
			return err
		}
		t.counters = append(t.counters, tries.Counter{ID: id, Rule: r})
	}
	t.own = len(t.counters)
	return nil
}

// giveBack takes a try back that says nothing of the password.
func (s *Service) giveBack(ctx context.Context, t *try) error {
	return s.Store.DB.Write(ctx, func(tx *db.Tx) error { return s.tries.GiveBack(ctx, tx, t.counters, s.now()) })
}

// queue lets the attempts at one login on this node be made one after the other: an
// application may send the same right password several times at one moment, and
// each is counted as if it were wrong until it is known to be right.
type queue struct {
	mu sync.Mutex
	by map[string]*line
}

type line struct {
	turn    chan struct{}
	waiting int
}

// longestLine is how many wait for their turn; whoever comes then is told to wait.
const longestLine = 16

// enter waits for the turn of a login. leave must be called afterwards.
func (q *queue) enter(id string) (leave func(), ok bool) {
	q.mu.Lock()
	l := q.by[id]
	if l == nil {
		l = &line{turn: make(chan struct{}, 1)}
		q.by[id] = l
	}
	if l.waiting >= longestLine {
		q.mu.Unlock()
		return nil, false
	}
	l.waiting++
	q.mu.Unlock()
	l.turn <- struct{}{}
	return func() {
		<-l.turn
		q.mu.Lock()
		defer q.mu.Unlock()
		if l.waiting--; l.waiting == 0 {
			delete(q.by, id)
		}
	}, true
}
