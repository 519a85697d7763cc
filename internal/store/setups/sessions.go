package setups

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Tokens are a prefix and 32 random bytes in base64url, of which the SHA-256 is
// kept: that of a link, and that of a session's cookie, which is no administrator's.
const (
	linkPrefix    = "rt_"
	sessionPrefix = "rts_"
	tokenSize     = 32
)

func newToken(prefix string) string {
	return prefix + base64.RawURLEncoding.EncodeToString(random(tokenSize))
}

func isToken(prefix, text string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return err == nil
}

func digest(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Session is one browser that came by a link. It is no administrator's: Check of
// package admins does not know its token.
type Session struct {
	Token     string // what the cookie holds; only Enter gives it
	CSRF      string // for its forms; see MatchCSRF
	Address   string
	Agent     string
	CreatedAt time.Time
	SeenAt    time.Time // to the minute
	EndsAt    time.Time // at the latest

	hash []byte
}

// MatchCSRF reports whether a form's value is the session's.
func (x *Session) MatchCSRF(given string) bool {
	return x.CSRF != "" && subtle.ConstantTimeCompare([]byte(x.CSRF), []byte(given)) == 1
}

func csrf(token string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("rollcall set-up form"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func errLink() error {
	return fault.New(fault.NotFound, "this link is not good any more").WithHint("it may have run out or been revoked; ask whoever sent it for another")
}

func errSession() error {
	return fault.New(fault.Denied, "you are not signed in").WithHint("open the link you were sent once more")
}

// Look gives the link of a token that is good, or a fault.NotFound. Nothing is
// noted.
func (s *Setups) Look(ctx context.Context, token string) (*Link, error) {
	return s.look(ctx, s.DB.Reader(), token)
}

func (s *Setups) look(ctx context.Context, q db.Querier, token string) (*Link, error) {
	if !isToken(linkPrefix, token) {
		return nil, errLink()
	}
	l, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM setup_links l WHERE l.hash = $1`, digest(token)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errLink()
	}
	if err != nil {
		return nil, db.Explain("look the set-up link up", err)
	}
	return l, s.good(ctx, q, l)
}

// good is nil for a link that may be used now: that has not ended, whose maker may
// still make it, and whose connection is still the one it was made for.
func (s *Setups) good(ctx context.Context, q db.Querier, l *Link) error {
	if !l.RevokedAt.IsZero() || !l.ExpiresAt.After(s.now()) {
		return errLink()
	}
	if l.admin != "" {
		by, err := admins.Current(ctx, q, admins.By{Admin: &admins.Administrator{ID: l.admin}})
		if fault.KindOf(err) == fault.Denied && err != nil || err == nil && !by.Admin.Changes(l.Organization) {
			return errLink()
		}
		if err != nil {
			return err
		}
	}
	owner, err := ownerOf(ctx, q, l.Connection)
	if err != nil {
		return err
	}
	// Before it was made nobody else's connection may be behind the alias; afterwards,
	// and where there was one, it has to be there, and the organization's.
	if l.MayMake() && owner != "" || !l.MayMake() && owner != l.Organization {
		return errLink()
	}
	return nil
}

// Enter opens a session by the token of a link that is good, and gives both. It may
// be called any number of times while the link lives.
func (s *Setups) Enter(ctx context.Context, token string, from netip.Addr, agent string) (*Session, *Link, error) {
	if _, err := s.Look(ctx, token); err != nil {
		return nil, nil, err
	}
	var x *Session
	var l *Link
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		var err error
		if l, err = s.look(ctx, tx, token); err != nil {
			return err
		}
		now, cookie := s.now(), newToken(sessionPrefix)
		x = &Session{Token: cookie, CSRF: csrf(cookie), Address: admins.ShownAddress(from), Agent: admins.ShownAgent(agent), CreatedAt: now, SeenAt: now, EndsAt: l.ExpiresAt, hash: digest(cookie)}
		if _, err := tx.Exec(ctx, `DELETE FROM setup_sessions WHERE seen_at <= $1 OR link = $2 AND hash NOT IN
			(SELECT hash FROM setup_sessions WHERE link = $3 ORDER BY created_at DESC LIMIT $4)`, db.Micros(now.Add(-s.idle())), l.ID, l.ID, mostEntered-1); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO setup_sessions (hash, link, address, agent, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			x.hash, l.ID, x.Address, x.Agent, db.Micros(now), db.Micros(now)); err != nil {
			return err
		}
		if l.OpenedAt.IsZero() {
			l.OpenedAt = now
			if _, err := tx.Exec(ctx, `UPDATE setup_links SET opened_at = $2 WHERE id = $1`, l.ID, db.Micros(now)); err != nil {
				return err
			}
		}
		return s.told(ctx, tx, event.SetupLinkOpened, l, l.Actor(), x)
	})
	if err != nil {
		return nil, nil, err
	}
	return x, l, nil
}

func (s *Setups) idle() time.Duration {
	if s.SessionIdle > 0 {
		return s.SessionIdle
	}
	return usualIdle
}

// Check gives the session a cookie's token is of, with its link as it is now, or a
// fault.Denied. What the request may show and change is l.Connection, nothing else.
func (s *Setups) Check(ctx context.Context, token string) (*Session, *Link, error) {
	if !isToken(sessionPrefix, token) {
		return nil, nil, errSession()
	}
	x := &Session{CSRF: csrf(token), hash: digest(token)}
	var created, seen int64
	l, err := scan(s.DB.Reader().QueryRowContext(ctx, `SELECT `+columns+`, x.address, x.agent, x.created_at, x.seen_at FROM setup_sessions x JOIN setup_links l ON l.id = x.link WHERE x.hash = $1`, x.hash),
		&x.Address, &x.Agent, &created, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, errSession()
	}
	if err != nil {
		return nil, nil, db.Explain("look the set-up session up", err)
	}
	x.CreatedAt, x.SeenAt, x.EndsAt = db.Time(created), db.Time(seen), l.ExpiresAt
	now := s.now()
	if now.Sub(x.SeenAt) >= s.idle() {
		return nil, nil, errSession()
	}
	if err := s.good(ctx, s.DB.Reader(), l); fault.KindOf(err) == fault.NotFound && err != nil {
		return nil, nil, errSession()
	} else if err != nil {
		return nil, nil, err
	}
	if now.Sub(x.SeenAt) >= seenEvery {
		s.seen(ctx, x, now)
	}
	return x, l, ctx.Err()
}

// seen notes that a session was used. A database that is busy for a moment is no
// reason to turn anybody away.
func (s *Setups) seen(ctx context.Context, x *Session, now time.Time) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := s.DB.Write(short, func(tx *db.Tx) error {
		_, err := tx.Exec(short, `UPDATE setup_sessions SET seen_at = $2 WHERE hash = $1 AND seen_at < $2`, x.hash, db.Micros(now))
		return err
	})
	if err == nil {
		x.SeenAt = now
	}
}

// Made notes that the connection of a link was made through it. It is called right
// after the connection was made; until then Check refuses the link's sessions,
// since somebody else may have been faster with the alias.
func (s *Setups) Made(ctx context.Context, l *Link) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE setup_links SET made_at = $2 WHERE id = $1 AND made_at = 0 AND kind <> ''`, l.ID, db.Micros(s.now()))
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "the link has made its connection already")
		}
		return err
	})
}
