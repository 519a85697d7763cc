// Package relying_test has other people's applications sign people in at a served
// installation.
package relying_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/postgres"
	"rollcall.dev/rollcall/internal/rig/relying"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/logins"
)

// site is an installation that serves, on PostgreSQL, with Anna in it.
type site struct {
	*testing.T
	app    *app.App
	issuer string
	anna   *account.Account
}

func serve(t *testing.T) *site {
	t.Helper()
	ctx := t.Context()
	pg, err := postgres.Start(ctx)
	must(t, err)
	t.Cleanup(func() { must(t, pg.Stop()) })
	dsn, err := pg.NewDatabase(ctx)
	must(t, err)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	must(t, err)
	listen := l.Addr().String()
	must(t, l.Close())
	s := &site{T: t, issuer: "http://" + listen}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rollcall.yaml": fmt.Sprintf("listen: %s\npublic_url: %s\ndatabase: %s\nkey_file: key\nlog: {level: error}\nwebhooks: {allow_private: [127.0.0.0/8]}\norganizations: [{id: sun, name: Sun}]\nconnections:\n  - {alias: sun-hq, organization: sun, role: employee, backend: {csv: {path: sun.csv, key: username, passwords: none}}}\n", listen, s.issuer, dsn),
		"sun.csv":       "username,email,first_name,last_name,language\nanna,anna@sun.example,Anna,Person,nl\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	s.app, err = app.Open(ctx, filepath.Join(dir, "rollcall.yaml"), nil)
	must(t, err)
	t.Cleanup(func() { must(t, s.app.Close()) })
	c, err := s.app.Registry.Connection(ctx, "sun-hq")
	must(t, err)
	_, err = s.app.Engine.Sync(ctx, c, engine.Options{Trigger: "test", Actor: "test"})
	must(t, err)
	must(t, s.app.Store.AccountTable.List(ctx, accounts.Filter{}, func(a *account.Account) error { s.anna = a; return nil }))
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- s.app.Serve(running, "test", t.Output(), nil, os.LookupEnv, func(at string) { ready <- at })
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func p[T any](v T) *T { return &v }

// register makes a client that may ask for everything.
func (s *site) register(kind clients.Type, redirect, bye, backchannel string) (id, secret string) {
	s.Helper()
	spec := clients.Spec{Type: kind, OIDCClientPatchInput: client.OIDCClientPatchInput{Name: p("Party"), RedirectURIs: &[]string{redirect}, Scopes: p(clients.Scopes())}}
	if bye != "" {
		spec.PostLogoutRedirectURIs = &[]string{bye}
	}
	if backchannel != "" {
		spec.BackchannelLogoutURI = &backchannel
	}
	c, secret, err := s.app.Store.ClientTable.Create(s.Context(), "", spec, "tester")
	must(s.T, err)
	return c.ID, secret
}

// signIn gives what Anna's browser holds.
func (s *site) signIn() *logins.Login {
	s.Helper()
	l, err := s.app.Store.LoginTable.Open(s.Context(), logins.Login{Organization: "sun", Connection: "sun-hq", Account: s.anna.ID, Methods: []string{"pwd"}})
	must(s.T, err)
	return l
}

func TestRelyingParties(t *testing.T) {
	s := serve(t)
	t.Run("openid-client", func(t *testing.T) {
		for _, kind := range []clients.Type{clients.Confidential, clients.Public} {
			id, secret := s.register(kind, "https://app.example/callback", "https://app.example/bye", "")
			var saw struct {
				Claims, Info                         map[string]any
				Refreshed, Mixup, Revoked, Bye, Gone string
				Rotated                              bool
				Active                               *bool
				Expires                              int
			}
			must(t, relying.Party(t.Context(), map[string]string{"issuer": s.issuer, "client_id": id, "client_secret": secret, "redirect_uri": "https://app.example/callback",
				"post_logout_redirect_uri": "https://app.example/bye", "cookie": "rollcall-login=" + s.signIn().Token}, &saw))
			sub := s.anna.ID.String()
			if saw.Claims["sub"] != sub || saw.Info["email"] != "anna@sun.example" || saw.Refreshed != sub || !saw.Rotated || saw.Expires < 500 {
				t.Errorf("%s: %+v", kind, saw)
			}
			if kind == clients.Confidential && (saw.Active == nil || !*saw.Active) {
				t.Errorf("introspection: %v", saw.Active)
			}
			if saw.Mixup == "" || saw.Mixup == "taken" || saw.Revoked != "invalid_grant" || saw.Bye != "https://app.example/bye?state=bye" || saw.Gone != "login_required" {
				t.Errorf("%s: %+v", kind, saw)
			}
		}
	})
	t.Run("mod_auth_openidc", s.apache)
	t.Run("oidc-provider", s.reference)
}

// page is what a browser got, and where.
type page struct {
	status int
	header http.Header
	at     string
	text   string
}

// apache is a site of static pages for who signed in, and who is signed out of it by
// us.
func (s *site) apache(t *testing.T) {
	a, err := relying.StartApache(t.Context(), func(a *relying.Apache) (relying.Application, error) {
		id, secret := s.register(clients.Confidential, a.Callback, a.Bye, a.Callback+"?logout=backchannel")
		return relying.Application{Issuer: s.issuer, ClientID: id, Secret: secret}, nil
	})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(a.Complaints())
		}
		must(t, a.Stop())
	})
	l := s.signIn()
	jar, err := cookiejar.New(nil)
	must(t, err)
	at, err := url.Parse(s.issuer)
	must(t, err)
	jar.SetCookies(at, []*http.Cookie{{Name: "rollcall-login", Value: l.Token, Path: "/"}})
	// ask is a browser that follows redirects, or does not.
	ask := func(to string, follow bool) (got page) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		must(t, err)
		r.Header.Set("Accept", "text/html") // to others the module answers 401
		c := &http.Client{Jar: jar}
		if !follow {
			c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		}
		resp, err := c.Do(r)
		must(t, err)
		defer resp.Body.Close() //nolint:errcheck // read to its end
		text, err := io.ReadAll(resp.Body)
		must(t, err)
		return page{resp.StatusCode, resp.Header, resp.Request.URL.String(), string(text)}
	}
	get := func(to string) page { t.Helper(); return ask(to, true) }
	got := get(a.URL + "/app/index.html")
	if got.status != 200 || got.text != "hello" || got.header.Get("X-Remote-User") != "anna@sun.example" {
		t.Fatalf("%d %s %v", got.status, got.text, got.header)
	}
	// The account's login ends: Apache is told, and its own session with it.
	must(t, s.app.Store.DB.Write(t.Context(), func(tx *db.Tx) error { return s.app.Store.LoginTable.End(t.Context(), tx, l.ID) }))
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		var done int
		var failure string
		must(t, s.app.Store.DB.Reader().QueryRowContext(t.Context(), `SELECT done_at, error FROM logouts WHERE login = $1`, l.ID).Scan(&done, &failure))
		if failure != "" {
			t.Fatalf("it refused the logout token: %s", failure)
		}
		if done > 0 {
			tick.Stop()
			break
		}
	}
	got = ask(a.URL+"/app/index.html", false)
	if to := got.header.Get("Location"); got.status != http.StatusFound || !strings.HasPrefix(to, s.issuer+"/oauth2/authorize") {
		t.Errorf("after the back-channel logout: %d to %q", got.status, to)
	}
	// And the other way: who signs out there is signed out here.
	l = s.signIn()
	jar.SetCookies(at, []*http.Cookie{{Name: "rollcall-login", Value: l.Token, Path: "/"}})
	if got := get(a.URL + "/app/index.html"); got.status != 200 {
		t.Fatalf("once more: %d", got.status)
	}
	if got := get(a.Callback + "?logout=" + url.QueryEscape(a.Bye)); got.text != "bye" {
		t.Errorf("signing out ends at %s: %s", got.at, got.text)
	}
	if _, _, err := s.app.Store.LoginTable.Check(t.Context(), l.Token); err == nil {
		t.Error("who signed out at Apache is still signed in here")
	}
}

// looked is what a provider answered, by section and question.
type looked map[string]map[string]any

// different are the answers in which we are not like the certified provider, and why
// not. What is not here has to be the same, letter by letter.
var different = map[string]string{
	"authorize: implicit":             "they answer in the fragment, as that response type asks; we never put anything there",
	"authorize: no redirect URI":      "they take the only one there is; we compare what is given (Core, section 3.1.2.1: REQUIRED)",
	"authorize: no scope":             "RFC 6749, section 3.3: an invalid scope",
	"authorize: scope without openid": "the same",
	"authorize: response_mode":        "their unsupported_response_mode is registered nowhere",
	"token: no client":                "RFC 6749, section 5.2: invalid_client where \"no client authentication\" is included",

	"discovery: authorization_endpoint": "another path", "discovery: end_session_endpoint": "another path", "discovery: introspection_endpoint": "another path", "discovery: jwks_uri": "another path",
	"discovery: revocation_endpoint": "another path", "discovery: token_endpoint": "another path", "discovery: userinfo_endpoint": "another path",
	"discovery: claim_types_supported":                            "groups that are too many for a token are distributed claims",
	"discovery: claims_supported":                                 "theirs are those of the test; ours say all there are",
	"discovery: scopes_supported":                                 "the same",
	"discovery: dpop_signing_alg_values_supported":                "we have no DPoP",
	"discovery: pushed_authorization_request_endpoint":            "we take no pushed requests",
	"discovery: grant_types_supported":                            "no implicit flow",
	"discovery: response_types_supported":                         "the same",
	"discovery: response_modes_supported":                         "the same",
	"discovery: id_token_signing_alg_values_supported":            "their ES256 is not switched on",
	"discovery: token_endpoint_auth_methods_supported":            "secrets are not used as keys, nor are there keys of clients",
	"discovery: token_endpoint_auth_signing_alg_values_supported": "the same",
	"discovery: introspection_endpoint_auth_methods_supported":    "they leave it out; RFC 8414 has it",
	"discovery: revocation_endpoint_auth_methods_supported":       "the same",
	"discovery: prompt_values_supported":                          "Initiating User Registration 1.0, section 4.2",

	"good: claims":    "they keep ID tokens to who it is; most applications read e-mail address and name there and ask no further",
	"good: refreshed": "the same; and the nonce is left out of what answers no request (Core, section 12.2)",
	"good: header":    "we say typ, so that no other kind of token is taken for an ID token",
	"good: userinfo":  "ours say the tenant",
}

func (s *site) reference(t *testing.T) {
	id, secret := s.register(clients.Confidential, "https://app.example/callback", "", "")
	var ours, theirs looked
	must(t, relying.Look(t.Context(), map[string]string{"issuer": s.issuer, "client_id": id, "client_secret": secret, "redirect_uri": "https://app.example/callback", "cookie": "rollcall-login=" + s.signIn().Token}, &ours))
	must(t, relying.Look(t.Context(), map[string]string{}, &theirs))
	seen := map[string]bool{}
	for _, section := range slices.Sorted(maps.Keys(theirs)) {
		questions := slices.Sorted(maps.Keys(theirs[section]))
		for q := range ours[section] {
			if !slices.Contains(questions, q) {
				questions = append(questions, q)
			}
		}
		for _, q := range questions {
			name := section + ": " + q
			same := reflect.DeepEqual(ours[section][q], theirs[section][q])
			_, known := different[name]
			seen[name] = true
			if same == known {
				t.Errorf("%s (known: %v)\nours   %v\ntheirs %v", name, known, ours[section][q], theirs[section][q])
			}
		}
	}
	for name := range different {
		if !seen[name] {
			t.Errorf("nobody answered %s", name)
		}
	}
}
