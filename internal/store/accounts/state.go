package accounts

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"hash"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/db"
)

// State says in a few bytes who is in a connection, so that an application can tell
// whether it is in step. Hash is over the three others together; with those it
// sees where the difference is. docs/events.md says how each is made.
type State struct {
	Connection   string `json:"connection"`
	Event        int64  `json:"event"` // the newest one when this was so
	Hash         string `json:"hash"`
	Accounts     int    `json:"accounts"`
	AccountsHash string `json:"accounts_hash"`
	Groups       int    `json:"groups"`
	GroupsHash   string `json:"groups_hash"`
	Members      int    `json:"members"`
	MembersHash  string `json:"members_hash"`
}

// StateHash goes through the accounts, groups and memberships of a connection in
// the order of their IDs, a row at a time, in one picture of the database. Of the
// deleted nothing counts. organization is whose connection it has to be, or "".
func (s *Accounts) StateHash(ctx context.Context, organization, connection string) (*State, error) {
	st := &State{Connection: connection}
	err := s.DB.Snapshot(ctx, func(q db.Querier) error {
		if err := q.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'event'`).Scan(&st.Event); err != nil {
			return db.Explain("read the end of the feed", err)
		}
		total := sha256.New()
		var line []byte
		part := func(n *int, into *string, query string, take func(rows *sql.Rows) error) error {
			h := sha256.New()
			err := db.Each(ctx, q, query, []any{organization, connection}, func(rows *sql.Rows) error {
				line = line[:0]
				if err := take(rows); err != nil {
					return err
				}
				*n++
				_, err := h.Write(append(line, '\n')) // never fails (package hash)
				return err
			})
			*into = finish(h, total)
			return err
		}
		err := part(&st.Accounts, &st.AccountsHash, `SELECT `+Columns+` FROM accounts WHERE ($1 = '' OR organization = $1) AND connection = $2 AND status <> 'deleted' ORDER BY id`, func(rows *sql.Rows) error {
			a, err := Scan(rows)
			if err != nil {
				return err
			}
			line, err = a.AppendCanonical(line)
			return err
		})
		if err != nil {
			return err
		}
		err = part(&st.Groups, &st.GroupsHash, `SELECT id, organization, connection, external_id, name, status FROM groups WHERE ($1 = '' OR organization = $1) AND connection = $2 AND status <> 'deleted' ORDER BY id`, func(rows *sql.Rows) error {
			var g account.Group
			err := rows.Scan(&g.ID, &g.Organization, &g.Connection, &g.ExternalID, &g.Name, &g.Status)
			line = g.AppendCanonical(line)
			return err
		})
		if err != nil {
			return err
		}
		err = part(&st.Members, &st.MembersHash, `SELECT m.group_id, m.account_id FROM groups g JOIN memberships m ON m.group_id = g.id JOIN accounts a ON a.id = m.account_id
			WHERE ($1 = '' OR g.organization = $1) AND g.connection = $2 AND g.status <> 'deleted' AND a.status <> 'deleted' ORDER BY m.group_id, m.account_id`, func(rows *sql.Rows) error {
			var group, member account.ID
			err := rows.Scan(&group, &member)
			line = append(append(append(line, group.String()...), ' '), member.String()...)
			return err
		})
		st.Hash = "sha256:" + hex.EncodeToString(total.Sum(nil))
		return err
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// finish gives the hash of a part, and puts its line into that of the whole.
func finish(part, whole hash.Hash) string {
	text := "sha256:" + hex.EncodeToString(part.Sum(nil))
	_, _ = whole.Write([]byte(text + "\n")) // never fails (package hash)
	return text
}
