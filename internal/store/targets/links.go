package targets

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
)

// The states of a link.
const (
	Due    = "due"
	Synced = "synced"
	Failed = "failed"
)

// Link is an account or a group on its way to a target.
type Link struct {
	Kind     string // user, group
	ID       account.ID
	Remote   string // its identifier there; "" for none yet
	ETag     string
	Sent     []byte // digest of what we want there
	Seen     []byte // digest of what was there after that was sent
	Attempts int
	version  int64
	was      string // Remote as it was read
}

// Due gives links that are to be looked at, at most limit: users before groups, since
// groups name them.
func (t *Targets) Due(ctx context.Context, turn *Turn, limit int) ([]*Link, error) {
	var out []*Link
	for _, kind := range []string{"user", "group"} {
		if len(out) > 0 {
			break
		}
		err := db.Each(ctx, t.DB.Reader(), `SELECT id, remote, etag, sent, seen, attempts, version FROM target_links WHERE target = $1 AND kind = $2 AND next_at > 0 AND next_at <= $3 ORDER BY next_at, id LIMIT $4`,
			[]any{turn.Target.ID, kind, db.Micros(t.now()), limit}, func(rows *sql.Rows) error {
				l := &Link{Kind: kind}
				err := rows.Scan(&l.ID, &l.Remote, &l.ETag, &l.Sent, &l.Seen, &l.Attempts, &l.version)
				l.was = l.Remote
				out = append(out, l)
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Save writes down what a link is by now: in step where failure is "", else tried
// again at next. What was asked for meanwhile stays due. Who has another identifier
// there than before has those look who name them: groups, and whom they lead.
func (t *Targets) Save(ctx context.Context, turn *Turn, l *Link, failure string, next time.Time) error {
	return t.hold(ctx, turn, func(tx *db.Tx) error {
		now := db.Micros(t.now())
		state, attempts := Synced, 0
		if failure != "" {
			state, attempts = Failed, l.Attempts+1
		}
		_, err := tx.Exec(ctx, `UPDATE target_links SET remote = $4, etag = $5, sent = $6, seen = $7, attempts = $8, error = $9, updated_at = $10,
			state = CASE WHEN version = $11 THEN $12 ELSE 'due' END, next_at = CASE WHEN version = $11 THEN CAST($13 AS bigint) ELSE CAST($10 AS bigint) END WHERE target = $1 AND kind = $2 AND id = $3`,
			turn.Target.ID, l.Kind, l.ID[:], l.Remote, l.ETag, l.Sent, l.Seen, attempts, failure, now, l.version, state, db.Micros(next))
		if err != nil || l.Remote == l.was {
			return err
		}
		return t.moved(ctx, tx, turn, l, now)
	})
}

// moved follows from another identifier there.
func (t *Targets) moved(ctx context.Context, tx *db.Tx, turn *Turn, l *Link, now int64) error {
	if l.Kind == "group" {
		return nil // nobody names it
	}
	// Also those that are on their way just now: they may have been read before.
	again := `UPDATE target_links SET state = 'due', next_at = $3, version = version + 1 WHERE target = $1 AND `
	for _, q := range []string{again + `kind = 'user' AND id IN (SELECT id FROM accounts WHERE manager = $2)`, again + `kind = 'group' AND id IN (SELECT group_id FROM memberships WHERE account_id = $2)`} {
		if _, err := tx.Exec(ctx, q, turn.Target.ID, l.ID[:], now); err != nil {
			return err
		}
	}
	return nil
}

// Drop forgets a link: it is not there any more, and not wanted there.
func (t *Targets) Drop(ctx context.Context, turn *Turn, l *Link) error {
	return t.hold(ctx, turn, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM target_links WHERE target = $1 AND kind = $2 AND id = $3 AND version = $4`, turn.Target.ID, l.Kind, l.ID[:], l.version)
		if err != nil {
			return err
		}
		if n == 0 { // wanted again meanwhile
			_, err := tx.Exec(ctx, `UPDATE target_links SET remote = '', etag = '', sent = NULL, seen = NULL WHERE target = $1 AND kind = $2 AND id = $3`, turn.Target.ID, l.Kind, l.ID[:])
			if err != nil {
				return err
			}
		}
		column := "account_id"
		if l.Kind == "group" {
			column = "group_id"
		}
		_, err = tx.Exec(ctx, `DELETE FROM target_members WHERE target = $1 AND `+column+` = $2`, turn.Target.ID, l.ID[:])
		return err
	})
}

// Taken reports whether an identifier there is that of somebody else here.
func (t *Targets) Taken(ctx context.Context, turn *Turn, l *Link, remote string) (taken bool, err error) {
	err = t.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM target_links WHERE target = $1 AND kind = $2 AND remote = $3 AND id <> $4)`, turn.Target.ID, l.Kind, remote, l.ID[:]).Scan(&taken)
	return taken, db.Explain("look at the links", err)
}

// Accounts gives the accounts of some links, and the identifiers there of their
// managers. Those that are purged are not in the answer.
func (t *Targets) Accounts(ctx context.Context, turn *Turn, links []*Link) (found map[account.ID]*account.Account, managers map[account.ID]string, err error) {
	ids := make([]account.ID, len(links))
	for i, l := range links {
		ids[i] = l.ID
	}
	if found, err = (&accounts.Accounts{DB: t.DB}).Fetch(ctx, ids); err != nil {
		return nil, nil, err
	}
	managers = map[account.ID]string{}
	var args []any
	for _, a := range found {
		if !a.Manager.IsZero() {
			id := a.Manager
			args = append(args, id[:])
		}
	}
	if len(args) == 0 {
		return found, managers, nil
	}
	n := len(args)
	err = db.Each(ctx, t.DB.Reader(), `SELECT id, remote FROM target_links WHERE kind = 'user' AND remote <> '' AND id IN `+db.In(1, n)+` AND target = `+db.Placeholder(n+1), append(args, turn.Target.ID), func(rows *sql.Rows) error {
		var id account.ID
		var remote string
		err := rows.Scan(&id, &remote)
		managers[id] = remote
		return err
	})
	return found, managers, err
}

// Remote gives the identifier that an account has there by now; "" for none.
func (t *Targets) Remote(ctx context.Context, turn *Turn, id account.ID) (remote string, err error) {
	err = t.DB.Reader().QueryRowContext(ctx, `SELECT remote FROM target_links WHERE target = $1 AND kind = 'user' AND id = $2`, turn.Target.ID, id[:]).Scan(&remote)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return remote, db.Explain("look at the links", err)
}

// Group gives a group; nil where it is gone.
func (t *Targets) Group(ctx context.Context, id account.ID) (*account.Group, error) {
	found, err := (&accounts.Accounts{DB: t.DB}).GroupsByID(ctx, []account.ID{id})
	if err != nil {
		return nil, err
	}
	g, ok := found[id]
	if !ok {
		return nil, nil
	}
	return &g.Group, nil
}

// Member is somebody in a group there.
type Member struct {
	Account account.ID
	Remote  string
}

// Members gives who is to be in a group there, of those that are there themselves,
// and whom it was told of.
func (t *Targets) Members(ctx context.Context, turn *Turn, group account.ID) (want, told map[account.ID]string, err error) {
	read := func(query string) (map[account.ID]string, error) {
		out := map[account.ID]string{}
		err := db.Each(ctx, t.DB.Reader(), query, []any{turn.Target.ID, group[:]}, func(rows *sql.Rows) error {
			var id account.ID
			var remote string
			err := rows.Scan(&id, &remote)
			out[id] = remote
			return err
		})
		return out, err
	}
	if want, err = read(`SELECT l.id, l.remote FROM target_links l JOIN memberships m ON m.account_id = l.id WHERE l.target = $1 AND m.group_id = $2 AND l.kind = 'user' AND l.remote <> ''`); err != nil {
		return nil, nil, err
	}
	told, err = read(`SELECT account_id, remote FROM target_members WHERE target = $1 AND group_id = $2`)
	return want, told, err
}

// Told writes down who was put into a group there, and who was taken out.
func (t *Targets) Told(ctx context.Context, turn *Turn, group account.ID, in []Member, out []account.ID) error {
	return t.hold(ctx, turn, func(tx *db.Tx) error {
		for _, id := range out {
			if _, err := tx.Exec(ctx, `DELETE FROM target_members WHERE target = $1 AND group_id = $2 AND account_id = $3`, turn.Target.ID, group[:], id[:]); err != nil {
				return err
			}
		}
		return tx.Insert(ctx, "target_members", []string{"target", "group_id", "account_id", "remote"}, len(in), func(i int, into []any) {
			into[0], into[1], into[2], into[3] = turn.Target.ID, group[:], in[i].Account[:], in[i].Remote
		}, `ON CONFLICT (target, group_id, account_id) DO UPDATE SET remote = excluded.remote`)
	})
}

// ByRemote gives every link of a kind that has an identifier there, by that.
func (t *Targets) ByRemote(ctx context.Context, turn *Turn, kind string) (map[string]*Link, error) {
	out := map[string]*Link{}
	err := db.Each(ctx, t.DB.Scanner(), `SELECT id, remote, etag, sent, seen FROM target_links WHERE target = $1 AND kind = $2 AND remote <> ''`, []any{turn.Target.ID, kind}, func(rows *sql.Rows) error {
		l := &Link{Kind: kind}
		err := rows.Scan(&l.ID, &l.Remote, &l.ETag, &l.Sent, &l.Seen)
		out[l.Remote] = l
		return err
	})
	return out, err
}

// Place is where a list of links goes on: behind this one.
type Place struct {
	Kind string
	ID   account.ID
}

// Links shows what accounts and groups are at a target, in the order of IDs, accounts
// before groups, at most limit; of one state unless that is "".
func (t *Targets) Links(ctx context.Context, asks, target, state string, after Place, limit int) ([]client.TargetLink, error) {
	if state != "" && state != Due && state != Synced && state != Failed {
		return nil, fault.New(fault.Invalid, "target: there is no state %q of links", state).WithHint("it is due, synced or failed")
	}
	if _, err := t.Get(ctx, asks, target); err != nil {
		return nil, err
	}
	out := []client.TargetLink{}
	if after.Kind == "" {
		after.Kind = "user"
	}
	for _, kind := range []string{"user", "group"} {
		if kind == "user" && after.Kind == "group" {
			continue
		}
		if kind != after.Kind {
			after = Place{Kind: kind}
		}
		err := db.Each(ctx, t.DB.Reader(), `SELECT id, remote, state, attempts, error, next_at, updated_at FROM target_links
			WHERE target = $1 AND ($2 = '' OR state = $2) AND kind = $3 AND id > $4 ORDER BY id LIMIT $5`, []any{target, state, kind, after.ID[:], limit - len(out)}, func(rows *sql.Rows) error {
			l := client.TargetLink{Kind: kind}
			var id account.ID
			var remote, failure string
			var next, updated int64
			err := rows.Scan(&id, &remote, &l.State, &l.Attempts, &failure, &next, &updated)
			l.ID, l.RemoteID, l.Error, l.NextAt, l.UpdatedAt = id.String(), optional(remote), optional(failure), moment(next), db.Time(updated)
			out = append(out, l)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
