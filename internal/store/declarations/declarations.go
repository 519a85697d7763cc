// Package declarations is the table of connections made through the API. It
// hands their settings, which hold no secrets, on to the registry.
package declarations

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// Declarations is the table.
type Declarations struct{ DB *db.DB }

// Row is one connection. Body is JSON in the form an entry of `connections:` has
// in rollcall.yaml; Version counts its changes.
type Row struct {
	Alias, Organization  string
	Scheduled            bool
	Body                 []byte
	Version              int64
	CreatedAt, UpdatedAt time.Time
	UpdatedBy            string
}

const columns = `alias, organization, scheduled, body, version, created_at, updated_at, updated_by`

func scan(row interface{ Scan(...any) error }) (*Row, error) {
	var r Row
	var created, updated int64
	err := row.Scan(&r.Alias, &r.Organization, &r.Scheduled, &r.Body, &r.Version, &created, &updated, &r.UpdatedBy)
	r.CreatedAt, r.UpdatedAt = db.Time(created), db.Time(updated)
	return &r, err
}

// Get gives a connection of an organization, "" for any; a fault.NotFound where
// there is none. q is a transaction, or d.DB.Reader().
func (d *Declarations) Get(ctx context.Context, q db.Querier, organization, alias string) (*Row, error) {
	r, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM declarations WHERE alias = $1 AND ($2 = '' OR organization = $2)`, alias, organization))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no connection %q", alias)
	}
	return r, db.Explain("read connection "+alias, err)
}

// Each hands on connections by alias, after one and at the most limit of them (0
// for all): of an organization ("" for every one), or those with a schedule.
func (d *Declarations) Each(ctx context.Context, organization, after string, scheduled bool, limit int, fn func(*Row) error) error {
	if limit == 0 {
		limit = -1
	}
	query := `SELECT ` + columns + ` FROM declarations WHERE alias > $1 AND ($2 = '' OR organization = $2) AND (scheduled OR NOT $3) ORDER BY alias`
	args := []any{after, organization, scheduled}
	if limit > 0 {
		query += ` LIMIT $4`
		args = append(args, limit)
	}
	return db.Each(ctx, d.DB.Scanner(), query, args, func(rows *sql.Rows) error {
		r, err := scan(rows)
		if err != nil {
			return err
		}
		return fn(r)
	})
}

// Put writes a connection. One that changed since the caller read it, told by its
// version, is a fault.Conflict.
func Put(ctx context.Context, tx *db.Tx, r *Row) error {
	if r.Version == 1 {
		n, err := tx.Exec(ctx, `INSERT INTO declarations (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (alias) DO NOTHING`,
			r.Alias, r.Organization, r.Scheduled, string(r.Body), r.Version, db.Micros(r.CreatedAt), db.Micros(r.UpdatedAt), r.UpdatedBy)
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "the alias %q is taken", r.Alias).WithHint("an alias is unique in the installation; choose another")
		}
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE declarations SET scheduled = $3, body = $4, version = $5, updated_at = $6, updated_by = $7 WHERE alias = $1 AND version = $2`,
		r.Alias, r.Version-1, r.Scheduled, string(r.Body), r.Version, db.Micros(r.UpdatedAt), r.UpdatedBy)
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "connection %s was changed by somebody else meanwhile", r.Alias).WithHint("read it again, and change what is there now")
	}
	return err
}

// Delete takes a connection away.
func Delete(ctx context.Context, tx *db.Tx, alias string) error {
	_, err := tx.Exec(ctx, `DELETE FROM declarations WHERE alias = $1`, alias)
	return err
}
