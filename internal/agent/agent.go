// Package agent is the program in a customer's network: it dials the server, and hands
// on to it what the directory says, and whether a password is somebody's. It does
// nothing else, whatever a server asks; and what stands in its own file stays with it.
package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/tunnel"
)

// Options say how an agent runs.
type Options struct {
	Addr   string // of the server: host:port, spoken to by https
	Auth   string // client-id:client-secret
	Config string // the file; "" is adc.yaml, where there is one
	CAFile string // certificates to trust in place of the system's; "" is the system's
	Kinds  []source.Kind
	Lookup func(env string) (string, bool)
	Log    *slog.Logger
	// Version is what the agent calls itself.
	Version string
	// Drain is how long what goes on may take to end.
	Drain time.Duration
	// Retry and MostRetry are how long it waits before it dials again.
	Retry, MostRetry time.Duration
	// Limits are tunnel.DefaultLimits unless set.
	Limits tunnel.Limits
	// Proxy gives the way to an address; nil is what the environment says (HTTPS_PROXY,
	// NO_PROXY).
	Proxy func(*http.Request) (*url.URL, error)
}

// Agent is one that is ready to run.
type Agent struct {
	o      Options
	url    string
	header http.Header
	client *http.Client
	work   *worker

	mu    sync.Mutex
	links map[string]*tunnel.Link // by the node they lead to
	nodes int                     // how many there are
}

// New reads the file and looks at the options. It reaches nobody yet.
func New(o Options) (*Agent, error) {
	if o.Limits == (tunnel.Limits{}) {
		o.Limits = tunnel.DefaultLimits()
	}
	a := &Agent{o: o, links: map[string]*tunnel.Link{}, nodes: 1}
	var err error
	if a.url, err = address(o.Addr); err != nil {
		return nil, err
	}
	id, secret, err := Credentials(o.Auth)
	if err != nil {
		return nil, err
	}
	a.header = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}, "User-Agent": {"rollcall-agent/" + o.Version}}
	roots, err := trusted(o.CAFile)
	if err != nil {
		return nil, err
	}
	proxy := o.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	a.client = &http.Client{
		Transport: &http.Transport{Proxy: proxy, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
			TLSHandshakeTimeout: 15 * time.Second, DialContext: (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the secret goes nowhere else
	}
	a.work = &worker{o: &a.o}
	return a, a.work.load()
}

// Credentials takes client-id:client-secret apart.
func Credentials(auth string) (id, secret string, err error) {
	id, secret, _ = strings.Cut(strings.TrimSpace(auth), ":")
	if id == "" || secret == "" {
		return "", "", fault.New(fault.Invalid, "the agent needs its client ID and secret").
			WithHint("set AD_CONNECT_AUTH to client-id:client-secret, as `rollcall agents create` printed it")
	}
	return id, secret, nil
}

// Reachable looks whether an address is one that an agent dials.
func Reachable(addr string) error {
	_, err := address(addr)
	return err
}

// address makes the address that is dialled. Without TLS only this machine is spoken to.
func address(addr string) (string, error) {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "the address of the server %s", why).WithHint("set AD_CONNECT_ADDR to host:port, as in rollcall.example.org:443")
	}
	addr = strings.TrimSpace(addr)
	if addr == "" {
		return "", bad("is missing")
	}
	scheme := "wss"
	switch rest, plain := strings.CutPrefix(addr, "http://"); {
	case plain:
		scheme, addr = "ws", rest
	default:
		addr = strings.TrimPrefix(addr, "https://")
	}
	u, err := url.Parse(scheme + "://" + strings.TrimSuffix(addr, "/"))
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", bad("is not host:port")
	}
	if ip := net.ParseIP(u.Hostname()); scheme == "ws" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", bad("is http, by which secrets and people would go over the network for all to read; only this machine is spoken to so")
	}
	u.Path = tunnel.Path
	return u.String(), nil
}

// trusted are the certificate authorities of a file.
func trusted(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.New(fault.Invalid, "agent: CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fault.New(fault.Invalid, "agent: CA file %s: there is no certificate in it", file).WithHint("it holds certificates in PEM, each from BEGIN CERTIFICATE to END CERTIFICATE")
	}
	return pool, nil
}

// dialLimit is how long one attempt to connect takes at most.
const dialLimit = 45 * time.Second

// dial connects to a node, and says which it is and how many there are.
func (a *Agent) dial(ctx context.Context) (conn net.Conn, node string, nodes int, err error) {
	// What is dialled lives as long as the link, so only the attempt has an end.
	attempt, cancel := context.WithCancel(context.WithoutCancel(ctx))
	late := time.AfterFunc(dialLimit, cancel)
	left := context.AfterFunc(ctx, cancel)
	ws, res, err := websocket.Dial( //nolint:bodyclose // its documentation says that it need not be
		attempt, a.url, &websocket.DialOptions{HTTPClient: a.client, HTTPHeader: a.header.Clone(), Subprotocols: []string{tunnel.Protocol}})
	late.Stop()
	left()
	if err != nil {
		cancel()
		if ctx.Err() != nil {
			return nil, "", 0, context.Cause(ctx)
		}
		return nil, "", 0, refusal(a.o.Addr, res, err)
	}
	if ws.Subprotocol() != tunnel.Protocol {
		_ = ws.CloseNow() //nolint:errcheck // it is over either way
		cancel()
		return nil, "", 0, fault.New(fault.Invalid, "what answers at %s is not a server for agents", a.o.Addr).WithHint("is AD_CONNECT_ADDR right, and is the server's release not older than the agent's?")
	}
	nodes, _ = strconv.Atoi(res.Header.Get(tunnel.NodesHeader)) //nolint:errcheck // 0 where it says nothing
	return closing{tunnel.Carry(attempt, ws), cancel}, res.Header.Get(tunnel.NodeHeader), nodes, nil
}

// mostNodes is how many connections an agent holds, whatever the server says.
const mostNodes = 16

type closing struct {
	net.Conn
	then func()
}

func (c closing) Close() error {
	err := c.Conn.Close()
	c.then()
	return err
}

// refusal says why no connection came about.
func refusal(addr string, res *http.Response, err error) error {
	status := 0
	if res != nil {
		status = res.StatusCode
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	text := err.Error()
	switch {
	case status == http.StatusUnauthorized:
		return fault.New(fault.Denied, "the server at %s refuses the client ID or the secret", addr).
			WithHint("the agent was revoked or given another secret: `rollcall agents rotate` on the server prints a new one, for AD_CONNECT_AUTH")
	case status == http.StatusTooManyRequests:
		return fault.New(fault.Unavailable, "the server at %s was given too many wrong secrets from this address", addr)
	case status == http.StatusNotFound:
		return fault.New(fault.Unavailable, "what answers at %s knows nothing of agents", addr).WithHint("is AD_CONNECT_ADDR right?")
	case status >= 300 && status < 400:
		return fault.New(fault.Unavailable, "the server at %s sends us elsewhere, where an agent does not follow", addr).WithHint("set AD_CONNECT_ADDR to the address itself")
	case status != 0:
		return fault.New(fault.Unavailable, "the server at %s answers with status %d", addr, status).WithHint("does what stands before it (a proxy, a load balancer) let WebSockets through?")
	case errors.As(err, &unknown):
		return fault.New(fault.Unavailable, "the certificate of %s is signed by nobody who is trusted here", addr).WithHint("name its authority's certificate by AD_CONNECT_CA or --ca-file")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault.New(fault.Unavailable, "the certificate of %s is not good: %w", addr, deepest(err)).WithHint("is the clock of this machine right?")
	case errors.As(err, &name), errors.As(err, &invalid):
		return fault.New(fault.Unavailable, "the certificate of %s is not good: %w", addr, deepest(err))
	case strings.Contains(text, "Proxy Authentication Required"):
		return fault.New(fault.Unavailable, "the proxy wants a name and a password, or others").WithHint("write them into HTTPS_PROXY: http://name:password@proxy:port")
	}
	return fault.New(fault.Unavailable, "the server at %s cannot be reached: %w", addr, deepest(err)).
		WithHint("is the address right, and may this machine go there? A proxy is named by HTTPS_PROXY")
}

// deepest is the cause of a failure without the address that was dialled.
func deepest(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// connect dials and says who we are. A node that is connected already is errTwice.
func (a *Agent) connect(ctx context.Context) (*tunnel.Link, string, error) {
	conn, node, nodes, err := a.dial(ctx)
	if err != nil {
		return nil, "", err
	}
	a.count(nodes)
	a.mu.Lock()
	_, twice := a.links[node]
	a.mu.Unlock()
	if twice {
		return nil, "", errors.Join(errTwice, conn.Close())
	}
	wait, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	link, err := tunnel.Dialled(wait, conn, a.work.hello(), a.work, a.o.Limits)
	return link, node, err
}

var errTwice = errors.New("connected already")

// count notes how many nodes a server says there are, and reports whether that is more
// than there were.
func (a *Agent) count(nodes int) (more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.nodes
	a.nodes = min(max(nodes, 1), mostNodes)
	return a.nodes > before
}

// Run stays connected to every node and does what they ask, until ctx ends; then what
// goes on may end. Each value of reload has the file read anew.
func (a *Agent) Run(ctx context.Context, reload <-chan os.Signal) error {
	defer a.work.close()
	k := a.keeping()
	k.keep(ctx, reload)
	a.leave()
	k.serving.Wait()
	return nil
}

// keeper dials until there is a connection to every node.
type keeper struct {
	*Agent
	serving sync.WaitGroup
	ended   chan string   // the nodes whose connection ended
	more    chan struct{} // there are more nodes than before
	// complete has a value once there is a connection to every node.
	complete chan struct{}
	wait     time.Duration // before the next attempt
	twice    int           // attempts that led to a node that is connected already
}

func (a *Agent) keeping() *keeper {
	return &keeper{Agent: a, ended: make(chan string, mostNodes), more: make(chan struct{}, 1), complete: make(chan struct{}, 1), wait: a.o.Retry}
}

// keep dials whenever a connection is missing, until ctx ends.
func (k *keeper) keep(ctx context.Context, reload <-chan os.Signal) {
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	k.plan(next, 0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload:
			k.reload(ctx)
		case node := <-k.ended:
			k.o.Log.Warn("the connection to the server ended", "node", node)
			next.Reset(jitter(k.wait))
		case <-k.more:
			k.wait, k.twice = k.o.Retry, 0
			next.Reset(jitter(k.wait))
		case <-next.C:
			link, node, err := k.connect(ctx)
			switch {
			case ctx.Err() != nil:
				if link != nil {
					link.Close()
				}
				return
			case err != nil:
				k.failed(err)
			default:
				k.wait, k.twice = k.o.Retry, 0
				k.serve(ctx, link, node)
			}
			k.plan(next, jitter(k.wait))
		}
	}
}

// plan has the next attempt made, unless there is a connection to every node.
func (k *keeper) plan(next *time.Timer, in time.Duration) {
	k.mu.Lock()
	missing := len(k.links) < k.nodes
	k.mu.Unlock()
	if missing {
		next.Reset(in)
		return
	}
	next.Stop()
	signalled(k.complete)
}

// signalled puts a value where at most one waits.
func signalled(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// failed makes the next attempt wait longer. Which node answers is the choice of what
// stands before them, so that some attempts lead to the wrong one is no failure yet.
func (k *keeper) failed(err error) {
	if errors.Is(err, errTwice) {
		if k.twice++; k.twice < 2*mostNodes {
			return
		}
	} else {
		k.o.Log.Error("the agent is not connected", "error", err.Error(), "hint", fault.HintOf(err), "again_in_at_most", k.wait.String())
	}
	k.wait = min(2*k.wait, k.o.MostRetry)
}

// serve does what a node asks until the connection ends.
func (k *keeper) serve(ctx context.Context, link *tunnel.Link, node string) {
	k.mu.Lock()
	k.links[node] = link
	k.mu.Unlock()
	k.o.Log.Info("connected", "server", k.o.Addr, "node", node, "version", link.Program)
	k.serving.Go(func() { k.look(ctx, link) })
	k.serving.Go(func() {
		err := link.Serve()
		link.Close()
		k.mu.Lock()
		delete(k.links, node)
		k.mu.Unlock()
		k.o.Log.Debug("the connection ended", "node", node, "error", err.Error())
		k.ended <- node
	})
}

// look asks again and again how many nodes there are: one may have been added.
func (k *keeper) look(ctx context.Context, link *tunnel.Link) {
	tick := time.NewTicker(k.o.Limits.Keepalive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-link.Done():
			return
		case <-ctx.Done():
			return
		}
		nodes, err := link.Nodes(ctx)
		if fault.KindOf(err) == fault.Denied { // an older server, which says it to those who dial alone
			return
		}
		if err == nil && k.count(nodes) {
			signalled(k.more)
		}
	}
}

// jitter is some time up to d, so that not all agents come at once after an outage.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1) //nolint:gosec // nothing depends on its being secret
}

// leave ends all connections once what goes on has ended.
func (a *Agent) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), a.o.Drain)
	defer cancel()
	a.o.Log.Info("stopping; what goes on may end", "at_most", a.o.Drain.String())
	var all sync.WaitGroup
	for _, l := range a.all() {
		all.Go(func() {
			l.Leave(ctx)
			l.Close()
		})
	}
	all.Wait()
}

func (a *Agent) all() []*tunnel.Link {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []*tunnel.Link
	for _, l := range a.links {
		out = append(out, l)
	}
	return out
}

// reload reads the file anew. One that cannot be read changes nothing.
func (a *Agent) reload(ctx context.Context) {
	if err := a.work.load(); err != nil {
		a.o.Log.Error("the file was not read anew; what stood in it before stays in force", "error", err.Error())
		return
	}
	a.o.Log.Info("the file was read anew")
	for _, l := range a.all() {
		wait, cancel := context.WithTimeout(ctx, dialLimit)
		err := l.Hello(wait, a.work.hello())
		cancel()
		if err != nil {
			a.o.Log.Warn("the server does not know of it yet", "error", err.Error())
			l.Close() // the next connection begins with it
		}
	}
}

// gather is how long an import waits until there is a connection to every node.
const gather = 10 * time.Second

// Import has the server make one run of the connection, and gives it as the API does.
// Any node may make it, and reads through this very agent, so every node is dialled.
func (a *Agent) Import(ctx context.Context, full bool, report func(tunnel.Progress)) (json.RawMessage, error) {
	defer a.work.close()
	link, node, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	k := a.keeping()
	k.wait = min(k.wait, 100*time.Millisecond)
	keeping, stop := context.WithCancel(ctx)
	defer k.serving.Wait()
	defer func() {
		for _, l := range a.all() {
			l.Close()
		}
	}()
	k.serve(keeping, link, node)
	var dialling sync.WaitGroup
	dialling.Go(func() { k.keep(keeping, nil) })
	defer dialling.Wait()
	defer stop()
	enough := time.NewTimer(gather)
	defer enough.Stop()
	select {
	case <-k.complete:
	case <-enough.C: // a node may have been killed and be counted still
	case <-ctx.Done():
	}
	return link.Sync(ctx, full, report)
}
