package ledger

import (
	"database/sql"
	"fmt"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/plans"
)

var groupColumns = []string{"id", "organization", "connection", "key", "external_id", "name", "status", "version", "created_at", "updated_at"}

// insertGroups inserts new groups.
func (w *writer) insertGroups() error {
	list := w.fresh.groups
	w.fresh.groups = nil
	now := db.Micros(w.now)
	return w.tx.Insert(w.ctx, "groups", groupColumns, len(list), func(i int, into []any) {
		c := list[i]
		into[0], into[1], into[2], into[3], into[4] = c.Group[:], w.b.Organization, w.b.Lease.Connection, c.Key[:], string(c.ExternalID)
		into[5], into[6], into[7], into[8], into[9] = c.GroupName[1], string(account.Active), int64(1), now, now
	}, "")
}

func (w *writer) group(c *plan.Change) error {
	var t event.Type
	var n int64
	var err error
	now := db.Micros(w.now)
	switch c.Action {
	case plan.Create:
		w.event(event.GroupCreated, c, nil, plan.GroupJSON(c.GroupName[1]))
		w.fresh.groups = append(w.fresh.groups, c)
		return nil
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
	case plan.Restore:
		before = nil
	default:
	}
	w.event(t, c, before, after)
	return nil
}

// membership writes the rows of one group. A row that is there already, or gone
// already, is no change and has no event.
func (w *writer) membership(c *plan.Change) error {
	if c.Action != plan.Add {
		gone, err := w.touched(c, func(part []account.ID) (string, []any) {
			args := []any{c.Group[:]}
			for i := range part {
				args = append(args, part[i][:])
			}
			return `DELETE FROM memberships WHERE group_id = $1 AND account_id IN ` + db.In(2, len(part)) + ` RETURNING account_id`, args
		})
		for _, m := range gone {
			row := *c
			row.Account = m
			w.event(event.MembershipRemoved, &row, nil, nil)
		}
		return err
	}
	c, err := w.possible(c)
	if err != nil || c == nil {
		return err
	}
	done := c.Members
	if c.Version == 0 {
		// The group is new in this plan: nothing can be there yet, which lets PostgreSQL
		// take the rows by COPY. A repeated chunk cannot happen, its progress is part of
		// the transaction.
		w.fresh.members = append(w.fresh.members, c)
	} else {
		done, err = w.touched(c, func(part []account.ID) (string, []any) {
			args := make([]any, 0, 2*len(part))
			for i := range part {
				args = append(args, c.Group[:], part[i][:])
			}
			return `INSERT INTO memberships (group_id, account_id) VALUES ` + db.Tuples(len(part), 2) + ` ON CONFLICT DO NOTHING RETURNING account_id`, args
		})
	}
	if err != nil || len(done) == 0 {
		return err
	}
	w.event(event.MembershipAdded, c, nil, nil)
	w.events[len(w.events)-1].Members = done
	return nil
}

// touched runs a statement for the members of one group, some at a time, and gives
// those it returns, in their order.
func (w *writer) touched(c *plan.Change, statement func(part []account.ID) (query string, args []any)) (out []account.ID, err error) {
	for part := range slices.Chunk(c.Members, 500) {
		query, args := statement(part)
		if len(part) == 1 { // which is what there is to do most often
			n, err := w.tx.Exec(w.ctx, query, args...)
			if err != nil {
				return out, err
			}
			if n > 0 {
				out = append(out, part[0])
			}
			continue
		}
		met := map[account.ID]bool{}
		err := db.Each(w.ctx, w.tx, query, args, func(rows *sql.Rows) error {
			var id account.ID
			err := rows.Scan(&id)
			met[id] = true
			return err
		})
		if err != nil {
			return out, err
		}
		for _, m := range part {
			if met[m] {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

// possible leaves out members whose account, or group, the same plan was to
// create and did not. It costs something, so it is asked only where a row of the
// plan was taken out or failed; nil says that nothing is left.
func (w *writer) possible(c *plan.Change) (*plan.Change, error) {
	if gaps, err := w.hasGaps(); err != nil || !gaps {
		return c, err
	}
	if err := w.insertGroups(); err != nil {
		return nil, err
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

// insertMembers inserts memberships of groups that are new.
func (w *writer) insertMembers() error {
	list, n := w.fresh.members, 0
	w.fresh.members = nil
	for _, c := range list {
		n += len(c.Members)
	}
	at, member := 0, 0
	return w.tx.Insert(w.ctx, "memberships", memberColumns, n, func(_ int, into []any) {
		for member == len(list[at].Members) {
			at, member = at+1, 0
		}
		into[0], into[1] = list[at].Group[:], list[at].Members[member][:]
		member++
	}, "")
}

var memberColumns = []string{"group_id", "account_id"}
