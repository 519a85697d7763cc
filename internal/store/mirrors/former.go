package mirrors

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/store/db"
)

// keepFormer takes down what refs mean to rows read before this reading: of
// entries that have another one now, and of those that went. Who is found to be gone by
// reading everything is not among these: their people and groups are planned with them.
func keepFormer(ctx context.Context, tx *db.Tx, connection string, p mirror.Publication) error {
	_, err := tx.Exec(ctx, `INSERT INTO former (connection, ref, until, key) SELECT old.connection, old.ref, $2, old.key
		FROM mirror fresh CROSS JOIN mirror old WHERE old.connection = fresh.connection AND old.key = fresh.key AND old.generation < $2
		AND fresh.connection = $1 AND fresh.generation = $2 AND old.gone = 0 AND old.ref <> fresh.ref ON CONFLICT DO NOTHING`, connection, p.Generation)
	if err != nil || p.Reading.Full {
		return err
	}
	return parts(p.Gone, func(in string, args []any) error {
		_, err := tx.Exec(ctx, `INSERT INTO former (connection, ref, until, key) SELECT connection, ref, $2, key
			FROM mirror WHERE connection = $1 AND generation < $2 AND gone = 0 AND key IN `+in+` ON CONFLICT DO NOTHING`, args...)
		return err
	}, connection, p.Generation)
}

// forget ends what rows read before mean: from now on each says what its words say.
var forget = []string{`DELETE FROM former WHERE connection = $1`, `DELETE FROM returned WHERE connection = $1`}

// keepReturned takes down who went and came back with a reading of changes that brought
// the groups they are in now. No server marks a group as changed when it takes somebody
// out of it who is deleted: rows of groups that were read before still name them.
func keepReturned(ctx context.Context, tx *db.Tx, connection string, p mirror.Publication) error {
	if p.Single || p.Reading.Full || !p.Reading.Complete || !p.Reading.Regrouped {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO returned (connection, key, since) SELECT fresh.connection, fresh.key, fresh.generation
		FROM mirror fresh CROSS JOIN mirror old WHERE old.connection = fresh.connection AND old.key = fresh.key AND old.generation < $2
		AND fresh.connection = $1 AND fresh.generation = $2 AND old.gone > 0 ON CONFLICT (connection, key) DO UPDATE SET since = excluded.since`, connection, p.Generation)
	return err
}

// Returned calls fn for the ref of each of them, and since when they are back.
func (m *Mirrors) Returned(ctx context.Context, connection string, fn func(ref directory.Digest, since int64)) error {
	return returned(ctx, m.DB.Reader(), connection, fn)
}

func returned(ctx context.Context, from db.Querier, connection string, fn func(ref directory.Digest, since int64)) error {
	return db.Each(ctx, from, `SELECT m.ref, r.since FROM returned r CROSS JOIN mirror m WHERE r.connection = $1 AND m.connection = r.connection AND m.key = r.key AND m.gone = 0
		AND m.generation <= (SELECT c.generation FROM connections c WHERE c.alias = $1)`, []any{connection}, func(rows *sql.Rows) error {
		var ref directory.Digest
		var since int64
		err := rows.Scan(db.Digest{To: (*[16]byte)(&ref)}, &since)
		if err == nil {
			fn(ref, since)
		}
		return err
	})
}

// readAgain makes rows that were told of again, as they were, rows of this reading where
// names have former meanings: what they say means now what it says.
func readAgain(ctx context.Context, tx *db.Tx, connection string, p mirror.Publication) error {
	if len(p.Told) == 0 {
		return nil
	}
	var some bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM former WHERE connection = $1) OR EXISTS (SELECT 1 FROM returned WHERE connection = $1)`, connection).Scan(&some)
	if err != nil || !some {
		return db.Explain("look for former names", err)
	}
	return lift(ctx, tx, connection, p.Generation, p.Told)
}

// misled gives the rows that did not change and say names which meant others to them, and
// which lead elsewhere from now on: of somebody's manager, of somebody's group, or of
// members of a group. A server that mends such names has changed the rows itself.
func misled(ctx context.Context, tx *db.Tx, connection string) (keys []directory.Digest, err error) {
	until := map[directory.Digest]int64{}
	err = db.Each(ctx, tx, `SELECT ref, max(until) FROM former WHERE connection = $1 GROUP BY ref`, []any{connection}, func(rows *sql.Rows) error {
		var ref directory.Digest
		var last int64
		err := rows.Scan(db.Digest{To: (*[16]byte)(&ref)}, &last)
		until[ref] = last
		return err
	})
	if err == nil {
		err = returned(ctx, tx, connection, func(ref directory.Digest, since int64) { until[ref] = max(until[ref], since) })
	}
	if err != nil || len(until) == 0 {
		return nil, err
	}
	err = db.Each(ctx, tx, `SELECT m.key FROM former f CROSS JOIN accounts b CROSS JOIN accounts a CROSS JOIN mirror m
		WHERE f.connection = $1 AND b.connection = f.connection AND b.key = f.key AND a.manager = b.id
		AND m.connection = f.connection AND m.key = a.key AND m.gone = 0 AND m.generation < f.until`,
		[]any{connection}, func(rows *sql.Rows) error {
			var key directory.Digest
			err := rows.Scan(db.Digest{To: (*[16]byte)(&key)})
			keys = append(keys, key)
			return err
		})
	if err != nil {
		return nil, err
	}
	err = parts(slices.Collect(maps.Keys(until)), func(in string, args []any) error {
		return db.Each(ctx, tx, `SELECT key, primary_ref, generation FROM mirror WHERE connection = $1 AND primary_ref IS NOT NULL AND gone = 0 AND primary_ref IN `+in, args, func(rows *sql.Rows) error {
			var key, ref directory.Digest
			var generation int64
			err := rows.Scan(db.Digest{To: (*[16]byte)(&key)}, db.Digest{To: (*[16]byte)(&ref)}, &generation)
			if until[ref] > generation {
				keys = append(keys, key)
			}
			return err
		})
	}, connection)
	if err != nil {
		return nil, err
	}
	err = db.Each(ctx, tx, `SELECT key, generation, refs FROM mirror WHERE connection = $1 AND kind > 1 AND gone = 0 AND refs IS NOT NULL`, []any{connection}, func(rows *sql.Rows) error {
		var key directory.Digest
		var generation int64
		var refs sql.RawBytes
		if err := rows.Scan(db.Digest{To: (*[16]byte)(&key)}, &generation, &refs); err != nil {
			return err
		}
		for ; len(refs) >= len(key); refs = refs[len(key):] {
			if until[directory.Digest(refs)] > generation {
				keys = append(keys, key)
				break
			}
		}
		return nil
	})
	return keys, err
}

// lift makes rows that are as they were rows of a generation: they count as changed.
func lift(ctx context.Context, tx *db.Tx, connection string, generation int64, keys []directory.Digest) error {
	return parts(keys, func(in string, args []any) error {
		_, err := tx.Exec(ctx, `UPDATE mirror SET generation = $2 WHERE connection = $1 AND generation < $2 AND gone = 0 AND key IN `+in, args...)
		return err
	}, connection, generation)
}

// Former calls fn for every ref that meant another entry, or one that went, to
// rows of a generation below until.
func (m *Mirrors) Former(ctx context.Context, connection string, fn func(ref directory.Digest, until int64, key directory.Digest)) error {
	return db.Each(ctx, m.DB.Reader(), `SELECT ref, until, key FROM former WHERE connection = $1 ORDER BY ref, until`, []any{connection}, func(rows *sql.Rows) error {
		var ref, key directory.Digest
		var until int64
		if err := rows.Scan(db.Digest{To: (*[16]byte)(&ref)}, &until, db.Digest{To: (*[16]byte)(&key)}); err != nil {
			return err
		}
		fn(ref, until, key)
		return nil
	})
}
