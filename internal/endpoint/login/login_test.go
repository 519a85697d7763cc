package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/endpoint/login"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/ledger"
)

// site is the pages of one organization, with a list of people whose passwords are
// kept here.
type site struct {
	*testing.T
	store  *store.Store
	h      http.Handler
	anna   *account.Account
	set    setting.SignIn
	change bool
	slept  []time.Duration
	clock  time.Time
	jar    map[string]string
	from   string
	sign   *signin.Service
}

func open(t *testing.T, public string) *site {
	t.Helper()
	s := &site{T: t, set: setting.DefaultSignIn(), jar: map[string]string{}, clock: time.Now(), from: "192.0.2.7:1234"}
	st, err := store.Open(t.Context(), databases.SQLite(t), t.TempDir())
	s.must(err)
	t.Cleanup(func() { s.must(st.Close()) })
	s.store = st
	ring := &seal.Ring{Path: filepath.Join(t.TempDir(), "key")}
	st.DB.Keyed = ring.Keyed
	s.must(st.Declare(t.Context(), []setting.Organization{{ID: "sun", Name: "Sun <b>& Fix</b>"}}))
	s.anna = s.person("anna", "right")
	now := func() time.Time { return s.clock }
	st.LoginTable.Clock, st.PasswordTable.Now = now, now
	s.sign = signin.New(signin.Options{Store: st, Connections: registry{s}, Kinds: kinds, Ring: ring, Settings: func() setting.SignIn { x := s.set; x.ChangeFirst = s.change; return x },
		PublicURL: public, Now: now, Open: func(context.Context, setting.Connection) (signin.Door, error) { return nil, errDown }, Sleep: func(_ context.Context, d time.Duration) { s.slept = append(s.slept, d); s.clock = s.clock.Add(d) },
		Verify: func(_ context.Context, plain, hash string) (bool, error) { return hash == "quick:"+plain, nil },
		Hash:   func(_ context.Context, plain string) (string, error) { return "quick:" + plain, nil },
	})
	s.h, err = login.New(login.Deps{SignIn: s.sign, Logins: st.LoginTable, Ring: ring, PublicURL: public, Now: now,
		About: func(next string) string {
			if strings.HasPrefix(next, "/oauth2/authorize?client_id=wiki") {
				return "The <i>Wiki</i>"
			}
			return ""
		}})
	s.must(err)
	return s
}

// errDown is what a directory says that cannot be reached.
var errDown = fault.New(fault.Unavailable, "connection refused")

type registry struct{ s *site }

func (r registry) Connection(_ context.Context, alias string) (setting.Connection, error) {
	if alias != "hq" {
		return setting.Connection{}, fault.New(fault.NotFound, "there is no connection %q", alias)
	}
	return setting.Connection{Alias: "hq", Organization: "sun", Kind: "ldap", SignIn: setting.ConnectionSignIn{Enabled: true, ShowReasons: true, Domains: []string{"sun.example"}}}, nil
}

func (r registry) Each(ctx context.Context, organization string, fn func(setting.Connection) error) error {
	c, err := r.Connection(ctx, "hq")
	return errors.Join(err, fn(c))
}

func (s *site) person(username, password string) *account.Account {
	s.Helper()
	l := ledger.Local{Hash: "quick:" + password}
	l.Account.Text[account.Username], l.Account.Text[account.Email], l.Account.Text[account.FirstName], l.Account.Text[account.LastName] = username, username+"@sun.example", "Anna", "Person"
	list := []ledger.Local{l}
	s.must(s.store.LedgerTable.CreateLocal(s.Context(), "sun", "test", list))
	return &list[0].Account
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// ask sends a request as the browser of the jar.
func (s *site) ask(method, target string, form url.Values, header ...string) *httptest.ResponseRecorder {
	s.Helper()
	var r *http.Request
	if form == nil {
		r = httptest.NewRequestWithContext(s.Context(), method, target, nil)
	} else {
		r = httptest.NewRequestWithContext(s.Context(), method, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.RemoteAddr = s.from
	for name, value := range s.jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(s.jar, c.Name)
		} else {
			s.jar[c.Name] = c.Value
		}
	}
	return w
}

var field = regexp.MustCompile(`name="form" value="([0-9a-f]+)"`)

// seal gives the value of a page's form.
func (s *site) seal(target string) string {
	s.Helper()
	m := field.FindStringSubmatch(s.ask("GET", target, nil).Body.String())
	if m == nil {
		s.Fatalf("%s has no form", target)
	}
	return m[1]
}

const door = "/login/local?organization=sun"

func (s *site) fill(login, password string, more ...string) url.Values {
	s.Helper()
	v := url.Values{"form": {s.seal(door)}, "organization": {"sun"}, "login": {login}, "password": {password}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return v
}

func (s *site) signIn(login, password string, more ...string) *httptest.ResponseRecorder {
	s.Helper()
	return s.ask("POST", "/login/local", s.fill(login, password, more...))
}

func TestSignInGoesWhereTheApplicationWaits(t *testing.T) {
	s := open(t, "http://localhost")
	const next = "/oauth2/authorize?client_id=wiki&state=a%20b"
	page := s.ask("GET", door+"&login_hint=anna%22%3E%3Cscript%3E&next="+url.QueryEscape(next), nil).Body.String()
	for _, want := range []string{"The &lt;i&gt;Wiki&lt;/i&gt;", "Sun &lt;b&gt;&amp; Fix&lt;/b&gt;", `value="anna&#34;&gt;&lt;script&gt;"`, `name="next" value="/oauth2/authorize?client_id=wiki&amp;state=a%20b"`, `autocomplete="current-password"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s:\n%s", want, page)
		}
	}
	// A wrong one keeps what is needed.
	w := s.signIn("anna", "wrong", "next", next)
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), `name="next" value="/oauth2/authorize?client_id=wiki`) || !strings.Contains(w.Body.String(), `role="alert"`) || strings.Contains(w.Body.String(), `value="wrong"`) {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	w = s.signIn("anna", "right", "next", next)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != next {
		t.Errorf("%d %s\n%s", w.Code, w.Header(), w.Body)
	}
	w = s.signIn("anna", "right")
	if w.Header().Get("Location") != "/login/done" {
		t.Errorf("%s", w.Header())
	}
	if body := s.ask("GET", "/login/done", nil).Body.String(); !strings.Contains(body, "Anna Person") {
		t.Error(body)
	}
}

func TestNextLeadsNowhereElse(t *testing.T) {
	s := open(t, "http://localhost")
	bad := []string{"//evil.example", `/\evil.example`, "https://evil.example/oauth2/", "/%2f/evil.example", "%2foauth2/", "/oauth2/../../evil", "/oauth2/%2e%2e/x", "/oauth2/%252e%252e/x", "/oauth2//evil.example",
		"/oauth2/%2f%2fevil", "/oauth2/\r\nSet-Cookie: a=b", "/oauth2/\tx", "javascript:alert(1)", "/oauth2", "/OAUTH2/x", "/", "", "/login/done", "oauth2/x", "/oauth2/x#y", " /oauth2/x", "/oauth2/\\evil", "/oauth2/%5cevil", "/oauth2/x\x00"}
	for _, next := range bad {
		if got := login.Next(next); got != "" {
			t.Errorf("%q leads to %q", next, got)
		}
		if w := s.signIn("anna", "right", "next", next); w.Header().Get("Location") != "/login/done" || len(w.Header().Values("Set-Cookie")) != 2 {
			t.Errorf("%q: %v", next, w.Header())
		}
	}
	for _, next := range []string{"/oauth2/authorize", "/oauth2/authorize?client_id=x&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=%2F%2F.."} {
		if login.Next(next) != next {
			t.Errorf("%q is refused", next)
		}
	}
}

func FuzzNext(f *testing.F) {
	for _, s := range []string{"/oauth2/authorize?x=y", "//evil", "/oauth2/%2e%2e/", "/oauth2/..;/", `/oauth2/\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := login.Next(text)
		if got == "" {
			return
		}
		base, err := url.Parse("https://in.example/login/hq")
		if err != nil {
			t.Fatal(err)
		}
		to, err := base.Parse(got)
		if err != nil || to.Host != "in.example" || to.Scheme != "https" || !strings.HasPrefix(to.Path, "/oauth2/") {
			t.Fatalf("%q leads to %v, %v", text, to, err)
		}
	})
}

func TestNobodyLearnsWhoThereIs(t *testing.T) {
	s := open(t, "http://localhost")
	s.person("without", "")
	var bodies []string
	var waits []time.Duration
	for _, who := range []string{"anna", "nobody", "without"} {
		began := s.clock
		w := s.signIn(who, "wrong")
		bodies = append(bodies, fmt.Sprint(w.Code, w.Header(), strings.ReplaceAll(field.ReplaceAllString(w.Body.String(), ""), who, "WHO")))
		waits = append(waits, s.clock.Sub(began).Round(time.Second/4))
	}
	for i := range bodies {
		if bodies[i] != bodies[0] || waits[i] != waits[0] || waits[i] == 0 {
			t.Errorf("%s %s differs from\n%s %s", waits[i], bodies[i], waits[0], bodies[0])
		}
	}
}

func TestAnotherSiteSignsNobodyIn(t *testing.T) {
	for _, public := range []string{"http://localhost", "https://in.example"} {
		s := open(t, public)
		good := s.fill("anna", "right")
		in := func(w *httptest.ResponseRecorder) bool { return w.Code == http.StatusSeeOther }
		other := open(t, public)
		stolen := other.seal(door)
		for name, w := range map[string]*httptest.ResponseRecorder{
			"from another site":           s.ask("POST", "/login/local", good, "Sec-Fetch-Site", "cross-site"),
			"from a sister site":          s.ask("POST", "/login/local", good, "Sec-Fetch-Site", "same-site"),
			"from another origin":         s.ask("POST", "/login/local", good, "Origin", "https://evil.example"),
			"without the form's value":    s.ask("POST", "/login/local", url.Values{"organization": {"sun"}, "login": {"anna"}, "password": {"right"}}),
			"with another browser's":      s.ask("POST", "/login/local", url.Values{"form": {stolen}, "organization": {"sun"}, "login": {"anna"}, "password": {"right"}}),
			"in the address":              s.ask("POST", "/login/local?form="+good.Get("form"), url.Values{"organization": {"sun"}, "login": {"anna"}, "password": {"right"}}),
			"signing out from elsewhere":  s.ask("POST", "/login/signout", url.Values{}),
			"a form of a megabyte":        s.ask("POST", "/login/local", url.Values{"form": good["form"], "organization": {"sun"}, "login": {"anna"}, "password": {strings.Repeat("x", 1<<20)}}),
			"a password of two kilobytes": s.ask("POST", "/login/local", s.fill("anna", strings.Repeat("x", 2048))),
			"a name with line breaks":     s.ask("POST", "/login/local", s.fill("anna\r\nSet-Cookie: x=y", "right")),
		} {
			if in(w) || w.Header().Get("X") != "" || strings.Contains(fmt.Sprint(w.Header()), "x=y") {
				t.Errorf("%s: %d %v", name, w.Code, w.Header())
			}
		}
		jar := s.jar
		s.jar = map[string]string{}
		if w := s.ask("POST", "/login/local", good); in(w) || !strings.Contains(w.Body.String(), "llow cookies") {
			t.Errorf("without cookies: %d", w.Code)
		}
		s.jar = jar
		if w := s.ask("POST", "/login/local", good); !in(w) {
			t.Errorf("the good one: %d\n%s", w.Code, w.Body)
		}
	}
}

func TestASessionIsNobodysBefore(t *testing.T) {
	s := open(t, "https://in.example")
	const cookie = "__Host-rollcall-login"
	s.jar[cookie] = "ru_" + strings.Repeat("A", 43) // a stranger's, put there before
	w := s.signIn("anna", "right")
	first := s.jar[cookie]
	if w.Code != http.StatusSeeOther || first == "" || first == "ru_"+strings.Repeat("A", 43) {
		t.Fatalf("%d %q", w.Code, first)
	}
	for _, c := range w.Result().Cookies() {
		if c.Name == cookie && (!c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "") {
			t.Errorf("%+v", c)
		}
	}
	s.signIn("anna", "right")
	if s.jar[cookie] == first {
		t.Error("the second sign-in has the token of the first")
	}
	if _, _, err := s.store.LoginTable.Check(t.Context(), first); fault.KindOf(err) != fault.Denied {
		t.Error("the login before is still good", err)
	}
	second := s.jar[cookie]
	if w := s.ask("POST", "/login/signout", url.Values{"form": {s.seal(door)}}); w.Code != http.StatusOK || s.jar[cookie] != "" {
		t.Errorf("%d %v", w.Code, s.jar)
	}
	if _, _, err := s.store.LoginTable.Check(t.Context(), second); fault.KindOf(err) != fault.Denied {
		t.Error("signed out and still in", err)
	}
	if w := s.ask("GET", "/login/done", nil); w.Header().Get("Location") != "/login" {
		t.Errorf("%v", w.Header())
	}
}

func TestWhatThePagesSay(t *testing.T) {
	s := open(t, "http://localhost")
	for range 3 {
		s.signIn("anna", "wrong")
	}
	w := s.signIn("anna", "right")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "Try again in 5 minutes") {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	// The directory of hq is down.
	form := url.Values{"form": {s.seal("/login/hq")}, "login": {"lena@sun.example"}, "password": {"secret"}, "next": {"/oauth2/authorize?a=b"}}
	w = s.ask("POST", "/login/hq", form)
	body := w.Body.String()
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(body, "Your password is not wrong") || !strings.Contains(body, "lena@sun.example") || !strings.Contains(body, "/oauth2/authorize?a=b") || strings.Contains(body, "secret") {
		t.Errorf("%d\n%s", w.Code, body)
	}
	for target, want := range map[string]int{"/login/nowhere": 404, "/login/hq/more": 404, "/login/password/rw_x": 404, "/login?organization=moon": 404, "/login?organization=sun": 200, "/login/assets/login.css": 200, "/login/assets/..%2flogin.go": 404} {
		if w := s.ask("GET", target, nil); w.Code != want {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	// By e-mail domain, without an address in the address.
	form = url.Values{"form": {s.seal("/login/hq")}, "login": {"lena@SUN.example"}}
	if w := s.ask("POST", "/login", form); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `action="/login/hq"`) || !strings.Contains(w.Body.String(), `value="lena@SUN.example"`) {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	form.Set("login", "lena@elsewhere.example")
	if w := s.ask("POST", "/login", form); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "elsewhere.example") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	h := s.ask("GET", door, nil).Header()
	for _, want := range []string{"default-src 'none'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(h.Get("Content-Security-Policy"), want) {
			t.Errorf("no %s in %s", want, h.Get("Content-Security-Policy"))
		}
	}
}

// A page of ours must not hide behind a connection, nor a connection behind a page.
func TestNoConnectionHasTheNameOfAPage(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		text, err := os.ReadFile(name) //nolint:gosec // it is one of this package's own
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(?:GET|POST) /login/([a-z-]+)`).FindAllSubmatch(text, -1) {
			found++
			body := fmt.Sprintf(`{"alias": %q, "organization": "sun", "backend": {"csv": {"path": "a.csv"}}}`, m[1])
			if _, err := config.Connection("connection", []byte(body), all.Kinds()); err == nil || !strings.Contains(err.Error(), "our own addresses") {
				t.Errorf("a connection could be called %s: %v", m[1], err)
			}
		}
	}
	if found < 4 {
		t.Errorf("%d pages were looked at", found)
	}
}

func TestAPasswordOfOnesOwn(t *testing.T) {
	s := open(t, "http://localhost")
	s.change = true
	w := s.signIn("anna", "right", "next", "/oauth2/authorize?a=b")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Choose a new password") || !strings.Contains(w.Body.String(), "/oauth2/authorize?a=b") || s.jar["rollcall-login"] != "" {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	const fresh = "winter kettle orbit"
	for name, c := range map[string][3]string{
		"two that differ": {"right", fresh, fresh + "x"}, "one that is short": {"right", "short", "short"}, "the old one": {"right", "right", "right"},
		"the wrong old one": {"guess", fresh, fresh}, "the e-mail address": {"right", "anna@sun.example", "anna@sun.example"},
	} {
		if w := s.signIn("anna", c[0], "new", c[1], "again", c[2]); w.Code == http.StatusSeeOther || s.jar["rollcall-login"] != "" || !strings.Contains(w.Body.String(), `role="alert"`) {
			t.Errorf("%s: %d\n%s", name, w.Code, w.Body)
		}
	}
	w = s.signIn("anna", "right", "new", fresh, "again", fresh, "next", "/oauth2/authorize?a=b")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/oauth2/authorize?a=b" {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	if w := s.signIn("anna", fresh); w.Code != http.StatusSeeOther {
		t.Errorf("with their own: %d", w.Code)
	}
	if w := s.signIn("anna", "right"); w.Code != http.StatusUnauthorized {
		t.Errorf("with the old one: %d", w.Code)
	}
	chosen := false
	s.must(s.store.EventTable.After(t.Context(), "", 0, 1000, func(e event.Event) error {
		chosen = chosen || e.Type == event.AccountPasswordChanged
		if e.Type == event.AccountSignInFailed && strings.Contains(string(e.After), "must_change") {
			t.Errorf("to choose a password is told as a failure: %s", e.After)
		}
		return nil
	}))
	if !chosen {
		t.Error("nobody is told that a password was chosen")
	}
	// A link ends all logins.
	before := s.jar["rollcall-login"]
	address, _, err := s.sign.PasswordLink(t.Context(), s.anna, "operator:eve")
	s.must(err)
	path := strings.TrimPrefix(address, "http://localhost")
	form := url.Values{"form": {s.seal(path)}, "new": {"another kettle orbit"}, "again": {"another kettle orbit"}}
	if w := s.ask("POST", path, form); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Your password is changed") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	if w := s.ask("POST", path, form); w.Code != http.StatusNotFound {
		t.Errorf("the second time: %d", w.Code)
	}
	if _, _, err := s.store.LoginTable.Check(t.Context(), before); fault.KindOf(err) != fault.Denied {
		t.Error("a login outlives its password", err)
	}
	address, _, err = s.sign.PasswordLink(t.Context(), s.anna, "operator:eve")
	s.must(err)
	s.clock = s.clock.Add(25 * time.Hour)
	if w := s.ask("GET", strings.TrimPrefix(address, "http://localhost"), nil); w.Code != http.StatusNotFound {
		t.Errorf("after a day: %d", w.Code)
	}
}
