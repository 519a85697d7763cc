// Package organizations is the table of tenants. It hands them on to the
// registry, with the seats they use.
package organizations

import (
	"context"
	"database/sql"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
)

// Organizations is the table.
type Organizations struct{ DB *db.DB }

// Organization is a tenant with the seats it uses.
type Organization struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	LicenceLimit *int   `json:"licence_limit"`
	SeatsUsed    int    `json:"seats_used"`
	Accounts     int    `json:"accounts"`
	Declared     bool   `json:"declared"` // it stands in rollcall.yaml; the registry knows
}

const selected = `SELECT id, name, licence_limit,
	(SELECT COALESCE(sum(t.active), 0) FROM tallies t WHERE t.organization = o.id),
	(SELECT COALESCE(sum(t.here), 0) FROM tallies t WHERE t.organization = o.id) FROM organizations o`

// List gives those after an ID in their order, at most limit (0 for all): only the
// one of that name where organization is not "".
func (o *Organizations) List(ctx context.Context, organization, after string, limit int) ([]Organization, error) {
	query, args := selected+` WHERE o.id > $1 AND ($2 = '' OR o.id = $2) ORDER BY o.id`, []any{after, organization}
	if limit > 0 {
		query += ` LIMIT $3`
		args = append(args, limit)
	}
	out := []Organization{}
	err := db.Each(ctx, o.DB.Reader(), query, args, func(rows *sql.Rows) error {
		var one Organization
		var limit int
		if err := rows.Scan(&one.ID, &one.Name, &limit, &one.SeatsUsed, &one.Accounts); err != nil {
			return err
		}
		if limit > 0 {
			one.LicenceLimit = &limit
		}
		out = append(out, one)
		return nil
	})
	return out, err
}

// Names gives the names of organizations by ID, without counting their people: of
// one, or of at most limit where id is "".
func (o *Organizations) Names(ctx context.Context, id string, limit int) (map[string]string, error) {
	out := map[string]string{}
	err := db.Each(ctx, o.DB.Reader(), `SELECT id, name FROM organizations WHERE $1 = '' OR id = $1 ORDER BY id LIMIT $2`, []any{id, limit}, func(rows *sql.Rows) error {
		var id, name string
		err := rows.Scan(&id, &name)
		out[id] = name
		return err
	})
	return out, err
}

// Exists is a fault.NotFound where there is no such organization.
func Exists(ctx context.Context, tx *db.Tx, id string) error {
	var found bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM organizations WHERE id = $1)`, id).Scan(&found); err != nil {
		return db.Explain("look for organization "+id, err)
	}
	if !found {
		return fault.New(fault.NotFound, "there is no organization %q", id).WithHint("`rollcall organizations list` shows those there are")
	}
	return nil
}

// Put writes an organization; fresh says that there may be none of that ID yet.
// The ID of one that was deleted is never used again.
func Put(ctx context.Context, tx *db.Tx, s setting.Organization, fresh bool, at time.Time) error {
	var retired bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM retired WHERE organization = $1)`, s.ID).Scan(&retired); err != nil {
		return db.Explain("look for organization "+s.ID, err)
	}
	if retired {
		return fault.New(fault.Conflict, "organization %q was deleted, and its ID is not used again", s.ID).
			WithHint("choose another ID: whoever has this one is shown the events and runs that are kept of the one before")
	}
	conflict := `DO UPDATE SET name = excluded.name, licence_limit = excluded.licence_limit`
	if fresh {
		conflict = `DO NOTHING`
	}
	n, err := tx.Exec(ctx, `INSERT INTO organizations (id, name, licence_limit, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) `+conflict,
		s.ID, s.Name, s.LicenceLimit, db.Micros(at))
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "there is an organization %q already", s.ID).WithHint("choose another ID")
	}
	return err
}

// Delete takes an organization away that nothing belongs to any more, and that
// nobody has a key to.
func Delete(ctx context.Context, tx *db.Tx, id string, at time.Time) error {
	for _, of := range []struct{ what, query string }{
		{"connections", `SELECT count(*) FROM declarations WHERE organization = $1`},
		{"accounts", `SELECT count(*) FROM accounts WHERE organization = $1`},
		{"webhooks", `SELECT count(*) FROM webhooks WHERE organization = $1`},
		{"targets", `SELECT count(*) FROM targets WHERE organization = $1`},
		{"clients", `SELECT count(*) FROM clients WHERE organization = $1`},
		{"administrators", `SELECT count(*) FROM admins WHERE organization = $1`},
		{"API keys", `SELECT count(*) FROM api_keys WHERE organization = $1 AND revoked_at = 0`},
	} {
		var n int
		if err := tx.QueryRowContext(ctx, of.query, id).Scan(&n); err != nil {
			return db.Explain("look at organization "+id, err)
		}
		if n > 0 {
			return fault.New(fault.Conflict, "organization %s still has %d %s", id, n, of.what).
				WithHint("an organization is taken away when nothing belongs to it any more")
		}
	}
	if _, err := tx.Exec(ctx, `INSERT INTO retired (organization, at) VALUES ($1, $2) ON CONFLICT (organization) DO NOTHING`, id, db.Micros(at)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM organizations WHERE id = $1`, id)
	return err
}

// Declare brings the organizations of the configuration into the database.
func (o *Organizations) Declare(ctx context.Context, list []setting.Organization, at time.Time) error {
	var changed []setting.Organization
	for _, s := range list {
		var name string
		var limit int
		err := o.DB.Reader().QueryRowContext(ctx, `SELECT name, licence_limit FROM organizations WHERE id = $1`, s.ID).Scan(&name, &limit)
		if err != nil || name != s.Name || limit != s.LicenceLimit {
			changed = append(changed, s)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return o.DB.Write(ctx, func(tx *db.Tx) error {
		for _, s := range changed {
			if err := Put(ctx, tx, s, false, at); err != nil {
				return err
			}
		}
		return nil
	})
}
