package engine

import (
	"context"
	"slices"

	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/setting"
)

// finish judges a built plan and makes it whole.
func (e *Engine) finish(ctx context.Context, lease mirror.Lease, made *Plan, b *builder, facts safeguard.Facts, limits setting.Limits) error {
	var err error
	if made.Chunks, made.Hash, err = b.changes.Close(); err != nil {
		return err
	}
	if _, _, err = b.notes.Close(); err != nil {
		return err
	}
	b.summary.SeatsNeeded = facts.Seats + b.summary.Seats
	made.Summary = b.summary
	if b.summary.Remove > 0 {
		if facts.Memberships, err = e.Store.Accounts().Memberships(ctx, made.Connection); err != nil {
			return err
		}
	}
	facts.Again = b.again
	made.Verdict, made.HeldBecause = safeguard.Judge(&made.Summary, facts, limits)
	made.State = plan.Ready
	if made.Verdict == plan.Held {
		made.State = plan.Waiting
	}
	if made.HeldBecause == nil {
		made.HeldBecause = []string{}
	}
	waits, err := e.Store.Plans().Same(ctx, made)
	if err != nil {
		return err
	}
	if waits != nil && waits.Verdict == made.Verdict && slices.Equal(waits.HeldBecause, made.HeldBecause) && e.verify(ctx, waits) == nil {
		// Nothing moved since: whoever is looking at that plan can still approve it.
		if err := e.Store.Plans().Keep(ctx, lease, waits, made, b.overlaps); err != nil {
			return err
		}
		waits.Summary = made.Summary
		if made.Run != nil {
			waits.Run = made.Run
		}
		*made = *waits
		return nil
	}
	return e.Store.Plans().Finish(ctx, lease, made, b.overlaps)
}
