package login

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/logins"
)

// signInPage is what the form shows.
type signInPage struct {
	signin.Place
	Login string
	Other string // where people of other connections go; "" for nowhere
}

func (q *ask) place() (*signin.Place, error) {
	// The organization matters for accounts that no connection keeps alone.
	return q.p.SignIn.Place(q.r.Context(), q.r.PathValue("alias"), q.r.FormValue("organization"))
}

func (p *pages) form(q *ask) error {
	place, err := q.place()
	if err != nil {
		return err
	}
	if place.Provider {
		q.redirect("/login/provider/" + place.Alias + query("login_hint", hint(q.r.URL.Query().Get("login_hint")), "next", q.next()))
		return nil
	}
	return q.signInForm(http.StatusOK, place, hint(q.r.URL.Query().Get("login_hint")), nil)
}

func (q *ask) signInForm(status int, place *signin.Place, login string, t *trouble) error {
	return q.page(status, "signin", "Sign in at "+place.Company, signInPage{Place: *place, Login: login}, t)
}

func (p *pages) attempt(q *ask, place *signin.Place) signin.Attempt {
	return signin.Attempt{Connection: place.Alias, Organization: place.Organization, Login: q.r.PostFormValue("login"), Password: q.r.PostFormValue("password"),
		From: admins.From(q.r, p.TrustedProxies), Agent: q.r.UserAgent(), Via: "page"}
}

func (p *pages) signIn(q *ask) error {
	place, err := q.place()
	if err != nil {
		return err
	}
	ctx, a := q.r.Context(), p.attempt(q, place)
	if _, changes := q.r.PostForm["new"]; changes {
		return p.change(q, place, a)
	}
	r, err := p.SignIn.Authenticate(ctx, a)
	if err != nil {
		return err
	}
	return p.answer(q, place, a, r)
}

// answer is the page that an attempt comes to.
func (p *pages) answer(q *ask, place *signin.Place, a signin.Attempt, r *signin.Result) error {
	login := hint(a.Login)
	switch {
	case r.Unavailable:
		q.w.Header().Set("Retry-After", "5")
		return q.page(http.StatusServiceUnavailable, "unreachable", "The directory cannot be reached", signInPage{Place: *place, Login: login}, nil)
	case r.Wait > 0:
		q.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(r.Wait.Seconds()))))
		return q.signInForm(http.StatusTooManyRequests, place, login, &trouble{"There were too many wrong passwords.",
			"Try again in " + inWords(r.Wait) + ". Until then no password is tried, not even the right one."})
	case r.Own:
		return q.changeForm(http.StatusOK, place, login, nil)
	case r.Reason != "":
		return q.signInForm(http.StatusUnauthorized, place, login, why(r, place))
	}
	return q.in(a, r, "pwd", q.next())
}

// in signs somebody in, in this browser, and sends them on.
func (q *ask) in(a signin.Attempt, r *signin.Result, method, to string) error {
	err := q.enter(logins.Login{Organization: r.Organization, Connection: r.Connection, Account: r.Account.ID, Methods: []string{method}, AuthAt: r.AuthAt,
		Address: admins.ShownAddress(a.From), Agent: admins.ShownAgent(a.Agent)})
	if err != nil {
		return err
	}
	if to == "" {
		to = "/login/done"
	}
	q.redirect(to)
	return nil
}

// wrong is what everybody is told who may not be told more.
var wrong = trouble{"The name or the password is wrong.", "Check both, and whether the keyboard writes capitals."}

// why tells somebody why they are not let in, as far as that tells nobody else
// anything.
func why(r *signin.Result, place *signin.Place) *trouble {
	if !r.Shown {
		return &wrong
	}
	const right = "Your password is right. "
	switch r.Reason {
	case signin.Disabled:
		if r.Exact == "not_here" {
			return &trouble{"Your company does not let you sign in from here, or not at this time.", right + "Ask your administrator when and where you may."}
		}
		return &trouble{"Your account is disabled.", right + "Ask your administrator to enable the account."}
	case signin.Expired:
		if r.Exact == "ended" {
			return &trouble{"Your account has ended.", right + "Ask your administrator to prolong it."}
		}
		return &trouble{"Your password has expired.", "Choose a new one where you usually do, at your computer or at your company's page for passwords. Then come back."}
	case signin.Locked:
		return &trouble{"Your account is locked.", right + "Ask your administrator to unlock the account, or wait for a while."}
	case signin.MustChangePassword:
		return &trouble{"You have to choose a new password first.", "Do it where you usually do, at your computer or at your company's page for passwords. Then come back."}
	case signin.NotInScope:
		if r.Exact == "waits" {
			return &trouble{"Your account waits for an administrator.", right + "Somebody has to decide on changes of the directory first; ask your administrator."}
		}
		return &trouble{"You may not use this application.", right + "Ask your administrator to let you in."}
	case signin.LicenceFull:
		return &trouble{"All seats of " + place.Company + " are taken.", right + "Ask your administrator for a seat."}
	default:
		return &wrong
	}
}

// inWords is a length of time as people say it.
func inWords(d time.Duration) string {
	n, unit := int(math.Ceil(d.Minutes())), "minute"
	if d <= time.Minute {
		n, unit = int(math.Ceil(d.Seconds())), "second"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// changePage is what the form for a new password shows.
type changePage struct {
	signin.Place
	Login string
}

func (q *ask) changeForm(status int, place *signin.Place, login string, t *trouble) error {
	return q.page(status, "change", "Choose a new password", changePage{*place, login}, t)
}

// change takes the new password of somebody who has to choose one.
func (p *pages) change(q *ask, place *signin.Place, a signin.Attempt) error {
	fresh := q.r.PostFormValue("new")
	if fresh != q.r.PostFormValue("again") {
		return q.changeForm(http.StatusUnprocessableEntity, place, hint(a.Login), &trouble{"The two new passwords are not the same.", "Type the new one twice."})
	}
	r, err := p.SignIn.Change(q.r.Context(), a, fresh)
	if kind := fault.KindOf(err); err != nil && (kind == fault.Invalid || kind == fault.Conflict) {
		status, t := q.told(err)
		return q.changeForm(status, place, hint(a.Login), t)
	}
	if err != nil {
		return err
	}
	if r.Reason == signin.InvalidCredentials {
		return q.changeForm(http.StatusUnauthorized, place, hint(a.Login), &trouble{"The present password is wrong.", "It is the one you were given."})
	}
	return p.answer(q, place, a, r)
}

// donePage is what somebody sees who came from nowhere.
type donePage struct {
	Name  string
	Email string
	At    string
}

func (p *pages) done(q *ask) error {
	_, a, err := p.Logins.Check(q.r.Context(), p.cookie(q.r, loginCookie))
	if fault.KindOf(err) == fault.Denied && err != nil {
		q.redirect("/login")
		return nil
	}
	if err != nil {
		return err
	}
	return q.page(http.StatusOK, "done", "You are signed in", donePage{Name: nameOf(a), Email: a.Text[account.Email]}, nil)
}

func nameOf(a *account.Account) string {
	if name := a.Text[account.DisplayName]; name != "" {
		return name
	}
	if name := strings.TrimSpace(a.Text[account.FirstName] + " " + a.Text[account.LastName]); name != "" {
		return name
	}
	return a.Text[account.Username]
}

func (p *pages) signOut(q *ask) error {
	if err := p.SignIn.SignedOut(q.r.Context(), p.cookie(q.r, loginCookie)); err != nil {
		return err
	}
	p.setCookie(q.w, loginCookie, "", -1)
	return q.page(http.StatusOK, "out", "You are signed out", nil, nil)
}

// replace ends the login a browser had before.
func (p *pages) replace(ctx context.Context, token string) error {
	if token == "" {
		return nil
	}
	return p.SignIn.SignedOut(ctx, token)
}

func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}
