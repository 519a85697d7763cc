package admins

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Session is one signed-in browser.
type Session struct {
	ID    string // may be shown, and names the session to Revoke
	Admin string // the administrator's ID
	// Token is what the cookie holds. Only SignIn, Complete and Use give it.
	Token string
	// Pending says that the second factor is still to be given to Complete. Check
	// refuses such a session.
	Pending     bool
	CSRF        string // for the forms of this session; see MatchCSRF
	Address     string // it was begun from
	Agent       string // the browser's name of itself: a stranger wrote it
	CreatedAt   time.Time
	SeenAt      time.Time // to the minute
	ConfirmedAt time.Time // when a password, code or passkey was last given
	EndsAt      time.Time // at the latest
}

// MarshalJSON shows a session: id, administrator (ID), address, agent, created_at,
// seen_at, ends_at. Never what its cookie or its forms hold.
func (s Session) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID        string    `json:"id"`
		Admin     string    `json:"administrator"`
		Address   string    `json:"address"`
		Agent     string    `json:"agent"`
		CreatedAt time.Time `json:"created_at"`
		SeenAt    time.Time `json:"seen_at"`
		EndsAt    time.Time `json:"ends_at"`
	}{s.ID, s.Admin, s.Address, s.Agent, s.CreatedAt, s.SeenAt, s.EndsAt})
}

// MatchCSRF reports whether a form's value is the session's.
func (s *Session) MatchCSRF(given string) bool {
	return s.CSRF != "" && subtle.ConstantTimeCompare([]byte(s.CSRF), []byte(given)) == 1
}

const (
	pendingFor  = 5 * time.Minute  // to find the phone
	freshFor    = 10 * time.Minute // after which dangerous things ask again
	seenEvery   = time.Minute
	defaultIdle = 12 * time.Hour
	defaultMax  = 7 * 24 * time.Hour
)

func (s *Admins) limits() (idle, longest time.Duration) {
	idle, longest = s.SessionIdle, s.SessionMax
	if idle <= 0 {
		idle = defaultIdle
	}
	if longest <= 0 {
		longest = defaultMax
	}
	return idle, longest
}

// Fresh reports whether a password, code or passkey was given in this session in
// the last ten minutes. Where it was not, ask again and call Confirm.
func (s *Admins) Fresh(session *Session) bool {
	return session != nil && !session.Pending && s.now().Sub(session.ConfirmedAt) < freshFor
}

// ErrStale is what needs a fresh session says without one: ask for the password or
// a code, call Confirm, and try again. It is a fault.Denied.
var ErrStale = fault.New(fault.Denied, "this asks for your password once more").WithHint("give your password or a code, and try again")

func (s *Admins) mustBeFresh(session *Session) error {
	if !s.Fresh(session) {
		return ErrStale
	}
	return nil
}

const sessionColumns = `s.id, s.admin, s.pending, s.address, s.agent, s.created_at, s.seen_at, s.confirmed_at`

func (s *Admins) scanSession(row interface{ Scan(...any) error }, more ...any) (*Session, error) {
	var x Session
	var created, seen, confirmed int64
	err := row.Scan(append([]any{&x.ID, &x.Admin, &x.Pending, &x.Address, &x.Agent, &created, &seen, &confirmed}, more...)...)
	x.CreatedAt, x.SeenAt, x.ConfirmedAt = db.Time(created), db.Time(seen), db.Time(confirmed)
	_, longest := s.limits()
	x.EndsAt = x.CreatedAt.Add(longest)
	if x.Pending {
		x.EndsAt = x.CreatedAt.Add(pendingFor)
	}
	return &x, err
}

// over reports whether a session has ended by itself.
func (s *Admins) over(x *Session, now time.Time) bool {
	idle, _ := s.limits()
	return !now.Before(x.EndsAt) || now.Sub(x.SeenAt) >= idle
}

func errNoSession() error {
	return fault.New(fault.Denied, "you are not signed in").WithHint("sign in; sessions end when they are not used for a while")
}

// Check gives the session a token is of, and the administrator as they are now:
// the role is that of this moment. Anything else is a fault.Denied, also a session
// that waits for its second factor.
func (s *Admins) Check(ctx context.Context, token string) (*Session, *Administrator, error) {
	x, a, err := s.lookUp(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	if x.Pending {
		return nil, nil, errNoSession()
	}
	now := s.now()
	if now.Sub(x.SeenAt) >= seenEvery {
		s.seen(ctx, x, now)
	}
	return x, a, ctx.Err()
}

// lookUp gives a session that has not ended, pending or not.
func (s *Admins) lookUp(ctx context.Context, token string) (*Session, *Administrator, error) {
	if !isToken(sessionPrefix, token) {
		return nil, nil, errNoSession()
	}
	return s.lookUpIn(ctx, s.DB.Reader(), token)
}

func (s *Admins) lookUpIn(ctx context.Context, q db.Querier, token string) (*Session, *Administrator, error) {
	x, err := s.scanSession(q.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM admin_sessions s WHERE s.hash = $1`, digest(token)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, errNoSession()
	}
	if err != nil {
		return nil, nil, db.Explain("look the session up", err)
	}
	if s.over(x, s.now()) {
		return nil, nil, errNoSession()
	}
	a, err := one(ctx, q, `a.id = $1`, x.Admin)
	if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && a.Disabled {
		return nil, nil, errNoSession()
	}
	if err != nil {
		return nil, nil, err
	}
	x.CSRF = csrf(token)
	return x, a, nil
}

// seen notes that a session was used. A database that is busy for a moment is no
// reason to turn anybody away.
func (s *Admins) seen(ctx context.Context, x *Session, now time.Time) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := s.DB.Write(short, func(tx *db.Tx) error {
		_, err := tx.Exec(short, `UPDATE admin_sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2`, x.ID, db.Micros(now))
		return err
	})
	if err == nil {
		x.SeenAt = now
	}
}

// open makes a session, and takes those away that are over.
func (s *Admins) open(ctx context.Context, tx *db.Tx, admin string, pending bool, from netip.Addr, agent string, now time.Time) (*Session, error) {
	idle, longest := s.limits()
	if _, err := tx.Exec(ctx, `DELETE FROM admin_sessions WHERE created_at <= $1 OR seen_at <= $2 OR pending AND created_at <= $3`,
		db.Micros(now.Add(-longest)), db.Micros(now.Add(-idle)), db.Micros(now.Add(-pendingFor))); err != nil {
		return nil, err
	}
	token := newToken(sessionPrefix)
	x := &Session{ID: newID("ses_"), Admin: admin, Token: token, Pending: pending, CSRF: csrf(token), Address: ShownAddress(from), Agent: ShownAgent(agent),
		CreatedAt: now, SeenAt: now, ConfirmedAt: now, EndsAt: now.Add(longest)}
	if pending {
		x.EndsAt = now.Add(pendingFor)
	}
	_, err := tx.Exec(ctx, `INSERT INTO admin_sessions (id, hash, admin, pending, address, agent, created_at, seen_at, confirmed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		x.ID, digest(token), admin, pending, x.Address, x.Agent, db.Micros(now), db.Micros(now), db.Micros(now))
	return x, err
}

// end takes the sessions of an administrator away, but for one ("" for none).
func end(ctx context.Context, tx *db.Tx, admin, but string) (int64, error) {
	return tx.Exec(ctx, `DELETE FROM admin_sessions WHERE admin = $1 AND id <> $2`, admin, but)
}

// Sessions gives the living sessions of an administrator whom by sees, the newest
// first.
func (s *Admins) Sessions(ctx context.Context, by By, admin string) ([]*Session, error) {
	a, err := s.Get(ctx, by, admin)
	if err != nil {
		return nil, err
	}
	now := s.now()
	var out []*Session
	err = db.Each(ctx, s.DB.Reader(), `SELECT `+sessionColumns+` FROM admin_sessions s WHERE s.admin = $1 ORDER BY s.created_at DESC, s.id`, []any{a.ID}, func(rows *sql.Rows) error {
		x, err := s.scanSession(rows)
		if err == nil && !x.Pending && !s.over(x, now) {
			out = append(out, x)
		}
		return err
	})
	return out, err
}

// SignOut ends the session a token is of. One that is not there any more is no
// error: whoever signs out wants to be out.
func (s *Admins) SignOut(ctx context.Context, token string) error {
	x, a, err := s.lookUp(ctx, token)
	if fault.KindOf(err) == fault.Denied && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM admin_sessions WHERE id = $1`, x.ID)
		if err != nil || n == 0 || x.Pending {
			return err
		}
		what := aboutOf(a)
		what.Address, what.Agent = x.Address, x.Agent
		return told(ctx, tx, event.AdminSignedOut, a.Organization, a.Actor(), s.now(), nil, what)
	})
}

// Revoke ends one session of an administrator at once: their own, or one of
// somebody by may manage.
func (s *Admins) Revoke(ctx context.Context, by By, admin, session string) error {
	return s.revoke(ctx, by, admin, func(tx *db.Tx) (int64, error) {
		n, err := tx.Exec(ctx, `DELETE FROM admin_sessions WHERE admin = $1 AND id = $2`, asked(admin), asked(session))
		if err == nil && n == 0 {
			return 0, fault.New(fault.NotFound, "there is no session %q", session).WithHint("it may have ended already")
		}
		return n, err
	})
}

// RevokeOthers ends all sessions of an administrator but one ("" for all), and
// gives how many it were.
func (s *Admins) RevokeOthers(ctx context.Context, by By, admin, but string) (n int64, err error) {
	err = s.revoke(ctx, by, admin, func(tx *db.Tx) (int64, error) {
		n, err = end(ctx, tx, admin, but)
		return n, err
	})
	return n, err
}

func (s *Admins) revoke(ctx context.Context, by By, admin string, remove func(*db.Tx) (int64, error)) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		by, a, err := s.both(ctx, tx, by, admin)
		if err != nil {
			return err
		}
		if by.Admin == nil || by.Admin.ID != a.ID {
			if err := by.may(a.Role, a.Organization); err != nil {
				return err
			}
		}
		n, err := remove(tx)
		if err != nil || n == 0 {
			return err
		}
		what := aboutOf(a)
		what.Sessions = n
		return told(ctx, tx, event.AdminSessionsEnded, a.Organization, by.Actor, s.now(), nil, what)
	})
}
