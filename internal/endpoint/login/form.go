package login

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/logins"
)

// The cookies. With https they have the prefix that keeps other hosts of the domain
// from setting them (RFC 6265bis).
const (
	loginCookie = "rollcall-login"
	formCookie  = "rollcall-form"
)

// Cookie is the name of the cookie that holds a login's token.
func Cookie(secure bool) string { return cookieName(loginCookie, secure) }

func cookieName(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

func (p *pages) setCookie(w http.ResponseWriter, name, value string, age int) {
	http.SetCookie(w, &http.Cookie{Name: cookieName(name, p.secure), Value: value, Path: "/", MaxAge: age, Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (p *pages) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(cookieName(name, p.secure))
	if err != nil {
		return ""
	}
	return c.Value
}

// sealed is the value that a form of a browser has, beside the cookie it is made of:
// whoever can set a cookie and no more cannot make it.
func (p *pages) sealed(nonce string) (string, error) {
	return p.Ring.Fingerprint("sign-in form", nonce)
}

// token gives the value for the forms of a browser, which gets a cookie for it where
// it has none.
func (q *ask) token() (string, error) {
	if q.sealed != "" {
		return q.sealed, nil
	}
	nonce := q.p.cookie(q.r, formCookie)
	if len(nonce) != len(rand.Text()) {
		nonce = rand.Text()
		q.p.setCookie(q.w, formCookie, nonce, 0)
	}
	var err error
	q.sealed, err = q.p.sealed(nonce)
	return q.sealed, err
}

// meant refuses forms that were not sent from our pages: another site would sign
// somebody in as somebody else.
func (p *pages) meant(q *ask) error {
	if err := p.cross.Check(q.r); err != nil {
		return errElsewhere()
	}
	if err := q.r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return fault.New(fault.Invalid, "the form is too large").WithHint("a name has 320 characters at most, a password 1,024")
		}
		return fault.New(fault.Invalid, "the form could not be read").WithHint("open the page again and send it once more")
	}
	nonce := p.cookie(q.r, formCookie)
	if nonce == "" {
		return fault.New(fault.Denied, "your browser did not send our cookie along").WithHint("allow cookies for this site, open the page again and send the form once more")
	}
	want, err := p.sealed(nonce)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(q.r.PostFormValue("form"))) != 1 {
		return errElsewhere()
	}
	return nil
}

func errElsewhere() error {
	return fault.New(fault.Denied, "the form was not sent from here").WithHint("open the page again and send it once more")
}

// Next is where somebody is sent after signing in: a path of ours that belongs to
// OpenID Connect, or "" for none. Nothing a stranger writes leads elsewhere.
func Next(text string) string {
	const under = "/oauth2/"
	if !strings.HasPrefix(text, under) || len(text) > 8<<10 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return ""
	}
	// As it is when it was decoded, however often: ".." leads out of it.
	path := u.Path
	for range 3 {
		if !strings.HasPrefix(path, under) || strings.Contains(path, "..") || strings.Contains(path, "//") || strings.Contains(path, `\`) {
			return ""
		}
		if path, err = url.PathUnescape(path); err != nil {
			return ""
		}
	}
	return text
}

// enter begins a login in this browser, under a token nobody had before; the one it
// had ends.
func (q *ask) enter(l logins.Login) error {
	ctx := q.r.Context()
	made, err := q.p.Logins.Open(ctx, l)
	if err != nil {
		return err
	}
	if err := q.p.replace(ctx, q.p.cookie(q.r, loginCookie)); err != nil {
		return err
	}
	q.p.setCookie(q.w, loginCookie, made.Token, int(q.p.Settings().SessionMax.Seconds()))
	// Forms from before belong to nobody.
	q.p.setCookie(q.w, formCookie, "", -1)
	return nil
}
