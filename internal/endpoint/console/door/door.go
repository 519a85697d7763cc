// Package door is where administrators come into the console and go out of it:
// sign-in, the second factor, and the one-time links by which somebody becomes an
// administrator or gets another password.
package door

import (
	"embed"
	"net/http"
	"strings"

	"rollcall.dev/rollcall/internal/endpoint/console/profile"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

//go:embed *.html
var templates embed.FS

type door struct{ admins *admins.Admins }

// Section is this part of the console.
func Section(a *admins.Admins) shell.Section {
	d := door{a}
	return shell.Section{Name: "door", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /signin", Need: shell.Public, Handle: d.show},
		{Pattern: "POST /signin", Need: shell.Public, Handle: d.signIn},
		{Pattern: "POST /signin/passkey", Need: shell.Public, Handle: d.passkey},
		{Pattern: "POST /signin/passkey/ask", Need: shell.Public, Handle: d.askPasskey},
		{Pattern: "GET /signin/code", Need: shell.Public, Handle: d.askCode},
		{Pattern: "POST /signin/code", Need: shell.Public, Handle: d.code},
		{Pattern: "POST /signout", Handle: d.signOut},
		{Pattern: "GET /welcome", Need: shell.Public, Handle: d.first},
		{Pattern: "GET " + admins.Path + "{token}", Need: shell.Public, Handle: d.welcome},
		{Pattern: "POST " + admins.Path + "{token}", Need: shell.Public, Handle: d.accept},
	}}
}

type page struct {
	Email   string
	Name    string
	Next    string
	Usable  bool // passkeys
	Link    *admins.Link
	Trouble *shell.Trouble
}

func (d door) show(q *shell.Ask) error {
	next := shell.Back(q.R.URL.Query().Get("next"))
	if q.Me != nil {
		q.Redirect(next)
		return nil
	}
	some, err := d.admins.Any(q.R.Context())
	if err != nil {
		return err
	}
	if !some {
		q.Redirect("/welcome")
		return nil
	}
	return q.Page("signin", "Sign in", page{Next: next, Usable: d.admins.Passkeys()})
}

// askPasskey begins a sign-in with a passkey; the browser's script asks for it.
func (d door) askPasskey(q *shell.Ask) error {
	b, err := d.admins.AskPasskey()
	if err != nil {
		return profile.Told(q, err)
	}
	profile.Document(q, http.StatusOK, b)
	return nil
}

func (d door) passkey(q *shell.Ask) error {
	p := page{Next: shell.Back(q.R.PostFormValue("next"))}
	s, err := d.admins.SignInWithPasskey(q.R.Context(), []byte(q.R.PostFormValue("answer")), admins.From(q.R, d.admins.TrustedProxies), q.R.UserAgent())
	if err != nil {
		return d.refused(q, "signin", "Sign in", p, err)
	}
	enter(q, s, p.Next)
	return nil
}

func (d door) signIn(q *shell.Ask) error {
	p := page{Email: strings.TrimSpace(q.R.PostFormValue("email")), Next: shell.Back(q.R.PostFormValue("next"))}
	s, err := d.admins.SignIn(q.R.Context(), p.Email, q.R.PostFormValue("password"), "", admins.From(q.R, d.admins.TrustedProxies), q.R.UserAgent())
	if err != nil {
		return d.refused(q, "signin", "Sign in", p, err)
	}
	enter(q, s, p.Next)
	return nil
}

// refused shows the form once more, with how long to wait where that is it.
func (d door) refused(q *shell.Ask, name, title string, p page, err error) error {
	p.Trouble, p.Usable = profile.Problem(q, err), d.admins.Passkeys()
	return q.Refused(name, title, p)
}

func enter(q *shell.Ask, s *admins.Session, next string) {
	q.Enter(s.Token, s.EndsAt)
	if s.Pending {
		q.Redirect("/signin/code?next=" + shell.Escape(next))
		return
	}
	q.Redirect(next)
}

func (d door) askCode(q *shell.Ask) error {
	return q.Page("code", "Second factor", page{Next: shell.Back(q.R.URL.Query().Get("next")), Usable: d.admins.Passkeys()})
}

func (d door) code(q *shell.Ask) error {
	p := page{Next: shell.Back(q.R.PostFormValue("next"))}
	s, err := d.admins.Complete(q.R.Context(), q.Token(), q.R.PostFormValue("code"), admins.From(q.R, d.admins.TrustedProxies), q.R.UserAgent())
	if err != nil {
		return d.refused(q, "code", "Second factor", p, err)
	}
	enter(q, s, p.Next)
	return nil
}

func (d door) signOut(q *shell.Ask) error {
	if err := d.admins.SignOut(q.R.Context(), q.Token()); err != nil {
		return err
	}
	q.Leave()
	q.Say("/signin", "You are signed out.")
	return nil
}

// first says where the link for the first operator is.
func (d door) first(q *shell.Ask) error {
	some, err := d.admins.Any(q.R.Context())
	if err != nil {
		return err
	}
	if some {
		q.Redirect("/signin")
		return nil
	}
	return q.Page("first", "Welcome", nil)
}

func (d door) welcome(q *shell.Ask) error {
	q.W.Header().Set("Referrer-Policy", "no-referrer") // the address is a secret
	l, err := d.admins.Link(q.R.Context(), q.R.PathValue("token"))
	if err != nil {
		return spent(err)
	}
	return q.Page("welcome", "Welcome", page{Link: l, Email: l.Email, Name: l.Name})
}

func (d door) accept(q *shell.Ask) error {
	q.W.Header().Set("Referrer-Policy", "no-referrer")
	ctx, token := q.R.Context(), q.R.PathValue("token")
	l, err := d.admins.Link(ctx, token)
	if err != nil {
		return spent(err)
	}
	answer := admins.Answer{Email: strings.TrimSpace(q.R.PostFormValue("email")), Name: strings.TrimSpace(q.R.PostFormValue("name")), Password: q.R.PostFormValue("password")}
	p := page{Link: l, Email: answer.Email, Name: answer.Name}
	if q.R.PostFormValue("again") != answer.Password {
		return d.refused(q, "welcome", "Welcome", p, fault.New(fault.Invalid, "the two passwords are not the same"))
	}
	s, err := d.admins.Use(ctx, token, answer, admins.From(q.R, d.admins.TrustedProxies), q.R.UserAgent())
	if err != nil {
		return d.refused(q, "welcome", "Welcome", p, err)
	}
	enter(q, s, "/")
	return nil
}

// spent is what a link says that is good for nothing any more.
func spent(err error) error {
	if fault.KindOf(err) != fault.NotFound {
		return err
	}
	return fault.New(fault.NotFound, "this link is not good any more").WithHint("it was used, taken back or too old; whoever sent it can send another")
}
