package simulator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/simulator/wire"
)

// searches makes a hook for the searches of a server alone.
func searches(twist func(n int) *Twist) Hook {
	n := 0
	return func(c *Call) *Twist {
		if c.Search() == nil {
			return nil
		}
		n++
		return twist(n)
	}
}

func TestAnAnswerGoesAsTheHookSays(t *testing.T) {
	for _, x := range []struct {
		name  string
		twist Twist
		want  string // names, or what the error says; "" is any error
	}{
		{"as usual", Twist{}, "anna bo cy"},
		{"another result", Twist{Instead: &wire.Result{Code: wire.Busy, Text: "come back later"}}, "come back later"},
		{"an entry is left out", Twist{Deed: Drop, At: 2}, "anna cy"},
		{"an entry comes twice", Twist{Deed: Repeat, At: 2}, "anna bo bo cy"},
		{"the connection ends before an entry", Twist{Deed: CutBefore, At: 2}, ""},
		{"the connection ends behind an entry", Twist{Deed: CutAfter, At: 2}, ""},
		{"the connection ends before the result", Twist{Deed: CutBefore, At: Last}, ""},
		{"the connection is reset", Twist{Deed: CutBefore, At: 2, Reset: true}, ""},
		{"the connection ends at a byte", Twist{CutByte: 10}, ""},
		{"the server says good-bye", Twist{Deed: Goodbye, At: 2}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := staff(t, Options{Hook: searches(func(int) *Twist { return &x.twist })})
			c := dial(t, s, "uid=anna,"+people, "pw-anna")
			r, err := c.Search(ask(people, "(uid=*)", "1.1"))
			switch {
			case x.want == "":
				if err == nil {
					t.Error("there is no error")
				}
			case err != nil && (strings.Contains(x.want, "anna") || !strings.Contains(err.Error(), x.want)):
				t.Errorf("%v, want %q", err, x.want)
			case err == nil && names(r) != x.want:
				t.Errorf("got %q, want %q", names(r), x.want)
			}
		})
	}
}

// raw is a client that sees every byte.
func raw(t *testing.T, s *Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	n, err := net.Dial("tcp", s.Addr())
	try(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n, bufio.NewReader(n)
}

// rawSearch asks for everybody, as nobody.
var rawSearch = []byte("\x30\x2f\x02\x01\x02\x63\x2a\x04\x1bou=people,dc=example,dc=org\x0a\x01\x02\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x03uid\x30\x00")

func init() {
	rawSearch[1] = byte(len(rawSearch) - 2)
	rawSearch[6] = byte(len(rawSearch) - 7)
}

func TestBytesAreCountedToTheLast(t *testing.T) {
	s := staff(t, Options{Personality: &OpenLDAP{Anonymous: true}, Hook: func(*Call) *Twist { return &Twist{Deed: CutAfter, At: Last} }})
	n, _ := raw(t, s)
	_, err := n.Write(rawSearch)
	try(t, err)
	whole, err := io.ReadAll(n)
	try(t, err)
	for _, cut := range []int{1, 7, len(whole) / 2, len(whole) - 1} {
		s.SetHook(func(*Call) *Twist { return &Twist{CutByte: int64(cut)} })
		n, _ := raw(t, s)
		_, err := n.Write(rawSearch)
		try(t, err)
		if got, err := io.ReadAll(n); err != nil || string(got) != string(whole[:cut]) {
			t.Errorf("cut at %d came %d bytes, %v", cut, len(got), err)
		}
	}
}

func TestAnAnswerNoClientCanUse(t *testing.T) {
	s := staff(t, Options{Personality: &OpenLDAP{Anonymous: true}})
	for _, x := range []struct {
		name  string
		twist *Twist
		check func(in *bufio.Reader) error
	}{
		{"an entry for ever", &Twist{Deed: Endless, At: 1}, func(in *bufio.Reader) error { _, err := io.CopyN(io.Discard, in, 1<<20); return err }},
		{"a message of 2 GiB", &Twist{Deed: OverLong, At: 1}, func(in *bufio.Reader) error {
			b, err := in.Peek(8)
			if err == nil && string(b[:2]) != "\x30\x84" {
				return fmt.Errorf("began with % x", b)
			}
			return err
		}},
		{"no LDAP", &Twist{Deed: Garbage, At: 1}, func(in *bufio.Reader) error {
			b, err := in.Peek(8)
			if err == nil && string(b) != "HTTP/1.1" {
				return fmt.Errorf("began with % x", b)
			}
			return err
		}},
		{"silence", &Twist{Deed: Silence}, func(in *bufio.Reader) error { _, err := in.Peek(100); return err }},
	} {
		t.Run(x.name, func(t *testing.T) {
			gone := make(chan struct{})
			s.SetHook(func(c *Call) *Twist {
				go func() { <-c.Done; close(gone) }()
				return x.twist
			})
			n, in := raw(t, s)
			_, err := n.Write(rawSearch)
			try(t, err)
			try(t, x.check(in))
			try(t, n.Close())
			<-gone
		})
	}
}

func TestAStalledAnswerGoesOnWhenItMay(t *testing.T) {
	until := make(chan struct{})
	s := staff(t, Options{Hook: searches(func(int) *Twist { return &Twist{Deed: Stall, At: 2, Until: until} })})
	c := dial(t, s, "uid=anna,"+people, "pw-anna")
	r := c.SearchAsync(t.Context(), ask(people, "(uid=*)", "1.1"), 0)
	if !r.Next() {
		t.Fatal(r.Err())
	}
	close(until)
	n := 1
	for r.Next() {
		if r.Entry() != nil {
			n++
		}
	}
	if n != 3 || r.Err() != nil {
		t.Errorf("%d entries, %v", n, r.Err())
	}
}

func TestWhatIsNotLDAPIsAnsweredWithGoodbye(t *testing.T) {
	s := staff(t, Options{})
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x30\x84\x7f\xff\xff\xff", "\x30\x80\x02\x01", "\x30\x03\x02\x01\x01", "\x30\x05\x02\x01\x01\x7f\x00", "\x30\x06\x02\x01\x01\x63\x01\x04"} {
		n, in := raw(t, s)
		_, err := n.Write([]byte(text))
		try(t, err)
		got, err := io.ReadAll(in)
		if (err != nil && !errors.Is(err, syscall.ECONNRESET)) || !strings.Contains(string(got), "1.3.6.1.4.1.1466.20036") {
			t.Errorf("%q is answered with %q, %v", text, got, err)
		}
	}
}

func TestASearchThatIsAbandonedEnds(t *testing.T) {
	ended := make(chan struct{})
	s := staff(t, Options{Personality: &OpenLDAP{Anonymous: true}, Hook: func(c *Call) *Twist {
		if c.Search() == nil {
			return nil
		}
		go func() { <-c.Done; close(ended) }()
		return &Twist{Deed: Silence}
	}})
	n, in := raw(t, s)
	_, err := n.Write(rawSearch)
	try(t, err)
	_, err = in.Peek(10)
	try(t, err)
	_, err = n.Write([]byte("\x30\x06\x02\x01\x03\x50\x01\x02"))
	try(t, err)
	<-ended
}

func TestAServerThatEndsLeavesNothingBehind(t *testing.T) {
	s, err := Start(Options{Personality: &OpenLDAP{}})
	try(t, err)
	c, err := ldap.DialURL(s.URL)
	try(t, err)
	try(t, s.Close())
	if _, err := c.Search(ask("", "(objectClass=*)")); err == nil {
		t.Error("a server that has ended answers")
	}
	if err := s.Close(); err != nil {
		t.Errorf("ended twice: %v", err)
	}
	if _, err := Start(Options{}); err == nil {
		t.Error("a server without a personality starts")
	}
	if _, err := Start(Options{Personality: &OpenLDAP{}, Addr: "203.0.113.1:1"}); err == nil {
		t.Error("a server listens where it cannot")
	}
	if _, err := Start(Options{Personality: &OpenLDAP{Suffix: "nonsense"}}); err == nil {
		t.Error("a server starts with a suffix that is no DN")
	}
}
