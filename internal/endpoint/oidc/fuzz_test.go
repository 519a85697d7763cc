package oidc_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// fuzzed answers one request in this process.
func (w *world) fuzzed(t *testing.T, cookie, target, query string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, w.issuer+target, nil)
	r.URL.RawQuery = query
	r.AddCookie(&http.Cookie{Name: "rollcall-login", Value: cookie})
	out := httptest.NewRecorder()
	w.provider.ServeHTTP(out, r)
	return out.Result()
}

// Whatever the query, somebody is sent to a registered address, to the page where
// they sign in, or nowhere; and a code goes to the registered address alone.
func FuzzAuthorize(f *testing.F) {
	w := openFor(f)
	c, _ := w.application()
	b := w.signed("anna")
	for _, change := range []string{"", "&state=x", "&prompt=none", "&max_age=-1", "&redirect_uri=https://evil.example", "&code_challenge=", "%zz", ";", "&connection=sun-hq", "&id_token_hint=a.b.c", "&request=x", "&domain_hint=%00", "\xff"} {
		f.Add("client_id=CLIENT&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&response_type=code&scope=openid&code_challenge=" + challenge + "&code_challenge_method=S256" + change)
	}
	f.Fuzz(func(t *testing.T, query string) {
		res := w.fuzzed(t, b.Cookie, "/oauth2/authorize", strings.ReplaceAll(query, "CLIENT", c.ID))
		defer res.Body.Close() //nolint:errcheck // it is in memory
		if res.StatusCode >= 500 {
			t.Fatalf("status %d", res.StatusCode)
		}
		to := res.Header.Get("Location")
		if to == "" {
			return
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatalf("sent to %q: %v", to, err)
		}
		at := u.Scheme + "://" + u.Host + u.Path
		if at != c.RedirectURIs[0] && !strings.HasPrefix(at, w.issuer+"/login") {
			t.Errorf("sent to %q", to)
		}
	})
}

// No text but one that we sealed is taken for a request.
func FuzzContinue(f *testing.F) {
	w := openFor(f)
	c, _ := w.application()
	_, q := (&browser{w: w}).get(w.ask(c)).at()
	_, sealed, _ := strings.Cut(q.Get("next"), "request=")
	for _, s := range []string{"", "AQ", "SEALED", "SEALEDA", "SEALED=", "a.b.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "SEALED", sealed)
		res := w.fuzzed(t, "", "/oauth2/continue", url.Values{"request": {text}}.Encode())
		defer res.Body.Close() //nolint:errcheck // it is in memory
		whole, err := base64.RawURLEncoding.DecodeString(text)
		ours, err2 := base64.RawURLEncoding.DecodeString(sealed)
		same := err == nil && err2 == nil && string(whole) == string(ours)
		if (res.StatusCode == http.StatusSeeOther) != same || res.StatusCode >= 500 {
			t.Errorf("%q: status %d", text, res.StatusCode)
		}
	})
}
