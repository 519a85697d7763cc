package ldap

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// twoPages reads two pages of forty people from a server that tells what it was asked
// and when it has sent the first page. open are the people of the first page with an
// attribute that has to be asked for again.
func twoPages(t *testing.T, emit func(n int, sent, second <-chan struct{}), open ...int) (asked []string, got []string) {
	t.Helper()
	sent, second := make(chan struct{}), make(chan struct{})
	f := startFake(t, plainRoot, func(c *fakeConn, q request) bool {
		if q.scope == scopeBase {
			asked = append(asked, "the rest of "+q.base)
			c.entry(q.base, "memberOf;range=0-*", "a", "memberOf;range=0-*", "b")
			c.done(0, "")
			return true
		}
		page := len(q.cookie)
		asked = append(asked, fmt.Sprintf("page %d", page))
		if page == 1 {
			close(second)
		}
		for i := range 40 {
			pairs := []string{"entryUUID", fmt.Sprintf("%d-%d", page, i), "memberOf", "a"}
			if page == 0 && slices.Contains(open, i) {
				pairs[2] = "memberOf;range=0-0"
			}
			c.entry(fmt.Sprintf("uid=%d-%d,dc=x", page, i), pairs...)
		}
		c.page(0, "", []string{"x", ""}[page])
		if page == 0 {
			close(sent)
		}
		return true
	})
	s := mustOpen(t, f.settings(nil))
	r, err := s.Read(t.Context(), source.Request{Attributes: []string{"memberOf"}}, func(r *directory.Record) error {
		got = append(got, string(r.ID)+strings.Join(r.Attributes[0].Values, ""))
		emit(len(got), sent, second)
		return nil
	})
	if err != nil || !r.Complete || r.Users != 80 {
		t.Errorf("%+v, %v", r, err)
	}
	return asked, got
}

func awaited(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Errorf("%s did not come", what)
	}
}

func TestTheNextPageIsAskedForBeforeThisOneIsWorkedOn(t *testing.T) {
	asked, got := twoPages(t, func(n int, sent, second <-chan struct{}) {
		switch n {
		case 1:
			awaited(t, "the first page", sent)
		case lookEvery + 1:
			awaited(t, "the request for the second page", second)
		}
	})
	if want := []string{"page 0", "page 1"}; !slices.Equal(asked, want) {
		t.Errorf("asked: %q", asked)
	}
	if len(got) != 80 || got[0] != "0-0a" || got[39] != "0-39a" || got[40] != "1-0a" || got[79] != "1-39a" {
		t.Errorf("read: %q", got)
	}
}

// What is left open is asked for on the same connection, where only one thing is asked
// at a time.
func TestWhatAPageLeavesOpenIsAskedForBetweenPages(t *testing.T) {
	first := func(n int, sent, _ <-chan struct{}) {
		if n == 1 {
			awaited(t, "the first page", sent)
		}
	}
	for name, c := range map[string]struct {
		open int
		want []string
	}{
		"before the next page was asked for": {3, []string{"page 0", "the rest of uid=0-3,dc=x", "page 1"}},
		"when it was":                        {30, []string{"page 0", "page 1", "the rest of uid=0-30,dc=x"}},
	} {
		t.Run(name, func(t *testing.T) {
			asked, got := twoPages(t, first, c.open)
			if !slices.Equal(asked, c.want) {
				t.Errorf("asked: %q", asked)
			}
			if n := len(got); n != 80 || !slices.Contains(got, fmt.Sprintf("0-%dab", c.open)) {
				t.Errorf("read: %q", got)
			}
		})
	}
}

// However a stream comes, and however often it is looked ahead, the messages are the
// same, and each end of a search is found once, and not before it is there.
func FuzzLook(f *testing.F) {
	stream := func(ops ...byte) []byte {
		var w writer
		for i, op := range ops {
			w.begin(tagSequence)
			w.integer(tagInteger, i)
			w.string(op, strings.Repeat("v", i*i*700))
			w.end()
		}
		return w.b
	}
	f.Add(stream(opEntry, opDone, opEntry, opReference, opDone), []byte{1, 200, 3})
	f.Add(stream(slices.Repeat([]byte{opEntry, opEntry, opDone}, 8)...), []byte{255, 0, 255, 255, 7})
	f.Add([]byte{tagSequence, 0x89, 1}, []byte{9})
	f.Fuzz(func(t *testing.T, b, steps []byte) {
		plain := frames{src: bytes.NewReader(b), buf: make([]byte, readAhead), max: 1 << 20}
		step := 0
		some := func() int { // how much comes at a time
			if len(steps) == 0 {
				return 1000
			}
			step++
			return int(steps[step%len(steps)]) * 200
		}
		src := bytes.NewReader(b)
		here := 0 // how much of b has come
		ahead := frames{max: 1 << 20, buf: make([]byte, readAhead), src: reader(func(p []byte) (int, error) {
			n, err := src.Read(p[:min(len(p), max(1, some()))])
			here += n
			return n, err
		}), poll: func(p []byte) (int, error) {
			n, _ := src.Read(p[:min(len(p), some())])
			here += n
			return n, nil
		}}
		var found []string
		for {
			if m, ok := ahead.look(opDone); ok {
				if found = append(found, m); !bytes.Contains(b[:here], []byte(m)) {
					t.Fatalf("%q was not there", m)
				}
			}
			want, e := plain.next()
			got, err := ahead.next()
			if want != got || (e == nil) != (err == nil) {
				t.Fatalf("%q, %v in place of %q, %v", got, err, want, e)
			}
			if err != nil {
				return
			}
			if len(found) > 0 && found[0] == got {
				found = found[1:]
			} else if slices.Contains(found, got) {
				t.Fatalf("%q was found after one that comes later", got)
			}
		}
	})
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }
