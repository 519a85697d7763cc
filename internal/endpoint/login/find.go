package login

import (
	"net/http"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/signin"
)

// findPage asks who somebody is, or lets them choose where they sign in.
type findPage struct {
	Login   string
	Company string
	Choices []choice
}

type choice struct {
	signin.Place
	Href string
}

// find leads to where somebody signs in: by organization, or to the only place there
// is; otherwise it asks for an e-mail address.
func (p *pages) find(q *ask) error {
	ctx, given := q.r.Context(), q.r.URL.Query()
	login := hint(given.Get("login_hint"))
	var places []signin.Place
	var err error
	if o := given.Get("organization"); o != "" {
		places, err = p.SignIn.Places(ctx, o)
	} else if places, err = p.SignIn.ByDomain(ctx, domain(login)); err == nil && len(places) == 0 {
		places, err = p.SignIn.ByDomain(ctx, "")
	}
	if err != nil {
		return err
	}
	if len(places) == 1 {
		q.redirect(address(places[0], login, q.next()))
		return nil
	}
	return q.choose(http.StatusOK, login, places, nil)
}

func (q *ask) choose(status int, login string, places []signin.Place, t *trouble) error {
	f := findPage{Login: login}
	for _, place := range places {
		f.Company = place.Company
		f.Choices = append(f.Choices, choice{place, address(place, login, q.next())})
	}
	return q.page(status, "find", "Sign in", f, t)
}

// found takes the e-mail address, and shows the form it leads to.
func (p *pages) found(q *ask) error {
	login := hint(q.r.PostFormValue("login"))
	of := domain(login)
	if of == "" {
		return q.choose(http.StatusUnprocessableEntity, login, nil, &trouble{"This is no e-mail address.", "Type the one you have at work, such as name@example.com."})
	}
	places, err := p.SignIn.ByDomain(q.r.Context(), of)
	if err != nil {
		return err
	}
	switch len(places) {
	case 0:
		return q.choose(http.StatusNotFound, login, nil, &trouble{"We do not know where people with an address at " + of + " sign in.",
			"Check the address; or ask whoever invited you for the address of your company's page."})
	case 1:
		if places[0].Provider {
			return p.toProvider(q, &places[0], login)
		}
		// The form, and no address: what people type is kept out of addresses.
		return q.signInForm(http.StatusOK, &places[0], login, nil)
	}
	return q.choose(http.StatusOK, login, places, nil)
}

func domain(login string) string {
	i := strings.LastIndexByte(login, '@')
	if i <= 0 || i == len(login)-1 {
		return ""
	}
	return strings.ToLower(login[i+1:])
}

// address is where a place's form is.
func address(place signin.Place, login, next string) string {
	organization := ""
	if place.Alias == account.Local {
		organization = place.Organization
	}
	return "/login/" + place.Alias + query("organization", organization, "login_hint", login, "next", next)
}
