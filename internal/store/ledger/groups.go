package ledger

import (
	"fmt"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/plans"
)

func (w *writer) group(c *plan.Change) error {
	var t event.Type
	var n int64
	var err error
	now := db.Micros(w.now)
	switch c.Action {
	case plan.Create:
		t = event.GroupCreated
		n, err = w.tx.Exec(w.ctx, `INSERT INTO groups (id, organization, connection, key, external_id, name, status, version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, 'active', 1, $7, $7)`,
			c.Group[:], w.b.Organization, w.b.Lease.Connection, c.Key[:], string(c.ExternalID), c.GroupName[1], now)
	case plan.Update:
		t = event.GroupUpdated
		n, err = w.tx.Exec(w.ctx, `UPDATE groups SET name = $3, version = version + 1, updated_at = $4 WHERE id = $1 AND version = $2`, c.Group[:], c.Version, c.GroupName[1], now)
	case plan.Delete, plan.Restore:
		t = event.GroupDeleted
		status := account.Deleted
		if c.Action == plan.Restore {
			t, status = event.GroupRestored, account.Active
		}
		n, err = w.tx.Exec(w.ctx, `UPDATE groups SET status = $3, name = $5, version = version + 1, updated_at = $4 WHERE id = $1 AND version = $2`,
			c.Group[:], c.Version, string(status), now, c.GroupName[1])
	default:
		return fmt.Errorf("ledger: a group cannot be changed by %q", c.Action)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		w.fail(c, "the group was changed after the plan was made")
		return nil
	}
	before, after := plan.GroupJSON(c.GroupName[0]), plan.GroupJSON(c.GroupName[1])
	switch c.Action {
	case plan.Delete:
		after = nil
	case plan.Restore, plan.Create:
		before = nil
	default:
	}
	w.event(t, c, before, after)
	return nil
}

// membership writes the rows of one group. A row that is there already, or gone
// already, is no change and has no event.
func (w *writer) membership(c *plan.Change) error {
	if c.Action == plan.Add {
		c, err := w.possible(c)
		if err != nil || c == nil {
			return err
		}
		done, err := w.add(c)
		if err != nil || len(done) == 0 {
			return err
		}
		w.event(event.MembershipAdded, c, nil, nil)
		w.events[len(w.events)-1].Members = done
		return nil
	}
	for _, m := range c.Members {
		n, err := w.tx.Exec(w.ctx, `DELETE FROM memberships WHERE group_id = $1 AND account_id = $2`, c.Group[:], m[:])
		if err != nil {
			return err
		}
		if n > 0 {
			row := *c
			row.Account = m
			w.event(event.MembershipRemoved, &row, nil, nil)
		}
	}
	return nil
}

// possible leaves out members whose account, or group, the same plan was to
// create and did not. It costs something, so it is asked only where a row of the
// plan was taken out or failed; nil says that nothing is left.
func (w *writer) possible(c *plan.Change) (*plan.Change, error) {
	if gaps, err := w.hasGaps(); err != nil || !gaps {
		return c, err
	}
	var groups int
	if err := w.tx.QueryRowContext(w.ctx, `SELECT count(*) FROM groups WHERE id = $1`, c.Group[:]).Scan(&groups); err != nil {
		return nil, db.Explain("read a group", err)
	}
	have, err := w.Accounts.ByID(w.ctx, w.tx, c.Members)
	if err != nil {
		return nil, err
	}
	kept, missing := *c, *c
	kept.Members, missing.Members = nil, nil
	for _, m := range c.Members {
		if groups > 0 && have[m] != nil {
			kept.Members = append(kept.Members, m)
		} else {
			missing.Members = append(missing.Members, m)
		}
	}
	if len(missing.Members) > 0 {
		w.fail(&missing, "there is no such group, or no account of the member")
	}
	if len(kept.Members) == 0 {
		return nil, nil
	}
	return &kept, nil
}

func (w *writer) hasGaps() (bool, error) {
	if w.b.Basis.Reverts != "" {
		return true, nil // who is to be in again may have been purged
	}
	if w.gaps == nil {
		gaps, err := plans.Gaps(w.ctx, w.tx, w.b.Plan)
		if err != nil {
			return false, err
		}
		w.gaps = &gaps
	}
	return *w.gaps || len(w.outcomes) > 0, nil
}

func (w *writer) add(c *plan.Change) ([]account.ID, error) {
	// Version 0 says that the group is new in this plan: nothing can be there
	// yet, which lets PostgreSQL take the rows by COPY. A repeated chunk cannot
	// happen, its progress is part of the transaction.
	if c.Version == 0 {
		err := w.tx.Insert(w.ctx, "memberships", memberColumns, len(c.Members), memberRow(c), "")
		return c.Members, err
	}
	var done []account.ID
	for _, m := range c.Members {
		n, err := w.tx.Exec(w.ctx, `INSERT INTO memberships (group_id, account_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, c.Group[:], m[:])
		if err != nil {
			return nil, err
		}
		if n > 0 {
			done = append(done, m)
		}
	}
	return done, nil
}

var memberColumns = []string{"group_id", "account_id"}

func memberRow(c *plan.Change) func(int, []any) {
	return func(i int, into []any) {
		into[0], into[1] = c.Group[:], c.Members[i][:]
	}
}
