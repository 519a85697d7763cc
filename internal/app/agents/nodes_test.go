package agents_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/cli"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/proxy"
	"rollcall.dev/rollcall/internal/tunnel"
)

// relay stands before a node, so that the node can be lost without a word.
func relay(t *testing.T, to string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Start(to, nil)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() }) //nolint:errcheck // it ends with the test
	return p
}

// reads has this very node read the whole directory, and let somebody in.
func (s *site) reads() {
	s.Helper()
	c, err := s.app.Registry.Connection(s.Context(), "hq")
	must(s.T, err)
	out, err := s.app.Engine.Sync(s.Context(), c, engine.Options{Full: true, Actor: "test", Trigger: "manual"})
	must(s.T, err)
	if out.Run.State != engine.RunApplied || s.active() != people {
		s.Errorf("%s: %s, %d accounts: %s", s.name, out.Run.State, s.active(), text(out.Run.Error))
	}
	s.letsIn()
}

func (s *site) letsIn() {
	s.Helper()
	if r, err := s.signIn("u3@example.org", password); err != nil || r.Account == nil {
		s.Errorf("%s: %+v, %v", s.name, r, err)
	}
}

// here waits until so many agents are connected to this node.
func (s *site) here(agents int) {
	s.Helper()
	s.until(fmt.Sprintf("%d agents are connected to %s", agents, s.name), func() bool { return s.app.Hub.Connected("hq") == agents })
}

// Servers with one database and one address: an agent is connected to each of them,
// also to one that is added later, and what befalls one is nothing to the others.
func TestAnAgentIsConnectedToEveryNode(t *testing.T) {
	d := directory(t)
	dir, dsn := t.TempDir(), databases.PostgreSQL(t)
	one := node(t, dir, "server-1", dsn, ownBackend)
	front := relay(t, one.listen)
	id, auth := one.enrol("office")
	log := &journal{}
	o := one.options(auth, file(t, backend(d, "")), log)
	o.Addr, o.Limits = "http://"+front.Addr, tunnel.DefaultLimits()
	o.Limits.Keepalive = 20 * time.Millisecond
	st := one.run(o, log)
	one.connected(id)
	one.reads()
	// A node is added. The agent has all connections it knows of, and learns of it.
	two := node(t, dir, "server-2", dsn, ownBackend)
	way := relay(t, two.listen)
	front.SetServers(one.listen, way.Addr)
	two.here(1)
	two.reads()
	one.reads()
	a, err := one.app.Store.AgentTable.Get(t.Context(), "", id)
	must(t, err)
	if len(a.Seen) != 2 {
		t.Errorf("it is connected to %+v", a.Seen)
	}
	for _, s := range []*site{one, two, one, two} { // by the line, whoever takes it up
		s.applied(true)
	}
	// It is lost: whatever connections there are end, and nobody answers there.
	must(t, way.Close())
	two.here(0)
	one.reads()
	one.here(1)
	way = relay(t, two.listen)
	front.SetServers(one.listen, way.Addr)
	two.here(1)
	two.reads()
	// It is stopped, and started again.
	two.stop()
	one.reads()
	one.applied(true)
	two.start()
	two.here(1)
	two.reads()
	// The other one is stopped.
	one.stop()
	two.reads()
	two.applied(true)
	if st.stop(); strings.Contains(log.String(), auth) {
		t.Error("the secret stands in the log")
	}
}

// One import, and no other agent: whichever node makes the run reads through it.
func TestOneImportFromAnyNode(t *testing.T) {
	d := directory(t)
	dir, dsn := t.TempDir(), databases.PostgreSQL(t)
	one := node(t, dir, "server-1", dsn, ownBackend)
	two := node(t, dir, "server-2", dsn, ownBackend)
	front := relay(t, one.listen)
	front.SetServers(one.listen, two.listen)
	_, auth := one.enrol("office")
	env := map[string]string{"AD_CONNECT_ADDR": "http://" + front.Addr, "AD_CONNECT_AUTH": auth, "AD_CONNECT_CONFIG": file(t, backend(d, ""))}
	for i := range 2 {
		var out, errs bytes.Buffer
		code := cli.Run(t.Context(), []string{"agent", "imp", "--full"}, cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs, Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
		if code != 0 {
			t.Fatalf("import %d: %d\n%s%s", i, code, out.String(), errs.String())
		}
	}
	if n := one.active(); n != people {
		t.Errorf("%d accounts", n)
	}
}

// An agent that has not reached one of the nodes yet: what that node takes up waits until
// it has, and what a person decided as well.
func TestARunWaitsWhereTheAgentIsAtAnotherNode(t *testing.T) {
	d := directory(t)
	dir, dsn := t.TempDir(), databases.PostgreSQL(t)
	one := node(t, dir, "server-1", dsn, ownBackend+"  limits: {creates: 1}\n")
	front := relay(t, one.listen)
	id, auth := one.enrol("office")
	log := &journal{}
	o := one.options(auth, file(t, backend(d, "")), log)
	o.Addr, o.Limits = "http://"+front.Addr, tunnel.DefaultLimits()
	o.Limits.Keepalive = 20 * time.Millisecond
	one.run(o, log)
	one.connected(id)
	held := one.sync(false)
	if held.State != engine.RunHeld {
		t.Fatalf("%s: %s", held.State, text(held.Error))
	}
	two := node(t, dir, "server-2", dsn, ownBackend+"  limits: {creates: 1}\n")
	// The other node does not know what the agent reads now, and says no more than that.
	c, err := two.app.Registry.Connection(t.Context(), "hq")
	must(t, err)
	if _, err := two.app.Engine.Approve(t.Context(), c, *held.Plan, nil, engine.Options{Actor: "test"}); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "none of its agents is connected here") {
		t.Errorf("approved at a node without the agent: %v", err)
	}
	run, err := one.api.Approve(t.Context(), *held.Plan, client.ApproveInput{})
	must(t, err)
	front.SetServers(one.listen, two.listen)
	two.until("it is applied", func() bool {
		r, err := two.app.Engine.Store.Runs().Get(t.Context(), run.ID)
		return err == nil && r.State == engine.RunApplied
	})
	if n := two.active(); n != people {
		t.Errorf("%d accounts", n)
	}
}
