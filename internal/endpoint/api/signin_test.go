package api_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
)

func TestAnApplicationTriesAPassword(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.ask("operator", "POST", "/connections/sun-hq/sync", map[string]any{})
		try := func(scope string, in map[string]any) (int, http.Header, client.Problem, client.Account) {
			t.Helper()
			a := w.ask(scope, "POST", "/authenticate", in)
			var p client.Problem
			var who client.Account
			if a.Code == http.StatusOK {
				if err := json.Unmarshal(a.Body.Bytes(), &who); err != nil {
					t.Fatal(err)
				}
			} else if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			return a.Code, a.Header(), p, who
		}
		code, _, p, who := try("organization:sun", map[string]any{"connection": "sun-hq", "login": "Anna@sun.example", "password": "secret-anna", "address": "192.0.2.9"})
		if code != http.StatusOK || who.Username == nil || *who.Username != "anna" || who.Connection != "sun-hq" {
			t.Errorf("%d %+v %+v", code, p, who)
		}
		// Wrong and unknown are one answer.
		var bodies []string
		for _, login := range []string{"bob", "nobody"} {
			code, _, p, _ := try("operator", map[string]any{"connection": "sun-hq", "login": login, "password": "wrong"})
			if code != http.StatusUnauthorized || p.Reason != "invalid_credentials" || p.Shown == nil || *p.Shown {
				t.Errorf("%s: %d %+v", login, code, p)
			}
			p.RequestID = ""
			b, _ := json.Marshal(p)
			bodies = append(bodies, string(b))
		}
		if bodies[0] != bodies[1] {
			t.Errorf("who is unknown can be told:\n%s\n%s", bodies[0], bodies[1])
		}
		for name, c := range map[string]struct {
			scope string
			in    map[string]any
			want  int
		}{
			"a key that may only read":              {"read-only", map[string]any{"connection": "sun-hq", "login": "anna", "password": "secret-anna"}, http.StatusForbidden},
			"another organization's key":            {"organization:moon", map[string]any{"connection": "sun-hq", "login": "anna", "password": "secret-anna"}, http.StatusNotFound},
			"an alias there is not":                 {"operator", map[string]any{"connection": "nowhere", "login": "anna", "password": "secret-anna"}, http.StatusNotFound},
			"an organization that is not the key's": {"organization:sun", map[string]any{"connection": "sun-hq", "organization": "moon", "login": "anna", "password": "x"}, http.StatusNotFound},
			"local accounts of nobody knows whom":   {"operator", map[string]any{"connection": "local", "login": "anna", "password": "x"}, http.StatusNotFound},
			"an address that is none":               {"operator", map[string]any{"connection": "sun-hq", "login": "anna", "password": "secret-anna", "address": "home"}, http.StatusUnprocessableEntity},
			"no password at all":                    {"operator", map[string]any{"connection": "sun-hq", "login": "anna"}, http.StatusUnprocessableEntity},
			"an empty password":                     {"operator", map[string]any{"connection": "sun-hq", "login": "anna", "password": ""}, http.StatusUnauthorized},
			"a password of a megabyte":              {"operator", map[string]any{"connection": "sun-hq", "login": "anna", "password": strings.Repeat("x", 1<<20)}, http.StatusRequestEntityTooLarge},
		} {
			if code, _, p, _ := try(c.scope, c.in); code != c.want {
				t.Errorf("%s: %d %+v, want %d", name, code, p, c.want)
			}
		}
		for range 2 {
			try("operator", map[string]any{"connection": "sun-hq", "login": "bob", "password": "wrong"})
		}
		code, h, p, _ := try("operator", map[string]any{"connection": "sun-hq", "login": "bob", "password": "secret-bob"})
		if wait, err := strconv.Atoi(h.Get("Retry-After")); code != http.StatusTooManyRequests || err != nil || wait < 200 || wait > 300 {
			t.Errorf("%d %+v %v", code, p, h)
		}
		for _, secret := range []string{"secret-anna", "secret-bob"} {
			if strings.Contains(w.log.String(), secret) {
				t.Error("a password is in the log")
			}
		}
	})
}

func TestAOneTimeLinkToAPassword(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.ask("operator", "POST", "/connections/sun-hq/sync", map[string]any{})
		var made client.Account
		a := w.ask("organization:sun", "POST", "/accounts", map[string]any{"username": "lena", "email": "lena@sun.example", "first_name": "Lena", "last_name": "L"})
		if err := json.Unmarshal(a.Body.Bytes(), &made); err != nil || a.Code != http.StatusCreated {
			t.Fatal(a.Code, err)
		}
		if code := w.ask("organization:moon", "POST", "/accounts/"+made.ID+"/password-link", nil).Code; code != http.StatusNotFound {
			t.Errorf("another organization's key: %d", code)
		}
		a = w.ask("organization:sun", "POST", "/accounts/"+made.ID+"/password-link", nil)
		var link client.PasswordLink
		if err := json.Unmarshal(a.Body.Bytes(), &link); err != nil || a.Code != http.StatusCreated {
			t.Fatal(a.Code, a.Body, err)
		}
		at := strings.LastIndexByte(link.URL, '/') + 1
		if !strings.HasPrefix(link.URL, "http://localhost:8080/login/password/rw_") {
			t.Fatal(link.URL)
		}
		if _, err := w.app.SignIn.UseLink(t.Context(), link.URL[at:], "winter kettle orbit"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.app.SignIn.UseLink(t.Context(), link.URL[at:], "another kettle orbit"); err == nil {
			t.Error("a link is good twice")
		}
		if code := w.ask("operator", "POST", "/authenticate", map[string]any{"connection": "local", "organization": "sun", "login": "lena", "password": "winter kettle orbit"}).Code; code != http.StatusOK {
			t.Errorf("with the password by the link: %d", code)
		}
		if code := w.ask("organization:sun", "POST", "/authenticate", map[string]any{"connection": "local", "login": "lena", "password": "winter kettle orbit"}).Code; code != http.StatusOK {
			t.Errorf("with the key's own organization: %d", code)
		}
		if strings.Contains(w.log.String(), link.URL[at:]) {
			t.Error("the link is in the log")
		}
	})
}
