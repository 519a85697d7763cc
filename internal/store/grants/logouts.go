package grants

import (
	"context"
	"database/sql"
	"encoding/hex"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/db"
)

// EndLogins ends what clients were given in logins that are signed out,
// and notes which of them have to be told (OpenID Connect Back-Channel Logout 1.0).
// where picks the logins, as conditions on table grants with args.
func EndLogins(ctx context.Context, tx *db.Tx, now time.Time, where string, args ...any) error {
	type told struct {
		client, login string
		account       account.ID
	}
	var list []told
	err := db.Each(ctx, tx, `SELECT DISTINCT g.client, g.login, g.account FROM grants g JOIN clients c ON c.id = g.client
		WHERE c.backchannel <> '' AND g.used_at > 0 AND `+where, args, func(rows *sql.Rows) error {
		var t told
		err := rows.Scan(&t.client, &t.login, &t.account)
		list = append(list, t)
		return err
	})
	if err != nil {
		return err
	}
	for _, t := range list {
		if _, err := tx.Exec(ctx, `INSERT INTO logouts (id, client, login, account, ended_at, next_at) VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT DO NOTHING`,
			"out_"+hex.EncodeToString(random(12)), t.client, t.login, t.account, db.Micros(now)); err != nil {
			return err
		}
	}
	args = append(args, db.Micros(now))
	_, err = tx.Exec(ctx, `UPDATE grants SET ended_at = `+db.Placeholder(len(args))+` WHERE id IN (SELECT g.id FROM grants g WHERE g.ended_at = 0 AND `+where+`)`, args...)
	return err
}

// Logout is a client that has to be told that a login ended.
type Logout struct {
	ID        string
	Client    string
	URI       string // where it is told
	Algorithm string // it expects the token to be signed by
	Login     string
	Account   account.ID
	EndedAt   time.Time
	Attempts  int
	claim     string
}

// ClaimLogouts takes those that are due, at most so many. What is not finished
// within lease is due again.
func (s *Grants) ClaimLogouts(ctx context.Context, n int, lease time.Duration) ([]*Logout, error) {
	now := s.now()
	var due bool
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM logouts WHERE next_at > 0 AND next_at <= $1)`, db.Micros(now)).Scan(&due)
	if err != nil || !due {
		return nil, db.Explain("look for sign-outs", err)
	}
	var out []*Logout
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		out = nil
		claim := hex.EncodeToString(random(8))
		if err := db.Each(ctx, tx, `SELECT id, client, login, account, ended_at, attempts FROM logouts WHERE next_at > 0 AND next_at <= $1 ORDER BY next_at LIMIT $2`+tx.Unlocked(), []any{db.Micros(now), n}, func(rows *sql.Rows) error {
			l := &Logout{claim: claim}
			var ended int64
			err := rows.Scan(&l.ID, &l.Client, &l.Login, &l.Account, &ended, &l.Attempts)
			l.EndedAt = db.Time(ended)
			out = append(out, l)
			return err
		}); err != nil {
			return err
		}
		for _, l := range out {
			if err := tx.QueryRowContext(ctx, `SELECT backchannel, algorithm FROM clients WHERE id = $1`, l.Client).Scan(&l.URI, &l.Algorithm); err != nil {
				return db.Explain("read the client", err)
			}
			if _, err := tx.Exec(ctx, `UPDATE logouts SET next_at = $2, claim = $3 WHERE id = $1`, l.ID, db.Micros(now.Add(lease)), claim); err != nil {
				return err
			}
		}
		// What was told, or given up, long ago is of no use to anybody.
		_, err := tx.Exec(ctx, `DELETE FROM logouts WHERE id IN (SELECT id FROM logouts WHERE done_at > 0 AND done_at < $1 LIMIT 100`+tx.Unlocked()+`)`, db.Micros(now.Add(-30*24*time.Hour)))
		return err
	})
	return out, err
}

// FinishLogout writes down what became of telling a client: failure is "" where it
// knows now, and next the time of the next attempt, zero for none.
func (s *Grants) FinishLogout(ctx context.Context, l *Logout, failure string, next time.Time) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		done := int64(0)
		if failure == "" || next.IsZero() {
			done, next = db.Micros(s.now()), time.Time{}
		}
		_, err := tx.Exec(ctx, `UPDATE logouts SET attempts = attempts + 1, claim = '', error = $3, next_at = $4, done_at = $5 WHERE id = $1 AND claim = $2`, l.ID, l.claim, failure, db.Micros(next), done)
		return err
	})
}
