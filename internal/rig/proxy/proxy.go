// Package proxy stands on loopback between a client and a server, counts what
// goes through and breaks it by plan, at one byte of one direction of one
// connection. It hands connections as bad as networks make them to tests.
package proxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// Direction of bytes.
type Direction uint8

// The directions.
const (
	ToClient Direction = iota
	ToServer
)

// Fault is what happens to a connection.
type Fault uint8

// The faults.
const (
	None    Fault = iota
	Cut           // both sides see the end, as after a close
	Reset         // both sides see a reset
	HalfCut       // this direction ends, the other goes on
	Stall         // nothing goes on in this direction before Until is closed
	Trickle       // Count bytes at a time from here on, one portion for each value of Ticks
	Swallow       // Count bytes are missing, the rest goes on
	Flip          // the bits of Mask are turned in Count bytes
)

// Faults are all but None.
var Faults = []Fault{Cut, Reset, HalfCut, Stall, Trickle, Swallow, Flip}

func (f Fault) String() string {
	return [...]string{"none", "cut", "reset", "half cut", "stall", "trickle", "swallow", "flip"}[f]
}

// Plan is what happens to one connection, once. The zero value is nothing.
type Plan struct {
	Fault     Fault
	Direction Direction
	// At is the byte, counted from 0, before which everything goes through untouched.
	At    int64
	Count int64           // of Trickle, Swallow and Flip; 0 is 1
	Mask  byte            // of Flip; 0 is all bits
	Until <-chan struct{} // of Stall; nil is until the connection ends
	Ticks <-chan struct{} // of Trickle; nil is as fast as it can be
	// Struck is called when the byte is reached and the fault begins; may be nil.
	Struck func()
}

func (p Plan) String() string {
	side := map[Direction]string{ToClient: "to the client", ToServer: "to the server"}[p.Direction]
	return fmt.Sprintf("%s at byte %d %s (count %d, mask %02x)", p.Fault, p.At, side, p.Count, p.Mask)
}

// Count is what went through one connection so far, in bytes.
type Count struct{ ToClient, ToServer int64 }

// Random plans a fault at a random byte of what went through an undisturbed
// connection; the same seed gives the same. Stall and Trickle have no channels.
func Random(seed uint64, of Count, faults ...Fault) Plan {
	rng := rand.New(rand.NewPCG(seed, 0x70))
	p := Plan{Fault: faults[rng.IntN(len(faults))], Count: 1 + rng.Int64N(16), Mask: 1 << rng.IntN(8)}
	at := rng.Int64N(max(1, of.ToClient+of.ToServer))
	if p.At = at; at >= of.ToClient {
		p.Direction, p.At = ToServer, at-of.ToClient
	}
	return p
}

// Proxy is a running proxy.
type Proxy struct {
	Addr string // 127.0.0.1:port

	door   net.Listener
	all    sync.WaitGroup
	mu     sync.Mutex
	to     []string // servers
	turn   int
	plan   func(conn int) Plan
	links  []*link // since the last SetPlan
	open   map[*link]struct{}
	closed bool
}

// link is one connection through the proxy.
type link struct {
	client, server *net.TCPConn
	passed         [2]atomic.Int64
	seen           int64 // bytes, at the last CutIdle
	once           sync.Once
	gone           chan struct{}
}

// Start starts a proxy to a server (host:port). plan gives what happens to the
// n-th connection, counted from 1; nil lets all go through.
func Start(target string, plan func(conn int) Plan) (*Proxy, error) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: listen: %w", err)
	}
	p := &Proxy{Addr: door.Addr().String(), to: []string{target}, door: door, plan: plan, open: map[*link]struct{}{}}
	p.all.Go(p.accept)
	return p, nil
}

// SetPlan puts another plan in place; connections are counted from 1 again, and
// those that are open keep theirs.
func (p *Proxy) SetPlan(plan func(conn int) Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.links = plan, nil
}

// SetServers makes it a balancer: each connection goes to the next of the servers that
// answers. Those that are open stay where they are.
func (p *Proxy) SetServers(to ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

func (p *Proxy) dial() (conn net.Conn, err error) {
	err = errors.New("proxy: no server")
	p.mu.Lock()
	to, turn := p.to, p.turn
	p.turn++
	p.mu.Unlock()
	for i := range to {
		if conn, err = net.Dial("tcp", to[(turn+i)%len(to)]); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Counts gives what went through each connection since the last SetPlan.
func (p *Proxy) Counts() []Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Count, len(p.links))
	for i, l := range p.links {
		out[i] = Count{l.passed[ToClient].Load(), l.passed[ToServer].Load()}
	}
	return out
}

// CutIdle ends the connections through which nothing went since it was last called, as
// proxies and firewalls do, and gives how many those were.
func (p *Proxy) CutIdle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.open {
		if all := l.passed[ToClient].Load() + l.passed[ToServer].Load(); all != l.seen {
			l.seen = all
			continue
		}
		l.end(false)
		n++
	}
	return n
}

// Close ends the proxy with all its connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for l := range p.open {
		l.end(false)
	}
	p.mu.Unlock()
	err := p.door.Close()
	p.all.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.door.Accept()
		if err != nil {
			return // closed
		}
		server, err := p.dial()
		if err != nil {
			_ = client.Close() // the server is not there, and that is all there is to say
			continue
		}
		l := &link{client: client.(*net.TCPConn), server: server.(*net.TCPConn), gone: make(chan struct{})}
		p.mu.Lock()
		p.links = append(p.links, l)
		p.open[l] = struct{}{}
		plan := Plan{}
		if p.plan != nil {
			plan = p.plan(len(p.links))
		}
		closed := p.closed
		p.mu.Unlock()
		if closed {
			l.end(false)
		}
		p.all.Go(func() { p.carry(l, plan) })
	}
}

// carry passes bytes in both directions until both have ended.
func (p *Proxy) carry(l *link, plan Plan) {
	defer func() {
		l.end(false)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, l)
	}()
	var both sync.WaitGroup
	both.Go(func() { l.pass(ToClient, l.client, l.server, plan) })
	both.Go(func() { l.pass(ToServer, l.server, l.client, plan) })
	both.Wait()
}

// end ends both sides, by RST if reset.
func (l *link) end(reset bool) {
	l.once.Do(func() {
		close(l.gone)
		for _, c := range []*net.TCPConn{l.client, l.server} {
			if reset {
				_ = c.SetLinger(0) // without it the end is another one
			}
			_ = c.Close() // nothing follows
		}
	})
}

var errPlanned = errors.New("planned")

// pass copies one direction.
func (l *link) pass(d Direction, to, from *net.TCPConn, plan Plan) {
	if plan.Direction != d {
		plan = Plan{}
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && l.write(d, to, buf[:n], &plan) != nil {
			return
		}
		if errors.Is(err, io.EOF) {
			_ = to.CloseWrite() // its reader has gone, or sees the end
			return
		}
		if err != nil {
			l.end(false)
			return
		}
	}
}

// write passes bytes on; what is planned happens when its byte is reached.
func (l *link) write(d Direction, to *net.TCPConn, b []byte, plan *Plan) error {
	before := int64(len(b))
	if plan.Fault != None {
		before = plan.At - l.passed[d].Load()
	}
	if before >= int64(len(b)) {
		return l.put(d, to, b)
	}
	if before > 0 {
		if err := l.put(d, to, b[:before]); err != nil {
			return err
		}
		b = b[before:]
	}
	if plan.Struck != nil {
		plan.Struck()
		plan.Struck = nil
	}
	count := max(plan.Count, 1)
	switch plan.Fault {
	case Cut, Reset:
		l.end(plan.Fault == Reset)
		return errPlanned
	case HalfCut:
		_ = to.CloseWrite() // or it has gone already
		return errPlanned
	case Stall:
		select {
		case <-plan.Until:
		case <-l.gone:
			return errPlanned
		}
		plan.Fault = None
	case Trickle:
		return l.trickle(d, to, b, plan)
	case Swallow:
		n := min(count, int64(len(b)))
		b = b[n:]
		l.passed[d].Add(n) // they count as passed: places in the stream stay what they were
		l.next(plan, n, count)
	case Flip:
		n := min(count, int64(len(b)))
		mask := plan.Mask
		if mask == 0 {
			mask = 0xff
		}
		for i := range n {
			b[i] ^= mask
		}
		err := l.put(d, to, b[:n])
		l.next(plan, n, count)
		if err != nil {
			return err
		}
		b = b[n:]
	case None:
	}
	if len(b) == 0 {
		return nil
	}
	return l.write(d, to, b, plan)
}

// next moves a plan that takes several bytes behind the first n of them.
func (l *link) next(plan *Plan, n, count int64) {
	plan.At += n
	if plan.Count = count - n; plan.Count == 0 {
		plan.Fault = None
	}
}

func (l *link) trickle(d Direction, to *net.TCPConn, b []byte, plan *Plan) error {
	for len(b) > 0 {
		if plan.Ticks != nil {
			select {
			case <-plan.Ticks:
			case <-l.gone:
				return errPlanned
			}
		}
		n := min(max(plan.Count, 1), int64(len(b)))
		if err := l.put(d, to, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (l *link) put(d Direction, to *net.TCPConn, b []byte) error {
	// Counted first: who has a byte finds it counted.
	l.passed[d].Add(int64(len(b)))
	_, err := to.Write(b)
	if err != nil {
		l.end(false)
	}
	return err
}
