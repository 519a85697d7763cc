package jobstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/jobs"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// site is a database on which queues of several nodes can be opened.
type site struct {
	t  *testing.T
	db *db.DB
}

func both(t *testing.T, fn func(s *site)) {
	t.Helper()
	for _, name := range []string{"SQLite", "PostgreSQL"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := databases.SQLite(t)
			if name == "PostgreSQL" {
				dsn = databases.PostgreSQL(t)
			}
			d := databases.Open(t, dsn)
			fn(&site{t: t, db: d})
		})
	}
}

// node opens the queue for a node, which shows a sign of life once.
func (s *site) node(id string) jobs.Queue {
	s.t.Helper()
	q, err := jobs.Open(s.t.Context(), s.db, jobs.Options{Node: id, Gone: time.Minute, Poll: 20 * time.Millisecond})
	s.must(err)
	s.must((&nodes.Nodes{DB: s.db}).Beat(s.t.Context(), nodes.Node{ID: id, Host: "here"}))
	return q
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) start(q jobs.Queue) {
	s.t.Helper()
	s.must(q.Start(s.t.Context()))
	s.t.Cleanup(func() { s.stop(q) })
}

func (s *site) stop(q jobs.Queue) {
	s.t.Helper()
	if err := q.Stop(context.Background()); err != nil {
		s.t.Error(err)
	}
}

func (s *site) put(q jobs.Queue, list ...jobs.Job) {
	s.t.Helper()
	s.must(s.db.Write(s.t.Context(), func(tx *db.Tx) error { return q.Enqueue(s.t.Context(), tx, list...) }))
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

func TestAJobIsDoneOnceWithWhatItWasGiven(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		got := make(chan jobs.Job, 9)
		q.Handle("letters", 2, func(_ context.Context, j jobs.Job) error {
			got <- j
			return nil
		})
		s.start(q)
		args, err := json.Marshal(map[string]any{"to": "anna", "n": 1.5})
		s.must(err)
		s.put(q, jobs.Job{Kind: "letters", Key: "k", Args: args})
		j := take(s, got)
		var have map[string]any
		s.must(json.Unmarshal(j.Args, &have))
		if j.Kind != "letters" || j.Key != "k" || j.Attempt != 1 || have["to"] != "anna" || have["n"] != 1.5 {
			s.t.Errorf("%+v, %s", j, j.Args)
		}
		s.put(q, jobs.Job{Kind: "letters", Key: "end"})
		if j := take(s, got); j.Key != "end" {
			s.t.Errorf("it came again: %+v", j)
		}
	})
}

func TestAJobOfATransactionThatIsUndoneIsNone(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		got := make(chan jobs.Job, 9)
		q.Handle("letters", 1, func(_ context.Context, j jobs.Job) error {
			got <- j
			return nil
		})
		s.start(q)
		undone := errors.New("undone")
		err := s.db.Write(s.t.Context(), func(tx *db.Tx) error {
			s.must(q.Enqueue(s.t.Context(), tx, jobs.Job{Kind: "letters", Key: "no"}))
			return undone
		})
		if !errors.Is(err, undone) {
			s.t.Fatal(err)
		}
		s.put(q, jobs.Job{Kind: "letters", Key: "yes"})
		if j := take(s, got); j.Key != "yes" {
			s.t.Errorf("%+v", j)
		}
	})
}

func TestOneOfAKeyWaitsOrIsDone(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		began, on := make(chan string, 9), make(chan struct{})
		q.Handle("letters", 3, func(ctx context.Context, j jobs.Job) error {
			began <- j.Key
			<-on
			return nil
		})
		same := jobs.Job{Kind: "letters", Key: "same"}
		s.put(q, same, same)
		s.put(q, same, jobs.Job{Kind: "letters", Key: "other"})
		s.start(q)
		first := []string{take(s, began), take(s, began)}
		slices.Sort(first)
		if !slices.Equal(first, []string{"other", "same"}) {
			s.t.Errorf("%q", first)
		}
		s.put(q, same) // while it is being done
		s.put(q, jobs.Job{Kind: "letters"}, jobs.Job{Kind: "letters"})
		close(on)
		for range 2 {
			if key := take(s, began); key != "" {
				s.t.Errorf("%q", key)
			}
		}
	})
}

func TestWhatWasDoneCanBePutInAgain(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		var left atomic.Int32
		left.Store(20)
		over := make(chan struct{})
		q.Handle("rounds", 1, func(ctx context.Context, j jobs.Job) error {
			if left.Add(-1) == 0 {
				close(over)
			}
			return nil
		})
		s.start(q)
		for {
			s.put(q, jobs.Job{Kind: "rounds", Key: "round"})
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
}

func TestAJobThatFailsIsTriedAgainAndOneThatSnoozesComesAgain(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		got := make(chan string, 9)
		q.Handle("letters", 1, func(_ context.Context, j jobs.Job) error {
			got <- j.Key + " " + strconv.Itoa(j.Attempt)
			switch {
			case j.Key == "fails" && j.Attempt == 1:
				return errors.New("not now")
			case j.Key == "panics" && j.Attempt == 1:
				panic("no")
			}
			return nil
		})
		var slept atomic.Bool
		q.Handle("naps", 1, func(_ context.Context, j jobs.Job) error {
			got <- "nap " + strconv.Itoa(j.Attempt)
			if slept.CompareAndSwap(false, true) {
				return jobs.Snooze(time.Millisecond)
			}
			return nil
		})
		s.start(q)
		s.put(q, jobs.Job{Kind: "letters", Key: "fails"}, jobs.Job{Kind: "letters", Key: "panics"}, jobs.Job{Kind: "naps"})
		var all []string
		for range 6 {
			all = append(all, take(s, got))
		}
		slices.Sort(all)
		if want := []string{"fails 1", "fails 2", "nap 1", "nap 1", "panics 1", "panics 2"}; !slices.Equal(all, want) {
			s.t.Errorf("%q, want %q", all, want)
		}
	})
}

func TestAJobBeginsNotBeforeItsTime(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		got := make(chan jobs.Job, 9)
		q.Handle("letters", 1, func(_ context.Context, j jobs.Job) error {
			got <- j
			return nil
		})
		s.start(q)
		at := time.Now().Add(700 * time.Millisecond)
		s.put(q, jobs.Job{Kind: "letters", Key: "later", At: at}, jobs.Job{Kind: "letters", Key: "never", At: at.Add(time.Hour)}, jobs.Job{Kind: "letters", Key: "now"})
		if j := take(s, got); j.Key != "now" {
			s.t.Errorf("%+v", j)
		}
		if j := take(s, got); j.Key != "later" || time.Now().Before(at) {
			s.t.Errorf("%+v %s before its time", j, time.Until(at))
		}
	})
}

func TestNoMoreThanItsWorkersAreAtAKindAndNoKindWaitsForAnother(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		const workers, all = 3, 12
		var at, most, begun atomic.Int32
		var inside sync.WaitGroup
		inside.Add(workers)
		on, ended := make(chan struct{}), make(chan struct{}, all)
		q.Handle("many", workers, func(context.Context, jobs.Job) error {
			n := at.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if begun.Add(1) <= workers {
				inside.Done()
				inside.Wait() // as many as there are workers are here together
			}
			<-on
			at.Add(-1)
			ended <- struct{}{}
			return nil
		})
		other := make(chan struct{}, 1)
		q.Handle("other", 1, func(context.Context, jobs.Job) error {
			other <- struct{}{}
			return nil
		})
		s.start(q)
		s.put(q, slices.Repeat([]jobs.Job{{Kind: "many"}}, all)...)
		inside.Wait()
		s.put(q, jobs.Job{Kind: "other"})
		take(s, other)
		close(on)
		for range all {
			take(s, ended)
		}
		if most.Load() != workers {
			s.t.Errorf("%d at a time", most.Load())
		}
	})
}

func TestStoppingWaitsForWhatIsBeingDone(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		began, on, ended := make(chan struct{}, 9), make(chan struct{}), make(chan error, 9)
		q.Handle("letters", 1, func(ctx context.Context, j jobs.Job) error {
			began <- struct{}{}
			<-on
			ended <- ctx.Err()
			return nil
		})
		s.must(q.Start(s.t.Context()))
		s.put(q, jobs.Job{Kind: "letters"})
		take(s, began)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			s.stop(q)
		}()
		close(on)
		<-stopped
		select {
		case err := <-ended:
			if err != nil {
				s.t.Errorf("it was told to end: %v", err)
			}
		default:
			s.t.Error("it was not waited for")
		}
	})
}

func TestWhoseTimeIsUpIsToldAndItsJobIsDoneByTheNext(t *testing.T) {
	both(t, func(s *site) {
		q := s.node("one")
		began := make(chan struct{}, 9)
		q.Handle("letters", 1, func(ctx context.Context, j jobs.Job) error {
			began <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
		s.must(q.Start(s.t.Context()))
		s.put(q, jobs.Job{Kind: "letters", Key: "k"})
		take(s, began)
		over, cancel := context.WithCancel(s.t.Context())
		cancel()
		s.must(q.Stop(over))
		next, got := s.node("two"), make(chan jobs.Job, 9)
		next.Handle("letters", 1, func(_ context.Context, j jobs.Job) error {
			got <- j
			return nil
		})
		s.start(next)
		if j := take(s, got); j.Key != "k" {
			s.t.Errorf("%+v", j)
		}
	})
}

// A node that is killed says nothing any more. What it was at is given to another
// when it has not been seen for a while, and not before.
func TestJobsOfANodeThatIsGoneAreDoneByAnother(t *testing.T) {
	both(t, func(s *site) {
		gone := s.node("gone")
		began, on := make(chan struct{}, 9), make(chan struct{})
		gone.Handle("letters", 1, func(ctx context.Context, j jobs.Job) error {
			began <- struct{}{}
			<-on
			return nil
		})
		s.start(gone)
		s.t.Cleanup(func() { close(on) }) // before the queue is stopped
		s.put(gone, jobs.Job{Kind: "letters", Key: "k"})
		take(s, began)
		other, got := s.node("other"), make(chan jobs.Job, 9)
		other.Handle("letters", 1, func(_ context.Context, j jobs.Job) error {
			got <- j
			return nil
		})
		s.start(other)
		s.must(other.Rescue(s.t.Context()))
		s.put(other, jobs.Job{Kind: "letters", Key: "end"})
		if j := take(s, got); j.Key != "end" {
			s.t.Fatalf("a node that is there lost its job: %+v", j)
		}
		s.must((&nodes.Nodes{DB: s.db}).Leave(s.t.Context(), "gone"))
		s.must(other.Rescue(s.t.Context()))
		if j := take(s, got); j.Key != "k" || j.Attempt != 2 {
			s.t.Errorf("%+v", j)
		}
	})
}

// Several nodes put in and do jobs at once; each is done, and once.
func TestManyNodesShareTheJobs(t *testing.T) {
	both(t, func(s *site) {
		const count, each = 3, 60
		var mu sync.Mutex
		done := map[string]int{}
		over := make(chan struct{})
		var put sync.WaitGroup // the last job can be done before who put it in hears of it
		for i := range count {
			q := s.node("node" + strconv.Itoa(i))
			q.Handle("letters", 4, func(_ context.Context, j jobs.Job) error {
				mu.Lock()
				defer mu.Unlock()
				if done[j.Key]++; len(done) == count*each {
					close(over)
				}
				return nil
			})
			s.start(q)
			put.Go(func() {
				for k := range each {
					err := s.db.Write(s.t.Context(), func(tx *db.Tx) error {
						return q.Enqueue(s.t.Context(), tx, jobs.Job{Kind: "letters", Key: fmt.Sprint(i, " ", k)})
					})
					if err != nil {
						s.t.Error(err)
					}
				}
			})
		}
		take(s, over)
		put.Wait()
		mu.Lock()
		defer mu.Unlock()
		for key, n := range done {
			if n != 1 {
				s.t.Errorf("%q was done %d times", key, n)
			}
		}
	})
}
