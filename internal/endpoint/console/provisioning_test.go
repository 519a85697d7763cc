package console_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/pushers"
	"rollcall.dev/rollcall/internal/store/setups"
)

var code = regexp.MustCompile(`<code>(rc[po]_[^<]+)</code>`)

func TestATokenIsMadeRotatedAndRevokedOnItsPage(t *testing.T) {
	w := open(t)
	const at = "/connections/sun-push/provisioning"
	page := func() string {
		t.Helper()
		got := w.ask("manager of sun", "GET", at, nil, false)
		if got.Code != 200 {
			t.Fatalf("%d %s", got.Code, firstWords(got.Body.String()))
		}
		return got.Body.String()
	}
	do := func(what string, form url.Values, want int) string {
		t.Helper()
		got := w.ask("manager of sun", "POST", at+"/"+what, form, true)
		if got.Code != want {
			t.Fatalf("%s: %d %s", what, got.Code, firstWords(got.Body.String()))
		}
		return got.Body.String()
	}
	secretIn := func(text string) string {
		t.Helper()
		m := code.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no secret is shown: %s", firstWords(text))
		}
		return m[1]
	}
	for _, word := range []string{"http://localhost/scim/v2/sun-push?aadOptscim062020", "There is no token yet", "Okta SCIM Client 1.0.0", "Non-gallery", "SCIM connector base URL"} {
		if !strings.Contains(page(), word) {
			t.Errorf("%q is not on the page", word)
		}
	}
	secret := secretIn(do("token", url.Values{"kind": {"bearer"}, "name": {"Entra of Sunfix"}, "days": {"90"}}, 200))
	if _, err := w.app.Store.PusherTable.Authenticate(t.Context(), "sun-push", secret); err != nil {
		t.Error(err)
	}
	if text := page(); strings.Contains(text, secret) || !strings.Contains(text, secret[:16]) || !strings.Contains(text, "Entra of Sunfix") {
		t.Error("the secret is shown again, or the token is not")
	}
	next := secretIn(do("rotate", url.Values{"kind": {"bearer"}, "overlap": {"24"}}, 200))
	if text := page(); !strings.Contains(text, "replaced") {
		t.Error("the page does not say that the first one was replaced")
	}
	machine := do("token", url.Values{"kind": {"oauth"}, "days": {"never"}}, 200)
	if !strings.HasPrefix(secretIn(machine), "rco_") || !strings.Contains(machine, "/scim/v2/sun-push/oauth/token") || !strings.Contains(machine, "rcc_") {
		t.Errorf("the OAuth client: %s", firstWords(machine))
	}
	if text := do("token", url.Values{"kind": {"bearer"}, "days": {"365"}}, 422); !strings.Contains(text, "2 valid tokens") {
		t.Errorf("a third: %s", firstWords(text))
	}
	do("rotate", url.Values{"kind": {"bearer"}, "overlap": {"soon"}}, 422)
	do("revoke", url.Values{"id": {next[:16]}}, 303)
	if _, err := w.app.Store.PusherTable.Authenticate(t.Context(), "sun-push", next); err == nil {
		t.Error("a revoked token is good")
	}
	do("revoke", url.Values{"id": {"rcp_nobody"}}, 422)
	do("nothing", nil, 404)
	if got := w.ask("operator", "GET", "/connections/sun-up/provisioning", nil, false); got.Code != 409 && got.Code != 422 {
		t.Errorf("a connection that nobody pushes to: %d", got.Code)
	}
	if text := w.ask("auditor of sun", "GET", at, nil, false).Body.String(); strings.Contains(text, "Make it") || strings.Contains(text, "/revoke") {
		t.Error("an auditor is offered what they may not do")
	}
}

func TestThePageOfTheTestWaitsForTheNextRequest(t *testing.T) {
	w := open(t)
	const at = "/connections/sun-push/provisioning/test"
	look := func(query string) (text, again string) {
		t.Helper()
		got := w.ask("operator", "GET", at+query, nil, false)
		return got.Body.String(), got.Header().Get("Refresh")
	}
	if text, again := look(""); again != "" || !strings.Contains(text, "Okta SCIM Client") || !strings.Contains(text, "The connection works") {
		t.Errorf("the last one: %q %s", again, firstWords(text))
	}
	text, again := look("?after=1")
	if !strings.Contains(again, "after=1&looks=1") || !strings.Contains(text, "Waiting for a request") {
		t.Errorf("waiting: %q %s", again, firstWords(text))
	}
	if text, again := look("?after=1&looks=100"); again != "" || !strings.Contains(text, "Nothing came for a while") {
		t.Errorf("in the end: %q %s", again, firstWords(text))
	}
	w.app.Store.PusherTable.Log("sun-push", pushers.Exchange{Method: "POST", Path: "/Users", Status: 401, Request: `{"userName":"anna"}`})
	w.must(w.app.Store.PusherTable.Flush(t.Context()))
	if text, again := look("?after=1&looks=3"); again != "" || !strings.Contains(text, "not valid here") || strings.Contains(text, "The connection works") {
		t.Errorf("it came: %q %s", again, firstWords(text))
	}
	log := w.ask("operator", "GET", "/connections/sun-push/provisioning/log?failed=1", nil, false).Body.String()
	if !strings.Contains(log, "401") || strings.Contains(log, "Okta SCIM Client") {
		t.Errorf("those that failed: %s", firstWords(log))
	}
	one := w.ask("operator", "GET", "/connections/sun-push/provisioning/log/2", nil, false).Body.String()
	if !strings.Contains(one, "&#34;userName&#34;: &#34;a…&#34;") {
		t.Errorf("its body: %s", one)
	}
	for _, none := range []string{"17", "x", "-1"} {
		if got := w.ask("operator", "GET", "/connections/sun-push/provisioning/log/"+none, nil, false); got.Code != 404 && got.Code != 422 {
			t.Errorf("%s: %d", none, got.Code)
		}
	}
	w.call("POST", "/connections", `{"alias": "sun-new", "organization": "sun", "backend": {"scim": {}}}`)
	if got := w.ask("operator", "GET", "/connections/sun-new/provisioning/test", nil, false); !strings.Contains(got.Body.String(), "Nothing came yet") || got.Header().Get("Refresh") == "" {
		t.Errorf("before the first: %s", firstWords(got.Body.String()))
	}
}

func TestAConnectionThatIsPushedToIsMadeByTheForm(t *testing.T) {
	w := open(t)
	if text := w.ask("operator", "GET", "/new-connection", nil, false).Body.String(); !strings.Contains(text, "/new-connection/scim") {
		t.Error("the kind is not offered")
	}
	form := w.ask("operator", "GET", "/new-connection/scim", nil, false).Body.String()
	if !strings.Contains(form, "backend.scim.log") || strings.Contains(form, `value="source"`) {
		t.Error("the form asks for a test of what is not there, or not for what may be set")
	}
	got := w.ask("operator", "POST", "/new-connection/scim", url.Values{"do": {"save"}, "alias": {"entra"}, "organization": {"sun"}}, true)
	if got.Code != 303 || got.Header().Get("Location") != "/connections/entra/provisioning" {
		t.Errorf("%d to %q: %s", got.Code, got.Header().Get("Location"), firstWords(got.Body.String()))
	}
	if text := w.ask("operator", "GET", "/connections/entra", nil, false).Body.String(); !strings.Contains(text, "/connections/entra/provisioning") {
		t.Error("the connection's page does not lead there")
	}
}

// Whoever sets a connection up for their identity provider makes its token, tries it,
// and starts nothing.
func TestAGuestLetsTheirIdentityProviderIn(t *testing.T) {
	w := open(t)
	token, _, err := w.app.Store.SetupTable.Create(t.Context(), admins.By{Actor: "test"}, setups.Spec{Organization: "sun", Connection: "sun-entra", Kind: "scim"})
	w.must(err)
	x, _, err := w.app.Store.SetupTable.Enter(t.Context(), token, netip.Addr{}, "test")
	w.must(err)
	w.people["guest"] = browser{x.Token, x.CSRF}
	if got := w.ask("guest", "GET", "/setup/provisioning", nil, false); got.Code != http.StatusNotFound {
		t.Errorf("before there is a connection: %d", got.Code)
	}
	if got := w.ask("guest", "POST", "/setup/connection", url.Values{"do": {"save"}, "backend.scim.username_is_email": {"true"}}, true); got.Code != 303 {
		t.Fatalf("%d: %s", got.Code, firstWords(got.Body.String()))
	}
	c := w.call("GET", "/connections/sun-entra", "")
	if policy, _ := c["settings"].(map[string]any); policy["dry-run"] != true {
		t.Errorf("what a guest's client pushes would be carried out: %v", c["settings"])
	}
	if home := w.ask("guest", "GET", "/setup", nil, false).Body.String(); !strings.Contains(home, "/setup/provisioning") {
		t.Errorf("the way is not shown: %s", firstWords(home))
	}
	made := w.ask("guest", "POST", "/setup/provisioning/token", url.Values{"kind": {"bearer"}, "days": {"365"}, "name": {"Entra ID"}}, true)
	secret := regexp.MustCompile(`rcp_[A-Za-z0-9_-]{43}`).FindString(made.Body.String())
	if secret == "" || !strings.Contains(made.Body.String(), "/scim/v2/sun-entra") {
		t.Fatalf("%d: %s", made.Code, firstWords(made.Body.String()))
	}
	if _, err := w.app.Store.PusherTable.Authenticate(t.Context(), "sun-entra", secret); err != nil {
		t.Error(err)
	}
	w.app.Store.PusherTable.Log("sun-entra", pushers.Exchange{Method: "GET", Path: "/Users", Status: 200, Client: "Entra", Token: secret[:16]})
	w.must(w.app.Store.PusherTable.Flush(t.Context()))
	log := w.ask("guest", "GET", "/setup/provisioning/log", nil, false).Body.String()
	entry := regexp.MustCompile(`/setup/provisioning(/log/\d+)`).FindStringSubmatch(log)
	if entry == nil {
		t.Fatalf("the log: %s", firstWords(log))
	}
	for path, wanted := range map[string]string{"": "Entra ID", "/test?after=0": "waits for the operator", entry[1]: "/Users"} {
		got := w.ask("guest", "GET", "/setup/provisioning"+path, nil, false)
		if text := got.Body.String(); got.Code != 200 || !strings.Contains(text, wanted) || strings.Contains(text, `href="/connections`) || strings.Contains(text, secret) {
			t.Errorf("%s: %d %s", path, got.Code, firstWords(text))
		}
	}
	if got := w.ask("guest", "POST", "/setup/provisioning/revoke", url.Values{"id": {w.call("GET", "/connections/sun-entra/tokens", "")["items"].([]any)[0].(map[string]any)["id"].(string)}}, true); got.Code != 303 {
		t.Errorf("%d: %s", got.Code, firstWords(got.Body.String()))
	}
	if _, err := w.app.Store.PusherTable.Authenticate(t.Context(), "sun-entra", secret); err == nil {
		t.Error("it is good after its end")
	}
	// The operator's page of the same is not theirs, nor is that of another connection.
	for _, path := range []string{"/connections/sun-entra/provisioning", "/connections/sun-push/provisioning"} {
		if got := w.ask("guest", "GET", path, nil, false); got.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.Code)
		}
	}
}
