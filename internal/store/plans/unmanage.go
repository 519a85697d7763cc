package plans

import (
	"context"
	"database/sql"
	"encoding/json"

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

// unmanage takes back manager links to accounts that were to be created by the
// same plan and were not. The link is made when the manager's account is there.
func unmanage(ctx context.Context, tx *db.Tx, p *engine.Plan, run *engine.Run) error {
	var n int
	if err := tx.QueryRowContext(ctx, gaps, p.ID).Scan(&n); err != nil || n == 0 {
		return db.Explain("read plan "+p.ID, err)
	}
	var told []event.Event
	var notes []plan.Note
	err := db.Each(ctx, tx, `SELECT id, manager, username, external_id FROM accounts a WHERE connection = $1 AND manager IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM accounts b WHERE b.id = a.manager) ORDER BY id`, []any{p.Connection}, func(rows *sql.Rows) error {
		var id, manager account.ID
		var name, external string
		if err := rows.Scan(&id, &manager, &name, &external); err != nil {
			return err
		}
		before, err := json.Marshal(map[string]any{"manager": manager})
		told = append(told, event.Event{Type: event.AccountUpdated, Organization: p.Organization, Connection: &p.Connection, Run: &run.ID, Account: &id,
			At: *run.FinishedAt, Actor: run.Actor, Before: before, After: json.RawMessage(`{"manager":null}`), Why: "the manager's account was not created"})
		notes = append(notes, plan.Note{Kind: plan.Unresolved, Key: directory.KeyOf(directory.User, directory.ExternalID(external)), Name: name,
			ExternalID: directory.ExternalID(external), Account: id, Text: "its manager's account was not created"})
		return err
	})
	if err != nil {
		return err
	}
	for i := range told {
		if _, err := tx.Exec(ctx, `UPDATE accounts SET manager = NULL, version = version + 1 WHERE id = $1`, told[i].Account[:]); err != nil {
			return err
		}
	}
	if err := stand(ctx, tx, p.Connection, notes); err != nil {
		return err
	}
	return events.Append(ctx, tx, told)
}
