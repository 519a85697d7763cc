package ledger

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/db"
)

// tally is by how much a transaction changes the numbers of accounts, by
// connection.
type tally map[string]*struct{ here, active int }

func (t tally) count(a *account.Account, n int) {
	c := t[a.Connection]
	if c == nil {
		c = &struct{ here, active int }{}
		t[a.Connection] = c
	}
	if !a.Left() {
		c.here += n
	}
	if a.Status == account.Active {
		c.active += n
	}
}

func (t tally) write(ctx context.Context, tx *db.Tx, organization string, now time.Time) error {
	for connection, c := range t {
		_, err := tx.Exec(ctx, `INSERT INTO tallies (organization, connection, here, active, changed_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (organization, connection) DO UPDATE SET here = tallies.here + excluded.here, active = tallies.active + excluded.active,
			changed_at = excluded.changed_at`, organization, connection, c.here, c.active, db.Micros(now))
		if err != nil {
			return err
		}
	}
	return nil
}

// othersChanged reports whether accounts of other connections of the
// organization were changed after a time.
func othersChanged(ctx context.Context, tx *db.Tx, organization, connection string, after time.Time) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM tallies WHERE organization = $1 AND connection <> $2 AND changed_at > $3`,
		organization, connection, db.Micros(after)).Scan(&n)
	return n > 0, db.Explain("read when accounts changed", err)
}
