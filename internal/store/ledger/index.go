package ledger

import (
	"context"
	"database/sql"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/leases"
)

// wishes are the attributes by which each connection of an organization finds
// accounts, besides username and e-mail address.
type wishes map[string][]string

func readWishes(ctx context.Context, q db.Querier, organization string) (wishes, error) {
	out := wishes{}
	err := db.Each(ctx, q, `SELECT connection, name FROM matching WHERE organization = $1 ORDER BY connection, name`, []any{organization}, func(rows *sql.Rows) error {
		var connection, name string
		err := rows.Scan(&connection, &name)
		out[connection] = append(out[connection], name)
		return err
	})
	return out, err
}

// strangers are connections that have wishes and are not configured any more.
func (w wishes) strangers(configured []string) []string {
	var out []string
	for alias := range w {
		if !slices.Contains(configured, alias) {
			out = append(out, alias)
		}
	}
	slices.Sort(out)
	return out
}

// Index implements apply.Ledger. What is wished for and what is kept change in
// one transaction, which no other writer of accounts comes in between.
func (l *Ledger) Index(ctx context.Context, lease mirror.Lease, organization string, names, configured []string) error {
	names = slices.Sorted(slices.Values(names))
	have, err := readWishes(ctx, l.DB.Reader(), organization)
	if err != nil || slices.Equal(have[lease.Connection], names) && len(have.strangers(configured)) == 0 {
		return err
	}
	return l.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, lease); err != nil {
			return err
		}
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		before, err := accounts.Indexed(ctx, tx, organization)
		if err != nil {
			return err
		}
		if have, err = readWishes(ctx, tx, organization); err != nil {
			return err
		}
		forget := []string{lease.Connection}
		for _, alias := range have.strangers(configured) {
			idle, err := leases.Idle(ctx, tx, alias)
			if err != nil {
				return err
			}
			if idle {
				forget = append(forget, alias)
			}
		}
		for _, alias := range forget {
			if _, err := tx.Exec(ctx, `DELETE FROM matching WHERE connection = $1`, alias); err != nil {
				return err
			}
		}
		for _, name := range names {
			if _, err := tx.Exec(ctx, `INSERT INTO matching (connection, name, organization) VALUES ($1, $2, $3)`, lease.Connection, name, organization); err != nil {
				return err
			}
		}
		if err := l.reindex(ctx, tx, organization, before); err != nil {
			return err
		}
		return leases.Hold(ctx, tx, lease) // collecting may have taken longer than a lease lasts
	})
}

// reindex collects the values of attributes that are wished for by now, and
// forgets those of attributes that are not any more.
func (l *Ledger) reindex(ctx context.Context, tx *db.Tx, organization string, before []string) error {
	after, err := accounts.Indexed(ctx, tx, organization)
	if err != nil {
		return err
	}
	for _, name := range before {
		if slices.Contains(after, name) {
			continue
		}
		if _, err := tx.Exec(ctx, `DELETE FROM account_values WHERE organization = $1 AND name = $2`, organization, name); err != nil {
			return err
		}
	}
	added := slices.DeleteFunc(after, func(name string) bool { return slices.Contains(before, name) })
	if len(added) == 0 {
		return nil
	}
	err = accounts.Each(ctx, tx, organization, func(list []*account.Account) error {
		return accounts.PutValues(ctx, tx, organization, added, list)
	})
	if err != nil {
		return err
	}
	return tx.Analyze(ctx, "account_values")
}

// forgetValues takes away the values of accounts that are about to be removed.
func (l *Ledger) forgetValues(ctx context.Context, tx *db.Tx, organization string, ids []account.ID) error {
	indexed, err := accounts.Indexed(ctx, tx, organization)
	if err != nil || len(indexed) == 0 {
		return err
	}
	have, err := l.Accounts.ByID(ctx, tx, ids)
	if err != nil {
		return err
	}
	for _, a := range have {
		if err := accounts.MoveValues(ctx, tx, indexed, a, nil); err != nil {
			return err
		}
	}
	return nil
}
