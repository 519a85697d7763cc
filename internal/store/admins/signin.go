package admins

import (
	"context"
	"net/netip"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/tries"
)

// nobody is the hash that passwords are tried against where there is no
// administrator to try them for: whoever asks waits as long, and nothing fits it.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$cm9sbGNhbGwgbm9ib2R5IQ$3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs"

// errSignIn is the one answer to whatever was wrong: nobody learns which e-mail
// addresses there are, or who is disabled.
func errSignIn() error {
	return fault.New(fault.Denied, "this did not work").WithHint("check the e-mail address, the password and the code")
}

// SignIn checks e-mail address, password and, where a second factor is set up,
// code: one of an authenticator app or a recovery code.
//
// With an empty code, a right password of somebody with a second factor gives a
// Pending session, good for five minutes and for Complete alone. Whatever is wrong
// is one and the same fault.Denied after the same work; too many tries are a
// *TooManyError (see Waits). from may be invalid where it is not known; agent is the
// browser's User-Agent.
func (s *Admins) SignIn(ctx context.Context, email, password, code string, from netip.Addr, agent string) (*Session, error) {
	key := fold(email)
	a, err := one(ctx, s.DB.Reader(), `a.email_key = $1`, key)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if err != nil {
		a = nil
	}
	id, hash := "", nobody
	if a != nil {
		id, hash = a.ID, a.password
	}
	known, err := s.knows(ctx, id, from)
	if err != nil {
		return nil, err
	}
	counters, err := s.countedFor("email", key, from, known)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, counters); err != nil {
		return nil, err
	}
	ok, err := s.verify(ctx, password, hash)
	if err != nil {
		return nil, err
	}
	if !ok || a == nil || a.Disabled {
		if err := s.failed(ctx, a, counters[0], from, agent, "password"); err != nil {
			return nil, err
		}
		return nil, errSignIn()
	}
	var session *Session
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		session = nil
		// As they are now: a password that was changed meanwhile is the wrong one.
		now, err := s.still(ctx, tx, a)
		if err != nil {
			return err
		}
		factor := "password"
		if now.SecondFactor && plainCode(code) == "" {
			if err := s.tries().GiveBack(ctx, tx, counters, s.now()); err != nil {
				return err
			}
			session, err = s.open(ctx, tx, now.ID, true, from, agent, s.now())
			return err
		}
		if now.SecondFactor {
			var ok bool
			if factor, ok, err = s.code(ctx, tx, now, code); err != nil || !ok {
				return err
			}
			factor = "password and " + factor
		}
		session, err = s.enter(ctx, tx, now, counters, from, agent, factor)
		return err
	})
	return s.entered(ctx, session, a, counters, from, agent, err)
}

// Complete gives the second factor of a pending session, by its token, and gives
// the session that comes of it, under another token.
func (s *Admins) Complete(ctx context.Context, token, code string, from netip.Addr, agent string) (*Session, error) {
	x, a, err := s.lookUp(ctx, token)
	if err != nil {
		return nil, err
	}
	if !x.Pending {
		return nil, errNoSession()
	}
	known, err := s.knows(ctx, a.ID, from)
	if err != nil {
		return nil, err
	}
	counters, err := s.countedFor("email", fold(a.Email), from, known)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, counters); err != nil {
		return nil, err
	}
	var session *Session
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		session = nil
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		_, now, err := s.lookUpIn(ctx, tx, token)
		if err != nil {
			return err
		}
		factor, ok, err := s.code(ctx, tx, now, code)
		if err != nil || !ok {
			return err
		}
		if n, err := tx.Exec(ctx, `DELETE FROM admin_sessions WHERE id = $1`, x.ID); err != nil || n == 0 {
			return orNoSession(err)
		}
		session, err = s.enter(ctx, tx, now, counters, from, agent, "password and "+factor)
		return err
	})
	return s.entered(ctx, session, a, counters, from, agent, err)
}

func orNoSession(err error) error {
	if err == nil {
		return errNoSession()
	}
	return err
}

// entered tells of a code that was wrong.
func (s *Admins) entered(ctx context.Context, session *Session, a *Administrator, counters []tries.Counter, from netip.Addr, agent string, err error) (*Session, error) {
	if err != nil {
		return nil, err
	}
	if session == nil {
		if err := s.failed(ctx, a, counters[0], from, agent, "code"); err != nil {
			return nil, err
		}
		return nil, errSignIn()
	}
	return session, nil
}

// still gives an administrator as they are in the transaction, or the one answer
// where they are disabled, gone, or have another password.
func (s *Admins) still(ctx context.Context, tx *db.Tx, a *Administrator) (*Administrator, error) {
	if err := events.Lock(ctx, tx); err != nil {
		return nil, err
	}
	now, err := one(ctx, tx, `a.id = $1`+tx.Locked(), a.ID)
	if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && (now.Disabled || now.password != a.password) {
		return nil, errSignIn()
	}
	return now, err
}

// enter opens a session for somebody who has proved everything there is to prove.
func (s *Admins) enter(ctx context.Context, tx *db.Tx, a *Administrator, counters []tries.Counter, from netip.Addr, agent, factor string) (*Session, error) {
	now := s.now()
	if len(counters) > 0 {
		if err := s.forgive(ctx, tx, counters); err != nil {
			return nil, err
		}
	}
	if err := s.remember(ctx, tx, a.ID, from, now); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `UPDATE admins SET signed_in_at = $2 WHERE id = $1`, a.ID, db.Micros(now)); err != nil {
		return nil, err
	}
	x, err := s.open(ctx, tx, a.ID, false, from, agent, now)
	if err != nil {
		return nil, err
	}
	what := aboutOf(a)
	what.Address, what.Agent, what.Factor = x.Address, x.Agent, factor
	return x, told(ctx, tx, event.AdminSignedIn, a.Organization, a.Actor(), now, nil, what)
}

// Confirm makes a session Fresh again by the administrator's password or, where it
// is empty, a code. What is wrong is a fault.Denied; tries are limited.
func (s *Admins) Confirm(ctx context.Context, token, password, code string) error {
	x, a, err := s.lookUp(ctx, token)
	if err != nil {
		return err
	}
	if x.Pending {
		return errNoSession()
	}
	counters, err := s.countedFor("confirm", a.ID, netip.Addr{}, false)
	if err != nil {
		return err
	}
	if err := s.begin(ctx, counters); err != nil {
		return err
	}
	ok := false
	if password != "" {
		if ok, err = s.verify(ctx, password, a.password); err != nil {
			return err
		}
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		now, err := s.still(ctx, tx, a)
		if err != nil {
			return err
		}
		if password == "" {
			if _, ok, err = s.code(ctx, tx, now, code); err != nil {
				return err
			}
		}
		if !ok {
			return nil
		}
		if err := s.forgive(ctx, tx, counters); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE admin_sessions SET confirmed_at = $2 WHERE id = $1`, x.ID, db.Micros(s.now()))
		return err
	})
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Denied, "this is not your password, nor a code that is good now")
	}
	return nil
}
