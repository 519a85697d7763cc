// Package logins is the table of people who are signed in. It hands a login on to
// the pages at which people sign in and to the endpoints that tell applications
// who it is. A login is good only while its account is active: whoever is disabled
// is signed out in that moment, whoever asks.
package logins

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/grants"
)

// Logins is the table.
type Logins struct {
	DB *db.DB
	// Limits are those in force: a login that was not used for so long ends, and any
	// after so long. 12 hours and 7 days unless set.
	Limits func() (idle, most time.Duration)
	Clock  func() time.Time // nil is the clock on the wall
}

// Login is one browser in which somebody is signed in.
type Login struct {
	ID           string // may be shown; the session of OpenID Connect
	Token        string // what the cookie holds; only Open gives it
	Organization string
	Connection   string // through which the person came in
	Account      account.ID
	Methods      []string // how they proved who they are (RFC 8176): "pwd"; "sso" where another provider said so
	Address      string   // the login was begun from
	Agent        string   // the browser's name of itself: a stranger wrote it
	// AuthAt is when they proved it: when the login was opened, unless another provider
	// said so, who may have let them in long before. Zero where that did not say when.
	AuthAt    time.Time
	CreatedAt time.Time
	SeenAt    time.Time // to the minute
	EndsAt    time.Time // at the latest
}

// SSO is the method of those who were let in by another provider.
const SSO = "sso"

const (
	prefix      = "ru_"
	size        = 32 // bytes of a token
	seenEvery   = time.Minute
	defaultIdle = 12 * time.Hour
	defaultMax  = 7 * 24 * time.Hour
	longest     = 200 // of what strangers wrote
)

func (s *Logins) now() time.Time {
	if s.Clock != nil {
		return s.Clock().UTC().Truncate(time.Microsecond)
	}
	return time.Now().UTC().Truncate(time.Microsecond)
}

func (s *Logins) limits() (idle, most time.Duration) {
	if s.Limits != nil {
		idle, most = s.Limits()
	}
	if idle <= 0 {
		idle = defaultIdle
	}
	if most <= 0 {
		most = defaultMax
	}
	return idle, most
}

func digest(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails, see there
	return b
}

// Open signs somebody in. Of l are taken organization, connection, account,
// methods, address, agent and, where another provider said who it is, when they
// proved it. An account that is not active any more is a
// fault.Denied.
func (s *Logins) Open(ctx context.Context, l Login) (*Login, error) {
	now := s.now()
	l.ID, l.Token = "ses_"+hex.EncodeToString(random(12)), prefix+base64.RawURLEncoding.EncodeToString(random(size))
	if l.CreatedAt, l.SeenAt = now, now; !slices.Contains(l.Methods, SSO) {
		l.AuthAt = now
	}
	var proved int64
	if !l.AuthAt.IsZero() {
		proved = db.Micros(l.AuthAt)
	}
	if len(l.Agent) > longest {
		l.Agent = strings.ToValidUTF8(l.Agent[:longest], "")
	}
	idle, most := s.limits()
	l.EndsAt = now.Add(most)
	return &l, s.DB.Write(ctx, func(tx *db.Tx) error {
		// The account may be about to be disabled: then that ends this login too, or has
		// happened already.
		var status string
		if err := tx.QueryRowContext(ctx, `SELECT status FROM accounts WHERE id = $1`+tx.Locked(), l.Account).Scan(&status); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return db.Explain("look up the account of a login", err)
		}
		if status != string(account.Active) {
			return errNone()
		}
		// What is over goes here: as often as somebody comes, and waiting for nobody.
		if _, err := tx.Exec(ctx, `DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE seen_at < $1 OR created_at < $2`+tx.Unlocked()+`)`, db.Micros(now.Add(-idle)), db.Micros(now.Add(-most))); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO logins (id, hash, organization, connection, account, methods, address, agent, created_at, seen_at, auth_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)`, l.ID, digest(l.Token), l.Organization, l.Connection, l.Account,
			strings.Join(l.Methods, " "), l.Address, l.Agent, db.Micros(now), proved)
		return err
	})
}

const columns = `l.id, l.organization, l.connection, l.account, l.methods, l.address, l.agent, l.created_at, l.seen_at, l.auth_at`

func (s *Logins) scan(row interface{ Scan(...any) error }) (*Login, error) {
	var l Login
	var methods string
	var created, seen, proved int64
	err := row.Scan(&l.ID, &l.Organization, &l.Connection, &l.Account, &methods, &l.Address, &l.Agent, &created, &seen, &proved)
	l.Methods, l.CreatedAt, l.SeenAt = strings.Fields(methods), db.Time(created), db.Time(seen)
	if proved > 0 {
		l.AuthAt = db.Time(proved)
	}
	_, most := s.limits()
	l.EndsAt = l.CreatedAt.Add(most)
	return &l, err
}

// errNone is what every token says that is good for nothing.
func errNone() error {
	return fault.New(fault.Denied, "you are not signed in").WithHint("sign in; a sign-in ends when it is not used for a while")
}

// Check gives the login a token is of and its account, as both are now. Anything
// else is a fault.Denied: a token nobody has, a login that is over, an account that
// is not active.
func (s *Logins) Check(ctx context.Context, token string) (*Login, *account.Account, error) {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, nil, errNone()
	}
	return s.good(ctx, `l.hash = $1`, digest(token))
}

// Session is Check by a login's ID, for who was told of it by us.
func (s *Logins) Session(ctx context.Context, id string) (*Login, *account.Account, error) {
	return s.good(ctx, `l.id = $1`, id)
}

func (s *Logins) good(ctx context.Context, where string, arg any) (*Login, *account.Account, error) {
	r := s.DB.Reader()
	l, err := s.scan(r.QueryRowContext(ctx, `SELECT `+columns+` FROM logins l WHERE `+where, arg))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, errNone()
	}
	if err != nil {
		return nil, nil, db.Explain("look up a login", err)
	}
	now := s.now()
	if idle, _ := s.limits(); !now.Before(l.EndsAt) || now.Sub(l.SeenAt) >= idle {
		return nil, nil, errNone()
	}
	a, err := accounts.Scan(r.QueryRowContext(ctx, `SELECT `+accounts.Columns+` FROM accounts WHERE id = $1`, l.Account))
	if errors.Is(err, sql.ErrNoRows) || err == nil && a.Status != account.Active {
		return nil, nil, errNone()
	}
	if err != nil {
		return nil, nil, db.Explain("look up the account of a login", err)
	}
	if now.Sub(l.SeenAt) >= seenEvery {
		// Another process may be writing: the next request notes it.
		_ = s.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE logins SET seen_at = $2 WHERE id = $1 AND seen_at < $2`, l.ID, db.Micros(now))
			return err
		})
	}
	return l, a, nil
}

// Of lists the logins of an account, the newest first.
func (s *Logins) Of(ctx context.Context, id account.ID) (list []*Login, err error) {
	now := s.now()
	idle, most := s.limits()
	err = db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM logins l WHERE account = $1 AND seen_at > $2 AND created_at > $3 ORDER BY created_at DESC, id`,
		[]any{id, db.Micros(now.Add(-idle)), db.Micros(now.Add(-most))}, func(rows *sql.Rows) error {
			l, err := s.scan(rows)
			list = append(list, l)
			return err
		})
	return list, err
}

// End signs a login out, within a transaction of whoever tells of it: applications
// that were told of it are told that too, and what they were given ends.
func (s *Logins) End(ctx context.Context, tx *db.Tx, id string) error {
	// The login goes first: who is about to give a grant in it is waited for.
	if _, err := tx.Exec(ctx, `DELETE FROM logins WHERE id = $1`, id); err != nil {
		return err
	}
	return grants.EndLogins(ctx, tx, s.now(), `g.login = $1`, id)
}

// most is how many accounts one statement names.
const most = 500

// EndAll signs accounts out everywhere, as End does, within the transaction of
// whatever happened to them: what comes after it finds nobody signed in.
func EndAll(ctx context.Context, tx *db.Tx, now time.Time, ids ...account.ID) error {
	for part := range slices.Chunk(ids, most) {
		args := make([]any, len(part))
		for i := range part {
			args[i] = part[i]
		}
		if _, err := tx.Exec(ctx, `DELETE FROM logins WHERE account IN `+db.In(1, len(part)), args...); err != nil {
			return err
		}
		if err := grants.EndLogins(ctx, tx, now, `g.account IN `+db.In(1, len(part)), args...); err != nil {
			return err
		}
	}
	return nil
}
