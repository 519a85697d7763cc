package logout_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/deliver/logout"
	"rollcall.dev/rollcall/internal/deliver/webhook"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/grants"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/logins"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// house is a database with two people, an application that is told of sign-outs,
// and a clock.
type house struct {
	*testing.T
	store  *store.Store
	worker *logout.Worker
	clock  time.Time
	people [2]account.ID

	mu     sync.Mutex
	tokens []string
	answer int
}

const issuer = "https://id.example"

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { fn(open(t, databases.SQLite(t))) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := databases.PostgreSQL(t)
		fn(open(t, dsn))
	})
}

func open(t *testing.T, dsn string) *house {
	t.Helper()
	h := &house{T: t, clock: time.Now().Truncate(time.Second), answer: http.StatusOK}
	var err error
	h.store, err = store.Open(t.Context(), dsn, "")
	h.must(err)
	t.Cleanup(func() {
		if err := h.store.Close(); err != nil {
			t.Error(err)
		}
	})
	s := h.store
	s.SigningKeys.Ring = &seal.Ring{Path: filepath.Join(t.TempDir(), "key")}
	s.LoginTable.Clock, s.GrantTable.Now, s.SigningKeys.Now = h.now, h.now, h.now
	plain, secure := webhook.Clients(&webhook.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil)
	h.worker = &logout.Worker{Issuer: issuer, Grants: s.GrantTable, Keys: s.SigningKeys, Plain: plain, Secure: secure, Log: slog.New(slog.DiscardHandler), Now: h.now}
	h.must(s.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO organizations (id, name, created_at) VALUES ('sun', 'Sun', 0)`)
		return err
	}))
	for i, name := range []string{"anna", "bob"} {
		a := account.Account{}
		a.Text[account.Username], a.Text[account.Email], a.Text[account.FirstName], a.Text[account.LastName] = name, name+"@sun.example", name, "Person"
		list := []ledger.Local{{Account: a}}
		h.must(s.LedgerTable.CreateLocal(t.Context(), "sun", "tester", list))
		h.people[i] = list[0].Account.ID
	}
	return h
}

func (h *house) now() time.Time { return h.clock }

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// application registers one that is told at an address, "" for its own.
func (h *house) application(uri string) string {
	h.Helper()
	if uri == "" {
		site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.tokens = append(h.tokens, r.PostFormValue("logout_token"))
			w.WriteHeader(h.answer)
		}))
		h.Cleanup(site.Close)
		uri = site.URL + "/backchannel"
	}
	name, redirects := "App", []string{"https://app.example/cb"}
	made, _, err := h.store.ClientTable.Create(h.Context(), "", clients.Spec{OIDCClientPatchInput: client.OIDCClientPatchInput{Name: &name, RedirectURIs: &redirects, BackchannelLogoutURI: &uri}}, "tester")
	h.must(err)
	return made.ID
}

// in signs somebody in, also at a client.
func (h *house) in(who int, client string, used bool) *logins.Login {
	h.Helper()
	l, err := h.store.LoginTable.Open(h.Context(), logins.Login{Organization: "sun", Connection: account.Local, Account: h.people[who], Methods: []string{"pwd"}})
	h.must(err)
	if client != "" {
		h.grant(l, client, used)
	}
	return l
}

func (h *house) grant(l *logins.Login, client string, used bool) {
	h.Helper()
	code, err := h.store.GrantTable.Create(h.Context(), &grants.Grant{Client: client, Login: l.ID, Organization: "sun", Connection: l.Connection, Account: l.Account, EndsAt: l.EndsAt})
	h.must(err)
	if used {
		_, err = h.store.GrantTable.Redeem(h.Context(), code, time.Hour, func(*grants.Grant) error { return nil })
		h.must(err)
	}
}

func (h *house) end(l *logins.Login) {
	h.Helper()
	h.must(h.store.DB.Write(h.Context(), func(tx *db.Tx) error { return h.store.LoginTable.End(h.Context(), tx, l.ID) }))
}

// step gives the tokens that arrived in one.
func (h *house) step(want int) []string {
	h.Helper()
	h.mu.Lock()
	h.tokens = nil
	h.mu.Unlock()
	_, err := h.worker.Step(h.Context())
	h.must(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.tokens) != want {
		h.Fatalf("%d were told, want %d", len(h.tokens), want)
	}
	return h.tokens
}

// keys are those that are published, for go-oidc.
type keys struct{ h *house }

func (k keys) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	set, err := k.h.store.SigningKeys.Published(ctx)
	if err != nil {
		return nil, err
	}
	parsed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, err
	}
	return parsed.Verify(set.Key(parsed.Signatures[0].Header.KeyID)[0].Key)
}

func TestAClientIsToldOfASignOutOnce(t *testing.T) {
	both(t, func(h *house) {
		client, other := h.application(""), h.application("")
		l := h.in(0, client, true)
		h.grant(l, client, true) // again, in the same login
		h.grant(l, other, false) // a code that was never used: it knows of nobody
		stays := h.in(1, client, true)
		h.step(0)
		h.end(l)
		got := h.step(1)[0]
		parsed, err := jose.ParseSignedCompact(got, []jose.SignatureAlgorithm{jose.RS256})
		h.must(err)
		if typ := parsed.Signatures[0].Header.ExtraHeaders[jose.HeaderType]; typ != "logout+jwt" {
			h.Errorf("its type is %v", typ)
		}
		// By the library of an application: issuer, audience, signature, expiry.
		token, err := gooidc.NewVerifier(issuer, keys{h}, &gooidc.Config{ClientID: client}).Verify(h.Context(), got)
		h.must(err)
		var claims map[string]json.RawMessage
		h.must(token.Claims(&claims))
		if string(claims["sid"]) != `"`+l.ID+`"` || token.Subject != h.people[0].String() || claims["nonce"] != nil || string(claims["events"]) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` {
			h.Errorf("it says %s", claims)
		}
		h.step(0)
		if _, _, err := h.store.LoginTable.Check(h.Context(), stays.Token); err != nil {
			h.Errorf("somebody else was signed out: %v", err)
		}
	})
}

func TestAnAccountThatIsDisabledIsSignedOutForGood(t *testing.T) {
	fresh := "another hash"
	for name, edits := range map[string][]ledger.Edit{
		"disabled":         {{Status: new(account.Disabled)}, {Status: new(account.Active)}},
		"deleted":          {{Status: new(account.Deleted)}, {Status: new(account.Active)}},
		"another password": {{Hash: &fresh}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(h *house) {
				client := h.application("")
				one, two, stays := h.in(0, client, true), h.in(0, client, true), h.in(1, client, true)
				code, err := h.store.GrantTable.Create(h.Context(), &grants.Grant{Client: client, Login: one.ID, Organization: "sun", Connection: one.Connection, Account: one.Account, Offline: true, EndsAt: one.EndsAt})
				h.must(err)
				good := func(*grants.Grant) error { return nil }
				given, err := h.store.GrantTable.Redeem(h.Context(), code, time.Hour, good)
				h.must(err)
				waiting, err := h.store.GrantTable.Create(h.Context(), &grants.Grant{Client: client, Login: two.ID, Organization: "sun", Connection: two.Connection, Account: two.Account, EndsAt: two.EndsAt})
				h.must(err)
				for _, e := range edits {
					_, err := h.store.LedgerTable.ChangeLocal(h.Context(), "", h.people[0], e, "tester")
					h.must(err)
				}
				// They are active again before anybody looked: what was open has ended all the same.
				for _, l := range []*logins.Login{one, two} {
					if _, _, err := h.store.LoginTable.Check(h.Context(), l.Token); fault.KindOf(err) != fault.Denied {
						t.Errorf("a login from before: %v", err)
					}
				}
				if _, err := h.store.GrantTable.Refresh(h.Context(), given.Refresh, time.Hour, good); fault.KindOf(err) != fault.Denied {
					t.Errorf("a refresh token from before: %v", err)
				}
				if _, err := h.store.GrantTable.Redeem(h.Context(), waiting, time.Hour, good); fault.KindOf(err) != fault.Denied {
					t.Errorf("a code from before: %v", err)
				}
				// Whoever signed in after it stays, whenever the applications are told.
				after := h.in(0, client, true)
				h.clock = h.clock.Add(time.Minute)
				got := h.step(2)
				if slices.Equal(got[:1], got[1:]) {
					t.Error("one login was told of twice")
				}
				for _, l := range []*logins.Login{after, stays} {
					if _, _, err := h.store.LoginTable.Check(h.Context(), l.Token); err != nil {
						t.Error(err)
					}
				}
				h.step(0)
			})
		})
	}
}

// Two things at one moment: somebody who is just let in while their account is
// disabled has no login when it is enabled again.
func TestNobodyIsLetInWhileTheyAreDisabled(t *testing.T) {
	both(t, func(h *house) {
		disabled, active := account.Disabled, account.Active
		for range 10 {
			var under sync.WaitGroup
			var l *logins.Login
			under.Go(func() {
				l, _ = h.store.LoginTable.Open(h.Context(), logins.Login{Organization: "sun", Connection: account.Local, Account: h.people[0]})
			})
			_, err := h.store.LedgerTable.ChangeLocal(h.Context(), "", h.people[0], ledger.Edit{Status: &disabled}, "tester")
			under.Wait()
			h.must(err)
			if _, err := h.store.LoginTable.Open(h.Context(), logins.Login{Organization: "sun", Connection: account.Local, Account: h.people[0]}); fault.KindOf(err) != fault.Denied {
				t.Fatalf("a login of somebody who is disabled: %v", err)
			}
			_, err = h.store.LedgerTable.ChangeLocal(h.Context(), "", h.people[0], ledger.Edit{Status: &active}, "tester")
			h.must(err)
			if _, _, err := h.store.LoginTable.Check(h.Context(), l.Token); fault.KindOf(err) != fault.Denied {
				t.Fatalf("a login from before it was disabled: %v", err)
			}
		}
	})
}

func TestAClientThatDoesNotAnswerIsToldAgain(t *testing.T) {
	both(t, func(h *house) {
		client := h.application("")
		h.end(h.in(0, client, true))
		h.answer = http.StatusServiceUnavailable
		first := h.step(1)[0]
		h.step(0)
		h.clock = h.clock.Add(logout.Schedule[0])
		if again := h.step(1)[0]; again == first {
			h.Error("the same token again: it may have run out")
		}
		h.answer = http.StatusOK
		h.clock = h.clock.Add(logout.Schedule[1])
		h.step(1)
		h.clock = h.clock.Add(48 * time.Hour)
		h.step(0)
		// And not for ever.
		h.end(h.in(0, client, true))
		h.answer = http.StatusBadRequest
		for _, wait := range logout.Schedule {
			h.step(1)
			h.clock = h.clock.Add(wait)
		}
		h.step(1)
		h.clock = h.clock.Add(48 * time.Hour)
		h.step(0)
	})
}

// An address inside the operator's network is not reached, whatever a client says.
func TestAClientLeadsNobodyIntoTheNetwork(t *testing.T) {
	h := open(t, databases.SQLite(t))
	h.worker.Plain, h.worker.Secure = webhook.Clients(&webhook.Guard{}, nil)
	h.end(h.in(0, h.application(""), true))
	h.end(h.in(0, h.application("https://169.254.169.254/latest"), true))
	h.step(0)
	var why string
	h.must(h.store.DB.Reader().QueryRowContext(t.Context(), `SELECT min(error) FROM logouts`).Scan(&why))
	if why == "" {
		t.Error("nothing says why")
	}
	t.Log(why)
}
