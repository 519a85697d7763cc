package cli

import (
	"context"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/store/admins"
)

// opened gives the installation of a house, as another process has it.
func (h *house) opened(fn func(a *app.App)) {
	h.Helper()
	a, err := app.Open(h.Context(), h.path("rollcall.yaml"), h.lookup)
	if err != nil {
		h.Fatal(err)
	}
	fn(a)
	if err := a.Close(); err != nil {
		h.Fatal(err)
	}
}

func TestAdministratorsAreMadeWithoutABrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "public_url: https://id.example.com/\n")
	h.run(0, "organizations", "create", "sunfix")
	words := secret("quiet-harbour-lantern-nine")
	if r := h.tryWith(words+"\r\n", "admins", "create", "--email", "eve@example.com", "--password-stdin", "--name", "Eve"); r.status != 0 || !strings.Contains(r.out, "Made eve@example.com, operator.") {
		t.Fatal(r)
	}
	for _, c := range []struct {
		name, stdin, args string
		status            int
		says              string
	}{
		{"without a password", words, "--email a@example.com", 2, "--password-stdin"},
		{"without an address", words, "--password-stdin", 2, "--email is missing"},
		{"with nothing on standard input", "", "--email a@example.com --password-stdin", 1, "not one line"},
		{"with two lines", "one\ntwo\n", "--email a@example.com --password-stdin", 1, "not one line"},
		{"with a short password", secret("tiny-horse"), "--email a@example.com --password-stdin", 1, "too short"},
		{"with no address at all", words, "--email example.com --password-stdin", 1, "no e-mail address"},
		{"with an address somebody has", words, "--email EVE@example.com --password-stdin", 1, "belongs to an administrator"},
		{"with a role there is not", words, "--email a@example.com --password-stdin --role god", 1, "operator, administrator or auditor"},
		{"of an organization there is not", words, "--email a@example.com --password-stdin --organization moonfix", 1, `no organization "moonfix"`},
		{"an operator of one organization", words, "--email a@example.com --password-stdin --role operator --organization sunfix", 1, "not of one organization"},
		{"through a server", words, "--email a@example.com --password-stdin --server http://localhost:1", 2, "works on the database itself"},
	} {
		r := h.tryWith(c.stdin, append([]string{"admins", "create"}, strings.Fields(c.args)...)...)
		if r.status != c.status || !strings.Contains(r.err, c.says) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if r := h.tryWith(words, "admins", "create", "--email", "kim@sunfix.com", "--password-stdin", "--organization", "sunfix", "-o", "json"); r.status != 0 || !strings.Contains(r.out, `"role": "administrator"`) {
		t.Error(r)
	}
	has(t, h.run(0, "admins", "list"), "eve@example.com", "kim@sunfix.com", "administrator of sunfix")
	if out := h.run(0, "admins", "list", "--organization", "sunfix", "-o", "json"); strings.Contains(out, "eve@") || !strings.Contains(out, `"organization": "sunfix"`) {
		t.Error(out)
	}
	h.run(0, "admins", "update", "kim@sunfix.com", "--role", "auditor")
	has(t, h.refuses(1, "admins", "update", "eve@example.com", "--role", "auditor"), "the last operator", "make another operator first")
	has(t, h.refuses(1, "admins", "delete", "eve@example.com"), "the last operator")
	has(t, h.refuses(1, "admins", "disable", "nobody@example.com"), "no such administrator")

	sign := func(email string) {
		h.opened(func(a *app.App) {
			if _, err := a.Store.AdminTable.SignIn(t.Context(), email, words, "", netip.MustParseAddr("192.0.2.1"), "Firefox"); err != nil {
				t.Error(err)
			}
		})
	}
	sign("eve@example.com")
	sign("kim@sunfix.com")
	out := h.run(0, "admins", "sessions", "kim@sunfix.com")
	has(t, out, "ses_", "192.0.2.1", "Firefox")
	has(t, h.run(0, "admins", "sessions", "kim@sunfix.com", "--revoke", regexp.MustCompile(`ses_\w+`).FindString(out)), "has no sessions")
	has(t, h.refuses(1, "admins", "sessions", "kim@sunfix.com", "--revoke", "ses_x"), "no session")
	if out := h.run(0, "admins", "sessions", "eve@example.com", "--revoke", "all", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Error(out)
	}
	has(t, h.run(0, "admins", "disable", "kim@sunfix.com"), "Disabled kim@sunfix.com")
	has(t, h.run(0, "admins", "list"), "disabled")
	h.run(0, "admins", "enable", "kim@sunfix.com")
	has(t, h.run(0, "admins", "reset", "--email", "kim@sunfix.com", "--second-factor"), "password alone")

	link := regexp.MustCompile(`^https://id\.example\.com/welcome/(rl_[\w-]{43})\n$`)
	reset, invite := link.FindStringSubmatch(h.run(0, "admins", "reset", "--email", "kim@sunfix.com")), link.FindStringSubmatch(h.run(0, "admins", "invite", "--email", "lee@sunfix.com", "--organization", "sunfix"))
	if reset == nil || invite == nil {
		t.Fatal(reset, invite)
	}
	h.opened(func(a *app.App) {
		for _, token := range []string{reset[1], invite[1]} {
			if _, err := a.Store.AdminTable.Use(t.Context(), token, admins.Answer{Password: secret("another-quiet-harbour")}, netip.Addr{}, ""); err != nil {
				t.Error(err)
			}
		}
	})
	has(t, h.run(0, "admins", "list"), "lee@sunfix.com")
	has(t, h.run(0, "admins", "delete", "lee@sunfix.com", "-o", "json"), "lee@sunfix.com")
	has(t, h.run(0, "events", "tail"), "admin.created", "admin.deleted", "admin.invited", "admin.password_changed")
	has(t, h.run(0, "secrets", "rotate"), "with a new key")
	has(t, h.refuses(1, "organizations", "delete", "sunfix"), "still has 1 administrators")
}

func TestAServerWithoutAnybodyTellsHowToMakeTheFirstOperator(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "listen: 127.0.0.1:0\n")
	serve := func(words string) (string, string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out, log := &until{words: []string{words}, enough: cancel}, &until{enough: func() {}}
		if status := Run(ctx, []string{"--config", h.path("rollcall.yaml"), "serve"}, IO{In: strings.NewReader(""), Out: out, Err: log, Env: h.lookup}); status != 0 {
			t.Fatalf("exit status %d\n%s\n%s", status, out, log)
		}
		return out.String(), log.String()
	}
	out, log := serve("Create the first operator: ")
	found := regexp.MustCompile(`(?m)^Create the first operator: http://localhost:\d+/welcome/(rl_[\w-]{43})$`).FindStringSubmatch(out)
	if found == nil {
		t.Fatal(out)
	}
	if strings.Contains(log, found[1]) {
		t.Error("the token stands in the log")
	}
	h.opened(func(a *app.App) {
		if _, err := a.Store.AdminTable.Use(t.Context(), found[1], admins.Answer{Email: "eve@example.com", Password: "quiet harbour lantern"}, netip.Addr{}, ""); err != nil {
			t.Error(err)
		}
	})
	if out, _ := serve("Rollcall serves at"); strings.Contains(out, "first operator") {
		t.Error("it tells although there is an operator:", out)
	}
}
