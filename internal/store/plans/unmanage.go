package plans

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// gaps asks whether a plan has rows that were not carried out: taken out by a
// person, or failed.
const gaps = `SELECT count(*) FROM (SELECT 1 FROM plan_excluded WHERE plan = $1 UNION ALL SELECT 1 FROM plan_chunks WHERE plan = $1 AND part = 'failed') x`

// Gaps reports whether a plan has rows that were not carried out: taken out by a
// person, or failed.
func Gaps(ctx context.Context, tx *db.Tx, id string) (bool, error) {
	var n int
	err := tx.QueryRowContext(ctx, gaps, id).Scan(&n)
	return n > 0, db.Explain("read plan "+id, err)
}

// By says who takes manager links back, when, and why. With a Plan, what is to be
// looked at again becomes standing when that plan is completed.
type By struct {
	Organization, Connection, Plan, Run, Actor, Why string
	At                                              time.Time
}

// Unmanage takes back manager links that lead to no account, with an event for
// each: that account was purged, or it was to be created by the same plan and
// was not. The entries are looked at again by every plan, so that the link is
// made when the manager's account is there.
func Unmanage(ctx context.Context, tx *db.Tx, by By) error {
	// Whoever changes accounts locks the feed first: another connection's plan may be at
	// the same ones.
	if err := events.Lock(ctx, tx); err != nil {
		return err
	}
	var told []event.Event
	notes := map[string][]plan.Note{} // by connection
	err := db.Each(ctx, tx, `SELECT id, manager, username, external_id, connection FROM accounts a WHERE organization = $1 AND manager IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM accounts b WHERE b.id = a.manager) ORDER BY id`, []any{by.Organization}, func(rows *sql.Rows) error {
		var id, manager account.ID
		var name, external, connection string
		if err := rows.Scan(&id, &manager, &name, &external, &connection); err != nil {
			return err
		}
		before, err := json.Marshal(map[string]account.ID{"manager": manager})
		told = append(told, event.Event{Type: event.AccountUpdated, Organization: by.Organization, Connection: &connection, Run: &by.Run, Account: &id,
			At: by.At, Actor: by.Actor, Before: before, After: json.RawMessage(`{"manager":null}`), Why: by.Why})
		if connection != account.Local {
			key := directory.KeyOf(directory.User, directory.ExternalID(external))
			notes[connection] = append(notes[connection], plan.Note{Kind: plan.Unresolved, Key: key, Name: name, ExternalID: directory.ExternalID(external), Account: id, Text: by.Why})
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range told {
		if _, err := tx.Exec(ctx, `UPDATE accounts SET manager = NULL, version = version + 1, updated_at = $2 WHERE id = $1`, told[i].Account[:], db.Micros(by.At)); err != nil {
			return err
		}
	}
	if list := notes[by.Connection]; by.Plan != "" && len(list) > 0 {
		if err := keepNotes(ctx, tx, by.Plan, list); err != nil {
			return err
		}
		delete(notes, by.Connection)
	}
	for connection, list := range notes {
		if err := stand(ctx, tx, connection, list); err != nil {
			return err
		}
	}
	return events.Append(ctx, tx, told)
}

// keepNotes adds notes to a plan that is being applied.
func keepNotes(ctx context.Context, tx *db.Tx, id string, notes []plan.Note) error {
	return plan.NewNotes(func(c plan.Chunk) error {
		_, err := tx.Exec(ctx, `INSERT INTO plan_chunks (plan, part, seq, first, body)
			SELECT $1, 'unmanaged', count(*), 0, CAST($3 AS `+tx.Bytes()+`) FROM plan_chunks WHERE plan = $2 AND part = 'unmanaged'`, id, id, c.Body)
		return err
	}, notes)
}

// unmanage is Unmanage at the end of a plan, where it can be necessary.
func unmanage(ctx context.Context, tx *db.Tx, p *engine.Plan, run *engine.Run) error {
	gaps := p.Basis.Reverts != "" // what it leads back to may have been purged
	if !gaps {
		var err error
		if gaps, err = Gaps(ctx, tx, p.ID); err != nil || !gaps {
			return err
		}
	}
	return Unmanage(ctx, tx, By{Organization: p.Organization, Connection: p.Connection, Run: run.ID, Actor: run.Actor, Why: "its manager has no account", At: *run.FinishedAt})
}
