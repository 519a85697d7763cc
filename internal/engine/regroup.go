package engine

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// few is up to how many moved people it pays to ask for their groups instead of
// comparing every group.
const few = 5000

// sketch is the directory's groups as far as a pass over few moved people needs
// them: how they are nested, and in which of them those people are listed. The
// members of all groups are looked over once and not kept.
type sketch struct {
	groups  []mirror.Group
	byRef   map[directory.Digest]int // of groups that are there
	byKey   map[directory.Digest]int
	gone    map[directory.Digest]bool // refs and keys of groups that went with this pass
	met     filter                    // every ref that is looked for among the members
	nested  [][]int                   // the groups listed in each
	parents [][]int
	whole   map[int]bool        // groups to be compared whole: moved, or one nested in them did
	open    map[int][]plan.Note // of groups that did not: what earlier plans noted
	people  []somebody
	byPer   map[directory.Digest]int // people by ref
}

// somebody is a person of this pass whose memberships may have to change.
type somebody struct {
	id     account.ID
	listed []int // groups that list them; none for whom this connection lost
}

// regroupFew plans the memberships where few people moved: the groups that moved
// are compared whole, in all others only those people.
func (b *builder) regroupFew(have map[account.ID]account.Group) error {
	s, err := b.sketch()
	if err != nil {
		return err
	}
	some, err := b.someChanges(s)
	if err != nil {
		return err
	}
	if err := b.loadPart(s, slices.Collect(maps.Keys(some))); err != nil {
		return err
	}
	at := make(map[directory.Digest]int, len(b.groups.rows))
	for i := range b.groups.rows {
		at[b.groups.rows[i].key] = i
	}
	for _, i := range slices.Sorted(maps.Keys(s.open)) {
		for _, n := range s.open[i] {
			if err := b.note(n); err != nil {
				return err
			}
		}
	}
	nodes := b.nodes()
	members, cycles := plan.Closure(nodes)
	for _, cycle := range cycles {
		if !s.whole[s.byKey[b.groups.rows[cycle[0]].key]] {
			continue // whoever moves one of a cycle moves all: what was noted of it holds
		}
		if err := b.groupCycle(nodes, cycle); err != nil {
			return err
		}
	}
	order := slices.Collect(maps.Keys(s.whole))
	for i := range some {
		if !s.whole[i] {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(x, y int) int {
		return strings.Compare(string(s.groups[x].Key[:]), string(s.groups[y].Key[:]))
	})
	for _, i := range order {
		j, ok := at[s.groups[i].Key]
		if !ok {
			continue
		}
		row := &b.groups.rows[j]
		if !s.whole[i] {
			if _, exists := have[row.id]; exists && row.problem == "" && !row.inner {
				if err := b.memberChanges(row, true, some[i].add, some[i].remove); err != nil {
					return err
				}
			}
			continue
		}
		desired, err := b.follow(members(j))
		if err != nil {
			return err
		}
		if err := b.group(row, have, desired); err != nil {
			return err
		}
	}
	return nil
}

// sketch looks over the groups and their members.
func (b *builder) sketch() (*sketch, error) {
	store := b.p.e.Store.Mirror()
	s := &sketch{byRef: map[directory.Digest]int{}, byKey: map[directory.Digest]int{}, gone: map[directory.Digest]bool{},
		whole: map[int]bool{}, open: map[int][]plan.Note{}, byPer: map[directory.Digest]int{}}
	err := store.Groups(b.ctx, b.p.c.Alias, false, func(g *mirror.Group) {
		s.byKey[g.Key] = len(s.groups)
		if _, taken := s.byRef[g.Ref]; !g.Gone && (!taken || g.ExternalID != "") {
			s.byRef[g.Ref] = len(s.groups) // an entry without a usable key stands beside the row it was
		}
		s.groups = append(s.groups, *g)
	})
	if err != nil {
		return nil, err
	}
	if err := b.sketchMoved(s); err != nil {
		return nil, err
	}
	b.survey.Each(func(ref directory.Digest, t match.Target) {
		if _, twice := s.byPer[ref]; !twice && !t.Account.IsZero() && !t.Left { // who leaves keeps their memberships
			s.byPer[ref] = len(s.people)
			s.people = append(s.people, somebody{id: t.Account})
		}
	})
	for ref, group := range b.primary {
		if p, ok := s.byPer[ref]; ok {
			if i, ok := s.byRef[group]; ok {
				s.people[p].listed = append(s.people[p].listed, i)
			}
		}
	}
	for _, id := range b.others() {
		s.people = append(s.people, somebody{id: id})
	}
	for ref := range s.byRef {
		s.met.add(ref)
	}
	for ref := range s.byPer {
		s.met.add(ref)
	}
	for ref := range s.gone {
		s.met.add(ref)
	}
	for ref := range b.refs.former {
		s.met.add(ref)
	}
	s.nested, s.parents = make([][]int, len(s.groups)), make([][]int, len(s.groups))
	err = store.Groups(b.ctx, b.p.c.Alias, true, func(g *mirror.Group) {
		if i, ok := s.byKey[g.Key]; ok && !g.Gone {
			b.sketchMembers(s, i, g)
		}
	})
	if err != nil {
		return nil, err
	}
	queue := slices.Collect(maps.Keys(s.whole))
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, p := range s.parents[i] {
			if !s.whole[p] {
				s.whole[p] = true
				queue = append(queue, p)
			}
		}
	}
	maps.DeleteFunc(s.open, func(i int, _ []plan.Note) bool { return s.whole[i] }) // planned, and noted, anew
	return s, nil
}

// sketchMoved finds the groups that are compared whole whoever moved: those that moved,
// and those of which something was left open that may be possible now. Of the others
// that are to be planned, what was noted holds while no group of theirs moves.
func (b *builder) sketchMoved(s *sketch) error {
	return b.p.e.Store.Mirror().Each(b.ctx, b.sel, directory.Group, func(rows []mirror.Row) error {
		for i := range rows {
			row := &rows[i]
			at := s.byKey[row.Key]
			if row.Gone {
				s.gone[row.Ref], s.gone[row.Key] = true, true
			}
			if b.movedRow(row) || row.Gone {
				s.whole[at] = true
				continue
			}
			notes, settled, err := b.noted(row.Key)
			if err != nil {
				return err
			}
			if settled {
				s.open[at] = notes
			} else {
				s.whole[at] = true
			}
		}
		return nil
	})
}

func (b *builder) sketchMembers(s *sketch, i int, g *mirror.Group) {
	for at := 0; at+16 <= len(g.Refs); at += 16 {
		raw := directory.Digest(g.Refs[at:])
		if !s.met.may(raw) {
			continue
		}
		key, former := b.refs.meant(raw, g.Generation)
		if !former && s.gone[raw] || former && s.gone[key] {
			s.whole[i] = true // the graph does not lead to a group that went
		}
		ref := b.refs.member(raw, g.Generation)
		if j, ok := s.byRef[ref]; ok {
			s.nested[i] = append(s.nested[i], j)
			s.parents[j] = append(s.parents[j], i)
		} else if p, ok := s.byPer[ref]; ok {
			s.people[p].listed = append(s.people[p].listed, i)
		}
	}
}

// filter tells most digests that were not added from those that were, for a fraction of
// what asking a map takes: nearly all members of nearly all groups are nobody who moved.
type filter [1 << 10]uint64

func (f *filter) add(d directory.Digest) {
	n := binary.LittleEndian.Uint16(d[:])
	f[n>>6] |= 1 << (n & 63)
}

// may reports whether d may be one of those added; it never denies one that was.
func (f *filter) may(d directory.Digest) bool {
	n := binary.LittleEndian.Uint16(d[:])
	return f[n>>6]&(1<<(n&63)) != 0
}

// memberDiff is who comes into a group and who goes.
type memberDiff struct{ add, remove []account.ID }

// someChanges compares the groups each of the people should be in with those they
// are in, but for the groups that are compared whole.
func (b *builder) someChanges(s *sketch) (map[int]*memberDiff, error) {
	at := make(map[account.ID]int, len(s.groups))
	for i := range s.groups {
		at[b.groupID(s.groups[i].ExternalID)] = i
	}
	ids := make([]account.ID, len(s.people))
	for i := range s.people {
		ids[i] = s.people[i].id
	}
	stored := map[account.ID]map[int]bool{}
	err := b.p.e.Store.Accounts().GroupsOf(b.ctx, b.p.c.Alias, ids, func(group, id account.ID) {
		if i, ok := at[group]; ok {
			if stored[id] == nil {
				stored[id] = map[int]bool{}
			}
			stored[id][i] = true
		}
	})
	out := map[int]*memberDiff{}
	of := func(i int) *memberDiff {
		if out[i] == nil {
			out[i] = &memberDiff{}
		}
		return out[i]
	}
	for p := range s.people {
		id := s.people[p].id
		desired := s.above(s.people[p].listed)
		for i := range desired {
			if !s.whole[i] && !stored[id][i] {
				of(i).add = append(of(i).add, id)
			}
		}
		for i := range stored[id] {
			if !s.whole[i] && !desired[i] && !s.groups[i].Gone {
				of(i).remove = append(of(i).remove, id)
			}
		}
	}
	return out, err
}

// above are groups and all that they are nested in.
func (s *sketch) above(groups []int) map[int]bool {
	out := map[int]bool{}
	for len(groups) > 0 {
		i := groups[len(groups)-1]
		groups = groups[:len(groups)-1]
		if !out[i] {
			out[i] = true
			groups = append(groups[:len(groups):len(groups)], s.parents[i]...)
		}
	}
	return out
}

// loadPart loads the groups that are compared whole, with those nested in them,
// and the others that change.
func (b *builder) loadPart(s *sketch, others []int) error {
	wanted := map[int]bool{}
	queue := slices.Collect(maps.Keys(s.whole))
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !wanted[i] {
			wanted[i] = true
			queue = append(queue, s.nested[i]...)
		}
	}
	var refs, keys []directory.Digest
	for i := range wanted {
		refs = append(refs, s.groups[i].Ref)
	}
	for _, i := range others {
		wanted[i] = true
	}
	for i := range wanted {
		keys = append(keys, s.groups[i].Key)
	}
	slices.SortFunc(keys, func(x, y directory.Digest) int { return strings.Compare(string(x[:]), string(y[:])) })
	rows, err := b.p.e.Store.Mirror().Rows(b.ctx, b.p.c.Alias, keys)
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(x, y mirror.Row) int { return strings.Compare(string(x.Key[:]), string(y.Key[:])) })
	b.groups = &groupGraph{byRef: map[directory.Digest]int{}}
	for i := range rows {
		if err := b.addGroup(b.groups, &rows[i]); err != nil {
			return err
		}
	}
	return b.addPrimaries(b.groups, refs)
}
