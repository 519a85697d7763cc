package operate

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/storetest"
)

// wire is a way to a server that can be cut, and mended.
type wire struct {
	to    string
	door  net.Listener
	mu    sync.Mutex
	cut   bool
	tried int // to connect while it was cut
	ends  map[net.Conn]bool
	lines sync.WaitGroup
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: to, door: door, ends: map[net.Conn]bool{}}
	w.lines.Go(func() {
		for {
			near, err := door.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil || !w.add(near, far) {
				near.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				w.lines.Go(func() {
					_, _ = io.Copy(way[0], way[1]) // whatever ends it ends both
					near.Close()
					far.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		door.Close()
		w.set(true)
		w.lines.Wait()
	})
	return w
}

func (w *wire) add(near, far net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		w.tried++
		far.Close()
		return false
	}
	w.ends[near], w.ends[far] = true, true
	return true
}

// set cuts all connections and lets no other through, or mends the wire.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.ends {
			c.Close()
		}
		clear(w.ends)
	}
}

func (w *wire) missed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tried > 0
}

// A database that is away for a while ends no node: what it could not write it
// does again, by itself, when the database is back.
func TestADatabaseThatIsAwayForAWhileCostsARunAndNoMore(t *testing.T) {
	t.Parallel()
	dsn := databases.PostgreSQL(t)
	s := &site{t: t, w: storetest.Open(t, dsn), at: theTime}
	s.w.Engine.Now = s.now
	at, err := url.Parse(dsn)
	s.must(err)
	w := newWire(t, at.Host)
	at.Host = w.door.Addr().String()
	far, err := store.Open(t.Context(), at.String(), "")
	s.must(err)
	far.DB.Keyed = storetest.Keyed
	t.Cleanup(func() { s.must(far.Close()) })
	s.w.Connect("hq")
	s.w.Holds("hq", storetest.Person("anna"))
	began := s.stops("hq")
	e := s.w.NewEngine(far)
	e.Now = s.now
	asks := s.node("asks", func(o *Options) { o.Workers = 0 })
	s.started("one", func(o *Options) { o.Store, o.Engine = far, e })
	run, err := asks.Sync(t.Context(), "hq", false, "manual", "tester")
	s.must(err)
	on := take(s, began)
	w.set(true)
	s.w.Dirs.Of("hq").Reading = nil
	s.passes(1)
	close(on)
	s.until("the node finds the database away", w.missed)
	s.until("the lease runs out", func() bool {
		// Thirty seconds are too long for a test.
		return s.exec(`UPDATE connections SET lease_until = 0 WHERE alias = 'hq'`) == 1
	})
	w.set(false)
	// The database may be back before the run asks it for anything: then it lost
	// nothing. It may be back in time for the node to write down why its run failed:
	// then that is how it ended, and the next one is asked for. Otherwise another does
	// it again.
	lost := s.ended(asks, run.ID)
	if lost.State != engine.RunApplied && lost.State != engine.RunFailed {
		t.Fatalf("the run is %s", lost.State)
	}
	if lost.State == engine.RunFailed && !strings.Contains(*lost.Error, "database: ") {
		s.ends(asks, run.ID, engine.RunFailed, "does it again")
		s.until("there is another run", func() bool { return len(s.runs("hq")) == 2 })
		for _, r := range s.runs("hq") {
			if r.Replaces != nil {
				s.ends(asks, r.ID, engine.RunApplied, "")
			}
		}
	}
	again, err := asks.Sync(t.Context(), "hq", false, "manual", "tester")
	s.must(err)
	s.ends(asks, again.ID, engine.RunApplied, "")
	s.w.Examine()
	s.w.Replay()
}
