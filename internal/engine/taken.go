package engine

import (
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// loadTaken reads the removals that people took out of earlier plans of the connection
// and that were not done since, and the accounts other connections took over.
func (b *builder) loadTaken() error {
	b.taken = map[directory.Digest]plan.Note{}
	err := b.p.e.Store.Plans().Taken(b.ctx, b.p.c.Alias, func(n plan.Note) error {
		switch {
		case takesOut(&n, plan.Disable) || takesOut(&n, plan.Delete):
			n.Carried = false
			b.taken[n.Key] = n
		case strings.HasPrefix(n.Text, plan.WentTo):
			b.lost = append(b.lost, n.Account)
		}
		return nil
	})
	if err != nil || len(b.lost) == 0 {
		return err
	}
	have, err := b.p.e.Store.Accounts().Fetch(b.ctx, b.lost)
	b.lost = slices.DeleteFunc(b.lost, func(id account.ID) bool { return have[id] == nil || have[id].Connection == b.p.c.Alias })
	return err
}

// takesOut reports that a note is of a row with this action that a person took out.
func takesOut(n *plan.Note, action plan.Action) bool {
	return strings.HasPrefix(n.Text, string(action)+": ")
}

// without leaves a removal out that a person took out of an earlier plan: what somebody
// said no to is not done by the next run that nobody looks at. A plan that is only made
// has it, and is held, so that a person can say yes. Everything else that was taken out is
// proposed again: it takes nothing away from anybody.
func (b *builder) without(pair *match.Pair, d plan.Decision) plan.Decision {
	n, ok := b.taken[pair.Key]
	if !ok || d.Change == nil || !takesOut(&n, d.Change.Action) {
		return d
	}
	if b.plan.Run == nil {
		b.again++
		return d
	}
	return plan.Decision{Keep: true, Out: d.Out, Notes: []plan.Note{n}}
}
