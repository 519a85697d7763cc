package store

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/setting"
)

// Prune takes away what is older than a retention says, in small transactions, so
// that nobody waits for it: of each kind at the most so many, 0 means all there
// are. Rows of plans go first: a run stays until its plan has none.
func (s *Store) Prune(ctx context.Context, r setting.Retention, now time.Time, transactions int) (engine.Pruned, error) {
	var out engine.Pruned
	rows := r.Plans // not longer than their run, without which nobody finds them
	if rows == 0 || r.Runs > 0 && r.Runs < rows {
		rows = r.Runs
	}
	for _, one := range []struct {
		keep time.Duration
		step func(before time.Time) (bool, error)
	}{
		{rows, func(before time.Time) (bool, error) {
			n, more, err := s.PlanTable.Prune(ctx, before)
			out.Plans += n
			return more, err
		}},
		{r.Runs, func(before time.Time) (bool, error) {
			n, more, err := s.RunTable.Prune(ctx, before)
			out.Runs += n
			return more, err
		}},
		{r.Runs, func(before time.Time) (bool, error) { return s.PlanTable.PruneHeads(ctx, before) }},
		{r.Deliveries, func(before time.Time) (bool, error) {
			n, more, err := s.HookTable.Prune(ctx, before)
			out.Deliveries += n
			return more, err
		}},
		{r.Deliveries, func(before time.Time) (bool, error) { return s.NoticeTable.Prune(ctx, before) }},
		{r.Events, func(before time.Time) (bool, error) {
			n, more, err := s.EventTable.Prune(ctx, before)
			out.Events += n
			return more, err
		}},
	} {
		if one.keep == 0 {
			continue
		}
		for done, more := 0, true; more && (transactions == 0 || done < transactions); done++ {
			var err error
			if more, err = one.step(now.Add(-one.keep)); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}
