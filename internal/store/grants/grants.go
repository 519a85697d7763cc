// Package grants is the tables of what clients were given: for each sign-in at a
// client one grant, which is a code at first and what all tokens come from after.
// It hands the provider (package endpoint/oidc) grants that are still good, ends
// them with the logins they came from, and notes which clients have to be told.
// Codes and refresh tokens are kept by their SHA-256 alone.
package grants

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
)

// Grants is the tables.
type Grants struct {
	DB  *db.DB
	Now func() time.Time // time.Now unless set
}

// Grant is what a client was given for one sign-in.
type Grant struct {
	ID           string
	Client       string
	Login        string // it came from; the session of OpenID Connect
	Organization string
	Connection   string
	Account      account.ID
	Methods      []string
	AuthAt       time.Time // when the person proved who they are
	Scopes       []string
	Nonce        string
	RedirectURI  string
	Challenge    string    // of PKCE, by S256; "" for none
	Offline      bool      // it outlives a login that runs out, though not one that is signed out
	EndsAt       time.Time // at the latest
}

// CodeLife is how long a code waits for its client (RFC 6749, section 4.1.2:
// ten minutes at the most).
const CodeLife = 60 * time.Second

// Grace is how long after a refresh token was replaced the one before is still
// taken, for clients that lost the answer. What was given first is then worthless.
const Grace = 10 * time.Second

const (
	codePrefix    = "rc_"
	refreshPrefix = "rr_"
	size          = 32 // bytes of a token
)

// kept is how long a grant stays after its end: a code that is used again has to be
// known again.
const kept = 24 * time.Hour

func (s *Grants) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

func newToken(prefix string) string {
	return prefix + base64.RawURLEncoding.EncodeToString(random(size))
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// isToken keeps texts of any other shape from the database.
func isToken(prefix, text string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	return ok && len(rest) == base64.RawURLEncoding.EncodedLen(size)
}

// IsRefresh reports whether a text looks like a refresh token.
func IsRefresh(text string) bool { return isToken(refreshPrefix, text) }

// errNone is what every code and refresh token says that is good for nothing: whoever
// tries one learns no more.
func errNone() error { return fault.New(fault.Denied, "it is not valid, or not any more") }

// Create makes a grant and gives its code, once; a login that ended meanwhile is a
// fault.Denied. Of g are taken all but ID.
func (s *Grants) Create(ctx context.Context, g *Grant) (code string, err error) {
	now := s.now()
	g.ID, code = "grt_"+hex.EncodeToString(random(12)), newToken(codePrefix)
	return code, s.DB.Write(ctx, func(tx *db.Tx) error {
		// The login may be about to end: then it ends this grant too, or is gone already.
		var login string
		err := tx.QueryRowContext(ctx, `SELECT id FROM logins WHERE id = $1`+tx.Locked(), g.Login).Scan(&login)
		if errors.Is(err, sql.ErrNoRows) {
			return errNone()
		}
		if err != nil {
			return db.Explain("look up a login", err)
		}
		// What is over goes here: as often as somebody comes, and waiting for nobody. Tokens
		// go with it.
		if _, err := tx.Exec(ctx, `DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE ends_at < $1 LIMIT 100`+tx.Unlocked()+`)`, db.Micros(now.Add(-kept))); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO grants (id, client, login, organization, connection, account, methods, auth_at, scope, nonce, redirect_uri, challenge, offline, code, code_until, created_at, ends_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, g.ID, g.Client, g.Login, g.Organization, g.Connection, g.Account, strings.Join(g.Methods, " "),
			db.Micros(g.AuthAt), strings.Join(g.Scopes, " "), g.Nonce, g.RedirectURI, g.Challenge, g.Offline, digest(code), db.Micros(now.Add(CodeLife)), db.Micros(now), db.Micros(g.EndsAt))
		return err
	})
}

const columns = `g.id, g.client, g.login, g.organization, g.connection, g.account, g.methods, g.auth_at, g.scope, g.nonce, g.redirect_uri, g.challenge, g.offline, g.ends_at`

func scan(row interface{ Scan(...any) error }, more ...any) (*Grant, error) {
	var g Grant
	var methods, scope string
	var auth, ends int64
	err := row.Scan(append([]any{&g.ID, &g.Client, &g.Login, &g.Organization, &g.Connection, &g.Account, &methods, &auth, &scope, &g.Nonce, &g.RedirectURI, &g.Challenge, &g.Offline, &ends}, more...)...)
	g.Methods, g.Scopes, g.AuthAt, g.EndsAt = strings.Fields(methods), strings.Fields(scope), db.Time(auth), db.Time(ends)
	return &g, err
}

// Given is what a code or a refresh token was good for.
type Given struct {
	*Grant
	Of      *account.Account // whose it is, as it was when the token was taken
	Refresh string           // the next refresh token, of a grant that is Offline
}

// Redeem gives the grant of a code, once, if check, which sees whose it is, has no
// objection: then nothing has happened. A code that is used a second time was
// stolen, or its answer was: everything that came of it ends (RFC 6749, section
// 4.1.2).
func (s *Grants) Redeem(ctx context.Context, code string, idle time.Duration, check func(*Grant) error) (*Given, error) {
	if !isToken(codePrefix, code) {
		return nil, errNone()
	}
	var out Given
	now, reused := s.now(), false
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		var until, used, ended int64
		g, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+`, g.code_until, g.used_at, g.ended_at FROM grants g WHERE g.code = $1`+tx.Locked(), digest(code)), &until, &used, &ended)
		if errors.Is(err, sql.ErrNoRows) {
			return errNone()
		}
		if err != nil {
			return db.Explain("look a code up", err)
		}
		if used != 0 {
			reused = true
			return s.end(ctx, tx, g.ID, now)
		}
		if ended != 0 || !db.Time(until).After(now) {
			return errNone()
		}
		if err := check(g); err != nil {
			return err
		}
		if out.Of, err = active(ctx, tx, g); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE grants SET used_at = $2 WHERE id = $1`, g.ID, db.Micros(now)); err != nil {
			return err
		}
		if out.Grant = g; g.Offline {
			out.Refresh, err = s.refresh(ctx, tx, g, nil, idle, now)
		}
		return err
	})
	if err == nil && reused {
		err = errNone()
	}
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// refresh writes a new refresh token.
func (s *Grants) refresh(ctx context.Context, tx *db.Tx, g *Grant, parent []byte, idle time.Duration, now time.Time) (string, error) {
	token, ends := newToken(refreshPrefix), now.Add(idle)
	if ends.After(g.EndsAt) {
		ends = g.EndsAt
	}
	var from any
	if parent != nil {
		from = parent
	}
	_, err := tx.Exec(ctx, `INSERT INTO refresh_tokens (hash, grant_id, parent, created_at, ends_at) VALUES ($1, $2, $3, $4, $5)`, digest(token), g.ID, from, db.Micros(now), db.Micros(ends))
	return token, err
}

// Refresh takes a refresh token and gives its grant with the next one, if check has
// no objection. One that was replaced already was stolen: its family ends, but for
// Grace, in which who lost the answer gets another, and what came in the lost one
// counts as replaced itself.
func (s *Grants) Refresh(ctx context.Context, token string, idle time.Duration, check func(*Grant) error) (*Given, error) {
	if !IsRefresh(token) {
		return nil, errNone()
	}
	var out Given
	now, reused, hash := s.now(), false, digest(token)
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		var id string
		err := tx.QueryRowContext(ctx, `SELECT grant_id FROM refresh_tokens WHERE hash = $1`, hash).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return errNone()
		}
		if err != nil {
			return db.Explain("look a refresh token up", err)
		}
		// The family is locked before the token is looked at: of two at once one is
		// the second.
		var ended, ends, replaced int64
		g, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+`, g.ended_at FROM grants g WHERE g.id = $1`+tx.Locked(), id), &ended)
		if err != nil {
			return db.Explain("look a grant up", err)
		}
		if err := tx.QueryRowContext(ctx, `SELECT ends_at, replaced_at FROM refresh_tokens WHERE hash = $1`, hash).Scan(&ends, &replaced); err != nil {
			return db.Explain("look a refresh token up", err)
		}
		if ended != 0 || !db.Time(ends).After(now) {
			return errNone()
		}
		if err := check(g); err != nil {
			return err
		}
		if replaced != 0 {
			lost, err := s.lost(ctx, tx, hash, db.Time(replaced), now)
			if err != nil {
				return err
			}
			if !lost {
				reused = true
				return s.end(ctx, tx, g.ID, now)
			}
		}
		if out.Of, err = active(ctx, tx, g); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE refresh_tokens SET replaced_at = $2 WHERE hash = $1 AND replaced_at = 0`, hash, db.Micros(now)); err != nil {
			return err
		}
		out.Grant = g
		out.Refresh, err = s.refresh(ctx, tx, g, hash, idle, now)
		return err
	})
	if err == nil && reused {
		err = errNone()
	}
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// lost reports whether the answer with a token's successor may have been lost: it
// was given a moment ago, and nobody used it. It is then good for nothing any more.
func (s *Grants) lost(ctx context.Context, tx *db.Tx, hash []byte, replaced, now time.Time) (bool, error) {
	if now.Sub(replaced) >= Grace {
		return false, nil
	}
	var used bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM refresh_tokens WHERE parent = $1 AND replaced_at > 0)`, hash).Scan(&used); err != nil || used {
		return false, db.Explain("look a refresh token up", err)
	}
	// Long ago: for itself there is no grace.
	n, err := tx.Exec(ctx, `UPDATE refresh_tokens SET replaced_at = 1 WHERE parent = $1`, hash)
	return n > 0, err
}

// active gives the account of a grant, unless it is not active.
func active(ctx context.Context, q db.Querier, g *Grant) (*account.Account, error) {
	a, err := accounts.Scan(q.QueryRowContext(ctx, `SELECT `+accounts.Columns+` FROM accounts WHERE id = $1`, g.Account))
	if errors.Is(err, sql.ErrNoRows) || err == nil && a.Status != account.Active {
		return nil, errNone()
	}
	if err != nil {
		return nil, db.Explain("look up the account of a grant", err)
	}
	return a, nil
}

// Check gives a grant that tokens were given for, and its account, as both are now;
// anything else is a fault.Denied. Whether its login is still there is for whoever
// knows logins to say, unless the grant is Offline.
func (s *Grants) Check(ctx context.Context, id string) (*Grant, *account.Account, error) {
	r := s.DB.Reader()
	g, err := scan(r.QueryRowContext(ctx, `SELECT `+columns+` FROM grants g WHERE g.id = $1 AND g.ended_at = 0 AND g.used_at > 0 AND g.ends_at > $2`, id, db.Micros(s.now())))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, errNone()
	}
	if err != nil {
		return nil, nil, db.Explain("look a grant up", err)
	}
	a, err := active(ctx, r, g)
	if err != nil {
		return nil, nil, err
	}
	return g, a, nil
}

// OfRefresh gives the grant of a refresh token that could still be used, and when
// that ends.
func (s *Grants) OfRefresh(ctx context.Context, token string) (*Grant, time.Time, error) {
	if !IsRefresh(token) {
		return nil, time.Time{}, errNone()
	}
	var ends int64
	g, err := scan(s.DB.Reader().QueryRowContext(ctx, `SELECT `+columns+`, t.ends_at FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id
		WHERE t.hash = $1 AND t.replaced_at = 0 AND t.ends_at > $2 AND g.ended_at = 0`, digest(token), db.Micros(s.now())), &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, time.Time{}, errNone()
	}
	return g, db.Time(ends), db.Explain("look a refresh token up", err)
}

// End ends a grant of a client with everything that came of it.
func (s *Grants) End(ctx context.Context, client, id string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE grants SET ended_at = $3 WHERE id = $1 AND client = $2 AND ended_at = 0`, id, client, db.Micros(s.now()))
		return err
	})
}

// EndToken ends the grant of a client that a refresh token is of, also one that was
// replaced already.
func (s *Grants) EndToken(ctx context.Context, client, token string) error {
	if !IsRefresh(token) {
		return nil
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE grants SET ended_at = $3 WHERE client = $1 AND ended_at = 0 AND id IN (SELECT grant_id FROM refresh_tokens WHERE hash = $2)`, client, digest(token), db.Micros(s.now()))
		return err
	})
}

func (s *Grants) end(ctx context.Context, tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE grants SET ended_at = $2 WHERE id = $1 AND ended_at = 0`, id, db.Micros(now))
	return err
}
