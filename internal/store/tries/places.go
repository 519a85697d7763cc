package tries

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
)

// Places are those that people signed in from before: id and at. A stranger can
// keep somebody's name waiting, but not whoever sits where they always sit.
type Places struct {
	DB   *db.DB
	Name string // of the table
}

// Knows reports whether somebody signed in from a place since.
func (p Places) Knows(ctx context.Context, id string, since time.Time) (known bool, err error) {
	err = p.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+p.Name+` WHERE id = $1 AND at > $2)`, id, db.Micros(since)).Scan(&known)
	return known, db.Explain("look a place up", err)
}

// Remember notes a place, to the hour.
func (p Places) Remember(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO `+p.Name+` (id, at) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE `+p.Name+`.at < $3`,
		id, db.Micros(now), db.Micros(now.Add(-time.Hour)))
	return err
}

// Prune forgets places that nobody signed in from since.
func (p Places) Prune(ctx context.Context, before time.Time) error {
	return p.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM `+p.Name+` WHERE id IN (SELECT id FROM `+p.Name+` WHERE at < $1`+tx.Unlocked()+`)`, db.Micros(before))
		return err
	})
}
