package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Agent is what is kept of one, connected or not.
type Agent struct {
	ID, Name string
	Kind     string          // as it last said; "" where it reads what the server says
	Policy   *setting.Policy // too; nil before it was first connected
	Revoked  bool
}

// Hub knows which agents are connected to this node, and asks them. Whoever accepts
// connections hands them over by Join.
type Hub struct {
	Kinds func(name string) (source.Kind, bool)
	// Agents are those of a connection, the revoked ones too.
	Agents func(ctx context.Context, connection string) ([]Agent, error)
	// Sync makes a run of a connection for an agent that asks for one. It gives the
	// run as the API does.
	Sync    func(ctx context.Context, connection, agent string, full bool, progress func(Progress)) (json.RawMessage, error)
	Program string // what the server calls itself
	// Nodes is how many nodes agents connect to. It is nil in a process that does not
	// serve, where no agent ever is.
	Nodes  func(ctx context.Context) (int, error)
	Limits Limits

	mu       sync.Mutex
	sessions map[string][]*Session // by connection, the one that joined last comes last
	met      map[string]bool       // the connections of which an agent has ever joined
	turn     int
}

// Progress is how far a run is.
type Progress struct {
	Phase string `json:"phase"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// Session is one connected agent.
type Session struct {
	ID, Connection string // of the agent

	hub     *Hub
	mux     *yamux.Session
	ctx     context.Context
	end     context.CancelFunc
	hello   atomic.Pointer[Hello]
	said    chan struct{} // closed after the first hello
	refused chan error    // why the first hello was not understood
	once    sync.Once
	told    func(*Hello) error
	suspect atomic.Bool  // it did not take up a call lately
	calls   atomic.Int32 // that the agent made
	left    bool         // under the hub's lock: it takes no new calls
	working sync.WaitGroup
}

// Hello is what the agent last said of itself.
func (s *Session) Hello() Hello { return *s.hello.Load() }

// Done is closed once the agent is not connected any more.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// Ping measures how long an answer takes. Who answers is asked in its turn again, though
// it did not take up a call lately.
func (s *Session) Ping() (time.Duration, error) {
	took, err := s.mux.Ping()
	if err == nil {
		s.suspect.Store(false)
	}
	return took, err
}

// Quiet waits until no call goes on any more, the agent has gone, or ctx ends.
func (s *Session) Quiet(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.mux.NumStreams() > 0 {
		select {
		case <-tick.C:
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// Leave takes no new calls to the agent. Those that go on may end.
func (s *Session) Leave() { s.hub.leave(s) }

// Close cuts the agent off.
func (s *Session) Close() {
	s.hub.leave(s)
	s.end()
	_ = s.mux.Close() //nolint:errcheck // it is over either way
	s.working.Wait()
}

// ErrWent is of an agent that did not stay, as one does that is connected to this node
// already: which node answers is known once it has.
var ErrWent = errors.New("the agent went before it said who it is")

// Join takes over the connection that an agent dialled, once it has said who it is and
// both understand one another. told hears what it says of itself, before it is
// asked for anything and whenever it says it anew.
func (h *Hub) Join(ctx context.Context, conn net.Conn, id, connection string, told func(*Hello) error) (*Session, error) {
	m, err := mux(conn, true, h.Limits)
	if err != nil {
		return nil, err
	}
	s := &Session{ID: id, Connection: connection, hub: h, mux: m, said: make(chan struct{}), refused: make(chan error, 1), told: told}
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.working.Go(s.accept)
	wait, cancel := context.WithTimeout(ctx, h.Limits.Silence)
	defer cancel()
	select {
	case <-s.said:
	case <-m.CloseChan():
		select {
		case err = <-s.refused:
		default:
			err = fault.New(fault.Unavailable, "%w", ErrWent)
		}
	case <-wait.Done():
		err = fault.New(fault.Unavailable, "the agent did not say who it is")
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions == nil {
		h.sessions, h.met = map[string][]*Session{}, map[string]bool{}
	}
	h.met[connection] = true
	if !s.left { // it may have gone at once
		h.sessions[connection] = append(h.sessions[connection], s)
	}
	return s, nil
}

func (h *Hub) leave(s *Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.left = true
	list := slices.DeleteFunc(slices.Clone(h.sessions[s.Connection]), func(o *Session) bool { return o == s })
	if len(list) == 0 {
		delete(h.sessions, s.Connection)
		return
	}
	h.sessions[s.Connection] = list
}

// connected are the sessions of a connection, in the order in which they are asked:
// each in its turn first, and those that did not take up a call last.
func (h *Hub) connected(connection string) []*Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.sessions[connection]
	if len(list) == 0 {
		return nil
	}
	h.turn++
	at := h.turn % len(list)
	list = append(slices.Clone(list[at:]), list[:at]...)
	slices.SortStableFunc(list, func(a, b *Session) int {
		switch x, y := a.suspect.Load(), b.suspect.Load(); {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	})
	return list
}

// mostFromAgent is how many calls an agent makes at the same time.
const mostFromAgent = 4

// accept answers what the agent asks for.
func (s *Session) accept() {
	defer s.end()
	for {
		stream, err := s.mux.AcceptStream()
		if err != nil {
			s.hub.leave(s)
			return
		}
		if s.calls.Add(1) > mostFromAgent {
			s.calls.Add(-1)
			_ = stream.Close() //nolint:errcheck // it asks for too much
			continue
		}
		s.working.Go(func() {
			defer s.calls.Add(-1)
			s.answer(stream)
		})
	}
}

// answer does what an agent may ask for, which is little.
func (s *Session) answer(stream *yamux.Stream) {
	defer stream.Close() //nolint:errcheck // nothing follows
	lim := s.hub.Limits
	_ = stream.SetDeadline(time.Now().Add(lim.Silence)) //nolint:errcheck // it is open
	r, w := newReader(stream, lim), newWriter(stream)
	what, body, err := r.next()
	var c call
	if err != nil || what != frameCall || json.Unmarshal(body, &c) != nil {
		return
	}
	var out outcome
	switch c.Do {
	case callHello:
		if out.Welcome, err = s.greet(c.Hello); err != nil {
			select {
			case s.refused <- err:
			default:
			}
		}
	case callLeave:
		s.hub.leave(s)
	case callSync:
		out.Run, err = s.sync(stream, r, w, c.Full)
	case callNodes:
		out.Nodes, err = s.hub.Nodes(s.ctx)
	default:
		err = fault.New(fault.Denied, "an agent may not ask for %q", tidy(c.Do, 40))
	}
	_ = stream.SetDeadline(time.Now().Add(lim.Silence)) //nolint:errcheck // as above
	if err != nil {
		_ = w.say(frameFail, failureOf(err)) //nolint:errcheck // or it has gone
		return
	}
	_ = w.say(frameDone, out) //nolint:errcheck // or it has gone
}

func (s *Session) greet(h *Hello) (*welcome, error) {
	if h == nil {
		return nil, errFrame
	}
	version, err := agree(h)
	if err != nil {
		return nil, err
	}
	if h.Kind != "" {
		if k, ok := s.hub.Kinds(h.Kind); !ok || !Readable(k) {
			return nil, fault.New(fault.Invalid, "the agent reads a source %q, which the server does not know", tidy(h.Kind, 40)).WithHint("update the server")
		}
	}
	h.Program, h.Basis = tidy(h.Program, 60), tidy(h.Basis, 100)
	if err := s.told(h); err != nil {
		return nil, err
	}
	s.hello.Store(h)
	s.once.Do(func() { close(s.said) })
	return &welcome{Version: version, Program: s.hub.Program}, nil
}

// Readable says that an agent can read a kind of source: those that others push to are
// read where they are kept.
func Readable(k source.Kind) bool { return !k.Pushes && k.Name != "agent" }

func (s *Session) sync(stream *yamux.Stream, r *reader, w *writer, full bool) (json.RawMessage, error) {
	if s.hub.Sync == nil {
		return nil, fault.New(fault.Unavailable, "this server makes no runs for agents")
	}
	_ = stream.SetDeadline(time.Time{}) //nolint:errcheck // a run takes as long as it takes
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() { // the end of the stream is all that may come
		if _, _, err := r.next(); err != nil && ctx.Err() == nil {
			cancel()
		}
	}()
	var mu sync.Mutex
	say := func(what frame, v any) {
		mu.Lock()
		defer mu.Unlock()
		if w.say(what, v) != nil {
			cancel()
		}
	}
	stop := every(ctx, alive, func() { say(frameAlive, nil) })
	run, err := s.hub.Sync(ctx, s.Connection, s.ID, full, func(p Progress) { say(frameProgress, p) })
	stop()
	return run, err
}

// every does something again and again until it is stopped.
func every(ctx context.Context, d time.Duration, do func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				do()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

// Remote says how a connection is read through its agents; nil where it never had one.
// Where all were revoked nothing is read: what the server finds by itself at the same
// address may be another directory, and whoever revokes an agent does not ask for that.
func (h *Hub) Remote(ctx context.Context, c setting.Connection) (*source.Remote, error) {
	all, err := h.Agents(ctx, c.Alias)
	if err != nil {
		return nil, err
	}
	agents := slices.DeleteFunc(slices.Clone(all), func(a Agent) bool { return a.Revoked })
	switch another := fmt.Sprintf("make one: rollcall agents create NAME --connection %s", c.Alias); {
	case len(agents) > 0:
	case c.Kind == agentKind:
		return nil, fault.New(fault.Unavailable, "connection %s is read by an agent, and has none", c.Alias).WithHint("%s", another)
	case len(all) > 0:
		return nil, fault.New(fault.Unavailable, "connection %s is read by agents, and all of them are revoked", c.Alias).
			WithHint("%s. Or have the server read the directory itself, by `rollcall agents forget` for each that is revoked", another)
	default:
		return nil, nil
	}
	r := &source.Remote{}
	for _, a := range agents {
		if a.Policy != nil {
			r.Policies = append(r.Policies, *a.Policy)
		}
	}
	// What the connected ones say goes before what was kept.
	kind := ""
	if list := h.connected(c.Alias); len(list) > 0 {
		hello := list[0].Hello()
		kind, r.Basis = hello.Kind, hello.Basis
		if k, ok := h.Kinds(kind); ok {
			if r.Shown, err = shown(k, hello.Shown); err != nil {
				return nil, err
			}
		}
	} else if i := slices.IndexFunc(agents, func(a Agent) bool { return a.Kind != "" }); i >= 0 {
		kind = agents[i].Kind
	}
	f := &far{hub: h, alias: c.Alias, basis: r.Basis}
	if r.Own = kind != ""; !r.Own {
		kind = c.Kind
	}
	if kind == agentKind {
		return nil, h.nobody(c.Alias, " that has a backend in its file", "write a `backend:` into the agent's adc.yaml and start it, or give the connection a source")
	}
	var ok bool
	if r.Kind, ok = h.Kinds(kind); !ok {
		return nil, fault.New(fault.Invalid, "connection %s: there is no source %q", c.Alias, kind)
	}
	if !Readable(r.Kind) {
		return nil, fault.New(fault.Invalid, "connection %s: a source %s is pushed to us, and not read by an agent", c.Alias, kind).WithHint("revoke its agents")
	}
	f.kind = r.Kind
	if !r.Own {
		f.name = kind
		if f.settings, err = encodeSettings(c.Backend); err != nil {
			return nil, err
		}
	}
	r.Open = func() (source.Source, error) { return f, nil }
	if r.Kind.Authenticator != nil {
		r.Authenticator = func() (source.Authenticator, error) { return prover{f}, nil }
	}
	return r, nil
}

// nobody says that there is no agent to ask, and what to do about it.
func (h *Hub) nobody(alias, such, hint string) error {
	if h.Nodes == nil {
		hint = "agents are connected to a server that runs, and not to this command: have the server do it, by --server URL --api-key KEY"
	}
	return fault.New(fault.Unavailable, "no agent of connection %s is connected%s", alias, such).WithHint("%s", hint)
}

// shown reads what an agent's file says of settings that the engine goes by.
func shown(k source.Kind, said map[string]json.RawMessage) (setting.Values, error) {
	all, err := DecodeSettings(k, said)
	out := setting.Values{}
	for _, name := range source.EngineOptions {
		if v, ok := all[name]; ok {
			out[name] = v
		}
	}
	return out, err
}

// agentKind is the kind of source of a connection whose settings all stand in the
// agent's file.
const agentKind = "agent"

// errNotTaken is of a call that no agent took up.
var errNotTaken = errors.New("not taken up")

// Connected is how many agents of a connection are connected to this node.
func (h *Hub) Connected(connection string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sessions[connection])
}

// Met reports that an agent of a connection has been connected to this node, or is.
func (h *Hub) Met(connection string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.met[connection]
}

// Each hands on the sessions of a connection.
func (h *Hub) Each(connection string, fn func(*Session)) {
	for _, s := range h.connected(connection) {
		fn(s)
	}
}
