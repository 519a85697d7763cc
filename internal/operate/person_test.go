package operate

import (
	"testing"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func TestARunForOnePersonStandsInLineLikeAnyOther(t *testing.T) {
	both(t, func(t *testing.T, s *site) {
		s.w.Connect("hq")
		s.w.Holds("hq", storetest.Person("anna"))
		s.w.Applied("hq")
		s.w.Holds("hq", storetest.Person("bob"), storetest.Person("carl"))
		asks := s.node("asks", func(o *Options) { o.Workers = 0 })
		first, err := asks.SyncPerson(t.Context(), "hq", " bob ", "eve")
		s.must(err)
		if again, err := asks.SyncPerson(t.Context(), "hq", "bob", "eve"); err != nil || again.ID != first.ID {
			t.Errorf("who waits is asked for again: %+v, %v", again, err)
		}
		if other, err := asks.SyncPerson(t.Context(), "hq", "carl", "eve"); err != nil || other.ID == first.ID {
			t.Errorf("somebody else is not the same run: %+v, %v", other, err)
		}
		if _, err := asks.SyncPerson(t.Context(), "hq", " ", "eve"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("nobody: %v", err)
		}
		s.started("one")
		run := s.ends(asks, first.ID, engine.RunApplied, "")
		if run.Trigger != engine.ByPerson || run.Summary.Create != 1 || run.Reading.Method != engine.ByPerson {
			t.Errorf("%+v", run)
		}
		if a := s.w.Account("anna"); a == nil || a.Status != "active" {
			t.Errorf("anna was missed by a reading of somebody else: %+v", a)
		}
	})
}
