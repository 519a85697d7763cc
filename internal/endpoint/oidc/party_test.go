package oidc_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"rollcall.dev/rollcall/internal/store/clients"
)

// A Go application as most are written: coreos/go-oidc and x/oauth2.
func TestAGoApplicationLearnsWhoIsSignedIn(t *testing.T) {
	for _, algorithm := range []string{clients.RS256, clients.ES256} {
		t.Run(algorithm, func(t *testing.T) {
			both(t, func(w *world) {
				ctx := w.Context()
				mux := http.NewServeMux()
				site := httptest.NewServer(mux)
				w.Cleanup(site.Close)
				c, secret := w.application(func(s *clients.Spec) {
					s.RedirectURIs, s.SigningAlgorithm = p([]string{site.URL + "/callback?from=rollcall"}), p(algorithm)
				})
				w.groups("anna", 2)
				provider, err := gooidc.NewProvider(ctx, w.issuer)
				w.must(err)
				config := oauth2.Config{ClientID: c.ID, ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: c.RedirectURIs[0], Scopes: []string{"openid", "profile", "email", "phone", "groups", "offline_access"}}
				proof := oauth2.GenerateVerifier()
				type seen struct {
					Email    string   `json:"email"`
					Verified bool     `json:"email_verified"`
					Name     string   `json:"name"`
					Username string   `json:"preferred_username"`
					Locale   string   `json:"locale"`
					Groups   []string `json:"groups"`
					Roles    []string `json:"roles"`
					Tenant   string   `json:"organization"`
					Session  string   `json:"sid"`
					Methods  []string `json:"amr"`
				}
				var got seen
				var token *oauth2.Token
				mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, r *http.Request) {
					http.Redirect(rw, r, config.AuthCodeURL("some state", oauth2.S256ChallengeOption(proof), gooidc.Nonce("some nonce")), http.StatusFound)
				})
				mux.HandleFunc("GET /callback", func(_ http.ResponseWriter, r *http.Request) {
					q := r.URL.Query()
					if q.Get("state") != "some state" || q.Get("iss") != w.issuer || q.Get("from") != "rollcall" {
						w.Errorf("came back with %v", q)
					}
					var err error
					if token, err = config.Exchange(r.Context(), q.Get("code"), oauth2.VerifierOption(proof)); err != nil {
						w.Errorf("exchange: %v", err)
						return
					}
					raw, _ := token.Extra("id_token").(string)
					id, err := provider.Verifier(&gooidc.Config{ClientID: c.ID, SupportedSigningAlgs: []string{algorithm}}).Verify(r.Context(), raw)
					if err != nil {
						w.Errorf("ID token: %v", err)
						return
					}
					if id.Nonce != "some nonce" || id.Subject != w.ids["anna"].String() || id.VerifyAccessToken(token.AccessToken) != nil {
						w.Errorf("ID token: %+v", id)
					}
					w.must(id.Claims(&got))
				})
				b := w.signed("anna")
				jar, err := cookiejar.New(nil)
				w.must(err)
				at, err := url.Parse(w.issuer)
				w.must(err)
				jar.SetCookies(at, []*http.Cookie{{Name: "rollcall-login", Value: b.Cookie}})
				resp, err := (&http.Client{Jar: jar}).Get(site.URL)
				w.must(err)
				w.must(resp.Body.Close())
				if got.Email != "anna@sun.example" || !got.Verified || got.Name != "Anna Person" || got.Username != "anna" || got.Locale != "nl" || got.Tenant != "sun" || got.Session != b.Login.ID ||
					!slices.Equal(got.Groups, []string{"group-0000", "group-0001"}) || !slices.Equal(got.Roles, []string{"employee"}) || !slices.Equal(got.Methods, []string{"pwd"}) {
					w.Fatalf("it learned %+v", got)
				}
				info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
				w.must(err)
				var more seen
				w.must(info.Claims(&more))
				if info.Subject != w.ids["anna"].String() || more.Email != got.Email || len(more.Groups) != 2 {
					w.Errorf("userinfo: %+v", more)
				}
				// What it was given runs out, and it refreshes by itself.
				w.later(2 * time.Hour)
				next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
				w.must(err)
				if next.RefreshToken == token.RefreshToken || next.AccessToken == token.AccessToken {
					w.Error("a refresh gave the same tokens")
				}
				if _, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token)); err == nil {
					w.Error("an access token that ran out is taken")
				}
				if _, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(next)); err != nil {
					w.Errorf("userinfo after a refresh: %v", err)
				}
			})
		})
	}
}
