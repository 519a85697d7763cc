package accounts

import (
	"context"
	"database/sql"
	"errors"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

const groupColumns = `id, organization, connection, external_id, name, status, version, created_at, updated_at`

func scanGroup(rows *sql.Rows, more ...any) (account.Group, error) {
	var g account.Group
	var created, updated int64
	err := rows.Scan(append([]any{&g.ID, &g.Organization, &g.Connection, &g.ExternalID, &g.Name, &g.Status, &g.Version, &created, &updated}, more...)...)
	g.CreatedAt, g.UpdatedAt = db.Time(created), db.Time(updated)
	return g, err
}

// Groups gives all groups of a connection, deleted ones too.
func (s *Accounts) Groups(ctx context.Context, connection string) (map[account.ID]account.Group, error) {
	out := map[account.ID]account.Group{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+groupColumns+` FROM groups WHERE connection = $1`, []any{connection}, func(rows *sql.Rows) error {
		g, err := scanGroup(rows)
		out[g.ID] = g
		return err
	})
	return out, err
}

// Members calls fn for every membership in a group.
func (s *Accounts) Members(ctx context.Context, group account.ID, fn func(id account.ID)) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT account_id FROM memberships WHERE group_id = $1`, []any{group}, func(rows *sql.Rows) error {
		var id account.ID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		fn(id)
		return nil
	})
}

// ListGroups hands on the groups that are not deleted, by name, with their
// number of members.
func (s *Accounts) ListGroups(ctx context.Context, organization, connection string, fn func(account.Group) error) error {
	return s.groups(ctx, `($1 = '' OR organization = $1) AND ($2 = '' OR connection = $2) ORDER BY name, id`, []any{organization, connection}, fn)
}

// GroupPlace is where a list of groups goes on: behind the one of this name and ID.
type GroupPlace struct {
	Name string
	ID   account.ID
}

// GroupPage gives groups as ListGroups does, after one and at the most limit.
func (s *Accounts) GroupPage(ctx context.Context, organization, connection string, after GroupPlace, limit int) ([]account.Group, error) {
	var out []account.Group
	err := s.groups(ctx, `($1 = '' OR organization = $1) AND ($2 = '' OR connection = $2) AND (name > $3 OR name = $3 AND id > $4) ORDER BY name, id LIMIT $5`,
		[]any{organization, connection, after.Name, after.ID[:], limit}, func(g account.Group) error {
			out = append(out, g)
			return nil
		})
	return out, err
}

// Group gives a group of an organization ("" for any) that is not deleted, or a
// fault.NotFound.
func (s *Accounts) Group(ctx context.Context, organization string, id account.ID) (account.Group, error) {
	var found []account.Group
	err := s.groups(ctx, `id = $1 AND ($2 = '' OR organization = $2)`, []any{id[:], organization}, func(g account.Group) error {
		found = append(found, g)
		return nil
	})
	if err == nil && len(found) == 0 {
		return account.Group{}, fault.New(fault.NotFound, "there is no group %q", id).WithHint("`rollcall groups list` shows them")
	}
	if err != nil {
		return account.Group{}, err
	}
	return found[0], nil
}

func (s *Accounts) groups(ctx context.Context, where string, args []any, fn func(account.Group) error) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT `+groupColumns+`, (SELECT count(*) FROM memberships m WHERE m.group_id = groups.id) FROM groups
		WHERE status = 'active' AND `+where, args, func(rows *sql.Rows) error {
		var members int
		g, err := scanGroup(rows, &members)
		if err != nil {
			return err
		}
		g.Members = members
		return fn(g)
	})
}

// MembersOf gives the accounts in a group.
func (s *Accounts) MembersOf(ctx context.Context, group account.ID, fn func(*account.Account) error) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT `+Columns+` FROM accounts WHERE id IN (SELECT account_id FROM memberships WHERE group_id = $1) ORDER BY username_key`,
		[]any{group}, func(rows *sql.Rows) error {
			a, err := Scan(rows)
			if err != nil {
				return err
			}
			return fn(a)
		})
}

// GroupsOf calls fn for every membership of the accounts in groups of a connection. Their
// memberships are looked for first: PostgreSQL, whose statistics know nothing of groups
// just made, went through all members of all groups.
func (s *Accounts) GroupsOf(ctx context.Context, connection string, ids []account.ID, fn func(group, id account.ID)) error {
	return parts(ids, func(part []account.ID) error {
		args := []any{connection}
		for i := range part {
			args = append(args, part[i][:])
		}
		return db.Each(ctx, s.DB.Reader(), `WITH m AS MATERIALIZED (SELECT group_id, account_id FROM memberships WHERE account_id IN `+db.In(2, len(part))+`)
			SELECT m.group_id, m.account_id FROM m JOIN groups g ON g.id = m.group_id WHERE g.connection = $1`, args, func(rows *sql.Rows) error {
			var g, a account.ID
			if err := rows.Scan(&g, &a); err != nil {
				return err
			}
			fn(g, a)
			return nil
		})
	})
}

// GroupNames gives the names of the groups an account is in, in their order and at
// the most limit.
func (s *Accounts) GroupNames(ctx context.Context, id account.ID, limit int) ([]string, error) {
	out := []string{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT DISTINCT g.name FROM memberships m JOIN groups g ON g.id = m.group_id WHERE m.account_id = $1 AND g.status = 'active' ORDER BY g.name LIMIT $2`,
		[]any{id, limit}, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			out = append(out, name)
			return err
		})
	return out, err
}

// Keyed is a group with the key of its entry.
type Keyed struct {
	account.Group
	Key directory.Digest
}

// GroupsByID gives groups that are not deleted, with their keys and without their
// number of members.
func (s *Accounts) GroupsByID(ctx context.Context, ids []account.ID) (map[account.ID]Keyed, error) {
	out := map[account.ID]Keyed{}
	err := parts(ids, func(part []account.ID) error {
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i][:]
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT `+groupColumns+`, key FROM groups WHERE status = 'active' AND id IN `+db.In(1, len(part)), args, func(rows *sql.Rows) error {
			var k Keyed
			g, err := scanGroup(rows, db.Digest{To: (*[16]byte)(&k.Key)})
			k.Group = g
			out[g.ID] = k
			return err
		})
	})
	return out, err
}

// GroupsFound gives groups as GroupPage does, those alone that fit. Their members
// are counted where they are handed out, not for all that are looked at.
func (s *Accounts) GroupsFound(ctx context.Context, organization, connection string, after GroupPlace, limit int, fits func(*account.Group) bool) ([]account.Group, error) {
	var out []account.Group
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+groupColumns+` FROM groups WHERE status = 'active' AND ($1 = '' OR organization = $1) AND ($2 = '' OR connection = $2)
		AND (name > $3 OR name = $3 AND id > $4) ORDER BY name, id`, []any{organization, connection, after.Name, after.ID[:]}, func(rows *sql.Rows) error {
		g, err := scanGroup(rows)
		if err != nil || !fits(&g) {
			return err
		}
		if out = append(out, g); len(out) == limit {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	sizes, err := s.Sizes(ctx, out)
	for i := range out {
		out[i].Members = sizes[out[i].ID]
	}
	return out, err
}

// Sizes counts the members of groups.
func (s *Accounts) Sizes(ctx context.Context, groups []account.Group) (map[account.ID]int, error) {
	out := map[account.ID]int{}
	err := parts(groups, func(part []account.Group) error {
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i].ID[:]
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT group_id, count(*) FROM memberships WHERE group_id IN `+db.In(1, len(part))+` GROUP BY group_id`, args, func(rows *sql.Rows) error {
			var id account.ID
			var n int
			err := rows.Scan(&id, &n)
			out[id] = n
			return err
		})
	})
	return out, err
}

// GroupsByKey gives groups of a connection that are not deleted by the keys of
// their entries, without their number of members.
func (s *Accounts) GroupsByKey(ctx context.Context, connection string, keys []directory.Digest) (map[directory.Digest]account.Group, error) {
	out := map[directory.Digest]account.Group{}
	err := parts(keys, func(part []directory.Digest) error {
		args := []any{connection}
		for i := range part {
			args = append(args, part[i][:])
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT `+groupColumns+`, key FROM groups WHERE status = 'active' AND connection = $1 AND key IN `+db.In(2, len(part)), args, func(rows *sql.Rows) error {
			var key directory.Digest
			g, err := scanGroup(rows, db.Digest{To: (*[16]byte)(&key)})
			out[key] = g
			return err
		})
	})
	return out, err
}
