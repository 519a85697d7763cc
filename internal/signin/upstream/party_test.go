package upstream

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
)

// crook is a provider that does what a certified one does not.
type crook struct {
	*httptest.Server
	mu    sync.Mutex
	key   *rsa.PrivateKey
	kid   string
	nonce string
	asked map[string]int
	form  url.Values // of the last question for a token

	document func(d map[string]any)
	claims   func(c map[string]any)
	token    func(w http.ResponseWriter, id string) bool // true: it has answered
	sign     func(payload []byte) string                 // nil: properly
	info     map[string]any
	serve    func(w http.ResponseWriter, r *http.Request) bool
}

func newCrook(t *testing.T) *crook {
	t.Helper()
	c := &crook{asked: map[string]int{}}
	c.rotate(t, "one")
	c.Server = httptest.NewServer(http.HandlerFunc(c.answer))
	t.Cleanup(c.Close)
	return c
}

func (c *crook) rotate(t *testing.T, kid string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.key, c.kid = key, kid
}

func (c *crook) answer(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[r.URL.Path]++
	if c.serve != nil && c.serve(w, r) {
		return
	}
	say := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		d := map[string]any{"issuer": c.URL, "authorization_endpoint": c.URL + "/auth", "token_endpoint": c.URL + "/token", "jwks_uri": c.URL + "/keys", "userinfo_endpoint": c.URL + "/me",
			"id_token_signing_alg_values_supported": []string{"RS256", "none", "HS256"}, "authorization_response_iss_parameter_supported": true}
		if c.document != nil {
			c.document(d)
		}
		say(d)
	case "/keys":
		say(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: c.key.Public(), KeyID: c.kid, Algorithm: "RS256", Use: "sig"}}})
	case "/token":
		_ = r.ParseForm()
		c.form = r.PostForm
		claims := map[string]any{"iss": c.URL, "sub": "anna", "aud": "rollcall", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": c.nonce,
			"email": "anna@example.org", "email_verified": true, "preferred_username": "anna", "family_name": "Ames"}
		if c.claims != nil {
			c.claims(claims)
		}
		payload, _ := json.Marshal(claims)
		sign := c.sign
		if sign == nil {
			sign = c.properly
		}
		id := sign(payload)
		if c.token != nil && c.token(w, id) {
			return
		}
		say(map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": id})
	case "/me":
		info := map[string]any{"sub": "anna"}
		maps.Copy(info, c.info)
		say(info)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *crook) properly(payload []byte) string {
	return signed(jose.RS256, jose.JSONWebKey{Key: c.key, KeyID: c.kid}, payload)
}

func signed(alg jose.SignatureAlgorithm, key any, payload []byte) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		return err.Error()
	}
	jws, err := s.Sign(payload)
	if err != nil {
		return err.Error()
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		return err.Error()
	}
	return out
}

func unsigned(payload []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

func (c *crook) party(t *testing.T) *Party {
	t.Helper()
	return mustNew(t, Options{Issuer: c.URL, ClientID: "rollcall", Secret: "client-secret-1", Redirect: back})
}

// begin begins a sign-in, and gives the answer an honest provider would send.
func (c *crook) begin(t *testing.T, p *Party) (url.Values, []byte) {
	t.Helper()
	address, state, err := p.Begin(t.Context(), Wish{})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || q.Get("nonce") == "" || q.Get("redirect_uri") != back || q.Get("response_type") != "code" || !strings.HasPrefix(q.Get("scope"), "openid") {
		t.Errorf("the address is %s", address)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nonce = q.Get("nonce")
	return url.Values{"state": {q.Get("state")}, "code": {"the-code"}, "iss": {c.URL}}, state
}

func TestAnHonestAnswer(t *testing.T) {
	c := newCrook(t)
	p := c.party(t)
	for range 3 {
		answer, state := c.begin(t, p)
		got, err := p.Finish(t.Context(), answer, state)
		if err != nil || got.Subject != "anna" || got.Issuer != c.URL {
			t.Fatalf("%+v, %v", got, err)
		}
		if c.form.Get("code_verifier") == "" || c.form.Get("client_secret") != "" {
			t.Errorf("the question for a token was %v", c.form)
		}
	}
	if c.asked["/.well-known/openid-configuration"] != 1 || c.asked["/keys"] != 1 || c.asked["/me"] != 0 {
		t.Errorf("asked %v", c.asked)
	}
	c.rotate(t, "two")
	answer, state := c.begin(t, p)
	if _, err := p.Finish(t.Context(), answer, state); err != nil || c.asked["/keys"] != 2 {
		t.Errorf("after another key: %v, asked %v", err, c.asked)
	}
}

func TestWhatIsNotOursIsRefused(t *testing.T) {
	change := func(name, value string) func(*crook, url.Values, *[]byte) {
		return func(_ *crook, answer url.Values, _ *[]byte) { answer.Set(name, value) }
	}
	claim := func(name string, value any) func(*crook, url.Values, *[]byte) {
		return func(c *crook, _ url.Values, _ *[]byte) {
			c.claims = func(m map[string]any) {
				if m[name] = value; value == nil {
					delete(m, name)
				}
			}
		}
	}
	answerWith := func(status int, body string) func(*crook, url.Values, *[]byte) {
		return func(c *crook, _ url.Values, _ *[]byte) {
			c.token = func(w http.ResponseWriter, _ string) bool {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
				return true
			}
		}
	}
	kept := func(change func(*pending)) func(*crook, url.Values, *[]byte) {
		return func(_ *crook, _ url.Values, state *[]byte) {
			var p pending
			_ = json.Unmarshal(*state, &p)
			change(&p)
			*state, _ = json.Marshal(p)
		}
	}
	for _, a := range []struct {
		name string
		do   func(c *crook, answer url.Values, state *[]byte)
		kind fault.Kind
	}{
		{"another state", change("state", "x"), fault.Denied},
		{"no state", func(_ *crook, q url.Values, _ *[]byte) { q.Del("state") }, fault.Denied},
		{"two states", func(_ *crook, q url.Values, _ *[]byte) { q.Add("state", q.Get("state")) }, fault.Denied},
		{"an empty cookie", func(_ *crook, q url.Values, s *[]byte) { *s = nil; q.Set("state", "") }, fault.Denied},
		{"an empty state in an empty cookie", func(_ *crook, q url.Values, s *[]byte) { *s = []byte("{}"); q.Set("state", "") }, fault.Denied},
		{"a cookie of another provider", kept(func(p *pending) { p.Issuer = "https://other.example.org" }), fault.Denied},
		{"a cookie of another application", kept(func(p *pending) { p.Client = "other" }), fault.Denied},
		{"a cookie of yesterday", kept(func(p *pending) { p.Begun = p.Begun.Add(-24 * time.Hour) }), fault.Denied},
		{"a cookie of tomorrow", kept(func(p *pending) { p.Begun = p.Begun.Add(24 * time.Hour) }), fault.Denied},
		{"another provider's answer (mix-up)", change("iss", "https://attacker.example.org"), fault.Denied},
		{"an answer that hides whose it is", func(_ *crook, q url.Values, _ *[]byte) { q.Del("iss") }, fault.Denied},
		{"two who answer", func(c *crook, q url.Values, _ *[]byte) { q.Add("iss", c.URL) }, fault.Denied},
		{"no code", func(_ *crook, q url.Values, _ *[]byte) { q.Del("code") }, fault.Denied},
		{"the person broke off", change("error", "access_denied"), fault.Denied},
		{"the provider is not well", change("error", "temporarily_unavailable"), fault.Unavailable},
		{"a code that was used", answerWith(400, `{"error":"invalid_grant"}`), fault.Denied},
		{"a wrong client secret", answerWith(401, `{"error":"invalid_client"}`), fault.Invalid},
		{"a page in place of a token", answerWith(502, `<html>at=secret-of-somebody</html>`), fault.Unavailable},
		{"no ID token", answerWith(200, `{"access_token":"at","token_type":"Bearer"}`), fault.Denied},
		{"an endless answer", answerWith(200, `{"access_token":"`+strings.Repeat("x", 2*most)+`"}`), fault.Unavailable},
		{"another nonce", claim("nonce", "x"), fault.Denied},
		{"no nonce", claim("nonce", nil), fault.Denied},
		{"another issuer", claim("iss", "https://other.example.org"), fault.Denied},
		{"another audience", claim("aud", "other"), fault.Denied},
		{"many audiences, and nobody named", claim("aud", []string{"rollcall", "other"}), fault.Denied},
		{"made for another", claim("azp", "other"), fault.Denied},
		{"expired", claim("exp", time.Now().Add(-time.Hour).Unix()), fault.Denied},
		{"without an end", claim("exp", nil), fault.Denied},
		{"not valid yet", claim("nbf", time.Now().Add(time.Hour).Unix()), fault.Denied},
		{"nobody", claim("sub", ""), fault.Denied},
		{"a name without end", claim("sub", strings.Repeat("x", 300)), fault.Denied},
		{"not signed", func(c *crook, _ url.Values, _ *[]byte) { c.sign = unsigned }, fault.Denied},
		{"signed with the client's secret", func(c *crook, _ url.Values, _ *[]byte) {
			c.sign = func(b []byte) string { return signed(jose.HS256, []byte("client-secret-1-client-secret-1-"), b) }
		}, fault.Denied},
		{"signed with a key of somebody", func(c *crook, _ url.Values, _ *[]byte) {
			key, _ := rsa.GenerateKey(rand.Reader, 2048)
			c.sign = func(b []byte) string { return signed(jose.RS256, jose.JSONWebKey{Key: key, KeyID: c.kid}, b) }
		}, fault.Denied},
		{"userinfo of somebody else", func(c *crook, _ url.Values, _ *[]byte) {
			claim("email", nil)(c, nil, nil)
			c.info = map[string]any{"sub": "bo", "email": "bo@example.org"}
		}, fault.Denied},
	} {
		t.Run(a.name, func(t *testing.T) {
			c := newCrook(t)
			p := c.party(t)
			answer, state := c.begin(t, p)
			c.mu.Lock()
			a.do(c, answer, &state)
			c.mu.Unlock()
			got, err := p.Finish(t.Context(), answer, state)
			if err == nil || fault.KindOf(err) != a.kind || got.Subject != "" {
				t.Errorf("%+v, %v", got, err)
			}
			for _, secret := range []string{"client-secret-1", "the-code", "secret-of-somebody"} {
				if strings.Contains(fmt.Sprint(err, fault.HintOf(err)), secret) {
					t.Errorf("%s is in the error: %v", secret, err)
				}
			}
			if c.asked["/token"] > 1 {
				t.Errorf("the code was given away %d times", c.asked["/token"])
			}
		})
	}
}

func TestWhatIsSignedGoesBeforeUserinfo(t *testing.T) {
	c := newCrook(t)
	c.claims = func(m map[string]any) { delete(m, "family_name"); m["email_verified"] = "false" }
	c.info = map[string]any{"email": "attacker@example.org", "email_verified": true, "family_name": "Ames"}
	p := c.party(t)
	answer, state := c.begin(t, p)
	got, err := p.Finish(t.Context(), answer, state)
	if err != nil || got.Email != "anna@example.org" || got.EmailVerified || got.FamilyName != "Ames" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAProviderThatIsNotOne(t *testing.T) {
	for _, a := range []struct {
		name string
		do   func(c *crook)
		kind fault.Kind
	}{
		{"another issuer", func(c *crook) { c.document = func(d map[string]any) { d["issuer"] = "https://other.example.org" } }, fault.Invalid},
		{"a slash more", func(c *crook) { c.document = func(d map[string]any) { d["issuer"] = c.URL + "/" } }, fault.Invalid},
		{"tokens in clear text", func(c *crook) {
			c.document = func(d map[string]any) { d["token_endpoint"] = "http://login.example.org/token" }
		}, fault.Invalid},
		{"keys in a file", func(c *crook) { c.document = func(d map[string]any) { d["jwks_uri"] = "file:///etc/passwd" } }, fault.Invalid},
		{"no token endpoint", func(c *crook) { c.document = func(d map[string]any) { delete(d, "token_endpoint") } }, fault.Invalid},
		{"sent on elsewhere", func(c *crook) {
			c.serve = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
				return true
			}
		}, fault.Unavailable},
		{"without end", func(c *crook) {
			c.serve = func(w http.ResponseWriter, r *http.Request) bool {
				for range 2 * most / 1000 {
					if _, err := w.Write(make([]byte, 1000)); err != nil {
						break
					}
				}
				return true
			}
		}, fault.Unavailable},
		{"no JSON", func(c *crook) {
			c.serve = func(w http.ResponseWriter, r *http.Request) bool { _, _ = w.Write([]byte("<html>")); return true }
		}, fault.Unavailable},
	} {
		t.Run(a.name, func(t *testing.T) {
			c := newCrook(t)
			a.do(c)
			_, _, err := c.party(t).Begin(t.Context(), Wish{})
			if fault.KindOf(err) != a.kind || fault.HintOf(err) == "" || c.asked["/elsewhere"] > 0 {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsKnownOfAProviderIsUsedForADay(t *testing.T) {
	c := newCrook(t)
	now := time.Now()
	p := mustNew(t, Options{Issuer: c.URL, ClientID: "rollcall", Redirect: back, Now: func() time.Time { return now }})
	c.begin(t, p)
	c.mu.Lock()
	c.serve = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	c.mu.Unlock()
	now = now.Add(documentFresh)
	for range 3 {
		c.begin(t, p)
	}
	if c.asked["/.well-known/openid-configuration"] != 2 {
		t.Errorf("asked %v", c.asked)
	}
	now = now.Add(documentStale)
	if _, _, err := p.Begin(t.Context(), Wish{}); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func TestWhereMayBeReachedIsSaidByWhoCalls(t *testing.T) {
	c := newCrook(t)
	no := errors.New("this is no public address")
	p := mustNew(t, Options{Issuer: c.URL, ClientID: "rollcall", Redirect: back, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, no }})
	if _, _, err := p.Begin(t.Context(), Wish{}); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), no.Error()) || len(c.asked) > 0 {
		t.Error(err)
	}
}

func TestWrongOptionsAreFoundBeforeAnyNetworkCall(t *testing.T) {
	good := Options{Issuer: "https://login.example.org/realms/staff", ClientID: "rollcall", Redirect: "https://id.example.com/login/hq/callback"}
	mustNew(t, good)
	for name, change := range map[string]func(o *Options){
		"clear text":             func(o *Options) { o.Issuer = "http://login.example.org" },
		"no address":             func(o *Options) { o.Issuer = "login.example.org" },
		"an account in it":       func(o *Options) { o.Issuer = "https://a:b@login.example.org" },
		"a query":                func(o *Options) { o.Issuer = "https://login.example.org?" },
		"a fragment":             func(o *Options) { o.Issuer = "https://login.example.org#" },
		"no client":              func(o *Options) { o.ClientID = "" },
		"a way back in the open": func(o *Options) { o.Redirect = "http://id.example.com/callback" },
	} {
		o := good
		change(&o)
		if _, err := New(o); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhenSomebodyProvedWhoTheyAre(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	p := &Party{o: Options{Issuer: "https://login.example.org", Now: func() time.Time { return now }}}
	begun, seconds := now.Add(-2*time.Minute), func(at time.Time) map[string]any { return map[string]any{"auth_time": float64(at.Unix())} }
	for name, c := range map[string]struct {
		says   map[string]any
		fresh  bool
		want   time.Time
		refuse bool
	}{
		"long ago":                       {seconds(now.Add(-8 * time.Hour)), false, now.Add(-8 * time.Hour), false},
		"nobody says":                    {map[string]any{}, false, time.Time{}, false},
		"a text is no time":              {map[string]any{"auth_time": "yesterday"}, false, time.Time{}, false},
		"a time to come":                 {seconds(now.Add(time.Hour)), false, now, false},
		"anew":                           {seconds(now.Add(-time.Minute)), true, now, false},
		"anew, by a clock that is slow":  {seconds(begun.Add(-30 * time.Second)), true, now, false},
		"anew, and nobody says":          {map[string]any{}, true, now, false},
		"it should be anew, and was not": {seconds(now.Add(-time.Hour)), true, time.Time{}, true},
	} {
		got, err := p.proved(c.says, &pending{Begun: begun, Fresh: c.fresh})
		if !got.Equal(c.want) || (fault.KindOf(err) == fault.Denied && err != nil) != c.refuse {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
