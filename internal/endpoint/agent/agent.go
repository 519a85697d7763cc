// Package agent is where agents in customers' networks connect: it lets in those with
// a good secret, hands their connections on to the tunnel's hub, notes that they are
// there, and cuts those off whose secret is good no more.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rates"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/agents"
	"rollcall.dev/rollcall/internal/tunnel"
)

// Deps are what the endpoint works with.
type Deps struct {
	Hub            *tunnel.Hub
	Agents         *agents.Agents
	Node           string // of this process
	TrustedProxies []netip.Prefix
	Log            *slog.Logger
}

// Endpoint is an http.Handler, and a part that runs beside the requests.
type Endpoint struct {
	Deps
	strangers rates.Names // by address, those with a wrong secret

	mu       sync.Mutex
	here     map[*visit]struct{}
	draining bool
	ended    sync.WaitGroup
}

// visit is one agent that is connected.
type visit struct {
	agent     *agents.Agent
	session   *tunnel.Session
	address   string
	latency   atomic.Int64
	reporting sync.Mutex
}

// New makes the endpoint.
func New(d Deps) *Endpoint { return &Endpoint{Deps: d, here: map[*visit]struct{}{}} }

// often is how often an address may come with a wrong secret.
var often = rates.Limit{PerSecond: 1, Burst: 20}

// look is how often it is looked whether those who are connected may stay.
const look = 500 * time.Millisecond

func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	address := admins.From(r, e.TrustedProxies).String()
	id, secret, given := r.BasicAuth()
	a, err := e.Agents.Authenticate(r.Context(), id, secret)
	switch {
	case err != nil && fault.KindOf(err) != fault.Denied:
		e.Log.Error("an agent could not be let in", "error", err.Error())
		http.Error(w, "the server cannot look up agents now; come again", http.StatusServiceUnavailable)
		return
	case err != nil:
		if wait := e.strangers.Take(address, 1, often, time.Now()); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
			http.Error(w, "too many wrong secrets came from this address", http.StatusTooManyRequests)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="rollcall agent"`)
		if given {
			e.Log.Warn("an agent was refused", "address", address)
		}
		http.Error(w, "client ID or secret is wrong, or was revoked", http.StatusUnauthorized)
		return
	}
	if !e.begin() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "this node is about to stop; come again", http.StatusServiceUnavailable)
		return
	}
	defer e.ended.Done()
	nodes, err := e.Hub.Nodes(r.Context())
	if err != nil || nodes < 1 {
		nodes = 1
	}
	w.Header().Set(tunnel.NodeHeader, e.Node)
	w.Header().Set(tunnel.NodesHeader, strconv.Itoa(nodes))
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{tunnel.Protocol}})
	if err != nil {
		return // it was told
	}
	if ws.Subprotocol() != tunnel.Protocol {
		_ = ws.Close(websocket.StatusPolicyViolation, "this address is for agents") //nolint:errcheck // it is over either way
		return
	}
	// Whoever connects stays beyond the request; the end of it is Close.
	ctx := context.WithoutCancel(r.Context())
	v := &visit{agent: a, address: address}
	// It is noted before it is asked for anything: what it allows counts from the first.
	v.session, err = e.Hub.Join(ctx, tunnel.Carry(ctx, ws), a.ID, a.Connection, func(h *tunnel.Hello) error { return e.report(ctx, v, h) })
	if err != nil {
		level := slog.LevelWarn
		if errors.Is(err, tunnel.ErrWent) {
			level = slog.LevelDebug
		}
		e.Log.Log(ctx, level, "an agent was let in and did not stay", "agent", a.ID, "error", err.Error())
		return
	}
	defer v.session.Close()
	hello := v.session.Hello()
	e.mu.Lock()
	e.here[v] = struct{}{}
	late := e.draining
	e.mu.Unlock()
	if late {
		v.session.Leave()
	}
	e.Log.Info("an agent is connected", "agent", a.ID, "connection", a.Connection, "address", address, "version", hello.Program)
	e.stay(ctx, v)
}

func (e *Endpoint) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return false
	}
	e.ended.Add(1)
	return true
}

// stay reports an agent for as long as it is connected.
func (e *Endpoint) stay(ctx context.Context, v *visit) {
	beat := time.NewTicker(agents.BeatEvery)
	defer beat.Stop()
	for {
		select {
		case <-v.session.Done():
			e.leave(ctx, v)
			return
		case <-beat.C:
			if took, err := v.session.Ping(); err == nil {
				hello := v.session.Hello()
				v.latency.Store(int64(took))
				if err := e.report(ctx, v, &hello); err != nil {
					e.Log.Warn("that an agent is connected could not be noted", "agent", v.agent.ID, "error", err.Error())
				}
			}
		}
	}
}

// leave notes that an agent has gone, unless it is connected here once more.
func (e *Endpoint) leave(ctx context.Context, v *visit) {
	e.mu.Lock()
	delete(e.here, v)
	still := false
	for o := range e.here {
		still = still || o.agent.ID == v.agent.ID
	}
	e.mu.Unlock()
	e.Log.Info("an agent has gone", "agent", v.agent.ID, "connection", v.agent.Connection)
	if still {
		return
	}
	if err := e.Agents.Gone(ctx, v.agent.ID, e.Node); err != nil {
		e.Log.Warn("that an agent has gone is known once nothing is heard of it", "agent", v.agent.ID, "error", err.Error())
	}
}

// report notes that an agent is here, and what it said of itself.
func (e *Endpoint) report(ctx context.Context, v *visit, hello *tunnel.Hello) error {
	v.reporting.Lock()
	defer v.reporting.Unlock()
	policy := hello.Policy
	if policy == nil {
		policy = &setting.Policy{} // a file that forbids nothing
	}
	p := agents.Presence{Node: e.Node, Address: v.address, Version: hello.Program, Latency: time.Duration(v.latency.Load())}
	return e.Agents.Report(ctx, v.agent.ID, p, hello.Kind, policy)
}

// Run cuts off those whose secret was revoked or replaced, until ctx ends.
func (e *Endpoint) Run(ctx context.Context) {
	tick, sweep := time.NewTicker(look), time.NewTicker(agents.Silence)
	defer tick.Stop()
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err = e.cut(ctx)
		case <-sweep.C:
			err = e.Agents.Sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.Log.Warn("agents: the table could not be read", "error", err.Error())
		}
	}
}

func (e *Endpoint) cut(ctx context.Context) error {
	e.mu.Lock()
	var list []*visit
	var tickets []agents.Ticket
	for v := range e.here {
		list, tickets = append(list, v), append(tickets, v.agent.Ticket())
	}
	e.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	good, err := e.Agents.Good(ctx, tickets...)
	if err != nil {
		return err
	}
	for i, v := range list {
		if !good[tickets[i]] {
			e.Log.Warn("an agent was cut off: its secret was revoked or replaced", "agent", v.agent.ID)
			go v.session.Close()
		}
	}
	return nil
}

// Drain takes up nothing new, and cuts agents off once what goes on through them has
// ended, or ctx has. They connect to another node, or to this one once it is back.
func (e *Endpoint) Drain(ctx context.Context) error {
	e.mu.Lock()
	e.draining = true
	list := make([]*visit, 0, len(e.here))
	for v := range e.here {
		list = append(list, v)
	}
	e.mu.Unlock()
	var all sync.WaitGroup
	for _, v := range list {
		v.session.Leave()
		all.Go(func() {
			v.session.Quiet(ctx)
			v.session.Close()
		})
	}
	all.Wait()
	done := make(chan struct{})
	go func() {
		e.ended.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("agents: %w", context.Cause(ctx))
	}
}
