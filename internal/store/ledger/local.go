package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/logins"
	"rollcall.dev/rollcall/internal/store/plans"
)

// Local is an account to be made that no connection keeps.
type Local struct {
	Account account.Account
	Hash    string // argon2id, or ""
	Line    int    // of the file it came from, for messages; 0 none
}

// CreateLocal makes local accounts, all of them or none. A name that is taken
// and a licence that is full are refused, naming every culprit.
func (l *Ledger) CreateLocal(ctx context.Context, organization, actor string, list []Local) error {
	l.Ready(ctx) // names are looked for by indexes
	return l.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if err := seats(ctx, tx, organization, len(list)); err != nil {
			return err
		}
		if err := namesFree(ctx, tx, organization, list); err != nil {
			return err
		}
		now := time.Now().UTC()
		var told []event.Event
		counted := tally{}
		for i := range list {
			a := &list[i].Account
			a.Organization, a.Connection, a.Status, a.Version, a.CreatedAt, a.UpdatedAt = organization, account.Local, account.Active, 1, now, now
			a.ID = account.NewID(organization, account.Local, account.Fold(a.Text[account.Username]), now.String())
			counted.count(a, 1)
			fields := plan.Everything(a)
			told = append(told, event.Event{Type: event.AccountCreated, Organization: organization, Account: &a.ID, At: now, Actor: actor, After: fields.JSON(a)})
		}
		if err := tx.Insert(ctx, "accounts", accountColumns, len(list), func(i int, into []any) { fill(into, &list[i].Account) }, ""); err != nil {
			return err
		}
		indexed, err := accounts.Indexed(ctx, tx, organization)
		if err != nil {
			return err
		}
		made := make([]*account.Account, len(list))
		for i := range list {
			made[i] = &list[i].Account
		}
		if err := accounts.PutValues(ctx, tx, organization, indexed, made); err != nil {
			return err
		}
		if err := counted.write(ctx, tx, organization, now); err != nil {
			return err
		}
		for i := range list {
			if list[i].Hash == "" {
				continue
			}
			if _, err := tx.Exec(ctx, `INSERT INTO credentials (account, hash, given, updated_at) VALUES ($1, $2, $2, $3)`, list[i].Account.ID[:], list[i].Hash, db.Micros(now)); err != nil {
				return err
			}
		}
		return events.Append(ctx, tx, told)
	})
}

func seats(ctx context.Context, tx *db.Tx, organization string, more int) error {
	f, err := plans.Seats(ctx, tx, organization, "")
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no organization %q", organization).WithHint("declare it in rollcall.yaml; `rollcall organizations list` shows them")
	}
	if err != nil {
		return err
	}
	if f.Licence > 0 && f.Seats+more > f.Licence {
		return fault.New(fault.Held, "organization %s has %d seats, %d are used and %d more are wanted; nothing was written", organization, f.Licence, f.Seats, more).
			WithHint("raise its licence_limit, or create fewer")
	}
	return nil
}

func namesFree(ctx context.Context, tx *db.Tx, organization string, list []Local) error {
	seen := map[string]int{}
	wrong := mistakes{kind: fault.Conflict}
	for i := range list {
		l := &list[i]
		for _, f := range [...]account.Field{account.Username, account.Email} {
			value := l.Account.Text[f]
			key := nameKey(f, value)
			if first, ok := seen[key]; ok && value != "" {
				wrong.add(l.Line, fmt.Errorf("the %s %q stands in line %d too", f, value, first))
				continue
			}
			seen[key] = l.Line
			column := map[account.Field]string{account.Username: "username_key", account.Email: "email_key"}[f]
			var taken *account.Account
			err := db.Each(ctx, tx, `SELECT `+accounts.Columns+` FROM accounts WHERE organization = $1 AND `+column+` = $2 AND status <> 'deleted'`,
				[]any{organization, account.Fold(value)}, func(rows *sql.Rows) error {
					one, err := accounts.Scan(rows)
					if err == nil && one.ID != l.Account.ID {
						taken = one
					}
					return err
				})
			if err != nil {
				return err
			}
			if taken != nil && value != "" {
				wrong.add(l.Line, fmt.Errorf("the %s %q belongs to account %s (%s, connection %s)", f, value, taken.Text[account.Username], taken.ID, taken.Connection))
			}
		}
	}
	return wrong.err("", "nothing was written")
}

// Purge ends accounts of a connection that have been flagged deleted since
// before a time, with their memberships and credentials. The event keeps the ID
// alone.
func (l *Ledger) Purge(ctx context.Context, b apply.Batch, before time.Time, spare []account.ID) (int, error) {
	var ids []account.ID
	err := l.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, b.Lease); err != nil {
			return err
		}
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		ids = nil
		entries := map[account.ID]directory.Digest{}
		err := db.Each(ctx, tx, `SELECT id, key`+accounts.OfPurgeable+` ORDER BY id`,
			[]any{b.Lease.Connection, db.Micros(before)}, func(rows *sql.Rows) error {
				var id account.ID
				var key directory.Digest
				err := rows.Scan(&id, db.Digest{To: (*[16]byte)(&key)})
				ids, entries[id] = append(ids, id), key
				return err
			})
		if err != nil || len(ids) == 0 {
			return err
		}
		open, err := plans.LeavesOpen(ctx, tx, b.Plan)
		if err != nil {
			return err
		}
		ids = slices.DeleteFunc(ids, func(id account.ID) bool { return open[entries[id]] || slices.Contains(spare, id) })
		if len(ids) == 0 {
			return nil
		}
		now := time.Now().UTC()
		if err := logins.EndAll(ctx, tx, now, ids...); err != nil {
			return err
		}
		if err := l.forgetValues(ctx, tx, b.Organization, ids); err != nil {
			return err
		}
		var told []event.Event
		for i := range ids {
			for _, q := range []string{`DELETE FROM memberships WHERE account_id = $1`, `DELETE FROM credentials WHERE account = $1`, `DELETE FROM password_links WHERE account = $1`, `DELETE FROM accounts WHERE id = $1`} {
				if _, err := tx.Exec(ctx, q, ids[i][:]); err != nil {
					return err
				}
			}
			told = append(told, event.Event{Type: event.AccountPurged, Organization: b.Organization, Connection: &b.Lease.Connection, Run: &b.Run,
				Account: &ids[i], At: now, Actor: b.Actor, Why: "flagged deleted since before " + before.Format(time.DateOnly)})
		}
		if err := events.Append(ctx, tx, told); err != nil {
			return err
		}
		return plans.Unmanage(ctx, tx, plans.By{Organization: b.Organization, Connection: b.Lease.Connection, Plan: b.Plan, Run: b.Run, Actor: b.Actor, Why: "its manager's account was purged", At: now})
	})
	return len(ids), err
}
