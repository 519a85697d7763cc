package upstream

import (
	"net/url"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/oidc"
)

const back = "http://127.0.0.1:1/login/sunfix-hq/callback"

// A certified provider, one that puts everything into the ID token and one that
// keeps it for userinfo.
func TestARealProvider(t *testing.T) {
	for _, c := range []struct {
		name string
		thin bool
	}{{"all in the ID token", false}, {"the rest from userinfo", true}} {
		t.Run(c.name, func(t *testing.T) {
			s, err := oidc.Start(t.Context(), oidc.Options{ClientID: "rollcall", Secret: "secret of the rig", Redirect: back, Thin: c.thin})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			p := mustNew(t, Options{Issuer: s.Issuer, ClientID: "rollcall", Secret: "secret of the rig", Redirect: back})
			signIn := func(as string) {
				t.Helper()
				address, state, err := p.Begin(t.Context(), Wish{})
				if err != nil {
					t.Fatal(err)
				}
				answer, err := s.SignIn(t.Context(), address, as)
				if err != nil {
					t.Fatal(err)
				}
				got, err := p.Finish(t.Context(), answer, state)
				if err != nil {
					t.Fatal(err)
				}
				if got.Issuer != s.Issuer || got.Subject != as || got.Email != as+"@example.org" || !got.EmailVerified || got.Username != as || got.GivenName != "Anna" || got.FamilyName != "Ames" || got.All["sub"] != as {
					t.Errorf("%+v", got)
				}
				if _, err := p.Finish(t.Context(), answer, state); fault.KindOf(err) != fault.Denied {
					t.Errorf("the same answer again: %v", err)
				}
			}
			signIn("anna")
			address, state, err := p.Begin(t.Context(), Wish{Hint: "anna@example.org", Fresh: true})
			if err != nil {
				t.Fatal(err)
			}
			if u, err := url.Parse(address); err != nil || u.Query().Get("prompt") != "login" || u.Query().Get("login_hint") != "anna@example.org" {
				t.Errorf("%s, %v", address, err)
			}
			answer, err := s.SignIn(t.Context(), address, "anna")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := p.Finish(t.Context(), answer, state); err != nil || time.Since(got.AuthAt) > time.Hour {
				t.Errorf("they proved it at %s, %v", got.AuthAt, err)
			}
			if err := s.Rotate(); err != nil {
				t.Fatal(err)
			}
			signIn("bo")
			wrong := mustNew(t, Options{Issuer: s.Issuer, ClientID: "rollcall", Secret: "another", Redirect: back})
			if address, state, err = wrong.Begin(t.Context(), Wish{}); err != nil {
				t.Fatal(err)
			}
			answer, err = s.SignIn(t.Context(), address, "anna")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := wrong.Finish(t.Context(), answer, state); fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "" {
				t.Errorf("another secret: %v", err)
			}
		})
	}
}

func mustNew(t *testing.T, o Options) *Party {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
