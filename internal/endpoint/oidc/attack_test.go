package oidc_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/endpoint/login"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/logins"
)

// error is what a client is told at its address, or "" for something else.
func (a *answer) error(uri string) string {
	at, q := a.at()
	if at != uri || q.Get("code") != "" {
		return ""
	}
	return q.Get("error")
}

// nowhere checks that an answer is a page of ours that leads nobody away.
func (w *world) nowhere(what string, a *answer, status int) {
	w.Helper()
	csp := a.Header.Get("Content-Security-Policy")
	if a.StatusCode != status || a.Header.Get("Location") != "" || !strings.Contains(a.Header.Get("Content-Type"), "text/html") {
		w.Errorf("%s: status %d, to %q as %s", what, a.StatusCode, a.Header.Get("Location"), a.Header.Get("Content-Type"))
	}
	if !strings.Contains(csp, "frame-ancestors 'none'") || a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		w.Errorf("%s: may be framed: %q", what, csp)
	}
}

func TestNobodyIsSentToAnAddressThatWasNotRegistered(t *testing.T) {
	both(t, func(w *world) {
		c, _ := w.application(func(s *clients.Spec) {
			s.RedirectURIs = p([]string{"https://app.example/cb", "http://127.0.0.1:8000/cb"})
		})
		public, _ := w.application(func(s *clients.Spec) {
			s.Type, s.RedirectURIs = clients.Public, p([]string{"com.example.app:/cb"})
		})
		b := w.signed("anna")
		for _, uri := range []string{
			"https://app.example/cb/", "https://app.example/cb/more", "https://app.example/c", "https://app.example/CB", "https://APP.example/cb", "HTTPS://app.example/cb",
			"https://app.example/cb?", "https://app.example/cb?x=1", "https://app.example/cb#", "https://app.example/cb#x", "https://app.example/%63b", "https://app.example//cb", "https://app.example/./cb",
			"https://app.example/x/../cb", "https://app.example:443/cb", "https://app.example.evil.example/cb", "https://evil.example/https://app.example/cb", "https://app.example@evil.example/cb",
			"https://app.example/cb@evil.example", "https://evil.example\\@app.example/cb", "http://app.example/cb", "//app.example/cb", "/cb", "javascript:alert(1)", "data:text/html,x",
			" https://app.example/cb", "https://app.example/cb ", "https://app.example/cb\n", "https://app.example/cb\x00", "http://127.0.0.1:8001/cb", "http://localhost:8000/cb", "https://app.example/cb%0d%0aX:y", "",
		} {
			w.nowhere(fmt.Sprintf("%q", uri), b.get(w.ask(c, "redirect_uri", uri)), http.StatusBadRequest)
			// Nor when there is an error to tell of as well.
			w.nowhere(fmt.Sprintf("%q", uri), b.get(w.ask(c, "redirect_uri", uri, "response_type", "token")), http.StatusBadRequest)
		}
		w.nowhere("another client's", b.get(w.ask(c, "redirect_uri", public.RedirectURIs[0])), http.StatusBadRequest)
		w.nowhere("no such client", b.get(w.ask(c, "client_id", "app_none")), http.StatusBadRequest)
		w.nowhere("markup", b.get(w.ask(c, "client_id", "<script>alert(1)</script>\x00")), http.StatusBadRequest)
		if a := b.get(w.ask(c, "client_id", "<script>alert(1)</script>")); strings.Contains(a.text, "<script") {
			w.Error("a page repeats markup")
		}
		twice := w.ask(c) + "&redirect_uri=" + url.QueryEscape(c.RedirectURIs[0])
		w.nowhere("twice", b.get(twice), http.StatusBadRequest)
		w.nowhere("client twice", b.get(w.ask(c)+"&client_id="+c.ID), http.StatusBadRequest)
		if at, q := b.get(w.ask(public)).at(); at != "com.example.app:/cb" || q.Get("code") == "" {
			w.Errorf("an app on a device is answered at %q", at)
		}
	})
}

func TestAnAuthorizationRequestIsAnsweredByTheRules(t *testing.T) {
	both(t, func(w *world) {
		c, _ := w.application()
		public, _ := w.application(func(s *clients.Spec) { s.Type = clients.Public })
		free, _ := w.application(func(s *clients.Spec) { s.RequirePKCE = p(false) })
		b := w.signed("anna")
		uri := c.RedirectURIs[0]
		for what, of := range map[string]struct {
			client  *clients.Client
			changes []string
			want    string
		}{
			"no response type":                {c, []string{"response_type", ""}, "invalid_request"},
			"implicit":                        {c, []string{"response_type", "id_token"}, "unsupported_response_type"},
			"hybrid":                          {c, []string{"response_type", "code id_token"}, "unsupported_response_type"},
			"another mode":                    {c, []string{"response_mode", "fragment"}, "invalid_request"},
			"no openid":                       {c, []string{"scope", "profile"}, "invalid_scope"},
			"no scope":                        {c, []string{"scope", ""}, "invalid_scope"},
			"plain":                           {c, []string{"code_challenge_method", "plain"}, "invalid_request"},
			"plain by saying nothing":         {c, []string{"code_challenge_method", ""}, "invalid_request"},
			"plain at a client that may omit": {free, []string{"code_challenge_method", "plain"}, "invalid_request"},
			"a challenge that is none":        {c, []string{"code_challenge", "short"}, "invalid_request"},
			"no PKCE":                         {c, []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
			"no PKCE at a public client":      {public, []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
			"a request object":                {c, []string{"request", "eyJ"}, "request_not_supported"},
			"a request elsewhere":             {c, []string{"request_uri", "https://evil.example/"}, "request_uri_not_supported"},
			"a registration":                  {c, []string{"registration", "{}"}, "registration_not_supported"},
			"prompt none and login":           {c, []string{"prompt", "none login"}, "invalid_request"},
			"prompt of something":             {c, []string{"prompt", "create"}, "invalid_request"},
			"prompt none and somebody else":   {c, []string{"prompt", "none", "connection", "moon-hq"}, "login_required"},
			"prompt none and too long ago":    {c, []string{"prompt", "none", "max_age", "0"}, "login_required"},
			"max_age that is none":            {c, []string{"max_age", "soon"}, "invalid_request"},
			"a connection there is not":       {c, []string{"connection", "venus"}, "invalid_request"},
			"a connection of no organization": {c, []string{"connection", "sun-hq", "organization", "moon"}, "invalid_request"},
			"a hint that is no token":         {c, []string{"id_token_hint", "x.y.z"}, "invalid_request"},
			"a nonce of any length":           {c, []string{"nonce", strings.Repeat("n", 600)}, "invalid_request"},
			"a state of any length":           {c, []string{"state", strings.Repeat("s", 2100)}, "invalid_request"},
			"a scope of any length":           {c, []string{"scope", "openid " + strings.Repeat("x", 600)}, "invalid_request"},
			"bytes that are no text":          {c, []string{"login_hint", "\xff"}, "invalid_request"},
		} {
			w.later(time.Second)
			if got := b.get(w.ask(of.client, of.changes...)).error(uri); got != of.want {
				w.Errorf("%s: %q, want %q", what, got, of.want)
			}
		}
		a := b.get(w.ask(c, "response_type", "token", "state", "a b&c=d"))
		if _, q := a.at(); q.Get("state") != "a b&c=d" || q.Get("iss") != w.issuer {
			w.Errorf("an error says %v", q)
		}
		if a := b.get(w.ask(free, "code_challenge", "", "code_challenge_method", "")); a.error(uri) != "" {
			w.Errorf("a client that may omit PKCE: %s", a.error(uri))
		}
		if got := b.get(w.ask(c) + "&nonce=again").error(uri); got != "invalid_request" {
			w.Errorf("a parameter twice: %q", got)
		}
		w.nowhere("an address without end", b.get(w.ask(c, "ui_locales", strings.Repeat("x", 17<<10))), http.StatusBadRequest)
		if a := b.get(w.ask(c, "ui_locales", "nl", "acr_values", "x", "display", "page", "claims", "{}", "unheard_of", "x")); a.error(uri) != "" {
			w.Error("what is not known is not ignored")
		}
		// By a form of another site comes no cookie; the address it leads to has it.
		form, err := url.ParseQuery(strings.TrimPrefix(w.ask(c), "/oauth2/authorize?"))
		w.must(err)
		to, q := (&browser{w: w}).post("/oauth2/authorize", form).at()
		if _, q = b.get(to + "?" + q.Encode()).at(); q.Get("code") == "" {
			w.Errorf("a request by POST: %v", q)
		}
	})
}

func TestACodeIsForOneClientOneTimeAndWhoHasTheVerifier(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application(func(s *clients.Spec) {
			s.RedirectURIs = p([]string{"https://app.example/callback", "https://app.example/other"})
		})
		free, freeSecret := w.application(func(s *clients.Spec) { s.RequirePKCE = p(false) })
		evil, evilSecret := w.application()
		public, _ := w.application(func(s *clients.Spec) { s.Type = clients.Public })
		b := w.signed("anna")
		code := b.code(c)
		wrong := func(what, want string, got tokens) {
			w.Helper()
			if got.Error != want || got.Access != "" {
				w.Errorf("%s: %+v, want %s", what, got, want)
			}
		}
		wrong("another client", "invalid_grant", w.redeem(evil, evilSecret, code))
		wrong("a public client", "invalid_grant", w.redeem(public, "", code))
		wrong("a wrong verifier", "invalid_grant", w.redeem(c, secret, code, "code_verifier", strings.Repeat("x", 43)))
		wrong("the challenge for a verifier", "invalid_grant", w.redeem(c, secret, code, "code_verifier", challenge))
		wrong("no verifier", "invalid_grant", w.redeem(c, secret, code, "code_verifier", ""))
		wrong("another address", "invalid_grant", w.redeem(c, secret, code, "redirect_uri", "https://app.example/other"))
		wrong("no address", "invalid_grant", w.redeem(c, secret, code, "redirect_uri", ""))
		wrong("no code", "invalid_request", w.redeem(c, secret, code, "code", ""))
		wrong("a made up code", "invalid_grant", w.redeem(c, secret, "rc_"+strings.Repeat("A", 43)))
		wrong("no secret", "invalid_client", w.redeem(c, "", code))
		wrong("a wrong secret", "invalid_client", w.redeem(c, secret+"x", code))
		wrong("another one's secret", "invalid_client", w.redeem(c, evilSecret, code))
		wrong("a secret of a public client", "invalid_client", w.redeem(public, "x", code))
		wrong("two proofs", "invalid_request", w.redeem(c, secret, code, "client_secret", secret))
		wrong("no grant type", "invalid_request", w.redeem(c, secret, code, "grant_type", ""))
		wrong("a password", "unsupported_grant_type", w.redeem(c, secret, code, "grant_type", "password"))
		good := w.redeem(c, secret, code)
		if good.Access == "" {
			w.Fatalf("the right one: %+v", good)
		}
		if status, _ := w.userinfo(good.Access); status != 200 {
			w.Fatalf("userinfo: %d", status)
		}
		// The second time: everything that came of it ends.
		wrong("a second time", "invalid_grant", w.redeem(c, secret, code))
		if status, _ := w.userinfo(good.Access); status != 401 {
			w.Errorf("an access token of a code that was used twice: %d", status)
		}
		wrong("its refresh token", "invalid_grant", w.refresh(c, secret, good.Refresh))
		// The challenge was taken out on the way.
		wrong("a verifier without a challenge", "invalid_grant", w.redeem(free, freeSecret, b.code(free, "code_challenge", "", "code_challenge_method", "")))
		late := b.code(c)
		w.later(61 * time.Second)
		wrong("too late", "invalid_grant", w.redeem(c, secret, late))
		// Of many at once one gets something, and whoever came second has ended it.
		code = b.code(c)
		var all sync.WaitGroup
		got := make(chan tokens, 8)
		for range cap(got) {
			all.Go(func() {
				if x := w.redeem(c, secret, code); x.Access != "" {
					got <- x
				}
			})
		}
		all.Wait()
		if len(got) != 1 {
			w.Fatalf("%d of %d at once were given tokens", len(got), cap(got))
		}
		stolen := <-got
		if status, _ := w.userinfo(stolen.Access); status != 401 {
			w.Errorf("an access token of a code that eight used: %d", status)
		}
		wrong("the refresh token of a code that eight used", "invalid_grant", w.refresh(c, secret, stolen.Refresh))
	})
}

// Whoever was let in by their company's provider may have proved who they are long ago.
func TestWhoMustProveItAnewDoesSoAtTheirProvidersToo(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application()
		enter := func(proved time.Time) *browser {
			b := w.signed("anna")
			l, err := w.app.Store.LoginTable.Open(w.Context(), logins.Login{Organization: b.Login.Organization, Connection: b.Login.Connection, Account: b.Login.Account, Methods: []string{logins.SSO}, AuthAt: proved})
			w.must(err)
			return &browser{w: w, Cookie: l.Token, Login: l}
		}
		b := enter(w.clock.Add(-time.Hour))
		_, q := b.get(w.ask(c, "prompt", "login")).at()
		next, err := url.Parse(q.Get("next"))
		w.must(err)
		if !next.Query().Has(login.Fresh) {
			w.Errorf("the page they are sent to is not told: %s", next)
		}
		if _, q := b.get(w.ask(c)).at(); w.payload(w.redeem(c, secret, q.Get("code")).ID)["auth_time"] != float64(w.clock.Add(-time.Hour).Unix()) {
			w.Errorf("auth_time is not what the provider said")
		}
		w.later(time.Second)
		for what, proved := range map[string]time.Time{"an hour ago": w.clock.Add(-time.Hour), "nobody knows when": {}} {
			// They came in for this, and were not asked anything over there.
			_, q := enter(proved).get(w.ask(c, "prompt", "login")).at()
			w.nowhere(what, enter(proved).get(q.Get("next")), http.StatusForbidden)
			_, q = enter(proved).get(w.ask(c, "max_age", "600")).at()
			w.nowhere(what+", with max_age", enter(proved).get(q.Get("next")), http.StatusForbidden)
		}
		_, q = enter(time.Time{}).get(w.ask(c, "prompt", "login")).at()
		w.later(time.Second)
		if _, q := enter(w.clock).get(q.Get("next")).at(); q.Get("code") == "" {
			w.Errorf("who proved it anew is not let in: %s", q)
		}
	})
}

func TestRefreshTokensAreWorthSomethingOnce(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application()
		evil, evilSecret := w.application()
		_, first := w.in(c, secret, "anna")
		if x := w.refresh(evil, evilSecret, first.Refresh); x.Error != "invalid_grant" {
			w.Errorf("another client: %+v", x)
		}
		w.later(time.Minute)
		second := w.refresh(c, secret, first.Refresh)
		if second.Refresh == "" || second.Refresh == first.Refresh {
			w.Fatalf("a refresh: %+v", second)
		}
		if a, b := w.payload(first.ID), w.payload(second.ID); a["sub"] != b["sub"] || a["auth_time"] != b["auth_time"] || b["nonce"] != nil || a["sid"] != b["sid"] {
			w.Errorf("the ID token of a refresh: %v, then %v", a, b)
		}
		// The answer was lost, and the client asks again: what it did not get is worthless.
		again := w.refresh(c, secret, first.Refresh)
		if again.Refresh == "" {
			w.Fatalf("a lost answer: %+v", again)
		}
		if x := w.refresh(c, secret, second.Refresh); x.Error != "invalid_grant" {
			w.Errorf("what was lost: %+v", x)
		}
		// It was not lost but stolen: the family has ended.
		if x := w.refresh(c, secret, again.Refresh); x.Error != "invalid_grant" {
			w.Errorf("a family in which one was used twice: %+v", x)
		}
		if status, _ := w.userinfo(again.Access); status != 401 {
			w.Errorf("its access token: %d", status)
		}
		// Long after.
		_, one := w.in(c, secret, "anna")
		two := w.refresh(c, secret, one.Refresh)
		w.later(11 * time.Second)
		if x := w.refresh(c, secret, one.Refresh); x.Error != "invalid_grant" {
			w.Errorf("replaced long ago: %+v", x)
		}
		if x := w.refresh(c, secret, two.Refresh); x.Error != "invalid_grant" {
			w.Errorf("the family: %+v", x)
		}
		// A moment after, when the next one was used already.
		_, one = w.in(c, secret, "anna")
		two = w.refresh(c, secret, one.Refresh)
		three := w.refresh(c, secret, two.Refresh)
		if x := w.refresh(c, secret, one.Refresh); x.Error != "invalid_grant" {
			w.Errorf("the one before the one before: %+v", x)
		}
		if x := w.refresh(c, secret, three.Refresh); x.Error != "invalid_grant" {
			w.Errorf("the family: %+v", x)
		}
		// Lifetimes: unused, and whatever happens.
		_, one = w.in(c, secret, "anna")
		w.later(14*24*time.Hour + time.Second)
		if x := w.refresh(c, secret, one.Refresh); x.Error != "invalid_grant" {
			w.Errorf("unused for too long: %+v", x)
		}
		_, one = w.in(c, secret, "anna")
		for range 9 {
			w.later(10 * 24 * time.Hour)
			if x := w.refresh(c, secret, one.Refresh); x.Refresh != "" {
				one = x
			}
		}
		if x := w.refresh(c, secret, one.Refresh); x.Error != "invalid_grant" {
			w.Errorf("after 90 days: %+v", x)
		}
		// Less may be asked for, more not.
		_, one = w.in(c, secret, "anna")
		less := w.token(c, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {one.Refresh}, "scope": {"openid"}})
		if _, claims := w.userinfo(less.Access); less.Scope != "openid" || claims["email"] != nil || claims["sub"] == nil {
			w.Errorf("with less scope: %+v, %v", less, claims)
		}
		if x := w.token(c, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {less.Refresh}, "scope": {"openid phone"}}); x.Error != "invalid_scope" {
			w.Errorf("with more scope: %+v", x)
		}
	})
}

func TestWhoIsDisabledIsSignedOutOfEverythingAtOnce(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application()
		b, got := w.in(c, secret, "lena")
		code := b.code(c)
		w.set("lena", account.Disabled)
		if status, _ := w.userinfo(got.Access); status != 401 {
			w.Errorf("userinfo: %d", status)
		}
		if x := w.refresh(c, secret, got.Refresh); x.Error != "invalid_grant" {
			w.Errorf("a refresh: %+v", x)
		}
		if x := w.redeem(c, secret, code); x.Error != "invalid_grant" {
			w.Errorf("a code: %+v", x)
		}
		if e := b.get(w.ask(c, "prompt", "none")).error(c.RedirectURIs[0]); e != "login_required" {
			w.Errorf("the browser: %q", e)
		}
		if claims := w.payload(got.ID); claims["email_verified"] != false {
			w.Errorf("the address of a local account: %v", claims["email_verified"])
		}
	})
}

func TestALoginIsGoodOnlyWhereItsConnectionIs(t *testing.T) {
	both(t, func(w *world) {
		sun, _ := w.application(func(s *clients.Spec) { s.Organization, s.Name = "sun", p("Sun app") })
		hq, _ := w.application(func(s *clients.Spec) { s.Connections = p([]string{"sun-hq"}) })
		all, _ := w.application()
		for _, c := range []struct {
			who     string
			client  *clients.Client
			changes []string
			door    string // "" for a code
		}{
			{"anna", sun, nil, ""}, {"sid", sun, nil, ""}, {"lena", sun, nil, ""}, {"dora", all, nil, ""}, {"anna", hq, nil, ""},
			{"dora", sun, nil, "/login"}, {"sid", hq, nil, "/login/sun-hq"}, {"lena", hq, nil, "/login/sun-hq"},
			{"anna", all, []string{"connection", "moon-hq"}, "/login/moon-hq"}, {"anna", all, []string{"organization", "moon"}, "/login"}, {"anna", all, []string{"domain_hint", "moon-hq"}, "/login/moon-hq"},
			{"anna", all, []string{"prompt", "login"}, "/login"}, {"anna", all, []string{"prompt", "select_account"}, "/login"}, {"anna", all, []string{"prompt", "consent"}, ""},
		} {
			b := w.signed(c.who)
			w.later(time.Second)
			a := b.get(w.ask(c.client, append(c.changes, "login_hint", c.who)...))
			at, q := a.at()
			if c.door == "" {
				if q.Get("code") == "" {
					w.Errorf("%s at %s %v: %d %s %s", c.who, c.client.Name, c.changes, a.StatusCode, at, q)
				}
				continue
			}
			if at != w.issuer+c.door || q.Get("login_hint") != c.who || !strings.HasPrefix(q.Get("next"), "/oauth2/continue?request=") {
				w.Errorf("%s at %s %v is sent to %s %s", c.who, c.client.Name, c.changes, at, q)
				continue
			}
			// Who comes back as they were is told, and not sent round in circles.
			back := b.get(q.Get("next"))
			w.nowhere(c.who, back, http.StatusForbidden)
			if !strings.Contains(back.text, c.door) {
				w.Errorf("no way to another sign-in: %s", back.text)
			}
		}
		// Who signs in for it comes in.
		_, q := w.signed("anna").get(w.ask(all, "connection", "moon-hq")).at()
		next := q.Get("next")
		if app := w.provider.About(next); app != "Timesheets" || w.provider.Leads(next) != "https://app.example" {
			w.Errorf("the page is told %q, %q", app, w.provider.Leads(next))
		}
		for _, other := range []string{"", "/oauth2/continue?request=x", "https://evil.example" + next, "//evil.example" + next, "/elsewhere" + next} {
			if app := w.provider.About(other); app != "" {
				w.Errorf("%q is about %q", other, app)
			}
		}
		if at, q := w.signed("dora").get(next).at(); at != all.RedirectURIs[0] || q.Get("state") != "st" || q.Get("code") == "" {
			w.Errorf("after signing in: %s %s", at, q)
		}
		if at, _ := (&browser{w: w}).get(next).at(); at != w.issuer+"/login/moon-hq" {
			w.Errorf("nobody: %s", at)
		}
		bent := next[:len(next)-2] + "AA"
		w.nowhere("a bent request", w.signed("dora").get(bent), http.StatusBadRequest)
		w.later(31 * time.Minute)
		w.nowhere("an old request", w.signed("dora").get(next), http.StatusBadRequest)
	})
}

// max_age asks when somebody proved who they are, and prompt=login that they do now.
func TestAFreshSignInIsFresh(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application()
		b := w.signed("anna")
		w.later(time.Minute)
		if _, q := b.get(w.ask(c, "max_age", "120")).at(); q.Get("code") == "" {
			w.Error("a minute is longer than two")
		}
		w.later(2 * time.Minute)
		for _, change := range [][]string{{"max_age", "120"}, {"prompt", "login"}} {
			_, q := b.get(w.ask(c, change...)).at()
			next := q.Get("next")
			w.nowhere("the login from before", b.get(next), http.StatusForbidden)
			w.later(time.Second)
			_, q = w.signed("anna").get(next).at()
			got := w.redeem(c, secret, q.Get("code"))
			if at := w.payload(got.ID)["auth_time"]; at != float64(w.now().Unix()) {
				w.Errorf("%v: auth_time %v, now %d", change, at, w.now().Unix())
			}
		}
	})
}

// Tokens that somebody else made, or made of ours.
func TestATokenIsBelievedByOurKeysAlone(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application()
		b, got := w.in(c, secret, "anna")
		var set struct {
			Keys []struct{ Kid, Kty, Alg, Use, N, E, D string }
		}
		w.must(json.Unmarshal([]byte(w.send(nil, "GET", "/oauth2/jwks", nil).text), &set))
		var n, kid string
		for _, k := range set.Keys {
			if k.D != "" || k.Use != "sig" {
				t.Errorf("a published key: %+v", k)
			}
			if k.Alg == "RS256" {
				n, kid = k.N, k.Kid
			}
		}
		encode := func(v any) string {
			text, err := json.Marshal(v)
			w.must(err)
			return base64.RawURLEncoding.EncodeToString(text)
		}
		public, err := base64.RawURLEncoding.DecodeString(n)
		w.must(err)
		forge := func(alg, typ string, claims map[string]any, key []byte) string {
			text := encode(map[string]any{"alg": alg, "typ": typ, "kid": kid}) + "." + encode(claims)
			if key == nil {
				return text + "."
			}
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(text))
			return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		}
		id, access := w.payload(got.ID), w.payload(got.Access)
		parts := strings.Split(got.Access, ".")
		bent := access
		for what, token := range map[string]string{
			"unsigned":               forge("none", "at+jwt", access, nil),
			"HMAC by our public key": forge("HS256", "at+jwt", access, public),
			"an ID token":            got.ID,
			"a refresh token":        got.Refresh,
			"without a signature":    parts[0] + "." + parts[1] + ".",
			"with another content":   parts[0] + "." + encode(bent) + "A." + parts[2],
			"nothing":                "x",
			"many dots":              strings.Repeat("a.", 1000),
		} {
			if status, _ := w.userinfo(token); status != 401 {
				w.Errorf("%s: %d", what, status)
			}
		}
		for what, token := range map[string]string{"unsigned": forge("none", "JWT", id, nil), "HMAC by our public key": forge("HS256", "JWT", id, public), "an access token": got.Access} {
			if e := b.get(w.ask(c, "id_token_hint", token)).error(c.RedirectURIs[0]); e != "invalid_request" {
				w.Errorf("%s as a hint: %q", what, e)
			}
			a := b.get("/oauth2/logout?id_token_hint=" + token)
			if !strings.Contains(a.text, "Sign out?") {
				w.Errorf("%s as a hint signs out: %d", what, a.StatusCode)
			}
		}
		// An access token names us as who it is for, so no library takes it for an ID token.
		if access["aud"] != w.issuer || id["aud"] != c.ID || id["azp"] != c.ID {
			w.Errorf("made for %v and %v", access["aud"], id["aud"])
		}
		if e := b.get(w.ask(c, "id_token_hint", got.ID)).error(c.RedirectURIs[0]); e != "" {
			w.Errorf("the right hint: %q", e)
		}
		if at, _ := w.signed("bob").get(w.ask(c, "id_token_hint", got.ID)).at(); at != w.issuer+"/login" {
			w.Errorf("a hint of somebody else: %q", at)
		}
	})
}

func TestSigningOutIsMeant(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application()
		b, got := w.in(c, secret, "anna")
		bye := url.QueryEscape("https://app.example/bye")
		for what, uri := range map[string]string{"another": "https://evil.example/", "longer": "https://app.example/bye/", "a redirect URI": "https://app.example/callback", "no host": "//evil.example", "a script": "javascript:alert(1)"} {
			w.nowhere(what, b.get("/oauth2/logout?id_token_hint="+got.ID+"&post_logout_redirect_uri="+url.QueryEscape(uri)), http.StatusBadRequest)
		}
		w.nowhere("no client", b.get("/oauth2/logout?post_logout_redirect_uri="+bye), http.StatusBadRequest)
		w.nowhere("another client's hint", b.get("/oauth2/logout?client_id=app_other&id_token_hint="+got.ID+"&post_logout_redirect_uri="+bye), http.StatusBadRequest)
		// Whoever sends somebody here without their ID token does not sign them out.
		asked := b.get("/oauth2/logout?client_id=" + c.ID + "&post_logout_redirect_uri=" + bye + "&state=s1")
		w.nowhere("without a hint", asked, http.StatusOK)
		if !strings.Contains(asked.Header.Get("Content-Security-Policy"), "form-action 'self' https://app.example;") {
			w.Errorf("the form may lead to %s", asked.Header.Get("Content-Security-Policy"))
		}
		_, rest, _ := strings.Cut(asked.text, `name="leaving" value="`)
		leaving, _, _ := strings.Cut(rest, `"`)
		if _, _, err := w.app.Store.LoginTable.Check(w.Context(), b.Cookie); err != nil {
			w.Fatalf("signed out by a page: %v", err)
		}
		other := w.signed("bob")
		w.nowhere("another one's form", other.post("/oauth2/logout/agree", url.Values{"leaving": {leaving}}), http.StatusForbidden)
		w.nowhere("a form of nobody", b.post("/oauth2/logout/agree", url.Values{"leaving": {"x"}}), http.StatusForbidden)
		cross := w.send(b, "POST", "/oauth2/logout/agree", url.Values{"leaving": {leaving}}, "Sec-Fetch-Site", "cross-site")
		w.nowhere("from another site", cross, http.StatusForbidden)
		// Another browser's ID token asks as well.
		if a := other.get("/oauth2/logout?id_token_hint=" + got.ID); !strings.Contains(a.text, "Sign out?") {
			w.Errorf("by another login's token: %d", a.StatusCode)
		}
		at, q := b.post("/oauth2/logout/agree", url.Values{"leaving": {leaving}}).at()
		if at != "https://app.example/bye" || q.Get("state") != "s1" {
			w.Errorf("after agreeing: %s %v", at, q)
		}
		if status, _ := w.userinfo(got.Access); status != 401 {
			w.Errorf("its tokens are still good: %d", status)
		}
		if x := w.refresh(c, secret, got.Refresh); x.Error != "invalid_grant" {
			w.Errorf("so are its refresh tokens: %+v", x)
		}
		// With the right token it is done at once, also long after it ran out.
		b, got = w.in(c, secret, "anna")
		w.later(3 * time.Hour)
		a := b.get("/oauth2/logout?id_token_hint=" + got.ID + "&post_logout_redirect_uri=" + bye + "&state=s%262")
		if at, q := a.at(); at != "https://app.example/bye" || q.Get("state") != "s&2" || !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") {
			w.Errorf("signed out to %s %v, %s", at, q, a.Header.Get("Set-Cookie"))
		}
		w.nowhere("once more", b.get("/oauth2/logout"), http.StatusOK)
		if _, q := b.get(w.ask(c)).at(); q.Get("code") != "" {
			w.Error("a browser that was signed out gets a code")
		}
	})
}

func TestTokensAreRevokedAndLookedInto(t *testing.T) {
	both(t, func(w *world) {
		c, secret := w.application()
		evil, evilSecret := w.application(func(s *clients.Spec) { s.Organization = "moon" })
		ask := func(path string, c *clients.Client, secret, token string) (int, map[string]any) {
			a := w.send(nil, "POST", path, url.Values{"token": {token}, "client_id": {c.ID}, "client_secret": {secret}})
			var out map[string]any
			_ = json.Unmarshal([]byte(a.text), &out)
			return a.StatusCode, out
		}
		_, got := w.in(c, secret, "anna")
		if _, x := ask("/oauth2/introspect", c, secret, got.Access); x["active"] != true || x["sub"] != w.ids["anna"].String() || x["organization"] != "sun" {
			w.Errorf("an access token: %v", x)
		}
		if _, x := ask("/oauth2/introspect", c, secret, got.Refresh); x["active"] != true {
			w.Errorf("a refresh token: %v", x)
		}
		for _, token := range []string{got.Access, got.Refresh, "x"} {
			if status, x := ask("/oauth2/introspect", evil, evilSecret, token); status != 200 || x["active"] != false || len(x) != 1 {
				w.Errorf("another tenant's: %d %v", status, x)
			}
			if status, _ := ask("/oauth2/revoke", evil, evilSecret, token); status != 200 {
				w.Errorf("revoked by another: %d", status)
			}
		}
		if status, _ := ask("/oauth2/introspect", c, "wrong", got.Access); status != 401 {
			w.Errorf("with a wrong secret: %d", status)
		}
		if status, _ := w.userinfo(got.Access); status != 200 {
			w.Fatalf("another client revoked it: %d", status)
		}
		ask("/oauth2/revoke", c, secret, got.Refresh)
		if status, _ := w.userinfo(got.Access); status != 401 {
			w.Errorf("after revoking: %d", status)
		}
		_, got = w.in(c, secret, "anna")
		ask("/oauth2/revoke", c, secret, got.Access)
		if x := w.refresh(c, secret, got.Refresh); x.Error != "invalid_grant" {
			w.Errorf("after revoking the access token: %+v", x)
		}
	})
}

func TestSecretsAreTriedOnlySoOften(t *testing.T) {
	w := open(t, databases.SQLite(t))
	c, secret := w.application()
	w.signed("anna")
	form := func() url.Values { return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}} }
	for i := range 10 {
		if x := w.token(c, "wrong", form()); x.Status != 401 {
			t.Fatalf("try %d: %+v", i, x)
		}
	}
	if x := w.token(c, secret, form()); x.Status != http.StatusTooManyRequests {
		t.Errorf("the eleventh: %+v", x)
	}
	other, good := w.application()
	if x := w.token(other, good, form()); x.Error != "invalid_grant" {
		t.Errorf("another client is not waited for: %+v", x)
	}
	w.later(61 * time.Second)
	if x := w.token(c, secret, form()); x.Error != "invalid_grant" {
		t.Errorf("a minute later: %+v", x)
	}
	// A new secret, and the one before for a while.
	_, next, err := w.app.Store.ClientTable.RotateSecret(t.Context(), "", c.ID, time.Hour, "tester")
	w.must(err)
	for what, s := range map[string]string{"new": next, "old": secret} {
		if x := w.token(c, s, form()); x.Error != "invalid_grant" {
			t.Errorf("the %s secret: %+v", what, x)
		}
	}
	w.later(time.Hour)
	if x := w.token(c, secret, form()); x.Error != "invalid_client" {
		t.Errorf("the old secret an hour later: %+v", x)
	}
}

func TestPagesOfOtherOriginsAskOnlyWhereAClientOfTheirsIsPublic(t *testing.T) {
	w := open(t, databases.SQLite(t))
	w.application()
	w.application(func(s *clients.Spec) {
		s.Type, s.RedirectURIs = clients.Public, p([]string{"https://spa.example:443/cb", "http://localhost:5173/"})
	})
	for origin, want := range map[string]string{"https://spa.example": "https://spa.example", "http://localhost:5173": "http://localhost:5173", "https://app.example": "", "https://spa.example.evil.example": "", "null": "", "http://spa.example": ""} {
		for _, path := range []string{"/.well-known/openid-configuration", "/oauth2/jwks", "/oauth2/token", "/oauth2/userinfo"} {
			a := w.send(nil, "OPTIONS", path, nil, "Origin", origin, "Access-Control-Request-Method", "POST")
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != want || a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s asks for %s: %q", origin, path, got)
			}
		}
		if a := w.send(nil, "OPTIONS", "/oauth2/authorize", nil, "Origin", origin); a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s reads the page of authorizing", origin)
		}
	}
}

func TestWithManyGroupsATokenSaysWhereToAsk(t *testing.T) {
	w := open(t, databases.SQLite(t))
	c, secret := w.application()
	w.groups("anna", 201)
	_, got := w.in(c, secret, "anna")
	id := w.payload(got.ID)
	sources, _ := json.Marshal(id["_claim_sources"])
	if id["groups"] != nil || !strings.Contains(string(sources), w.issuer+"/oauth2/userinfo") {
		t.Errorf("the token says %v", id)
	}
	if _, claims := w.userinfo(got.Access); len(claims["groups"].([]any)) != 201 {
		t.Errorf("userinfo names %v", claims["groups"])
	}
}
