package entra

import (
	"context"
	"maps"
	"slices"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// mostChanges is how many changed users are read one by one. Beyond it to read
// everything is less work.
const mostChanges = 10_000

// news is what a reading of changes learned, before anything is handed on.
type news struct {
	users        map[string]*item // merged over the pages of the round
	groups       map[string]*item
	presentUsers []string
	listed       map[string]bool // groups there are, by id: whether selected; nil without a sweep
}

// changes reads what changed since a bookmark. Nothing is handed on before both
// rounds are at their end, so that until then everything can be read in their place.
func (r *reading) changes(ctx context.Context, old *bookmark) error {
	next := *old
	next.At = r.req.Now
	r.book = &next
	n := &news{users: map[string]*item{}, groups: map[string]*item{}}
	var err error
	if next.Users, err = r.follow(ctx, old.Users, forUsers, n.users); err != nil {
		return err
	}
	if !r.set.groups.none() {
		if next.Groups, err = r.follow(ctx, old.Groups, forGroups, n.groups); err != nil {
			return err
		}
	}
	if len(n.users) > mostChanges {
		return &lostError{"so much changed that it is less work"}
	}
	if r.req.Sweep || due(old.SweptAt, r.req.Now, r.set.sweepEvery) {
		if err := r.sweep(ctx, n); err != nil {
			return err
		}
		next.SweptAt = r.req.Now
		r.out.Swept = true
	}
	if err := r.changedPeople(ctx, n); err != nil {
		return err
	}
	if r.set.groups.none() {
		return nil
	}
	return r.changedGroups(ctx, old, n)
}

// follow reads a round of changes. Of several entries of one id each later one is
// laid over those before.
func (r *reading) follow(ctx context.Context, link string, needs []string, into map[string]*item) (string, error) {
	if _, err := r.api.Resolve(link); err != nil {
		return "", &lostError{"the bookmark of the last reading is of another address"}
	}
	next, err := r.round(ctx, link, needs, func(items []item) error {
		for i := range items {
			if have := into[items[i].id]; have != nil {
				have.over(items[i])
			} else {
				into[items[i].id] = &items[i]
			}
		}
		return nil
	})
	if lost(err) {
		return "", &lostError{"Microsoft Graph does not know the state of the last reading any more"}
	}
	return next, err
}

func (r *reading) isKnown(kind directory.Kind, id string) (bool, error) {
	if r.req.Known == nil {
		return false, nil
	}
	return r.req.Known(kind, directory.ExternalID(id))
}

// sweep asks for the ids of all. Who is not known is read as if changed.
func (r *reading) sweep(ctx context.Context, n *news) error {
	err := r.everyUser(ctx, r.set.idOnly(), nil, func(it item) error {
		if n.users[it.id] != nil || it.guest() && !r.set.guests {
			return nil
		}
		known, err := r.isKnown(directory.User, it.id)
		if err != nil {
			return err
		}
		if known {
			n.presentUsers = append(n.presentUsers, it.id)
		} else {
			n.users[it.id] = &item{id: it.id}
		}
		return nil
	})
	if err != nil || r.set.groups.none() {
		return err
	}
	n.listed = map[string]bool{}
	return r.everyGroup(ctx, func(id, name string) { n.listed[id] = r.set.groups.holds(id, name) })
}

func (r *reading) gone(kind directory.Kind, id string) error {
	return r.hand(&directory.Record{Kind: kind, ID: directory.ExternalID(id), Gone: true})
}

func (r *reading) present(kind directory.Kind, id string) error {
	return r.hand(&directory.Record{Kind: kind, ID: directory.ExternalID(id), Present: true})
}

// changedPeople reads again in whole who was named in a round: an entry need not
// hold all properties, and a manager least of all. What the round says of a property
// is laid over that, since a list may lag behind.
func (r *reading) changedPeople(ctx context.Context, n *news) error {
	for _, id := range n.presentUsers {
		if err := r.present(directory.User, id); err != nil {
			return err
		}
	}
	var read []string
	for _, id := range slices.Sorted(maps.Keys(n.users)) {
		if n.users[id].removed {
			if err := r.gone(directory.User, id); err != nil {
				return err
			}
		} else {
			read = append(read, id)
		}
	}
	whole := map[string]bool{}
	err := r.wholeUsers(ctx, read, func(it item) error {
		whole[it.id] = true
		it.over(*n.users[it.id])
		return r.changedPerson(&it)
	})
	if err != nil {
		return err
	}
	absent := 0
	for _, id := range read {
		it := n.users[id]
		switch {
		case whole[id]:
		case it.has("accountEnabled") && it.has("userPrincipalName") && len(it.managers) > 0 == r.wish.manager:
			// Just made: lists do not have them yet.
			if err := r.changedPerson(it); err != nil {
				return err
			}
		default:
			absent++
		}
	}
	if absent > 0 {
		r.incomplete("Microsoft Graph names %s as changed and does not show them: they were deleted a moment ago, or are not there yet.", source.Counted(absent, "person", "people"))
	}
	return nil
}

func (r *reading) changedPerson(it *item) error {
	if it.guest() && !r.set.guests {
		return r.gone(directory.User, it.id)
	}
	manager := ""
	if r.wish.manager {
		manager = it.lastManager(it.manager)
	}
	return r.hand(it.user(r.wish, manager))
}

// grouping is what the groups of a reading of changes come to.
type grouping struct {
	*reading
	news    *news
	circles map[string]*circle // those read in whole
	edges   map[string][]string
	nested  map[string]bool // as at the last reading
	roots   map[string]bool // of those looked at: selected or not
	named   map[string]string
	left    map[string]bool // not there any more
}

// changedGroups hands on in whole the groups that changed, and those that came to be
// selected or in a selected one; and says of those that are no longer that they went.
func (r *reading) changedGroups(ctx context.Context, old *bookmark, n *news) error {
	g := &grouping{reading: r, news: n, circles: map[string]*circle{}, edges: map[string][]string{}, nested: map[string]bool{}, roots: map[string]bool{}, named: map[string]string{}, left: map[string]bool{}}
	maps.Copy(g.edges, old.Edges)
	maps.Copy(g.named, old.Named)
	for _, id := range old.Nested {
		g.nested[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(n.groups)) {
		if err := g.changed(ctx, n.groups[id]); err != nil {
			return err
		}
	}
	if err := g.listed(ctx); err != nil {
		return err
	}
	in, err := g.close(ctx)
	if err != nil {
		return err
	}
	g.name(g.named)
	return g.hand(in)
}

// judge notes whether a group is selected.
func (g *grouping) judge(it item) {
	name := it.text("displayName")
	if g.roots[it.id] = g.set.groups.holds(it.id, name); g.roots[it.id] && g.set.groups.named(it.id, name) {
		g.named[it.id] = name
	} else {
		delete(g.named, it.id)
	}
}

// changed looks at a group that a round named.
func (g *grouping) changed(ctx context.Context, it *item) error {
	if it.removed {
		g.leave(it.id)
		return nil
	}
	base, err := g.groupByID(ctx, it.id)
	if err != nil {
		return err
	}
	base.over(item{id: it.id, properties: it.properties})
	g.judge(base)
	if !g.roots[it.id] && !g.nested[it.id] {
		delete(g.edges, it.id) // it may be in a selected one by now: then it is read below
		return nil
	}
	return g.read(ctx, &circle{item: base, members: map[string]string{}})
}

// read reads the members of a group.
func (g *grouping) read(ctx context.Context, c *circle) error {
	if err := g.readMembers(ctx, c); err != nil {
		return err
	}
	g.circles[c.item.id] = c
	delete(g.edges, c.item.id)
	if children := c.children(func(string) bool { return false }); len(children) > 0 {
		g.edges[c.item.id] = children
	}
	return nil
}

func (g *grouping) leave(id string) {
	g.left[id] = true
	g.roots[id] = false
	delete(g.edges, id)
	delete(g.nested, id)
	delete(g.named, id)
}

// listed takes in what a sweep found: groups that no round named.
func (g *grouping) listed(ctx context.Context) error {
	if g.news.listed == nil {
		return nil
	}
	selected := 0
	for _, id := range slices.Sorted(maps.Keys(g.news.listed)) {
		if !g.news.listed[id] {
			continue
		}
		if selected++; g.circles[id] != nil || g.left[id] {
			continue
		}
		if _, looked := g.roots[id]; looked {
			continue // a round says that it is not, or no longer, selected
		}
		known, err := g.isKnown(directory.Group, id)
		if err != nil {
			return err
		}
		g.roots[id] = true
		if !known {
			c, err := g.wholeGroup(ctx, id)
			if err != nil {
				return err
			}
			g.judge(c.item)
			if err := g.read(ctx, c); err != nil {
				return err
			}
		}
	}
	for id := range g.edges {
		if _, there := g.news.listed[id]; !there && g.circles[id] == nil {
			g.leave(id)
		}
	}
	for id := range g.nested {
		if _, there := g.news.listed[id]; !there && g.circles[id] == nil {
			g.leave(id)
		}
	}
	maps.DeleteFunc(g.named, func(id, _ string) bool {
		_, there := g.news.listed[id]
		return !there && g.circles[id] == nil
	})
	if selected == 0 && (g.set.membersOnly || len(g.news.listed) > 0) && !slices.Contains(slices.Collect(maps.Values(g.roots)), true) {
		g.incomplete("The selection of groups matches none of %s: whoever left is not taken for gone. Check groups.include, groups.names and groups.ids.", source.Counted(len(g.news.listed), "group", "groups"))
	}
	return nil
}

// isRoot reports whether a group is selected. One that nothing was said of is as it
// was: known, and not because of another.
func (g *grouping) isRoot(id string) (bool, error) {
	if root, looked := g.roots[id]; looked {
		return root, nil
	}
	if g.nested[id] {
		return false, nil
	}
	return g.isKnown(directory.Group, id)
}

// close finds the groups in groups, reading those that came in.
func (g *grouping) close(ctx context.Context) (in map[string]bool, err error) {
	roots := map[string]bool{}
	for _, set := range []map[string]bool{keys(g.edges), keys(g.circles), g.roots} {
		for id := range set {
			if g.left[id] {
				continue
			}
			if roots[id], err = g.isRoot(id); err != nil {
				return nil, err
			}
		}
	}
	maps.DeleteFunc(roots, func(_ string, root bool) bool { return !root })
	for {
		in = reach(roots, g.edges)
		var fresh []string
		for id := range in {
			if g.left[id] {
				continue
			}
			if g.circles[id] != nil || g.nested[id] || roots[id] {
				continue
			}
			root, err := g.isRoot(id)
			if err != nil {
				return nil, err
			}
			if root {
				roots[id] = true
				continue
			}
			fresh = append(fresh, id)
		}
		if len(fresh) == 0 {
			break
		}
		slices.Sort(fresh)
		for _, id := range fresh {
			c, err := g.wholeGroup(ctx, id)
			if err != nil {
				return nil, err
			}
			if err := g.read(ctx, c); err != nil {
				return nil, err
			}
			if g.judge(c.item); g.roots[id] {
				roots[id] = true
			}
		}
	}
	maps.DeleteFunc(in, func(id string, _ bool) bool { return g.left[id] })
	g.book.remember(roots, in, g.edges)
	return in, nil
}

func keys[T any](m map[string]T) map[string]bool {
	out := make(map[string]bool, len(m))
	for id := range m {
		out[id] = true
	}
	return out
}

// hand hands on what the groups came to.
func (g *grouping) hand(in map[string]bool) error {
	leaving := map[string]bool{}
	for _, set := range []map[string]bool{g.left, keys(g.circles), g.roots, g.nested} {
		for id := range set {
			if !in[id] {
				leaving[id] = true
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(leaving)) {
		if err := g.reading.gone(directory.Group, id); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(g.circles)) {
		if !in[id] {
			continue
		}
		c := g.circles[id]
		if err := g.reading.hand(c.item.group(slices.Sorted(maps.Keys(c.members)))); err != nil {
			return err
		}
	}
	if g.news.listed == nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(g.news.listed)) {
		if g.circles[id] != nil || !g.news.listed[id] && !in[id] || g.left[id] || leaving[id] {
			continue
		}
		if err := g.reading.present(directory.Group, id); err != nil {
			return err
		}
	}
	return nil
}
