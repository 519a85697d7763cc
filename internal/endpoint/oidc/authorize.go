package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/grants"
	"rollcall.dev/rollcall/internal/store/logins"
)

// authorize takes a client's wish to know who somebody is.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	list, err := parameters(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	c, uri, err := p.party(r.Context(), list)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	req, err := p.read(r.Context(), c, uri, list)
	if err != nil {
		p.tell(w, r, uri, list["state"], err)
		return
	}
	if r.Method == http.MethodPost {
		// A form of another site brings no cookie (SameSite); the address it leads to does.
		p.onward(w, r, req, func(sealed string) string { return p.base + "/oauth2/continue?begin=1&request=" + sealed })
		return
	}
	p.begin(w, r, c, req)
}

// begin answers at once where somebody fitting is signed in, and has them sign in
// where not.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request, c *clients.Client, req *request) {
	l, a, err := p.who(r)
	if err != nil {
		p.tell(w, r, req.Redirect, []string{req.State}, err)
		return
	}
	if l != nil && !req.Fresh && p.unfit(c, req, l, a) == fits {
		p.give(w, r, c, req, l)
		return
	}
	if req.Silent {
		p.tell(w, r, req.Redirect, []string{req.State}, refused("login_required", "nobody fitting is signed in"))
		return
	}
	p.signIn(w, r, c, req)
}

// proceed goes on after somebody signed in.
func (p *Provider) proceed(w http.ResponseWriter, r *http.Request) {
	req, err := p.unseal(r.URL.Query().Get("request"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	// The client may have been changed or taken away meanwhile.
	c, _, err := p.party(r.Context(), url.Values{"client_id": {req.Client}, "redirect_uri": {req.Redirect}})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if r.URL.Query().Get("begin") != "" {
		p.begin(w, r, c, req)
		return
	}
	l, a, err := p.who(r)
	if err != nil {
		p.tell(w, r, req.Redirect, []string{req.State}, err)
		return
	}
	if l == nil {
		p.signIn(w, r, c, req)
		return
	}
	if why := p.unfit(c, req, l, a); why != fits {
		// Not at once: a page that sends people on who are signed in would send them
		// round in circles.
		p.another(w, r, c, req, a, why)
		return
	}
	p.give(w, r, c, req, l)
}

// who is signed in in the browser that asks, nil for nobody.
func (p *Provider) who(r *http.Request) (*logins.Login, *account.Account, error) {
	cookie, err := r.Cookie(p.cookie)
	if err != nil {
		return nil, nil, nil
	}
	l, a, err := p.Logins.Check(r.Context(), cookie.Value)
	if fault.KindOf(err) == fault.Denied && err != nil {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return l, a, nil
}

// fit says whether a login answers a request, or why not.
type fit int

const (
	fits     fit = iota
	stranger     // of a connection or an organization that the client does not take, or did not ask for
	other        // somebody else than was asked for
	stale        // signed in too long ago
)

func (p *Provider) unfit(c *clients.Client, req *request, l *logins.Login, a *account.Account) fit {
	asked := time.UnixMicro(req.At)
	switch {
	case !allowed(c, l.Organization, l.Connection), a.Organization != l.Organization,
		req.Connection != "" && req.Connection != l.Connection, req.Organization != "" && req.Organization != l.Organization:
		return stranger
	case req.Subject != "" && req.Subject != a.ID.String():
		return other
	case !l.AuthAt.Before(asked): // they signed in for this
		return fits
	case req.Fresh, req.MaxAge != nil && p.Now().Sub(l.AuthAt) > time.Duration(*req.MaxAge)*time.Second:
		return stale
	}
	return fits
}

// signIn sends somebody to the page where they sign in and come back.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, c *clients.Client, req *request) {
	p.onward(w, r, req, func(sealed string) string { return p.door(c, req, sealed) })
}

func (p *Provider) onward(w http.ResponseWriter, r *http.Request, req *request, to func(sealed string) string) {
	sealed, err := p.seal(req)
	if err != nil {
		p.tell(w, r, req.Redirect, []string{req.State}, err)
		return
	}
	redirect(w, to(sealed))
}

// door is the address of the page where somebody signs in.
func (p *Provider) door(c *clients.Client, req *request, sealed string) string {
	next := "/oauth2/continue?request=" + sealed
	if req.Fresh || req.MaxAge != nil {
		next += "&fresh=yes" // see login.Fresh
	}
	path, query := "/login", url.Values{"next": {next}}
	switch alias := req.Connection; {
	case alias != "":
		path += "/" + url.PathEscape(alias)
	case len(c.Connections) == 1:
		path += "/" + url.PathEscape(c.Connections[0])
	case req.Organization != "":
		query.Set("organization", req.Organization)
	}
	if req.Hint != "" {
		query.Set("login_hint", req.Hint)
	}
	return p.base + path + "?" + query.Encode()
}

// give hands the client a code for who is signed in.
func (p *Provider) give(w http.ResponseWriter, r *http.Request, c *clients.Client, req *request, l *logins.Login) {
	g := &grants.Grant{Client: c.ID, Login: l.ID, Organization: l.Organization, Connection: l.Connection, Account: l.Account, Methods: l.Methods, AuthAt: authAt(l),
		Scopes: strings.Fields(req.Scope), Nonce: req.Nonce, RedirectURI: req.Redirect, Challenge: req.Challenge, EndsAt: l.EndsAt}
	if g.Offline = slices.Contains(g.Scopes, clients.OfflineAccess); g.Offline {
		g.EndsAt = p.Now().Add(time.Duration(c.RefreshMaxSeconds) * time.Second)
	}
	code, err := p.Grants.Create(r.Context(), g)
	if fault.KindOf(err) == fault.Denied && err != nil {
		err = refused("login_required", "nobody fitting is signed in")
	}
	if err != nil {
		p.tell(w, r, req.Redirect, []string{req.State}, err)
		return
	}
	redirect(w, p.answer(req.Redirect, req.State, url.Values{"code": {code}}))
}

// authAt is when somebody proved who they are, as far as is known.
func authAt(l *logins.Login) time.Time {
	if l.AuthAt.IsZero() {
		return l.CreatedAt
	}
	return l.AuthAt
}

// answer is the address at which a client gets an answer, which says who gives it
// (RFC 9207): a client of several providers cannot take it for another one's.
func (p *Provider) answer(uri, state string, with url.Values) string {
	if state != "" {
		with.Set("state", state)
	}
	with.Set("iss", p.Issuer)
	sign := "?"
	if strings.Contains(uri, "?") {
		sign = "&"
	}
	return uri + sign + with.Encode()
}

// redirect sends a browser on; what it sent it does not send again (RFC 9700,
// section 4.12).
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// tell gives a client an error at its registered address.
func (p *Provider) tell(w http.ResponseWriter, r *http.Request, uri string, state []string, err error) {
	var e *oauthError
	if !errors.As(err, &e) {
		p.Log.Error("an authorization request failed", "path", r.URL.Path, "error", err.Error())
		e = &oauthError{"server_error", "something went wrong inside the server"}
		if fault.KindOf(err) == fault.Unavailable {
			e = &oauthError{"temporarily_unavailable", "try again later"}
		}
	}
	with := ""
	if len(state) == 1 && len(state[0]) <= longest["state"] {
		with = state[0]
	}
	redirect(w, p.answer(uri, with, url.Values{"error": {e.code}, "error_description": {e.description}}))
}
