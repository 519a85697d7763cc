package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
)

// The feed as an auditor sees it: noted, altered, found, accepted.
func TestTheDoctorWalksTheChainOfEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "connections:\n  - alias: staff\n    backend: {csv: {path: people.csv, passwords: none}}\n")
	h.write("people.csv", "username,first_name,last_name,email\njdoe,Jane,Doe,jane@example.org\n")
	hasNot(t, h.run(0, "doctor"), "head")
	h.run(0, "sync", "staff")
	head := regexp.MustCompile(`head (\d+:[0-9a-f]{64})`).FindStringSubmatch(h.run(0, "doctor"))
	if head == nil {
		t.Fatal("no head is printed")
	}
	h.write("people.csv", "username,first_name,last_name,email\njdoe,Jane,Roe,jane@example.org\n")
	h.run(0, "sync", "staff")
	has(t, h.run(0, "doctor", "--head", head[1]), "ok    the feed still holds the head that was noted")
	has(t, h.refuses(1, "doctor", "--head", "12"), "is not the head of a chain")

	// The key file is lost.
	if err := os.Rename(h.path("rollcall.key"), h.path("lost.key")); err != nil {
		t.Fatal(err)
	}
	has(t, h.run(1, "doctor", "--head", head[1]), "FAIL  no event was altered", "does not carry the seal of this installation", "ok    the feed still holds")
	h.run(0, "sync", "staff")
	h.run(1, "doctor")
	has(t, h.run(0, "doctor", "--accept", "the key file was lost"), "ok    no event was altered")
	has(t, h.run(0, "events", "tail", "-o", "json"), `"type":"feed.accepted"`, `"why":"the key file was lost"`)

	s, err := store.Open(t.Context(), "sqlite:"+h.path("rollcall.db"), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	err = s.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE events SET actor = 'somebody else' WHERE id = 1`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out := h.run(1, "doctor", "--head", head[1])
	has(t, out, "event 1 is not what was written")
	if strings.Count(out, "FAIL") != 2 {
		t.Errorf("what was noted still holds:\n%s", out)
	}
}
