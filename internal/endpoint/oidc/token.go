package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/grants"
)

// token gives a client tokens for a code, or for a refresh token.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	v, err := form(r)
	if err == nil {
		var c *clients.Client
		if c, err = p.client(r, v); err == nil {
			var out *tokens
			switch v["grant_type"] {
			case "authorization_code":
				out, err = p.redeem(r, c, v)
			case "refresh_token":
				out, err = p.refresh(r, c, v)
			case "":
				err = refused("invalid_request", "grant_type is missing")
			default:
				err = refused("unsupported_grant_type", "grant_type is authorization_code or refresh_token")
			}
			if err == nil {
				p.json(w, http.StatusOK, out)
				return
			}
		}
	}
	p.refuse(w, r, err)
}

// form are the parameters of a POST, which stand in its body alone.
func form(r *http.Request) (values, error) {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return nil, refused("invalid_request", "the body is application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return nil, refused("invalid_request", "the body cannot be read, or is too large")
	}
	v, twice := single(r.PostForm)
	if twice != "" {
		return nil, refused("invalid_request", "a parameter stands there twice")
	}
	return v, nil
}

var errGrant = refused("invalid_grant", "it is not valid, or not any more")

// redeem is for a code: the same client, the same address, and who holds the
// verifier of the challenge (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
func (p *Provider) redeem(r *http.Request, c *clients.Client, v values) (*tokens, error) {
	if v["code"] == "" {
		return nil, refused("invalid_request", "code is missing")
	}
	given, err := p.Grants.Redeem(r.Context(), v["code"], idle(c), func(g *grants.Grant) error {
		switch {
		case g.Client != c.ID, g.RedirectURI != v["redirect_uri"], !allowed(c, g.Organization, g.Connection):
			return errGrant
		case g.Challenge == "" && v["code_verifier"] != "":
			// Who has a verifier sent a challenge: somebody took it out on the way (RFC 9700,
			// section 4.8.2).
			return errGrant
		case g.Challenge != "" && !proves(v["code_verifier"], g.Challenge):
			return errGrant
		}
		return nil
	})
	if err != nil {
		return nil, denied(err)
	}
	return p.issue(r, c, given, given.Scopes, true)
}

func idle(c *clients.Client) time.Duration { return time.Duration(c.RefreshIdleSeconds) * time.Second }

// proves reports whether a verifier is that of a challenge.
func proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 { // RFC 7636, section 4.1
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// refresh is for a refresh token, which is worth nothing afterwards.
func (p *Provider) refresh(r *http.Request, c *clients.Client, v values) (*tokens, error) {
	if v["refresh_token"] == "" {
		return nil, refused("invalid_request", "refresh_token is missing")
	}
	var scopes []string
	given, err := p.Grants.Refresh(r.Context(), v["refresh_token"], idle(c), func(g *grants.Grant) error {
		if g.Client != c.ID || !allowed(c, g.Organization, g.Connection) {
			return errGrant
		}
		// What was taken from the client meanwhile is not given again.
		scopes = nil
		for _, s := range g.Scopes {
			if slices.Contains(c.Scopes, s) {
				scopes = append(scopes, s)
			}
		}
		if wanted := strings.Fields(v["scope"]); len(wanted) > 0 {
			for _, s := range wanted {
				if !slices.Contains(g.Scopes, s) {
					return refused("invalid_scope", "scope holds more than was given at first")
				}
			}
			scopes = slices.DeleteFunc(scopes, func(s string) bool { return !slices.Contains(wanted, s) })
		}
		if !slices.Contains(g.Scopes, clients.OfflineAccess) || !slices.Contains(c.Scopes, clients.OfflineAccess) {
			return errGrant
		}
		return nil
	})
	if err != nil {
		return nil, denied(err)
	}
	return p.issue(r, c, given, scopes, false)
}

// issue makes the tokens of what a code or a refresh token was good for. It does not
// look at the grant once more: one who came second may have ended it meanwhile, and
// what is given here is worth nothing then.
func (p *Provider) issue(r *http.Request, c *clients.Client, g *grants.Given, scopes []string, first bool) (*tokens, error) {
	a := g.Of
	if !g.Offline {
		var err error
		if _, a, err = p.Logins.Session(r.Context(), g.Login); err != nil {
			return nil, denied(err)
		}
	}
	out, err := p.mint(r.Context(), c, g.Grant, a, scopes, first)
	if err != nil {
		return nil, err
	}
	if out.Refresh = g.Refresh; !slices.Contains(scopes, "openid") {
		out.ID = ""
	}
	return out, nil
}

// denied is what a client is told of a fault.Denied.
func denied(err error) error {
	var e *oauthError
	if !errors.As(err, &e) && fault.KindOf(err) == fault.Denied {
		return errGrant
	}
	return err
}

// refuse answers a client that asked by itself (RFC 6749, section 5.2).
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, e := http.StatusBadRequest, (*oauthError)(nil)
	var late *tooManyError
	switch {
	case errors.As(err, &late):
		w.Header().Set("Retry-After", late.after())
		status, e = http.StatusTooManyRequests, &oauthError{"invalid_client", "too many failed tries, wait for as long as Retry-After says"}
	case errors.As(err, &e):
		if e.code == "invalid_client" {
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", `Basic realm="rollcall", charset="UTF-8"`)
		}
	default:
		p.Log.Error("a client could not be answered", "path", r.URL.Path, "error", err.Error())
		status, e = http.StatusInternalServerError, &oauthError{"server_error", "something went wrong inside the server"}
		if fault.KindOf(err) == fault.Unavailable {
			status, e = http.StatusServiceUnavailable, &oauthError{"temporarily_unavailable", "try again later"}
		}
	}
	p.json(w, status, map[string]string{"error": e.code, "error_description": e.description})
}
