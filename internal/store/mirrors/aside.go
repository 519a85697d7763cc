package mirrors

import (
	"context"
	"database/sql"
	"errors"

	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/leases"
)

// asideOf is the name under which the copy of a connection's picture stands. No
// alias has spaces.
func asideOf(connection string) string { return "preview of " + connection }

// asideRows is how many rows are copied, or taken away, in one transaction: others
// write in between.
var asideRows = 5000

// ShortCopies makes that fewer: for tests of what happens between two of them, before they
// begin.
func ShortCopies(rows int) { asideRows = rows }

// Aside copies the picture of a connection, for a reading that is to leave the
// picture itself as it is. The lease it gives is for the copy, and as good as the
// one of the connection.
func (m *Mirrors) Aside(ctx context.Context, lease mirror.Lease) (mirror.Lease, error) {
	copied := mirror.Lease{Connection: asideOf(lease.Connection), Fence: lease.Fence}
	if err := m.DropAside(ctx, lease); err != nil {
		return copied, err
	}
	err := m.held(ctx, lease, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO connections (alias, organization, kind, rules, rules_text, generation, planned, complete, reading, users, groups, last_full_at, lease_owner, lease_until, fence)
			SELECT CAST($2 AS text), organization, kind, rules, rules_text, generation, planned, complete, reading, users, groups, last_full_at, lease_owner, lease_until, fence
			FROM connections WHERE alias = $1`, lease.Connection, copied.Connection); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO former (connection, ref, until, key) SELECT CAST($2 AS text), ref, until, key FROM former WHERE connection = $1`, lease.Connection, copied.Connection)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO returned (connection, key, since) SELECT CAST($2 AS text), key, since FROM returned WHERE connection = $1`, lease.Connection, copied.Connection)
		return err
	})
	for after := []byte{}; err == nil && after != nil; {
		err = m.held(ctx, lease, func(tx *db.Tx) (err error) {
			after, err = copyRows(ctx, tx, lease.Connection, copied.Connection, after)
			return err
		})
	}
	return copied, err
}

// copyRows copies the rows behind a key, some at a time, and gives the last one's,
// or nil when that were all.
func copyRows(ctx context.Context, tx *db.Tx, from, to string, after []byte) ([]byte, error) {
	const list = `key, generation, kind, gone, external_id, ref, hash, primary_ref, name, refs, record, secret`
	query, args := `INSERT INTO mirror (connection, `+list+`) SELECT CAST($2 AS text), `+list+` FROM mirror
		WHERE connection = $1 AND key > $3 AND generation <= (SELECT c.generation FROM connections c WHERE c.alias = $1)`, []any{from, to, after}
	var last []byte
	err := tx.QueryRowContext(ctx, `SELECT key FROM mirror WHERE connection = $1 AND key > $2 ORDER BY key LIMIT 1 OFFSET $3`, from, after, asideRows-1).Scan(&last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		last = nil
	case err != nil:
		return nil, db.Explain("read the mirror", err)
	default:
		query, args = query+` AND key <= $4`, append(args, last)
	}
	_, err = tx.Exec(ctx, query, args...)
	return last, err
}

// DropAside takes the copy of a connection's picture away, also one that an earlier
// process left.
func (m *Mirrors) DropAside(ctx context.Context, lease mirror.Lease) error {
	name := asideOf(lease.Connection)
	for n := int64(asideRows); n >= int64(asideRows); {
		err := m.held(ctx, lease, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM mirror WHERE connection = $1 AND key IN (SELECT key FROM mirror WHERE connection = $1 ORDER BY key LIMIT $2)`, name, asideRows)
			return err
		})
		if err != nil {
			return err
		}
	}
	return m.held(ctx, lease, func(tx *db.Tx) error {
		for _, q := range append([]string{`DELETE FROM connections WHERE alias = $1`}, forget...) {
			if _, err := tx.Exec(ctx, q, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// held runs fn in a transaction of the lease's holder.
func (m *Mirrors) held(ctx context.Context, lease mirror.Lease, fn func(*db.Tx) error) error {
	return m.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		return fn(tx)
	})
}
