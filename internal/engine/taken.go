package engine

import (
	"context"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// takenOut gives the removals that people took out of earlier plans of the connection and
// that were not done since.
func (p *pass) takenOut(ctx context.Context) (map[directory.Digest]plan.Note, error) {
	taken := map[directory.Digest]plan.Note{}
	err := p.e.Store.Plans().Taken(ctx, p.c.Alias, func(n plan.Note) error {
		if takesOut(&n, plan.Disable) || takesOut(&n, plan.Delete) {
			n.Carried = false
			taken[n.Key] = n
		}
		return nil
	})
	return taken, err
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
