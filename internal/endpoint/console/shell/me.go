package shell

import (
	"crypto/subtle"
	"net/http"
	"time"
)

// Me is who is signed in, as of this request.
type Me struct {
	ID           string // of the administrator, or of the set-up link
	Session      string // the ID of the session
	Email        string
	Name         string
	Role         string // "operator", "administrator", "auditor" or "set-up"
	Organization string // "" sees all of them
	ReadOnly     bool
	// Connection is the only one that whoever came by a set-up link sees; "" for
	// everybody else.
	Connection string
	// Makes is the kind of source of which they may make it; "" where it is there.
	Makes string
	CSRF  string // what forms of this session carry
}

// Operator reports somebody who may do everything.
func (m *Me) Operator() bool { return m.Organization == "" && !m.ReadOnly && m.Connection == "" }

// Changes reports somebody who may change what they see.
func (m *Me) Changes() bool { return !m.ReadOnly }

// All reports somebody who sees all organizations.
func (m *Me) All() bool { return m.Organization == "" }

// Actor is what events call them.
func (m *Me) Actor() string {
	if m.Connection != "" {
		return "setup:" + m.ID
	}
	return "admin:" + m.Email
}

// meant reports that a form came from a page of this session.
func (m *Me) meant(r *http.Request) bool {
	given := r.Header.Get("X-CSRF")
	if given == "" {
		given = r.PostFormValue("csrf")
	}
	return m.CSRF != "" && subtle.ConstantTimeCompare([]byte(given), []byte(m.CSRF)) == 1
}

// cookie is the name of the session's cookie. The prefix has browsers keep it to
// this host and to https (RFC 6265bis, section 4.1.3.2); plain http, as on
// loopback, cannot have it.
func (s *Shell) cookie() string {
	if s.secure {
		return "__Host-rollcall"
	}
	return "rollcall"
}

func (s *Shell) token(r *http.Request) string {
	if c, err := r.Cookie(s.cookie()); err == nil {
		return c.Value
	}
	return ""
}

// Enter begins a session in this browser.
func (q *Ask) Enter(token string, until time.Time) {
	http.SetCookie(q.W, &http.Cookie{Name: q.shell.cookie(), Value: token, Path: "/", Expires: until, Secure: q.shell.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// Leave ends it.
func (q *Ask) Leave() {
	http.SetCookie(q.W, &http.Cookie{Name: q.shell.cookie(), Path: "/", MaxAge: -1, Secure: q.shell.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// Token is the session's token as the browser sent it.
func (q *Ask) Token() string { return q.shell.token(q.R) }

// Remember keeps a small choice in the browser for a year: the theme, a table's
// size. It is nothing that anybody relies on.
func (q *Ask) Remember(name, value string) {
	http.SetCookie(q.W, &http.Cookie{Name: "rollcall-" + name, Value: value, Path: "/", MaxAge: 365 * 24 * 3600, Secure: q.shell.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// Remembered gives it back.
func (q *Ask) Remembered(name string) string {
	if c, err := q.R.Cookie("rollcall-" + name); err == nil {
		return c.Value
	}
	return ""
}
