// Package simulator is an LDAP server whose directory lives in memory and which
// behaves as one server or another does, down to their quirks and, on demand,
// their failures. It hands what no server at hand shows to tests, rehearsals and
// the demonstration.
//
//	s, err := simulator.Start(simulator.Options{Personality: &simulator.ActiveDirectory{Suffix: "DC=sunfix,DC=com"}})
//	…
//	s.Tree.Add("CN=Anna Ames,CN=Users,DC=sunfix,DC=com", "objectClass", "user", "mail", "anna@sunfix.com")
//
// It keeps passwords in clear text and is for made-up people only.
package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/simulator/tree"
)

// Options of a server.
type Options struct {
	// Personality is what it behaves as: *ActiveDirectory, *Domino, *OpenLDAP or *DS389.
	Personality Personality
	// Tree is the directory it serves; nil makes a new one that suits the
	// personality. Several servers may serve one tree of their kind.
	Tree *tree.Tree
	// Now dates changes, and Seed decides UUIDs, of a new tree. Nil is time.Now.
	Now  func() time.Time
	Seed uint64
	// Addr is where it listens, 127.0.0.1:0 where empty; TLSAddr is the same for LDAPS.
	Addr, TLSAddr string
	// TLS holds the certificate for StartTLS and LDAPS; nil does without both.
	TLS *tls.Config
	// Hook is asked about each request before it is answered; nil changes nothing.
	Hook Hook
}

// Personality is a kind of server.
type Personality interface {
	newTree(now func() time.Time, seed uint64) (*tree.Tree, error)
	begin(s *Server) role
}

// Server is a running server.
type Server struct {
	URL    string // ldap://127.0.0.1:port
	TLSURL string // ldaps://127.0.0.1:port, or "" without a certificate
	Tree   *tree.Tree

	o        Options
	role     role
	all      sync.WaitGroup
	asked    atomic.Int64
	mu       sync.Mutex
	closed   bool
	doors    []net.Listener
	conns    map[*conn]struct{}
	accepted int
	hook     Hook
}

// Start brings a server up. It answers when Start returns, until Close.
func Start(o Options) (*Server, error) {
	if o.Personality == nil {
		return nil, fault.New(fault.Invalid, "simulator: start: no personality is given")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.TLSAddr == "" {
		o.TLSAddr = "127.0.0.1:0"
	}
	s := &Server{Tree: o.Tree, o: o, conns: map[*conn]struct{}{}, hook: o.Hook}
	if s.Tree == nil {
		t, err := o.Personality.newTree(o.Now, o.Seed)
		if err != nil {
			return nil, fault.New(fault.Internal, "simulator: make the first entries: %w", err)
		}
		s.Tree = t
	}
	s.role = o.Personality.begin(s)
	plain, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "simulator: listen on %s: %w", o.Addr, err).WithHint("Choose another address, or port 0 for a free one.")
	}
	s.doors, s.URL = append(s.doors, plain), "ldap://"+plain.Addr().String()
	if o.TLS != nil {
		secure, err := net.Listen("tcp", o.TLSAddr)
		if err != nil {
			return nil, errors.Join(fault.New(fault.Unavailable, "simulator: listen on %s: %w", o.TLSAddr, err), plain.Close())
		}
		s.doors, s.TLSURL = append(s.doors, secure), "ldaps://"+secure.Addr().String()
	}
	for i, door := range s.doors {
		s.all.Go(func() { s.accept(door, i > 0) })
	}
	return s, nil
}

// Addr is the server's address without TLS, host:port.
func (s *Server) Addr() string { return s.doors[0].Addr().String() }

// SetHook puts another hook in place, for requests from now on.
func (s *Server) SetHook(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = h
}

// Close ends the server and all its connections, and returns when nothing of it
// runs any more.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var failed error
	for _, door := range s.doors {
		failed = errors.Join(failed, door.Close())
	}
	s.doors = s.doors[:1]
	for c := range s.conns {
		c.drop(false)
	}
	s.mu.Unlock()
	s.all.Wait()
	if errors.Is(failed, net.ErrClosed) {
		return nil
	}
	return failed
}

// Disconnect ends all connections; new ones are taken.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.drop(false)
	}
}

// Forget makes the server lose what it remembers of changes: OpenLDAP's session
// log, as by a restart, and 389 DS's changelog.
func (s *Server) Forget() { s.role.forget() }

func (s *Server) accept(door net.Listener, secure bool) {
	for {
		n, err := door.Accept()
		if err != nil {
			return // closed
		}
		c := newConn(s, n)
		if !s.enter(c) {
			c.drop(false)
			return
		}
		s.all.Go(func() {
			defer s.leave(c)
			if secure && c.encrypt() != nil {
				return
			}
			c.serve()
		})
	}
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.accepted++
	c.number = s.accepted
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) leave(c *conn) {
	c.drop(false)
	c.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) twist(ctx context.Context, call *Call) *Twist {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook == nil {
		return &Twist{}
	}
	call.Done = ctx.Done()
	if t := hook(call); t != nil {
		return t
	}
	return &Twist{}
}
