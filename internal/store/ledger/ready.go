package ledger

import (
	"context"

	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/leases"
)

// manyChunks is from how many chunks on a plan may be an installation's first import,
// and few how many accounts there may be before.
const (
	manyChunks = 2
	few        = 1000
)

// byWhich names the indexes of what a first import writes whose entries lie all over:
// kept row by row they take half of its time, built when all are there a quarter. Those
// that keep rules (one account of an entry, one membership of a kind) are not among them.
var byWhich = []string{"accounts_username", "accounts_email", "accounts_manager", "memberships_account"}

// first defers those indexes before the first chunk of a first import, while there is
// next to nobody who could be looked for by them. Where that cannot be, they are kept
// row by row; what else is wrong the chunk itself comes upon.
func (l *Ledger) first(ctx context.Context, b apply.Batch) {
	if b.Seq > 0 || b.Chunks < manyChunks || len(b.Changes) == 0 || b.Changes[0].Target != plan.Account || b.Changes[0].Action != plan.Create {
		return
	}
	_ = l.DB.DeferIndexes(ctx, func(tx *db.Tx) (bool, error) { //nolint:errcheck // see above
		if err := leases.Hold(ctx, tx, b.Lease); err != nil {
			return false, err
		}
		if err := events.Lock(ctx, tx); err != nil {
			return false, err
		}
		var n int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM accounts LIMIT $1) AS x`, few+1).Scan(&n)
		return n <= few, db.Explain("count accounts", err)
	}, byWhich...)
}

// Ready implements apply.Ledger. An index that cannot be built (a full disk, a time
// limit of the database) stops nobody: it is told of, and tried again by the next.
func (l *Ledger) Ready(ctx context.Context) {
	if err := l.DB.BuildIndexes(ctx); err != nil && ctx.Err() == nil {
		l.DB.Tell(err)
	}
}
