package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/api"
)

// asGuest sends a request as somebody who came by a set-up link to a connection of
// sun; makes is the kind they may make it of.
func (w *world) asGuest(connection, makes, method, path, body string, header ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(api.As(w.t.Context(), api.Caller{ID: "stp_1", Organization: "sun", Actor: "setup:stp_1", Connection: connection, Makes: makes}), method, api.Prefix+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	out := httptest.NewRecorder()
	w.h.ServeHTTP(out, r)
	return out
}

// The document is walked as a guest of another connection of the same organization:
// whatever is asked for is not there, but for a list of plans without any.
func TestAGuestReachesNoOperationOfAnythingElse(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ops := operations(t, document(t))
		prepared(t, w)
		want[client.Connection](w, 201, w.ask("operator", "POST", "/connections", `{"alias": "sun-up", "organization": "sun", "backend": {"csv": {"upload": true}}}`))
		want[client.Connection](w, 201, w.ask("operator", "POST", "/connections", `{"alias": "sun-guest", "organization": "sun", "backend": {"csv": {"upload": true}}}`))
		want[client.Organization](w, 201, w.ask("operator", "POST", "/organizations", `{"id": "star"}`))
		for _, c := range cases {
			method, path, body := ops[c.op][0], w.names(c.path), ""
			if c.body != "" {
				body = w.names(c.body)
			}
			mark := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest
			for _, makes := range []string{"", "csv"} {
				answer := w.asGuest("sun-guest", makes, method, path, body, c.header...)
				if c.op == "list-plans" {
					if found := want[list[client.Plan]](w, 200, answer); len(found.Items) > 0 {
						t.Errorf("a guest sees plans of others: %+v", found.Items)
					}
					continue
				}
				if answer.Code != 404 {
					t.Errorf("%s %s: a guest gets %d: %s", method, path, answer.Code, answer.Body)
				}
			}
			if now := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest; now != mark {
				t.Errorf("%s %s: a guest made something happen", method, path)
			}
		}
	})
}

// What a guest may ask of their own connection, and what not even of that.
func TestAGuestSetsUpOneConnectionAndNothingHappensByItself(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		prepared(t, w)
		const own = "/connections/sun-guest"
		form := `{"alias": "sun-guest", "organization": "sun", "backend": {"csv": {"upload": true}}}`
		for name, c := range map[string]struct {
			makes, method, path, body string
			status                    int
			words                     string
		}{
			"the link makes nothing":           {"", "POST", "/connections", form, 404, "nothing here"},
			"another alias":                    {"csv", "POST", "/connections", strings.ReplaceAll(form, "sun-guest", "sun-other"), 404, "no connection"},
			"no alias":                         {"csv", "POST", "/connections", `{"backend": {"csv": {"upload": true}}}`, 404, "no connection"},
			"another organization":             {"csv", "POST", "/connections", strings.ReplaceAll(form, `"sun"`, `"moon"`), 404, "no organization"},
			"another kind":                     {"csv", "POST", "/connections", strings.ReplaceAll(form, "csv", "ldap"), 403, "another kind"},
			"a file of the machine":            {"csv", "POST", "/connections", strings.ReplaceAll(form, `"upload": true`, `"path": "/etc/passwd"`), 403, "only an operator"},
			"a schedule":                       {"csv", "POST", "/connections", strings.TrimSuffix(form, "}") + `, "schedule": "every 5m"}`, 403, "schedule"},
			"a draft without limits":           {"csv", "POST", "/connections/check", strings.TrimSuffix(form, "}") + `, "limits": {"removals": "100%"}}`, 403, "limits"},
			"a draft of another":               {"csv", "POST", "/connections/check?alias=sun-hq", `{}`, 404, "no connection"},
			"a draft of another by its body":   {"csv", "POST", "/connections/check", strings.ReplaceAll(form, "sun-guest", "sun-hq"), 404, "no connection"},
			"its alias with a slash in it":     {"", "GET", own + "%2Fcheck", "", 404, ""},
			"another, by its name":             {"", "GET", "/connections/sun-hq", "", 404, "nothing here"},
			"a body that is none":              {"csv", "POST", "/connections", `[]`, 422, "JSON object"},
			"a body with the same alias twice": {"csv", "POST", "/connections", `{"alias": "sun-guest", "alias": "sun-hq", "organization": "sun", "backend": {"csv": {}}}`, 404, ""},
		} {
			answer := w.asGuest("sun-guest", c.makes, c.method, c.path, c.body)
			if answer.Code != c.status || !strings.Contains(answer.Body.String(), c.words) {
				t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
			}
		}
		want[client.Connection](w, 201, w.asGuest("sun-guest", "csv", "POST", "/connections", form))
		guest := func(method, path, body string, header ...string) *httptest.ResponseRecorder {
			return w.asGuest("sun-guest", "", method, path, body, header...)
		}
		for name, c := range map[string]struct{ method, path, body string }{
			"match finds accounts of others":     {"PATCH", own, `{"match": ["username"]}`},
			"limits are the operator's":          {"PATCH", own, `{"limits": {"removals": "100%"}}`},
			"settings too":                       {"PATCH", own, `{"settings": {"on_removal": "delete"}}`},
			"another kind":                       {"PATCH", own, `{"backend": {"csv": null, "ldap": {"addr": "ldap://x"}}}`},
			"a preview with match":               {"POST", own + "/preview", `{"match": ["username"]}`},
			"a preview under a schedule of ours": {"POST", own + "/preview", `{"schedule": "every 5m"}`},
		} {
			if answer := guest(c.method, c.path, c.body); answer.Code != 403 {
				t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
			}
		}
		for _, what := range []string{"sync", "reset"} {
			w.refused(404, guest("POST", own+"/"+what, ""))
		}
		w.refused(404, guest("DELETE", own, ""))
		w.refused(404, guest("GET", own+"/state", ""))
		w.refused(404, guest("PUT", own, form))
		want[client.Connection](w, 200, guest("PATCH", own, `{"backend": {"csv": {"passwords": "none"}}, "scope": ["username != \"x\""]}`))
		up := want[client.Upload](w, 201, guest("PUT", own+"/file?name=people.csv", "username,email,first_name,last_name\nzoe,zoe@sun.example,Zoe,Up\n", "Content-Type", "text/csv"))
		if up.Run != nil || up.Actor != "setup:stp_1" {
			t.Errorf("a file of a guest begins a run: %+v", up)
		}
		want[client.Check](w, 200, guest("POST", own+"/check", ""))
		p := want[client.Plan](w, 200, guest("POST", own+"/plan", ""))
		if p.Summary.Create != 1 || p.State != "ready" && p.State != "held" {
			t.Errorf("%+v", p)
		}
		if found := want[list[client.Plan]](w, 200, guest("GET", "/plans?connection=sun-hq", "")); len(found.Items) != 1 || found.Items[0].ID != p.ID {
			t.Errorf("the plans of a guest: %+v", found.Items)
		}
		want[list[client.Change]](w, 200, guest("GET", "/plans/"+p.ID+"/changes", ""))
		w.refused(404, guest("POST", "/plans/"+p.ID+"/approve", `{}`))
		w.refused(404, guest("POST", "/plans/"+p.ID+"/reject", ""))
		theirs := want[client.Plan](w, 200, w.ask("operator", "POST", "/connections/sun-hq/plan", nil))
		for _, more := range []string{"", "/changes", "/notes", "/problems"} {
			w.refused(404, guest("GET", "/plans/"+theirs.ID+more, ""))
		}
		if found := get[list[client.Account]](w, "operator", "/accounts?connection=sun-guest").Items; len(found) > 0 {
			t.Errorf("a guest made accounts: %+v", found)
		}
	})
}

// What clients push is followed by a run each time. Where a guest made the connection
// nothing comes of it before an operator has said so.
func TestWhatAGuestsClientPushesIsADryRun(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const own = "/connections/sun-entra"
		guest := func(method, path, body string) *httptest.ResponseRecorder {
			return w.asGuest("sun-entra", "scim", method, path, body)
		}
		w.refused(403, guest("POST", "/connections", `{"alias": "sun-entra", "organization": "sun", "backend": {"scim": {}}, "settings": {"dry-run": false}}`))
		made := want[client.Connection](w, 201, guest("POST", "/connections", `{"alias": "sun-entra", "organization": "sun", "backend": {"scim": {}}}`))
		if made.Settings["dry-run"] != true {
			t.Errorf("%+v", made.Settings)
		}
		w.refused(403, guest("PATCH", own, `{"settings": {"dry-run": false}}`))
		w.refused(403, guest("PATCH", own, `{"settings": null}`))
		key := want[client.NewPushToken](w, 201, guest("POST", own+"/token", `{"name": "Entra ID"}`))
		if !strings.Contains(key.TenantURL, "/scim/v2/sun-entra") || key.Secret == "" {
			t.Errorf("%+v", key)
		}
		want[client.NewPushToken](w, 201, guest("POST", own+"/token/rotate", ""))
		tokens := want[list[client.PushToken]](w, 200, guest("GET", own+"/tokens", "")).Items
		if len(tokens) != 2 || tokens[0].CreatedBy != "setup:stp_1" {
			t.Errorf("%+v", tokens)
		}
		want[client.PushToken](w, 200, guest("DELETE", own+"/tokens/"+tokens[0].ID, ""))
		want[list[client.Exchange]](w, 200, guest("GET", own+"/exchanges", ""))
		want[client.Connection](w, 200, w.ask("operator", "PATCH", own, `{"settings": {"dry-run": false}}`))
	})
}
