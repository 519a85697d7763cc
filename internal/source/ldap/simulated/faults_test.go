package simulated

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/proxy"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/simulator/wire"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/ldap"
	"rollcall.dev/rollcall/internal/store/storetest"
)

// Whatever happens to a reading, by whichever method, at whichever byte and at
// whichever request: nobody who is in the directory is removed or disabled or
// loses a group they are in, and one undisturbed run afterwards brings the
// accounts to where a run never disturbed would have them. Those are what
// another installation has that reads everything each time.
func TestNoFaultTakesAnybodyAway(t *testing.T) {
	ad := func(change func(p *simulator.ActiveDirectory)) *simulator.ActiveDirectory {
		p := &simulator.ActiveDirectory{Suffix: suffix, MaxPageSize: 8, MaxValRange: 5, DirSyncRound: 6}
		if change != nil {
			change(p)
		}
		return p
	}
	seesDeleted := func(p *simulator.ActiveDirectory) { p.DeletedReaders = []string{reader} }
	// Another server of the same directory answers when the first cannot be reached.
	second := func(p simulator.Personality) simulator.Personality {
		if p, ok := p.(*simulator.ActiveDirectory); ok {
			return p.Another("dc2", 500_000)
		}
		return p
	}
	for i, x := range []struct {
		name   string
		kind   simulator.Personality
		method string
		tls    bool
	}{
		{"everything from Active Directory", ad(nil), "off", false},
		{"everything from OpenLDAP, encrypted", &simulator.OpenLDAP{SizeLimit: -1}, "off", true},
		{"DirSync", ad(seesDeleted), "dirsync", false},
		{"DirSync, encrypted, deletions unseen", ad(func(p *simulator.ActiveDirectory) { p.DirSyncValues = 2 }), "dirsync", true},
		{"USN", ad(nil), "usn", false},
		{"USN, encrypted, deletions seen", ad(func(p *simulator.ActiveDirectory) { seesDeleted(p); p.Traces = true }), "usn", true},
		{"content sync of OpenLDAP", &simulator.OpenLDAP{SizeLimit: -1, SessionLog: 6}, "syncrepl", false},
		{"content sync of OpenLDAP, encrypted", &simulator.OpenLDAP{SizeLimit: -1}, "syncrepl", true},
		{"content sync of 389 DS", &simulator.DS389{SizeLimit: -1}, "syncrepl", false},
		{"content sync of 389 DS, encrypted", &simulator.DS389{SizeLimit: -1}, "syncrepl", true},
		{"the time of a change", &simulator.OpenLDAP{SizeLimit: -1}, "modify-timestamp", false},
		{"the time of a change, encrypted", &simulator.DS389{SizeLimit: -1}, "modify-timestamp", true},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			newTrial(t, uint64(i)+1, x.kind, second(x.kind), x.method, x.tls).run()
		})
	}
}

// trial is one line of the table at work.
type trial struct {
	*rand.Rand
	t         *testing.T
	office    *office
	line      *proxy.Proxy
	second    string // the address of another server of the directory
	tls       bool
	method    string
	disturbed *storetest.World
	calm      *storetest.World
	before    map[string]person // the accounts of the one world, as last looked at
	counts    []proxy.Count     // of the last undisturbed run
	requests  int64             // of it
	struck    atomic.Int64
	failed    int            // disturbed runs that ended in an error
	methods   map[string]int // by which undisturbed runs read
}

func newTrial(t *testing.T, seed uint64, kind, other simulator.Personality, method string, encrypted bool) *trial {
	t.Helper()
	config, ca := certificate(t)
	tr := &trial{Rand: rand.New(rand.NewPCG(seed, 0xfa)), t: t, tls: encrypted, method: method, methods: map[string]int{}}
	tr.office = newOffice(t, seed, simulator.Options{Personality: kind, TLS: config})
	tr.office.settled = method != "off"
	target, scheme, more := tr.office.s.Addr(), "ldap://", setting.Values{"sync.method": method}
	if encrypted {
		target, scheme = strings.TrimPrefix(tr.office.s.TLSURL, "ldaps://"), "ldaps://"
		more["tls.ca_file"] = ca
	}
	var err error
	tr.line, err = proxy.Start(target, nil)
	must(t, err)
	t.Cleanup(func() { must(t, tr.line.Close()) })
	second := start(t, simulator.Options{Personality: other, Tree: tr.office.s.Tree})
	tr.second = second.URL
	tr.disturbed = world(t, tr.office.settings(scheme+tr.line.Addr, more))
	tr.calm = world(t, tr.office.settings(tr.office.s.URL, setting.Values{"sync.method": "off"}))
	return tr
}

// world is an installation with one connection to the directory and no limit
// that would hold a plan.
func world(t *testing.T, backend setting.Values) *storetest.World {
	t.Helper()
	w := storetest.Open(t, databases.SQLite(t))
	w.Engine.Kinds = func(string) (source.Kind, bool) { return ldap.Kind, true }
	w.Connect("hq", func(c *setting.Connection) {
		c.Kind, c.Backend = "ldap", backend
		c.Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1}
	})
	return w
}

func (tr *trial) run() {
	tr.undisturbed()
	for round := 0; tr.struck.Load() < points; round++ {
		for range tr.IntN(5) {
			tr.office.edit(false)
		}
		if tr.IntN(12) == 0 {
			tr.office.s.Forget()
		}
		for range 1 + tr.IntN(4) {
			tr.disturb()
		}
		tr.undisturbed()
		if tr.t.Failed() {
			tr.t.Fatalf("in round %d, after %d faults. Last happened:\n%s", round, tr.struck.Load(), strings.Join(last(tr.office.told, 15), "\n"))
		}
		tr.office.now = tr.office.now.Add(time.Duration(1+tr.IntN(8*3600)) * time.Second)
	}
	tr.disturbed.Examine()
	tr.t.Logf("%d faults, of which %d ended the run; undisturbed runs read by %v", tr.struck.Load(), tr.failed, tr.methods)
	if want := map[string]string{"off": "full"}[tr.method]; want == "" && tr.methods[tr.method] == 0 || tr.failed < points/4 {
		tr.t.Errorf("the method was not put to the test")
	}
}

func last(list []string, n int) []string { return list[max(0, len(list)-n):] }

// sync is one run of a world.
func (tr *trial) sync(ctx context.Context, w *storetest.World) (*engine.Result, error) {
	w.Clock = tr.office.now
	return w.Engine.Sync(ctx, *w.Conn("hq"), engine.Options{Actor: "tester", Trigger: "manual"})
}

// undisturbed runs both worlds, which must then have the same accounts.
func (tr *trial) undisturbed() {
	tr.t.Helper()
	tr.line.SetPlan(nil)
	var mu sync.Mutex // searches and what else is asked run beside one another
	first, lastOne := int64(0), int64(0)
	tr.office.s.SetHook(func(c *simulator.Call) *simulator.Twist {
		mu.Lock()
		defer mu.Unlock()
		lastOne = max(lastOne, c.Number)
		if first == 0 {
			first = c.Number
		}
		return nil
	})
	r, err := tr.sync(tr.t.Context(), tr.disturbed)
	tr.applied(r, err)
	tr.office.s.SetHook(nil)
	mu.Lock()
	tr.counts, tr.requests = tr.line.Counts(), lastOne-first+1
	mu.Unlock()
	tr.methods[r.Run.Reading.Method]++
	r, err = tr.sync(tr.t.Context(), tr.calm)
	tr.applied(r, err)
	tr.before = people(tr.disturbed)
	got, want := tr.told(tr.before), tr.told(people(tr.calm))
	for name := range want {
		// Who came and went between two runs of the one, the other has never seen.
		if !tr.office.in(name) && got[name] == "" {
			delete(want, name)
		}
	}
	maps.DeleteFunc(got, func(name, _ string) bool { return !tr.office.in(name) && want[name] == "" })
	text := func(m map[string]string) string { return strings.Join(slices.Sorted(maps.Values(m)), "") }
	if got, want := text(got), text(want); got != want {
		tr.t.Errorf("undisturbed at last, the accounts are others:\n%s", storetest.Difference(want, got))
	}
}

// told is what applications see of each account. Of somebody who left it is no
// matter in which groups they were when they were last seen.
func (tr *trial) told(all map[string]person) map[string]string {
	out := map[string]string{}
	for name, p := range all {
		if out[name] = p.line; !tr.office.in(name) {
			out[name] = name + " " + p.status + "\n"
		}
	}
	return out
}

func (tr *trial) applied(r *engine.Result, err error) {
	tr.t.Helper()
	must(tr.t, err)
	if r.Run.State != engine.RunApplied || !r.Run.Reading.Complete {
		tr.t.Fatalf("an undisturbed run is %s, its reading %+v", r.Run.State, r.Run.Reading)
	}
}

// disturb runs the one world with a fault, and looks whether anybody was wronged.
func (tr *trial) disturb() {
	tr.t.Helper()
	backend := tr.disturbed.Conn("hq").Backend
	first := backend.List("addr")
	ctx, cancel := context.WithCancel(tr.t.Context())
	defer cancel()
	var what string
	edits := len(tr.office.told)
	switch n := tr.IntN(30); {
	case n == 0:
		what = tr.breakFirst()
		backend["addr"] = append(slices.Clone(first), tr.second)
	case n < 20:
		what = tr.breakLine(cancel)
	default:
		what = tr.breakServer()
	}
	// Where bytes are missing both sides wait for them. How long is no matter.
	backend["sync.idle_timeout"] = 250 * time.Millisecond
	_, err := tr.sync(ctx, tr.disturbed)
	delete(backend, "sync.idle_timeout")
	backend["addr"] = first
	if err != nil {
		tr.failed++
	}
	tr.office.s.SetHook(nil)
	tr.line.SetPlan(nil)
	edited := len(tr.office.told) > edits
	tr.office.tell("[%s: %v]", what, err)
	before := tr.before
	tr.before = people(tr.disturbed)
	for name, was := range before {
		if was.status != string(account.Active) || !tr.office.active(name) {
			continue
		}
		is := tr.before[name]
		if is.status != string(account.Active) {
			tr.t.Errorf("%s: %s is in the directory and has lost the account (%v)", what, name, err)
			continue
		}
		if edited {
			// Who is renamed between the reading of people and that of groups is called
			// otherwise in the one than in the other. The next run puts it right.
			continue
		}
		mine := tr.office.groupsOf(name)
		for _, g := range was.groups {
			if slices.Contains(mine, g) && !slices.Contains(is.groups, g) {
				tr.t.Errorf("%s: %s is in group %s and was taken out of it (%v)", what, name, g, err)
			}
		}
	}
}

// person is what applications see of an account: all of it as a line.
type person struct {
	status string
	groups []string
	line   string
}

// people gives the accounts by their usernames.
func people(w *storetest.World) map[string]person {
	out := map[string]person{}
	for line := range strings.Lines(w.People()) {
		line = strings.TrimSpace(line)
		name, rest, _ := strings.Cut(line, " ")
		status, _, _ := strings.Cut(rest, " ")
		_, groups, _ := strings.Cut(line, "groups=")
		out[name] = person{status: status, groups: strings.Split(groups, ","), line: line + "\n"}
	}
	return out
}

// breakLine plans a fault at a random byte of what went through in the last
// undisturbed run. Bytes that are missing or turned are noticed where they are
// encrypted alone: LDAP itself has nothing to tell them by.
func (tr *trial) breakLine(cancel func()) string {
	faults := []proxy.Fault{proxy.Cut, proxy.Reset, proxy.HalfCut, proxy.Stall, proxy.Trickle}
	if tr.tls {
		faults = append(faults, proxy.Swallow, proxy.Flip)
	}
	n := tr.IntN(len(tr.counts))
	p := proxy.Random(tr.Uint64(), tr.counts[n], faults...)
	p.Struck = func() {
		tr.struck.Add(1)
		if p.Fault == proxy.Stall {
			cancel()
		}
	}
	tr.line.SetPlan(func(conn int) proxy.Plan {
		if conn == n+1 {
			return p
		}
		return proxy.Plan{}
	})
	return fmt.Sprintf("connection %d: %s", n+1, p)
}

// breakFirst lets the first server be out of reach, so that the second is asked.
func (tr *trial) breakFirst() string {
	tr.line.SetPlan(func(int) proxy.Plan {
		return proxy.Plan{Fault: proxy.Reset, Direction: proxy.ToServer, Struck: func() { tr.struck.Add(1) }}
	})
	return "the first server is away"
}

// breakServer lets the server go wrong at a random request.
func (tr *trial) breakServer() string {
	at, n := 1+tr.Int64N(tr.requests), 1+tr.IntN(6)
	codes := []int{wire.OperationsError, wire.ProtocolError, wire.TimeLimitExceeded, wire.SizeLimitExceeded, wire.AdminLimitExceeded,
		wire.NoSuchObject, wire.InsufficientAccess, wire.Busy, wire.Unavailable, wire.UnwillingToPerform, wire.Other, wire.SyncRefreshRequired}
	refusal := &wire.Result{Code: codes[tr.IntN(len(codes))], Text: "a made-up reason"}
	deeds := []struct {
		name  string
		twist *simulator.Twist
		do    func()
	}{
		{fmt.Sprintf("result %d", refusal.Code), &simulator.Twist{Instead: refusal}, nil},
		{fmt.Sprintf("result %d before entry %d", refusal.Code, n), &simulator.Twist{Instead: refusal, Deed: simulator.Stop, At: n}, nil},
		{"good-bye before the end", &simulator.Twist{Deed: simulator.Goodbye, At: simulator.Last}, nil},
		{fmt.Sprintf("garbage at entry %d", n), &simulator.Twist{Deed: simulator.Garbage, At: n}, nil},
		{fmt.Sprintf("a huge message at entry %d", n), &simulator.Twist{Deed: simulator.OverLong, At: n}, nil},
		{fmt.Sprintf("entry %d comes twice", n), &simulator.Twist{Deed: simulator.Repeat, At: n}, nil},
		{"a restart", nil, func() { tr.office.s.Forget(); tr.office.s.Disconnect() }},
		{"an edit", nil, func() { tr.office.edit(true) }},
	}
	d := deeds[tr.IntN(len(deeds))]
	from := int64(0)
	tr.office.s.SetHook(func(c *simulator.Call) *simulator.Twist {
		if from == 0 {
			from = c.Number
		}
		if c.Number != from+at-1 {
			return nil
		}
		tr.struck.Add(1)
		if d.do != nil {
			d.do()
		}
		return d.twist
	})
	return fmt.Sprintf("request %d of %d: %s", at, tr.requests, d.name)
}

// The directory of the trials does what its own eyes say.
func TestTheOfficeKnowsWhoIsThere(t *testing.T) {
	f := newOffice(t, 3, simulator.Options{Personality: &simulator.OpenLDAP{SizeLimit: -1}})
	for range 200 {
		f.edit(false)
	}
	p := mustRead(t, f.settings(f.s.URL, nil), "uid")
	n := 0
	for name := range f.people {
		if f.in(name) {
			n++
		}
	}
	if !p.Complete || len(p.people) != n || len(p.groups) != len(f.groups) {
		t.Errorf("%d people and %d groups were read, want %d and %d", len(p.people), len(p.groups), n, len(f.groups))
	}
}
