package db

import (
	"context"
	"database/sql"
	"errors"
)

// DeferIndexes takes indexes away that are quicker to build when many rows are in than
// to keep while they come, and remembers what they are; BuildIndexes brings them back.
// No rule may depend on them: until then the same questions get the same answers, only
// later. Those that are away already are left out. It is an error, and none is taken
// away, where PostgreSQL would have to wait for somebody who reads by one.
func (d *DB) DeferIndexes(ctx context.Context, when func(*Tx) (bool, error), names ...string) error {
	return d.Write(ctx, func(tx *Tx) error {
		if ok, err := when(tx); err != nil || !ok {
			return err
		}
		if d.Dialect == PostgreSQL {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '1s'`); err != nil {
				return err
			}
		}
		for _, name := range names {
			definition, err := tx.index(ctx, name)
			if err != nil {
				return err
			}
			if definition == "" {
				continue
			}
			if _, err := tx.Exec(ctx, `INSERT INTO deferred_indexes (name, definition) VALUES ($1, $2)`, name, definition); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `DROP INDEX `+name); err != nil {
				return err
			}
		}
		return nil
	})
}

// BuildIndexes builds the indexes that were deferred, each in a transaction of its own:
// one that cannot be built keeps none of the others away.
// Whoever needs them may call it while the rows are still coming in.
func (d *DB) BuildIndexes(ctx context.Context) error {
	names, err := d.deferred(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		err = errors.Join(err, d.Write(ctx, func(tx *Tx) error { return tx.buildIndex(ctx, name) }))
	}
	return err
}

// Deferred reports whether any index is away.
func (d *DB) Deferred(ctx context.Context) (bool, error) {
	names, err := d.deferred(ctx)
	return len(names) > 0, err
}

func (d *DB) deferred(ctx context.Context) (names []string, err error) {
	err = Each(ctx, d.Reader(), `SELECT name FROM deferred_indexes ORDER BY name`, nil, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	})
	return names, err
}

func (t *Tx) buildIndex(ctx context.Context, name string) error {
	var definition string
	err := t.QueryRowContext(ctx, `SELECT definition FROM deferred_indexes WHERE name = $1`+t.Locked(), name).Scan(&definition)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // another process was first
	}
	if err != nil {
		return explain("read a deferred index", err)
	}
	have, err := t.index(ctx, name)
	if err != nil {
		return err
	}
	if have == "" {
		if _, err := t.conn.ExecContext(ctx, definition); err != nil {
			return explain("build index "+name, err)
		}
	}
	_, err = t.Exec(ctx, `DELETE FROM deferred_indexes WHERE name = $1`, name)
	return err
}

// index gives the statement that makes an index, or "" where there is none of the name.
func (t *Tx) index(ctx context.Context, name string) (definition string, err error) {
	query := `SELECT coalesce((SELECT sql FROM sqlite_master WHERE type = 'index' AND name = $1), '')`
	if t.db.Dialect == PostgreSQL {
		query = `SELECT coalesce(pg_get_indexdef(to_regclass($1)), '')`
	}
	return definition, explain("look for index "+name, t.QueryRowContext(ctx, query, name).Scan(&definition))
}
