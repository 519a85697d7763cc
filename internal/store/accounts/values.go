package accounts

import (
	"context"
	"database/sql"
	"hash/fnv"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/store/db"
)

// Indexed gives the attributes, in order, whose values are kept for an
// organization: those some connection of it finds accounts by.
func Indexed(ctx context.Context, q db.Querier, organization string) ([]string, error) {
	var out []string
	err := db.Each(ctx, q, `SELECT DISTINCT name FROM matching WHERE organization = $1 ORDER BY name`, []any{organization}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		out = append(out, name)
		return err
	})
	return out, err
}

// valueRow is one value of one account.
type valueRow struct {
	account.Value
	id account.ID
}

// PutValues writes the values of new accounts.
func PutValues(ctx context.Context, tx *db.Tx, organization string, names []string, list []*account.Account) error {
	if len(names) == 0 {
		return nil
	}
	var all []valueRow
	for _, a := range list {
		for _, v := range account.Values(names, &a.Text, a.Attributes) {
			all = append(all, valueRow{v, a.ID})
		}
	}
	return tx.Insert(ctx, "account_values", []string{"organization", "name", "value_key", "account"}, len(all), func(i int, into []any) {
		into[0], into[1], into[2], into[3] = organization, all[i].Name, all[i].Key, all[i].id[:]
	}, "")
}

// MoveValues writes how the values of an account changed; a nil is stands for
// one that is no more.
func MoveValues(ctx context.Context, tx *db.Tx, names []string, was, is *account.Account) error {
	if len(names) == 0 {
		return nil
	}
	before := account.Values(names, &was.Text, was.Attributes)
	var after []account.Value
	if is != nil {
		after = account.Values(names, &is.Text, is.Attributes)
	}
	for _, v := range before {
		if slices.Contains(after, v) {
			continue
		}
		if _, err := tx.Exec(ctx, `DELETE FROM account_values WHERE organization = $1 AND name = $2 AND value_key = $3 AND account = $4`,
			was.Organization, v.Name, v.Key, was.ID[:]); err != nil {
			return err
		}
	}
	for _, v := range after {
		if slices.Contains(before, v) {
			continue
		}
		if _, err := tx.Exec(ctx, `INSERT INTO account_values (organization, name, value_key, account) VALUES ($1, $2, $3, $4)`,
			was.Organization, v.Name, v.Key, was.ID[:]); err != nil {
			return err
		}
	}
	return nil
}

// Carriers gives the accounts that carry one of the values, with those they
// carry; of each value at the most one more than match.MostHolders.
func (s *Accounts) Carriers(ctx context.Context, q db.Querier, organization string, values []account.Value) (map[account.ID][]account.Value, error) {
	byName := map[string][]string{}
	for _, v := range values {
		byName[v.Name] = append(byName[v.Name], v.Key)
	}
	out := map[account.ID][]account.Value{}
	for name, keys := range byName {
		slices.Sort(keys)
		err := parts(slices.Compact(keys), func(part []string) error {
			args := []any{organization, name, match.MostHolders + 1}
			for _, k := range part {
				args = append(args, k)
			}
			return db.Each(ctx, q, `SELECT value_key, account FROM (SELECT value_key, account, row_number() OVER (PARTITION BY value_key ORDER BY account) AS nth
				FROM account_values WHERE organization = $1 AND name = $2 AND value_key IN `+db.In(4, len(part))+`) x WHERE nth <= $3 ORDER BY account`, args, func(rows *sql.Rows) error {
				v := account.Value{Name: name}
				var id account.ID
				err := rows.Scan(&v.Key, &id)
				out[id] = append(out[id], v)
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// carrying adds the accounts that carry one of the values to those found by name.
func (s *Accounts) carrying(ctx context.Context, organization string, values []account.Value, found []match.Holder) ([]match.Holder, error) {
	if len(values) == 0 {
		return found, nil
	}
	carriers, err := s.Carriers(ctx, s.DB.Reader(), organization, values)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i].Values = carriers[found[i].ID]
		delete(carriers, found[i].ID)
	}
	ids := make([]account.ID, 0, len(carriers))
	for id := range carriers {
		ids = append(ids, id)
	}
	err = parts(ids, func(part []account.ID) error {
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i][:]
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT `+holderColumns+` FROM accounts WHERE id IN `+db.In(1, len(part)), args, func(rows *sql.Rows) error {
			h, err := scanHolder(rows)
			h.Values = carriers[h.ID]
			found = append(found, h)
			return err
		})
	})
	return found, err
}

// Each hands on all accounts of an organization, some at a time: nothing
// can be written on a connection that is in the middle of reading.
func Each(ctx context.Context, q db.Querier, organization string, fn func([]*account.Account) error) error {
	const most = 1000
	last, name := account.ID{}, "" // the ID and the folded username of the last one
	for {
		var list []*account.Account
		err := db.Each(ctx, q, `SELECT username_key, `+Columns+` FROM accounts WHERE organization = $1 AND (username_key, id) > ($2, $3) ORDER BY username_key, id LIMIT $4`,
			[]any{organization, name, last[:], most}, func(rows *sql.Rows) error {
				a, err := Scan(behind{rows, &name})
				list = append(list, a)
				return err
			})
		if err != nil || len(list) == 0 {
			return err
		}
		if err := fn(list); err != nil {
			return err
		}
		last = list[len(list)-1].ID
	}
}

// behind scans a row whose first column is a text of its own.
type behind struct {
	rows  *sql.Rows
	first *string
}

func (b behind) Scan(into ...any) error { return b.rows.Scan(append([]any{b.first}, into...)...) }

// Amiss gives how many values are kept that no account carries, or missing that
// one does. Where as many are missing as are too many, it is one.
func (s *Accounts) Amiss(ctx context.Context) (int, error) {
	amiss := 0
	err := s.DB.Snapshot(ctx, func(q db.Querier) error {
		var organizations []string
		err := db.Each(ctx, q, `SELECT organization FROM matching UNION SELECT organization FROM account_values`, nil, func(rows *sql.Rows) error {
			var one string
			err := rows.Scan(&one)
			organizations = append(organizations, one)
			return err
		})
		for _, one := range organizations {
			if err == nil {
				var n int
				n, err = amissIn(ctx, q, one)
				amiss += n
			}
		}
		return err
	})
	return amiss, err
}

func amissIn(ctx context.Context, q db.Querier, organization string) (int, error) {
	names, err := Indexed(ctx, q, organization)
	if err != nil {
		return 0, err
	}
	more, sum := 0, uint64(0) // the order of rows is of no matter to a sum
	weigh := func(v account.Value, id account.ID) uint64 {
		h := fnv.New64a()
		h.Write(append(append(append(id[:], v.Name...), 0), v.Key...))
		return h.Sum64()
	}
	err = Each(ctx, q, organization, func(list []*account.Account) error {
		for _, a := range list {
			for _, v := range account.Values(names, &a.Text, a.Attributes) {
				more--
				sum -= weigh(v, a.ID)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = db.Each(ctx, q, `SELECT name, value_key, account FROM account_values WHERE organization = $1`, []any{organization}, func(rows *sql.Rows) error {
		var v account.Value
		var id account.ID
		err := rows.Scan(&v.Name, &v.Key, &id)
		more++
		sum += weigh(v, id)
		return err
	})
	switch {
	case more == 0 && sum != 0:
		return 1, err
	case more < 0:
		return -more, err
	}
	return more, err
}
