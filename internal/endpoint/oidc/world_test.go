package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/endpoint/oidc"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/logins"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// world is an installation with two tenants, sun and moon, some of their people, a
// provider in front of it, and a clock that stands still.
type world struct {
	testing.TB
	app      *app.App
	provider *oidc.Provider
	issuer   string
	mu       sync.Mutex
	clock    time.Time
	ids      map[string]account.ID // by username
}

const settings = `
organizations: [{id: sun, name: Sun}, {id: moon, name: Moon}]
webhooks: {allow_private: [127.0.0.0/8]}
connections:
  - {alias: sun-hq, organization: sun, role: employee, backend: {csv: {path: sun.csv, key: username, passwords: none}}}
  - {alias: sun-shop, organization: sun, backend: {csv: {path: shop.csv, key: username, passwords: none}}}
  - {alias: moon-hq, organization: moon, backend: {csv: {path: moon.csv, key: username, passwords: none}}}
`

// both runs a test on each database.
func both(t *testing.T, fn func(w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		fn(open(t, databases.SQLite(t)))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		dsn := databases.PostgreSQL(t)
		fn(open(t, dsn))
	})
}

func open(t *testing.T, dsn string) *world {
	t.Helper()
	return opened(&world{TB: t}, t, dsn)
}

// openFor is open for all of a fuzz target's inputs; w.TB is whichever has its turn.
func openFor(f *testing.F) *world {
	f.Helper()
	return opened(&world{TB: f}, f, "")
}

func opened(w *world, t testing.TB, dsn string) *world {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	w.clock, w.ids = time.Now().Truncate(time.Second), map[string]account.ID{}
	h := http.NotFoundHandler()
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h.ServeHTTP(rw, r) }))
	t.Cleanup(web.Close)
	w.issuer = web.URL
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rollcall.yaml": "public_url: " + w.issuer + "\n" + settings,
		"sun.csv":       "username,email,first_name,last_name,mobile_phone,language\nanna,anna@sun.example,Anna,Person,+32470123456,nl\nbob,bob@sun.example,Bob,Person,,\n",
		"shop.csv":      "username,email,first_name,last_name\nsid,sid@sun.example,Sid,Person\n",
		"moon.csv":      "username,email,first_name,last_name\ndora,dora@moon.example,Dora,Person\n",
	} {
		must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	a, err := app.Open(ctx, filepath.Join(dir, "rollcall.yaml"), func(name string) (string, bool) {
		return dsn, name == "ROLLCALL_DATABASE" && dsn != ""
	})
	must(err)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	w.app = a
	a.Store.LoginTable.Clock, a.Store.GrantTable.Now, a.Store.ClientTable.Now, a.Store.SigningKeys.Now = w.now, w.now, w.now, w.now
	w.provider = oidc.New(oidc.Deps{Issuer: w.issuer, Logins: a.Store.LoginTable, Clients: a.Store.ClientTable, Grants: a.Store.GrantTable, Keys: a.Store.SigningKeys,
		Accounts: a.Store.AccountTable, Ring: a.Ring, Connection: a.Store.ClientTable.Known, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: w.now})
	h = w.provider
	for _, alias := range []string{"sun-hq", "sun-shop", "moon-hq"} {
		c, err := a.Registry.Connection(ctx, alias)
		must(err)
		_, err = a.Engine.Sync(ctx, c, engine.Options{Trigger: "test", Actor: "test"})
		must(err)
	}
	local := account.Account{}
	local.Text[account.Username], local.Text[account.Email], local.Text[account.FirstName], local.Text[account.LastName] = "lena", "lena@sun.example", "Lena", "Local"
	must(a.Store.LedgerTable.CreateLocal(ctx, "sun", "tester", []ledger.Local{{Account: local}}))
	must(a.Store.AccountTable.List(ctx, accounts.Filter{}, func(x *account.Account) error {
		w.ids[x.Text[account.Username]] = x.ID
		return nil
	}))
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// later has time go by.
func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func p[T any](v T) *T { return &v }

// application makes a confidential client of the whole installation, changed by
// change, and gives its secret.
func (w *world) application(change ...func(*clients.Spec)) (*clients.Client, string) {
	w.Helper()
	spec := clients.Spec{OIDCClientPatchInput: client.OIDCClientPatchInput{Name: p("Timesheets"), RedirectURIs: p([]string{"https://app.example/callback"}),
		PostLogoutRedirectURIs: p([]string{"https://app.example/bye"}), Scopes: p(clients.Scopes())}}
	for _, fn := range change {
		fn(&spec)
	}
	c, secret, err := w.app.Store.ClientTable.Create(w.Context(), "", spec, "tester")
	w.must(err)
	return c, secret
}

// browser is one in which somebody may be signed in.
type browser struct {
	w      *world
	Cookie string
	Login  *logins.Login
}

// signed gives a browser in which somebody is signed in.
func (w *world) signed(username string) *browser {
	w.Helper()
	a, err := w.app.Store.AccountTable.Fetch(w.Context(), []account.ID{w.ids[username]})
	w.must(err)
	one := a[w.ids[username]]
	if one == nil {
		w.Fatalf("there is no %s", username)
	}
	l, err := w.app.Store.LoginTable.Open(w.Context(), logins.Login{Organization: one.Organization, Connection: one.Connection, Account: one.ID, Methods: []string{"pwd"}})
	w.must(err)
	return &browser{w: w, Cookie: l.Token, Login: l}
}

// get asks for an address and follows nothing.
func (b *browser) get(to string) *answer { return b.w.send(b, http.MethodGet, to, nil) }

func (b *browser) post(to string, form url.Values) *answer {
	return b.w.send(b, http.MethodPost, to, form)
}

// answer is what came back.
type answer struct {
	*http.Response
	text string
}

// at is where an answer leads, with its query.
func (a *answer) at() (string, url.Values) {
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		return "", nil
	}
	q := u.Query()
	u.RawQuery = ""
	return u.String(), q
}

func (w *world) send(b *browser, method, to string, form url.Values, header ...string) *answer {
	w.Helper()
	if strings.HasPrefix(to, "/") {
		to = w.issuer + to
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(w.Context(), method, to, body)
	w.must(err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if b != nil && b.Cookie != "" {
		r.AddCookie(&http.Cookie{Name: "rollcall-login", Value: b.Cookie})
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	w.must(err)
	defer resp.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	return &answer{resp, string(text)}
}

const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// ask is an authorization request that is good, with changes as name and value; ""
// leaves a parameter out.
func (w *world) ask(c *clients.Client, changes ...string) string {
	q := url.Values{"client_id": {c.ID}, "redirect_uri": {c.RedirectURIs[0]}, "response_type": {"code"}, "scope": {"openid profile email groups offline_access"}, "state": {"st"}, "nonce": {"no"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return "/oauth2/authorize?" + q.Encode()
}

// code has a browser get a code.
func (b *browser) code(c *clients.Client, changes ...string) string {
	b.w.Helper()
	a := b.get(b.w.ask(c, changes...))
	_, q := a.at()
	if q.Get("code") == "" {
		b.w.Fatalf("no code: %d %s %s", a.StatusCode, a.Header.Get("Location"), a.text)
	}
	return q.Get("code")
}

// tokens is what the token endpoint gave.
type tokens struct {
	Access, ID, Refresh, Error string
	Scope                      string
	Expires                    int64
	Status                     int
}

// token asks the token endpoint, by secret where it is not "".
func (w *world) token(c *clients.Client, secret string, form url.Values) tokens {
	w.Helper()
	var header []string
	if secret != "" {
		header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.ID)+":"+url.QueryEscape(secret)))}
	} else if !form.Has("client_id") {
		form.Set("client_id", c.ID)
	}
	a := w.send(nil, http.MethodPost, "/oauth2/token", form, header...)
	var out struct {
		Access  string `json:"access_token"`
		ID      string `json:"id_token"`
		Refresh string `json:"refresh_token"`
		Scope   string `json:"scope"`
		Expires int64  `json:"expires_in"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.text), &out); err != nil {
		w.Fatalf("%v: %s", err, a.text)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		w.Errorf("a token may be kept: %v", a.Header)
	}
	return tokens{Access: out.Access, ID: out.ID, Refresh: out.Refresh, Scope: out.Scope, Expires: out.Expires, Error: out.Error, Status: a.StatusCode}
}

func (w *world) redeem(c *clients.Client, secret, code string, changes ...string) tokens {
	w.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURIs[0]}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(changes); i += 2 {
		if form.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			form.Del(changes[i])
		}
	}
	return w.token(c, secret, form)
}

func (w *world) refresh(c *clients.Client, secret, token string) tokens {
	w.Helper()
	return w.token(c, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// in signs somebody in at a client and gives the tokens.
func (w *world) in(c *clients.Client, secret, username string) (*browser, tokens) {
	w.Helper()
	b := w.signed(username)
	t := w.redeem(c, secret, b.code(c))
	if t.Access == "" || t.ID == "" || t.Refresh == "" {
		w.Fatalf("tokens: %+v", t)
	}
	return b, t
}

// userinfo gives status and claims.
func (w *world) userinfo(access string) (int, map[string]any) {
	w.Helper()
	a := w.send(nil, http.MethodGet, "/oauth2/userinfo", nil, "Authorization", "Bearer "+access)
	var out map[string]any
	w.must(json.Unmarshal([]byte(a.text), &out))
	return a.StatusCode, out
}

// payload is what a token says, unchecked.
func (w *world) payload(token string) map[string]any {
	w.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		w.Fatalf("no token: %q", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	w.must(err)
	var out map[string]any
	w.must(json.Unmarshal(b, &out))
	return out
}

// set gives a local account a status, with its event.
func (w *world) set(username string, status account.Status) {
	w.Helper()
	_, err := w.app.Store.LedgerTable.ChangeLocal(w.Context(), "", w.ids[username], ledger.Edit{Status: &status}, "tester")
	w.must(err)
}

// groups puts somebody into so many groups more.
func (w *world) groups(username string, n int) {
	w.Helper()
	w.must(w.app.Store.DB.Write(w.Context(), func(tx *db.Tx) error {
		for i := range n {
			name := fmt.Sprintf("group-%04d", i)
			id := account.NewID("test", name)
			if _, err := tx.Exec(w.Context(), `INSERT INTO groups (id, organization, connection, external_id, key, name, status, version, created_at, updated_at) VALUES ($1, 'sun', 'sun-hq', $2, $3, $4, 'active', 1, 1, 1)`, id, name, id[:], name); err != nil {
				return err
			}
			if _, err := tx.Exec(w.Context(), `INSERT INTO memberships (group_id, account_id) VALUES ($1, $2)`, id, w.ids[username]); err != nil {
				return err
			}
		}
		return nil
	}))
}
