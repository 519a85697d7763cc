package plans

import (
	"context"
	"database/sql"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// keptPlans is how many plans that came to nothing keep their rows, however
// young they are. Applied ones keep theirs for longer: they can be reverted.
const keptPlans = 10

// pruneLast takes the rows of older plans that were superseded or rejected. A plan
// a day of a large directory would otherwise fill the disk with what never was.
func pruneLast(ctx context.Context, tx *db.Tx, connection string) error {
	old := `(SELECT id FROM plans WHERE connection = $1 AND state IN ('superseded', 'rejected') AND id NOT IN
		(SELECT id FROM plans WHERE connection = $1 AND state IN ('superseded', 'rejected') ORDER BY created_at DESC, id DESC LIMIT $2))`
	// The head comes first, as in Prune: who has it has its rows.
	for _, q := range []string{`UPDATE plans SET chunks = 0, pruned = 2 WHERE pruned < 2 AND id IN ` + old,
		`DELETE FROM plan_chunks WHERE plan IN ` + old, `DELETE FROM plan_excluded WHERE plan IN ` + old} {
		if _, err := tx.Exec(ctx, q, connection, keptPlans); err != nil {
			return err
		}
	}
	return nil
}

// How much one transaction of pruning takes away.
const (
	plansAtOnce    = 100
	chunksAtOnce   = 50 // up to a megabyte each
	excludedAtOnce = 5000
)

// Prune takes, in one small transaction, rows of plans that ended before a time.
// It gives how many plans have none left because of it, and whether there may be
// more to do.
func (s *Plans) Prune(ctx context.Context, before time.Time) (ended int, more bool, err error) {
	old := func(q db.Querier, lock string) (ids []any, err error) {
		err = db.Each(ctx, q, `SELECT id FROM plans WHERE ended_at > 0 AND pruned < 2 AND ended_at < $1 ORDER BY ended_at, id LIMIT $2`+lock,
			[]any{db.Micros(before), plansAtOnce}, func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				ids = append(ids, id)
				return err
			})
		return ids, err
	}
	// Looked at first without a transaction: mostly there is nothing.
	if ids, err := old(s.DB.Reader(), ""); err != nil || len(ids) == 0 {
		return 0, false, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		ended = 0
		if err := events.Pruning(ctx, tx); err != nil {
			return err
		}
		ids, err := old(tx, tx.Unlocked())
		if err != nil || len(ids) == 0 {
			return err
		}
		in := db.In(1, len(ids))
		if _, err := tx.Exec(ctx, `UPDATE plans SET pruned = 1 WHERE pruned = 0 AND id IN `+in, ids...); err != nil {
			return err
		}
		limit := db.Placeholder(len(ids) + 1)
		more = true
		n, err := tx.Exec(ctx, `DELETE FROM plan_chunks WHERE (plan, part, seq) IN (SELECT plan, part, seq FROM plan_chunks WHERE plan IN `+in+` LIMIT `+limit+`)`, append(ids, chunksAtOnce)...)
		if err != nil || n == chunksAtOnce {
			return err
		}
		n, err = tx.Exec(ctx, `DELETE FROM plan_excluded WHERE (plan, seq) IN (SELECT plan, seq FROM plan_excluded WHERE plan IN `+in+` LIMIT `+limit+`)`, append(ids, excludedAtOnce)...)
		if err != nil || n == excludedAtOnce {
			return err
		}
		n, err = tx.Exec(ctx, `UPDATE plans SET pruned = 2, chunks = 0 WHERE id IN `+in, ids...)
		ended, more = int(n), len(ids) == plansAtOnce
		return err
	})
	return ended, more, err
}

// PruneHeads takes, in one small transaction, heads of plans that ended before a
// time and belong to no run. Those of a run go with it.
func (s *Plans) PruneHeads(ctx context.Context, before time.Time) (more bool, err error) {
	const old = ` FROM plans WHERE pruned = 2 AND run = '' AND ended_at < $1`
	var some bool
	if err := s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+old+`)`, db.Micros(before)).Scan(&some); err != nil || !some {
		return false, db.Explain("look for old plans", err)
	}
	const most = 500
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Pruning(ctx, tx); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM plans WHERE id IN (SELECT id`+old+` LIMIT $2)`, db.Micros(before), most)
		more = n == most
		return err
	})
	return more, err
}
