// Package passwords is the tables of people's own passwords: those of accounts
// whose directory has no password to ask, and one-time links to choose another. It
// hands hashes on to sign-in, and nothing from which a password could be had.
package passwords

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/logins"
)

// Passwords is the tables.
type Passwords struct {
	DB  *db.DB
	Now func() time.Time // time.Now unless set
}

// Password is what is kept of an account's.
type Password struct {
	Hash string // "" where there is none
	Own  bool   // the person chose it; otherwise a directory or an administrator gave it
}

const (
	prefix  = "rw_"
	size    = 32 // bytes of a token
	goodFor = 24 * time.Hour
)

// Path is where a one-time link leads: Path and the token behind public_url.
const Path = "/login/password/"

func (s *Passwords) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

// Of gives an account's password.
func (s *Passwords) Of(ctx context.Context, id account.ID) (p Password, err error) {
	var given string
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT hash, given FROM credentials WHERE account = $1`, id).Scan(&p.Hash, &given)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	p.Own = p.Hash != given
	return p, db.Explain("look up a password", err)
}

// Any reports whether people of an organization have a password and an account that
// no connection keeps.
func (s *Passwords) Any(ctx context.Context, organization string) (some bool, err error) {
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM credentials c JOIN accounts a ON a.id = c.account WHERE a.organization = $1 AND a.connection = $2 AND a.status = 'active')`,
		organization, account.Local).Scan(&some)
	return some, db.Explain("look for passwords", err)
}

// Choose gives an account the password its person chose: was is the hash they proved
// they know, which must still be the one. All their logins and links end.
func (s *Passwords) Choose(ctx context.Context, a *account.Account, was, hash string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE credentials SET hash = $2, updated_at = $3 WHERE account = $1 AND hash = $4`, a.ID, hash, db.Micros(s.now()), was)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "the password was changed meanwhile").WithHint("sign in with the new one")
		}
		if err != nil {
			return err
		}
		return s.changed(ctx, tx, a, "account:"+a.ID.String(), "chosen by the person")
	})
}

// changed ends what the password before was good for, and tells of it.
func (s *Passwords) changed(ctx context.Context, tx *db.Tx, a *account.Account, actor, why string) error {
	if err := Void(ctx, tx, s.now(), a.ID); err != nil {
		return err
	}
	return s.tell(ctx, tx, event.AccountPasswordChanged, a, actor, why)
}

// Void ends all logins of an account, what applications were given in them, and the
// links to choose a password: it has another one now.
func Void(ctx context.Context, tx *db.Tx, now time.Time, id account.ID) error {
	if _, err := tx.Exec(ctx, `DELETE FROM password_links WHERE account = $1`, id); err != nil {
		return err
	}
	return logins.EndAll(ctx, tx, now, id)
}

func (s *Passwords) tell(ctx context.Context, tx *db.Tx, what event.Type, a *account.Account, actor, why string) error {
	e := event.Event{Type: what, Organization: a.Organization, Account: &a.ID, At: s.now(), Actor: actor, Before: json.RawMessage("{}"), After: json.RawMessage("{}"), Why: why}
	if a.Connection != account.Local {
		e.Connection = &a.Connection
	}
	return events.Record(ctx, tx, e)
}

func digest(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Link makes a one-time link, good for a day, by which the person of an account
// chooses another password. One made before is void.
func (s *Passwords) Link(ctx context.Context, a *account.Account, actor string) (token string, ends time.Time, err error) {
	raw := make([]byte, size)
	_, _ = rand.Read(raw) // never fails (crypto/rand, Go 1.24)
	token = prefix + base64.RawURLEncoding.EncodeToString(raw)
	now := s.now()
	ends = now.Add(goodFor)
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM password_links WHERE account = $1 OR expires_at <= $2`, a.ID, db.Micros(now)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO password_links (hash, account, organization, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			digest(token), a.ID, a.Organization, actor, db.Micros(now), db.Micros(ends)); err != nil {
			return err
		}
		return s.tell(ctx, tx, event.AccountPasswordLinkCreated, a, actor, "a one-time link, good until "+ends.Format(time.RFC3339))
	})
	return token, ends, err
}

func errLink() error {
	return fault.New(fault.NotFound, "this link is not good any more").WithHint("it was used, replaced or too old; whoever sent it can send another")
}

// ByLink gives the account a link is for. It changes nothing: mail scanners open
// links.
func (s *Passwords) ByLink(ctx context.Context, token string) (*account.Account, error) {
	return s.byLink(ctx, s.DB.Reader(), token)
}

func (s *Passwords) byLink(ctx context.Context, q db.Querier, token string) (*account.Account, error) {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, errLink()
	}
	a, err := accounts.Scan(q.QueryRowContext(ctx, `SELECT `+accounts.Columns+` FROM accounts WHERE id = (SELECT account FROM password_links WHERE hash = $1 AND expires_at > $2)`,
		digest(token), db.Micros(s.now())))
	if errors.Is(err, sql.ErrNoRows) || err == nil && a.Status != account.Active {
		return nil, errLink()
	}
	return a, db.Explain("look up a link", err)
}

// UseLink gives the account of a link the password its person chose, once.
func (s *Passwords) UseLink(ctx context.Context, token, hash string) (a *account.Account, err error) {
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if a, err = s.byLink(ctx, tx, token); err != nil {
			return err
		}
		// Of several at one moment one takes it away.
		if n, err := tx.Exec(ctx, `DELETE FROM password_links WHERE hash = $1`, digest(token)); err != nil || n == 0 {
			return orSpent(err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO credentials (account, hash, updated_at) VALUES ($1, $2, $3)
			ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, updated_at = excluded.updated_at`, a.ID, hash, db.Micros(s.now())); err != nil {
			return err
		}
		return s.changed(ctx, tx, a, "account:"+a.ID.String(), "chosen by a one-time link")
	})
	return a, err
}

func orSpent(err error) error {
	if err == nil {
		return errLink()
	}
	return err
}
