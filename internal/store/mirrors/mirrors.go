// Package mirrors is the table of mirror rows: it keeps what readings bring and
// hands the rows to be planned on to the engine.
package mirrors

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/leases"
)

// Mirrors is the table.
type Mirrors struct{ DB *db.DB }

var columns = []string{"connection", "key", "generation", "kind", "external_id", "name", "ref", "hash", "record", "secret", "primary_ref", "refs"}

// common are what the people of a connection mostly have in common.
var common = []string{"connection", "generation", "kind", "secret", "primary_ref", "refs"}

const known = `SELECT m.key, m.hash, m.kind FROM mirror m JOIN connections c ON c.alias = m.connection
	WHERE m.connection = $1 AND m.generation <= c.generation AND m.gone = 0`

// Known calls fn for every row of the published picture.
func (m *Mirrors) Known(ctx context.Context, connection string, fn func(key, hash directory.Digest, kind directory.Kind)) error {
	return db.Each(ctx, m.DB.Reader(), known, []any{connection}, hashes(fn))
}

// Find is Known for some keys.
func (m *Mirrors) Find(ctx context.Context, connection string, keys []directory.Digest, fn func(key, hash directory.Digest, kind directory.Kind)) error {
	return parts(keys, func(in string, args []any) error {
		return db.Each(ctx, m.DB.Reader(), known+` AND m.key IN `+in, args, hashes(fn))
	}, connection)
}

func hashes(fn func(key, hash directory.Digest, kind directory.Kind)) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var key, hash sql.RawBytes
		var kind directory.Kind
		if err := rows.Scan(&key, &hash, &kind); err != nil {
			return err
		}
		fn(directory.Digest(key), directory.Digest(hash), kind)
		return nil
	}
}

// Stage writes rows under a generation that is not published yet.
func (m *Mirrors) Stage(ctx context.Context, lease mirror.Lease, generation int64, rows []mirror.Row) error {
	return m.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		var fresh, again []*mirror.Row
		for i := range rows {
			if rows[i].Again {
				again = append(again, &rows[i])
			} else {
				fresh = append(fresh, &rows[i])
			}
		}
		// Planning goes through the rows by key, so those of a batch lie in that order.
		slices.SortFunc(fresh, func(a, b *mirror.Row) int { return bytes.Compare(a.Key[:], b.Key[:]) })
		if err := insert(ctx, tx, lease, generation, fresh, ""); err != nil {
			return err
		}
		return insert(ctx, tx, lease, generation, again, replace)
	})
}

// replace puts a row in the place of one staged before. It is asked for only
// where that is so: PostgreSQL's COPY, the quick way, cannot merge.
const replace = `ON CONFLICT (connection, key, generation) DO UPDATE SET kind = excluded.kind, name = excluded.name, ref = excluded.ref,
	hash = excluded.hash, record = excluded.record, secret = excluded.secret, primary_ref = excluded.primary_ref, refs = excluded.refs`

func insert(ctx context.Context, tx *db.Tx, lease mirror.Lease, generation int64, rows []*mirror.Row, conflict string) error {
	return tx.InsertAlike(ctx, "mirror", columns, common, len(rows), func(i int, into []any) {
		r := rows[i]
		into[0], into[1], into[2], into[3], into[4] = lease.Connection, r.Key[:], generation, int64(r.Kind), string(r.ExternalID)
		into[5], into[6], into[7], into[8], into[9] = r.Name, r.Ref[:], r.Hash[:], pack(r.Record), r.Secret
		into[10], into[11] = nil, nil
		if r.Refs != nil {
			into[11] = r.Refs
		}
		if r.Primary != (directory.Digest{}) {
			into[10] = r.Primary[:]
		}
	}, conflict)
}

// Discard throws away what an unfinished reading staged.
func (m *Mirrors) Discard(ctx context.Context, lease mirror.Lease) error {
	return m.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM mirror WHERE connection = $1 AND generation > (SELECT generation FROM connections WHERE alias = $1)`, lease.Connection)
		if err != nil {
			return err
		}
		// And what a preview left whose process was killed.
		for _, q := range append([]string{`DELETE FROM mirror WHERE connection = $1`, `DELETE FROM connections WHERE alias = $1`}, forget...) {
			if _, err := tx.Exec(ctx, q, asideOf(lease.Connection)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Publish makes a generation the current one.
func (m *Mirrors) Publish(ctx context.Context, lease mirror.Lease, p mirror.Publication) (users, groups int, err error) {
	reading := p.Reading
	verdict, err := json.Marshal(reading)
	if err != nil {
		return 0, 0, err
	}
	err = m.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		var published int64
		if err := tx.QueryRowContext(ctx, `SELECT generation, users, groups FROM connections WHERE alias = $1`, lease.Connection).
			Scan(&published, &users, &groups); err != nil {
			return db.Explain("read the connection", err)
		}
		if p.Generation != published && published > 0 {
			if err := keepFormer(ctx, tx, lease.Connection, p); err != nil {
				return err
			}
			if err := keepReturned(ctx, tx, lease.Connection, p); err != nil {
				return err
			}
			if err := readAgain(ctx, tx, lease.Connection, p); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `DELETE FROM mirror WHERE connection = $1 AND generation < $2
				AND key IN (SELECT f.key FROM mirror f WHERE f.connection = $1 AND f.generation = $2 AND f.kind > 0)`, lease.Connection, p.Generation); err != nil {
				return err
			}
		}
		left, err := markGone(ctx, tx, lease.Connection, p.Generation, p.Gone)
		if err != nil {
			return err
		}
		users, groups = users+p.Fresh[0]-left[0], groups+p.Fresh[1]-left[1]
		if p.Single {
			_, err = tx.Exec(ctx, `UPDATE connections SET generation = $2, users = $3, groups = $4 WHERE alias = $1`, lease.Connection, p.Generation, users, groups)
			return err
		}
		set, args := "", []any{lease.Connection, p.Generation, reading.Complete, string(verdict), users, groups}
		switch {
		case reading.Complete:
			set, args = ", cursor = $7, complete_at = "+tx.Now(), append(args, []byte(reading.Next))
			if reading.Full {
				set += ", last_full_at = " + tx.Now()
				misled, err := misled(ctx, tx, lease.Connection)
				if err != nil {
					return err
				}
				if len(misled) > 0 && p.Generation == published {
					p.Generation++
					args[1] = p.Generation
				}
				if err := lift(ctx, tx, lease.Connection, p.Generation, misled); err != nil {
					return err
				}
				for _, q := range forget {
					if _, err := tx.Exec(ctx, q, lease.Connection); err != nil {
						return err
					}
				}
			}
		case reading.Full:
			// What it did not bring is in no later reading of changes: the next one
			// is a full one again. One of changes is repeated from where it began.
			set = ", cursor = NULL"
		}
		_, err = tx.Exec(ctx, `UPDATE connections SET generation = $2, complete = $3, reading = $4, users = $5, groups = $6`+set+` WHERE alias = $1`, args...)
		return err
	})
	if fresh := p.Fresh[0] + p.Fresh[1]; err == nil && fresh >= many && 2*fresh > users+groups {
		// Until the next round of its autovacuum PostgreSQL would take the table for as
		// small as it was, and go through all of it for each few rows it is asked for.
		m.DB.AnalyzeBeside("mirror (connection, key, generation, kind, gone, ref, primary_ref)")
	}
	return users, groups, err
}

// many is from how many rows on it matters how they are searched.
const many = 1000

// SQLite joins as written where it says CROSS JOIN, does not look for an index of
// what has a + in front, and takes an index that leads to the rows where one that
// holds the keys alone would not do: how few rows are of the newest generation is
// not in its statistics. PostgreSQL knows.

// parts calls fn for pieces of a list of keys that fit into one statement: with
// the list's placeholders, and all arguments.
func parts(keys []directory.Digest, fn func(in string, args []any) error, before ...any) error {
	const most = 500
	for len(keys) > 0 {
		part := keys[:min(most, len(keys))]
		keys = keys[len(part):]
		args := slices.Clone(before)
		for i := range part {
			args = append(args, part[i][:])
		}
		if err := fn(db.In(1+len(before), len(part)), args); err != nil {
			return err
		}
	}
	return nil
}

// markGone spares rows whose ref is carried by an entry without a usable key:
// that entry is there, it only cannot be told that it is the same one. It counts
// the people and groups that went.
func markGone(ctx context.Context, tx *db.Tx, connection string, generation int64, gone []directory.Digest) (left mirror.Counts, err error) {
	err = parts(gone, func(in string, args []any) error {
		return db.Each(ctx, tx, `UPDATE mirror SET gone = $2 WHERE connection = $1 AND gone = 0 AND key IN `+in+`
			AND (external_id = '' OR NOT EXISTS (SELECT 1 FROM mirror u WHERE u.connection = $1 AND u.ref = mirror.ref AND u.external_id = '' AND u.gone = 0))
			RETURNING kind`, args, func(rows *sql.Rows) error {
			var kind directory.Kind
			err := rows.Scan(&kind)
			if err == nil {
				left.Add(kind, 1)
			}
			return err
		})
	}, connection, generation)
	return left, err
}

// Reset forgets bookmark and contents, so that the next reading is a full one
// and every entry is compared anew. Who is known stays known. The event says who
// wanted it.
func (m *Mirrors) Reset(ctx context.Context, lease mirror.Lease, organization, actor string, at time.Time) error {
	return m.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE mirror SET hash = $2 WHERE connection = $1`, lease.Connection, make([]byte, 16)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE connections SET cursor = NULL, last_full_at = 0 WHERE alias = $1`, lease.Connection); err != nil {
			return err
		}
		return events.Append(ctx, tx, []event.Event{{Type: event.ConnectionReset, Organization: organization, Connection: &lease.Connection, At: at, Actor: actor}})
	})
}

// rowColumns are what is known of a row but for its hash, which serves readings.
const rowColumns = `m.key, m.kind, m.external_id, m.name, m.ref, m.record, m.secret, m.gone, m.generation, m.refs`

func scan(rows *sql.Rows) (mirror.Row, error) {
	var r mirror.Row
	var id string
	var gone int64
	err := rows.Scan(db.Digest{To: (*[16]byte)(&r.Key)}, &r.Kind, &id, &r.Name, db.Digest{To: (*[16]byte)(&r.Ref)},
		&r.Record, &r.Secret, &gone, &r.Generation, &r.Refs)
	if err != nil {
		return r, err
	}
	r.ExternalID, r.Gone, r.GoneSince = directory.ExternalID(id), gone > 0, gone
	r.Record, err = unpack(r.Record)
	return r, err
}

// moved selects the keys to be planned: what changed or went since the last
// plan was carried out, what that plan left open, what is due, what another
// connection claims, and whoever is managed by somebody who went. UNION ALL,
// because SQLite orders the parts of a UNION to merge them, and to have the first
// in order it went through every row.
const moved = `
	SELECT key FROM mirror WHERE connection = $1 AND generation > $2
	UNION ALL SELECT key FROM mirror WHERE connection = $1 AND gone > 0 AND gone > $2
	UNION ALL SELECT key FROM standing WHERE connection = $1 AND kind IN ('refused', 'dispute', 'failed', 'excluded', 'unresolved')
	UNION ALL SELECT key FROM standing WHERE connection = $1 AND kind = 'due' AND due_at <= $3
	UNION ALL SELECT owner_key FROM claims WHERE owner = $1
	UNION ALL SELECT key FROM accounts WHERE connection = $1 AND manager IN (SELECT b.id FROM mirror g
		JOIN accounts b ON b.connection = g.connection AND b.key = g.key WHERE g.connection = $1 AND g.gone > 0 AND g.gone > $2)`

// due selects the rows of a kind that are to be planned, or all. Inner groups come with
// the others.
func due(columns string, kind directory.Kind, all bool) string {
	// What an unfinished reading staged is not part of the picture.
	query := `SELECT ` + columns + ` FROM mirror m WHERE m.connection = $1 AND +m.generation <= (SELECT c.generation FROM connections c WHERE c.alias = $1)`
	if !all {
		query += ` AND m.key IN (` + moved + `)`
	}
	if kind == directory.Group {
		return query + ` AND m.kind > 1 ORDER BY m.key`
	}
	return query + fmt.Sprintf(` AND m.kind = %d ORDER BY m.key`, kind)
}

// Each hands on the rows of a kind in batches, in the order of their keys.
func (m *Mirrors) Each(ctx context.Context, s engine.Selection, kind directory.Kind, fn func([]mirror.Row) error) error {
	return m.batches(ctx, s.Batch, due(rowColumns, kind, s.All), selected(s), scan, fn)
}

// People is Each for people, without what their records say too: external ID and name.
// A column costs a tenth of a row.
func (m *Mirrors) People(ctx context.Context, s engine.Selection, fn func([]mirror.Row) error) error {
	brief := func(rows *sql.Rows) (mirror.Row, error) {
		r := mirror.Row{Kind: directory.User}
		err := rows.Scan(db.Digest{To: (*[16]byte)(&r.Key)}, db.Digest{To: (*[16]byte)(&r.Ref)}, &r.Record, &r.Secret, &r.GoneSince, &r.Generation)
		if err != nil {
			return r, err
		}
		r.Gone = r.GoneSince > 0
		r.Record, err = unpack(r.Record)
		return r, err
	}
	return m.batches(ctx, s.Batch, due(`m.key, m.ref, m.record, m.secret, m.gone, m.generation`, directory.User, s.All), selected(s), brief, fn)
}

func selected(s engine.Selection) []any {
	if s.All {
		return []any{s.Connection}
	}
	return []any{s.Connection, s.Planned, db.Micros(s.Now)}
}

// still selects the people there are who are not to be planned. With a NOT IN in
// place of the join PostgreSQL asks for all who are to be, once for every other one,
// whenever it thinks that they do not fit its work_mem: seven minutes for 100,000.
var still = fmt.Sprintf(`SELECT m.key, m.record FROM mirror m LEFT JOIN (%s) due ON due.key = m.key
	WHERE m.connection = $1 AND +m.generation <= (SELECT c.generation FROM connections c WHERE c.alias = $1)
	AND m.kind = %d AND m.gone = 0 AND due.key IS NULL ORDER BY m.key`, moved, directory.User)

// Still hands on the people there are who are not to be planned, by key and record
// alone.
func (m *Mirrors) Still(ctx context.Context, s engine.Selection, fn func([]mirror.Row) error) error {
	brief := func(rows *sql.Rows) (r mirror.Row, err error) {
		if err = rows.Scan(db.Digest{To: (*[16]byte)(&r.Key)}, &r.Record); err == nil {
			r.Record, err = unpack(r.Record)
		}
		return r, err
	}
	return m.batches(ctx, s.Batch, still, []any{s.Connection, s.Planned, db.Micros(s.Now)}, brief, fn)
}

// muchABatch is how many bytes of records and refs a batch holds at most, but for its
// last row: 500 groups of 400 members have twenty times as many.
const muchABatch = 1 << 20

// batches scans ahead: the next rows are read while fn works on a batch.
func (m *Mirrors) batches(ctx context.Context, size int, query string, args []any, scan func(*sql.Rows) (mirror.Row, error), fn func([]mirror.Row) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan []mirror.Row, 1)
	scanned := make(chan error, 1)
	go func() {
		batch, much := make([]mirror.Row, 0, size), 0
		hand := func() error {
			select {
			case ready <- batch:
				batch, much = make([]mirror.Row, 0, size), 0
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := db.Each(ctx, m.DB.Scanner(), query, args, func(rows *sql.Rows) error {
			r, err := scan(rows)
			if err != nil {
				return err
			}
			much += len(r.Record) + len(r.Refs)
			if batch = append(batch, r); len(batch) < size && much < muchABatch {
				return nil
			}
			return hand()
		})
		if err == nil && len(batch) > 0 {
			err = hand()
		}
		close(ready)
		scanned <- err
	}()
	for batch := range ready {
		if err := fn(batch); err != nil {
			cancel()
			<-scanned //nolint:errcheck // the rows are closed before the caller goes on; why they ended is known
			return err
		}
	}
	return <-scanned
}

// Moved counts rows to be planned, people and groups, where not all are.
func (m *Mirrors) Moved(ctx context.Context, s engine.Selection) (users, groups int, err error) {
	err = db.Each(ctx, m.DB.Reader(), `SELECT m.kind, count(*) FROM mirror m WHERE m.connection = $1 AND m.key IN (`+moved+`) GROUP BY m.kind`,
		[]any{s.Connection, s.Planned, db.Micros(s.Now)}, counting(&users, &groups))
	return users, groups, err
}

func counting(users, groups *int) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var kind directory.Kind
		var n int
		if err := rows.Scan(&kind, &n); err != nil {
			return err
		}
		if kind == directory.User {
			*users = n
		} else {
			*groups += n
		}
		return nil
	}
}

// Rows gives the rows of keys.
func (m *Mirrors) Rows(ctx context.Context, connection string, keys []directory.Digest) ([]mirror.Row, error) {
	var out []mirror.Row
	err := parts(keys, func(in string, args []any) error {
		return db.Each(ctx, m.DB.Reader(), `SELECT `+rowColumns+` FROM mirror m JOIN connections c ON c.alias = m.connection
			WHERE m.connection = $1 AND m.generation <= c.generation AND m.key IN `+in, args, func(rows *sql.Rows) error {
			r, err := scan(rows)
			out = append(out, r)
			return err
		})
	}, connection)
	return out, err
}

// Groups hands on all groups, those that are gone too, without their records.
func (m *Mirrors) Groups(ctx context.Context, connection string, members bool, fn func(*mirror.Group)) error {
	refs := "NULL"
	if members {
		refs = "m.refs"
	}
	return db.Each(ctx, m.DB.Reader(), `SELECT m.key, m.kind, m.external_id, m.ref, m.generation, m.gone, `+refs+` FROM mirror m
		WHERE m.connection = $1 AND m.kind > 1 AND +m.generation <= (SELECT c.generation FROM connections c WHERE c.alias = $1)`, []any{connection}, func(rows *sql.Rows) error {
		var g mirror.Group
		var kind directory.Kind
		var id string
		var gone int64
		var refs sql.RawBytes
		if err := rows.Scan(db.Digest{To: (*[16]byte)(&g.Key)}, &kind, &id, db.Digest{To: (*[16]byte)(&g.Ref)}, &g.Generation, &gone, &refs); err != nil {
			return err
		}
		g.ExternalID, g.Inner, g.Gone, g.Refs = directory.ExternalID(id), kind == directory.Inner, gone > 0, refs
		fn(&g)
		return nil
	})
}

// Primaries calls fn for everybody in a group without being among its members:
// the group's ref, the person's, and the generation both are of.
func (m *Mirrors) Primaries(ctx context.Context, connection string, of []directory.Digest, fn func(group, person directory.Digest, generation int64)) error {
	query := func(more string, args []any) error {
		return db.Each(ctx, m.DB.Reader(), `SELECT m.primary_ref, m.ref, m.generation FROM mirror m
			WHERE m.connection = $1 AND m.primary_ref IS NOT NULL AND m.gone = 0
			AND +m.generation <= (SELECT c.generation FROM connections c WHERE c.alias = $1)`+more, args, func(rows *sql.Rows) error {
			var group, person directory.Digest
			var generation int64
			if err := rows.Scan(db.Digest{To: (*[16]byte)(&group)}, db.Digest{To: (*[16]byte)(&person)}, &generation); err != nil {
				return err
			}
			fn(group, person, generation)
			return nil
		})
	}
	if of == nil {
		return query("", []any{connection})
	}
	return parts(of, func(in string, args []any) error { return query(" AND m.primary_ref IN "+in, args) }, connection)
}

// Claims gives the keys of a connection that others claim.
func (m *Mirrors) Claims(ctx context.Context, connection string, fn func(key directory.Digest, claimant, name string)) error {
	return db.Each(ctx, m.DB.Reader(), `SELECT owner_key, claimant, claimant_name FROM claims WHERE owner = $1`, []any{connection}, func(rows *sql.Rows) error {
		var key directory.Digest
		var claimant, name string
		if err := rows.Scan(db.Digest{To: (*[16]byte)(&key)}, &claimant, &name); err != nil {
			return err
		}
		fn(key, claimant, name)
		return nil
	})
}
