package pushed

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// atOnce is how many members one statement names.
const atOnce = 200

// longID is the longest name of a member, in bytes.
const longID = 255

// AddMembers adds those to a group that are not in it, and gives how many it was;
// one whose display is another now counts. A member need not be a resource: Entra
// and Okta may speak of somebody before they send them, and what is taken is kept
// and read back. One without an ID is a *scim.Error of status 400.
func (t *Tx) AddMembers(group *Resource, list []Member) (int, error) {
	n, err := t.addMembers(group, list)
	return t.counted(group, n, err)
}

func (t *Tx) addMembers(group *Resource, list []Member) (int, error) {
	list, err := distinct(list)
	if err != nil {
		return 0, err
	}
	changed := 0
	for part := range slices.Chunk(list, atOnce) {
		var rows strings.Builder
		args := make([]any, 0, 5*len(part))
		for i, m := range part {
			if i > 0 {
				rows.WriteString(", ")
			}
			rows.WriteString("(")
			for j, v := range [...]any{t.connection, group.ID, m.ID, m.Display, string(m.Type)} {
				if j > 0 {
					rows.WriteString(", ")
				}
				args = append(args, v)
				rows.WriteString(db.Placeholder(len(args)))
			}
			rows.WriteString(")")
		}
		n, err := t.tx.Exec(t.ctx, `INSERT INTO pushed_members (connection, grp, member, display, kind) VALUES `+rows.String()+`
			ON CONFLICT (connection, grp, member) DO UPDATE SET display = excluded.display WHERE excluded.display <> '' AND pushed_members.display <> excluded.display`, args...)
		if err != nil {
			return changed, err
		}
		changed += int(n)
	}
	return changed, nil
}

// distinct gives each member once, as it was named last.
func distinct(list []Member) ([]Member, error) {
	out := make([]Member, 0, len(list))
	met := make(map[string]int, len(list))
	for _, m := range list {
		switch {
		case m.ID == "":
			return nil, scim.Bad(scim.InvalidValue, "A member has no value: it is the ID of a user or a group.")
		case len(m.ID) > longID || strings.ContainsRune(m.ID, 0) || strings.ContainsRune(m.Display, 0):
			return nil, scim.Bad(scim.InvalidValue, "A member's value is not the ID of a user or a group: %.40q.", m.ID)
		}
		if i, ok := met[m.ID]; ok {
			out[i] = m
			continue
		}
		met[m.ID] = len(out)
		out = append(out, m)
	}
	return out, nil
}

// counted makes a group another version where its members changed.
func (t *Tx) counted(group *Resource, changed int, err error) (int, error) {
	if err != nil || changed == 0 {
		return changed, err
	}
	if _, err := t.tx.Exec(t.ctx, `UPDATE pushed SET seq = $3, version = version + 1, modified_at = $4 WHERE connection = $1 AND kind = 'Group' AND id = $2`,
		t.connection, group.ID, t.seq, db.Micros(t.now)); err != nil {
		return changed, err
	}
	t.touched(group)
	return changed, nil
}

// RemoveMembers takes those out of a group that are in it, and gives how many it was.
func (t *Tx) RemoveMembers(group *Resource, ids []string) (int, error) {
	n, err := t.removeMembers(group, ids)
	return t.counted(group, n, err)
}

func (t *Tx) removeMembers(group *Resource, ids []string) (int, error) {
	changed := 0
	for part := range slices.Chunk(ids, atOnce) {
		args := []any{t.connection, group.ID}
		for _, id := range part {
			args = append(args, strings.ReplaceAll(id, "\x00", ""))
		}
		n, err := t.tx.Exec(t.ctx, `DELETE FROM pushed_members WHERE connection = $1 AND grp = $2 AND member IN `+db.In(3, len(part)), args...)
		if err != nil {
			return changed, err
		}
		changed += int(n)
	}
	return changed, nil
}

// ReplaceMembers makes the list the members of a group, and gives how many came, went
// or have another display.
func (t *Tx) ReplaceMembers(group *Resource, list []Member) (int, error) {
	list, err := distinct(list)
	if err != nil {
		return 0, err
	}
	stay := make(map[string]bool, len(list))
	for _, m := range list {
		stay[m.ID] = true
	}
	var leave []string
	err = db.Each(t.ctx, t.tx, `SELECT member FROM pushed_members WHERE connection = $1 AND grp = $2`, []any{t.connection, group.ID}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		if !stay[id] {
			leave = append(leave, id)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	gone, err := t.removeMembers(group, leave)
	if err != nil {
		return 0, err
	}
	come, err := t.addMembers(group, list)
	return t.counted(group, gone+come, err)
}

// RemoveMembersWhere takes those members out of a group that a filter on a member
// (`value eq "x"`, in the words of `members[...]`) fits, and gives how many it was.
// Nil fits all.
func (t *Tx) RemoveMembersWhere(group *Resource, f *scim.Filter) (int, error) {
	if f == nil {
		n, err := t.tx.Exec(t.ctx, `DELETE FROM pushed_members WHERE connection = $1 AND grp = $2`, t.connection, group.ID)
		return t.counted(group, int(n), err)
	}
	if id, ok := f.Value.(string); ok && f.Op == scim.Eq && f.Path.Schema == "" && f.Path.Attr == "value" && f.Path.Sub == "" {
		return t.RemoveMembers(group, []string{id})
	}
	list, err := membersOf(t.ctx, t.tx, t.connection, group.ID)
	if err != nil {
		return 0, err
	}
	var leave []string
	for i, o := range objects(list) {
		if f.Matches(o.(scim.Object)) {
			leave = append(leave, list[i].ID)
		}
	}
	return t.RemoveMembers(group, leave)
}

// membersOf gives the members of a group, in the order of their IDs. Of what type
// they are is known of resources; the rest is what the client said.
func membersOf(ctx context.Context, q db.Querier, connection, group string) ([]Member, error) {
	list := []Member{}
	err := db.Each(ctx, q, `SELECT m.member, m.display, CASE WHEN EXISTS (SELECT 1 FROM pushed g WHERE g.connection = m.connection AND g.kind = 'Group' AND g.id = m.member) THEN 'Group'
			WHEN m.kind = '' THEN 'User' ELSE m.kind END FROM pushed_members m WHERE m.connection = $1 AND m.grp = $2 ORDER BY m.member`,
		[]any{connection, group}, func(rows *sql.Rows) error {
			var m Member
			err := rows.Scan(&m.ID, &m.Display, &m.Type)
			list = append(list, m)
			return err
		})
	return list, err
}

// groupsOf gives the groups that hold somebody, in the order of their IDs.
func groupsOf(ctx context.Context, q db.Querier, connection, member string) ([]Member, error) {
	list := []Member{}
	err := db.Each(ctx, q, `SELECT g.id, g.body FROM pushed_members m JOIN pushed g ON g.connection = m.connection AND g.kind = 'Group' AND g.id = m.grp AND g.gone_at = 0
		WHERE m.connection = $1 AND m.member = $2 ORDER BY g.id`, []any{connection, member}, func(rows *sql.Rows) error {
		var m Member
		var body string
		if err := rows.Scan(&m.ID, &body); err != nil {
			return err
		}
		o, err := decode(body)
		m.Type, m.Display = scim.Group, text(o, "displayName")
		list = append(list, m)
		return err
	})
	return list, err
}
