package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
)

// echo answers every connection with a text and then takes what comes.
func echo(t *testing.T, text []byte) (addr string, heard func() []byte) {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []byte
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := door.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_, _ = c.Write(text)
				b, _ := io.ReadAll(c)
				mu.Lock()
				got = b
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		door.Close()
		all.Wait()
	})
	return door.Addr().String(), func() []byte {
		door.Close()
		all.Wait()
		return got
	}
}

var text = bytes.Repeat([]byte("0123456789"), 5000)

// flipped is text with some bytes turned.
func flipped(at, n int, mask byte) []byte {
	b := bytes.Clone(text)
	for i := at; i < at+n; i++ {
		b[i] ^= mask
	}
	return b
}

// talk sends text through a proxy with a plan, and gives what came back and what
// arrived. Only what is certain is compared: after a cut or a reset what was on
// its way may be lost.
func talk(t *testing.T, plan Plan) (back, arrived []byte, count Count, err error) {
	t.Helper()
	addr, heard := echo(t, text)
	p, startErr := Start(addr, func(int) Plan { return plan })
	if startErr != nil {
		t.Fatal(startErr)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, dialErr := net.Dial("tcp", p.Addr)
	if dialErr != nil {
		return nil, nil, Count{}, dialErr
	}
	defer c.Close()
	if _, err := c.Write(text); err == nil {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	back, err = io.ReadAll(c)
	c.Close()
	return back, heard(), p.Counts()[0], err
}

func TestFaultsHappenAtTheirByte(t *testing.T) {
	for _, x := range []struct {
		name          string
		plan          Plan
		back, arrived []byte // nil is not looked at
	}{
		{"nothing is planned", Plan{}, text, text},
		{"a cut at the first byte", Plan{Fault: Cut}, []byte{}, nil},
		{"a cut in the middle", Plan{Fault: Cut, At: 12345}, text[:12345], nil},
		{"a cut beyond the end", Plan{Fault: Cut, At: int64(len(text))}, text, text},
		{"half a cut", Plan{Fault: HalfCut, At: 12345}, text[:12345], text},
		{"half a cut towards the server", Plan{Fault: HalfCut, At: 40000, Direction: ToServer}, text, text[:40000]},
		{"a bit turned", Plan{Fault: Flip, At: 7, Mask: 4}, flipped(7, 1, 4), text},
		{"many bytes turned", Plan{Fault: Flip, At: 1, Count: 49000, Direction: ToServer}, text, flipped(1, 49000, 0xff)},
		{"bytes missing", Plan{Fault: Swallow, At: 10, Count: 40000}, append(bytes.Clone(text[:10]), text[40010:]...), text},
		{"a byte missing", Plan{Fault: Swallow, At: 0, Direction: ToServer}, text, text[1:]},
		{"little by little", Plan{Fault: Trickle, At: 10, Count: 100}, text, text},
	} {
		t.Run(x.name, func(t *testing.T) {
			back, arrived, count, err := talk(t, x.plan)
			if err != nil && x.plan.Fault != Cut {
				t.Error(err)
			}
			if x.back != nil && !bytes.Equal(back, x.back) {
				t.Errorf("%d bytes came back, want %d", len(back), len(x.back))
			}
			if x.arrived != nil && !bytes.Equal(arrived, x.arrived) {
				t.Errorf("%d bytes arrived, want %d", len(arrived), len(x.arrived))
			}
			if x.plan.Fault == None && count != (Count{int64(len(text)), int64(len(text))}) {
				t.Errorf("counted %+v", count)
			}
		})
	}
}

func TestAResetIsOne(t *testing.T) {
	_, _, _, err := talk(t, Plan{Fault: Reset, At: 100})
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
}

func TestAStallLastsAsLongAsItIsTold(t *testing.T) {
	addr, _ := echo(t, text)
	until := make(chan struct{})
	struck := 0
	p, err := Start(addr, func(int) Plan { return Plan{Fault: Stall, At: 10, Until: until, Struck: func() { struck++ }} })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first := make([]byte, 10)
	if _, err := io.ReadFull(c, first); err != nil {
		t.Fatal(err)
	}
	if n := p.Counts()[0].ToClient; n != 10 {
		t.Errorf("%d bytes went through before the stall", n)
	}
	close(until)
	rest := make([]byte, len(text)-10)
	if _, err := io.ReadFull(c, rest); err != nil || !bytes.Equal(rest, text[10:]) {
		t.Errorf("%v", err)
	}
	if err := p.Close(); err != nil || struck != 1 {
		t.Errorf("struck %d times, %v", struck, err)
	}
}

func TestTicksGiveTheSpeed(t *testing.T) {
	addr, _ := echo(t, text)
	ticks := make(chan struct{})
	p, err := Start(addr, func(int) Plan { return Plan{Fault: Trickle, Count: 3, Ticks: ticks} })
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5 {
		ticks <- struct{}{}
		b := make([]byte, 3)
		if _, err := io.ReadFull(c, b); err != nil || !bytes.Equal(b, text[3*i:3*i+3]) {
			t.Fatalf("tick %d: %q, %v", i, b, err)
		}
	}
	if err := p.Close(); err != nil { // also one that trickles ends
		t.Error(err)
	}
}

func TestAProxyWhoseServerHasGone(t *testing.T) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := door.Addr().String()
	door.Close()
	p, err := Start(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("something came")
	}
}

func TestOneSeedGivesOnePlan(t *testing.T) {
	of := Count{ToClient: 1000, ToServer: 100}
	sides := map[Direction]int{}
	kinds := map[Fault]int{}
	for seed := range uint64(2000) {
		a, b := Random(seed, of, Faults...), Random(seed, of, Faults...)
		if a.String() != b.String() {
			t.Fatalf("seed %d gives %v and %v", seed, a, b)
		}
		most := map[Direction]int64{ToClient: 1000, ToServer: 100}[a.Direction]
		if a.At < 0 || a.At >= most {
			t.Fatalf("seed %d: %v", seed, a)
		}
		sides[a.Direction]++
		kinds[a.Fault]++
	}
	if sides[ToServer] < 100 || sides[ToClient] < 1500 || len(kinds) != len(Faults) {
		t.Errorf("%v, %v", sides, kinds)
	}
}
