package engine

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// loadTaken reads the removals that people took out of earlier plans of the connection
// and that were not done since, and the accounts other connections took over.
//
// What somebody said no to is not done by the next run that nobody looks at. A plan that
// is only made has it, and is held, so that a person can say yes. Everything else that
// was taken out is proposed again: it takes nothing away from anybody.
func (b *builder) loadTaken() error {
	b.taken = map[directory.Digest]plan.Note{}
	err := b.p.e.Store.Plans().Taken(b.ctx, b.p.c.Alias, func(n plan.Note) error {
		switch {
		case n.TakesOut(plan.Disable) || n.TakesOut(plan.Delete):
			n.Carried = false
			b.taken[n.Key] = n
		case strings.HasPrefix(n.Text, plan.WentTo):
			b.lost = append(b.lost, n.Account)
		}
		return nil
	})
	if b.plan.Run != nil {
		b.rules.Spared = b.taken
	}
	if err != nil || len(b.lost) == 0 {
		return err
	}
	have, err := b.p.e.Store.Accounts().Fetch(b.ctx, b.lost)
	b.lost = slices.DeleteFunc(b.lost, func(id account.ID) bool { return have[id] == nil || have[id].Connection == b.p.c.Alias })
	return err
}
