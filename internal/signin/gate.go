package signin

import (
	"context"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/fault"
)

const (
	mostFailures = 3 // one after the other shut a gate
	firstPause   = 5 * time.Second
	longestPause = time.Minute
)

// gate stands before one directory. When it could not be asked several times in a
// row the gate shuts: nobody waits for a dead directory then. After a pause, twice
// as long each time, one attempt goes through to see whether it is back. And only so
// many go through at a time: a slow directory keeps nobody else's waiting.
type gate struct {
	now func() time.Time

	mu       sync.Mutex
	failures int
	until    time.Time // shut until then; zero where it is not
	pause    time.Duration
	probing  bool
	inside   int
	waiting  []chan struct{} // the first is let in next
}

func newGate(now func() time.Time) *gate { return &gate{now: now} }

func errShut(wait time.Duration) error {
	return fault.New(fault.Unavailable, "the directory did not answer several times in a row; it is asked again in %s at the latest", max(time.Second, wait.Round(time.Second)))
}

// enter goes through, or says why not. done must be called afterwards with whether
// the directory could be asked.
func (g *gate) enter(ctx context.Context, most int) (done func(answered bool), err error) {
	g.mu.Lock()
	for g.inside >= most && g.until.IsZero() {
		// A line as long as what goes on at a time moves within moments or not at all.
		if len(g.waiting) >= 4*most {
			g.mu.Unlock()
			return nil, fault.New(fault.Unavailable, "too many people sign in through this connection at this moment")
		}
		turn := make(chan struct{})
		g.waiting = append(g.waiting, turn)
		g.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			g.mu.Lock()
			g.leaveLine(turn)
			g.mu.Unlock()
			return nil, fault.New(fault.Unavailable, "the directory is too slow for those who sign in through this connection")
		}
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	probe := false
	if !g.until.IsZero() {
		if wait := g.until.Sub(g.now()); wait > 0 || g.probing {
			return nil, errShut(wait)
		}
		probe, g.probing = true, true
	}
	g.inside++
	return func(answered bool) { g.leave(answered, probe) }, nil
}

// leaveLine takes somebody out who waited too long; whoever was let in meanwhile
// lets the next one in.
func (g *gate) leaveLine(turn chan struct{}) {
	for i, t := range g.waiting {
		if t == turn {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return
		}
	}
	g.next()
}

func (g *gate) next() {
	if len(g.waiting) > 0 {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
	}
}

func (g *gate) leave(answered, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if probe {
		g.probing = false
	}
	switch {
	case answered:
		g.failures, g.until, g.pause = 0, time.Time{}, 0
	case g.until.IsZero():
		if g.failures++; g.failures >= mostFailures {
			g.pause = firstPause
			g.until = g.now().Add(g.pause)
			// Nobody waits in front of a shut gate.
			for len(g.waiting) > 0 {
				g.next()
			}
			return
		}
	case probe:
		g.pause = min(2*g.pause, longestPause)
		g.until = g.now().Add(g.pause)
	}
	g.next()
}

// shut reports whether nobody goes through.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.until.IsZero()
}
