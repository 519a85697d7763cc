package profile

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"rsc.io/qr"

	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/fault"
)

type appPage struct {
	Secret  string
	URI     template.URL
	Picture template.HTML
	Trouble *shell.Trouble
}

// appOf is the page that shows the secret of an authenticator app.
func appOf(secret, uri string) (appPage, error) {
	picture, err := drawn(uri)
	return appPage{Secret: grouped(secret), URI: template.URL(uri), Picture: picture}, err //nolint:gosec // see offerApp and acceptApp: it begins with otpauth://
}

func (s section) offerApp(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	secret, uri, err := s.admins.OfferTOTP(q.R.Context(), in.Session)
	if err != nil {
		return s.answer(q, "app", err)
	}
	p, err := appOf(secret, uri)
	if err != nil {
		return err
	}
	return q.Page("app", "Authenticator app", p)
}

func (s section) acceptApp(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	codes, err := s.admins.AcceptTOTP(q.R.Context(), in.Session, strings.TrimSpace(q.R.PostFormValue("code")))
	uri := q.R.PostFormValue("uri")
	if fault.KindOf(err) == fault.Invalid && err != nil && strings.HasPrefix(uri, "otpauth://") {
		// The form holds what its page has shown: the secret is given out once.
		p, bad := appOf(q.R.PostFormValue("secret"), uri)
		if bad == nil {
			p.Trouble = Problem(q, err)
			return q.Refused("app", "Authenticator app", p)
		}
	}
	if err != nil {
		return s.answer(q, "app", err)
	}
	return done(q, "From now on you are asked for a code when you sign in.", codes)
}

func (s section) removeApp(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	if err := s.admins.RemoveTOTP(q.R.Context(), in.Session); err != nil {
		return s.answer(q, "app", err)
	}
	q.Say(home, "The authenticator app is not asked for any more.")
	return nil
}

// Document answers a script with JSON.
func Document(q *shell.Ask, status int, body []byte) {
	q.W.Header().Set("Content-Type", "application/json")
	q.W.WriteHeader(status)
	_, _ = q.W.Write(body) // whoever went away does not read it
}

// Told answers a script with what is wrong.
func Told(q *shell.Ask, err error) error {
	t := Problem(q, err)
	said := map[string]string{"text": t.Text + " " + t.Hint}
	if signed.Stale(err) {
		said["again"] = "/confirm?next=" + shell.Escape(home)
	}
	b, bad := json.Marshal(said)
	if bad != nil {
		return bad
	}
	Document(q, t.Status, b)
	return nil
}

func (s section) offerPasskey(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	b, err := s.admins.OfferPasskey(q.R.Context(), in.Session)
	if err != nil {
		return Told(q, err)
	}
	Document(q, http.StatusOK, b)
	return nil
}

func (s section) acceptPasskey(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	codes, err := s.admins.AcceptPasskey(q.R.Context(), in.Session, q.R.PostFormValue("name"), []byte(q.R.PostFormValue("answer")))
	if err != nil {
		return s.answer(q, "passkeys", err)
	}
	return done(q, "The passkey is kept. You can sign in with it alone.", codes)
}

func (s section) removePasskey(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	if err := s.admins.RemovePasskey(q.R.Context(), in.Session, q.R.PostFormValue("id")); err != nil {
		return s.answer(q, "passkeys", err)
	}
	q.Say(home, "The passkey is good for nothing any more. Remove it from your device too.")
	return nil
}

type confirmPage struct {
	Next    string
	Second  bool
	Usable  bool
	Trouble *shell.Trouble
}

func (s section) confirmation(q *shell.Ask, next string, wrong error) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	p := confirmPage{Next: shell.Back(next), Second: in.Admin.TOTP, Trouble: Problem(q, wrong)}
	keys, err := s.admins.ListPasskeys(q.R.Context(), in.Admin.ID)
	if err != nil {
		return err
	}
	p.Usable = len(keys) > 0 && s.admins.Passkeys()
	if wrong != nil {
		return q.Refused("confirm", "Is it you?", p)
	}
	return q.Page("confirm", "Is it you?", p)
}

func (s section) askConfirm(q *shell.Ask) error {
	return s.confirmation(q, q.R.URL.Query().Get("next"), nil)
}

func (s section) confirm(q *shell.Ask) error {
	next := q.R.PostFormValue("next")
	err := s.admins.Confirm(q.R.Context(), q.Token(), q.R.PostFormValue("password"), strings.TrimSpace(q.R.PostFormValue("code")))
	if err != nil {
		return s.confirmation(q, next, err)
	}
	q.Redirect(shell.Back(next))
	return nil
}

func (s section) confirmByPasskey(q *shell.Ask) error {
	next := q.R.PostFormValue("next")
	if err := s.admins.ConfirmWithPasskey(q.R.Context(), q.Token(), []byte(q.R.PostFormValue("answer"))); err != nil {
		return s.confirmation(q, next, err)
	}
	q.Redirect(shell.Back(next))
	return nil
}

// grouped is a secret as people type it: four signs at a time.
func grouped(secret string) string {
	var b strings.Builder
	n := 0
	for _, r := range secret {
		if r == ' ' {
			continue
		}
		if n > 0 && n%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// drawn is a QR code as a picture, black on white whatever the page's colours are:
// cameras expect it so.
func drawn(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fault.New(fault.Internal, "draw the QR code: %w", err)
	}
	const quiet = 4 // the margin that ISO/IEC 18004 asks for, in modules
	size := code.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="qr" viewBox="0 0 %d %d" role="img" aria-label="QR code for your authenticator app" shape-rendering="crispEdges"><rect width="%[1]d" height="%[1]d" fill="#fff"/><path fill="#000" d="`, size, size)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil //nolint:gosec // numbers
}
