package ldap

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/fault"
)

// Sign-ins share connections: the account that reads is signed in on those of one
// pool for good, those of the other serve one bind after the other. What is idle is
// looked at before it is used, and let go of after a while.

const (
	// idleFor is how long a connection waits for its next use, and mostAge how long
	// it is used: then it is opened anew, maybe to a server that has come back.
	idleFor = time.Minute
	mostAge = 10 * time.Minute
)

var errClosed = fault.New(fault.Unavailable, "ldap: sign somebody in: the connection's settings have changed meanwhile").WithHint("Try again.")

// seat is a connection of a pool. While it is lent the context of who has it
// ends it.
type seat struct {
	*conn
	root  *rootDSE // of those of the account that reads
	fresh bool     // opened for its present use
	born  time.Time
	since time.Time // when it became idle
}

// lend binds the connection to the context of its next user.
func (s *seat) lend(ctx context.Context) {
	s.ctx = ctx
	n := s.net
	s.unhook = context.AfterFunc(ctx, func() { _ = n.Close() })
}

// pool is the connections of one use to the servers of one directory.
type pool struct {
	open    func(ctx context.Context, srv server) (*seat, error)
	servers *roll
	slots   chan struct{} // one for each connection that is lent
	now     func() time.Time

	mu     sync.Mutex
	idle   []*seat // who was used last comes last
	sweeps *time.Timer
	closed bool
}

func newPool(most int, servers *roll, now func() time.Time, open func(ctx context.Context, srv server) (*seat, error)) *pool {
	return &pool{open: open, servers: servers, slots: make(chan struct{}, most), now: now}
}

// take lends a connection to the first server that can be reached, to at if it is
// well. anew asks for one that was not used before.
func (p *pool) take(ctx context.Context, at *server, anew bool) (*seat, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "ldap: all %d connections for this are in use: %w", cap(p.slots), context.Cause(ctx)).
			WithHint("The directory is slow, or very many people sign in at once.")
	}
	s, err := p.find(ctx, at, anew)
	if err != nil {
		<-p.slots
		return nil, err
	}
	s.lend(ctx)
	return s, nil
}

func (p *pool) find(ctx context.Context, at *server, anew bool) (*seat, error) {
	if p.over() {
		return nil, errClosed
	}
	servers, failed := p.servers.order(ctx, at)
	for i, srv := range servers {
		if s := p.waiting(srv, anew); s != nil {
			return s, nil
		}
		s, err := p.dial(ctx, srv, len(servers)-i)
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil || !tryNext(err) {
			return nil, err
		}
		failed = append(failed, err)
	}
	return nil, none(failed)
}

func (p *pool) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// dial opens a connection. A server that does not answer must leave some of the
// time to those after it.
func (p *pool) dial(ctx context.Context, srv server, left int) (*seat, error) {
	if until, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(until)/time.Duration(left))
		defer cancel()
	}
	s, err := p.open(ctx, srv)
	if err != nil {
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			p.servers.failed(srv)
		}
		return nil, err
	}
	if !s.unhook() {
		s.drop()
		return nil, context.Cause(ctx)
	}
	s.fresh, s.born = true, p.now()
	return s, nil
}

// waiting gives an idle connection to a server that is still good.
func (p *pool) waiting(srv server, anew bool) *seat {
	if anew {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		s := p.idle[i]
		if s.srv != srv {
			continue
		}
		p.idle = slices.Delete(p.idle, i, i+1)
		if p.good(s) {
			s.fresh = false
			return s
		}
		s.close()
	}
	return nil
}

// good is true of an idle connection on which nothing has come: there is nothing
// it could be but its end.
func (p *pool) good(s *seat) bool {
	now := p.now()
	return now.Sub(s.since) < idleFor && now.Sub(s.born) < mostAge && s.in.r == s.in.w && quiet(s.raw())
}

// give takes a connection back, to be used again if it is well.
func (p *pool) give(s *seat, well bool) {
	defer func() { <-p.slots }()
	if !s.unhook() || !well || s.stale {
		s.drop()
		return
	}
	s.since = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		s.drop()
		return
	}
	p.idle = append(p.idle, s)
	if p.sweeps == nil {
		p.sweeps = time.AfterFunc(idleFor, p.sweep)
	}
}

// sweep ends what has been idle for too long or has been ended by the server, and
// comes again as long as anything is idle.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(s *seat) bool {
		if p.good(s) {
			return false
		}
		s.close()
		return true
	})
	p.sweeps = nil
	if len(p.idle) > 0 {
		p.sweeps = time.AfterFunc(idleFor, p.sweep)
	}
}

// close ends what is idle, and what is lent when it comes back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sweeps != nil {
		p.sweeps.Stop()
	}
	for _, s := range p.idle {
		s.close()
	}
	p.idle = nil
}

// roll is the order in which the servers of a directory are tried. One that failed
// comes last for a while.
type roll struct {
	set *settings
	now func() time.Time

	mu     sync.Mutex
	listed []server // with those the DNS named
	asked  time.Time
	bad    map[server]time.Time // until when
}

const (
	badFor    = 30 * time.Second
	listedFor = time.Minute
)

// order gives the servers, first at if it is well, and what went wrong with
// domains that could not be looked up.
func (r *roll) order(ctx context.Context, at *server) ([]server, []error) {
	all, failed := r.list(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	rank := func(s server) int {
		switch {
		case now.Before(r.bad[s]):
			return 2
		case at != nil && s == *at:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b server) int { return rank(a) - rank(b) })
	return all, failed
}

// list gives all servers, as the DNS named them not long ago.
func (r *roll) list(ctx context.Context) ([]server, []error) {
	r.mu.Lock()
	if r.listed != nil && r.now().Sub(r.asked) < listedFor {
		defer r.mu.Unlock()
		return slices.Clone(r.listed), nil
	}
	r.mu.Unlock()
	all, failed := r.set.addresses(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(failed) > 0 && len(r.listed) > 0 {
		return slices.Clone(r.listed), nil // a name server may be away for a while
	}
	if len(failed) == 0 {
		r.listed, r.asked = all, r.now()
	}
	return slices.Clone(all), failed
}

// alone is true where there is no other server to try.
func (r *roll) alone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.listed) < 2
}

func (r *roll) failed(srv server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad[srv] = r.now().Add(badFor)
}
