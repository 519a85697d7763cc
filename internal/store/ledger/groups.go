package ledger

import (
	"fmt"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
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
	done := c.Members
	if c.Action == plan.Remove {
		done = nil
		for _, m := range c.Members {
			n, err := w.tx.Exec(w.ctx, `DELETE FROM memberships WHERE group_id = $1 AND account_id = $2`, c.Group[:], m[:])
			if err != nil {
				return err
			}
			if n > 0 {
				done = append(done, m)
			}
		}
	} else {
		var err error
		if done, err = w.add(c); err != nil {
			return err
		}
	}
	t, list := event.MembershipAdded, []byte(nil)
	if c.Action == plan.Remove {
		t = event.MembershipRemoved
	}
	for _, m := range done {
		row := *c
		row.Account = m
		w.event(t, &row, list, list)
	}
	return nil
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
