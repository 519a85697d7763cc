package engine

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping/clean"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// groupGraph is the directory's groups, their members as digests of refs: 16
// bytes a membership.
type groupGraph struct {
	rows  []groupRow
	byRef map[directory.Digest]int
	// only holds the refs of everybody in a selected group, where only members
	// are in scope; nil otherwise.
	only map[directory.Digest]bool
}

type groupRow struct {
	id         account.ID
	inner      bool // no group of ours: it is there for its members
	key        directory.Digest
	externalID directory.ExternalID
	name       string
	dn         string
	gone       bool
	problem    string
	warning    string // why its name is not the directory's
	members    []directory.Digest
}

// loadGroups reads all groups from the mirror.
func (b *builder) loadGroups() (*groupGraph, error) {
	g := &groupGraph{byRef: map[directory.Digest]int{}}
	all := b.sel
	all.All = true
	err := b.p.e.Store.Mirror().Each(b.ctx, all, directory.Group, func(rows []mirror.Row) error {
		for i := range rows {
			if err := b.addGroup(g, &rows[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := b.addPrimaries(g, nil); err != nil {
		return nil, err
	}
	if b.p.kind.OnlyMembers(b.p.c.Backend) {
		g.only = g.selected()
	}
	return g, nil
}

// selected are the refs of everybody in a group that is selected, or in one nested in it.
func (g *groupGraph) selected() map[directory.Digest]bool {
	out := map[directory.Digest]bool{}
	var next []int
	for i := range g.rows {
		if !g.rows[i].inner {
			next = append(next, i)
		}
	}
	for len(next) > 0 {
		row := &g.rows[next[len(next)-1]]
		next = next[:len(next)-1]
		for _, ref := range row.members {
			if out[ref] {
				continue
			}
			out[ref] = true
			if i, nested := g.byRef[ref]; nested && g.rows[i].inner {
				next = append(next, i)
			}
		}
	}
	return out
}

// addPrimaries adds to groups, named by their refs (nil: to all), those who are
// in one without being among its members.
func (b *builder) addPrimaries(g *groupGraph, of []directory.Digest) error {
	if of != nil {
		of = append(of, b.refs.formerly(of)...)
	}
	return b.p.e.Store.Mirror().Primaries(b.ctx, b.p.c.Alias, of, func(group, person directory.Digest, generation int64) {
		if i, ok := g.byRef[b.refs.of(group, generation)]; ok {
			g.rows[i].members = append(g.rows[i].members, person)
		}
	})
}

func (b *builder) groupID(id directory.ExternalID) account.ID {
	return account.NewID(b.p.c.Organization, b.p.c.Alias, "group", string(id)).Beside(directory.KeyOf(directory.Group, id))
}

func (b *builder) addGroup(g *groupGraph, row *mirror.Row) error {
	var r directory.Record
	if err := b.decoder.Decode(row.Record, &r); err != nil {
		return err
	}
	// What is kept is cloned: it would keep the whole record, with all its members.
	gr := groupRow{id: b.groupID(row.ExternalID), inner: row.Kind == directory.Inner, key: row.Key,
		externalID: row.ExternalID, dn: row.Name, name: row.Name, gone: row.Gone, problem: strings.Clone(r.Problem)}
	if len(r.Attributes) > 0 && len(r.Attributes[0].Values) > 0 {
		name, why := clean.Text(r.Attributes[0].Values[0])
		if gr.warning = why; name != "" {
			gr.name = strings.Clone(name)
		}
	}
	if !row.Gone {
		gr.members = make([]directory.Digest, len(row.Refs)/16)
		for i := range gr.members {
			gr.members[i] = b.refs.member(directory.Digest(row.Refs[16*i:]), row.Generation)
		}
		if _, taken := g.byRef[row.Ref]; !taken || row.ExternalID != "" {
			g.byRef[row.Ref] = len(g.rows) // an entry without a usable key stands beside the row it was
		}
	}
	g.rows = append(g.rows, gr)
	return nil
}

// planGroups plans groups and memberships. Effective members come from a graph
// in memory; what is stored is compared with them as sets, group by group.
func (b *builder) planGroups() error {
	needed, err := b.regroupNeeded()
	if err != nil || !needed {
		return err
	}
	have, err := b.p.e.Store.Accounts().Groups(b.ctx, b.p.c.Alias)
	if err != nil {
		return err
	}
	if !b.sel.All && b.moved[0] <= few {
		return b.regroupFew(have)
	}
	if b.groups == nil {
		if b.groups, err = b.loadGroups(); err != nil {
			return err
		}
	}
	if len(b.groups.rows) == 0 {
		return nil
	}
	stored := map[directory.Digest]account.ID{}
	if !b.empty {
		err = b.p.e.Store.Accounts().AllRefs(b.ctx, b.p.c.Alias, func(ref directory.Digest, id account.ID) { stored[ref] = id })
		if err != nil {
			return err
		}
	}
	nodes := b.nodes()
	members, cycles := plan.Closure(nodes)
	for _, cycle := range cycles {
		if err := b.groupCycle(nodes, cycle); err != nil {
			return err
		}
	}
	for i := range b.groups.rows { // in the order of their keys, as the mirror gives them
		if err := b.group(&b.groups.rows[i], have, b.accounts(members(i), stored)); err != nil {
			return err
		}
	}
	return nil
}

// accounts turns the refs of a group's members into their accounts, where all that are
// stored are at hand.
func (b *builder) accounts(refs iter.Seq[directory.Digest], stored map[directory.Digest]account.ID) map[account.ID]struct{} {
	out := map[account.ID]struct{}{}
	for ref := range refs {
		if id, settled := b.planned(ref); settled {
			if !id.IsZero() {
				out[id] = struct{}{}
			}
		} else if id, ok := stored[ref]; ok {
			out[id] = struct{}{}
		}
	}
	return out
}

// follow turns the refs of a group's members into their accounts, and asks for those
// that are stored.
func (b *builder) follow(refs iter.Seq[directory.Digest]) (map[account.ID]struct{}, error) {
	out := map[account.ID]struct{}{}
	asked := map[directory.Digest]struct{}{}
	for ref := range refs {
		if id, settled := b.planned(ref); !settled {
			asked[ref] = struct{}{}
		} else if !id.IsZero() {
			out[id] = struct{}{}
		}
	}
	accounts, left, err := b.p.e.Store.Accounts().ByRef(b.ctx, b.p.c.Alias, slices.Collect(maps.Keys(asked)))
	for _, id := range accounts {
		if !left[id] {
			out[id] = struct{}{}
		}
	}
	return out, err
}

// planned gives the account a ref leads to by what this plan does to people, zero for
// who leaves; it is not settled where what is stored counts.
func (b *builder) planned(ref directory.Digest) (id account.ID, settled bool) {
	switch t, ok := b.survey.ByRef(ref); {
	case ok && t.Present && !t.Account.IsZero():
		return t.Account, true
	case ok && t.Left:
		return id, true
	}
	return id, false
}

// regroupNeeded looks at the groups to be planned. Where neither they nor any
// person moved, what earlier plans noted about them still holds.
func (b *builder) regroupNeeded() (bool, error) {
	if err := b.strangers(); err != nil || b.regroup || b.moved[1] == 0 && !b.sel.All {
		return b.regroup, err
	}
	var open []directory.Digest
	err := b.p.e.Store.Mirror().Each(b.ctx, b.sel, directory.Group, func(rows []mirror.Row) error {
		for i := range rows {
			b.regroup = b.regroup || b.movedRow(&rows[i])
			open = append(open, rows[i].Key)
		}
		return nil
	})
	if err != nil || b.regroup {
		return b.regroup, err
	}
	var notes []plan.Note
	for _, key := range open {
		before, settled, err := b.noted(key)
		if err != nil || !settled {
			b.regroup = true
			return true, err
		}
		notes = append(notes, before...)
	}
	for _, n := range notes {
		if err := b.note(n); err != nil {
			return false, err
		}
	}
	return false, nil
}

// noted gives what earlier plans noted of a group that did not move. It is settled, and
// still holds, where nothing of it was refused that may be possible now.
func (b *builder) noted(key directory.Digest) (notes []plan.Note, settled bool, err error) {
	settled = true
	err = b.p.e.Store.Plans().Open(b.ctx, b.p.c.Alias, key, func(n plan.Note) error {
		settled = settled && n.Kind == plan.Unresolved
		n.Carried = false
		notes = append(notes, n)
		return nil
	})
	return notes, settled, err
}

// strangers looks for members of this connection's groups whose account another
// connection has taken over.
func (b *builder) strangers() error {
	others := b.others()
	if b.regroup || len(others) == 0 {
		return nil
	}
	return b.p.e.Store.Accounts().GroupsOf(b.ctx, b.p.c.Alias, others, func(_, _ account.ID) { b.regroup = true })
}

// others are accounts that another connection has, and that are in groups of this one at
// the most because they were its own.
func (b *builder) others() []account.ID {
	all := append(b.survey.Contested(), b.lost...)
	plan.SortIDs(all)
	return slices.Compact(all)
}

// nodes are the groups as the closure takes them; the rows give their members away.
func (b *builder) nodes() []plan.Node {
	nodes := make([]plan.Node, len(b.groups.rows))
	for i := range b.groups.rows {
		row := &b.groups.rows[i]
		n := &nodes[i]
		n.Name = row.name
		n.Members = slices.DeleteFunc(row.members, func(ref directory.Digest) bool {
			j, nested := b.groups.byRef[ref]
			if nested {
				n.Groups = append(n.Groups, j)
			}
			return nested
		})
		row.members = nil
	}
	return nodes
}

func (b *builder) groupCycle(nodes []plan.Node, cycle []int) error {
	names := make([]string, len(cycle))
	for i, at := range cycle {
		names[i] = nodes[at].Name
	}
	row := &b.groups.rows[cycle[0]]
	return b.note(plan.Note{Kind: plan.Unresolved, Key: row.key, Name: row.dn, ExternalID: row.externalID,
		Text: "groups nested in each other share their members: " + strings.Join(names, ", ")})
}

// group plans one group and its memberships.
func (b *builder) group(row *groupRow, all map[account.ID]account.Group, desired map[account.ID]struct{}) error {
	b.compared[row.key] = true
	have, exists := all[row.id]
	c := plan.Change{Target: plan.Group, Group: row.id, Key: row.key, ExternalID: row.externalID, Name: row.name, Version: have.Version}
	policy, refuse := b.p.c.Policy, ""
	away := row.gone || row.inner
	if row.warning != "" && !away {
		if err := b.note(plan.Note{Kind: plan.Warning, Key: row.key, Name: row.dn, ExternalID: row.externalID,
			Text: "its name " + row.warning + "; the group is called by its place in the directory"}); err != nil {
			return err
		}
	}
	switch {
	case row.problem != "" && !away:
		return b.note(plan.Note{Kind: plan.Problem, Key: row.key, Name: row.dn, ExternalID: row.externalID, Text: row.problem})
	case away && (!exists || have.Status == account.Deleted):
		return nil
	case away:
		c.Action, c.GroupName, c.Why = plan.Delete, [2]string{have.Name, have.Name}, "no longer in the directory"
		if row.inner {
			c.Why = "its name in the directory is none of those that are selected any more"
		}
		if policy.NoDelete {
			refuse = "`no-delete` is on"
		}
		if b.rules.Incomplete {
			refuse = "the reading was not complete (" + b.rules.Reason + ")"
		}
	case !exists:
		c.Action, c.GroupName, c.Why = plan.Create, [2]string{"", row.name}, "new in the directory"
		if policy.NoCreate {
			refuse = "`no-create` is on"
		}
	case have.Status == account.Deleted:
		c.Action, c.GroupName, c.Why = plan.Restore, [2]string{have.Name, row.name}, "back in the directory"
	case have.Name != row.name:
		c.Action, c.GroupName, c.Why = plan.Update, [2]string{have.Name, row.name}, "renamed in the directory"
		if policy.NoUpdate {
			refuse = "`no-update` is on"
		}
	}
	if refuse != "" {
		if err := b.refuseGroup(row, c.Action, refuse); err != nil || c.Action != plan.Update {
			return err
		}
	} else if c.Action != "" {
		if err := b.emit(&c); err != nil {
			return err
		}
	}
	if away {
		return nil
	}
	return b.members(row, exists, desired)
}

func (b *builder) refuseGroup(row *groupRow, action plan.Action, why string) error {
	return b.note(plan.Note{Kind: plan.Refused, Key: row.key, Name: row.name, ExternalID: row.externalID, Action: action, Text: string(action) + ": " + why})
}

// most is how many memberships one change holds.
const most = 500

func (b *builder) members(row *groupRow, exists bool, desired map[account.ID]struct{}) error {
	var remove []account.ID
	if exists {
		err := b.p.e.Store.Accounts().Members(b.ctx, row.id, func(id account.ID) {
			if _, ok := desired[id]; ok {
				delete(desired, id)
			} else {
				remove = append(remove, id)
			}
		})
		if err != nil {
			return err
		}
	}
	return b.memberChanges(row, exists, slices.Collect(maps.Keys(desired)), remove)
}

// memberChanges plans who comes into a group and who goes.
func (b *builder) memberChanges(row *groupRow, exists bool, add, remove []account.ID) error {
	remove, err := b.thaw(remove)
	if err != nil {
		return err
	}
	refuse, action := "", plan.Remove
	if len(remove) == 0 {
		action = plan.Add
	}
	switch {
	case b.p.c.Policy.NoUpdate && exists && len(add)+len(remove) > 0:
		refuse = "`no-update` is on"
		add, remove = nil, nil
	case b.rules.Incomplete && len(remove) > 0:
		refuse = "the reading was not complete (" + b.rules.Reason + ")"
		remove = nil
	}
	if refuse != "" {
		if err := b.refuseGroup(row, action, refuse); err != nil {
			return err
		}
	}
	version := int64(0)
	if exists {
		version = 1
	}
	for _, part := range []struct {
		action plan.Action
		ids    []account.ID
		why    string
	}{{plan.Add, add, "member of the group in the directory"}, {plan.Remove, remove, "no longer a member of the group in the directory"}} {
		plan.SortIDs(part.ids)
		for ids := range slices.Chunk(part.ids, most) {
			if err := b.emit(&plan.Change{Action: part.action, Target: plan.Membership, Group: row.id, Key: row.key, Name: row.name,
				Version: version, Members: ids, Why: part.why}); err != nil {
				return err
			}
		}
	}
	return nil
}

// thaw takes people who left out of a list of memberships to be removed: theirs
// are kept, so that they have them again when they come back. Once they are
// back, the directory's word counts; and so it does about who left another connection.
func (b *builder) thaw(remove []account.ID) ([]account.ID, error) {
	if len(remove) == 0 {
		return nil, nil
	}
	have, err := b.p.e.Store.Accounts().Fetch(b.ctx, remove)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(remove, func(id account.ID) bool {
		a := have[id]
		return a == nil || a.Connection == b.p.c.Alias && a.Left() && !b.survey.Comes(id) || b.survey.Leaves(id)
	}), nil
}
