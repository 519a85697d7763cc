// Package agents_test has a whole server read a real directory, and let its people in,
// through a real agent that dialled it.
package agents_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/agent"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store/keys"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

const (
	people   = 40
	password = "people's own secret"
)

// directory is a real OpenLDAP server.
func directory(t *testing.T) *openldap.Server {
	t.Helper()
	const base = "dc=example,dc=org"
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: rig\ndc: example\n\n", base)
	for _, ou := range []string{"people", "groups", "system"} {
		fmt.Fprintf(&b, "dn: ou=%[1]s,%[2]s\nobjectClass: organizationalUnit\nou: %[1]s\n\n", ou, base)
	}
	for i := range people {
		b.WriteString(person(i))
	}
	fmt.Fprintf(&b, "dn: cn=Staff,ou=groups,%s\nobjectClass: groupOfNames\ncn: Staff\n", base)
	for i := range people {
		fmt.Fprintf(&b, "member: uid=u%d,ou=people,%s\n", i, base)
	}
	path := filepath.Join(t.TempDir(), "people.ldif")
	must(t, os.WriteFile(path, []byte(b.String()+"\n"), 0o600))
	s, err := openldap.Start(t.Context(), openldap.Options{LDIF: path})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func person(i int) string {
	return fmt.Sprintf("dn: uid=u%[1]d,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u%[1]d\ncn: User %[1]d\nsn: Number%[1]d\ngivenName: User\nmail: u%[1]d@example.org\nuserPassword: %[2]s\n\n", i, password)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is a server with a connection "hq" and an operator.
type site struct {
	*testing.T
	name   string // of the node
	listen string
	config string
	env    func(string) (string, bool)
	app    *app.App
	api    *client.Client
	log    *journal // of the server
	stop   func()
}

// journal keeps what was logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// begin starts a server whose connection has the settings given, as lines of YAML.
func begin(t *testing.T, dsn, connection string) *site {
	t.Helper()
	return node(t, t.TempDir(), "server-1", dsn, connection)
}

// node is begin for one of several servers, which have a folder in common.
func node(t *testing.T, dir, name, dsn, connection string) *site {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	s := &site{T: t, name: name, listen: l.Addr().String(), log: &journal{}, env: func(name string) (string, bool) { return dsn, name == "ROLLCALL_DATABASE" }}
	must(t, l.Close())
	s.config = filepath.Join(dir, name+".yaml")
	s.configure(connection)
	s.start()
	t.Cleanup(func() { s.stop() })
	key, _, err := s.app.Store.KeyTable.Create(t.Context(), keys.Scope{}, "test", time.Time{}, "test")
	must(t, err)
	s.api, err = client.New("http://"+s.listen, key)
	must(t, err)
	return s
}

func (s *site) configure(connection string) {
	s.Helper()
	must(s.T, os.WriteFile(s.config, []byte("listen: "+s.listen+"\npublic_url: http://"+s.listen+`
log: {level: debug}
drain: 5s
webhooks: {allow_private: true}
organizations: [{id: sun, name: Sun}, {id: moon, name: Moon}]
connections:
- alias: hq
  organization: sun
`+connection), 0o600))
}

// start serves. It is called again after stop.
func (s *site) start() {
	s.Helper()
	a, err := app.Open(s.Context(), s.config, s.env)
	must(s.T, err)
	s.app = a
	ctx, stop := context.WithCancel(context.Background())
	served, ready := make(chan error, 1), make(chan string, 1)
	go func() { served <- a.Serve(ctx, s.name, s.log, nil, s.env, func(at string) { ready <- at }) }()
	select {
	case <-ready:
	case err := <-served:
		s.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		stop()
		if err := <-served; err != nil {
			s.Error(err)
		}
		if err := a.Close(); err != nil {
			s.Error(err)
		}
	})
}

// enrol makes an agent of the connection, and gives its client ID and its AD_CONNECT_AUTH.
func (s *site) enrol(name string) (id, auth string) {
	s.Helper()
	a, secret, err := s.app.Store.AgentTable.Create(s.Context(), "", name, "hq", "test")
	must(s.T, err)
	return a.ID, a.ID + ":" + secret
}

// station is where an agent runs.
type station struct {
	agent  *agent.Agent
	file   string
	log    *journal
	reload chan os.Signal
	stop   func()
}

// file writes an agent's file.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adc.yaml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// backend is one that reads a directory, as it stands in an agent's file or a connection.
func backend(d *openldap.Server, indent string) string {
	return indent + strings.ReplaceAll(fmt.Sprintf(`backend:
  ldap:
    addr: %s
    bind_dn: %s
    bind_password: %s
    base_dn: %s
    sync: {filter: (objectClass=inetOrgPerson)}
    authentication: {username_attribute: mail}
    groups: {base_dn: "ou=groups,%[4]s"}
`, d.URL, d.ReaderDN, d.ReaderPassword, d.Suffix), "\n", "\n"+indent) + "\n"
}

// options are those of an agent of the site.
func (s *site) options(auth, path string, log *journal) agent.Options {
	return agent.Options{Addr: "http://" + s.listen, Auth: auth, Config: path, Kinds: all.Kinds(), Lookup: os.LookupEnv, Version: "agent-1",
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Drain: 5 * time.Second, Retry: 5 * time.Millisecond, MostRetry: 50 * time.Millisecond,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
}

// run has an agent run until the test ends, or it is stopped.
func (s *site) run(o agent.Options, log *journal) *station {
	s.Helper()
	a, err := agent.New(o)
	must(s.T, err)
	ctx, stop := context.WithCancel(context.Background())
	st := &station{agent: a, file: o.Config, log: log, reload: make(chan os.Signal)}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, st.reload) }()
	st.stop = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(st.stop)
	return st
}

// join makes an agent with a file, runs it and waits until it is connected.
func (s *site) join(name, text string) (string, *station) {
	s.Helper()
	id, auth := s.enrol(name)
	log := &journal{}
	st := s.run(s.options(auth, file(s.T, text), log), log)
	s.connected(id)
	return id, st
}

// connected waits until an agent is connected here.
func (s *site) connected(ids ...string) {
	s.Helper()
	s.until("an agent connects", func() bool {
		for _, id := range ids {
			if a, err := s.app.Store.AgentTable.Get(s.Context(), "", id); err != nil || !a.Connected() {
				return false
			}
		}
		return s.app.Hub.Connected("hq") >= len(ids)
	})
}

// until looks again and again whether something has come about.
func (s *site) until(what string, is func() bool) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 12_000 {
		if is() {
			return
		}
		select {
		case <-tick.C:
		case <-s.Context().Done():
		}
	}
	s.Fatalf("%s: it does not come about\n%s", what, s.log)
}

// sync runs the connection as an application has it run, and gives the run.
func (s *site) sync(full bool) *engine.Run {
	s.Helper()
	run, err := s.app.Engine.Store.Runs().Get(s.Context(), s.begun(full))
	must(s.T, err)
	return run
}

func (s *site) begun(full bool) string {
	s.Helper()
	run, err := s.api.Sync(s.Context(), "hq", client.SyncInput{Full: full})
	must(s.T, err)
	s.until("a run ends", func() bool {
		r, err := s.app.Engine.Store.Runs().Get(s.Context(), run.ID)
		return err == nil && r.FinishedAt != nil
	})
	return run.ID
}

// applied is sync for a run that ends well.
func (s *site) applied(full bool) *engine.Run {
	s.Helper()
	run := s.sync(full)
	if run.State != engine.RunApplied {
		s.Fatalf("the run is %s: %v\n%s", run.State, text(run.Error), s.log)
	}
	return run
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// signIn tries somebody's password.
func (s *site) signIn(login, password string) (*signin.Result, error) {
	return s.app.SignIn.Authenticate(s.Context(), signin.Attempt{Connection: "hq", Login: login, Password: password, Via: "api"})
}

// active is how many accounts are.
func (s *site) active() int {
	s.Helper()
	n := 0
	for a, err := range s.api.Accounts(s.Context(), client.AccountQuery{Status: "active"}) {
		must(s.T, err)
		if a.Connection == "hq" {
			n++
		}
	}
	return n
}
