package ledger

import (
	"context"

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
	if a.Status != account.Deleted && (a.Status != account.Disabled || a.Cause != account.ByAbsence) {
		c.here += n
	}
	if a.Status == account.Active {
		c.active += n
	}
}

func (t tally) write(ctx context.Context, tx *db.Tx, organization string) error {
	for connection, c := range t {
		if c.here == 0 && c.active == 0 {
			continue
		}
		_, err := tx.Exec(ctx, `INSERT INTO tallies (organization, connection, here, active) VALUES ($1, $2, $3, $4)
			ON CONFLICT (organization, connection) DO UPDATE SET here = tallies.here + excluded.here, active = tallies.active + excluded.active`,
			organization, connection, c.here, c.active)
		if err != nil {
			return err
		}
	}
	return nil
}
