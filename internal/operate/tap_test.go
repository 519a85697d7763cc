package operate

import (
	"context"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/apply"
)

// tapped is a store that tells of every batch of changes after it was written.
type tapped struct {
	engine.Store
	commit func()
}

func (t *tapped) Ledger() apply.Ledger { return tappedLedger{t.Store.Ledger(), t} }

type tappedLedger struct {
	apply.Ledger
	t *tapped
}

func (l tappedLedger) Commit(ctx context.Context, b apply.Batch) ([]apply.Outcome, error) {
	out, err := l.Ledger.Commit(ctx, b)
	if err == nil {
		l.t.commit()
	}
	return out, err
}
