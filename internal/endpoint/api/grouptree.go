package api

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/mirrors"
)

// nests keeps which groups are in which of the connections asked for last.
type nests struct {
	mu   sync.Mutex
	list []nest // the last one asked for comes last
}

type nest struct {
	connection string
	generation int64
	*mirrors.Nesting
}

// mostNests is of how many connections it is kept.
const mostNests = 20

func (s *server) nesting(ctx context.Context, connection string) (*mirrors.Nesting, error) {
	state, err := s.Store.LeaseTable.State(ctx, connection)
	if err != nil {
		return nil, err
	}
	s.nests.mu.Lock()
	at := slices.IndexFunc(s.nests.list, func(n nest) bool { return n.connection == connection && n.generation == state.Generation })
	if at >= 0 {
		defer s.nests.mu.Unlock()
		return s.nests.list[at].Nesting, nil
	}
	s.nests.mu.Unlock()
	n, err := s.Store.MirrorTable.Nesting(ctx, connection)
	if err != nil {
		return nil, err
	}
	s.nests.mu.Lock()
	defer s.nests.mu.Unlock()
	s.nests.list = slices.DeleteFunc(s.nests.list, func(n nest) bool { return n.connection == connection })
	s.nests.list = append(s.nests.list, nest{connection, state.Generation, n})
	s.nests.list = s.nests.list[max(0, len(s.nests.list)-mostNests):]
	return n, nil
}

// mostGroups is how many groups a tree tells of in each direction.
const mostGroups = 1000

func (s *server) groupTree(ctx context.Context, in *GroupPath) (*body[client.GroupTree], error) {
	g, err := s.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	n, err := s.nesting(ctx, g.Connection)
	if err != nil {
		return nil, err
	}
	keyed, err := s.Store.AccountTable.GroupsByID(ctx, []account.ID{g.ID})
	if err != nil {
		return nil, err
	}
	out := client.GroupTree{Group: shownGroup(&g)}
	for _, way := range []struct {
		links map[directory.Digest][]directory.Digest
		into  *[]client.GroupNode
	}{{n.Inside, &out.Children}, {n.Around, &out.Parents}} {
		f := folder{s: s, links: way.links, inner: n.Inner, connection: g.Connection, groups: map[directory.Digest]account.Group{}}
		if err := f.reach(ctx, keyed[g.ID].Key); err != nil {
			return nil, err
		}
		f.unfold(keyed[g.ID].Key, 1)
		*way.into = append([]client.GroupNode{}, f.nodes...)
		out.Cut = out.Cut || f.cut
	}
	return &body[client.GroupTree]{out}, nil
}

func shownGroup(g *account.Group) client.Group {
	return client.Group{ID: g.ID.String(), Organization: g.Organization, Connection: g.Connection, ExternalID: optional(g.ExternalID), Name: g.Name, Status: string(g.Status), Members: g.Members,
		CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt}
}

// folder lays the groups that can be reached from one out as a tree.
type folder struct {
	s          *server
	links      map[directory.Digest][]directory.Digest
	inner      map[directory.Digest]bool // read for their members alone: what lies in them lies in what they lie in
	connection string
	groups     map[directory.Digest]account.Group
	nodes      []client.GroupNode
	cut        bool
	path       []directory.Digest
	unfolded   map[directory.Digest]bool
}

// next gives the groups that lie in one, each once: those in groups that are read for
// their members alone lie in what these lie in.
func (f *folder) next(key directory.Digest) []directory.Digest {
	var out []directory.Digest
	seen := map[directory.Digest]bool{}
	for open := []directory.Digest{key}; len(open) > 0; {
		links := f.links[open[len(open)-1]]
		open = open[:len(open)-1]
		for _, one := range links {
			switch {
			case seen[one]:
			case f.inner[one]:
				open = append(open, one)
			default:
				out = append(out, one)
			}
			seen[one] = true
		}
	}
	return out
}

// reach reads what the groups are called that can be reached, level by level.
func (f *folder) reach(ctx context.Context, from directory.Digest) error {
	seen := map[directory.Digest]bool{from: true}
	var keys []directory.Digest
	for next := []directory.Digest{from}; len(next) > 0; {
		var level []directory.Digest
		for _, key := range next {
			for _, one := range f.next(key) {
				switch {
				case seen[one]:
				case len(keys) == mostGroups:
					f.cut = true
				default:
					seen[one] = true
					level, keys = append(level, one), append(keys, one)
				}
			}
		}
		next = level
	}
	keys = append(keys, from)
	var err error
	if f.groups, err = f.s.Store.AccountTable.GroupsByKey(ctx, f.connection, keys); err != nil {
		return err
	}
	var list []account.Group
	for _, g := range f.groups {
		list = append(list, g)
	}
	sizes, err := f.s.Store.AccountTable.Sizes(ctx, list)
	for key, g := range f.groups {
		g.Members = sizes[g.ID]
		f.groups[key] = g
	}
	f.unfolded = map[directory.Digest]bool{}
	return err
}

func (f *folder) unfold(key directory.Digest, level int) {
	f.path = append(f.path, key)
	f.unfolded[key] = true
	defer func() { f.path = f.path[:len(f.path)-1] }()
	next := f.next(key)
	slices.SortFunc(next, func(a, b directory.Digest) int {
		return cmp.Or(cmp.Compare(f.groups[a].Name, f.groups[b].Name), bytes.Compare(a[:], b[:]))
	})
	for _, one := range next {
		g, known := f.groups[one]
		if !known { // too far
			continue
		}
		if len(f.nodes) == mostGroups {
			f.cut = true
			return
		}
		node := client.GroupNode{ID: g.ID.String(), Name: g.Name, Members: g.Members, Level: level, Cycle: slices.Contains(f.path, one)}
		node.Repeated = f.unfolded[one] && !node.Cycle
		f.nodes = append(f.nodes, node)
		if !node.Cycle && !node.Repeated {
			f.unfold(one, level+1)
		}
	}
}

func (s *server) groupHistory(ctx context.Context, in *struct {
	GroupPath
	Paging
}) (*pageOf[event.Event], error) {
	g, err := s.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list := "group history " + g.ID.String()
	before := int64(math.MaxInt64)
	if err := openCursor(list, in.Cursor, &before); err != nil {
		return nil, err
	}
	var found []event.Event
	err = s.Store.EventTable.OfGroup(ctx, g.ID, before, in.Limit+1, func(e event.Event) error {
		found = append(found, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(e event.Event) any { return e.ID })
}
