package runs

import (
	"context"
	"database/sql"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// old are runs that ended before a time and whose plans have no rows left, but
// for the last applied one of each connection.
const old = `SELECT id FROM runs r WHERE finished_at > 0 AND finished_at < $1 AND state IN ('applied', 'failed', 'rejected', 'reverted')
	AND NOT EXISTS (SELECT 1 FROM plans p WHERE p.run = r.id AND p.pruned < 2)
	AND (state <> 'applied' OR EXISTS (SELECT 1 FROM runs n WHERE n.connection = r.connection AND n.started_at > r.started_at AND n.state = 'applied'))
	ORDER BY finished_at, id LIMIT $2`

// Prune takes, in one small transaction, runs that ended before a time, with the
// heads of their plans. It gives how many, and whether there may be more to do.
func (s *Runs) Prune(ctx context.Context, before time.Time) (gone int, more bool, err error) {
	const most = 500
	list := func(q db.Querier) (ids []any, err error) {
		err = db.Each(ctx, q, old, []any{db.Micros(before), most}, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
		return ids, err
	}
	// Looked at first without a transaction: mostly there is nothing.
	if ids, err := list(s.DB.Reader()); err != nil || len(ids) == 0 {
		return 0, false, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Pruning(ctx, tx); err != nil {
			return err
		}
		ids, err := list(tx)
		if err != nil || len(ids) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM plans WHERE run IN `+db.In(1, len(ids)), ids...); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM runs WHERE id IN `+db.In(1, len(ids)), ids...)
		gone, more = int(n), len(ids) == most
		return err
	})
	return gone, more, err
}
