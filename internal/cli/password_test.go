package cli

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/store/ledger"
)

// Both ways to the same: the database, and a server that is asked.
func TestALinkToChooseAPasswordIsPrintedOnce(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T) (h *house, at []string){
		"database": func(t *testing.T) (*house, []string) {
			h := newHouse(t, "public_url: https://id.example.com\n"+servedConfiguration)
			h.write("people.csv", "username,email,first_name,last_name\njdoe,jane@x.org,Jane,Doe\n")
			return h, nil
		},
		"server": func(t *testing.T) (*house, []string) {
			s := serving(t, "public_url: https://id.example.com\n")
			return s.house, []string{"--server", s.url, "--api-key", s.key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, at := begin(t)
			with := func(words ...string) []string { return append(words, at...) }
			h.run(0, "sync", "staff")
			for _, who := range []string{"lena", "gone"} {
				h.run(0, "accounts", "create", "--username", who, "--email", who+"@x.org", "--first-name", who, "--last-name", "Local", "--organization", "sunfix")
			}
			h.opened(func(a *app.App) {
				list, err := a.Store.AccountTable.ByLogin(t.Context(), "sunfix", account.Local, "gone")
				if err != nil || len(list) != 1 {
					t.Fatal(list, err)
				}
				if _, err := a.Store.LedgerTable.ChangeLocal(t.Context(), "", list[0].ID, ledger.Edit{Status: new(account.Disabled)}, "tester"); err != nil {
					t.Fatal(err)
				}
			})
			link := h.run(0, with("accounts", "password-link", "lena")...)
			path, ok := strings.CutPrefix(strings.TrimSpace(link), "https://id.example.com/login/password/rw_")
			if !ok || len(path) != 43 {
				t.Fatalf("it printed %q", link)
			}
			var second client.PasswordLink
			h.json(0, &second, with("accounts", "password-link", "lena@x.org")...)
			if !strings.HasPrefix(second.URL, "https://id.example.com/login/password/rw_") || strings.Contains(second.URL, path) || time.Until(second.ExpiresAt) < 23*time.Hour {
				t.Errorf("the second is %+v", second)
			}
			events := h.run(0, "events", "tail")
			has(t, events, "account.password_link_created")
			if strings.Contains(events, path) {
				t.Error("the link stands in the events")
			}
			has(t, h.refuses(1, with("accounts", "password-link", "nobody")...), "nobody")
			has(t, h.refuses(1, with("accounts", "password-link", "gone")...), "disabled")
			h.refuses(2, with("accounts", "password-link")...)
		})
	}
}
