package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// fake is a source, an authenticator and the worker who opens both.
type fake struct {
	read    func(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error)
	prove   func(ctx context.Context, login, password string) (source.Proof, error)
	preset  source.Preset
	failure error
	opened  []string
	mu      sync.Mutex
}

func (f *fake) Open(kind string, sent map[string]json.RawMessage) (source.Source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, _ := json.Marshal(sent)
	f.opened = append(f.opened, kind+string(text))
	return f, f.failure
}

func (f *fake) Authenticator(string, map[string]json.RawMessage) (source.Authenticator, func(), error) {
	return f, func() {}, f.failure
}

func (f *fake) Preset(context.Context) (source.Preset, error) { return f.preset, nil }
func (f *fake) Close() error                                  { return nil }

func (f *fake) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	return f.read(ctx, req, emit)
}

func (f *fake) Check(_ context.Context, report func(source.Step)) {
	report(source.Step{Name: "bind", Section: source.SignIn, Verdict: source.OK, Detail: "fine\x1b[31m\x00"})
}

func (f *fake) Prove(ctx context.Context, login, password string, _ []string) (source.Proof, error) {
	return f.prove(ctx, login, password)
}

// told is Finder, Looker, Expirer and Watcher as well.
func (f *fake) Find(_ context.Context, login string, _ []string) (source.Proof, error) {
	return source.Proof{Standing: source.Nobody, Name: login}, nil
}

var kinds = map[string]source.Kind{
	"plain": {Name: "plain", Refer: strings.ToLower, Options: []setting.Option{{Name: "addr"}, {Name: "page", Type: setting.Int}, {Name: "wait", Type: setting.Duration}, {Name: "list", Type: setting.List},
		{Name: "file", Local: true}, {Name: "on", Type: setting.Bool}, {Name: "big", Type: setting.Size}},
		Authenticator: func(setting.Values, source.Env) (source.Authenticator, error) { return nil, nil }},
	"table": {Name: "table", Passwords: true, Refer: strings.ToLower},
	"push":  {Name: "push", Pushes: true, Refer: strings.ToLower},
}

func limits() Limits {
	l := DefaultLimits()
	l.Records, l.Record, l.Items, l.Message, l.Steps, l.Found = 1000, 64<<10, 1000, 16<<10, 20, 5
	return l
}

// hub is a server's end with limits that are soon reached.
func hub(t *testing.T) *Hub {
	t.Helper()
	return &Hub{Limits: limits(), Program: "server", Nodes: func(context.Context) (int, error) { return 3, nil }, Kinds: func(name string) (source.Kind, bool) { k, ok := kinds[name]; return k, ok },
		Agents: func(context.Context, string) ([]Agent, error) { return []Agent{{ID: "agt_1"}}, nil }}
}

var connection = setting.Connection{Alias: "hq", Kind: "plain", Backend: setting.Values{"addr": "dir:389", "page": 5}}

// join connects both ends, and gives the session and what ended the agent's.
func join(t *testing.T, h *Hub, far func(net.Conn)) *Session {
	t.Helper()
	here, there := net.Pipe()
	var all sync.WaitGroup
	all.Go(func() { far(there) })
	s, err := h.Join(t.Context(), here, "agt_1", "hq", func(*Hello) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		_ = there.Close() //nolint:errcheck // it is over
		all.Wait()
	})
	return s
}

// with is a hub with an honest agent.
func with(t *testing.T, w Worker, hello Hello) (*Hub, *Session) {
	t.Helper()
	h := hub(t)
	return h, join(t, h, func(c net.Conn) {
		l, err := Dialled(context.Background(), c, &hello, w, DefaultLimits())
		if err != nil {
			return
		}
		_ = l.Serve() //nolint:errcheck // it ends with the test
		l.Close()
	})
}

func open(t *testing.T, h *Hub) source.Source {
	t.Helper()
	r, err := h.Remote(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func user(i int) *directory.Record {
	return &directory.Record{Kind: directory.User, ID: directory.ExternalID(fmt.Sprint(i)), Name: fmt.Sprint("cn=", i), Ref: fmt.Sprint("cn=", i),
		Attributes: []directory.Attribute{{Name: "mail", Values: []string{fmt.Sprint(i, "@x.org")}}}}
}

func TestARecordAndAReadingComeAsTheyWereGiven(t *testing.T) {
	f := &fake{read: func(_ context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
		if len(req.Attributes) != 1 || req.From != nil || req.Known != nil || !req.Now.Equal(time.Unix(5, 0)) {
			return source.Reading{}, fmt.Errorf("asked for %+v", req)
		}
		req.Progress(1, 0)
		for i := range 300 {
			if err := emit(user(i)); err != nil {
				return source.Reading{}, err
			}
		}
		return source.Reading{Full: true, Complete: true, Users: 300, Next: source.Cursor("next"), Notes: []string{"a note"}}, emit(&directory.Record{Kind: directory.User, Name: "odd", Ref: "odd", Problem: "no ID"})
	}}
	h, _ := with(t, f, Hello{Program: "agent"})
	var got []*directory.Record
	told := 0
	r, err := open(t, h).Read(t.Context(), source.Request{Attributes: []string{"mail"}, Now: time.Unix(5, 0), Progress: func(users, _ int) { told = users }}, func(r *directory.Record) error {
		got = append(got, r)
		return nil
	})
	if err != nil || len(got) != 301 || got[7].First("MAIL") != "7@x.org" || got[300].Problem != "no ID" || string(r.Next) != "next" || r.Notes[0] != "a note" || !r.Full || told != 1 {
		t.Errorf("%v, %d records, %+v, told of %d", err, len(got), r, told)
	}
	if f.opened[0] != `plain{"addr":"dir:389","page":5}` {
		t.Errorf("opened %s", f.opened)
	}
}

func TestAnErrorKeepsItsKindItsHintAndItsText(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Internal, fault.NotFound, fault.Invalid, fault.Conflict, fault.Denied, fault.Unavailable} {
		h, _ := with(t, &fake{failure: fault.New(kind, "ldap: bind: no").WithHint("try again")}, Hello{})
		_, err := open(t, h).Preset(t.Context())
		if fault.KindOf(err) != kind || err.Error() != "ldap: bind: no" || fault.HintOf(err) != "try again" {
			t.Errorf("%d: %v", kind, err)
		}
	}
	// Nobody out there says that a plan waits.
	h, _ := with(t, &fake{failure: fault.New(fault.Held, "wait")}, Hello{})
	if _, err := open(t, h).Preset(t.Context()); fault.KindOf(err) != fault.Internal {
		t.Error(err)
	}
}

func TestWhoCancelsEndsTheWorkAtTheOtherSide(t *testing.T) {
	stopped := make(chan error, 1)
	f := &fake{read: func(ctx context.Context, _ source.Request, emit func(*directory.Record) error) (source.Reading, error) {
		for i := 0; ; i++ {
			if err := emit(user(i % 10)); err != nil {
				stopped <- err
				return source.Reading{}, err
			}
			if ctx.Err() != nil {
				stopped <- ctx.Err()
				return source.Reading{}, ctx.Err()
			}
		}
	}}
	h, _ := with(t, f, Hello{})
	h.Limits.Records = 1 << 30
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, err := open(t, h).Read(ctx, source.Request{}, func(*directory.Record) error {
		if n++; n == 50 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || <-stopped == nil {
		t.Error(err)
	}
	// An error of whoever takes the records is given back as it is.
	mine := errors.New("the disk is full")
	if _, err := open(t, h).Read(t.Context(), source.Request{}, func(*directory.Record) error { return mine }); !errors.Is(err, mine) || <-stopped == nil {
		t.Error(err)
	}
}

// A reader that takes its time holds the directory up, and nobody's memory fills.
func TestWhoReadsSlowlyHoldsTheAgentUp(t *testing.T) {
	var mu sync.Mutex
	sent := 0
	f := &fake{read: func(_ context.Context, _ source.Request, emit func(*directory.Record) error) (source.Reading, error) {
		for i := range 20_000 {
			r := user(i)
			r.Attributes[0].Values[0] = strings.Repeat("x", 1000)
			if err := emit(r); err != nil {
				return source.Reading{}, err
			}
			mu.Lock()
			sent++
			mu.Unlock()
		}
		return source.Reading{Full: true}, nil
	}}
	h, _ := with(t, f, Hello{})
	h.Limits.Records = 1 << 30
	got, most := 0, 0
	_, err := open(t, h).Read(t.Context(), source.Request{}, func(*directory.Record) error {
		got++
		mu.Lock()
		most = max(most, sent-got)
		mu.Unlock()
		return nil
	})
	// A window, and what both sides and the pipe hold in buffers.
	if limit := 2 * (window + 4*64<<10) / 1000; err != nil || got != 20_000 || most > limit {
		t.Errorf("%v, %d records came, up to %d were on their way, want %d at the most", err, got, most, limit)
	}
}

func TestWhatIsKnownIsFetchedOnce(t *testing.T) {
	const there = 5000
	f := &fake{read: func(_ context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
		for i := range there + 10 {
			known, err := req.Known(directory.User, directory.ExternalID(fmt.Sprint(i)))
			if err != nil {
				return source.Reading{}, err
			}
			r := user(i)
			if known {
				r = &directory.Record{Kind: directory.User, ID: r.ID, Present: true}
			}
			if known != (i < there) {
				return source.Reading{}, fmt.Errorf("%d is known: %v", i, known)
			}
			if err := emit(r); err != nil {
				return source.Reading{}, err
			}
		}
		// What this very reading said counts as well.
		known, err := req.Known(directory.User, directory.ExternalID(fmt.Sprint(there)))
		if err != nil || !known {
			return source.Reading{}, fmt.Errorf("what was just told of is not known: %w", err)
		}
		if err := emit(&directory.Record{Kind: directory.User, ID: "3", Gone: true}); err != nil {
			return source.Reading{}, err
		}
		if known, err := req.Known(directory.User, "3"); err != nil || known {
			return source.Reading{}, fmt.Errorf("what has just gone is known: %w", err)
		}
		return source.Reading{Swept: true, Complete: true}, nil
	}}
	for _, listed := range []bool{true, false} {
		h, _ := with(t, f, Hello{})
		h.Limits.Records = 1 << 20
		asked, lists, present, whole := 0, 0, 0, 0
		req := source.Request{From: source.Cursor("x"), Sweep: true, Known: func(_ directory.Kind, id directory.ExternalID) (bool, error) {
			asked++
			n := 0
			_, err := fmt.Sscan(string(id), &n)
			return n < there, err
		}, Anew: func() error { return nil }}
		if listed {
			req.Keys = func(fn func(directory.Digest) error) error {
				lists++
				for i := range there {
					if err := fn(directory.KeyOf(directory.User, directory.ExternalID(fmt.Sprint(i)))); err != nil {
						return err
					}
				}
				return nil
			}
		}
		_, err := open(t, h).Read(t.Context(), req, func(r *directory.Record) error {
			if r.Present {
				present++
			} else {
				whole++
			}
			return nil
		})
		if err != nil || present != there || whole != 11 || listed && (asked != fewQuestions || lists != 1) || !listed && asked != there+10 {
			t.Errorf("%v: %d present, %d whole, %d questions, %d lists", err, present, whole, asked, lists)
		}
	}
}

// Records of changes are announced together before they are handed on, in their order;
// a question finds all handed on that came before it.
func TestChangesAreLookedUpTogether(t *testing.T) {
	long := strings.Repeat("x", 50<<10)
	f := &fake{read: func(_ context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
		for i := range 300 {
			if err := emit(user(i)); err != nil {
				return source.Reading{}, err
			}
			if i == 1 {
				if _, err := req.Known(directory.User, "7"); err != nil {
					return source.Reading{}, err
				}
			}
		}
		for i := range 30 {
			if err := emit(&directory.Record{Kind: []directory.Kind{directory.Group, directory.Inner}[i%2], ID: directory.ExternalID(fmt.Sprint(i)), Name: long}); err != nil {
				return source.Reading{}, err
			}
		}
		return source.Reading{Complete: true}, nil
	}}
	h, _ := with(t, f, Hello{})
	var told []string
	handed := 0
	req := source.Request{
		From: source.Cursor("x"),
		Known: func(directory.Kind, directory.ExternalID) (bool, error) {
			told = append(told, fmt.Sprint("asked behind ", handed))
			return true, nil
		},
		Soon: func(kind directory.Kind, ids []directory.ExternalID) error {
			told = append(told, fmt.Sprintf("%d of kind %d from %s behind %d", len(ids), kind, ids[0], handed))
			return nil
		},
		Anew: func() error { return nil },
	}
	emit := func(*directory.Record) error { handed++; return nil }
	if _, err := open(t, h).Read(t.Context(), req, emit); err != nil || handed != 330 {
		t.Errorf("%v, %d records", err, handed)
	}
	want := []string{"2 of kind 1 from 0 behind 0", "asked behind 2", "256 of kind 1 from 2 behind 2", "42 of kind 1 from 258 behind 258", "21 of kind 2 from 0 behind 258",
		"9 of kind 2 from 21 behind 321"}
	if !slices.Equal(told, want) {
		t.Errorf("got %q", told)
	}

	refused := errors.New("the mirror is not there")
	req.Soon = func(directory.Kind, []directory.ExternalID) error { return refused }
	handed = 0
	if _, err := open(t, h).Read(t.Context(), req, emit); !errors.Is(err, refused) || handed != 0 {
		t.Errorf("%v, %d records", err, handed)
	}
}

func TestAReadingOfChangesMayReadEverythingAnew(t *testing.T) {
	refused := errors.New("the mirror is not there")
	for _, want := range []error{nil, refused} {
		f := &fake{read: func(_ context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
			if err := req.Anew(); err != nil {
				return source.Reading{}, err
			}
			return source.Reading{Full: true, Complete: true}, emit(user(1))
		}}
		h, _ := with(t, f, Hello{})
		called := false
		_, err := open(t, h).Read(t.Context(), source.Request{From: source.Cursor("x"), Anew: func() error { called = true; return want }}, func(*directory.Record) error { return nil })
		if !called || !errors.Is(err, want) {
			t.Errorf("%v, called: %v", err, called)
		}
	}
}

func TestPasswordsAreProved(t *testing.T) {
	f := &fake{prove: func(_ context.Context, login, password string) (source.Proof, error) {
		switch {
		case login == "down":
			return source.Proof{}, fault.New(fault.Unavailable, "the directory does not answer")
		case password == "right":
			return source.Proof{Standing: source.Proved, Right: true, Name: "cn=" + login, Record: user(1)}, nil
		}
		return source.Proof{Standing: source.Wrong}, nil
	}}
	h, _ := with(t, f, Hello{})
	r, err := h.Remote(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Authenticator()
	if err != nil {
		t.Fatal(err)
	}
	if p, err := a.Prove(t.Context(), "jo", "right", nil); err != nil || p.Standing != source.Proved || !p.Right || p.Name != "cn=jo" || p.Record == nil || p.Record.ID != "1" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := a.Prove(t.Context(), "jo", "wrong", nil); err != nil || p.Standing != source.Wrong || p.Record != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := a.Prove(t.Context(), "down", "x", nil); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	if _, err := a.Prove(t.Context(), "jo", "", nil); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
	if p, err := a.Find(t.Context(), "jo", nil); err != nil || p.Standing != source.Nobody {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestStepsAreTidy(t *testing.T) {
	h, _ := with(t, &fake{}, Hello{})
	var steps []source.Step
	open(t, h).Check(t.Context(), func(s source.Step) { steps = append(steps, s) })
	if len(steps) != 2 || steps[0].Name != "agent" || steps[1].Detail != "fine[31m" {
		t.Errorf("%+v", steps)
	}
}

func TestVersionsAreAgreedOn(t *testing.T) {
	for _, c := range []struct {
		name  string
		hello Hello
		want  int // 0 refused
	}{
		{"the same", Hello{Oldest: oldest, Newest: newest}, newest},
		{"a newer agent that still speaks ours", Hello{Oldest: oldest, Newest: newest + 1}, newest},
		{"one that does not any more", Hello{Oldest: newest + 1, Newest: newest + 2}, 0},
		{"one too old", Hello{Oldest: oldest - 1, Newest: oldest - 1}, 0},
		{"nonsense", Hello{Oldest: newest + 1, Newest: oldest}, 0},
	} {
		if got, err := agree(&c.hello); got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %d, %v", c.name, got, err)
		}
	}
}

func TestWhatAFileAndAServerSayNeverMix(t *testing.T) {
	h, s := with(t, &fake{}, Hello{Kind: "table", Basis: "b", Shown: map[string]json.RawMessage{}})
	r, err := h.Remote(t.Context(), connection)
	if err != nil || !r.Own || r.Kind.Name != "table" || r.Basis != "b" || r.Authenticator != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	f := &fake{}
	s.hello.Store(&Hello{Kind: "table", Basis: "other"})
	src, err := r.Open()
	if err == nil {
		_, err = src.Preset(t.Context())
	}
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "do not read the same directory") || f.opened != nil {
		t.Errorf("an agent that reads something else: %v", err)
	}
}

func TestWithoutAnAgentNothingIsRead(t *testing.T) {
	h := hub(t)
	_, err := open(t, h).Read(t.Context(), source.Request{}, nil)
	if fault.KindOf(err) != fault.Unavailable || fault.HintOf(err) == "" || err.Error() != "no agent of connection hq is connected" {
		t.Error(err)
	}
	h.Agents = func(context.Context, string) ([]Agent, error) { return nil, nil }
	if r, err := h.Remote(t.Context(), connection); r != nil || err != nil {
		t.Errorf("a connection without agents: %+v, %v", r, err)
	}
	// Who revokes the last agent does not ask for another way to the directory.
	h.Agents = func(context.Context, string) ([]Agent, error) {
		return []Agent{{ID: "a", Revoked: true, Kind: "table"}}, nil
	}
	if r, err := h.Remote(t.Context(), connection); r != nil || fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), "agents forget") {
		t.Errorf("all agents revoked: %+v, %v", r, err)
	}
	c := connection
	c.Kind = agentKind
	if _, err := h.Remote(t.Context(), c); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	h.Agents = func(context.Context, string) ([]Agent, error) { return []Agent{{ID: "a"}}, nil }
	if _, err := h.Remote(t.Context(), c); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	// What the agent reads is known while it is away.
	h.Agents = func(context.Context, string) ([]Agent, error) {
		return []Agent{{ID: "a", Kind: "table", Policy: &setting.Policy{NoDelete: true}}}, nil
	}
	if r, err := h.Remote(t.Context(), c); err != nil || r.Kind.Name != "table" || !r.Own || len(r.Policies) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	c.Kind = "push"
	h.Agents = func(context.Context, string) ([]Agent, error) { return []Agent{{ID: "a"}}, nil }
	if _, err := h.Remote(t.Context(), c); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestSettingsTravelWithTheirTypesAndNameNoFile(t *testing.T) {
	v := setting.Values{"addr": "a", "page": 7, "wait": time.Minute, "list": []string{"x", "y"}, "on": true, "big": int64(1 << 40), source.RemoteBasis: "b", "authentication.provider.client_secret": "s"}
	sent, err := encodeSettings(v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeSettings(kinds["plain"], sent)
	delete(v, source.RemoteBasis)
	delete(v, "authentication.provider.client_secret")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
		t.Errorf("%v, %v", got, err)
	}
	for name, c := range map[string]struct {
		sent string
		kind fault.Kind
	}{
		"a file of the agent's machine": {`{"file":"/etc/shadow"}`, fault.Denied},
		"a setting there is not":        {`{"shell":"x"}`, fault.Invalid},
		"another type":                  {`{"page":"x"}`, fault.Invalid},
	} {
		var m map[string]json.RawMessage
		if err := json.Unmarshal([]byte(c.sent), &m); err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeSettings(kinds["plain"], m); fault.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A node that does not take a call up is passed over, and so is one that is gone.
func TestAnotherAgentTakesUpWhatOneDoesNot(t *testing.T) {
	f := &fake{preset: source.Preset{Vendor: "second"}}
	h := hub(t)
	h.Limits.Accepted = 20 * time.Millisecond
	silent := func(c net.Conn) {
		m, err := mux(c, false, limits())
		if err != nil {
			return
		}
		greet(m)
		for {
			if _, err := m.AcceptStream(); err != nil {
				return
			}
		}
	}
	join(t, h, silent)
	join(t, h, silent)
	join(t, h, func(c net.Conn) {
		if l, err := Dialled(context.Background(), c, &Hello{}, f, DefaultLimits()); err == nil {
			_ = l.Serve() //nolint:errcheck // it ends with the test
		}
	})
	for range 6 {
		if p, err := open(t, h).Preset(t.Context()); err != nil || p.Vendor != "second" {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if first := h.connected("hq")[0]; first.suspect.Load() {
		t.Error("who does not answer is asked first")
	}
}

// greet says hello as an agent does.
func greet(m *yamux.Session) {
	s, err := m.OpenStream()
	if err != nil {
		return
	}
	_ = newWriter(s).say(frameCall, call{Do: callHello, Hello: &Hello{Oldest: 1, Newest: 1}}) //nolint:errcheck // the test sees it
	_, _, _ = newReader(s, DefaultLimits()).next()                                            //nolint:errcheck // too
	_ = s.Close()                                                                             //nolint:errcheck // too
}

func TestAnAgentThatLeavesFinishesWhatItDoes(t *testing.T) {
	going, goOn := make(chan struct{}), make(chan struct{})
	f := &fake{read: func(context.Context, source.Request, func(*directory.Record) error) (source.Reading, error) {
		close(going)
		<-goOn
		return source.Reading{Full: true, Complete: true}, nil
	}}
	h := hub(t)
	link := make(chan *Link, 1)
	s := join(t, h, func(c net.Conn) {
		l, err := Dialled(context.Background(), c, &Hello{}, f, DefaultLimits())
		if err == nil {
			link <- l
			_ = l.Serve() //nolint:errcheck // it ends with the test
		}
	})
	read := make(chan error, 1)
	src := open(t, h)
	go func() {
		_, err := src.Read(context.Background(), source.Request{}, nil)
		read <- err
	}()
	<-going
	l := <-link
	if _, err := l.ask(t.Context(), call{Do: callLeave}, nil); err != nil || h.Connected("hq") != 0 {
		t.Errorf("%v, %d are asked", err, h.Connected("hq"))
	}
	left := make(chan struct{})
	go func() {
		l.Leave(context.Background())
		l.Close()
		close(left)
	}()
	close(goOn)
	if err := <-read; err != nil {
		t.Error(err)
	}
	<-left
	<-s.Done()
}

func TestARunForAnAgent(t *testing.T) {
	h := hub(t)
	h.Sync = func(_ context.Context, connection, agent string, full bool, report func(Progress)) (json.RawMessage, error) {
		report(Progress{Phase: "reading", Done: 3})
		if !full {
			return nil, fault.New(fault.Conflict, "another run goes on").WithHint("wait")
		}
		return json.RawMessage(`{"id":"` + connection + agent + `"}`), nil
	}
	link := make(chan *Link, 1)
	join(t, h, func(c net.Conn) {
		if l, err := Dialled(context.Background(), c, &Hello{}, &fake{}, DefaultLimits()); err == nil {
			link <- l
			_ = l.Serve() //nolint:errcheck // it ends with the test
		}
	})
	l := <-link
	var told Progress
	run, err := l.Sync(t.Context(), true, func(p Progress) { told = p })
	if err != nil || string(run) != `{"id":"hqagt_1"}` || told.Done != 3 {
		t.Errorf("%s, %v, %+v", run, err, told)
	}
	if _, err := l.Sync(t.Context(), false, nil); fault.KindOf(err) != fault.Conflict || fault.HintOf(err) != "wait" {
		t.Error(err)
	}
}
