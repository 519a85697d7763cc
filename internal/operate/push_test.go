package operate

import (
	"context"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	pushing "rollcall.dev/rollcall/internal/source/scim"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/pushed"
)

// watcher is told of the runs that end.
type watcher chan *engine.Run

func (w watcher) Begin(ctx context.Context, _ setting.Connection, _ *engine.Run) (context.Context, Observation) {
	return ctx, w
}
func (w watcher) Progress(engine.Progress)     {}
func (w watcher) End(run *engine.Run, _ error) { w <- run }

func (s *site) inbox() {
	scripted := s.w.Dirs.Kind
	s.w.Engine.Kinds = func(name string) (source.Kind, bool) {
		if name == pushing.Kind.Name {
			return pushing.Kind, true
		}
		return scripted(name)
	}
	s.w.Engine.Pushed = s.w.Store.Pushed.Of
	s.w.Connect("okta", func(c *setting.Connection) { c.Kind, c.Backend = pushing.Kind.Name, setting.Values{} })
}

func (s *site) pushes(name string) {
	s.t.Helper()
	s.must(s.w.Store.Pushed.Write(s.t.Context(), "okta", func(tx *pushed.Tx) error {
		_, err := tx.Create(scim.User, scim.Object{"userName": name + "@example.org", "name": scim.Object{"givenName": name, "familyName": "Doe"}})
		return err
	}))
}

func (s *site) pending() (yes bool) {
	s.t.Helper()
	s.must(s.w.Store.DB.Reader().QueryRowContext(s.t.Context(), `SELECT pending FROM pushed_state WHERE connection = 'okta'`).Scan(&yes))
	return yes
}

func TestARunFollowsWhatIsPushed(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.inbox()
		seen := make(watcher, 100)
		o := s.started("one", func(o *Options) { o.Observer = seen })
		for _, name := range []string{"jane", "john"} {
			s.pushes(name)
			run := <-seen
			if run.Trigger != Pushed || run.Actor != Pushed || run.State != engine.RunApplied || run.Summary == nil || run.Summary.Create != 1 {
				t.Errorf("the run after %s: %+v", name, run)
			}
			if s.w.Account(name+"@example.org") == nil {
				t.Errorf("%s has no account", name)
			}
		}
		if s.pending() {
			t.Error("something is pending still")
		}
		s.must(o.takePush(t.Context(), "okta")) // a job that comes twice
		if waiting, running, err := o.Line(t.Context()); err != nil || waiting+running > 0 {
			t.Errorf("%d runs wait, %d are carried out for nothing: %v", waiting, running, err)
		}
	})
}

func TestWhatWasPushedWithoutAJobIsFound(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.inbox()
		s.w.Store.Pushed.Now = func() time.Time { return time.Now().Add(-time.Hour) }
		s.pushes("jane") // by a process that carries out no runs
		if !s.pending() {
			t.Fatal("nothing is pending")
		}
		s.w.Store.Pushed.Now = time.Now
		seen := make(watcher, 100)
		s.started("one", func(o *Options) { o.Observer = seen; o.Timing.Push = time.Second })
		if run := <-seen; run.State != engine.RunApplied || s.w.Account("jane@example.org") == nil {
			t.Errorf("the run: %+v", run)
		}
	})
}

func TestWhatIsPushedAndItsRunAreWrittenTogetherOrNotAtAll(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.inbox()
		o := s.node("one")
		s.w.Store.Pushed.Line = func(ctx context.Context, tx *db.Tx, alias string, last time.Time) error {
			if err := o.follow(ctx, tx, alias, last); err != nil {
				return err
			}
			return context.DeadlineExceeded
		}
		err := s.w.Store.Pushed.Write(t.Context(), "okta", func(tx *pushed.Tx) error {
			_, err := tx.Create(scim.User, scim.Object{"userName": "jane"})
			return err
		})
		if err == nil {
			t.Error("it was taken")
		}
		p, err := s.w.Store.Pushed.List(t.Context(), "okta", pushed.Query{Type: scim.User})
		if err != nil || p.Total != 0 {
			t.Errorf("%d are there: %v", p.Total, err)
		}
		// Of a connection that is gone, nothing follows.
		s.w.Store.Pushed.Line = o.follow
		s.pushes("jane")
		s.w.Connections = nil
		s.must(o.takePush(t.Context(), "okta"))
		if waiting, _, err := o.Line(t.Context()); err != nil || waiting > 0 || s.pending() {
			t.Errorf("%d runs wait: %v", waiting, err)
		}
	})
}
