// Package oidc starts a real OpenID Connect provider on loopback, the certified
// oidc-provider for node, and hands its issuer and a way to sign in there to tests.
package oidc

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"rollcall.dev/rollcall/internal/rig/npm"
)

const provider = "oidc-provider@9.13.3"

//go:embed provider.mjs
var script []byte

// Options of a provider.
type Options struct {
	ClientID, Secret string
	Redirect         string
	// Thin leaves everything but who the person is out of ID tokens.
	Thin bool
}

// Server is a running provider.
type Server struct {
	*npm.Process
	Issuer string
}

// Start brings a provider up. It ends with Stop, or with the process that started it.
func Start(ctx context.Context, o Options) (*Server, error) {
	client, err := json.Marshal(map[string]any{"client_id": o.ClientID, "client_secret": o.Secret, "redirect_uris": []string{o.Redirect}, "response_types": []string{"code"}, "grant_types": []string{"authorization_code"}})
	if err != nil {
		return nil, err
	}
	thin := ""
	if o.Thin {
		thin = "1"
	}
	p, issuer, err := npm.Begin(ctx, npm.Script{Name: "oidc", Packages: []string{provider}, Main: script, Env: []string{"CLIENT=" + string(client), "THIN=" + thin}}, "issuer ")
	if err != nil {
		return nil, err
	}
	return &Server{p, issuer}, nil
}

// Rotate makes the provider sign with another key, and forget the one before.
func (s *Server) Rotate() error {
	if err := s.Tell("rotate"); err != nil {
		return err
	}
	_, err := s.Answer("rotated")
	return err
}

var action = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)

// SignIn goes to an address as a browser would, signs in there as somebody, agrees
// to what is asked, and gives the query of the address it is sent back to.
func (s *Server) SignIn(ctx context.Context, address, as string) (url.Values, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	var back url.Values
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), s.Issuer) {
			back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	for step := 0; err == nil && step < 5; step++ {
		res, failed := browser.Do(req)
		if failed != nil {
			return nil, fmt.Errorf("oidc rig: %w", failed)
		}
		page, failed := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if failed != nil {
			return nil, fmt.Errorf("oidc rig: %w", failed)
		}
		if back != nil {
			return back, nil
		}
		form := action.FindSubmatch(page)
		if form == nil {
			return nil, fmt.Errorf("oidc rig: %s: there is no form on the page: %s", res.Status, page)
		}
		to, failed := res.Request.URL.Parse(string(form[1]))
		if failed != nil {
			return nil, failed
		}
		prompt := "login"
		if strings.Contains(string(page), `value="consent"`) {
			prompt = "consent"
		}
		fields := url.Values{"prompt": {prompt}, "login": {as}, "password": {"x"}}
		if req, err = http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(fields.Encode())); err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	return nil, errors.Join(errors.New("oidc rig: it never came back"), err)
}
