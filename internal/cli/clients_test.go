package cli

import (
	"strings"
	"testing"
)

// Both ways to the same: the database, and a server that is asked.
func TestClientsAreRegisteredShownChangedAndTakenAway(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T) (h *house, at []string){
		"database": func(t *testing.T) (*house, []string) {
			h := newHouse(t, servedConfiguration)
			h.write("people.csv", "username,email,first_name,last_name\n")
			return h, nil
		},
		"server": func(t *testing.T) (*house, []string) {
			s := serving(t, "")
			return s.house, []string{"--server", s.url, "--api-key", s.key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, at := begin(t)
			run := func(code int, words ...string) string {
				return h.run(code, append(append([]string{"clients"}, words...), at...)...)
			}
			out := strings.Fields(run(0, "create", "--name", "Timesheets", "--organization", "sunfix", "--redirect-uri", "https://app.example/cb", "--connection", "staff", "--access-token-life", "5m"))
			id, secret := out[0], out[1]
			if !strings.HasPrefix(id, "app_") || !strings.HasPrefix(secret, "rcs_") {
				t.Fatalf("made %q", out)
			}
			shown := run(0, "show", id)
			for _, word := range []string{"Timesheets", "https://app.example/cb", "sunfix", "staff", "5m0s", "confidential"} {
				if !strings.Contains(shown, word) {
					t.Errorf("%q is not in\n%s", word, shown)
				}
			}
			if list := run(0, "list"); !strings.Contains(list, id) || strings.Contains(list, secret) {
				t.Errorf("listed as\n%s", list)
			}
			if got := run(0, "update", id, "--name", "Hours", "--connection", ""); !strings.Contains(got, "Hours") || strings.Contains(got, "staff") {
				t.Errorf("changed to\n%s", got)
			}
			if again := run(0, "rotate-secret", id, "--overlap", "1h"); strings.Contains(again, secret) || !strings.Contains(again, "rcs_") {
				t.Errorf("another secret: %s", again)
			}
			public := run(0, "create", "--name", "Phone", "--public", "--redirect-uri", "com.example.app:/cb")
			if strings.Contains(public, "rcs_") {
				t.Errorf("a public client has a secret: %s", public)
			}
			for _, bad := range [][]string{{"create", "--name", "x"}, {"create", "--name", "x", "--redirect-uri", "http://app.example/cb"}, {"create", "--name", "x", "--redirect-uri", "https://a/#b"},
				{"create", "--name", "x", "--redirect-uri", "https://a/cb", "--connection", "none"}, {"create", "--name", "x", "--redirect-uri", "https://a/cb", "--organization", "none"},
				{"create", "--name", "x", "--redirect-uri", "https://a/cb", "--scopes", "everything"}, {"show", "app_none"}, {"update", "app_none"}, {"rotate-secret", strings.Fields(public)[0]}} {
				run(1, bad...)
			}
			run(0, "delete", id)
			run(1, "show", id)
			if name == "database" {
				run(0, "rotate-keys")
				run(0, "rotate-keys", "--forget")
				if events := h.run(0, "events", "tail"); !strings.Contains(events, "client.created") || !strings.Contains(events, "signing_keys.rotated") || strings.Contains(events, "rcs_") {
					t.Errorf("told of as\n%s", events)
				}
			}
		})
	}
}
