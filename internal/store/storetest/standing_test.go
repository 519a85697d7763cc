package storetest

import (
	"testing"

	"rollcall.dev/rollcall/internal/engine/plan"
)

// bob is planned again because his manager leaves, not because his entry moved:
// what was noted about him before must be told once, however often that happens.
func TestAWarningIsToldOnceAlsoWhenItsEntryIsPlannedForAnothersSake(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		bob := func() []rec {
			return []rec{Person("bob", "manager=anna", "mobile=nonsense"), Person("carl"), Person("dora")}
		}
		w.Holds("hq", append(bob(), Person("anna"))...)
		w.Applied("hq")
		for range 3 {
			w.Holds("hq", bob()...)
			r := w.Applied("hq")
			equal(t, "warnings while anna is away (the number, and the manager)", r.Run.Summary.Warnings, 2)
			w.Holds("hq", append(bob(), Person("anna"))...)
			r = w.Applied("hq")
			equal(t, "warnings when she is back", r.Run.Summary.Warnings, 1)
		}
		told := 0
		err := w.Store.PlanTable.AllOpen(t.Context(), "hq", func(n plan.Note) error {
			if n.Kind == plan.Warning {
				told++
			}
			return nil
		})
		equal(t, "error", err, nil)
		equal(t, "warnings kept", told, 1)
	})
}
