package accounts

import (
	"context"
	"database/sql"
	"encoding/json"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/store/db"
)

// Entries gives the keys of the people in a connection's mirror who carry a ref, those
// who are gone too.
func (s *Accounts) Entries(ctx context.Context, connection string, ref directory.Digest) ([]directory.Digest, error) {
	return s.keys(ctx, `SELECT m.key FROM mirror m JOIN connections c ON c.alias = m.connection
		WHERE m.connection = $1 AND m.generation <= c.generation AND m.ref = $2 AND m.kind = 1 ORDER BY m.key`, connection, ref[:])
}

// Called gives the keys of the accounts of a connection that have a word as their
// display name, or as first and last name. It looks at all of them: the databases
// cannot fold (see carries).
func (s *Accounts) Called(ctx context.Context, connection, word string) ([]directory.Digest, error) {
	word = account.Fold(word)
	var out []directory.Digest
	err := db.Each(ctx, s.DB.Reader(), `SELECT key, display_name, first_name, last_name FROM accounts WHERE connection = $1 AND key IS NOT NULL`,
		[]any{connection}, func(rows *sql.Rows) error {
			var key directory.Digest
			var display, first, last string
			err := rows.Scan(db.Digest{To: (*[16]byte)(&key)}, &display, &first, &last)
			if err == nil && (account.Fold(display) == word || account.Fold(first+" "+last) == word) {
				out = append(out, key)
			}
			return err
		})
	return out, err
}

// Formerly gives the keys of the accounts of a connection whose username or e-mail
// address was a word, as far back as events go. It looks at all events of the
// connection.
func (s *Accounts) Formerly(ctx context.Context, connection, word string) ([]directory.Digest, error) {
	word = account.Fold(word)
	var out []directory.Digest
	ids := map[account.ID]bool{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT account, before FROM events WHERE connection = $1 AND account IS NOT NULL
		AND (before LIKE '%"username":%' OR before LIKE '%"email":%')`, []any{connection}, func(rows *sql.Rows) error {
		var id account.ID
		var before string
		if err := rows.Scan(&id, &before); err != nil {
			return err
		}
		var was struct{ Username, Email string }
		if json.Unmarshal([]byte(before), &was) == nil && (account.Fold(was.Username) == word || account.Fold(was.Email) == word) {
			ids[id] = true
		}
		return nil
	})
	for id := range ids {
		if err != nil {
			return nil, err
		}
		var keys []directory.Digest
		keys, err = s.keys(ctx, `SELECT key FROM accounts WHERE id = $2 AND connection = $1 AND key IS NOT NULL`, connection, id)
		out = append(out, keys...)
	}
	return out, err
}

func (s *Accounts) keys(ctx context.Context, query string, args ...any) ([]directory.Digest, error) {
	var out []directory.Digest
	err := db.Each(ctx, s.DB.Reader(), query, args, func(rows *sql.Rows) error {
		var key directory.Digest
		err := rows.Scan(db.Digest{To: (*[16]byte)(&key)})
		out = append(out, key)
		return err
	})
	return out, err
}
