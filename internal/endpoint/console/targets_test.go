package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/db"
)

// application is a SCIM server that has somebody whom nobody pushed.
func application(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var list []any
		if r.Header.Get("Authorization") != "Bearer very-secret-3" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/Users") {
			list = []any{map[string]any{"id": "u7", "userName": "stray", "active": true}}
		}
		w.Header().Set("Content-Type", "application/scim+json")
		if err := json.NewEncoder(w).Encode(map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": len(list), "Resources": list}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestATargetIsMadeLookedAtAndTakenAwayOnItsPages(t *testing.T) {
	w := open(t)
	form := url.Values{"name": {"Timesheets"}, "url": {application(t).URL + "/scim/v2"}, "auth": {"bearer"}, "leavers": {"disable"}, "groups": {"yes"}, "connections": {"sun-hq"}}
	got := w.ask("manager of sun", "POST", "/new-target", form, true)
	if got.Code != http.StatusUnprocessableEntity || !strings.Contains(got.Body.String(), "Timesheets") {
		t.Errorf("without a secret: %d %s", got.Code, firstWords(got.Body.String()))
	}
	form.Set("secret", "very-secret-3")
	got = w.ask("manager of sun", "POST", "/new-target", form, true)
	at := got.Header().Get("Location")
	if got.Code != http.StatusSeeOther || !strings.HasPrefix(at, "/targets/") {
		t.Fatalf("%d %q: %s", got.Code, at, firstWords(got.Body.String()))
	}
	id := strings.TrimPrefix(at, "/targets/")
	person, err := account.ParseID(w.ids["person"])
	w.must(err)
	w.must(w.app.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO target_links (target, kind, id, state, error, attempts, next_at, updated_at) VALUES ($1, 'user', $2, 'failed', 'the application says no', 3, 1, 1)`, id, person[:])
		return err
	}))
	page := func(path string) string {
		t.Helper()
		got := w.ask("auditor of sun", "GET", path, nil, false)
		if got.Code != http.StatusOK || strings.Contains(got.Body.String(), "very-secret") {
			t.Fatalf("%s: %d %s", path, got.Code, firstWords(got.Body.String()))
		}
		return got.Body.String()
	}
	for path, want := range map[string]string{"/targets": "Timesheets", at: "the application says no", at + "?state=synced": "Nobody here", at + "?state=all": "Anna Sunny"} {
		if text := page(path); !strings.Contains(text, want) {
			t.Errorf("%s does not say %q: %s", path, want, firstWords(text))
		}
	}
	if text := page(at); strings.Contains(text, "<button class=\"main\"") {
		t.Error("who may read only is shown a button")
	}
	do := func(what string, want int) string {
		t.Helper()
		got := w.ask("manager of sun", "POST", at+"/"+what, url.Values{}, true)
		if got.Code != want {
			t.Errorf("%s: %d %s", what, got.Code, firstWords(got.Body.String()))
		}
		return got.Body.String()
	}
	if text := do("check", http.StatusOK); !strings.Contains(text, "stray") || !strings.Contains(text, "left alone") {
		t.Errorf("what is there: %s", firstWords(text))
	}
	do("repair", http.StatusOK)
	do("sync", http.StatusSeeOther)
	do("disable", http.StatusSeeOther)
	do("enable", http.StatusSeeOther)
	do("nothing", http.StatusNotFound)
	form.Set("secret", "")
	form.Set("name", "Hours")
	if got := w.ask("manager of sun", "POST", at+"/edit", form, true); got.Code != http.StatusSeeOther || !strings.Contains(page(at), "Hours") {
		t.Errorf("a change that leaves the secret: %d", got.Code)
	}
	form.Set("url", "https://elsewhere.example/scim")
	if got := w.ask("manager of sun", "POST", at+"/edit", form, true); got.Code != http.StatusUnprocessableEntity {
		t.Errorf("another server without the secret: %d", got.Code)
	}
	do("delete", http.StatusSeeOther)
	if got := w.ask("manager of sun", "GET", at, nil, false); got.Code != http.StatusNotFound {
		t.Errorf("it is still there: %d", got.Code)
	}
}
