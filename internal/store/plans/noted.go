package plans

import (
	"context"
	"database/sql"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/store/db"
)

// noted is what a plan noted, and what of it could not be written.
func noted(ctx context.Context, tx *db.Tx, id string) (notes []plan.Note, err error) {
	err = db.Each(ctx, tx, `SELECT body FROM plan_chunks WHERE plan = $1 AND part <> 'changes' ORDER BY part, seq`, []any{id}, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		some, err := plan.Notes(body)
		notes = append(notes, some...)
		return err
	})
	return notes, err
}

// LeavesOpen are the entries of which a plan that is being applied leaves something open.
func LeavesOpen(ctx context.Context, tx *db.Tx, id string) (map[directory.Digest]bool, error) {
	notes, err := noted(ctx, tx, id)
	out := map[directory.Digest]bool{}
	for i := range notes {
		if notes[i].Open() {
			out[notes[i].Key] = true
		}
	}
	return out, err
}
