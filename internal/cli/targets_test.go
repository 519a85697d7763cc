package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/scim"
)

// scimApp takes users and gives them back.
type scimApp struct {
	mu    sync.Mutex
	users []scim.Object
	got   chan struct{} // told of whoever is made
}

func (a *scimApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer sesame" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch {
	case r.Method == http.MethodPost:
		var o scim.Object
		_ = json.NewDecoder(r.Body).Decode(&o)
		o["id"] = fmt.Sprint("u", len(a.users)+1)
		a.users = append(a.users, o)
		if a.got != nil {
			a.got <- struct{}{}
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(o)
	case r.URL.Path == "/scim/Users" && r.URL.Query().Get("filter") == "":
		_ = json.NewEncoder(w).Encode(scim.ListObject(scim.Page{Resources: a.users, Total: len(a.users), Start: 1}))
	default:
		_ = json.NewEncoder(w).Encode(scim.ListObject(scim.Page{Start: 1}))
	}
}

func (a *scimApp) many() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.users)
}

func (a *scimApp) lose() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users = nil
}

// Without a server the command pushes by itself.
func TestAccountsArePushedFromTheCommandLine(t *testing.T) {
	app := &scimApp{}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	h := newHouse(t, servedConfiguration+"\nwebhooks: {allow_private: [127.0.0.0/8]}\n")
	h.write("people.csv", "username,email,first_name,last_name\nann,ann@sunfix.example,Ann,Doe\n")
	h.run(0, "sync", "staff")
	create := []string{"targets", "create", "--organization", "sunfix", "--name", "App", "--url", server.URL + "/scim", "--secret-stdin", "-o", "json"}
	var made struct{ ID string }
	if out := h.tryWith("sesame\n", create...).out; json.Unmarshal([]byte(out), &made) != nil || made.ID == "" || strings.Contains(out, "sesame") {
		t.Fatalf("made %s", out)
	}
	h.run(2, "targets", "create", "--organization", "sunfix", "--name", "App", "--url", server.URL)
	if out := h.run(0, "targets", "list"); !strings.Contains(out, made.ID) {
		t.Errorf("listed as\n%s", out)
	}
	if out := h.run(0, "targets", "sync", made.ID); !strings.Contains(out, "1 account or group: 1 in step, 0 due, 0 failed") || app.many() != 1 {
		t.Errorf("synced: %s", out)
	}
	if out := h.run(0, "targets", "check", made.ID); !strings.Contains(out, "1 as pushed, 0 different, 0 missing") {
		t.Errorf("checked: %s", out)
	}
	app.lose()
	if out := h.run(0, "targets", "check", made.ID); !strings.Contains(out, "0 as pushed, 0 different, 1 missing") {
		t.Errorf("checked: %s", out)
	}
	if out := h.run(0, "targets", "repair", made.ID); !strings.Contains(out, "pushed again") || app.many() != 1 {
		t.Errorf("repaired: %s", out)
	}
	if out := h.run(0, "targets", "update", made.ID, "--name", "Hours", "--groups=false"); !strings.Contains(out, "Hours") {
		t.Errorf("changed to %s", out)
	}
	if out := h.run(0, "targets", "show", made.ID); !strings.Contains(out, "Hours") || strings.Contains(out, "sesame") {
		t.Errorf("shown as %s", out)
	}
	h.run(1, "targets", "show", "tg_none")
	h.run(0, "targets", "delete", made.ID)
	if out := h.run(0, "events", "tail"); !strings.Contains(out, "target.repaired") || strings.Contains(out, "sesame") {
		t.Errorf("told: %s", out)
	}
}

func TestTargetsThroughAServer(t *testing.T) {
	app := &scimApp{got: make(chan struct{}, 10)}
	there := httptest.NewServer(app)
	t.Cleanup(there.Close)
	s := serving(t, "\nwebhooks: {allow_private: [127.0.0.0/8]}\n")
	at := []string{"--server", s.url, "--api-key", s.key}
	run := func(code int, words ...string) string {
		return s.house.run(code, append(append([]string{"targets"}, words...), at...)...)
	}
	var made struct{ ID string }
	create := append([]string{"targets", "create", "--organization", "sunfix", "--name", "App", "--url", "https://app.invalid/scim", "--secret-stdin", "--enabled=false", "-o", "json"}, at...)
	if out := s.house.tryWith("sesame", create...).out; json.Unmarshal([]byte(out), &made) != nil || made.ID == "" {
		t.Fatalf("made %s", out)
	}
	if out := run(0, "list"); !strings.Contains(out, "disabled") {
		t.Errorf("listed as %s", out)
	}
	run(0, "show", made.ID)
	run(0, "update", made.ID, "--leavers", "delete")
	run(1, "sync", made.ID) // it is disabled
	run(1, "check", made.ID)
	run(1, "repair", made.ID)
	run(0, "delete", made.ID)
	run(1, "show", made.ID)

	// The server pushes by itself, also whom a run makes later.
	s.house.tryWith("sesame", append([]string{"targets", "create", "--organization", "sunfix", "--name", "App", "--url", there.URL + "/scim", "--secret-stdin"}, at...)...)
	s.house.run(0, append([]string{"sync", "staff"}, at...)...)
	<-app.got
}
