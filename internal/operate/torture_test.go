package operate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
	"rollcall.dev/rollcall/internal/store/storetest"
)

// rounds is how many times a node is shot, stopped or paused.
var rounds = flag.Int("torture", 15, "how often nodes are killed in the torture test")

// The variables that make this test's program a node.
const (
	childDSN    = "ROLLCALL_OPERATE_DSN"
	childConfig = "ROLLCALL_OPERATE_CONFIG"
	childNode   = "ROLLCALL_OPERATE_NODE"
)

// listed are the connections of a configuration.
type listed []setting.Connection

func (l listed) Connection(_ context.Context, alias string) (setting.Connection, error) {
	for _, c := range l {
		if c.Alias == alias {
			return c, nil
		}
	}
	return setting.Connection{}, fault.New(fault.NotFound, "there is no connection %q", alias)
}

func (l listed) Scheduled(_ context.Context, fn func(setting.Connection) error) error {
	for _, c := range l {
		if c.Schedule != "" {
			if err := fn(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l listed) of(_ context.Context, organization string) ([]setting.Connection, error) {
	return slices.DeleteFunc(slices.Clone(l), func(c setting.Connection) bool { return c.Organization != organization }), nil
}

// process is what a process of an installation has.
func process(ctx context.Context, dsn, path string) (*store.Store, *engine.Engine, listed, error) {
	cfg, err := config.Load(path, all.Kinds(), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := store.Open(ctx, dsn, cfg.Dir)
	if err != nil {
		return nil, nil, nil, err
	}
	s.DB.Keyed = storetest.Keyed
	list := listed(cfg.Connections)
	e := &engine.Engine{Store: s, Kinds: all.Named, Secrets: storetest.Secrets{}, Env: source.Env{Dir: cfg.Dir}, Connections: list.of, Now: time.Now}
	return s, e, list, s.Declare(ctx, cfg.Organizations)
}

// eager is a Timing for nodes that do not live long.
var eager = Timing{Beat: 200 * time.Millisecond, Gone: 3 * time.Second, Sweep: 200 * time.Millisecond, Tick: 100 * time.Millisecond, Report: 100 * time.Millisecond,
	Refresh: time.Minute, Busy: 200 * time.Millisecond, Follow: 50 * time.Millisecond}

// child is such a process. It goes on until it is told to stop, or killed.
func child() int {
	plan.ShortChunks(7)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := func() (err error) {
		s, e, list, err := process(context.Background(), os.Getenv(childDSN), os.Getenv(childConfig))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		o, err := New(context.Background(), Options{Store: s, Engine: e, Connections: list, Workers: 3, Timing: eager,
			Node: nodes.Node{ID: os.Getenv(childNode), Host: "here"}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		if err != nil {
			return err
		}
		if err := o.Start(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // it was told to stop before it had begun
			}
			return err
		}
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		return o.Stop(patience)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// torture is an installation whose directories change and whose nodes are killed.
type torture struct {
	*rand.Rand
	t       *testing.T
	dir     string
	path    string // of the configuration
	dsn     string
	aliases []string
	people  map[string]map[string]string // by alias and key: what a person's row says
	count   int
	ldap    *simulator.Server
	nodes   []*exec.Cmd
	logs    []*os.File
	started int
}

const (
	suffix = "dc=example,dc=org"
	limits = "limits: {removals: 100%, removals_min: 1000, membership_removals: 100%, membership_removals_min: 1000, group_removals: 100%, group_removals_min: 1000, identity_changes: 100%, identity_changes_min: 1000}"
)

func (x *torture) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// found makes an installation of two organizations: files, and a simulated
// OpenLDAP.
func (x *torture) found() {
	var b strings.Builder
	b.WriteString("organizations: [{id: red}, {id: blue}]\nconnections:\n")
	for i := range 6 {
		alias := fmt.Sprintf("file-%d", i)
		fmt.Fprintf(&b, "- alias: %s\n  organization: %s\n  schedule: every 1m\n  %s\n  backend: {csv: {path: %s.csv, passwords: none}}\n", alias, []string{"red", "red", "red", "red", "red", "blue"}[i], limits, alias)
		x.aliases = append(x.aliases, alias)
		x.people[alias] = map[string]string{}
		for range 40 {
			x.hire(alias)
		}
	}
	var err error
	x.ldap, err = simulator.Start(simulator.Options{Personality: &simulator.OpenLDAP{}, Seed: 7})
	x.must(err)
	x.t.Cleanup(func() { x.must(x.ldap.Close()) })
	for _, ou := range []string{"ou=People," + suffix, "ou=Groups," + suffix} {
		if x.ldap.Tree.Find(ou) == nil {
			x.add(ou, "objectClass", "organizationalUnit")
		}
	}
	x.add("cn=reader,"+suffix, "objectClass", "person", "sn", "Reader", "userPassword", "reads")
	x.add("cn=everybody,ou=Groups,"+suffix, "objectClass", "groupOfNames", "member", "cn=reader,"+suffix)
	x.people["directory"] = map[string]string{}
	for range 60 {
		x.hire("directory")
	}
	x.aliases = append(x.aliases, "directory")
	fmt.Fprintf(&b, "- alias: directory\n  organization: blue\n  %s\n  backend:\n    ldap: {addr: %s, bind_dn: 'cn=reader,%s', bind_password: reads, base_dn: 'ou=People,%s', sync: {filter: (objectClass=inetOrgPerson), page_size: 10}, groups: {base_dn: 'ou=Groups,%s'}}\n",
		limits, x.ldap.URL, suffix, suffix, suffix)
	x.path = filepath.Join(x.dir, "rollcall.yaml")
	x.must(os.WriteFile(x.path, []byte(b.String()), 0o600))
	for _, alias := range x.aliases {
		x.write(alias)
	}
}

func (x *torture) add(dn string, pairs ...string) {
	x.t.Helper()
	_, err := x.ldap.Tree.Add(dn, pairs...)
	x.must(err)
}

func (x *torture) modify(dn string, mods ...tree.Mod) {
	x.t.Helper()
	x.must(x.ldap.Tree.Modify(dn, mods...))
}

func dnOf(key string) string { return "uid=" + key + ",ou=People," + suffix }

func (x *torture) hire(alias string) {
	x.count++
	key := fmt.Sprintf("p%d", x.count)
	x.people[alias][key] = "Clerk"
	if alias == "directory" {
		x.add(dnOf(key), "objectClass", "inetOrgPerson", "sn", "S"+key, "givenName", "G"+key, "cn", key, "mail", key+"@example.org", "title", "Clerk")
		x.modify("cn=everybody,ou=Groups,"+suffix, tree.Mod{Op: tree.AddValues, Name: "member", Values: []string{dnOf(key)}})
	}
}

// write puts a whole file in the place of the one before.
func (x *torture) write(alias string) {
	if alias == "directory" {
		return
	}
	var b strings.Builder
	b.WriteString("username,first_name,last_name,email,title\n")
	for _, key := range slices.Sorted(maps.Keys(x.people[alias])) {
		fmt.Fprintf(&b, "%s,G%s,S%s,%s@example.org,%s\n", key, key, key, key, x.people[alias][key])
	}
	name := filepath.Join(x.dir, alias+".csv")
	x.must(os.WriteFile(name+".new", []byte(b.String()), 0o600))
	x.must(os.Rename(name+".new", name))
}

// change has something happen in a directory.
func (x *torture) change(alias string) {
	for range 1 + x.IntN(8) {
		keys := slices.Sorted(maps.Keys(x.people[alias]))
		key := keys[x.IntN(len(keys))]
		switch x.IntN(4) {
		case 0:
			x.hire(alias)
		case 1:
			if len(keys) < 20 {
				continue
			}
			delete(x.people[alias], key)
			if alias == "directory" {
				x.modify("cn=everybody,ou=Groups,"+suffix, tree.Mod{Op: tree.DeleteValues, Name: "member", Values: []string{dnOf(key)}})
				x.must(x.ldap.Tree.Delete(dnOf(key)))
			}
		default:
			x.people[alias][key] = fmt.Sprintf("Title %d", x.IntN(1000))
			if alias == "directory" {
				x.modify(dnOf(key), tree.Mod{Op: tree.ReplaceValues, Name: "title", Values: []string{x.people[alias][key]}})
			}
		}
	}
	x.write(alias)
}

// begin starts the node of a place anew.
func (x *torture) begin(place int) {
	x.started++
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDSN+"="+x.dsn, childConfig+"="+x.path, fmt.Sprintf("%s=node-%d-%d", childNode, place, x.started))
	cmd.Stdout, cmd.Stderr = x.logs[place], x.logs[place]
	x.must(cmd.Start())
	x.nodes[place] = cmd
}

// victim is a node that is in the middle of a run, where there is one.
func (x *torture) victim(s *store.Store) int {
	items, err := s.WorkTable.Taken(x.t.Context())
	x.must(err)
	for range 3 {
		if len(items) == 0 {
			break
		}
		var place, nth int
		if _, err := fmt.Sscanf(items[x.IntN(len(items))].Node, "node-%d-%d", &place, &nth); err == nil {
			return place
		}
	}
	return x.IntN(len(x.nodes))
}

func endedBy(cmd *exec.Cmd, signal syscall.Signal) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == signal
}

// hurt does something to a node, and says what.
func (x *torture) hurt(place int) string {
	cmd := x.nodes[place]
	switch n := x.IntN(10); {
	case n < 7:
		x.must(cmd.Process.Kill())
		_ = cmd.Wait() //nolint:errcheck // it was killed
		x.begin(place)
		return "killed"
	case n < 9:
		x.must(cmd.Process.Signal(syscall.SIGTERM))
		// One that had not begun to listen for signals yet is simply ended by it.
		if err := cmd.Wait(); err != nil && !endedBy(cmd, syscall.SIGTERM) {
			x.t.Errorf("a node that was stopped: %v", err)
			x.tail(place)
		}
		x.begin(place)
		return "stopped"
	}
	// It stands still for longer than the others take it for alive, and goes on.
	x.must(cmd.Process.Signal(pause))
	x.wait(4 * time.Second)
	x.must(cmd.Process.Signal(resume))
	return "paused"
}

func (x *torture) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func (x *torture) end(place int) {
	_ = x.nodes[place].Process.Kill() //nolint:errcheck // it may have ended
	_ = x.nodes[place].Wait()         //nolint:errcheck // it was killed
}

// Three nodes share one PostgreSQL while their directories change, and are killed,
// stopped and paused at random. What comes out is what an undisturbed node makes of
// the same directories; no connection was worked on twice at once, and the events
// tell of everything, once and in order.
func TestNodesThatAreKilledAgainAndAgainComeToTheSameEnd(t *testing.T) {
	t.Parallel()
	dsn := databases.PostgreSQL(t)
	seed := uint64(os.Getpid())
	x := &torture{Rand: rand.New(rand.NewPCG(seed, 4)), t: t, dir: t.TempDir(), dsn: dsn, people: map[string]map[string]string{}, nodes: make([]*exec.Cmd, 3)}
	x.found()
	s, e, list, err := process(t.Context(), dsn, x.path)
	x.must(err)
	t.Cleanup(func() { x.must(s.Close()) })
	asks, err := New(t.Context(), Options{Store: s, Engine: e, Connections: list, Timing: eager, Node: nodes.Node{ID: "asks"}})
	x.must(err)
	x.must(asks.Start(t.Context()))
	t.Cleanup(func() { x.must(asks.Stop(context.Background())) })
	for place := range x.nodes {
		log, err := os.Create(filepath.Join(x.dir, fmt.Sprintf("node-%d.log", place)))
		x.must(err)
		x.logs = append(x.logs, log)
		x.begin(place)
		t.Cleanup(func() {
			x.end(place)
			if t.Failed() {
				x.tail(place)
			}
			x.must(log.Close())
		})
	}
	var asked []string
	did := map[string]int{}
	for range *rounds {
		for range 4 {
			alias := x.aliases[x.IntN(len(x.aliases))]
			x.change(alias)
			run, err := asks.Sync(t.Context(), alias, x.IntN(5) == 0, "manual", "torture")
			x.must(err)
			asked = append(asked, run.ID)
			x.wait(time.Duration(20+x.IntN(150)) * time.Millisecond)
		}
		if x.IntN(8) == 0 {
			// What was not there any more is no concern of this test.
			_ = asks.Cancel(t.Context(), asked[len(asked)-1], "torture") //nolint:errcheck // see above
		}
		did[x.hurt(x.victim(s))]++
	}
	for _, alias := range x.aliases {
		x.settle(asks, alias)
	}
	x.idle(s)
	x.check(s, asked)
	t.Logf("seed %d: %v, %d runs asked for, %s", seed, did, len(asked), x.tally(s))
	w := storetest.Open(t, dsn)
	w.Examine()
	w.Replay()
	x.same(s)
}

// settle has a connection synchronised until a run was applied; one that a person
// cancelled half way is approved.
func (x *torture) settle(o *Operator, alias string) {
	x.t.Helper()
	for {
		run, err := o.Sync(x.t.Context(), alias, true, "manual", "torture")
		x.must(err)
		var last *engine.Run
		for id := run.ID; id != ""; {
			x.must(o.Follow(x.t.Context(), id, func(r *engine.Run) error {
				last = r
				return nil
			}))
			id = x.successor(o, last)
		}
		switch {
		case last.State == engine.RunApplied && last.ID != "" && last.Summary != nil:
			return
		case last.State == engine.RunHeld:
			approved, err := o.Approve(x.t.Context(), *last.Plan, nil, "torture")
			x.must(err)
			x.must(o.Follow(x.t.Context(), approved.ID, func(*engine.Run) error { return nil }))
		}
	}
}

// successor is the run that does a run again, or "".
func (x *torture) successor(o *Operator, r *engine.Run) (id string) {
	x.t.Helper()
	x.must(o.o.Store.RunTable.List(x.t.Context(), r.Connection, 1000, func(n *engine.Run) error {
		if n.Replaces != nil && *n.Replaces == r.ID {
			id = n.ID
		}
		return nil
	}))
	return id
}

// idle waits until nothing waits and nothing is carried out.
func (x *torture) idle(s *store.Store) {
	x.t.Helper()
	for {
		waiting, running, err := s.WorkTable.Counts(x.t.Context())
		x.must(err)
		if waiting+running == 0 {
			return
		}
		x.wait(50 * time.Millisecond)
	}
}

// check looks at the runs: each has ended, and of one connection none was in the
// middle of another.
func (x *torture) check(s *store.Store, asked []string) {
	x.t.Helper()
	type span struct {
		id, state   string
		fence       int64
		from, until int64
	}
	by := map[string][]span{}
	x.must(db.Each(x.t.Context(), s.DB.Reader(), `SELECT id, connection, state, fence, started_at, finished_at FROM runs ORDER BY connection, fence, started_at`, nil, func(rows *dbRows) error {
		var r span
		var connection string
		err := rows.Scan(&r.id, &connection, &r.state, &r.fence, &r.from, &r.until)
		if r.until == 0 && r.state != "rejected" {
			x.t.Errorf("run %s of %s did not end: %s", r.id, connection, r.state)
		}
		if r.fence > 0 { // it began
			by[connection] = append(by[connection], r)
		}
		return err
	}))
	for connection, list := range by {
		for i, r := range list[1:] {
			before := list[i]
			if r.fence == before.fence {
				t := x.t
				t.Errorf("%s: runs %s and %s had one lease", connection, before.id, r.id)
			}
			if r.from < before.until {
				x.t.Errorf("%s: run %s began %d us before run %s ended (%s, %s)", connection, r.id, before.until-r.from, before.id, before.state, r.state)
			}
		}
	}
	for _, id := range asked {
		if r, err := s.RunTable.Get(x.t.Context(), id); err != nil {
			x.t.Errorf("a run that was asked for: %v", err)
		} else if r.State == engine.RunFailed && !expected(*r.Error) {
			x.t.Errorf("run %s failed: %s", r.ID, *r.Error)
		}
	}
}

// expected reports that a run failed for what this test does.
func expected(text string) bool {
	return strings.Contains(text, "does it again") || strings.Contains(text, "cancelled by torture") || strings.Contains(text, "nothing of the run was applied")
}

func (x *torture) tally(s *store.Store) string {
	var all, again, resumed int
	x.must(s.DB.Reader().QueryRowContext(x.t.Context(), `SELECT count(*), count(*) FILTER (WHERE replaces <> '') FROM runs`).Scan(&all, &again))
	for _, log := range x.logs {
		text, err := os.ReadFile(log.Name())
		x.must(err)
		resumed += strings.Count(string(text), "task=resume")
	}
	if again+resumed == 0 {
		x.t.Error("no run was taken over or carried on: nobody was hit")
	}
	return fmt.Sprintf("%d runs, %d done again, %d carried on", all, again, resumed)
}

// same compares with what one node makes of the directories as they are now.
func (x *torture) same(s *store.Store) {
	x.t.Helper()
	calm, e, list, err := process(x.t.Context(), "sqlite:"+filepath.Join(x.dir, "calm.db"), x.path)
	x.must(err)
	defer func() { x.must(calm.Close()) }()
	for _, c := range list {
		if r, err := e.Sync(x.t.Context(), c, engine.Options{Full: true, Actor: "calm"}); err != nil || r.Run.State != engine.RunApplied {
			x.t.Fatalf("%s: %+v, %v", c.Alias, r.Run, err)
		}
	}
	want, got := x.active(calm), x.active(s)
	if diff := storetest.Difference(want, got); diff != "" {
		x.t.Errorf("the end is another:\n%s", diff)
	}
}

// active tells of everybody who is in a directory, with their groups.
func (x *torture) active(s *store.Store) string {
	x.t.Helper()
	w := &storetest.World{T: x.t, Store: s}
	var out []string
	for _, a := range w.Accounts() {
		if a.Status == account.Active {
			out = append(out, fmt.Sprint(a.ID, " ", a.Organization, " ", a.Connection, " ", a.Text, " ", a.Groups))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// tail shows the end of a node's log.
func (x *torture) tail(place int) {
	text, err := os.ReadFile(x.logs[place].Name())
	if err != nil {
		return
	}
	from := max(0, len(text)-3000)
	x.t.Logf("node %d:\n%s", place, text[from:])
}
