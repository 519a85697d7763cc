package cli

import (
	"strings"
	"testing"
)

// Both ways to the same: the database, and a server that is asked.
func TestAgentsAreMadeListedRotatedRevokedAndForgotten(t *testing.T) {
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
				return h.run(code, append(append([]string{"agents"}, words...), at...)...)
			}
			if out := run(0, "list"); !strings.Contains(out, "no agents") {
				t.Errorf("an empty list: %s", out)
			}
			id, secret, _ := strings.Cut(strings.Fields(run(0, "create", "dc1", "--connection", "staff"))[0], ":")
			if !strings.HasPrefix(id, "agt_") || !strings.HasPrefix(secret, "rcg_") {
				t.Fatalf("made %q, %q", id, secret)
			}
			for _, words := range [][]string{{"list"}, {"list", "--connection", "staff"}, {"list", "-o", "json"}} {
				if list := run(0, words...); !strings.Contains(list, id) || !strings.Contains(list, "dc1") || !strings.Contains(list, "new") || strings.Contains(list, secret) {
					t.Errorf("%v: listed as\n%s", words, list)
				}
			}
			if list := run(0, "list", "--connection", "none"); strings.Contains(list, id) {
				t.Errorf("of another connection:\n%s", list)
			}
			again, other, _ := strings.Cut(strings.Fields(run(0, "rotate", id))[0], ":")
			if again != id || other == secret || !strings.HasPrefix(other, "rcg_") {
				t.Errorf("another secret: %s %s", again, other)
			}
			run(0, "rotate", id, "--overlap", "1h")
			for _, bad := range [][]string{{"create", "dc1", "--connection", "staff"}, {"create", "dc2", "--connection", "none"}, {"create", "", "--connection", "staff"}, {"rotate", "agt_none"}, {"revoke", "agt_none"}} {
				run(1, bad...)
			}
			run(2, "create", "dc2")
			run(2, "create", "--connection", "staff")
			run(2, "rotate", id, "--overlap", "soon")
			run(1, "forget", id)
			if out := run(0, "revoke", id); !strings.Contains(out, "dc1") {
				t.Errorf("revoked: %s", out)
			}
			run(1, "rotate", id)
			if list := run(0, "list"); !strings.Contains(list, "revoked") {
				t.Errorf("afterwards:\n%s", list)
			}
			if out := run(0, "forget", id); !strings.Contains(out, "the last one of staff") {
				t.Errorf("forgotten: %s", out)
			}
			if list := run(0, "list"); !strings.Contains(list, "no agents") {
				t.Errorf("at the end:\n%s", list)
			}
			if name == "database" {
				if events := h.run(0, "events", "tail"); !strings.Contains(events, "agent.created") || !strings.Contains(events, "agent.revoked") || !strings.Contains(events, "agent.forgotten") || strings.Contains(events, "rcg_") {
					t.Errorf("told:\n%s", events)
				}
			}
		})
	}
}
