package admins

import (
	"context"
	"net/netip"
	"strings"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

const (
	leastPassword = 12    // characters
	mostPassword  = 1_000 // bytes
)

// commonest are the passwords of twelve characters and more that are tried first,
// from the lists of those that leaked most often.
var commonest = []string{
	"123456789012", "1234567890123", "12345678901234", "123456789123", "1234567891234", "123123123123", "123412341234", "111222333444",
	"012345678901", "0123456789012", "987654321098", "098765432109", "102030405060", "112233445566", "password1234", "password12345",
	"password123456", "passwordpassword", "mypassword123", "mypassword1234", "adminadminadmin", "administrator", "administrator1", "administrator123",
	"admin1234567", "admin123456789", "qwertyuiop12", "qwertyuiop123", "qwertyuiopas", "qwertyuiop[]", "qwertyuiopasdf", "qwertyuiopasdfgh",
	"qwerty123456", "qwerty1234567", "qwerty12345678", "qwerty123456789", "1qaz2wsx3edc", "1qaz2wsx3edc4rfv", "zaq12wsxcde3", "q1w2e3r4t5y6",
	"1q2w3e4r5t6y", "1q2w3e4r5t6y7u8i", "qazwsxedcrfv", "qazwsxedc123", "asdfghjkl123", "zxcvbnm12345", "abcdefghijkl",
	"abcdefghijklm", "abcdefghijklmnopqrstuvwxyz", "abcd12345678", "abc123456789", "abcd1234abcd", "letmein12345", "letmeinletmein", "welcome12345",
	"welcome123456", "iloveyou1234", "iloveyouforever", "changeme1234", "changemechangeme", "correcthorsebatterystaple", "trustno1trustno1", "summer202420",
	"p@ssw0rd1234", "p@ssword1234", "passw0rd1234", "p@ssw0rdp@ssw0rd", "rollcallrollcall", "rollcall1234", "rollcall12345",
}

// CheckPassword is a fault.Invalid for a password that an administrator of that
// e-mail address may not have: fewer than 12 characters, more than 1,000 bytes, the
// address itself, or one of those everybody tries first.
func CheckPassword(plain, email string) error {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "the password %s", why).WithHint("take at least %d characters: four or five words that do not belong together are good", leastPassword)
	}
	low := strings.ToLower(plain)
	switch {
	case !utf8.ValidString(plain) || strings.ContainsRune(plain, 0):
		return bad("holds what is not text")
	case len(plain) > mostPassword:
		return fault.New(fault.Invalid, "the password is longer than %d bytes", mostPassword)
	case utf8.RuneCountInString(plain) < leastPassword:
		return bad("is too short")
	case fold(low) == fold(email):
		return bad("is the e-mail address")
	case repeats(low):
		return bad("is one or a few characters over and over")
	}
	for _, c := range commonest {
		if low == c {
			return bad("is one of those that are tried first")
		}
	}
	return nil
}

// repeats reports whether a text is made of one, two or three characters.
func repeats(text string) bool {
	seen := map[rune]bool{}
	for _, r := range text {
		seen[r] = true
	}
	return len(seen) <= 3
}

// ChangePassword gives the administrator of a session another password, by the one
// they have. Their other sessions end, and links to reset it are void. A wrong old
// password is a fault.Denied, a bad new one a fault.Invalid; tries are limited.
func (s *Admins) ChangePassword(ctx context.Context, token, old, fresh string) error {
	x, a, err := s.lookUp(ctx, token)
	if err != nil {
		return err
	}
	if x.Pending {
		return errNoSession()
	}
	if err := CheckPassword(fresh, a.Email); err != nil {
		return err
	}
	counters, err := s.countedFor("confirm", a.ID, netip.Addr{}, false)
	if err != nil {
		return err
	}
	if err := s.begin(ctx, counters); err != nil {
		return err
	}
	ok, err := s.verify(ctx, old, a.password)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Denied, "this is not your password")
	}
	hash, err := s.hash(ctx, fresh)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		now, err := s.still(ctx, tx, a)
		if err != nil {
			return err
		}
		if err := s.forgive(ctx, tx, counters); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE admin_sessions SET confirmed_at = $2 WHERE id = $1`, x.ID, db.Micros(s.now())); err != nil {
			return err
		}
		return s.setPassword(ctx, tx, now, hash, now.Actor(), x.ID)
	})
}

// setPassword ends what the password before it was good for, but for one session.
func (s *Admins) setPassword(ctx context.Context, tx *db.Tx, a *Administrator, hash, actor, but string) error {
	if _, err := tx.Exec(ctx, `UPDATE admins SET password = $2 WHERE id = $1`, a.ID, hash); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE admin = $1`, a.ID); err != nil {
		return err
	}
	if _, err := end(ctx, tx, a.ID, but); err != nil {
		return err
	}
	return told(ctx, tx, event.AdminPasswordChanged, a.Organization, actor, s.now(), nil, aboutOf(a))
}
