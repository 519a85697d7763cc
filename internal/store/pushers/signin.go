package pushers

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// errUnknown does not say whether the secret, the connection, the expiry or a
// revocation was at fault: whoever does not hold the secret learns nothing.
func errUnknown() error {
	return fault.New(fault.Denied, "this token is not valid here").
		WithHint("it may be mistyped, expired, revoked, or of another connection; make another one on the connection's page and give it to the identity provider")
}

// Authenticate gives the token that a bearer's secret is of, or that its access
// token was given for; a fault.Denied for anything that does not open the door of
// this connection. It is one indexed read, and kept nowhere: what is revoked is
// refused from then on, on every node.
func (s *Pushers) Authenticate(ctx context.Context, connection, secret string) (Token, error) {
	query := `SELECT ` + columns + `, t.hash, CAST(0 AS bigint) FROM pusher_tokens t JOIN pushers p ON p.connection = t.connection WHERE t.id = $1 AND t.kind = 'bearer'`
	switch {
	case len(secret) != length:
		return Token{}, errUnknown()
	case strings.HasPrefix(secret, accessPrefix):
		query = `SELECT ` + columns + `, a.hash, a.expires_at FROM pusher_access a JOIN pusher_tokens t ON t.id = a.token JOIN pushers p ON p.connection = t.connection WHERE a.id = $1`
	case !strings.HasPrefix(secret, bearerPrefix):
		return Token{}, errUnknown()
	}
	var hash []byte
	var ends int64
	t, err := scan(s.DB.Reader().QueryRowContext(ctx, query, secret[:idLength]), &hash, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return Token{}, errUnknown()
	}
	if err != nil {
		return Token{}, db.Explain("look the token up", err)
	}
	now := s.now()
	if subtle.ConstantTimeCompare(hash, digest(secret)) != 1 || t.Connection != connection || !t.Valid(now) || ends != 0 && !db.Time(ends).After(now) {
		return Token{}, errUnknown()
	}
	return t, s.used(ctx, &t, now)
}

// used notes that a token was used, at most once a minute. A database that is busy
// for a moment is no reason to turn anybody away.
func (s *Pushers) used(ctx context.Context, t *Token, now time.Time) error {
	if now.Sub(t.LastUsedAt) < time.Minute {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := s.DB.Write(short, func(tx *db.Tx) error {
		first := t.LastUsedAt.IsZero()
		if first {
			if _, err := alone(short, tx, t.Connection, t.Organization); err != nil {
				return err
			}
		}
		_, err := tx.Exec(short, `UPDATE pusher_tokens SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2`, t.ID, db.Micros(now))
		if err != nil || !first {
			return err
		}
		return notice(short, tx, t.Connection, t.Organization, now) // the client may have changed over to it
	})
	if err == nil {
		t.LastUsedAt = now
	}
	return ctx.Err()
}

// Exchange gives an access token for a client's ID and secret (RFC 6749, section
// 4.4), and how long it is good. Anything else is a fault.Denied. It ends with the
// secret, whenever that ends.
func (s *Pushers) Exchange(ctx context.Context, connection, id, secret string) (access string, life time.Duration, err error) {
	if len(secret) != length || !strings.HasPrefix(secret, secretPrefix) {
		return "", 0, errClient()
	}
	var hash []byte
	t, err := scan(s.DB.Reader().QueryRowContext(ctx, `SELECT `+columns+`, t.hash FROM pusher_tokens t JOIN pushers p ON p.connection = t.connection WHERE t.id = $1 AND t.kind = 'oauth'`, secret[:idLength]), &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return "", 0, errClient()
	}
	if err != nil {
		return "", 0, db.Explain("look the client up", err)
	}
	now := s.now()
	if subtle.ConstantTimeCompare(hash, digest(secret))&subtle.ConstantTimeCompare([]byte(t.ClientID), []byte(id)) != 1 || t.Connection != connection || !t.Valid(now) {
		return "", 0, errClient()
	}
	access, life = newSecret(accessPrefix), AccessLife
	if left := t.ExpiresAt.Sub(now); !t.ExpiresAt.IsZero() && left < life {
		life = left
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		// Whoever asks for a new one each time keeps the last hundred, and the table stays small.
		if _, err := tx.Exec(ctx, `DELETE FROM pusher_access WHERE token = $1 AND (expires_at <= $2 OR expires_at <= (SELECT expires_at FROM pusher_access WHERE token = $1 ORDER BY expires_at DESC LIMIT 1 OFFSET $3))`,
			t.ID, db.Micros(now), mostAccess-1); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO pusher_access (id, hash, token, expires_at) VALUES ($1, $2, $3, $4)`, access[:idLength], digest(access), t.ID, db.Micros(now.Add(life)))
		return err
	})
	if err != nil {
		return "", 0, err
	}
	return access, life, s.used(ctx, &t, now)
}

func errClient() error {
	return fault.New(fault.Denied, "client ID or secret are not valid here").
		WithHint("look at the connection's page: the ID stands there, and makes another secret where this one was lost")
}
