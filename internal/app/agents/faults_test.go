package agents_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/agent"
	"rollcall.dev/rollcall/internal/cli"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/proxy"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/tunnel"
)

const ownBackend = "  backend: {agent: {}}\n"

// Each switch of the policy, set on either side: the stricter one is in force, and no
// agent's file loosens anything.
func TestTheStricterPolicyIsInForce(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	id, st := s.join("office", "settings: {no-update: false}\n"+backend(d, ""))
	given, err := s.app.Registry.Connection(t.Context(), "hq")
	must(t, err)
	for _, k := range []struct {
		name string
		of   func(*setting.Policy) *bool
	}{
		{"dry-run", func(p *setting.Policy) *bool { return &p.DryRun }}, {"no-create", func(p *setting.Policy) *bool { return &p.NoCreate }},
		{"no-update", func(p *setting.Policy) *bool { return &p.NoUpdate }}, {"no-delete", func(p *setting.Policy) *bool { return &p.NoDelete }},
		{"delete-disables", func(p *setting.Policy) *bool { return &p.DeleteDisables }}, {"create-as-disabled", func(p *setting.Policy) *bool { return &p.CreateAsDisabled }},
		{"no-update-provider-mismatch", func(p *setting.Policy) *bool { return &p.NoUpdateProviderMismatch }},
	} {
		for _, agents := range []bool{false, true} {
			must(t, os.WriteFile(st.file, []byte(fmt.Sprintf("settings: {%s: %v}\n%s", k.name, agents, backend(d, ""))), 0o600))
			st.reload <- syscall.SIGHUP
			s.until("the server knows the new file", func() bool {
				a, err := s.app.Store.AgentTable.Get(t.Context(), "", id)
				want := setting.Policy{}
				*k.of(&want) = agents
				return err == nil && a.Policy != nil && *a.Policy == want
			})
			for _, servers := range []bool{false, true} {
				c := given
				c.Policy = setting.Policy{PurgeAfter: time.Hour}
				*k.of(&c.Policy) = servers
				got, err := s.app.Engine.Settled(t.Context(), c)
				want := setting.Policy{PurgeAfter: time.Hour}
				*k.of(&want) = servers || agents
				if err != nil || got.Policy != want {
					t.Errorf("%s: the server says %v and the agent %v: %+v, %v", k.name, servers, agents, got.Policy, err)
				}
			}
		}
	}
}

// An agent whose file allows dry runs only is read, and nothing is written, whatever is
// asked of the server.
func TestADryRunOfTheAgentHoldsEverything(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	_, st := s.join("office", "settings: {dry-run: true}\n"+backend(d, ""))
	run := s.sync(false)
	if run.State != engine.RunHeld || s.active() != 0 {
		t.Fatalf("%s, %d accounts", run.State, s.active())
	}
	c, err := s.app.Registry.Connection(t.Context(), "hq")
	must(t, err)
	if _, err := s.app.Engine.Approve(t.Context(), c, *run.Plan, nil, engine.Options{Actor: "test"}); fault.KindOf(err) != fault.Denied {
		t.Errorf("a plan is approved past the agent: %v", err)
	}
	must(t, os.WriteFile(st.file, []byte(backend(d, "")), 0o600))
	st.reload <- syscall.SIGHUP
	s.until("the new file is in force", func() bool {
		c, err := s.app.Registry.Connection(t.Context(), "hq")
		must(t, err)
		c, err = s.app.Engine.Settled(t.Context(), c)
		return err == nil && !c.Policy.DryRun
	})
	if s.applied(false); s.active() != people {
		t.Errorf("%d accounts", s.active())
	}
}

// The server's settings are sent to an agent without any, over what it dialled.
func TestAnAgentWithoutAFileReadsWhatTheServerSays(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), backend(d, "  "))
	_, st := s.join("office", "")
	if run := s.applied(false); run.Summary.Create != people {
		t.Errorf("%+v", run.Summary)
	}
	if r, err := s.signIn("u3@example.org", password); err != nil || r.Account == nil {
		t.Errorf("%+v, %v", r, err)
	}
	for _, secret := range []string{d.ReaderPassword, password} {
		if strings.Contains(st.log.String(), secret) || strings.Contains(s.log.String(), secret) {
			t.Error("a secret stands in a log")
		}
	}
	// Once the agent has a file, that counts, and a change of who is read waits for a person.
	must(t, os.WriteFile(st.file, []byte(strings.Replace(backend(d, ""), "(objectClass=inetOrgPerson)", "(uid=u1*)", 1)), 0o600))
	st.reload <- syscall.SIGHUP
	s.until("the server knows of the file", func() bool {
		c, err := s.app.Registry.Connection(t.Context(), "hq")
		must(t, err)
		c.Kind = "agent"
		r, err := s.app.Hub.Remote(t.Context(), c)
		return err == nil && r.Own
	})
	run := s.sync(false)
	if run.State != engine.RunHeld || s.active() != people {
		t.Errorf("%s, %d accounts: %s", run.State, s.active(), text(run.Error))
	}
}

// Who revokes the last agent does not ask for another way to the directory: at the same
// address the server may find another one.
func TestWithoutAnAgentLeftNobodyReadsTheDirectory(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), backend(d, "  "))
	id, st := s.join("office", "")
	s.applied(false)
	_, err := s.api.RevokeAgent(t.Context(), id)
	must(t, err)
	s.until("the agent is cut off", func() bool { return s.app.Hub.Connected("hq") == 0 })
	st.stop()
	for _, full := range []bool{false, true} {
		if run := s.sync(full); run.State != engine.RunFailed || !strings.Contains(text(run.Error), "all of them are revoked") || s.active() != people {
			t.Errorf("%s, %d accounts: %s", run.State, s.active(), text(run.Error))
		}
	}
	if r, err := s.signIn("u3@example.org", password); fault.KindOf(err) != fault.Unavailable && (err != nil || !r.Unavailable) {
		t.Errorf("%+v, %v", r, err)
	}
	// Until somebody says so.
	_, err = s.api.ForgetAgent(t.Context(), id)
	must(t, err)
	if run := s.applied(true); run.Summary.Changes() != 0 {
		t.Errorf("%+v", run.Summary)
	}
	if r, err := s.signIn("u3@example.org", password); err != nil || r.Account == nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWhatStandsInTheAgentsFileNeverReachesTheServer(t *testing.T) {
	dir := t.TempDir()
	d := directory(t)
	s := begin(t, "sqlite:"+filepath.Join(dir, "rollcall.db"), ownBackend)
	_, _ = s.join("office", backend(d, ""))
	s.applied(false)
	if r, err := s.signIn("u3@example.org", password); err != nil || r.Account == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	s.stop()
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for name, secret := range map[string]string{"the reader's password": d.ReaderPassword, "a person's password": password, "the reader's name": d.ReaderDN} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s stands in %s", name, filepath.Base(path))
			}
		}
		return err
	}))
	if strings.Contains(s.log.String(), d.ReaderDN) {
		t.Error("the reader stands in the log")
	}
}

// through has an agent dial by way of a proxy that breaks connections.
func (s *site) through(name, text string, change func(*agent.Options)) (*proxy.Proxy, string) {
	s.Helper()
	p, err := proxy.Start(s.listen, nil)
	must(s.T, err)
	s.Cleanup(func() { _ = p.Close() }) //nolint:errcheck // it ends with the test
	id, auth := s.enrol(name)
	log := &journal{}
	o := s.options(auth, file(s.T, text), log)
	o.Addr = "http://" + p.Addr
	if change != nil {
		change(&o)
	}
	s.run(o, log)
	s.connected(id)
	return p, id
}

// Whatever byte the connection ends at: nothing of the reading counts, nobody is
// removed, and the agent is back for the next one.
func TestAnAgentThatIsCutOffInMidReadingRemovesNobody(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	p, _ := s.through("office", backend(d, ""), nil)
	s.applied(false)
	whole := p.Counts()[0].ToServer
	must(t, d.Modify("dn: uid=u5,ou=people,dc=example,dc=org\nchangetype: delete\n"))
	failed := 0
	for part := int64(1); part <= 5; part++ {
		struck := make(chan struct{})
		p.SetPlan(func(conn int) proxy.Plan {
			if conn > 1 {
				return proxy.Plan{}
			}
			return proxy.Plan{Fault: proxy.Cut, Direction: proxy.ToServer, At: whole * part / 6, Struck: func() { close(struck) }}
		})
		s.app.Hub.Each("hq", (*tunnel.Session).Close)
		s.until("the agent is back", func() bool { return len(p.Counts()) > 0 && s.app.Hub.Connected("hq") > 0 })
		run := s.sync(true)
		if run.State == engine.RunFailed {
			failed++
		} else if run.Summary.Disable > 1 {
			t.Errorf("cut at %d: %+v", whole*part/6, run.Summary)
		}
		if n := s.active(); n < people-1 {
			t.Fatalf("cut at %d: %d accounts are left", whole*part/6, n)
		}
		s.until("the agent is back", func() bool { return s.app.Hub.Connected("hq") > 0 })
	}
	p.SetPlan(nil)
	if s.applied(true); failed == 0 || s.active() != people-1 {
		t.Errorf("%d runs failed, %d accounts in the end", failed, s.active())
	}
}

// Two agents: the one that freezes, and the one that is killed, are passed over.
func TestTheOtherAgentTakesOver(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	s.app.Hub.Limits.Accepted = time.Second
	until := make(chan struct{})
	defer close(until)
	first, _ := s.through("first", backend(d, ""), nil)
	_, st := s.join("second", backend(d, ""))
	s.applied(false)
	// The first freezes: what is sent to it arrives nowhere.
	first.SetPlan(func(int) proxy.Plan {
		return proxy.Plan{Fault: proxy.Stall, Direction: proxy.ToClient, At: 1000, Until: until}
	})
	s.app.Hub.Each("hq", (*tunnel.Session).Close)
	s.until("both are back", func() bool { return s.app.Hub.Connected("hq") == 2 })
	for i := range 12 {
		if r, err := s.signIn("u3@example.org", password); err != nil || r.Account == nil {
			t.Fatalf("sign-in %d: %+v, %v\n%s", i, r, err, s.log)
		}
	}
	if s.applied(true); s.active() != people {
		t.Errorf("%d accounts", s.active())
	}
	// The second is stopped: only the frozen one is left, which is told as it is.
	st.stop()
	s.until("it has gone", func() bool { return s.app.Hub.Connected("hq") <= 1 })
	s.until("nobody is left to ask", func() bool {
		r, err := s.signIn("u3@example.org", password)
		return err == nil && r.Unavailable
	})
}

// The other end is not there any more, and no packet says so.
func TestAHalfOpenConnectionIsNoticed(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	s.app.Hub.Limits.Keepalive, s.app.Hub.Limits.Gone = 20*time.Millisecond, 200*time.Millisecond
	until := make(chan struct{})
	defer close(until)
	var mu sync.Mutex
	dead := true
	p, id := s.through("office", backend(d, ""), func(o *agent.Options) {
		o.Limits = s.app.Hub.Limits
	})
	p.SetPlan(func(int) proxy.Plan {
		mu.Lock()
		defer mu.Unlock()
		if dead {
			return proxy.Plan{Fault: proxy.Stall, Direction: proxy.ToServer, At: 3000, Until: until, Struck: func() { mu.Lock(); dead = false; mu.Unlock() }}
		}
		return proxy.Plan{}
	})
	s.app.Hub.Each("hq", (*tunnel.Session).Close)
	s.until("the dead connection is left, and another made", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !dead && len(p.Counts()) > 1 && s.app.Hub.Connected("hq") > 0
	})
	s.connected(id)
	s.applied(false)
}

// Proxies and firewalls cut what is idle. With a heart-beat nothing ever is; where one
// has less patience than that, the agent is back, and nobody is removed.
func TestAProxyThatCutsIdleConnections(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	s.app.Hub.Limits.Keepalive = 10 * time.Millisecond
	p, _ := s.through("office", backend(d, ""), func(o *agent.Options) { o.Limits = s.app.Hub.Limits })
	s.applied(false)
	passed := func() int64 {
		c := p.Counts()
		return c[len(c)-1].ToServer + c[len(c)-1].ToClient
	}
	for range 30 {
		before := passed()
		s.until("the heart beats", func() bool { return passed() > before })
		if n := p.CutIdle(); n != 0 {
			t.Fatal("a connection with a heart-beat was idle")
		}
	}
	if n := len(p.Counts()); n != 1 {
		t.Errorf("%d connections, where one was to last", n)
	}
	for range 3 {
		var cut *tunnel.Session
		s.app.Hub.Each("hq", func(x *tunnel.Session) { cut = x })
		s.until("it is cut all the same", func() bool { return p.CutIdle() > 0 })
		s.until("the agent is back", func() (back bool) {
			s.app.Hub.Each("hq", func(x *tunnel.Session) { back = back || x != cut })
			return back
		})
		if r, err := s.signIn("u3@example.org", password); err != nil || r.Account == nil {
			t.Errorf("%+v, %v", r, err)
		}
		if run := s.applied(true); run.Summary.Changes() != 0 || s.active() != people {
			t.Errorf("%+v, %d accounts", run.Summary, s.active())
		}
	}
}

func TestAServerThatStartsAgainIsDialledAgain(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	id, _ := s.join("office", backend(d, ""))
	s.applied(false)
	s.stop()
	s.start()
	s.connected(id)
	if run := s.applied(true); run.Summary.Changes() != 0 {
		t.Errorf("%+v", run.Summary)
	}
}

// A run that is due when a server has just started waits for the agent to be back, and
// is no failure.
func TestARunAfterAStartWaitsForTheAgent(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	p, _ := s.through("office", backend(d, ""), nil)
	s.applied(false)
	p.SetServers()
	s.stop()
	s.start()
	run, err := s.api.Sync(t.Context(), "hq", client.SyncInput{Full: true})
	must(t, err)
	is := func(fits func(*engine.Run) bool) func() bool {
		return func() bool {
			r, err := s.app.Engine.Store.Runs().Get(t.Context(), run.ID)
			return err == nil && fits(r)
		}
	}
	s.until("it waits", is(func(r *engine.Run) bool {
		return r.Progress != nil && strings.Contains(r.Progress.WaitsFor, "has not connected since this node has started")
	}))
	p.SetServers(s.listen)
	s.until("it is applied", is(func(r *engine.Run) bool { return r.State == engine.RunApplied }))
	// Once it was back and has gone again, there is nothing to wait for.
	p.SetServers()
	s.app.Hub.Each("hq", (*tunnel.Session).Close)
	s.until("it has gone", func() bool { return s.app.Hub.Connected("hq") == 0 })
	if run := s.sync(true); run.State != engine.RunFailed || !strings.Contains(text(run.Error), "no agent of connection hq is connected") || s.active() != people {
		t.Errorf("%s: %s, %d accounts", run.State, text(run.Error), s.active())
	}
}

func TestARevokedOrRotatedSecretCutsAtOnce(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	id, st := s.join("office", backend(d, ""))
	for _, what := range []string{"rotated", "revoked"} {
		if what == "rotated" {
			_, _, err := s.app.Store.AgentTable.Rotate(t.Context(), "", id, 0, "test")
			must(t, err)
		} else {
			_, err := s.app.Store.AgentTable.Revoke(t.Context(), "", id, "test")
			must(t, err)
		}
		began := time.Now()
		s.until("the agent is cut off", func() bool { return s.app.Hub.Connected("hq") == 0 })
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: it took %s", what, took)
		}
		s.until("the agent says why", func() bool { return strings.Contains(st.log.String(), "refuses the client ID or the secret") })
		// Without an agent that may connect the directory is not asked.
		if r, err := s.signIn("u3@example.org", password); fault.KindOf(err) != fault.Unavailable && (err != nil || !r.Unavailable) {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
}

// Wrong secrets are counted by address; whoever has a good one comes in all the same.
func TestWrongSecretsAreCounted(t *testing.T) {
	s := begin(t, databases.SQLite(t), ownBackend)
	id, auth := s.enrol("office")
	try := func(auth string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.listen+"/agent/v1/connect", nil)
		must(t, err)
		name, secret, _ := strings.Cut(auth, ":")
		r.SetBasicAuth(name, secret)
		res, err := http.DefaultClient.Do(r)
		must(t, err)
		_ = res.Body.Close() //nolint:errcheck // nothing of it is looked at
		return res.StatusCode
	}
	if got := try(auth); got != http.StatusUpgradeRequired {
		t.Errorf("a good secret and no WebSocket: %d", got)
	}
	seen := map[int]int{}
	for range 40 {
		seen[try(id+":wrong")]++
	}
	if seen[http.StatusUnauthorized] < 20 || seen[http.StatusTooManyRequests] == 0 {
		t.Errorf("%v", seen)
	}
	if got := try(auth); got != http.StatusUpgradeRequired {
		t.Errorf("a good secret behind wrong ones: %d", got)
	}
	if strings.Contains(s.log.String(), auth[len(id)+1:]) {
		t.Error("the secret stands in the log")
	}
}

// gateway is a proxy as companies have them: CONNECT alone, with a name and a password.
func gateway(t *testing.T, userinfo string) (addr string, passed func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	g := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(userinfo)) {
			w.Header().Set("Proxy-Authenticate", `Basic realm="the company"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		from, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		mu.Lock()
		n++
		mu.Unlock()
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, bufio.NewReader(buffered)); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
	t.Cleanup(g.Close)
	return strings.TrimPrefix(g.URL, "http://"), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// The whole way as customers have it: a proxy with authentication, TLS that ends before
// the server, and a certificate authority of the company's own.
func TestThroughACompanysProxyAndItsOwnCertificates(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	at, err := url.Parse("http://" + s.listen)
	must(t, err)
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(at))
	t.Cleanup(front.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	where, passed := gateway(t, "jo:s3cret")
	id, auth := s.enrol("office")
	with := func(userinfo, ca string) (*station, *journal) {
		log := &journal{}
		o := s.options(auth, file(t, backend(d, "")), log)
		o.Addr, o.CAFile = strings.TrimPrefix(front.URL, "https://"), ca
		o.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse("http://" + userinfo + where) }
		return s.run(o, log), log
	}
	wrong, log := with("jo:wrong@", ca)
	s.until("the proxy is named", func() bool { return strings.Contains(log.String(), "the proxy wants a name and a password") })
	wrong.stop()
	stranger, log2 := with("jo:s3cret@", "")
	s.until("the certificate is named", func() bool { return strings.Contains(log2.String(), "is signed by nobody who is trusted here") })
	stranger.stop()
	_, log3 := with("jo:s3cret@", ca)
	s.connected(id)
	if s.applied(false); passed() == 0 || s.active() != people {
		t.Errorf("%d connections through the proxy, %d accounts", passed(), s.active())
	}
	for _, l := range []*journal{log, log2, log3} {
		if strings.Contains(l.String(), "s3cret") || strings.Contains(l.String(), auth) {
			t.Errorf("a secret stands in a log: %s", l)
		}
	}
}

// An agent of one organization has nothing to say in another's connection.
func TestAnAgentSpeaksForItsConnectionAlone(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend+"- {alias: other, organization: moon, backend: {agent: {}}}\n")
	s.join("office", backend(d, ""))
	s.applied(false)
	_, err := s.app.Hub.Remote(t.Context(), setting.Connection{Alias: "other", Organization: "moon", Kind: "agent"})
	if fault.KindOf(err) != fault.Unavailable || s.app.Hub.Connected("other") != 0 {
		t.Error(err)
	}
}

// imp asks for one run, and ends as `sync` does.
func TestOneImport(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	_, auth := s.enrol("office")
	imp := func(path string) (int, string) {
		var out, errs bytes.Buffer
		env := map[string]string{"AD_CONNECT_ADDR": "http://" + s.listen, "AD_CONNECT_AUTH": auth, "AD_CONNECT_CONFIG": path}
		code := cli.Run(t.Context(), cli.Words([]string{"/opt/adc", "imp"}), cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs, Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
		if strings.Contains(out.String()+errs.String(), auth) {
			t.Error("it prints its secret")
		}
		return code, out.String() + errs.String()
	}
	dry := file(t, "settings: {dry-run: true}\n"+backend(d, ""))
	if code, said := imp(dry); code != 3 || !strings.Contains(said, "dry-run") || !strings.Contains(said, "is held") {
		t.Errorf("a dry run: %d\n%s", code, said)
	}
	good := file(t, backend(d, ""))
	if code, said := imp(good); code != 0 || !strings.Contains(said, fmt.Sprintf("%d created", people)) || s.active() != people {
		t.Errorf("%d\n%s", code, said)
	}
	if code, said := imp(file(t, strings.Replace(backend(d, ""), d.ReaderPassword, "wrong", 1))); code != 1 || !strings.Contains(said, "failed") {
		t.Errorf("a wrong password: %d\n%s", code, said)
	}
	auth = strings.SplitN(auth, ":", 2)[0] + ":wrong"
	if code, said := imp(good); code != 1 || !strings.Contains(said, "refuses the client ID or the secret") {
		t.Errorf("a wrong secret: %d\n%s", code, said)
	}
}
