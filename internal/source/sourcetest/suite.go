package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Run lets a kind go through the whole suite, each part with a stand-in of its own.
func Run(t *testing.T, s Suite) {
	t.Helper()
	for _, part := range []struct {
		name string
		run  func(*bench)
	}{
		{"a full reading tells of everybody", full},
		{"a reading without changes tells of none", unchanged},
		{"readings of changes and sweeps end where a full reading does", changes},
		{"what a reading of changes says may be said twice", repeated},
		{"names may hold anything", odd},
		{"a reading broken off at any request removes nobody", broken},
		{"a reading of changes broken off at any request removes nobody", brokenChanges},
		{"a mark that is not known any more leads to a full reading by itself", expired},
		{"a mark of something else leads to a full reading by itself", foreign},
		{"a token that ends in the middle is renewed", tokens},
		{"a vendor who asks for patience gets it", throttled},
		{"a short outage is waited for", outage},
		{"a long outage ends", outageWithoutEnd},
		{"a missing permission is named", refused},
		{"a cancelled reading ends at once", cancelled},
		{"a check goes through and names nothing secret", checked},
		{"through the engine, no fault removes anybody", throughTheEngine},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, &s)
			part.run(b)
		})
	}
}

// bench is one stand-in with a source that reads it.
type bench struct {
	*testing.T
	suite  *Suite
	clock  *Clock
	vendor Vendor
	world  World
	kind   source.Kind
	src    source.Source
}

func newBench(t *testing.T, s *Suite) *bench {
	t.Helper()
	b := &bench{T: t, suite: s, clock: NewClock(), world: World{People: map[string]Person{}, Groups: map[string]Group{}}}
	b.vendor = s.Start(t, b.clock)
	for n := range 12 {
		b.put(somebody(n))
	}
	b.putGroup(Group{ID: "g00", Name: "All", Members: ids(0, 12)})
	b.putGroup(Group{ID: "g01", Name: "Few", Members: ids(3, 5)})
	b.putGroup(Group{ID: "g02", Name: "Nobody"})
	b.kind = s.Kind(b.clock)
	b.src = b.open()
	// What was there before is not of now.
	b.clock.Pass(24 * time.Hour)
	return b
}

// open opens a source of its own, as another run does.
func (b *bench) open() source.Source {
	b.Helper()
	v := b.vendor.Settings()
	if err := setting.Defaults(b.kind.Options, v); err != nil {
		b.Fatal(err)
	}
	src, err := b.kind.Open(v, source.Env{Dir: b.TempDir(), Guard: Loopback})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = src.Close() })
	return src
}

func somebody(n int) Person {
	login := fmt.Sprintf("person%02d@example.org", n)
	return Person{ID: id(n), Login: login, Email: login, First: fmt.Sprintf("First%02d", n), Last: fmt.Sprintf("Last%02d", n)}
}

func id(n int) string { return fmt.Sprintf("p%02d", n) }

func ids(from, to int) []string {
	var out []string
	for n := from; n < to; n++ {
		out = append(out, id(n))
	}
	return out
}

func (b *bench) put(p Person) {
	b.world.People[p.ID] = p
	b.vendor.Put(p)
}

func (b *bench) putGroup(g Group) {
	b.world.Groups[g.ID] = g
	b.vendor.PutGroup(g)
}

func (b *bench) remove(id string) {
	delete(b.world.People, id)
	for key, g := range b.world.Groups {
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m string) bool { return m == id })
		b.world.Groups[key] = g
	}
	b.vendor.Remove(id)
}

func (b *bench) removeGroup(id string) {
	delete(b.world.Groups, id)
	b.vendor.RemoveGroup(id)
}

// picture is a fresh one.
func (b *bench) picture() *Picture { return pictureOf(b) }

// filled is one after a full reading, checked against the world.
func (b *bench) filled() *Picture {
	b.Helper()
	p := b.picture()
	b.read(p)
	same(b, p, b.world)
	return p
}

// read reads, and must succeed and be complete.
func (b *bench) read(p *Picture) source.Reading {
	b.Helper()
	r, err := p.Read(b.Context())
	if err != nil {
		b.Fatalf("read: %v (hint %q)", err, fault.HintOf(err))
	}
	if !r.Complete {
		b.Fatalf("the reading is not complete: %s", r.Reason)
	}
	b.discreet(append(r.Notes, r.Reason)...)
	return r
}

// discreet checks that texts hold nothing secret.
func (b *bench) discreet(texts ...string) {
	b.Helper()
	for _, secret := range b.vendor.Secrets() {
		for _, text := range texts {
			if secret != "" && strings.Contains(text, secret) {
				b.Errorf("a secret is in %q", text)
			}
		}
	}
}

func (b *bench) discreetError(err error) {
	b.Helper()
	if err != nil {
		b.discreet(err.Error(), fault.HintOf(err))
	}
}

func full(b *bench) {
	p := b.filled()
	if p.Next == nil && !b.suite.FullOnly {
		b.Error("there is no mark to read changes from")
	}
	r := b.read(b.picture())
	if !r.Full || r.Method == "" {
		b.Errorf("method %q, full %v", r.Method, r.Full)
	}
}

func unchanged(b *bench) {
	p := b.filled()
	for n := range 3 {
		b.clock.Pass(time.Hour)
		if r := b.read(p); b.suite.FullOnly {
			if !r.Full {
				b.Errorf("reading %d is not a full one", n)
			}
		} else if r.Full {
			b.Errorf("reading %d reads everything: %q", n, r.Notes)
		} else if r.Users+r.Groups > 0 && n > 0 {
			b.Errorf("reading %d tells of %d people and %d groups, though nothing changed", n, r.Users, r.Groups)
		}
		same(b, p, b.world)
	}
}

// steps are changes of a world, one after the other.
func (b *bench) steps() []func() {
	g := func(id string, members ...string) func() {
		return func() {
			group := b.world.Groups[id]
			group.Members = members
			b.putGroup(group)
		}
	}
	return []func(){
		func() { b.put(somebody(12)) },
		func() {
			p := somebody(3)
			p.Login = "renamed@example.org"
			b.put(p)
		},
		func() { b.remove(id(7)) },
		g("g02", id(1), id(12)),
		g("g02", id(12)),
		func() { p := b.world.People[id(4)]; p.Disabled = true; b.put(p) },
		func() { b.putGroup(Group{ID: "g03", Name: "New", Members: ids(0, 3)}) },
		func() { b.putGroup(Group{ID: "g01", Name: "Some", Members: ids(3, 5)}) },
		func() { b.removeGroup("g00") },
		func() { b.remove(id(0)) },
		func() { b.put(somebody(7)) }, // the same ID again, as a restored one has
	}
}

func changes(b *bench) {
	p := b.filled()
	p.Sweep = true
	for n, step := range b.steps() {
		b.clock.Pass(time.Hour)
		step()
		if r := b.read(p); r.Full && !b.suite.FullOnly {
			b.Errorf("step %d was read in full: %q", n, r.Notes)
		}
		same(b, p, b.world)
	}
	for _, step := range b.steps()[:2] {
		step()
	}
	b.read(p)
	same(b, p, b.world)
}

func repeated(b *bench) {
	b.vendor.Repeat(true)
	p := b.filled()
	p.Sweep = true
	for _, step := range b.steps() {
		b.clock.Pass(time.Hour)
		step()
		b.read(p)
		same(b, p, b.world)
	}
	// The same mark twice, as after a run that broke off while it was applied.
	before := slices.Clone(p.Next)
	b.clock.Pass(time.Hour)
	b.put(somebody(20))
	b.read(p)
	p.Next = before
	b.read(p)
	same(b, p, b.world)
}

func odd(b *bench) {
	for n, name := range []string{
		"<script>alert(1)</script>", "日本語 ŝ \u202eright to left", "nul\x00and\x01others", strings.Repeat("long", 2000), `"quoted" \u0000 \ %s %n ${HOME}`,
		"emoji 👩‍👩‍👧‍👦", " spaces ", "a;b,c=d&e?f#g/h", "line\r\nX-Injected: yes",
	} {
		p := somebody(30 + n)
		p.Login, p.First, p.Last = name, name, name
		b.put(p)
		b.putGroup(Group{ID: fmt.Sprintf("g3%d", n), Name: name, Members: []string{p.ID}})
	}
	p := b.filled()
	b.clock.Pass(time.Hour)
	who := somebody(30)
	who.Login = "\u0000"
	b.put(who)
	b.read(p)
	same(b, p, b.world)
}

// breaks are ways in which a reading can go wrong for good.
func (b *bench) breaks() map[string]Fault {
	out := map[string]Fault{
		"status 500": Status(500), "status 404": Status(404), "status 400": Status(400), "status 403": Says(b.vendor.Refusal()),
		"cut":       Cut,
		"half":      Half,
		"no JSON":   Instead("<html>sign in</html>"),
		"null":      Instead("null"),
		"an object": Instead("{}"),
		"nothing":   Instead(""),
		"a string":  Instead(`"all is well"`),
	}
	return out
}

// attempt reads while something is wrong: whatever the verdict, nobody of the world is
// missing in the picture afterwards. It says whether the reading went well.
func (b *bench) attempt(what string, p *Picture) bool {
	b.Helper()
	r, err := p.Read(b.Context())
	b.discreetError(err)
	b.discreet(append(r.Notes, r.Reason)...)
	have := map[string]bool{}
	for _, rec := range p.Records {
		have[string(rec.ID)] = true
	}
	for id := range b.world.People {
		if len(p.Records) > 0 && !have[id] {
			b.Fatalf("%s: %s is taken for gone", what, id)
		}
	}
	if err == nil && !r.Complete && r.Reason == "" {
		b.Errorf("%s: not complete, and no reason given", what)
	}
	return err == nil && r.Complete
}

func broken(b *bench) {
	b.vendor.Faults().Clear()
	whole := b.filled()
	requests := b.vendor.Faults().Seen()
	if requests < 4 {
		b.Fatalf("a full reading takes %d requests: the pages are too large to break off between them", requests)
	}
	for name, fault := range b.breaks() {
		for n := 1; n <= requests; n++ {
			p := b.picture().like(whole)
			b.vendor.Faults().Set(n, 0, fault)
			what := fmt.Sprintf("%s at request %d", name, n)
			if b.attempt(what, p) && p.Text() != b.world.Text() {
				b.Fatalf("%s: read as complete:\n%s\n\nwant:\n%s", what, p.Text(), b.world.Text())
			}
		}
	}
	b.vendor.Faults().Clear()
	b.filled()
}

func brokenChanges(b *bench) {
	whole := b.filled()
	b.clock.Pass(time.Hour)
	b.put(somebody(12))
	b.putGroup(Group{ID: "g01", Name: "Few", Members: ids(2, 5)})
	before := World{People: map[string]Person{}, Groups: map[string]Group{}}
	for id := range b.world.People {
		before.People[id] = b.world.People[id]
	}
	delete(b.world.People, id(12)) // nobody knows of it until a reading went well
	trial := func() *Picture {
		p := b.picture().like(whole)
		p.Next, p.Sweep = slices.Clone(whole.Next), true
		return p
	}
	b.vendor.Faults().Clear()
	b.read(trial())
	requests := b.vendor.Faults().Seen()
	for name, fault := range b.breaks() {
		for n := 1; n <= requests; n++ {
			b.vendor.Faults().Set(n, 0, fault)
			p := trial()
			what := fmt.Sprintf("%s at request %d of %d", name, n, requests)
			b.attempt(what, p)
			// Whatever came of it, the next reading gets everything.
			b.vendor.Faults().Clear()
			b.read(p)
			now := b.world.Clone()
			now.People = before.People
			same(b, p, now)
		}
	}
}

func expired(b *bench) {
	p := b.filled()
	b.vendor.ExpireCursors()
	b.clock.Pass(time.Hour)
	b.remove(id(2))
	b.put(somebody(14))
	p.Sweep = true
	b.read(p)
	same(b, p, b.world)
	// So long ago that no vendor remembers: by itself a full one.
	b.clock.Pass(200 * 24 * time.Hour)
	b.remove(id(3))
	p.Sweep = false
	if r := b.read(p); !r.Full {
		b.Error("a mark of half a year ago is read from")
	}
	same(b, p, b.world)
}

func foreign(b *bench) {
	for _, mark := range []string{"", "x", "{}", "null", "[]", `{"version":1}`, `{"version":99}`, strings.Repeat("[", 10000), "\x00\xff"} {
		p := b.filled()
		p.Next = source.Cursor(mark)
		if mark == "" {
			p.Next = source.Cursor{}
		}
		if r := b.read(p); !r.Full {
			b.Errorf("%.20q is read from", mark)
		}
		same(b, p, b.world)
	}
}

func tokens(b *bench) {
	b.vendor.Faults().Clear()
	b.filled()
	requests := b.vendor.Faults().Seen()
	for n := 1; n <= requests; n++ {
		b.vendor.Faults().Set(n, 1, Before(b.vendor.ExpireTokens))
		p := b.picture()
		b.read(p)
		same(b, p, b.world)
	}
}

func throttled(b *bench) {
	b.vendor.Faults().Clear()
	b.filled()
	requests := b.vendor.Faults().Seen()
	for _, throttle := range b.vendor.Throttles() {
		for n := 1; n <= requests; n++ {
			before := b.clock.Waited()
			b.vendor.Faults().Set(n, 2, Says(throttle.Answer))
			p := b.picture()
			b.read(p)
			same(b, p, b.world)
			if waited := b.clock.Waited() - before; waited < throttle.Least || waited <= 0 {
				b.Errorf("%s at request %d: waited for %s only", throttle.Name, n, waited)
			}
		}
	}
}

func outage(b *bench) {
	for _, code := range []int{500, 502, 503, 504} {
		b.vendor.Faults().Set(2, 2, Status(code))
		p := b.picture()
		b.read(p)
		same(b, p, b.world)
	}
	b.vendor.Faults().Set(3, 1, Cut)
	p := b.picture()
	b.read(p)
	same(b, p, b.world)
}

func outageWithoutEnd(b *bench) {
	p := b.filled()
	b.vendor.Faults().Set(1, 0, Status(503))
	before := b.clock.Waited()
	_, err := p.Read(b.Context())
	if fault.KindOf(err) != fault.Unavailable {
		b.Errorf("%v, want it to be called unavailable", err)
	}
	b.discreetError(err)
	if seen, waited := b.vendor.Faults().Seen(), b.clock.Waited()-before; seen > 50 || waited > 2*time.Hour {
		b.Errorf("it asked %d times and waited for %s", seen, waited)
	}
	same(b, p, b.world)
}

func refused(b *bench) {
	p := b.filled()
	b.vendor.Faults().Set(1, 0, Says(b.vendor.Refusal()))
	_, err := p.Read(b.Context())
	if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error()+fault.HintOf(err), b.suite.Permission) {
		b.Errorf("%v (kind %d, hint %q), want it denied and %s named", err, fault.KindOf(err), fault.HintOf(err), b.suite.Permission)
	}
	b.discreetError(err)
	if seen := b.vendor.Faults().Seen(); seen > 3 {
		b.Errorf("asked %d times, though the answer was clear", seen)
	}
	steps := b.check()
	if !slices.ContainsFunc(steps, func(s source.Step) bool {
		return s.Verdict == source.Fail && strings.Contains(s.Detail+s.Hint, b.suite.Permission)
	}) {
		b.Errorf("no step of the check names %s: %+v", b.suite.Permission, steps)
	}
}

func cancelled(b *bench) {
	b.vendor.Faults().Clear()
	whole := b.filled()
	requests := b.vendor.Faults().Seen()
	for n := 1; n <= requests; n++ {
		ctx, cancel := context.WithCancel(b.Context())
		var once sync.Once
		b.vendor.Faults().Set(n, 0, Hang(func() { once.Do(cancel) }))
		p := b.picture().like(whole)
		_, err := p.Read(ctx)
		cancel()
		if err == nil {
			b.Fatalf("cancelled at request %d, and no error", n)
		}
		if !errors.Is(err, context.Canceled) {
			b.Errorf("cancelled at request %d: %v does not say so", n, err)
		}
		b.discreetError(err)
		same(b, p, b.world)
	}
}

func (b *bench) check() []source.Step {
	var steps []source.Step
	b.open().Check(b.Context(), func(s source.Step) {
		if s.Name == "" || s.Section == "" || s.Verdict == "" {
			b.Errorf("a step without name, section or verdict: %+v", s)
		}
		b.discreet(s.Detail, s.Hint)
		steps = append(steps, s)
	})
	return steps
}

func checked(b *bench) {
	b.vendor.Faults().Clear()
	sections, counted := map[source.Section]bool{}, false
	for _, s := range b.check() {
		if s.Verdict == source.Fail {
			b.Errorf("%s: %s (%s)", s.Name, s.Detail, s.Hint)
		}
		sections[s.Section] = true
		counted = counted || s.Section == source.Users && s.Count != nil && *s.Count > 0
	}
	for _, want := range []source.Section{source.Address, source.SignIn, source.Users, source.Groups, source.Changes} {
		if !sections[want] {
			b.Errorf("no step is about %s", want)
		}
	}
	if !counted {
		b.Error("no step says how many people there are")
	}
	for name, fault := range b.breaks() {
		for n := 1; n <= 3; n++ {
			b.vendor.Faults().Set(n, 0, fault)
			if steps := b.check(); len(steps) == 0 {
				b.Errorf("%s at request %d: no steps", name, n)
			}
		}
	}
}
