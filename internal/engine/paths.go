package engine

import (
	"context"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping/clean"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/setting"
)

// Path is how somebody is in a group: Through are the groups nested in it, from the
// one they are in directly on.
type Path struct {
	How     string // "direct", "primary", "nested", or "kept" where the directory no longer says so
	Through []Via
}

// Via is a group on the way to another one: one that is selected by its ID, one that is
// read for its members alone by its name.
type Via struct {
	ID   account.ID
	Name string
}

// Paths says of groups of a connection how the account of an origin came into them.
// All groups the account is in have to be given: the way leads through them.
func (e *Engine) Paths(ctx context.Context, c setting.Connection, o *Origin, groups []GroupRef) (map[account.ID]Path, error) {
	out := map[account.ID]Path{}
	keys := make([]directory.Digest, len(groups))
	ids := map[directory.Digest]account.ID{}
	for i, g := range groups {
		keys[i], ids[g.Key] = g.Key, g.ID
		out[g.ID] = Path{How: "kept"}
	}
	if o.row == nil || o.Gone || len(groups) == 0 {
		return out, nil
	}
	refs, err := loadRefs(ctx, e.Store.Mirror(), c.Alias)
	if err != nil {
		return nil, err
	}
	w := ways{refs: refs, ids: ids, to: o.row.Ref}
	if w.rows, err = e.Store.Mirror().Rows(ctx, c.Alias, keys); err != nil {
		return nil, err
	}
	if settled, err := e.Settled(ctx, c); err == nil {
		c = settled
	}
	if kind, ok := e.Kinds(c.Kind); ok && o.record.Primary != "" {
		w.primary = refs.of(directory.RefOf(kind.Refer(o.record.Primary)), o.row.Generation)
	}
	w.fill(out)
	for _, p := range out {
		if p.How != "kept" {
			continue
		}
		// There may be a way through groups nobody can be in here.
		inner, err := innerRows(ctx, e.Store.Mirror(), c.Alias)
		if err == nil && len(inner) > 0 {
			w.rows = append(w.rows, inner...)
			w.fill(out)
		}
		return out, err
	}
	return out, nil
}

// innerRows are the groups of a connection that are read for their members alone.
func innerRows(ctx context.Context, m Mirror, connection string) ([]mirror.Row, error) {
	var keys []directory.Digest
	err := m.Groups(ctx, connection, false, func(g *mirror.Group) {
		if g.Inner && !g.Gone {
			keys = append(keys, g.Key)
		}
	})
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return m.Rows(ctx, connection, keys)
}

// ways are groups in which somebody may be.
type ways struct {
	rows    []mirror.Row
	refs    *refs
	ids     map[directory.Digest]account.ID // of those that are selected, by key
	to      directory.Digest                // the ref of the person
	primary directory.Digest                // and of their primary group
}

// fill finds the shortest way to each group.
func (w *ways) fill(out map[account.ID]Path) {
	at := map[directory.Digest]int{} // the ref of a group to its row
	for i := range w.rows {
		if !w.rows[i].Gone {
			at[w.rows[i].Ref] = i
		}
	}
	above := map[int][]int{} // a group to those it is nested in
	found := map[int]Path{}
	var next []int
	for i := range w.rows {
		row := &w.rows[i]
		if row.Gone {
			continue
		}
		how := ""
		if row.Ref == w.primary {
			how = "primary"
		}
		for k := 0; k+16 <= len(row.Refs); k += 16 {
			ref := w.refs.member(directory.Digest(row.Refs[k:]), row.Generation)
			if ref == w.to {
				how = "direct"
			} else if j, nested := at[ref]; nested && j != i {
				above[j] = append(above[j], i)
			}
		}
		if how != "" {
			found[i] = Path{How: how}
			next = append(next, i)
		}
	}
	for len(next) > 0 { // level by level
		from := next[0]
		next = next[1:]
		for _, i := range above[from] {
			if _, known := found[i]; !known {
				found[i] = Path{How: "nested", Through: append(slices.Clone(found[from].Through), w.via(&w.rows[from]))}
				next = append(next, i)
			}
		}
	}
	for i, path := range found {
		if id, ok := w.ids[w.rows[i].Key]; ok {
			out[id] = path
		}
	}
}

func (w *ways) via(row *mirror.Row) Via {
	if id, ok := w.ids[row.Key]; ok {
		return Via{ID: id}
	}
	return Via{Name: groupName(row)}
}

// groupName is what a group is called in the directory, or where it lies.
func groupName(row *mirror.Row) string {
	var r directory.Record
	if r.Decode(row.Record) == nil && len(r.Attributes) > 0 && len(r.Attributes[0].Values) > 0 {
		if name, _ := clean.Text(r.Attributes[0].Values[0]); name != "" {
			return name
		}
	}
	return row.Name
}
