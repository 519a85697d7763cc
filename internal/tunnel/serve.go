package tunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Worker is who does what a server asks an agent for. kind and settings are what the
// server sent, "" and nil where it counts on the agent's own.
type Worker interface {
	Open(kind string, settings map[string]json.RawMessage) (source.Source, error)
	// Authenticator gives one that is kept open between calls; done is called when it is
	// not needed by this one any more.
	Authenticator(kind string, settings map[string]json.RawMessage) (a source.Authenticator, done func(), err error)
}

// Link is an agent's end of its connection to one node.
type Link struct {
	Program string // what the server calls itself

	mux     *yamux.Session
	work    Worker
	lim     Limits
	ctx     context.Context
	cut     context.CancelFunc
	mu      sync.Mutex
	leaving bool
	calls   sync.WaitGroup
	slots   chan struct{}
}

// Dialled makes a link of a connection to a server, and says who we are. Serve must be
// called next, and Close at the end.
func Dialled(ctx context.Context, conn net.Conn, hello *Hello, work Worker, lim Limits) (*Link, error) {
	m, err := mux(conn, false, lim)
	if err != nil {
		return nil, err
	}
	l := &Link{mux: m, work: work, lim: lim, slots: make(chan struct{}, lim.AtOnce)}
	l.ctx, l.cut = context.WithCancel(context.WithoutCancel(ctx))
	if err := l.Hello(ctx, hello); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Hello says who we are, also once something of it has changed.
func (l *Link) Hello(ctx context.Context, hello *Hello) error {
	hello.Oldest, hello.Newest = oldest, newest
	o, err := l.ask(ctx, call{Do: callHello, Hello: hello}, nil)
	if err != nil {
		return err
	}
	if o.Welcome == nil || o.Welcome.Version < oldest || o.Welcome.Version > newest {
		return fault.New(fault.Unavailable, "the server answers in a version of the protocol that this agent does not understand").WithHint("bring both to the same release")
	}
	l.Program = tidy(o.Welcome.Program, 60)
	return nil
}

// Sync has the server make a run of the connection, and gives the run as the API does.
func (l *Link) Sync(ctx context.Context, full bool, report func(Progress)) (json.RawMessage, error) {
	o, err := l.ask(ctx, call{Do: callSync, Full: full}, report)
	if err != nil {
		return nil, err
	}
	return o.Run, nil
}

// Nodes asks how many nodes there are by now. An older server does not say: Denied.
func (l *Link) Nodes(ctx context.Context) (int, error) {
	o, err := l.ask(ctx, call{Do: callNodes}, nil)
	if err != nil {
		return 0, err
	}
	return o.Nodes, nil
}

// Done is closed once the connection has ended.
func (l *Link) Done() <-chan struct{} { return l.ctx.Done() }

// ask is a call to the server.
func (l *Link) ask(ctx context.Context, c call, report func(Progress)) (*outcome, error) {
	stream, err := l.mux.OpenStream()
	if err != nil {
		return nil, lost(err)
	}
	defer stream.Close()                                                               //nolint:errcheck // nothing follows
	defer context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it is open
	r, w := newReader(stream, l.lim), newWriter(stream)
	if err := w.say(frameCall, c); err != nil {
		return nil, lost(err)
	}
	for {
		_ = stream.SetReadDeadline(time.Now().Add(l.lim.Silence)) //nolint:errcheck // it is open
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		what, body, err := r.next()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, lost(err)
		}
		switch what {
		case frameProgress:
			var p Progress
			if report != nil && json.Unmarshal(body, &p) == nil {
				report(p)
			}
		case frameFail:
			return nil, failed(body)
		case frameDone:
			var o outcome
			if err := json.Unmarshal(body, &o); err != nil {
				return nil, errFrame
			}
			return &o, nil
		case frameAlive, frameTaken:
		default:
			return nil, errFrame
		}
	}
}

func lost(err error) error {
	return fault.New(fault.Unavailable, "the server went: %w", err).WithHint("the agent connects again by itself")
}

// Serve does what the server asks for until the connection ends.
func (l *Link) Serve() error {
	for {
		stream, err := l.mux.AcceptStream()
		if err != nil {
			l.cut()
			l.calls.Wait()
			return lost(err)
		}
		select {
		case l.slots <- struct{}{}:
		default:
			_ = stream.Close() //nolint:errcheck // more than we do at the same time: the server sees that it is not taken up
			continue
		}
		if !l.begin() {
			<-l.slots
			_ = stream.Close() //nolint:errcheck // as above
			continue
		}
		go func() {
			defer l.calls.Done()
			defer func() { <-l.slots }()
			l.handle(stream)
		}()
	}
}

func (l *Link) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving {
		return false
	}
	l.calls.Add(1)
	return true
}

// Leave takes up no more calls, and returns when those that go on have ended, or ctx has.
func (l *Link) Leave(ctx context.Context) {
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	if _, err := l.ask(ctx, call{Do: callLeave}, nil); err != nil {
		return // the server is gone, and with it whoever waits for an answer
	}
	ended := make(chan struct{})
	go func() {
		l.calls.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// Close ends the connection and whatever goes on.
func (l *Link) Close() {
	l.cut()
	_ = l.mux.Close() //nolint:errcheck // it is over either way
}

// job is one call that is worked on.
type job struct {
	ctx     context.Context
	stop    context.CancelFunc
	r       *reader
	answers chan said
	sent    int // records

	mu   sync.Mutex // of w
	w    *writer
	told time.Time // when progress was last told
}

type said struct {
	what frame
	body []byte
}

func (j *job) say(what frame, v any) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.w.say(what, v)
}

func (j *job) record(r *directory.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent++
	return j.w.record(r)
}

func (l *Link) handle(stream *yamux.Stream) {
	defer stream.Close()                                      //nolint:errcheck // nothing follows
	_ = stream.SetReadDeadline(time.Now().Add(l.lim.Silence)) //nolint:errcheck // it is open
	j := &job{r: newReader(stream, l.lim), w: newWriter(stream), answers: make(chan said)}
	what, body, err := j.r.next()
	var c call
	if err != nil || what != frameCall || json.Unmarshal(body, &c) != nil {
		return
	}
	clear(body)                             // it may hold a password
	_ = stream.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	j.ctx, j.stop = context.WithCancel(l.ctx)
	defer j.stop()
	defer context.AfterFunc(j.ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })() //nolint:errcheck // whoever waits for it stops
	if j.say(frameTaken, struct{}{}) != nil {
		return
	}
	go j.listen()
	still := every(j.ctx, alive, func() {
		if j.say(frameAlive, struct{}{}) != nil {
			j.stop()
		}
	})
	out, err := l.do(j, &c)
	still()
	if err != nil {
		_ = j.say(frameFail, failureOf(err)) //nolint:errcheck // or nobody waits any more
		return
	}
	out.Records = j.sent
	_ = j.say(frameDone, out) //nolint:errcheck // or nobody waits any more
}

// listen hands on what the server answers. Its end of the stream is the end of the work.
func (j *job) listen() {
	defer j.stop()
	for {
		what, body, err := j.r.next()
		if err == nil && what == frameAlive {
			continue
		}
		if err != nil || what != frameAnswer && what != frameKeys {
			return
		}
		select {
		case j.answers <- said{what, append([]byte(nil), body...)}:
		case <-j.ctx.Done():
			return
		}
	}
}

// do is all that a server can have an agent do.
func (l *Link) do(j *job, c *call) (out outcome, err error) {
	switch c.Do {
	case callProve, callIdentify:
		return l.prove(j, c)
	case callPreset, callCheck, callRead, callFind, callLook, callExpires, callWatch:
	default:
		return out, fault.New(fault.Denied, "an agent reads its directory and tries passwords, and does nothing else: not %q", tidy(c.Do, 40))
	}
	src, err := l.work.Open(c.Kind, c.Settings)
	if err != nil {
		return out, err
	}
	defer src.Close() //nolint:errcheck // nothing depends on it any more
	ctx := j.ctx
	switch c.Do {
	case callPreset:
		var p source.Preset
		p, err = src.Preset(ctx)
		out.Preset = &p
	case callCheck:
		src.Check(ctx, func(s source.Step) {
			if j.say(frameStep, s) != nil {
				j.stop()
			}
		})
	case callRead:
		out.Reading, err = j.read(src, c)
	case callFind:
		if f, ok := source.As[source.Finder](src); ok {
			out.Found, err = f.Find(ctx, c.Who)
			break
		}
		err = cannot("look for one entry")
	case callLook:
		if k, ok := source.As[source.Looker](src); ok {
			err = k.Look(ctx, c.Who, c.Attributes, j.record)
			break
		}
		err = cannot("read one person alone")
	case callExpires:
		if e, ok := source.As[source.Expirer](src); ok {
			out.Expires = e.Expires()
		}
	case callWatch:
		w, ok := source.As[source.Watcher](src)
		if !ok {
			return out, source.ErrNoWatch
		}
		err = w.Watch(ctx, func() {
			if j.say(frameChanged, struct{}{}) != nil {
				j.stop()
			}
		})
	}
	return out, err
}

func cannot(what string) error {
	return fault.New(fault.Invalid, "the directory that the agent reads cannot %s", what).WithHint("read all of it: run `rollcall sync` without --who")
}

func (l *Link) prove(j *job, c *call) (out outcome, err error) {
	a, done, err := l.work.Authenticator(c.Kind, c.Settings)
	if err != nil {
		return out, err
	}
	defer done()
	var p source.Proof
	if c.Do == callProve {
		if c.Who == "" || c.Password == "" { // an empty password proves nothing, and some servers take it
			return out, fault.New(fault.Invalid, "a name or a password is missing")
		}
		p, err = a.Prove(j.ctx, c.Who, c.Password, c.Attributes)
	} else {
		p, err = a.Find(j.ctx, c.Who, c.Attributes)
	}
	if err != nil {
		return out, err
	}
	if p.Record != nil {
		if err := j.record(p.Record); err != nil {
			return out, err
		}
	}
	out.Proof = &proof{Standing: p.Standing, Right: p.Right, Name: p.Name, Detail: p.Detail}
	return out, nil
}

// between is the time between two reports of how far a reading is.
const between = 200 * time.Millisecond

func (j *job) read(src source.Source, c *call) (*source.Reading, error) {
	req := source.Request{Attributes: c.Attributes, Sweep: c.Sweep, Now: c.Now, Progress: func(users, groups int) {
		if time.Since(j.told) < between {
			return
		}
		j.told = time.Now()
		if j.say(frameProgress, progress{users, groups}) != nil {
			j.stop()
		}
	}}
	emit := j.record
	if c.Changes {
		k := &memory{j: j}
		req.From, req.Known, req.Anew = c.From, k.known, k.anew
		if req.From == nil {
			req.From = source.Cursor{}
		}
		emit = k.record
	}
	r, err := src.Read(j.ctx, req, emit)
	if err == nil {
		err = j.ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// ask asks the server something back.
func (j *job) ask(a ask) (answer, error) {
	var out answer
	if err := j.say(frameAsk, a); err != nil {
		return out, lost(err)
	}
	s, err := j.hear()
	if err == nil && (s.what != frameAnswer || json.Unmarshal(s.body, &out) != nil) {
		err = errFrame
	}
	return out, err
}

func (j *job) hear() (said, error) {
	select {
	case s := <-j.answers:
		return s, nil
	case <-j.ctx.Done():
		return said{}, lost(context.Cause(j.ctx))
	}
}

// memory is what the server knows already, as far as the agent asked.
type memory struct {
	j     *job
	mu    sync.Mutex
	asked int
	all   map[directory.Digest]struct{} // nil before they came
	alone bool                          // the server answers single questions alone
	here  map[directory.Digest]bool     // what this reading said, in place of what was known: there, or gone
	// afresh is a reading that reads everything after all: nobody asks any more.
	afresh bool
}

// fewQuestions is up to how many entries the agent asks about one by one.
const fewQuestions = 64

func (m *memory) known(kind directory.Kind, id directory.ExternalID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := directory.KeyOf(kind, id)
	if there, said := m.here[key]; said {
		return there, nil
	}
	if m.all == nil && !m.alone && m.asked >= fewQuestions {
		if err := m.fetch(); err != nil {
			return false, err
		}
	}
	if m.all != nil {
		_, ok := m.all[key]
		return ok, nil
	}
	m.asked++
	a, err := m.j.ask(ask{Kind: kind, ID: id})
	return a.Yes, err
}

// fetch takes all keys from the server.
func (m *memory) fetch() error {
	a, err := m.j.ask(ask{All: true})
	if err != nil {
		return err
	}
	if !a.Yes {
		m.alone = true
		return nil
	}
	m.all = map[directory.Digest]struct{}{}
	for {
		s, err := m.j.hear()
		if err != nil {
			return err
		}
		if s.what != frameKeys || len(s.body)%len(directory.Digest{}) != 0 || len(m.all) > 2*DefaultLimits().Records {
			return fmt.Errorf("%w: it lists what is known", errFrame)
		}
		if len(s.body) == 0 {
			return nil
		}
		for b := s.body; len(b) > 0; b = b[len(directory.Digest{}):] {
			m.all[directory.Digest(b[:len(directory.Digest{})])] = struct{}{}
		}
	}
}

func (m *memory) anew() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.here, m.afresh = nil, true
	_, err := m.j.ask(ask{Anew: true})
	return err
}

func (m *memory) record(r *directory.Record) error {
	m.mu.Lock()
	if r.ID != "" && !r.Present && !m.afresh {
		if m.here == nil {
			m.here = map[directory.Digest]bool{}
		}
		m.here[directory.KeyOf(r.Kind, r.ID)] = !r.Gone
	}
	m.mu.Unlock()
	return m.j.record(r)
}
