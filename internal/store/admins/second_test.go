package admins_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/db"
)

// app is somebody's phone: a second writing of RFC 6238.
type app struct{ secret []byte }

func (a app) code(at time.Time) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(at.Unix())/30) //nolint:gosec // after 1970
	mac := hmac.New(sha1.New, a.secret)
	mac.Write(b[:])
	sum := mac.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[19]&15:]) & 0x7fffffff
	return fmt.Sprintf("%06d", n%1000000)
}

// wrong is a code that is not good now.
func (a app) wrong(at time.Time) string {
	for n := 0; ; n++ {
		c := fmt.Sprintf("%06d", n)
		if c != a.code(at) && c != a.code(at.Add(-30*time.Second)) && c != a.code(at.Add(30*time.Second)) {
			return c
		}
	}
}

// setUp gives an administrator an authenticator app, from a session that is there.
func (h *house) setUp(x *admins.Session) (app, []string) {
	h.Helper()
	secret, uri, err := h.OfferTOTP(h.Context(), x)
	h.must(err)
	plain, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	h.must(err)
	u, err := url.Parse(uri)
	h.must(err)
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") != secret || u.Query().Get("issuer") != "Rollcall" || !strings.HasPrefix(u.Path, "/Rollcall:") {
		h.Errorf("%s", uri)
	}
	phone := app{plain}
	recovery, err := h.AcceptTOTP(h.Context(), x, phone.code(h.clock))
	h.must(err)
	return phone, recovery
}

func (h *house) tryIn(password, code string) (*admins.Session, error) {
	return h.SignIn(h.Context(), "eve@example.com", password, code, home, "Firefox")
}

func TestASecondFactorIsAskedForAndACodeIsTakenOnce(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		x, elsewhere := h.enter("eve@example.com"), h.enter("eve@example.com")
		_, err := h.AcceptTOTP(h.Context(), x, "123456")
		h.refused(err, fault.Conflict, "begin again")
		phone, recovery := h.setUp(x)
		if len(recovery) != 10 || recovery[0] == recovery[1] {
			h.Error(recovery)
		}
		h.good(x.Token, true)
		h.good(elsewhere.Token, false)

		h.later(30 * time.Second)
		half, err := h.tryIn(password, "")
		h.must(err)
		if !half.Pending || !half.EndsAt.Equal(h.clock.Add(5*time.Minute)) {
			h.Errorf("%+v", half)
		}
		h.good(half.Token, false)
		h.refused(h.ChangePassword(h.Context(), half.Token, password, "another kettle orbit"), fault.Denied, "not signed in")
		h.refused(h.Confirm(h.Context(), half.Token, password, ""), fault.Denied, "not signed in")
		_, _, err = h.OfferTOTP(h.Context(), half)
		h.refused(err, fault.Denied, "once more")
		_, err = h.Complete(h.Context(), half.Token, phone.wrong(h.clock), home, "Firefox")
		h.refused(err, fault.Denied, "did not work")
		whole, err := h.Complete(h.Context(), half.Token, phone.code(h.clock)[:3]+" "+phone.code(h.clock)[3:], home, "Firefox")
		h.must(err)
		h.good(whole.Token, true)
		if whole.Token == half.Token || whole.ID == half.ID {
			h.Error("the token before the code is the one after it")
		}
		_, err = h.Complete(h.Context(), half.Token, phone.code(h.clock.Add(30*time.Second)), home, "")
		h.refused(err, fault.Denied, "not signed in")

		// A code that was seen over somebody's shoulder.
		_, err = h.tryIn(password, phone.code(h.clock))
		h.refused(err, fault.Denied, "did not work")
		_, err = h.tryIn("wrong wrong wrong", phone.code(h.clock.Add(30*time.Second)))
		h.refused(err, fault.Denied, "did not work")
		_, err = h.tryIn(password, phone.code(h.clock.Add(30*time.Second)))
		h.must(err)
		h.later(time.Minute)
		_, err = h.tryIn(password, phone.code(h.clock.Add(-30*time.Second)))
		h.refused(err, fault.Denied, "did not work")

		// Recovery codes: each once, however it is typed.
		_, err = h.tryIn(password, strings.ToUpper(recovery[3])+" ")
		h.must(err)
		_, err = h.tryIn(password, recovery[3])
		h.refused(err, fault.Denied, "did not work")
		if left, err := h.RecoveryLeft(h.Context(), whole.Admin); left != 9 || err != nil {
			h.Error(left, err)
		}
		again, err := h.NewRecoveryCodes(h.Context(), whole)
		h.must(err)
		_, err = h.tryIn(password, recovery[4])
		h.refused(err, fault.Denied, "did not work")
		_, err = h.tryIn(password, again[4])
		h.must(err)

		h.must(h.RemoveTOTP(h.Context(), whole))
		if x := h.enter("eve@example.com"); x.Pending {
			h.Error("a code is asked for that nothing makes any more")
		}
		if n := h.count(event.AdminRecoveryCodeUsed); n != 2 {
			h.Errorf("%d events of recovery codes", n)
		}
		for _, e := range h.events() {
			for _, code := range append(recovery, again...) {
				if strings.Contains(string(e.After), strings.ReplaceAll(code, "-", "")) || strings.Contains(string(e.After), code) {
					h.Errorf("an event holds a recovery code: %s", e.After)
				}
			}
		}
	})
}

func TestOneCodeGivenToTwoNodesAtOnceOpensOneSession(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		phone, recovery := h.setUp(h.enter("eve@example.com"))
		h.later(time.Minute)
		for _, code := range []string{phone.code(h.clock), recovery[0]} {
			done := make(chan error)
			for range 4 {
				node := h.node()
				go func() {
					_, err := node.SignIn(h.Context(), "eve@example.com", password, code, home, "")
					done <- err
				}()
			}
			in := 0
			for range 4 {
				if err := <-done; err == nil {
					in++
				} else {
					h.refused(err, fault.Denied, "")
				}
			}
			if in != 1 {
				h.Errorf("%d sessions of one code", in)
			}
		}
	})
}

func TestSecretsOfAuthenticatorsAreSealedAndSealedAnew(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		x := h.enter("eve@example.com")
		phone, _ := h.setUp(x)
		var sealed []byte
		look := func() {
			h.Helper()
			h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT totp FROM admins WHERE id = $1`, x.Admin).Scan(&sealed))
			if strings.Contains(string(sealed), string(phone.secret)) {
				h.Error("the secret is kept in the open")
			}
		}
		look()
		before := string(sealed)
		_, _, err := h.OfferTOTP(h.Context(), x)
		h.must(err)
		h.must(h.ring.Rotate())
		reseal := func(want int) {
			h.Helper()
			h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
				done, lost, err := h.Reseal(h.Context(), tx)
				if done != want || len(lost) > 0 {
					h.Errorf("%d sealed anew, lost %v", done, lost)
				}
				return err
			}))
		}
		reseal(2)
		reseal(0)
		look()
		if string(sealed) == before {
			h.Error("it is still sealed with the key before")
		}
		h.must(h.ring.Retire())
		h.later(time.Minute)
		_, err = h.tryIn(password, phone.code(h.clock))
		h.must(err)
	})
}
