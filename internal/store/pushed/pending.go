package pushed

import (
	"context"
	"database/sql"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
)

// Take reports whether something of a connection is pending, which is not any more
// then: whoever takes it puts a run in line in the same transaction.
func Take(ctx context.Context, tx *db.Tx, connection string, at time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE pushed_state SET pending = false, taken_at = $2 WHERE connection = $1 AND pending`, connection, db.Micros(at))
	return n == 1, err
}

// Pending names connections of which something has been pending for longer than a
// while.
func (p *Pushed) Pending(ctx context.Context, a time.Duration) (aliases []string, err error) {
	err = db.Each(ctx, p.DB.Reader(), `SELECT connection FROM pushed_state WHERE pending AND pending_at < $1 ORDER BY pending_at LIMIT 100`, []any{db.Micros(p.now().Add(-a))},
		func(rows *sql.Rows) error {
			var alias string
			err := rows.Scan(&alias)
			aliases = append(aliases, alias)
			return err
		})
	return aliases, err
}
