package engine

import (
	"bytes"
	"maps"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// managerCycles finds the cycles that can be reached from the links just made,
// in order, each beginning with its smallest ID.
func managerCycles(above, from map[account.ID]account.ID) [][]account.ID {
	order := func(a, b account.ID) int { return bytes.Compare(a[:], b[:]) }
	visited := make(map[account.ID]int, len(from)) // the walk that came by, counted from 1
	var cycles [][]account.ID
	walk := 0
	for id := range from {
		walk++
		ok := true
		for ok && !id.IsZero() && visited[id] == 0 {
			visited[id] = walk
			id, ok = above[id]
		}
		if !ok || id.IsZero() || visited[id] != walk {
			continue
		}
		cycle := []account.ID{id}
		for next := above[id]; next != id; next = above[next] {
			cycle = append(cycle, next)
		}
		at := slices.Index(cycle, slices.MinFunc(cycle, order))
		cycles = append(cycles, append(cycle[at:len(cycle):len(cycle)], cycle[:at]...))
	}
	slices.SortFunc(cycles, func(a, b []account.ID) int { return order(a[0], b[0]) })
	return cycles
}

// above gives the manager links by which the people of this plan are led: all
// there are, or, where few are planned, level by level up from them.
func (b *builder) above() (map[account.ID]account.ID, error) {
	if b.empty {
		return b.managers, nil
	}
	store := b.p.e.Store.Accounts()
	above := map[account.ID]account.ID{}
	if len(b.managers) > few {
		err := store.Managers(b.ctx, b.p.c.Organization, func(id, manager account.ID) { above[id] = manager })
		maps.Copy(above, b.managers)
		return above, err
	}
	maps.Copy(above, b.managers)
	level := slices.Collect(maps.Values(b.managers))
	for len(level) > 0 {
		have, err := store.Fetch(b.ctx, level)
		if err != nil {
			return nil, err
		}
		level = level[:0]
		for id, a := range have {
			if _, known := above[id]; !known {
				above[id] = a.Manager
				level = append(level, a.Manager)
			}
		}
		level = slices.DeleteFunc(level, func(id account.ID) bool {
			_, known := above[id]
			return known || id.IsZero()
		})
	}
	return above, nil
}

// names gives what accounts are called, also those this plan creates, and the
// mirror key of the first.
func (b *builder) names(ids []account.ID) ([]string, directory.Digest, error) {
	var key directory.Digest
	have, err := b.p.e.Store.Accounts().Fetch(b.ctx, ids)
	if err != nil {
		return nil, key, err
	}
	created := map[account.ID]*plan.Change{}
	if len(have) < len(ids) {
		if created, err = b.created(ids); err != nil {
			return nil, key, err
		}
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
		if a := have[id]; a != nil {
			out[i] = a.Text[account.Username]
			if i == 0 {
				key = directory.KeyOf(directory.User, directory.ExternalID(a.ExternalID))
			}
		} else if c := created[id]; c != nil {
			out[i] = c.After.Text[account.Username]
			if i == 0 {
				key = c.Key
			}
		}
	}
	return out, key, nil
}

// created looks created accounts up in the plan itself. Cycles are few; the rows
// of everybody are not kept for them.
func (b *builder) created(ids []account.ID) (map[account.ID]*plan.Change, error) {
	out := map[account.ID]*plan.Change{}
	err := b.changes.Flushed(func() error {
		return b.p.e.EachChange(b.ctx, &Plan{ID: b.plan.ID, Chunks: b.changes.Count()}, func(c *plan.Change) error {
			if c.Action == plan.Create && c.Target == plan.Account && slices.Contains(ids, c.Account) {
				one := *c
				out[c.Account] = &one
			}
			return nil
		})
	})
	return out, err
}
