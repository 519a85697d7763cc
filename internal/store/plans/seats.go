package plans

import (
	"context"
	"database/sql"
	"errors"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// seated refuses to start a plan for which its organization has no seats any more. They
// were counted when it was made; another connection may have taken them since, or have a
// plan started that is about to.
func seated(ctx context.Context, tx *db.Tx, p *engine.Plan, excluded bool) error {
	if p.Summary.Seats <= 0 && !excluded {
		return nil
	}
	// Whoever starts a plan or changes accounts waits here for the others who do.
	if err := events.Lock(ctx, tx); err != nil {
		return err
	}
	f, err := Seats(ctx, tx, p.Organization, p.ID)
	if errors.Is(err, sql.ErrNoRows) || err == nil && f.Licence == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	summary := p.Summary
	if excluded {
		if summary.Seats, err = growth(ctx, tx, p.ID, 0); err != nil {
			return err
		}
	}
	if text := safeguard.Licence(&summary, f); text != "" {
		return fault.New(fault.Held, "%s", text).WithHint("another connection took seats since the plan was made; make a new one with `rollcall plan %s`", p.Connection)
	}
	return nil
}

// Seats gives an organization's licence and the seats that are taken, or are about to be
// by what is left of plans that are half applied; not of the plan whose ID is but. It is asked
// under events.Lock. There being no organization is a sql.ErrNoRows, and of one without a
// licence the seats are not counted.
func Seats(ctx context.Context, tx *db.Tx, organization, but string) (f safeguard.Facts, err error) {
	err = tx.QueryRowContext(ctx, `SELECT licence_limit, (SELECT COALESCE(sum(active), 0) FROM tallies WHERE organization = $1) FROM organizations WHERE id = $2`,
		organization, organization).Scan(&f.Licence, &f.Seats)
	if err != nil || f.Licence == 0 {
		return f, db.Explain("read the organization", err)
	}
	others := map[string]int{} // plans that are half applied, and how many chunks of them are
	err = db.Each(ctx, tx, `SELECT id, applied FROM plans WHERE organization = $1 AND state = 'applying' AND id <> $2`, []any{organization, but}, func(rows *sql.Rows) error {
		var id string
		var applied int
		err := rows.Scan(&id, &applied)
		others[id] = applied
		return err
	})
	for id, applied := range others {
		if err != nil {
			return f, err
		}
		var more int
		more, err = growth(ctx, tx, id, applied)
		f.Seats += max(0, more) // what it may free is not free yet
	}
	return f, err
}

// growth gives how many seats more the chunks of a plan need from one on.
func growth(ctx context.Context, tx *db.Tx, id string, from int) (int, error) {
	excluded := map[int64]bool{}
	err := db.Each(ctx, tx, `SELECT seq FROM plan_excluded WHERE plan = $1`, []any{id}, func(rows *sql.Rows) error {
		var seq int64
		err := rows.Scan(&seq)
		excluded[seq] = true
		return err
	})
	if err != nil {
		return 0, err
	}
	var sum plan.Summary
	err = db.Each(ctx, tx, `SELECT body FROM plan_chunks WHERE plan = $1 AND part = 'changes' AND seq >= $2`, []any{id, from}, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		changes, err := plan.Changes(body)
		changes = apply.Without(changes, excluded)
		for i := range changes {
			sum.Count(&changes[i])
		}
		return err
	})
	return sum.Seats, err
}
