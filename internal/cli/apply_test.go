package cli

import (
	"strings"
	"testing"
)

func TestConnectionsAreAppliedFromAFile(t *testing.T) {
	h := newHouse(t, "organizations: [{id: sunfix}]\n")
	h.write("people.csv", "username,email,first_name,last_name\njdoe,jane@x.org,Jane,Doe\n")
	h.write("more.yaml", `
organizations: [{id: moonfix, licence_limit: 7}]
connections:
  - {alias: moon, organization: moonfix, backend: {csv: {path: people.csv, default_password: "${START}"}}}
`)
	has := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	has(h.refuses(1, "connections", "apply", h.path("more.yaml")), "START is not set")
	h.env["START"] = secret("Sesame-Start-1")
	first := h.run(0, "connections", "apply", h.path("more.yaml"))
	has(first, "organization moonfix: made")
	has(first, "connection moon: made")
	again := h.run(0, "connections", "apply", h.path("more.yaml"))
	has(again, "connection moon: changed")
	if strings.Contains(again, "moonfix") {
		t.Error("an organization that is as the file says was changed:", again)
	}
	has(h.run(0, "connections", "list"), "moon ")
	has(h.run(0, "connections", "export", "moon"), "licence_limit: 7")
	has(h.run(0, "secrets", "rotate"), "Sealed 1 secret with a new key")
	has(h.run(0, "doctor"), "ok")
	has(h.run(0, "sync", "moon"), "1 created")
	has(h.run(0, "connections", "delete", "moon"), "accounts stay as they are")
	has(h.run(0, "accounts", "list"), "jdoe")
	has(h.refuses(1, "connections", "delete", "moon"), "no connection")
	has(h.refuses(1, "organizations", "delete", "moonfix"), "still has 1 accounts")
	has(h.run(0, "organizations", "create", "starfix", "--name", "Starfix"), "starfix")
	has(h.run(0, "organizations", "delete", "starfix"), "Deleted")
	has(h.run(0, "events", "tail"), "connection.deleted")
}
