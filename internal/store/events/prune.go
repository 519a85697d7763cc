package events

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// rowsAtOnce is how many rows one transaction of pruning takes away.
const rowsAtOnce = 2000

// Pruning makes this transaction the only one that prunes until it ends. Nobody
// else waits for it.
func Pruning(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, `UPDATE counters SET value = value WHERE name = 'pruned'`)
	return err
}

// Prune takes, in one small transaction, events written before a time from the
// beginning of the feed, up to the first that was not: so the feed has no gap.
// It gives how many, and whether there may be more to do.
func (s *Events) Prune(ctx context.Context, before time.Time) (gone int64, more bool, err error) {
	cutoff := db.Micros(before)
	var first int64
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT at FROM events ORDER BY id LIMIT 1`).Scan(&first)
	if errors.Is(err, sql.ErrNoRows) || err == nil && first >= cutoff {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, db.Explain("look for old events", err)
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		gone, more = 0, false
		var was mark
		if err := was.scan(tx.QueryRowContext(ctx, `UPDATE counters SET value = value WHERE name = 'pruned' RETURNING value, chain, seal`)); err != nil {
			return db.Explain("read the beginning of the feed", err)
		}
		wanted, err := stillWanted(ctx, tx, time.Now())
		if err != nil {
			return err
		}
		rows, last, end := 0, int64(0), int64(0)
		var chain []byte
		err = db.Each(ctx, tx, `SELECT id, span, at, chain FROM events WHERE id < $2 ORDER BY id LIMIT $1`, []any{rowsAtOnce, wanted}, func(row *sql.Rows) error {
			var id, span, at int64
			var its []byte
			if err := row.Scan(&id, &span, &at, &its); err != nil {
				return err
			}
			if at >= cutoff || id+span > wanted {
				return errEnough
			}
			chain = its
			rows++
			gone += span
			last, end = id, id+span-1
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) || rows == 0 {
			return err
		}
		more = rows == rowsAtOnce
		if _, err := tx.Exec(ctx, `DELETE FROM events WHERE id <= $1`, last); err != nil {
			return err
		}
		now, err := was.next(tx.Keyed(), "beginning", mark{value: end, chain: chain})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE counters SET value = $1, chain = $2, seal = $3 WHERE name = 'pruned'`, now.value, null(now.chain), null(now.seal)); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE counters SET value = $1 WHERE name = 'pruned_before' AND value < $1`, cutoff)
		return err
	})
	return gone, more, err
}

// stillWanted gives the first event that a delivery under way tells of.
func stillWanted(ctx context.Context, q db.Querier, now time.Time) (int64, error) {
	var first sql.NullInt64
	err := q.QueryRowContext(ctx, `SELECT min(event) FROM deliveries WHERE state = 'pending' AND event > 0 AND give_up_at > $1`, db.Micros(now)).Scan(&first)
	if err != nil {
		return 0, db.Explain("look for deliveries under way", err)
	}
	if first.Valid {
		return first.Int64, nil
	}
	return 1 << 62, nil
}

// kept refuses a cursor before the beginning of what is kept.
func kept(ctx context.Context, q db.Querier, after int64) error {
	var pruned int64
	if err := q.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'pruned'`).Scan(&pruned); err != nil {
		return db.Explain("read the beginning of the feed", err)
	}
	if after >= pruned {
		return nil
	}
	return fault.New(fault.NotFound, "events: those behind %d are not all kept: the feed begins behind %d, what came before was pruned", after, pruned).
		WithHint("note the newest ID (`rollcall events tail --limit 1`), take accounts and groups anew (`rollcall accounts export`), and go on behind that ID; `retention.events` says how long events are kept")
}

// Newest gives the number of the newest event; 0 before the first.
func (s *Events) Newest(ctx context.Context) (int64, error) {
	var n int64
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'event'`).Scan(&n)
	return n, db.Explain("read the end of the feed", err)
}
