package simulator

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"rollcall.dev/rollcall/internal/simulator/wire"
)

// conn is one client's connection. Searches run beside one another; everything
// else is done in turn.
type conn struct {
	s      *Server
	raw    net.Conn
	number int
	secure bool
	ctx    context.Context // ends with the connection
	end    context.CancelFunc

	write sync.Mutex
	out   *bufio.Writer
	dead  bool

	running sync.WaitGroup
	mu      sync.Mutex
	ops     map[int64]context.CancelFunc
	dn      string // who is signed in, "" for nobody
	key     string
	net     net.Conn // raw, or TLS over it
	pages   pages
}

var errCut = errors.New("the connection has ended")

func newConn(s *Server, n net.Conn) *conn {
	c := &conn{s: s, raw: n, net: n, out: bufio.NewWriterSize(n, 32<<10), ops: map[int64]context.CancelFunc{}}
	c.ctx, c.end = context.WithCancel(context.Background())
	return c
}

// encrypt puts TLS on the connection.
func (c *conn) encrypt() error {
	t := tls.Server(c.raw, c.s.o.TLS)
	if err := t.HandshakeContext(c.ctx); err != nil {
		return err
	}
	c.mu.Lock()
	c.net, c.secure = t, true
	c.mu.Unlock()
	c.out.Reset(t)
	return nil
}

// drop ends the connection, by RST if reset.
func (c *conn) drop(reset bool) {
	if tcp, ok := c.raw.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) //nolint:errcheck // without it the connection ends otherwise
	}
	c.end()
	_ = c.raw.Close() //nolint:errcheck // it is over in any case
}

// who is signed in: the DN and its key.
func (c *conn) who() (dn, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dn, c.key
}

func (c *conn) signIn(dn, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dn, c.key = dn, key
}

func (c *conn) serve() {
	for {
		r, err := wire.Read(c.net)
		if errors.Is(err, wire.ErrNotLDAP) {
			_ = c.send(wire.Goodbye(wire.Result{Code: wire.ProtocolError, Text: err.Error()}), true) //nolint:errcheck // the connection ends anyhow
		}
		if err != nil {
			return
		}
		dn, _ := c.who()
		call := &Call{Conn: c.number, Number: c.s.asked.Add(1), DN: dn, Request: r}
		switch op := r.Op.(type) {
		case *wire.Unbind:
			c.s.twist(c.ctx, call)
			return
		case *wire.Abandon:
			c.s.twist(c.ctx, call)
			c.cancel(op.ID)
		case *wire.Search:
			c.start(call, op)
		default:
			if _, isBind := r.Op.(*wire.Bind); isBind {
				c.quiet()
			}
			if c.answer(call) != nil {
				return
			}
		}
	}
}

// start answers a search beside what else is asked.
func (c *conn) start(call *Call, q *wire.Search) {
	ctx, cancel := context.WithCancel(c.ctx)
	id := call.Request.ID
	c.mu.Lock()
	c.ops[id] = cancel
	c.mu.Unlock()
	c.running.Go(func() {
		defer c.forget(id)
		defer cancel()
		a := &answer{c: c, ctx: ctx, id: id, op: q}
		a.twist = c.s.twist(ctx, call)
		s := &search{answer: a, q: q, r: call.Request}
		result := s.run()
		if ctx.Err() != nil {
			return
		}
		_ = a.finish(result) //nolint:errcheck // the client has gone
	})
}

func (c *conn) cancel(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel, ok := c.ops[id]; ok {
		cancel()
		delete(c.ops, id)
	}
}

func (c *conn) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ops, id)
}

// quiet ends every search that is under way: who signs in anew starts afresh
// (RFC 4513, 4).
func (c *conn) quiet() {
	c.mu.Lock()
	for id, cancel := range c.ops {
		cancel()
		delete(c.ops, id)
	}
	c.mu.Unlock()
	c.running.Wait()
}

// answer does everything that is no search.
func (c *conn) answer(call *Call) error {
	r := call.Request
	a := &answer{c: c, ctx: c.ctx, id: r.ID, op: r.Op, twist: c.s.twist(c.ctx, call)}
	if a.twist.Instead != nil && a.twist.Deed != Stop {
		return a.finish(*a.twist.Instead)
	}
	if oid := c.unknownControl(r); oid != "" {
		return a.finish(wire.Result{Code: wire.UnavailableCritical, Text: "critical control " + oid + " is not available"})
	}
	switch op := r.Op.(type) {
	case *wire.Bind:
		c.signIn("", "")
		return a.finish(c.s.role.bind(c, op))
	case *wire.Extended:
		return c.extended(a, op)
	default:
		return a.finish(c.s.role.edit(c, r))
	}
}

// unknownControl gives the OID of a critical control that is not known here.
func (c *conn) unknownControl(r *wire.Request) string {
	for _, control := range r.Controls {
		if control.Critical && !c.s.role.knows(control.OID, r.Op) {
			return control.OID
		}
	}
	return ""
}

func (c *conn) extended(a *answer, op *wire.Extended) error {
	if op.OID != wire.OIDStartTLS || c.s.o.TLS == nil {
		return a.finish(c.s.role.extended(c, op))
	}
	if c.secure {
		return a.finish(wire.Result{Code: wire.OperationsError, Text: "TLS is there already"})
	}
	if err := a.finish(wire.Result{OID: wire.OIDStartTLS}); err != nil {
		return err
	}
	return c.encrypt()
}

// send writes a message, and all that waits if flush.
func (c *conn) send(frame []byte, flush bool) error {
	c.write.Lock()
	defer c.write.Unlock()
	if c.dead || c.ctx.Err() != nil {
		return errCut
	}
	if _, err := c.out.Write(frame); err != nil {
		return err
	}
	if flush {
		return c.out.Flush()
	}
	return nil
}

// cut ends the connection behind what was sent so far and some bytes more.
func (c *conn) cut(more []byte, reset bool) {
	_ = c.send(more, true) //nolint:errcheck // it ends now
	c.write.Lock()
	c.dead = true
	c.write.Unlock()
	c.drop(reset)
}

// answer is one request's answer on its way out, with what goes differently.
type answer struct {
	c     *conn
	ctx   context.Context
	id    int64
	op    any
	twist *Twist
	sent  int // entries
	// stopped is true when the answer has ended before its time.
	stopped bool
	bytes   int64 // written
}

// put writes a message of the answer, up to the byte where the connection ends.
func (a *answer) put(frame []byte, flush bool) error {
	if err := a.ctx.Err(); err != nil {
		return errCut
	}
	t := a.twist
	if t.CutByte > 0 && a.bytes+int64(len(frame)) >= t.CutByte {
		a.c.cut(frame[:t.CutByte-a.bytes], t.Reset)
		return errCut
	}
	a.bytes += int64(len(frame))
	return a.c.send(frame, flush)
}

// entry writes an entry, or does to it what is planned.
func (a *answer) entry(frame []byte, flush bool) error {
	a.sent++
	if a.twist.At != a.sent {
		return a.put(frame, flush)
	}
	return a.deed(frame, flush)
}

func (a *answer) deed(frame []byte, flush bool) error {
	t := a.twist
	switch t.Deed {
	case CutBefore:
		a.c.cut(nil, t.Reset)
		return errCut
	case CutAfter:
		a.c.cut(frame, t.Reset)
		return errCut
	case Drop:
		return nil
	case Repeat:
		if err := a.put(frame, flush); err != nil {
			return err
		}
	case Endless:
		for {
			if err := a.put(frame, true); err != nil {
				return err
			}
		}
	case Garbage:
		if err := a.c.send(noLDAP, true); err != nil {
			return err
		}
	case OverLong:
		if err := a.c.send(endless(a.id), true); err != nil {
			return err
		}
		<-a.ctx.Done()
		return errCut
	case Stall:
		if err := a.c.send(nil, true); err != nil {
			return err
		}
		select {
		case <-t.Until:
		case <-a.ctx.Done():
			return errCut
		}
	case Stop:
		if err := a.put(wire.Answer(a.id, a.op, *t.Instead), true); err != nil {
			return err
		}
		a.stopped = true
		return errCut
	case Goodbye:
		a.c.cut(wire.Goodbye(wire.Result{Code: wire.Unavailable, Text: "the server is shutting down"}), t.Reset)
		return errCut
	case Nothing, Silence:
	}
	return a.put(frame, flush)
}

// finish writes the final result.
func (a *answer) finish(r wire.Result) error {
	frame := wire.Answer(a.id, a.op, r)
	switch {
	case a.twist.Deed == Silence:
		if err := a.c.send(nil, true); err != nil {
			return err
		}
		<-a.ctx.Done()
		return errCut
	case a.stopped:
		return nil
	case a.twist.At == Last:
		return a.deed(frame, true)
	}
	return a.put(frame, true)
}
