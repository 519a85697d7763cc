package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// fakeAgent is an agent that says hello, takes calls up, and then does as it likes.
func fakeAgent(t *testing.T, h *Hub, hello func(*yamux.Session), then func(*writer, *yamux.Stream)) {
	t.Helper()
	join(t, h, func(c net.Conn) {
		m, err := mux(c, false, limits())
		if err != nil {
			return
		}
		hello(m)
		for {
			s, err := m.AcceptStream()
			if err != nil {
				return
			}
			go func() {
				defer s.Close()
				if what, _, err := newReader(s, DefaultLimits()).next(); err == nil && what == frameCall {
					then(newWriter(s), s)
				}
			}()
		}
	})
}

func header(what frame, length uint32) []byte {
	b := make([]byte, headerLength)
	b[0] = byte(what)
	binary.BigEndian.PutUint32(b[1:], length)
	return b
}

// What an agent cannot have the server do: each lie ends the reading with an error, and
// takes no more memory or time than its limit.
func TestAnAgentThatLiesIsNotBelieved(t *testing.T) {
	taken := func(w *writer) { _ = w.say(frameTaken, struct{}{}) }
	raw := func(s *yamux.Stream, b []byte) { _, _ = s.Write(b) }
	endless := func(w *writer, what frame, body []byte) {
		for w.put(what, body) == nil && w.flush() == nil {
			continue
		}
	}
	encoded := func(r *directory.Record) []byte { return r.Append([]byte{0}) }
	members := &directory.Record{Kind: directory.Group, ID: "g", Name: "g", Ref: "g", Members: make([]string, 5000)}
	for _, c := range []struct {
		name string
		want string // in the error
		do   func(*writer, *yamux.Stream)
	}{
		{"records without end", "more than 1000 records", func(w *writer, _ *yamux.Stream) { endless(w, frameRecord, encoded(user(1))) }},
		{"progress without end", "does not come to an end", func(w *writer, _ *yamux.Stream) { endless(w, frameProgress, []byte(`{}`)) }},
		{"a record larger than it may be", "bytes, where", func(_ *writer, s *yamux.Stream) { raw(s, header(frameRecord, 1<<31)) }},
		{"a message larger than it may be", "bytes, where", func(_ *writer, s *yamux.Stream) { raw(s, header(frameDone, 1<<20)) }},
		{"more members than a group may have", "more than 1000 values", func(w *writer, _ *yamux.Stream) { _ = w.record(members); _ = w.flush() }},
		{"a count of members that is a lie", "values", func(w *writer, _ *yamux.Stream) {
			b := encoded(&directory.Record{Kind: directory.Group, ID: "g"})
			_ = w.put(frameRecord, append(b[:len(b)-2], 0xff, 0xff, 0xff, 0xff, 0x07))
			_ = w.flush()
		}},
		{"garbage", "not of the protocol", func(_ *writer, s *yamux.Stream) { raw(s, []byte("HTTP/1.1 200 OK\r\n\r\n")) }},
		{"a frame there is not", "of the kind 99", func(_ *writer, s *yamux.Stream) { raw(s, header(99, 0)) }},
		{"a frame that is cut short", "in the middle of the work", func(_ *writer, s *yamux.Stream) { raw(s, header(frameRecord, 100)); raw(s, []byte{1, 2, 3}) }},
		{"a damaged record", "not of the protocol", func(w *writer, _ *yamux.Stream) { _ = w.put(frameRecord, []byte{0, 1, 1, 0xff}); _ = w.flush() }},
		{"a record of another kind", "damaged record", func(w *writer, _ *yamux.Stream) {
			r := user(1)
			r.Kind = 7
			_ = w.record(r)
			_ = w.flush()
		}},
		{"a removal in a reading of everything", "a removal", func(w *writer, _ *yamux.Stream) {
			_ = w.record(&directory.Record{Kind: directory.User, ID: "1", Gone: true})
			_ = w.flush()
		}},
		{"a password where there are none", "a password", func(w *writer, _ *yamux.Stream) {
			r := user(1)
			r.Password = "x"
			_ = w.record(r)
			_ = w.flush()
		}},
		{"an entry without ID or problem", "without an ID", func(w *writer, _ *yamux.Stream) {
			_ = w.record(&directory.Record{Kind: directory.User, Name: "x"})
			_ = w.flush()
		}},
		{"an end that counts other records", "were sent and", func(w *writer, _ *yamux.Stream) {
			_ = w.record(user(1))
			_ = w.say(frameDone, outcome{Reading: &source.Reading{Full: true, Complete: true}, Records: 2})
		}},
		{"an end before the end", "in the middle of the work", func(w *writer, _ *yamux.Stream) { _ = w.record(user(1)); _ = w.flush() }},
		{"an end without a verdict", "not of the protocol", func(w *writer, _ *yamux.Stream) { _ = w.say(frameDone, outcome{}) }},
		{"steps in a reading", "is no outcome", func(w *writer, _ *yamux.Stream) { _ = w.say(frameStep, source.Step{}) }},
		{"a question nobody may ask", "not of the protocol", func(w *writer, _ *yamux.Stream) { _ = w.say(frameAsk, ask{All: true}) }},
		{"numbers below nothing", "not of the protocol", func(w *writer, _ *yamux.Stream) { _ = w.say(frameProgress, progress{Users: -1}) }},
		{"silence", "in the middle of the work", func(_ *writer, s *yamux.Stream) { _, _ = io.Copy(io.Discard, s) }},
		{"life without work", "does not get on", func(w *writer, _ *yamux.Stream) { endless(w, frameAlive-1, nil); endless(w, frameTaken, []byte(`{}`)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hub(t)
			h.Limits.Silence = 200 * time.Millisecond
			if c.name == "life without work" {
				h.Limits.Records, h.Limits.Idle = 1<<40, 50*time.Millisecond
				c.do = func(w *writer, _ *yamux.Stream) { endless(w, frameTaken, []byte(`{}`)) }
			}
			h.Limits.Accepted = 5 * time.Second
			fakeAgent(t, h, greet, func(w *writer, s *yamux.Stream) {
				taken(w)
				c.do(w, s)
			})
			kinds := 0
			_, err := open(t, h).Read(t.Context(), source.Request{}, func(*directory.Record) error { kinds++; return nil })
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), c.want) || fault.HintOf(err) == "" && c.want != "does not get on" {
				t.Errorf("%v (hint %q)", err, fault.HintOf(err))
			}
			if kinds > h.Limits.Records {
				t.Errorf("%d records were believed", kinds)
			}
		})
	}
}

func TestOtherCallsAreBoundedToo(t *testing.T) {
	h := hub(t)
	answers := make(chan func(*writer), 1)
	fakeAgent(t, h, greet, func(w *writer, _ *yamux.Stream) {
		_ = w.say(frameTaken, struct{}{})
		(<-answers)(w)
	})
	src := open(t, h)
	answers <- func(w *writer) {
		for w.say(frameStep, source.Step{Name: "x", Verdict: "splendid"}) == nil {
			continue
		}
	}
	steps := 0
	var last source.Step
	src.Check(t.Context(), func(s source.Step) { steps++; last = s })
	if steps != limits().Steps+2 || last.Verdict != source.Fail || last.Name != "agent" {
		t.Errorf("%d steps, the last %+v", steps, last)
	}
	answers <- func(w *writer) { _ = w.say(frameDone, outcome{Found: make([]source.Found, 5000)}) }
	if f, _ := source.As[source.Finder](src); f != nil {
		if found, err := f.Find(t.Context(), "x"); err == nil && len(found) > limits().Found {
			t.Errorf("%d found", len(found))
		}
	}
	looker, _ := source.As[source.Looker](src)
	answers <- func(w *writer) {
		for w.record(user(1)) == nil && w.flush() == nil {
			continue
		}
	}
	if err := looker.Look(t.Context(), "x", nil, func(*directory.Record) error { t.Error("one was believed"); return nil }); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	r, err := h.Remote(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Authenticator()
	if err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(*writer){
		"a standing there is not": func(w *writer) { _ = w.say(frameDone, outcome{Proof: &proof{Standing: "king"}}) },
		"two people": func(w *writer) {
			_ = w.record(user(1))
			_ = w.record(user(2))
			_ = w.say(frameDone, outcome{Proof: &proof{Standing: source.Proved}})
		},
		"a group": func(w *writer) {
			_ = w.record(&directory.Record{Kind: directory.Group, ID: "1"})
			_ = w.say(frameDone, outcome{Proof: &proof{Standing: source.Proved}})
		},
		"nothing": func(w *writer) { _ = w.say(frameDone, outcome{}) },
	} {
		answers <- lie
		if p, err := a.Prove(t.Context(), "jo", "pw", nil); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// A stranger's bytes in place of an agent's: the connection ends, and nobody joins.
func TestWhoDoesNotSayHelloDoesNotJoin(t *testing.T) {
	for name, far := range map[string]func(net.Conn){
		"bytes of something else": func(c net.Conn) { _, _ = io.WriteString(c, strings.Repeat("GET / HTTP/1.1\r\n", 100)) },
		"nothing":                 func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"an end":                  func(c net.Conn) { _ = c.Close() },
	} {
		h := hub(t)
		h.Limits.Silence = 100 * time.Millisecond
		here, there := net.Pipe()
		go far(there)
		if _, err := h.Join(t.Context(), here, "agt_1", "hq", func(*Hello) error { return nil }); fault.KindOf(err) != fault.Unavailable || h.Connected("hq") != 0 {
			t.Errorf("%s: %v", name, err)
		}
		_ = there.Close()
	}
}

// What a server cannot have an agent do.
func TestAServerThatLiesGetsNothing(t *testing.T) {
	h := hub(t)
	f := &fake{read: func(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
		_, err := req.Known(directory.User, "1")
		return source.Reading{}, err
	}}
	s := join(t, h, func(c net.Conn) {
		if l, err := Dialled(context.Background(), c, &Hello{}, f, limits()); err == nil {
			_ = l.Serve() //nolint:errcheck // it ends with the test
		}
	})
	for _, do := range []string{"shell", "exec", "write", "modify", callHello, callSync, callLeave, "", strings.Repeat("x", 1000)} {
		stream, err := s.mux.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_ = newWriter(stream).say(frameCall, call{Do: do})
		r := newReader(stream, limits())
		what, _, _ := r.next()
		second, body, _ := r.next()
		if what != frameTaken || second != frameFail || fault.KindOf(failed(body)) != fault.Denied {
			t.Errorf("%q: %d, %d %s", do, what, second, body)
		}
		_ = stream.Close()
	}
	for name, b := range map[string][]byte{
		"garbage":           []byte("GET / HTTP/1.1\r\n\r\n"),
		"a frame too large": header(frameCall, 1<<30),
		"no call at all":    append(header(frameAnswer, 2), '{', '}'),
		"no JSON":           append(header(frameCall, 2), '{', '{'),
	} {
		stream, err := s.mux.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = stream.Write(b)
		if what, _, err := newReader(stream, limits()).next(); !errors.Is(err, io.EOF) && !errors.Is(err, yamux.ErrConnectionReset) {
			t.Errorf("%s: %d, %v", name, what, err)
		}
		_ = stream.Close()
	}
	if len(f.opened) != 0 {
		t.Errorf("opened: %s", f.opened)
	}
	// It answers what was not asked, and nothing that was: the reading ends there.
	stream, err := s.mux.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(stream)
	_ = w.say(frameCall, call{Do: callRead, Kind: "plain", From: source.Cursor("x"), Changes: true})
	_ = w.put(frameKeys, []byte("not a key"))
	_ = w.flush()
	r := newReader(stream, limits())
	for {
		what, body, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if what == frameFail {
			if !strings.Contains(failed(body).Error(), "not of the protocol") {
				t.Errorf("%s", body)
			}
			break
		}
	}
	// And it is still good for what it is there for.
	if _, err := open(t, h).Preset(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnAgentWorksOnSoManyCallsAtOnce(t *testing.T) {
	h := hub(t)
	h.Limits.Accepted = 100 * time.Millisecond
	lim := limits()
	lim.AtOnce = 2
	going, goOn := make(chan struct{}, 9), make(chan struct{})
	f := &fake{prove: func(context.Context, string, string) (source.Proof, error) {
		going <- struct{}{}
		<-goOn
		return source.Proof{Standing: source.Wrong}, nil
	}}
	join(t, h, func(c net.Conn) {
		if l, err := Dialled(context.Background(), c, &Hello{}, f, lim); err == nil {
			_ = l.Serve() //nolint:errcheck // it ends with the test
		}
	})
	r, err := h.Remote(t.Context(), connection)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Authenticator()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := a.Prove(context.Background(), "jo", "pw", nil)
			done <- err
		}()
	}
	<-going
	<-going
	if _, err := a.Prove(t.Context(), "jo", "pw", nil); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "does not answer") {
		t.Error(err)
	}
	close(goOn)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	var b strings.Builder
	w := newWriter(&b)
	_ = w.record(user(1))
	_ = w.record(&directory.Record{Kind: directory.Group, ID: "g", Members: []string{"a", "b"}, Password: "x"})
	_ = w.json(frameDone, outcome{})
	_ = w.flush()
	f.Add([]byte(b.String()))
	f.Add(header(frameRecord, 1<<31))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newReader(strings.NewReader(string(b)), limits())
		for {
			what, body, err := r.next()
			if err != nil {
				return
			}
			if len(body) > limits().Record {
				t.Fatalf("a frame of %d bytes", len(body))
			}
			if what != frameRecord {
				continue
			}
			rec, err := decodeRecord(body, limits().Items)
			if err != nil {
				continue
			}
			// Whatever is understood is said again the same way, and understood again.
			var again strings.Builder
			w := newWriter(&again)
			if err := errors.Join(w.record(rec), w.flush()); err != nil {
				t.Fatal(err)
			}
			_, body, err = newReader(strings.NewReader(again.String()), DefaultLimits()).next()
			if err != nil {
				t.Fatal(err)
			}
			twice, err := decodeRecord(body, limits().Items)
			if err != nil || twice.ID != rec.ID || twice.Password != rec.Password || len(twice.Members) != len(rec.Members) || twice.Gone != rec.Gone {
				t.Fatalf("%+v, %v, want %+v", twice, err, rec)
			}
		}
	})
}
