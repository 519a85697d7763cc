package oidc

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/logins"
)

// leaving is somebody's wish to sign out, sealed in the form that asks whether they
// mean it: good for one login, so nobody signs somebody else out by it.
type leaving struct {
	At    int64  `json:"t"`
	Login string `json:"l"`
	To    string `json:"u,omitempty"` // the address to go on to, state and all
}

const leavingPurpose = "oidc logout"

// logout signs somebody out at a client's wish (RP-Initiated Logout 1.0). Without an
// ID token of this very login anybody could have sent them here, and they are asked.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	list, err := parameters(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v, twice := single(list)
	if twice != "" {
		p.fail(w, r, fault.New(fault.Invalid, "a parameter stands there twice"))
		return
	}
	c, hint, err := p.leaver(r, v)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	to := ""
	if uri := v["post_logout_redirect_uri"]; uri != "" {
		if c == nil || !slices.Contains(c.PostLogoutRedirectURIs, uri) {
			p.fail(w, r, fault.New(fault.Invalid, "the application wants you back at an address that was not registered for it").
				WithHint("nobody was signed out; tell who looks after the application: it names itself by id_token_hint or client_id, and the address is compared letter by letter"))
			return
		}
		to = uri
		if state := v["state"]; state != "" {
			sign := "?"
			if strings.Contains(uri, "?") {
				sign = "&"
			}
			to += sign + url.Values{"state": {state}}.Encode()
		}
	}
	l, _, err := p.who(r)
	switch {
	case err != nil:
		p.fail(w, r, err)
	case l == nil:
		p.left(w, r, to)
	case hint != nil && hint.Session == l.ID && hint.Subject == l.Account.String():
		p.end(w, r, l, to)
	default:
		p.ask(w, r, c, l, to)
	}
}

// leaver says which client asks for a sign-out, and whom it means; either may be nil.
func (p *Provider) leaver(r *http.Request, v values) (*clients.Client, *told, error) {
	for name, most := range map[string]int{"id_token_hint": longest["id_token_hint"], "state": longest["state"], "client_id": longestOther, "post_logout_redirect_uri": 1024} {
		if len(v[name]) > most || !utf8.ValidString(v[name]) || strings.ContainsRune(v[name], 0) {
			return nil, nil, fault.New(fault.Invalid, "%s is too long, or no text", name)
		}
	}
	id := v["client_id"]
	var hint *told
	if text := v["id_token_hint"]; text != "" {
		var err error
		if hint, err = p.hint(r.Context(), text); err != nil {
			return nil, nil, err
		}
		if hint != nil && id != "" && hint.Client() != id {
			hint = nil // "the OP MUST verify that the Client Identifier matches" (section 2)
		}
		if hint != nil {
			id = hint.Client()
		}
	}
	if id == "" {
		return nil, hint, nil
	}
	c, err := p.Clients.Get(r.Context(), "", id)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, nil, err
	}
	if err != nil {
		return nil, nil, nil //nolint:nilerr // a client there is not: nobody who could ask for anything
	}
	return c, hint, nil
}

// ask has somebody say that they mean it.
func (p *Provider) ask(w http.ResponseWriter, r *http.Request, c *clients.Client, l *logins.Login, to string) {
	plain, err := json.Marshal(leaving{At: p.Now().UnixMicro(), Login: l.ID, To: to})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	sealed, err := p.Ring.Seal(leavingPurpose, plain)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page := page{Title: "Sign out?", Form: p.base + "/oauth2/logout/agree", Sealed: base64.RawURLEncoding.EncodeToString(sealed), Button: "Sign out",
		Text: "You are about to sign out of all applications that you signed in to here."}
	if c != nil {
		page.Text = c.Name + " asks you to sign out, which you then are of all applications that you signed in to here."
	}
	p.show(w, http.StatusOK, page, to)
}

// agree takes the answer.
func (p *Provider) agree(w http.ResponseWriter, r *http.Request) {
	again := fault.New(fault.Denied, "this page is too old, or was not meant for you").WithHint("go back to the application and sign out once more")
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		p.fail(w, r, again)
		return
	}
	v, err := form(r)
	if err != nil {
		p.fail(w, r, again)
		return
	}
	sealed, err := base64.RawURLEncoding.DecodeString(v["leaving"])
	if err == nil {
		sealed, err = p.Ring.Open(leavingPurpose, sealed)
	}
	var wish leaving
	if err != nil || json.Unmarshal(sealed, &wish) != nil || p.Now().Sub(time.UnixMicro(wish.At)) > requestLife {
		p.fail(w, r, again)
		return
	}
	l, _, err := p.who(r)
	switch {
	case err != nil:
		p.fail(w, r, err)
	case l == nil:
		p.left(w, r, wish.To)
	case l.ID != wish.Login:
		p.fail(w, r, again)
	default:
		p.end(w, r, l, wish.To)
	}
}

// end signs a login out: clients that were told of it are told that too.
func (p *Provider) end(w http.ResponseWriter, r *http.Request, l *logins.Login, to string) {
	if err := p.signOut(r, l); err != nil {
		p.fail(w, r, err)
		return
	}
	p.left(w, r, to)
}

func (p *Provider) signOut(r *http.Request, l *logins.Login) error {
	if cookie, err := r.Cookie(p.cookie); err == nil && p.SignedOut != nil {
		return p.SignedOut(r.Context(), cookie.Value)
	}
	return p.Logins.DB.Write(r.Context(), func(tx *db.Tx) error { return p.Logins.End(r.Context(), tx, l.ID) })
}

// left is for who is signed out.
func (p *Provider) left(w http.ResponseWriter, r *http.Request, to string) {
	if _, err := r.Cookie(p.cookie); err == nil {
		http.SetCookie(w, &http.Cookie{Name: p.cookie, Path: "/", MaxAge: -1, Secure: p.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	if to != "" {
		redirect(w, to)
		return
	}
	p.show(w, http.StatusOK, page{Title: "You are signed out", Text: "Applications that you signed in to from here are told."}, "")
}
