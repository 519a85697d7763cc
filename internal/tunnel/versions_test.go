package tunnel

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/yamux"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Agent and server are not updated on the same day. What another release says besides
// (frames from 129 on, fields of JSON) is passed over, and what it does not know it
// refuses with a sentence.

// novel are frames of a release to come.
func novel(w *writer) {
	_ = w.put(129, []byte("of a later release"))
	_ = w.put(255, nil)
}

// greetings says hello as another release does.
func greetings(t *testing.T, versions string) func(*yamux.Session) {
	return func(m *yamux.Session) {
		s, err := m.OpenStream()
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		w := newWriter(s)
		_ = w.put(frameCall, []byte(`{"do":"hello","novel":[1],"hello":{`+versions+`,"program":"another","policy":{"DryRun":true,"Novel":1},"novel":{"x":1}}}`))
		novel(w)
		_ = w.flush()
		if what, body, err := newReader(s, DefaultLimits()).next(); err != nil || what != frameDone {
			t.Errorf("%d %s %v", what, body, err)
		}
	}
}

func TestAnAgentOfAnotherReleaseIsRead(t *testing.T) {
	for name, versions := range map[string]string{
		"the oldest version alone":     fmt.Sprintf(`"oldest":%d,"newest":%[1]d`, oldest),
		"a newer version as well":      fmt.Sprintf(`"oldest":%d,"newest":%d`, oldest, newest+1),
		"an older version as well":     fmt.Sprintf(`"oldest":%d,"newest":%d`, oldest-1, newest),
		"older and newer ones as well": fmt.Sprintf(`"oldest":%d,"newest":%d`, oldest-1, newest+7),
	} {
		t.Run(name, func(t *testing.T) {
			h := hub(t)
			fakeAgent(t, h, greetings(t, versions), func(w *writer, _ *yamux.Stream) {
				novel(w)
				_ = w.put(frameTaken, []byte(`{"novel":true}`))
				novel(w)
				_ = w.put(frameProgress, []byte(`{"users":1,"groups":0,"novel":"x"}`))
				_ = w.record(user(1))
				_ = w.put(frameAlive, []byte("still here"))
				_ = w.record(user(2))
				novel(w)
				_ = w.put(frameDone, []byte(`{"novel":{},"records":2,"reading":{"Full":true,"Complete":true,"Users":2,"Novel":[1]}}`))
				novel(w)
				_ = w.flush()
			})
			n := 0
			r, err := open(t, h).Read(t.Context(), source.Request{}, func(*directory.Record) error { n++; return nil })
			if err != nil || n != 2 || !r.Full || !r.Complete || r.Users != 2 {
				t.Errorf("%+v, %d records, %v", r, n, err)
			}
			h.Each("hq", func(s *Session) {
				if p := s.Hello().Policy; p == nil || !p.DryRun {
					t.Errorf("its policy is %+v", p)
				}
			})
		})
	}
}

// An older agent does not know a question of ours: it says so, and is asked others.
func TestAnAgentThatDoesNotKnowAQuestion(t *testing.T) {
	h := hub(t)
	fakeAgent(t, h, greet, func(w *writer, _ *yamux.Stream) {
		_ = w.say(frameTaken, struct{}{})
		_ = w.say(frameFail, failureOf(fault.New(fault.Denied, "an agent reads its directory and tries passwords, and does nothing else")))
	})
	src := open(t, h)
	for range 2 {
		if _, err := src.(source.Finder).Find(t.Context(), "x"); fault.KindOf(err) != fault.Denied {
			t.Error(err)
		}
	}
	if list := src.(source.Expirer).Expires(); list != nil {
		t.Errorf("%v", list)
	}
	if h.Connected("hq") != 1 {
		t.Error("it was cut off")
	}
}

func TestReleasesThatHaveNothingInCommonSaySo(t *testing.T) {
	for _, hello := range []Hello{{Oldest: newest + 1, Newest: newest + 2}, {Oldest: oldest - 2, Newest: oldest - 1}, {Oldest: newest + 1, Newest: oldest}} {
		hello.Program = "another\x1b[31m"
		_, err := agree(&hello)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "the agent (another[31m) and the server do not understand one another") || fault.HintOf(err) == "" {
			t.Errorf("%+v: %v", hello, err)
		}
	}
}

// anotherServer is a server of another release: it welcomes the agent in its words and
// then does as it likes.
func anotherServer(t *testing.T, w Worker, welcome string, then func(*Link, *yamux.Session)) error {
	t.Helper()
	here, there := net.Pipe()
	m, err := mux(here, true, limits())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer m.Close()
	all.Go(func() {
		for {
			s, err := m.AcceptStream()
			if err != nil {
				return
			}
			var c call
			what, body, err := newReader(s, limits()).next()
			if err != nil || what != frameCall || json.Unmarshal(body, &c) != nil {
				t.Errorf("%d %s %v", what, body, err)
			}
			w := newWriter(s)
			novel(w)
			switch c.Do {
			case callHello:
				_ = w.put(frameDone, []byte(welcome))
			default: // what it never heard of
				_ = w.say(frameFail, failureOf(fault.New(fault.Denied, "an agent may not ask for %q", c.Do)))
			}
			_ = w.flush()
			_ = s.Close()
		}
	})
	l, err := Dialled(t.Context(), there, &Hello{Program: "agent"}, w, DefaultLimits())
	if err != nil {
		return err
	}
	all.Go(func() { _ = l.Serve() })
	defer l.Close()
	then(l, m)
	return nil
}

func TestAServerOfAnotherReleaseIsServed(t *testing.T) {
	f := &fake{read: func(_ context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
		known, err := req.Known(directory.User, "1")
		if err != nil || !known {
			return source.Reading{}, fmt.Errorf("known: %v, %w", known, err)
		}
		return source.Reading{Full: true, Complete: true, Users: 1}, emit(user(1))
	}}
	asked := false
	err := anotherServer(t, f, fmt.Sprintf(`{"novel":1,"welcome":{"version":%d,"program":"another","novel":{}}}`, oldest), func(l *Link, m *yamux.Session) {
		asked = true
		if l.Program != "another" {
			t.Errorf("it calls itself %q", l.Program)
		}
		// An older one does not say how many nodes there are.
		if n, err := l.Nodes(t.Context()); fault.KindOf(err) != fault.Denied || n != 0 {
			t.Errorf("%d, %v", n, err)
		}
		ask := func(words string, answer func(*writer)) (frame, string) {
			s, err := m.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			w, r := newWriter(s), newReader(s, limits())
			_ = w.put(frameCall, []byte(words))
			novel(w)
			_ = w.flush()
			for {
				what, body, err := r.next()
				switch {
				case err != nil:
					t.Errorf("%s: %v", words, err)
					return 0, ""
				case what == frameAsk:
					answer(w)
				case what == frameDone || what == frameFail:
					return what, string(body)
				}
			}
		}
		if what, said := ask(`{"do":"defragment","novel":1}`, nil); what != frameFail || !strings.Contains(said, "does nothing else") {
			t.Errorf("%d %s", what, said)
		}
		what, said := ask(`{"do":"read","attributes":null,"changes":true,"novel":true,"kind":"plain"}`, func(w *writer) {
			novel(w)
			_ = w.put(frameAlive, nil)
			_ = w.put(frameAnswer, []byte(`{"yes":true,"novel":1}`))
			_ = w.flush()
		})
		if what != frameDone || !strings.Contains(said, `"records":1`) {
			t.Errorf("%d %s", what, said)
		}
	})
	if err != nil || !asked {
		t.Error(err)
	}
	for _, welcome := range []string{fmt.Sprintf(`{"welcome":{"version":%d}}`, newest+1), fmt.Sprintf(`{"welcome":{"version":%d}}`, oldest-1), `{}`} {
		err := anotherServer(t, f, welcome, func(*Link, *yamux.Session) { t.Errorf("%s is understood", welcome) })
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "does not understand") || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", welcome, err)
		}
	}
}

func TestAnAgentLearnsHowManyNodesThereAre(t *testing.T) {
	h := hub(t)
	link := make(chan *Link, 1)
	join(t, h, func(c net.Conn) {
		if l, err := Dialled(context.Background(), c, &Hello{}, &fake{}, DefaultLimits()); err == nil {
			link <- l
			_ = l.Serve() //nolint:errcheck // it ends with the test
		}
	})
	if n, err := (<-link).Nodes(t.Context()); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A process that serves nobody has no agents, and says who has.
func TestWhoServesNobodyNamesTheServer(t *testing.T) {
	for _, serves := range []bool{true, false} {
		h := hub(t)
		if !serves {
			h.Nodes = nil
		}
		r, err := h.Remote(t.Context(), connection)
		if err != nil {
			t.Fatal(err)
		}
		src, err := r.Open()
		if err != nil {
			t.Fatal(err)
		}
		_, err = src.Preset(t.Context())
		if fault.KindOf(err) != fault.Unavailable || strings.Contains(fault.HintOf(err), "--server") == serves {
			t.Errorf("%v (hint %q)", err, fault.HintOf(err))
		}
		own := connection
		own.Kind = agentKind
		if _, err = h.Remote(t.Context(), own); fault.KindOf(err) != fault.Unavailable || strings.Contains(fault.HintOf(err), "--server") == serves {
			t.Errorf("%v (hint %q)", err, fault.HintOf(err))
		}
	}
}

// words lists what a type is called as JSON, field by field.
func words(t reflect.Type, path string) (out []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 || t.Kind() == reflect.Map {
		path, t = path+map[bool]string{true: "[]"}[t.Kind() != reflect.Pointer], t.Elem()
	}
	if text, odd := reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler](); t.Kind() != reflect.Struct || t.Implements(text) || t.Implements(odd) {
		return []string{path + " " + t.String()}
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, words(f.Type, path+"."+name)...)
	}
	return out
}

// Most of what is said are types of ours that have other readers as well. Who renames a
// field of them must not do so unnoticed: agents of the release before go on saying the
// old word, and a dry-run that is not understood is none.
func TestTheWordsOfTheProtocolStayWhatTheyAre(t *testing.T) {
	var got []string
	for _, v := range []any{call{}, outcome{}, source.Step{}, ask{}, answer{}, progress{}, Progress{}, failure{}} {
		got = append(got, words(reflect.TypeOf(v), reflect.TypeOf(v).String())...)
	}
	want, err := os.ReadFile("testdata/words.txt")
	if text := strings.Join(got, "\n") + "\n"; err != nil || text != string(want) {
		t.Errorf("the words are others than in testdata/words.txt (%v). A new one may be added there. One that is gone or called otherwise is still said by agents, and by servers, of the release before:\n%s", err, text)
	}
}

// Where nobody knew yet what an agent reads, nothing is asked of it: its settings may be
// others than those of the last run.
func TestAnAgentThatJoinsAfterTheQuestionWasMade(t *testing.T) {
	h := hub(t)
	h.Agents = func(context.Context, string) ([]Agent, error) { return []Agent{{ID: "agt_1", Kind: "plain"}}, nil }
	src := open(t, h)
	join(t, h, func(c net.Conn) {
		if l, err := Dialled(context.Background(), c, &Hello{Kind: "plain", Basis: "x"}, &fake{}, DefaultLimits()); err == nil {
			_ = l.Serve() //nolint:errcheck // it ends with the test
		}
	})
	if _, err := src.Preset(t.Context()); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "at this very moment") || fault.HintOf(err) == "" {
		t.Error(err)
	}
	if _, err := open(t, h).Preset(t.Context()); err != nil {
		t.Error(err)
	}
}

// The server tells its own log why an agent did not stay.
func TestWhyAnAgentDidNotStay(t *testing.T) {
	for name, c := range map[string]struct {
		hello string
		kind  fault.Kind
		want  string
	}{
		"it speaks versions of its own": {`{"oldest":98,"newest":99,"program":"another"}`, fault.Invalid, "do not understand one another"},
		"it reads what nobody knows":    {`{"oldest":1,"newest":1,"kind":"novel"}`, fault.Invalid, `a source "novel", which the server does not know`},
		"it says nothing":               {``, fault.Unavailable, ErrWent.Error()},
	} {
		here, there := net.Pipe()
		var all sync.WaitGroup
		all.Go(func() {
			m, err := mux(there, false, limits())
			if err != nil {
				return
			}
			defer m.Close()
			if c.hello == "" {
				return
			}
			s, err := m.OpenStream()
			if err != nil {
				return
			}
			w := newWriter(s)
			_ = w.put(frameCall, []byte(`{"do":"hello","hello":`+c.hello+`}`))
			_ = w.flush()
			if what, body, err := newReader(s, limits()).next(); err != nil || what != frameFail || !strings.Contains(failed(body).Error(), "agent") {
				t.Errorf("%s: it is told %d %s %v", name, what, body, err)
			}
		})
		_, err := hub(t).Join(t.Context(), here, "agt_1", "hq", func(*Hello) error { return nil })
		if fault.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		all.Wait()
	}
}
