package google

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// selected lists the groups of the account, by ID, and those selected of them. absent
// says of what is named and not there.
func (w *workspace) selected(ctx context.Context) (all map[string]*group, roots []*group, absent []string, err error) {
	all = map[string]*group{}
	err = w.everyGroup(ctx, func(g *group) error {
		if all[g.ID] == nil {
			all[g.ID] = g
			if w.set.groups.holds(g) {
				roots = append(roots, g)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, nil, err
	}
	for _, name := range w.set.groups.names {
		if !exists(all, func(g *group) bool { return g.called(name) }) {
			absent = append(absent, "there is no group called \""+name+"\": it was renamed or deleted; correct groups.names")
		}
	}
	for _, id := range w.set.groups.ids {
		if all[id] == nil {
			absent = append(absent, "there is no group with the ID \""+id+"\": it was deleted; correct groups.ids")
		}
	}
	if len(roots) == 0 && len(absent) == 0 {
		absent = append(absent, "no group is selected by the settings of groups, of "+source.Counted(len(all), "group", "groups")+" there are")
	}
	return all, roots, absent, nil
}

func exists(all map[string]*group, is func(*group) bool) bool {
	for g := range maps.Values(all) {
		if is(g) {
			return true
		}
	}
	return false
}

// gather reads the selected groups, the groups in them, and the members of all of them.
// With people: groups it says who is chosen.
func (p *pass) gather() error {
	if p.set.groups.none() {
		return nil
	}
	all, roots, absent, err := p.selected(p.ctx)
	if err != nil {
		return err
	}
	for _, text := range absent {
		p.incomplete("%s", text)
	}
	m := &gathering{pass: p, all: all, refs: map[string]string{}, seen: map[string]bool{}}
	for todo := roots; len(todo) > 0; {
		for _, g := range todo {
			m.seen[g.ID] = true
		}
		p.groups = append(p.groups, todo...)
		m.found = nil
		if err := p.each(todo, m.read); err != nil {
			return err
		}
		// Groups in groups that were not read yet; a circle of groups ends here.
		slices.Sort(m.found)
		todo = nil
		for _, id := range slices.Compact(m.found) {
			if !m.seen[id] {
				todo = append(todo, all[id])
			}
		}
	}
	if m.nameless > 0 {
		p.note("%s left out, whom Google gives no ID: addresses from elsewhere.", source.Counted(m.nameless, "member of groups is", "members of groups are"))
	}
	if p.set.people == peopleGroups {
		p.chosen = map[string]bool{}
		for _, g := range p.groups {
			if g.everyone {
				p.chosen = nil // everybody is in one
				break
			}
			for _, ref := range g.members {
				p.chosen[ref] = true
			}
		}
	}
	return nil
}

// each reads groups, a few at a time.
func (p *pass) each(list []*group, read func(context.Context, *group) error) error {
	ctx, stop := context.WithCancelCause(p.ctx)
	defer stop(nil)
	work := make(chan *group)
	var workers sync.WaitGroup
	for range min(p.set.parallel, len(list)) {
		workers.Go(func() {
			for g := range work {
				if err := read(ctx, g); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	for _, g := range list {
		select {
		case work <- g:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(work)
	workers.Wait()
	if p.ctx.Err() != nil {
		return fault.New(fault.Unavailable, "google: read the members of groups: %w", context.Cause(p.ctx))
	}
	return context.Cause(ctx)
}

// gathering is what those who read members share.
type gathering struct {
	pass *pass
	all  map[string]*group

	mu       sync.Mutex
	refs     map[string]string // each text once: a person is a member of many groups
	seen     map[string]bool
	found    []string // IDs of groups that are members
	nameless int
}

// read reads the members of one group.
func (m *gathering) read(ctx context.Context, g *group) error {
	var members []member
	ask := func() error {
		members = nil
		return m.pass.membersOf(ctx, g.ID, mostMembers, func(one member) error {
			members = append(members, one)
			return nil
		})
	}
	err := ask()
	peopled := g.Count != "" && g.Count != "0"
	if err == nil && len(members) == 0 && peopled {
		err = ask()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var e *rest.Error
	switch {
	case errors.As(err, &e) && e.Status == http.StatusNotFound:
		m.pass.incomplete("the group %q went while it was read", g.Name)
		return nil
	case err != nil:
		return err
	case len(members) == 0 && peopled:
		m.pass.incomplete("Google says that the group %q has %s members, and lists none", g.Name, g.Count)
	}
	for _, one := range members {
		switch {
		case strings.EqualFold(one.Type, memberCustomer):
			g.everyone = true
			continue
		case one.ID == "":
			m.nameless++
			continue
		case strings.EqualFold(one.Type, memberGroup) && m.all[one.ID] != nil:
			m.found = append(m.found, one.ID)
		}
		ref, ok := m.refs[one.ID]
		if !ok {
			ref = one.ID
			m.refs[ref] = ref
		}
		g.members = append(g.members, ref)
	}
	slices.Sort(g.members)
	g.members = slices.Compact(g.members)
	return nil
}

// handGroups hands on the groups, with those members that are of the account.
func (p *pass) handGroups() error {
	ours := map[string]bool{}
	for _, g := range p.groups {
		ours[g.ID] = true
	}
	strangers := map[string]bool{}
	for _, g := range p.groups {
		g.members = slices.DeleteFunc(g.members, func(ref string) bool {
			if _, person := p.listed[ref]; person || ours[ref] {
				return false
			}
			strangers[ref] = true
			return true
		})
		if g.everyone {
			for id := range p.listed {
				g.members = append(g.members, id)
			}
			slices.Sort(g.members)
			g.members = slices.Compact(g.members)
		}
		if err := p.hand(g.record()); err != nil {
			return err
		}
		g.members = nil
	}
	if len(strangers) > 0 {
		p.note("%s left out, who are not of the account: people and groups from elsewhere.", source.Counted(len(strangers), "member of groups is", "members of groups are"))
	}
	return nil
}
