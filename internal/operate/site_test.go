package operate

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/nodes"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(childDSN) != "" {
		return child()
	}
	plan.ShortChunks(5) // so that a run of some size can be stopped half way
	return databases.Main(m)
}

// site is an installation with scripted directories and a clock that is set.
type site struct {
	t  *testing.T
	w  *storetest.World
	mu sync.Mutex
	at time.Time
}

var theTime = time.Date(2026, 5, 4, 1, 0, 0, 0, time.UTC)

// both runs a test on a fresh database of each kind.
func both(t *testing.T, fn func(t *testing.T, s *site)) {
	t.Helper()
	databases.Both(t, func(t *testing.T, dsn string) {
		s := &site{t: t, w: storetest.Open(t, dsn), at: theTime}
		s.w.Engine.Now = s.now
		fn(t, s)
	})
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *site) passes(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// Connection and Scheduled make a site the Connections of its operators.
func (s *site) Connection(_ context.Context, alias string) (setting.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.w.Connections {
		if c.Alias == alias {
			return c, nil
		}
	}
	return setting.Connection{}, fault.New(fault.NotFound, "there is no connection %q", alias)
}

func (s *site) Scheduled(_ context.Context, fn func(setting.Connection) error) error {
	s.mu.Lock()
	list := slices.Clone(s.w.Connections)
	s.mu.Unlock()
	for _, c := range list {
		if c.Schedule != "" {
			if err := fn(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// quick is for tests: nobody waits for a whole second.
var quick = Timing{Beat: 50 * time.Millisecond, Gone: 5 * time.Second, Sweep: 50 * time.Millisecond, Tick: 20 * time.Millisecond, Report: 20 * time.Millisecond,
	Refresh: time.Hour, Busy: 50 * time.Millisecond, Follow: 10 * time.Millisecond}

// node prepares a node, which is not started.
func (s *site) node(id string, change ...func(*Options)) *Operator {
	s.t.Helper()
	options := Options{Store: s.w.Store, Engine: s.w.Engine, Connections: s, Node: nodes.Node{ID: id, Host: "here"}, Workers: 4, Timing: quick}
	for _, fn := range change {
		fn(&options)
	}
	o, err := New(s.t.Context(), options)
	s.must(err)
	return o
}

// started is node, started, and stopped at the end of the test.
func (s *site) started(id string, change ...func(*Options)) *Operator {
	s.t.Helper()
	o := s.node(id, change...)
	s.starts(o)
	return o
}

func (s *site) starts(o *Operator) {
	s.t.Helper()
	s.must(o.Start(s.t.Context()))
	s.t.Cleanup(func() {
		if err := o.Stop(context.Background()); err != nil {
			s.t.Error(err)
		}
	})
}

// ended waits for the end of a run.
func (s *site) ended(o *Operator, id string) *engine.Run {
	s.t.Helper()
	var last *engine.Run
	s.must(o.Follow(s.t.Context(), id, func(r *engine.Run) error {
		last = r
		return nil
	}))
	return last
}

// stored is a run as it is stored.
func (s *site) stored(id string) *engine.Run {
	s.t.Helper()
	r, err := s.w.Store.RunTable.Get(s.t.Context(), id)
	s.must(err)
	return r
}

// ended waits for the end of a run, and checks how.
func (s *site) ends(o *Operator, id string, state engine.RunState, because string) *engine.Run {
	s.t.Helper()
	r := s.ended(o, id)
	text := ""
	if r.Error != nil {
		text = *r.Error
	}
	if r.State != state || !strings.Contains(text, because) {
		s.t.Fatalf("run %s is %s: %q, want %s: %q", id, r.State, text, state, because)
	}
	return r
}

// stops makes readings of a connection wait; the channel that comes out of began
// is closed to have one go on.
func (s *site) stops(alias string) (began chan chan struct{}) {
	began = make(chan chan struct{})
	s.w.Dirs.Of(alias).Reading = func(n int) {
		if n == 0 {
			on := make(chan struct{})
			began <- on
			<-on
		}
	}
	return began
}

func take[T any](s *site, from <-chan T) (v T) {
	s.t.Helper()
	select {
	case v = <-from:
	case <-s.t.Context().Done():
		s.t.Fatal("it never came")
	}
	return v
}

// until waits until something holds.
func (s *site) until(what string, holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-s.t.Context().Done():
			s.t.Fatalf("it never came to be: %s", what)
		}
	}
}

// told gives the types of the events of runs and connections.
func (s *site) told() []string {
	s.t.Helper()
	var out []string
	s.must(s.w.Store.EventTable.After(s.t.Context(), "", 0, 1<<30, func(e event.Event) error {
		if strings.HasPrefix(string(e.Type), "run.") || strings.HasPrefix(string(e.Type), "connection.") {
			out = append(out, string(e.Type))
		}
		return nil
	}))
	return out
}

// runs gives all runs of a connection, the oldest first.
func (s *site) runs(alias string) []*engine.Run {
	s.t.Helper()
	var out []*engine.Run
	s.must(s.w.Store.RunTable.List(s.t.Context(), alias, 1000, func(r *engine.Run) error {
		out = append(out, r)
		return nil
	}))
	slices.Reverse(out)
	return out
}

// exec writes past everybody, and gives the number of rows.
func (s *site) exec(query string) (n int64) {
	s.t.Helper()
	s.must(s.w.Store.DB.Write(s.t.Context(), func(tx *dbTx) (err error) {
		n, err = tx.Exec(s.t.Context(), query)
		return err
	}))
	return n
}
