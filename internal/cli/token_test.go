package cli

import (
	"strings"
	"testing"
)

// Both ways to the same: the database, and a server that is asked.
func TestTokensOfSCIMClientsAreMadeRotatedListedAndRevoked(t *testing.T) {
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
			h.write("push.yaml", "organizations: [{id: sunfix}]\nconnections: [{alias: entra, organization: sunfix, backend: {scim: {}}}]\n")
			h.run(0, append([]string{"connections", "apply", h.path("push.yaml")}, at...)...)
			run := func(code int, words ...string) string {
				return h.run(code, append(append([]string{"connections", "token"}, words...), at...)...)
			}
			after := func(text, label string) string {
				_, rest, found := strings.Cut(text, label)
				if !found {
					t.Fatalf("%q is not in\n%s", label, text)
				}
				return strings.Fields(rest)[0]
			}
			out := run(0, "entra", "--name", "Entra ID", "--expires", "180d")
			secret := after(out, "Secret token:")
			if !strings.HasPrefix(secret, "rcp_") || !strings.HasSuffix(after(out, "Tenant URL:"), "/scim/v2/entra") {
				t.Fatalf("made\n%s", out)
			}
			machine := run(0, "entra", "--oauth", "--expires", "never")
			if !strings.HasSuffix(after(machine, "Token endpoint:"), "/scim/v2/entra/oauth/token") || !strings.HasPrefix(after(machine, "Client ID:"), "rcc_") || !strings.HasPrefix(after(machine, "Client secret:"), "rco_") {
				t.Errorf("made\n%s", machine)
			}
			next := after(run(0, "entra", "--rotate", "--overlap", "2h"), "Secret token:")
			list := run(0, "entra", "--list")
			if !strings.Contains(list, secret[:16]) || !strings.Contains(list, next[:16]) || strings.Contains(list, secret) || strings.Count(list, "Entra ID") != 2 || !strings.Contains(list, "never") {
				t.Errorf("listed as\n%s", list)
			}
			has(t, run(0, "entra", "--revoke", secret[:16]), "ended")
			has(t, run(0, "entra", "--list"), "revoked")
			has(t, run(0, "entra", "--list", "-o", "json"), `"revoked_by"`)
			for _, bad := range [][]string{{"staff"}, {"nobody"}, {"staff", "--list"}, {"entra", "--revoke", "rcp_nobody"}} {
				run(1, bad...)
			}
			for _, bad := range [][]string{{"entra", "--list", "--rotate"}, {"entra", "--expires", "soon"}, {"entra", "--rotate", "--overlap", "soon"}, {}} {
				run(2, bad...)
			}
			if name == "database" {
				told := h.run(0, "events", "tail")
				has(t, told, "connection.token_created", "connection.token_rotated", "connection.token_revoked")
				if strings.Contains(told, secret[20:]) {
					t.Errorf("told of as\n%s", told)
				}
			}
		})
	}
}
