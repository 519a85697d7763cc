// Package accounts is the tables of accounts, groups and memberships: it hands
// accounts on to matching and to whoever shows them. Runs write to it through
// the ledger only (package ledger), so that no change is without its event.
package accounts

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// Accounts is the tables.
type Accounts struct{ DB *db.DB }

// Columns are an account's columns in the order in which Scan reads them.
const Columns = `id, organization, connection, external_id, username, email, first_name, last_name, display_name, mobile_phone,
	phone, language, title, department, location, role, manager, status, cause, attributes, version, created_at, updated_at, deleted_at`

// Scan reads one account selected by Columns.
func Scan(rows interface{ Scan(...any) error }) (*account.Account, error) {
	a := &account.Account{}
	var created, updated, deleted int64
	into := []any{&a.ID, &a.Organization, &a.Connection, &a.ExternalID}
	for i := range a.Text {
		into = append(into, &a.Text[i])
	}
	into = append(into, &a.Manager, &a.Status, &a.Cause, &a.Attributes, &a.Version, &created, &updated, &deleted)
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	a.CreatedAt, a.UpdatedAt, a.DeletedAt = db.Time(created), db.Time(updated), db.Time(deleted)
	return a, nil
}

// parts calls fn for pieces of a list that fit into one statement.
func parts[T any](list []T, fn func([]T) error) error {
	const most = 500
	for len(list) > 0 {
		part := list[:min(most, len(list))]
		list = list[len(part):]
		if err := fn(part); err != nil {
			return err
		}
	}
	return nil
}

const holderColumns = `id, connection, key, username_key, email_key, username, email, status, cause, external_id`

func scanHolder(rows *sql.Rows) (match.Holder, error) {
	var h match.Holder
	err := rows.Scan(&h.ID, &h.Connection, db.Digest{To: (*[16]byte)(&h.Key)}, &h.UsernameKey, &h.EmailKey, &h.Username, &h.Email, &h.Status, &h.Cause, &h.ExternalID)
	return h, err
}

// Linked gives the accounts linked to entries of a connection.
func (s *Accounts) Linked(ctx context.Context, connection string, keys []directory.Digest) (map[directory.Digest]match.Holder, error) {
	out := make(map[directory.Digest]match.Holder, len(keys))
	err := parts(keys, func(part []directory.Digest) error {
		args := []any{connection}
		for i := range part {
			args = append(args, part[i][:])
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT `+holderColumns+` FROM accounts WHERE connection = $1 AND key IN `+db.In(2, len(part)), args, func(rows *sql.Rows) error {
			h, err := scanHolder(rows)
			out[h.Key] = h
			return err
		})
	})
	return out, err
}

// Holders gives the accounts of an organization that carry one of the
// usernames or e-mail addresses, all in their folded form, or one of the values
// of indexed attributes (see Carriers).
func (s *Accounts) Holders(ctx context.Context, organization string, usernames, emails []string, values []account.Value) ([]match.Holder, error) {
	var out []match.Holder
	seen := map[account.ID]bool{}
	for _, look := range []struct {
		column string
		values []string
	}{{"username_key", usernames}, {"email_key", emails}} {
		err := parts(look.values, func(part []string) error {
			args := []any{organization}
			for _, v := range part {
				args = append(args, v)
			}
			return db.Each(ctx, s.DB.Reader(), `SELECT `+holderColumns+` FROM accounts WHERE organization = $1 AND `+look.column+` IN `+db.In(2, len(part)), args, func(rows *sql.Rows) error {
				h, err := scanHolder(rows)
				if err == nil && !seen[h.ID] {
					seen[h.ID] = true
					out = append(out, h)
				}
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return s.carrying(ctx, organization, values, out)
}

// ByID gives accounts by ID; those that do not exist are not in the answer.
func (s *Accounts) ByID(ctx context.Context, q db.Querier, ids []account.ID) (map[account.ID]*account.Account, error) {
	out := make(map[account.ID]*account.Account, len(ids))
	err := parts(ids, func(part []account.ID) error {
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i][:]
		}
		return db.Each(ctx, q, `SELECT `+Columns+` FROM accounts WHERE id IN `+db.In(1, len(part)), args, func(rows *sql.Rows) error {
			a, err := Scan(rows)
			if err == nil {
				out[a.ID] = a
			}
			return err
		})
	})
	return out, err
}

// NoneAmong reports that no account has an ID from the first of some to the last of
// them; where that is not so, one of them may exist and need not.
func (s *Accounts) NoneAmong(ctx context.Context, q db.Querier, ids []account.ID) (free bool, err error) {
	if len(ids) == 0 {
		return true, nil
	}
	compare := func(a, b account.ID) int { return bytes.Compare(a[:], b[:]) }
	first, last := slices.MinFunc(ids, compare), slices.MaxFunc(ids, compare)
	err = q.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM accounts WHERE id BETWEEN $1 AND $2)`, first[:], last[:]).Scan(&free)
	return free, db.Explain("look for accounts", err)
}

// Fetch is ByID outside of a transaction.
func (s *Accounts) Fetch(ctx context.Context, ids []account.ID) (map[account.ID]*account.Account, error) {
	return s.ByID(ctx, s.DB.Reader(), ids)
}

// Texts gives the accounts that a connection keeps under keys, with nothing but
// their ID, version, status and the fields asked for. The keys are in order; where
// most of those between the first and the last are asked for (dense), it is quicker to
// read them all.
func (s *Accounts) Texts(ctx context.Context, connection string, keys []directory.Digest, dense bool, fields []account.Field) (map[directory.Digest]*account.Account, error) {
	out := make(map[directory.Digest]*account.Account, len(keys))
	query := "SELECT key, id, version, status, cause"
	for _, f := range fields {
		query += ", " + f.String()
	}
	query += " FROM accounts WHERE connection = $1 AND "
	var key directory.Digest
	var a account.Account
	into := []any{db.Digest{To: (*[16]byte)(&key)}, &a.ID, &a.Version, &a.Status, &a.Cause}
	for _, f := range fields {
		into = append(into, &a.Text[f])
	}
	var room []account.Account // for all of them at once
	take := func(rows *sql.Rows) error {
		err := rows.Scan(into...)
		if len(room) == cap(room) {
			room = make([]account.Account, 0, len(keys))
		}
		room = append(room, a)
		out[key] = &room[len(room)-1]
		return err
	}
	if dense && len(keys) > 1 {
		first, last := keys[0], keys[len(keys)-1]
		most, err := s.most(ctx, connection)
		if err != nil {
			return nil, err
		}
		if !most {
			return out, db.Each(ctx, s.DB.Reader(), query+"key BETWEEN $2 AND $3", []any{connection, first[:], last[:]}, take)
		}
		// An account that was made for an entry lies where the entry's key says: then
		// there is nothing to be looked up row by row. Others were there before it.
		from, to := account.Near(first, last)
		if err := db.Each(ctx, s.DB.Reader(), query+"id BETWEEN $2 AND $3", []any{connection, from[:], to[:]}, take); err != nil {
			return nil, err
		}
		keys = slices.DeleteFunc(slices.Clone(keys), func(k directory.Digest) bool { return out[k] != nil })
	}
	return out, parts(keys, func(part []directory.Digest) error {
		args := []any{connection}
		for i := range part {
			args = append(args, part[i][:])
		}
		return db.Each(ctx, s.DB.Reader(), query+"key IN "+db.In(2, len(part)), args, take)
	})
}

// most reports whether a connection keeps most of all accounts, of every organization.
func (s *Accounts) most(ctx context.Context, connection string) (most bool, err error) {
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT COALESCE(sum(CASE WHEN connection = $1 THEN here END), 0) * 2 > COALESCE(sum(here), 0) FROM tallies`, connection).Scan(&most)
	return most, db.Explain("count accounts", err)
}

// Holding gives the account that a connection keeps under a key, nil where there is
// none.
func (s *Accounts) Holding(ctx context.Context, connection string, key directory.Digest) (a *account.Account, err error) {
	err = db.Each(ctx, s.DB.Reader(), `SELECT `+Columns+` FROM accounts WHERE connection = $1 AND key = $2`, []any{connection, key[:]}, func(rows *sql.Rows) error {
		a, err = Scan(rows)
		return err
	})
	return a, err
}

// Any reports whether an organization has accounts at all, deleted ones too.
func (s *Accounts) Any(ctx context.Context, organization string) (found bool, err error) {
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM accounts WHERE organization = $1)`, organization).Scan(&found)
	return found, db.Explain("look for accounts", err)
}

// Keepers counts the active accounts of each provider that has some.
func (s *Accounts) Keepers(ctx context.Context) (map[string]int, error) {
	out := map[string]int{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT connection, sum(active) FROM tallies WHERE active > 0 GROUP BY connection`, nil, func(rows *sql.Rows) error {
		var alias string
		var n int
		err := rows.Scan(&alias, &n)
		out[alias] = n
		return err
	})
	return out, err
}

// OfPurgeable selects the accounts of a connection ($1) that are flagged deleted since
// before a time ($2), but for those of whose entries something is left open: they are
// back, and did not get their accounts yet.
const OfPurgeable = ` FROM accounts WHERE connection = $1 AND status = 'deleted' AND deleted_at > 0 AND deleted_at < $2
	AND NOT EXISTS (SELECT 1 FROM standing s WHERE s.connection = $1 AND s.key = accounts.key AND s.kind IN ('refused', 'problem', 'dispute', 'failed', 'excluded'))`

// Purgeable calls fn for the accounts of a connection that are flagged deleted since
// before a time, and of whose entries nothing is left open.
func (s *Accounts) Purgeable(ctx context.Context, connection string, before time.Time, fn func(account.ID)) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT id`+OfPurgeable, []any{connection, db.Micros(before)}, func(rows *sql.Rows) error {
		var id account.ID
		err := rows.Scan(&id)
		fn(id)
		return err
	})
}

// Secrets gives the password hashes that accounts were given. One that a person
// chose meanwhile is nothing that a plan compares with.
func (s *Accounts) Secrets(ctx context.Context, ids []account.ID) (map[account.ID]string, error) {
	out := map[account.ID]string{}
	err := parts(ids, func(part []account.ID) error {
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i][:]
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT account, given FROM credentials WHERE account IN `+db.In(1, len(part)), args, func(rows *sql.Rows) error {
			var id account.ID
			var hash string
			err := rows.Scan(&id, &hash)
			out[id] = hash
			return err
		})
	})
	return out, err
}

// ByRef follows refs to the accounts linked to the entries that carry them; left
// are those whose person left, which are not in the groups the entry is in.
func (s *Accounts) ByRef(ctx context.Context, connection string, refs []directory.Digest) (accounts map[directory.Digest]account.ID, left map[account.ID]bool, err error) {
	accounts, left = map[directory.Digest]account.ID{}, map[account.ID]bool{}
	err = parts(refs, func(part []directory.Digest) error {
		args := []any{connection}
		for i := range part {
			args = append(args, part[i][:])
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT m.ref, a.id, a.status, a.cause FROM mirror m JOIN accounts a ON a.connection = m.connection AND a.key = m.key
			WHERE m.connection = $1 AND m.gone = 0 AND m.ref IN `+db.In(2, len(part)), args, func(rows *sql.Rows) error {
			var ref directory.Digest
			var h match.Holder
			if err := rows.Scan(db.Digest{To: (*[16]byte)(&ref)}, &h.ID, &h.Status, &h.Cause); err != nil {
				return err
			}
			accounts[ref] = h.ID
			if h.Leaver() {
				left[h.ID] = true
			}
			return nil
		})
	})
	return accounts, left, err
}

// AllRefs calls fn for every entry whose account has not left: its ref, and the
// account.
func (s *Accounts) AllRefs(ctx context.Context, connection string, fn func(ref directory.Digest, id account.ID)) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT m.ref, a.id FROM mirror m JOIN accounts a ON a.connection = m.connection AND a.key = m.key
		WHERE m.connection = $1 AND m.gone = 0 AND a.status <> 'deleted' AND NOT (a.status = 'disabled' AND a.cause = 'absence')`, []any{connection}, refScan(fn))
}

func refScan(fn func(directory.Digest, account.ID)) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var ref directory.Digest
		var id account.ID
		if err := rows.Scan(db.Digest{To: (*[16]byte)(&ref)}, &id); err != nil {
			return err
		}
		fn(ref, id)
		return nil
	}
}

// Managers calls fn for every account of an organization that has a manager.
func (s *Accounts) Managers(ctx context.Context, organization string, fn func(id, manager account.ID)) error {
	return db.Each(ctx, s.DB.Reader(), `SELECT id, manager FROM accounts WHERE organization = $1 AND manager IS NOT NULL`, []any{organization}, func(rows *sql.Rows) error {
		var id, manager account.ID
		if err := rows.Scan(&id, &manager); err != nil {
			return err
		}
		fn(id, manager)
		return nil
	})
}

// Memberships counts those in the groups of a connection.
func (s *Accounts) Memberships(ctx context.Context, connection string) (int, error) {
	var n int
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT count(*) FROM memberships WHERE group_id IN
		(SELECT id FROM groups WHERE connection = $1 AND status <> 'deleted')`, connection).Scan(&n)
	return n, db.Explain("count memberships", err)
}

// Facts counts what safeguards compare a plan with, but for the memberships.
func (s *Accounts) Facts(ctx context.Context, organization, connection string) (safeguard.Facts, error) {
	var f safeguard.Facts
	err := s.DB.Snapshot(ctx, func(q db.Querier) error {
		err := q.QueryRowContext(ctx, `SELECT COALESCE(sum(CASE WHEN connection = $2 THEN here ELSE 0 END), 0), COALESCE(sum(active), 0)
			FROM tallies WHERE organization = $1`, organization, connection).Scan(&f.Accounts, &f.Seats)
		if err != nil {
			return db.Explain("read the number of accounts", err)
		}
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM groups WHERE connection = $1 AND status <> 'deleted'`, connection).Scan(&f.Groups); err != nil {
			return db.Explain("count groups", err)
		}
		err = q.QueryRowContext(ctx, `SELECT licence_limit FROM organizations WHERE id = $1`, organization).Scan(&f.Licence)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return db.Explain("read the organization", err)
	})
	return f, err
}

// Having counts the accounts of a connection that have a field, see engine.Accounts.
func (s *Accounts) Having(ctx context.Context, connection, field string) (int, error) {
	args := []any{connection}
	var condition string
	custom, isCustom := strings.CutPrefix(field, account.CustomPrefix)
	switch {
	case isCustom:
		// Attributes are kept as one JSON object of texts: what stands before a colon in quotes is a name.
		name, err := json.Marshal(custom)
		if err != nil {
			return 0, err
		}
		condition = `attributes LIKE $2 ESCAPE '!'`
		args = append(args, "%"+strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(string(name))+":%")
	case field == "manager":
		condition = "manager IS NOT NULL"
	case field == "status":
		condition = "cause = $2"
		args = append(args, string(account.ByEntry))
	case slices.Contains(account.FieldNames(), field):
		condition = field + " <> ''"
	default:
		return 0, fmt.Errorf("database: accounts have no field %q", field)
	}
	n := 0
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT count(*) FROM accounts WHERE connection = $1 AND status <> 'deleted' AND NOT (status = 'disabled' AND cause = 'absence') AND `+condition, args...).Scan(&n)
	return n, db.Explain("count accounts with "+field, err)
}

// Filter narrows a list of accounts. Zero fields do not narrow.
type Filter struct {
	Organization string
	Connection   string
	Status       account.Status
	Search       string     // in username, e-mail, names and external ID
	Group        account.ID // members of it
	Manager      account.ID // who report to this one directly
	After        account.ID
	Limit        int
}

// List hands on accounts in the order of their IDs.
func (s *Accounts) List(ctx context.Context, f Filter, fn func(*account.Account) error) error {
	where, args := []string{"1 = 1"}, []any{}
	add := func(clause string, value any) {
		args = append(args, value)
		where = append(where, strings.ReplaceAll(clause, "?", db.Placeholder(len(args))))
	}
	if f.Organization != "" {
		add("organization = ?", f.Organization)
	}
	if f.Connection != "" {
		add("connection = ?", f.Connection)
	}
	if f.Status != "" {
		add("status = ?", string(f.Status))
	}
	if !f.Group.IsZero() {
		add("id IN (SELECT account_id FROM memberships WHERE group_id = ?)", f.Group)
	}
	if !f.Manager.IsZero() {
		add("manager = ?", f.Manager)
	}
	if !f.After.IsZero() {
		add("id > ?", f.After)
	}
	query := `SELECT ` + Columns + ` FROM accounts WHERE ` + strings.Join(where, " AND ") + ` ORDER BY id`
	word := account.Fold(f.Search)
	if f.Limit > 0 && word == "" {
		args = append(args, f.Limit)
		query += " LIMIT " + db.Placeholder(len(args))
	}
	found := 0
	err := db.Each(ctx, s.DB.Reader(), query, args, func(rows *sql.Rows) error {
		a, err := Scan(rows)
		if err != nil {
			return err
		}
		if word != "" && !carries(a, word) {
			return nil
		}
		if err := fn(a); err != nil {
			return err
		}
		if found++; found == f.Limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

var errEnough = errors.New("enough accounts were found")

// carries looks for a folded word in an account. The databases cannot: their
// lower() leaves letters beyond ASCII as they are, or asks a locale.
func carries(a *account.Account, word string) bool {
	for _, text := range []string{a.Text[account.Username], a.Text[account.Email], a.Text[account.FirstName] + " " + a.Text[account.LastName],
		a.Text[account.DisplayName], a.ExternalID} {
		if strings.Contains(account.Fold(text), word) {
			return true
		}
	}
	return false
}

// WithGroups fills in the groups of accounts.
func (s *Accounts) WithGroups(ctx context.Context, list []*account.Account) error {
	by := map[account.ID]*account.Account{}
	for _, a := range list {
		by[a.ID] = a
	}
	return parts(list, func(part []*account.Account) error {
		args := make([]any, len(part))
		for i, a := range part {
			args[i] = a.ID[:]
		}
		return db.Each(ctx, s.DB.Reader(), `SELECT m.account_id, m.group_id FROM memberships m JOIN groups g ON g.id = m.group_id
			WHERE g.status = 'active' AND m.account_id IN `+db.In(1, len(part))+` ORDER BY m.group_id`, args, func(rows *sql.Rows) error {
			var a, g account.ID
			if err := rows.Scan(&a, &g); err != nil {
				return err
			}
			by[a].Groups = append(by[a].Groups, g)
			return nil
		})
	})
}

// ByLogin gives the accounts of a connection that a login names: by username or by
// e-mail address. Those that were deleted are nobody's.
func (s *Accounts) ByLogin(ctx context.Context, organization, connection, login string) (out []*account.Account, err error) {
	// Two questions that an index answers each; what is left is no more than a few.
	err = db.Each(ctx, s.DB.Reader(), `SELECT `+Columns+` FROM accounts WHERE id IN
		(SELECT id FROM accounts WHERE organization = $1 AND username_key = $2 UNION SELECT id FROM accounts WHERE organization = $1 AND email_key = $2) ORDER BY id`,
		[]any{organization, account.Fold(login)}, func(rows *sql.Rows) error {
			a, err := Scan(rows)
			if err == nil && a.Connection == connection && a.Status != account.Deleted {
				out = append(out, a)
			}
			return err
		})
	return out, err
}

// Find gives the accounts a word names: an ID, username, e-mail, external ID.
func (s *Accounts) Find(ctx context.Context, organization, word string) ([]*account.Account, error) {
	var out []*account.Account
	query := `SELECT ` + Columns + ` FROM accounts WHERE ($2 = '' OR organization = $2) AND (username_key = $1 OR email_key = $1 OR external_id = $3) ORDER BY id`
	args := []any{account.Fold(word), organization, word}
	if id, err := account.ParseID(word); err == nil {
		query = `SELECT ` + Columns + ` FROM accounts WHERE ($2 = '' OR organization = $2) AND (id = $1 OR external_id = $3) ORDER BY id`
		args[0] = id
	}
	err := db.Each(ctx, s.DB.Reader(), query, args, func(rows *sql.Rows) error {
		a, err := Scan(rows)
		out = append(out, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fault.New(fault.NotFound, "no account has the ID, username, e-mail or external ID %q", word).
			WithHint("`rollcall accounts list --search %s` looks in names too; `rollcall why CONNECTION %s` says why somebody is not in", word, word)
	}
	return out, s.WithGroups(ctx, out)
}

var _ engine.Accounts = (*Accounts)(nil)
