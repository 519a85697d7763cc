// Package upstream_test has people sign in at their company's own provider: a real
// one, before a directory with real people, and everything of ours in between.
package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/rig/company"
	"rollcall.dev/rollcall/internal/rig/oidc"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/accounts"
	pushing "rollcall.dev/rollcall/internal/store/pushed"
)

// site is a server whose connection "hq" has a provider, and one browser.
type site struct {
	*testing.T
	base     string
	app      *app.App
	provider *oidc.Server
	browser  *http.Client
	who      string // somebody the directory knows, by username
}

func begin(t *testing.T) *site {
	t.Helper()
	return with(t, false)
}

// with is begin where the people come from a directory, or are pushed by a client.
func with(t *testing.T, pushed bool) *site {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, base: "http://" + listen}
	if s.provider, err = oidc.Start(t.Context(), oidc.Options{ClientID: "rollcall", Secret: "a secret of the client's", Redirect: s.base + "/login/callback/hq"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.provider.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := company.Start(people.Options{People: 30, Groups: 2, LargestGroup: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(t.TempDir(), "rollcall.yaml")
	text := fmt.Sprintf(`listen: %[1]s
public_url: http://%[1]s
log: {level: error}
webhooks: {allow_private: true}
organizations: [{id: sample, name: Sample Company}]
connections:
  - alias: hq
    organization: sample
    backend:
      %[3]s:
        authentication: {provider: {issuer: "%[2]s", client_id: rollcall, client_secret: "a secret of the client's", claim: preferred_username}}
`, listen, s.provider.Issuer, map[bool]string{true: "scim", false: "ldap"}[pushed])
	if !pushed {
		text += fmt.Sprintf("        addr: %s\n        bind_dn: %s\n        bind_password: %s\n        base_dn: %s\n", c.URL, c.BindDN, c.Password, c.Suffix)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.app, err = app.Open(t.Context(), path, os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	if pushed {
		err = s.app.Store.Pushed.Write(t.Context(), "hq", func(tx *pushing.Tx) error {
			_, err := tx.Create(scim.User, scim.Object{"userName": "jo@sun.example", "active": true, "name": scim.Object{"givenName": "Jo", "familyName": "Doe"}, "emails": []any{scim.Object{"value": "jo@sun.example", "type": "work"}}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	conn, err := s.app.Registry.Connection(t.Context(), "hq")
	if err == nil {
		_, err = s.app.Engine.Sync(t.Context(), conn, engine.Options{Actor: "test", Trigger: "manual"})
	}
	if err == nil {
		err = s.app.Store.AccountTable.List(t.Context(), accounts.Filter{Status: account.Active, Limit: 1}, func(a *account.Account) error {
			s.who = a.Text[account.Username]
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served, ready := make(chan error, 1), make(chan string, 1)
	go func() {
		served <- s.app.Serve(ctx, "test", io.Discard, nil, os.LookupEnv, func(a string) { ready <- a })
	}()
	select {
	case <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := s.app.Close(); err != nil {
			t.Error(err)
		}
	})
	s.fresh()
	return s
}

// fresh takes another browser.
func (s *site) fresh() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.Fatal(err)
	}
	s.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// open asks for a page of ours, and gives where it leads to and what it says.
func (s *site) open(path string) (status int, to, text string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.base+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	res, err := s.browser.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(body)
}

// away begins a sign-in, and gives the address at the provider.
func (s *site) away(path string) string {
	s.Helper()
	_, to, text := s.open(path)
	if strings.HasPrefix(to, "/") {
		_, to, text = s.open(to)
	}
	if !strings.HasPrefix(to, s.provider.Issuer+"/") {
		s.Fatalf("it leads to %q: %s", to, text)
	}
	return to
}

func (s *site) comesBack(answer url.Values) (status int, to, text string) {
	s.Helper()
	return s.open("/login/callback/hq?" + answer.Encode())
}

func TestPeopleSignInAtTheirCompanysOwnProvider(t *testing.T) {
	s := begin(t)
	back, err := s.provider.SignIn(t.Context(), s.away("/login/hq"), s.who)
	if err != nil {
		t.Fatal(err)
	}
	status, to, text := s.comesBack(back)
	if status != http.StatusSeeOther || to != "/login/done" {
		t.Fatalf("%d %s %s", status, to, text)
	}
	if _, _, text := s.open(to); !strings.Contains(text, "You are signed in") {
		t.Error(text)
	}
	// The same answer once more, also in the same browser, is good for nothing.
	if status, to, _ := s.comesBack(back); status != http.StatusForbidden || to != "" {
		t.Errorf("the answer came twice: %d %s", status, to)
	}
	s.fresh()
	if status, _, text := s.comesBack(back); status != http.StatusForbidden || !strings.Contains(text, "not begun in this browser") {
		t.Errorf("in another browser: %d %s", status, text)
	}
	var told []string
	err = s.app.Store.AccountTable.List(t.Context(), accounts.Filter{Search: s.who}, func(a *account.Account) error {
		return s.app.Store.Events().OfAccount(t.Context(), a.ID, 20, func(e event.Event) error {
			told = append(told, string(e.Type))
			return nil
		})
	})
	if err != nil || !strings.Contains(strings.Join(told, " "), "account.signed_in") {
		t.Errorf("%v %v", told, err)
	}
}

func TestWhoWasPushedSignsInAtTheProvider(t *testing.T) {
	s := with(t, true)
	back, err := s.provider.SignIn(t.Context(), s.away("/login/hq"), s.who)
	if err != nil {
		t.Fatal(err)
	}
	if status, to, text := s.comesBack(back); status != http.StatusSeeOther || to != "/login/done" {
		t.Fatalf("%d %s %s", status, to, text)
	}
	s.fresh()
	if back, err = s.provider.SignIn(t.Context(), s.away("/login/hq"), "somebody-else"); err != nil {
		t.Fatal(err)
	}
	if status, to, _ := s.comesBack(back); status != http.StatusForbidden || to != "" {
		t.Errorf("who was not pushed: %d %s", status, to)
	}
}

func TestWhoTheProviderKnowsAndTheDirectoryDoesNot(t *testing.T) {
	s := begin(t)
	back, err := s.provider.SignIn(t.Context(), s.away("/login/hq"), "somebody-else")
	if err != nil {
		t.Fatal(err)
	}
	status, to, text := s.comesBack(back)
	if status != http.StatusForbidden || to != "" || !strings.Contains(text, "You may not use this application") {
		t.Errorf("%d %s %s", status, to, text)
	}
	if status, to, _ := s.open("/login/done"); status != http.StatusSeeOther || to != "/login" {
		t.Errorf("somebody is signed in: %d %s", status, to)
	}
	// Where to go on is kept through the provider, and leads nowhere but to us.
	for next, want := range map[string]string{"/oauth2/continue?request=x": "/oauth2/continue?request=x", "https://evil.example/": "/login/done", "//evil.example": "/login/done"} {
		s.fresh()
		back, err := s.provider.SignIn(t.Context(), s.away("/login/hq?next="+url.QueryEscape(next)), s.who)
		if err != nil {
			t.Fatal(err)
		}
		if _, to, text := s.comesBack(back); to != want {
			t.Errorf("next %q leads to %q: %s", next, to, text)
		}
	}
	// The state of one sign-in does not fit another, and no password is taken.
	s.fresh()
	first := s.away("/login/hq")
	s.away("/login/hq")
	if back, err = s.provider.SignIn(t.Context(), first, s.who); err != nil {
		t.Fatal(err)
	}
	if status, to, _ := s.comesBack(back); status != http.StatusForbidden || to != "" {
		t.Errorf("the state of another: %d %s", status, to)
	}
	if err := s.provider.Stop(); err != nil {
		t.Log(err)
	}
	s.fresh()
	status, to, text = s.open("/login/provider/hq")
	if status == http.StatusSeeOther { // what it says of itself is still known
		t.Logf("it leads to %s", to)
	} else if !strings.Contains(text, "cannot be reached") {
		t.Errorf("%d %s", status, text)
	}
}
