package oidc

import (
	"net/http"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/grants"
)

// userinfo says who an access token is about, as they are now (Core, section 5.3).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	challenge := func(status int, code, description string) {
		h := `Bearer realm="rollcall"`
		if code != "" {
			h += `, error="` + code + `", error_description="` + description + `"`
		}
		w.Header().Set("WWW-Authenticate", h)
		body := map[string]string{"error": code, "error_description": description}
		if code == "" {
			body = map[string]string{} // RFC 6750, section 3.1: who sent none is told no more
		}
		p.json(w, status, body)
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text = strings.TrimSpace(text)
	if r.Method == http.MethodPost && scheme == "" {
		if v, err := form(r); err == nil {
			scheme, text = "Bearer", v["access_token"]
		}
	}
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		challenge(http.StatusUnauthorized, "", "")
		return
	}
	t, g, a, err := p.access(r.Context(), text)
	if fault.KindOf(err) == fault.Denied && err != nil {
		challenge(http.StatusUnauthorized, "invalid_token", err.Error())
		return
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	asked := *g
	if asked.Scopes = strings.Fields(t.Scope); !slices.Contains(asked.Scopes, "openid") {
		challenge(http.StatusForbidden, "insufficient_scope", "the token was not given for openid")
		return
	}
	c, err := p.about(r.Context(), a, &asked, everyGroup)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.json(w, http.StatusOK, c)
}

// revoke ends what a client was given, by any token of it (RFC 7009). It tells
// nobody whether there was anything to end.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	v, err := form(r)
	var c *clients.Client
	if err == nil {
		c, err = p.client(r, v)
	}
	if err == nil && v["token"] == "" {
		err = refused("invalid_request", "token is missing")
	}
	if err == nil {
		if grants.IsRefresh(v["token"]) {
			err = p.Grants.EndToken(r.Context(), c.ID, v["token"])
		} else {
			var t *told
			if t, err = p.verify(r.Context(), typeAccess, v["token"]); err == nil && t != nil {
				err = p.Grants.End(r.Context(), c.ID, t.Grant)
			}
		}
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// introspect tells a server whether a token is good (RFC 7662): a token of its own,
// or one for people it takes.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	v, err := form(r)
	var c *clients.Client
	if err == nil {
		c, err = p.client(r, v)
	}
	if err == nil && c.Type != clients.Confidential {
		err = refused("invalid_client", "this is for clients that have a secret")
	}
	if err == nil && v["token"] == "" {
		err = refused("invalid_request", "token is missing")
	}
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	out, err := p.state(r, c, v["token"])
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.json(w, http.StatusOK, out)
}

func (p *Provider) state(r *http.Request, c *clients.Client, token string) (claims, error) {
	none := claims{"active": false}
	if grants.IsRefresh(token) {
		g, ends, err := p.Grants.OfRefresh(r.Context(), token)
		if err == nil && g.Client == c.ID {
			_, _, err = p.Grants.Check(r.Context(), g.ID)
		}
		if err != nil && fault.KindOf(err) != fault.Denied {
			return nil, err
		}
		if err != nil || g.Client != c.ID {
			return none, nil
		}
		return claims{"active": true, "client_id": g.Client, "sub": g.Account.String(), "scope": strings.Join(g.Scopes, " "), "exp": ends.Unix(), "iss": p.Issuer, "sid": g.Login}, nil
	}
	t, g, a, err := p.access(r.Context(), token)
	if err != nil && fault.KindOf(err) != fault.Denied {
		return nil, err
	}
	if err != nil || g.Client != c.ID && !allowed(c, g.Organization, g.Connection) {
		return none, nil
	}
	return claims{"active": true, "client_id": g.Client, "token_type": "Bearer", "sub": t.Subject, "scope": t.Scope, "exp": t.Expires, "iat": t.IssuedAt, "iss": p.Issuer, "aud": p.Issuer,
		"jti": t.ID, "sid": t.Session, "organization": a.Organization}, nil
}
