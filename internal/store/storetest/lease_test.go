package storetest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
)

// second opens the same database once more, as another process does.
func (w *World) second() *engine.Engine {
	w.T.Helper()
	s, err := store.Open(w.T.Context(), w.DSN, "")
	w.must(err)
	s.DB.Keyed = Keyed
	w.T.Cleanup(func() { w.must(s.Close()) })
	return w.NewEngine(s)
}

// lease writes who has the connection's lease, and for how long still.
func (w *World) lease(alias, owner string, seconds int64) {
	w.T.Helper()
	w.must(w.Store.DB.Write(w.T.Context(), func(tx *db.Tx) error {
		n, err := tx.Exec(w.T.Context(), `UPDATE connections SET lease_owner = $2, lease_until = `+tx.Now()+` + $3 WHERE alias = $1`, alias, owner, seconds*1e6)
		equal(w.T.(*testing.T), "rows", n, 1)
		return err
	}))
}

// within runs fn while an engine is in the middle of reading hq, and then lets
// it go on; it gives what became of its run.
func (w *World) within(fn func()) (*engine.Result, error) {
	reached, on := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.Dirs.Of("hq").Reading = func(int) {
		once.Do(func() {
			close(reached)
			<-on
		})
	}
	type end struct {
		r   *engine.Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := w.Engine.Sync(w.T.Context(), *w.Conn("hq"), options)
		ended <- end{r, err}
	}()
	<-reached
	fn()
	close(on)
	e := <-ended
	return e.r, e.err
}

func TestTwoProcessesNeverWorkOnOneConnectionAtOnce(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Connect("branch")
		w.Holds("hq", Person("anna"))
		w.Holds("branch", Person("bob"))
		other := w.second()
		r, err := w.within(func() {
			_, err := other.Sync(t.Context(), *w.Conn("hq"), options)
			fails(t, err, fault.Conflict, fmt.Sprintf("connection hq is being worked on by process %d on ", os.Getpid()))
			if hint := fault.HintOf(err); !strings.Contains(hint, "its lease runs out in") {
				t.Errorf("the hint is %q", hint)
			}
			_, err = other.Plan(t.Context(), *w.Conn("hq"), options)
			fails(t, err, fault.Conflict, "is being worked on")
			_, err = other.Sync(t.Context(), *w.Conn("branch"), options)
			w.must(err)
		})
		w.must(err)
		equal(t, "run", r.Run.State, engine.RunApplied)
		_, err = other.Sync(t.Context(), *w.Conn("hq"), options)
		w.must(err)
	})
}

func TestTheLeaseOfADeadProcessIsTakenOverAndThatOfALivingOneIsNot(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		host, err := os.Hostname()
		w.must(err)
		sync := func() error {
			_, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options)
			return err
		}
		namespace, err := os.Readlink("/proc/self/ns/pid")
		w.must(err)
		here := strings.TrimPrefix(namespace, "pid:")
		w.lease("hq", host+"/4194305/1/"+here, 30) // a number no process has
		w.must(sync())
		w.lease("hq", fmt.Sprintf("%s/%d/1/%s", host, os.Getpid(), here), 30) // ours, but of a process that started at another time
		w.must(sync())
		w.lease("hq", fmt.Sprintf("%s/%d/1/[17]", host, os.Getpid()), 30) // of a container that goes by our name
		fails(t, sync(), fault.Conflict, "is being worked on by")
		w.lease("hq", "elsewhere/17/4711", 30)
		fails(t, sync(), fault.Conflict, "process 17 on elsewhere")
		w.lease("hq", "elsewhere/17/4711", -1)
		w.must(sync())
		w.lease("hq", "elsewhere/17/4711", 365*86400) // taken while the clock was a year ahead
		w.must(sync())
	})
}

func TestAProcessThatLostItsLeaseCannotWriteAnyMore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Applied("hq")
		other := w.second()
		var state string
		w.Holds("hq", Person("anna", "title=King"))
		r, err := w.within(func() {
			// It stood still for too long; another took over, and has done its work.
			w.leaseRunsOut("hq")
			w.Dirs.Of("hq").Reading = nil
			w.Holds("hq", Person("anna", "title=Queen"), Person("bob"))
			_, err := other.Sync(t.Context(), *w.Conn("hq"), options)
			w.must(err)
			state = w.State()
		})
		fails(t, err, fault.Conflict, "the lease on connection hq was lost to another process; this one stops here")
		if after := w.State(); after != state {
			t.Errorf("it wrote all the same:\n%s", Difference(state, after))
		}
		w.must(w.Store.RunTable.List(t.Context(), "hq", 10, func(run *engine.Run) error {
			if run.ID == r.Run.ID && run.State == engine.RunApplied {
				t.Error("the run says that it was applied")
			}
			return nil
		}))
		w.Applied("hq")
		w.Settled("hq")
	})
}

func TestAProcessThatLosesItsLeaseWhileApplyingLeavesTheRestToTheOther(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", chapterConnection)
		w.Holds("hq", chapters()[0]...)
		other := w.second()
		commits := 0
		slow := w.NewEngine(&tap{Store: w.Store, before: func(op string) error {
			if op != "ledger commit" {
				return nil
			}
			if commits++; commits == 2 {
				w.leaseRunsOut("hq")
				_, err := other.Sync(t.Context(), *w.Conn("hq"), options)
				return err
			}
			return nil
		}})
		_, err := slow.Sync(t.Context(), *w.Conn("hq"), options)
		fails(t, err, fault.Conflict, "was lost to another process")
		equal(t, "commits of the slow one", commits, 2)
		w.Applied("hq")
		w.Settled("hq")
	})
}

// Many connections at once: what one of them waits for must not hang on what
// another one holds. All of them are in the middle of their rows, with more to
// be read, before the first asks for something else.
func TestPassesInTheMiddleOfTheirRowsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		const many = 4 // as many as SQLite's reading connections
		w.Connect("hq")
		w.Holds("hq", People("p", 10)...)
		w.Applied("hq")
		var inside, wait sync.WaitGroup
		inside.Add(many)
		errs := make([]error, many)
		for i := range many {
			wait.Go(func() {
				var once sync.Once
				s := engine.Selection{Connection: "hq", All: true, Batch: 1}
				errs[i] = w.Store.Mirror().Each(t.Context(), s, directory.User, func(rows []mirror.Row) error {
					once.Do(func() {
						inside.Done()
						inside.Wait()
					})
					_, err := w.Store.Accounts().Linked(t.Context(), "hq", []directory.Digest{rows[0].Key})
					return err
				})
			})
		}
		wait.Wait()
		w.must(errors.Join(errs...))
	})
}
