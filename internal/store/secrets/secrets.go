// Package secrets is the table of sealed texts: passwords and tokens by what
// they belong to. It hands them on, opened, to the registry and the deliveries;
// in the database they are never readable.
package secrets

import (
	"context"
	"database/sql"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
)

// Sealer seals and opens texts; seal.Ring is one.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
	Newest(sealed []byte) (bool, error)
}

// Secrets is the table.
type Secrets struct {
	DB   *db.DB
	Ring Sealer
}

// Secret is one text of an owner. Taken says that it was there and was taken away,
// because what it was given for has changed.
type Secret struct {
	Name  string
	Taken bool
	Plain string
	Err   error // why it could not be opened
}

func purpose(owner, name string) string { return owner + " " + name }

// Set keeps a text, in place of the one of that name.
func (s *Secrets) Set(ctx context.Context, tx *db.Tx, owner, name, plain string, at time.Time) error {
	sealed, err := s.Ring.Seal(purpose(owner, name), []byte(plain))
	if err != nil {
		return err
	}
	return put(ctx, tx, owner, name, sealed, at)
}

// Take takes a text away and remembers that there was one.
func (s *Secrets) Take(ctx context.Context, tx *db.Tx, owner, name string, at time.Time) error {
	return put(ctx, tx, owner, name, []byte{}, at)
}

func put(ctx context.Context, tx *db.Tx, owner, name string, sealed []byte, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO secrets (owner, name, sealed, updated_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (owner, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at`, owner, name, sealed, db.Micros(at))
	return err
}

// Delete forgets a text, or all of an owner where name is "".
func (s *Secrets) Delete(ctx context.Context, tx *db.Tx, owner, name string) error {
	_, err := tx.Exec(ctx, `DELETE FROM secrets WHERE owner = $1 AND ($2 = '' OR name = $2)`, owner, name)
	return err
}

// Of gives the texts of an owner; opened ones hold their text.
func (s *Secrets) Of(ctx context.Context, q db.Querier, owner string, opened bool) ([]Secret, error) {
	var out []Secret
	err := db.Each(ctx, q, `SELECT name, sealed FROM secrets WHERE owner = $1 ORDER BY name`, []any{owner}, func(rows *sql.Rows) error {
		var one Secret
		var sealed []byte
		if err := rows.Scan(&one.Name, &sealed); err != nil {
			return err
		}
		one.Taken = len(sealed) == 0
		if opened && !one.Taken {
			plain, err := s.Ring.Open(purpose(owner, one.Name), sealed)
			one.Plain, one.Err = string(plain), err
		}
		out = append(out, one)
		return nil
	})
	return out, err
}

// Reseal seals every text with the newest key, and gives how many it was. One that
// does not open any more is left as it is and named in lost.
func (s *Secrets) Reseal(ctx context.Context, tx *db.Tx) (done int, lost []string, err error) {
	type row struct {
		owner, name string
		sealed      []byte
	}
	var list []row
	err = db.Each(ctx, tx, `SELECT owner, name, sealed FROM secrets ORDER BY owner, name`, nil, func(rows *sql.Rows) error {
		var r row
		err := rows.Scan(&r.owner, &r.name, &r.sealed)
		list = append(list, r)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	for _, r := range list {
		newest, err := s.Ring.Newest(r.sealed)
		if err != nil {
			return done, lost, err
		}
		if newest || len(r.sealed) == 0 {
			continue
		}
		plain, err := s.Ring.Open(purpose(r.owner, r.name), r.sealed)
		if err != nil {
			lost = append(lost, purpose(r.owner, r.name))
			continue
		}
		if r.sealed, err = s.Ring.Seal(purpose(r.owner, r.name), plain); err != nil {
			return done, lost, err
		}
		if _, err := tx.Exec(ctx, `UPDATE secrets SET sealed = $3 WHERE owner = $1 AND name = $2`, r.owner, r.name, r.sealed); err != nil {
			return done, lost, err
		}
		done++
	}
	return done, lost, nil
}
