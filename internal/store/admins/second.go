package admins

import (
	"context"
	"database/sql"
	"strings"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// issuer is how authenticator apps name us.
const issuer = "Rollcall"

func totpPurpose(admin string) string { return "administrator " + admin + " totp" }

// code checks a code of an authenticator app or a recovery code, and uses it up.
// factor is how events name it.
func (s *Admins) code(ctx context.Context, tx *db.Tx, a *Administrator, text string) (factor string, ok bool, err error) {
	code := plainCode(text)
	switch {
	case len(code) == totpDigits && a.TOTP:
		secret, err := s.Ring.Open(totpPurpose(a.ID), a.totp)
		if err != nil {
			return "", false, err
		}
		step, ok := totpMatch(secret, code, s.now(), a.step)
		if !ok {
			return "", false, nil
		}
		// Of two that come at the same time with one code, one gets in.
		n, err := tx.Exec(ctx, `UPDATE admins SET totp_step = $2 WHERE id = $1 AND totp_step < $2`, a.ID, step)
		return "code", n == 1, err
	case len(code) == recoveryLength:
		n, err := tx.Exec(ctx, `DELETE FROM admin_codes WHERE admin = $1 AND hash = $2`, a.ID, digest(a.ID+"\x00"+code))
		if err != nil || n == 0 {
			return "", false, err
		}
		left, err := left(ctx, tx, a.ID)
		if err != nil {
			return "", false, err
		}
		what := aboutOf(a)
		what.Left = &left
		return "recovery code", true, told(ctx, tx, event.AdminRecoveryCodeUsed, a.Organization, a.Actor(), s.now(), nil, what)
	}
	return "", false, nil
}

// Recovery codes are 80 random bits each, so that a quick digest keeps them.
const (
	recoveryCodes  = 10
	recoverySize   = 10 // bytes
	recoveryLength = 16 // letters
)

func left(ctx context.Context, q db.Querier, admin string) (n int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM admin_codes WHERE admin = $1`, admin).Scan(&n)
	return n, db.Explain("count recovery codes", err)
}

// RecoveryLeft gives how many recovery codes an administrator has left.
func (s *Admins) RecoveryLeft(ctx context.Context, admin string) (int64, error) {
	return left(ctx, s.DB.Reader(), asked(admin))
}

// renew puts ten new recovery codes in place of those there are.
func renew(ctx context.Context, tx *db.Tx, admin string) ([]string, error) {
	if _, err := tx.Exec(ctx, `DELETE FROM admin_codes WHERE admin = $1`, admin); err != nil {
		return nil, err
	}
	shown := make([]string, recoveryCodes)
	for i := range shown {
		code := letters.EncodeToString(random(recoverySize))
		if _, err := tx.Exec(ctx, `INSERT INTO admin_codes (admin, hash) VALUES ($1, $2)`, admin, digest(admin+"\x00"+code)); err != nil {
			return nil, err
		}
		shown[i] = strings.Join([]string{code[:4], code[4:8], code[8:12], code[12:]}, "-")
	}
	return shown, nil
}

// OfferTOTP makes a secret for an authenticator app, which is not in force until
// AcceptTOTP is given its first code. secret is base32, to be typed in; uri is what
// a QR code shows (otpauth://). Both are shown on this one page and nowhere else.
// The session has to be Fresh.
func (s *Admins) OfferTOTP(ctx context.Context, session *Session) (secret, uri string, err error) {
	if err := s.mustBeFresh(session); err != nil {
		return "", "", err
	}
	plain := random(totpSize)
	sealed, err := s.Ring.Seal(totpPurpose(session.Admin), plain)
	if err != nil {
		return "", "", err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.own(ctx, tx, session)
		if err != nil {
			return err
		}
		secret, uri = totpLetters.EncodeToString(plain), totpURI(plain, issuer, a.Email)
		_, err = tx.Exec(ctx, `UPDATE admins SET totp_offer = $2 WHERE id = $1`, a.ID, sealed)
		return err
	})
	return secret, uri, err
}

// AcceptTOTP puts the secret offered last in force by its first code, and gives
// ten recovery codes, shown once. The administrator's other sessions end. A wrong
// code is a fault.Invalid and leaves the offer as it is.
func (s *Admins) AcceptTOTP(ctx context.Context, session *Session, code string) (recovery []string, err error) {
	if err := s.mustBeFresh(session); err != nil {
		return nil, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.own(ctx, tx, session)
		if err != nil {
			return err
		}
		var offer []byte
		if err := tx.QueryRowContext(ctx, `SELECT totp_offer FROM admins WHERE id = $1`, a.ID).Scan(&offer); err != nil {
			return db.Explain("look the authenticator up", err)
		}
		if len(offer) == 0 {
			return fault.New(fault.Conflict, "no authenticator app is being set up").WithHint("begin again")
		}
		secret, err := s.Ring.Open(totpPurpose(a.ID), offer)
		if err != nil {
			return err
		}
		step, ok := totpMatch(secret, plainCode(code), s.now(), 0)
		if !ok {
			return fault.New(fault.Invalid, "this is not the code the app shows now").WithHint("see that the phone's clock is right, and type the code the app shows at this moment")
		}
		if _, err := tx.Exec(ctx, `UPDATE admins SET totp = totp_offer, totp_offer = NULL, totp_step = $2 WHERE id = $1`, a.ID, step); err != nil {
			return err
		}
		if recovery, err = renew(ctx, tx, a.ID); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, a.Actor(), "authenticator app set up", session.ID)
	})
	return recovery, err
}

// NewRecoveryCodes gives ten new recovery codes in place of those there are. The
// session has to be Fresh.
func (s *Admins) NewRecoveryCodes(ctx context.Context, session *Session) (recovery []string, err error) {
	if err := s.mustBeFresh(session); err != nil {
		return nil, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.own(ctx, tx, session)
		if err != nil {
			return err
		}
		if !a.SecondFactor {
			return fault.New(fault.Conflict, "there is no second factor that could be lost").WithHint("set an authenticator app up first")
		}
		if recovery, err = renew(ctx, tx, a.ID); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, a.Actor(), "new recovery codes", session.ID)
	})
	return recovery, err
}

// RemoveTOTP takes the administrator's own authenticator app away. The session has
// to be Fresh; the others end.
func (s *Admins) RemoveTOTP(ctx context.Context, session *Session) error {
	if err := s.mustBeFresh(session); err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.own(ctx, tx, session)
		if err != nil || !a.TOTP {
			return err
		}
		return s.removeTOTP(ctx, tx, a, a.Actor(), session.ID)
	})
}

func (s *Admins) removeTOTP(ctx context.Context, tx *db.Tx, a *Administrator, actor, but string) error {
	if _, err := tx.Exec(ctx, `UPDATE admins SET totp = NULL, totp_offer = NULL WHERE id = $1`, a.ID); err != nil {
		return err
	}
	if err := withoutFactor(ctx, tx, a.ID); err != nil {
		return err
	}
	return s.factorChanged(ctx, tx, a, actor, "authenticator app removed", but)
}

// ResetSecondFactor takes away the authenticator app, the passkeys and the recovery
// codes of somebody who lost them, and ends their sessions.
func (s *Admins) ResetSecondFactor(ctx context.Context, by By, admin string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		by, a, err := s.both(ctx, tx, by, admin)
		if err != nil {
			return err
		}
		if err := by.may(a.Role, a.Organization); err != nil {
			return err
		}
		if by.Admin != nil && by.Admin.ID == a.ID {
			return fault.New(fault.Denied, "nobody resets their own second factor").WithHint("remove it under your own account, where your password is asked for")
		}
		if _, err := tx.Exec(ctx, `DELETE FROM admin_passkeys WHERE admin = $1`, a.ID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE admins SET totp = NULL, totp_offer = NULL WHERE id = $1`, a.ID); err != nil {
			return err
		}
		if err := withoutFactor(ctx, tx, a.ID); err != nil {
			return err
		}
		return s.factorChanged(ctx, tx, a, by.Actor, "second factor reset", "")
	})
}

func (s *Admins) factorChanged(ctx context.Context, tx *db.Tx, a *Administrator, actor, what, but string) error {
	if _, err := end(ctx, tx, a.ID, but); err != nil {
		return err
	}
	after := aboutOf(a)
	after.Factor = what
	return told(ctx, tx, event.AdminFactorChanged, a.Organization, actor, s.now(), nil, after)
}

// own gives the administrator of a session that is still there.
func (s *Admins) own(ctx context.Context, tx *db.Tx, session *Session) (*Administrator, error) {
	if err := events.Lock(ctx, tx); err != nil {
		return nil, err
	}
	var there bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM admin_sessions WHERE id = $1 AND admin = $2)`, session.ID, session.Admin).Scan(&there); err != nil {
		return nil, db.Explain("look the session up", err)
	}
	a, err := one(ctx, tx, `a.id = $1`+tx.Locked(), session.Admin)
	if fault.KindOf(err) == fault.NotFound && err != nil || err == nil && (a.Disabled || !there) {
		return nil, errNoSession()
	}
	return a, err
}

// Reseal seals the secrets of authenticator apps with the newest key. It gives how
// many it was, and names those that do not open any more.
func (s *Admins) Reseal(ctx context.Context, tx *db.Tx) (done int, lost []string, err error) {
	type row struct {
		id, email, column string
		sealed            []byte
	}
	var list []row
	for _, column := range []string{"totp", "totp_offer"} {
		err = db.Each(ctx, tx, `SELECT id, email, `+column+` FROM admins WHERE `+column+` IS NOT NULL ORDER BY id`, nil, func(rows *sql.Rows) error {
			r := row{column: column}
			err := rows.Scan(&r.id, &r.email, &r.sealed)
			list = append(list, r)
			return err
		})
		if err != nil {
			return 0, nil, err
		}
	}
	for _, r := range list {
		newest, err := s.Ring.Newest(r.sealed)
		if err != nil {
			return done, lost, err
		}
		if newest {
			continue
		}
		plain, err := s.Ring.Open(totpPurpose(r.id), r.sealed)
		if err != nil {
			lost = append(lost, "authenticator app of "+r.email)
			continue
		}
		if r.sealed, err = s.Ring.Seal(totpPurpose(r.id), plain); err != nil {
			return done, lost, err
		}
		if _, err := tx.Exec(ctx, `UPDATE admins SET `+r.column+` = $2 WHERE id = $1`, r.id, r.sealed); err != nil {
			return done, lost, err
		}
		done++
	}
	return done, lost, nil
}
