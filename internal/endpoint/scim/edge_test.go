package scim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/pushers"
)

// at makes a request with a token of one's own.
func (w *world) at(t testing.TB, token, method, path, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.web.URL+"/scim/v2/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

const somebody = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"eve@sun.example","name":{"familyName":"Secretname"},"password":"hunter2hunter2"}`

func TestATokenIsGoodForItsConnectionAlone(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		moon := w.newToken(t, "moon-push")
		status, _, made := w.at(t, w.token, "POST", "push/Users", somebody)
		if status != http.StatusCreated {
			t.Fatal(status, made)
		}
		var r struct{ ID string }
		if err := json.Unmarshal([]byte(made), &r); err != nil {
			t.Fatal(err)
		}
		// One answer for what is another one's, what takes no pushes, and what is not there.
		want := ""
		for _, c := range []struct{ token, path string }{
			{moon, "push/Users/" + r.ID}, {moon, "push/Users"}, {w.token, "moon-push/Users"}, {w.token, "table/Users"}, {w.token, "nowhere/Users"}, {"", "push/Users"}, {"x", "push/Schemas"},
			{moon, "push/Bulk"}, {moon, "push/.search"}, {moon, "push/nothing"},
		} {
			status, header, text := w.at(t, c.token, "GET", c.path, "")
			if status != http.StatusUnauthorized || !strings.Contains(header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("GET %s: %d %s", c.path, status, text)
			}
			if want == "" {
				want = text
			}
			if text != want {
				t.Errorf("GET %s answers %s, and the others %s", c.path, text, want)
			}
		}
		if status, _, text := w.at(t, moon, "GET", "moon-push/Users/"+r.ID, ""); status != http.StatusNotFound {
			t.Errorf("somebody of another tenant: %d %s", status, text)
		}
		if status, _, text := w.at(t, moon, "GET", "moon-push/Users?filter="+url.QueryEscape(`userName eq "eve@sun.example" or id eq "`+r.ID+`"`), ""); status != http.StatusOK || !strings.Contains(text, `"totalResults":0`) {
			t.Errorf("a search in another tenant: %d %s", status, text)
		}
		for _, method := range []string{"PUT", "PATCH", "DELETE"} {
			if status, _, text := w.at(t, moon, method, "moon-push/Users/"+r.ID, `{"userName":"x","Operations":[{"op":"replace","path":"title","value":"x"}]}`); status != http.StatusNotFound {
				t.Errorf("%s of somebody of another tenant: %d %s", method, status, text)
			}
		}
	})
}

func TestTooManyRequestsWaitWholeSeconds(t *testing.T) {
	w := open(t, databases.SQLite(t))
	slow := w.newToken(t, "slow")
	statuses := map[int]int{}
	for range 12 {
		status, header, text := w.at(t, slow, "GET", "slow/Users", "")
		statuses[status]++
		if status != http.StatusTooManyRequests {
			continue
		}
		if n, err := strconv.Atoi(header.Get("Retry-After")); err != nil || n < 1 {
			t.Errorf("Retry-After is %q", header.Get("Retry-After"))
		}
		if !strings.Contains(text, "messages:2.0:Error") || !strings.Contains(text, `"status":"429"`) {
			t.Errorf("the answer is %s", text)
		}
	}
	if statuses[http.StatusOK] < 2 || statuses[http.StatusTooManyRequests] < 5 {
		t.Errorf("of twelve: %v", statuses)
	}
	if status, _, _ := w.at(t, w.token, "GET", "push/Users", ""); status != http.StatusOK {
		t.Error("another connection waits as well")
	}
}

// Microsoft's and Okta's services come from the same addresses for all tenants.
func TestWrongTokensStopNobodyWhoHasAGoodOne(t *testing.T) {
	w := open(t, databases.SQLite(t))
	moon := w.newToken(t, "moon-push")
	tries := 0
	for ; tries < 200; tries++ {
		if status, _, _ := w.at(t, fmt.Sprint("guess", tries), "GET", "push/Users", ""); status == http.StatusTooManyRequests {
			break
		}
	}
	if tries == 200 {
		t.Error("200 wrong tokens were tried")
	}
	if status, _, text := w.at(t, moon, "GET", "moon-push/Users", ""); status != http.StatusOK {
		t.Errorf("another tenant, at the same address: %d %s", status, text)
	}
	if status, _, text := w.at(t, w.token, "GET", "push/Users", ""); status != http.StatusOK {
		t.Errorf("the good token of the connection whose tokens are guessed: %d %s", status, text)
	}
	if status, _, _ := w.at(t, "expired", "GET", "moon-push/Users", ""); status != http.StatusUnauthorized {
		t.Errorf("a wrong token of another tenant is told %d", status)
	}
	// One cannot tell from it which connections there are.
	known, unknown := 0, 0
	for i := range 80 {
		if status, _, _ := w.at(t, fmt.Sprint("guess", i), "GET", "slow/Users", ""); status == http.StatusUnauthorized {
			known++
		}
		if status, _, _ := w.at(t, fmt.Sprint("guess", i), "GET", "nowhere/Users", ""); status == http.StatusUnauthorized {
			unknown++
		}
	}
	if known < 50 || unknown < 50 || known == 80 || unknown == 80 {
		t.Errorf("%d and %d of 80 were told that the token is wrong", known, unknown)
	}
}

func TestUserNameFollowsTheMailWhereSettingsSaySo(t *testing.T) {
	w := open(t, databases.SQLite(t))
	mail := w.newToken(t, "mail")
	status, _, text := w.at(t, mail, "POST", "mail/Users", `{"userName":"eve","emails":[{"type":"work","value":"eve@sun.example"}]}`)
	var r struct{ ID, UserName string }
	if err := json.Unmarshal([]byte(text), &r); err != nil || status != http.StatusCreated || r.UserName != "eve@sun.example" {
		t.Fatalf("%d %s %v", status, text, err)
	}
	if status, _, text := w.at(t, mail, "PATCH", "mail/Users/"+r.ID, `{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"eva@sun.example"}]}`); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
	if _, _, text := w.at(t, mail, "GET", "mail/Users/"+r.ID, ""); !strings.Contains(text, `"userName":"eva@sun.example"`) {
		t.Error(text)
	}
	if _, _, text := w.at(t, mail, "PUT", "mail/Users/"+r.ID, `{"userName":"ida@sun.example","emails":[{"type":"work","value":"eva@sun.example"}]}`); !strings.Contains(text, `"value":"ida@sun.example"`) {
		t.Error(text)
	}
}

func TestAnAdministratorSeesWhatWasSentAndNoSecret(t *testing.T) {
	w := open(t, databases.SQLite(t))
	w.at(t, w.token, "POST", "push/Users?aadOptscim062020", somebody)
	w.at(t, w.token, "GET", "push/Users?filter="+url.QueryEscape(`userName eq "eve@sun.example"`), "")
	w.at(t, w.token, "POST", "push/Users", `{"nonsense`)
	if err := w.app.Store.PusherTable.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := w.app.Store.PusherTable.Exchanges(t.Context(), "push", pushers.Filter{}, 0, 10)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d requests in the log: %v", len(list), err)
	}
	last, read, made := list[0], list[1], list[2]
	if last.Status != http.StatusBadRequest || read.Status != http.StatusOK || made.Status != http.StatusCreated || made.Method != "POST" || made.Path != "/Users" {
		t.Errorf("the log says %+v", list)
	}
	if !strings.Contains(last.Answer, "invalidSyntax") {
		t.Errorf("why the last was refused is not there: %s", last.Answer)
	}
	for _, x := range list {
		all := fmt.Sprintf("%+v", x)
		for _, secret := range []string{"hunter2", w.token, "Secretname", "eve@sun"} {
			if strings.Contains(all, secret) {
				t.Errorf("%q is in the log: %s", secret, all)
			}
		}
	}
	if !strings.Contains(made.Request, "userName") {
		t.Errorf("nothing can be told from %s", made.Request)
	}
}

func TestAccessTokensAreGivenForAClientsSecret(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		c, secret, err := w.app.Store.PusherTable.CreateOAuth(t.Context(), "push", "gallery", nil, "test")
		if err != nil {
			t.Fatal(err)
		}
		ask := func(alias string, form url.Values) (int, map[string]any) {
			res, err := http.PostForm(w.base(alias)+"/oauth/token", form) //nolint:noctx // of a test
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close() //nolint:errcheck // of a test
			var out map[string]any
			if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, out
		}
		good := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {secret}}
		status, out := ask("push", good)
		access, _ := out["access_token"].(string)
		if status != http.StatusOK || access == "" || out["token_type"] != "Bearer" || out["expires_in"] != 3600.0 {
			t.Fatal(status, out)
		}
		if status, _, text := w.at(t, access, "GET", "push/Users", ""); status != http.StatusOK {
			t.Error("the access token is not good", text)
		}
		if status, _, _ := w.at(t, access, "GET", "moon-push/Users", ""); status != http.StatusUnauthorized {
			t.Error("it is good for another connection")
		}
		if status, _, _ := w.at(t, secret, "GET", "push/Users", ""); status != http.StatusUnauthorized {
			t.Error("the client's secret is good as a token")
		}
		for name, form := range map[string]url.Values{
			"a wrong secret":  {"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {secret + "x"}},
			"no secret":       {"grant_type": {"client_credentials"}, "client_id": {c.ClientID}},
			"a static token":  {"grant_type": {"client_credentials"}, "client_id": {c.ClientID}, "client_secret": {w.token}},
			"another's alias": nil,
		} {
			alias := "push"
			if form == nil {
				alias, form = "moon-push", good
			}
			if status, out := ask(alias, form); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
				t.Errorf("%s: %d %v", name, status, out)
			}
		}
		if status, out := ask("push", url.Values{"grant_type": {"password"}}); status != http.StatusBadRequest || out["error"] != "unsupported_grant_type" {
			t.Error(status, out)
		}
		if _, err := w.app.Store.PusherTable.Revoke(t.Context(), "push", c.ID, "test"); err != nil {
			t.Fatal(err)
		}
		if status, _, _ := w.at(t, access, "GET", "push/Users", ""); status != http.StatusUnauthorized {
			t.Error("the access token outlives its client's secret")
		}
	})
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	w := open(t, databases.SQLite(t))
	if status, _, text := w.at(t, w.token, "POST", "push/Users", `{"userName":"`+strings.Repeat("x", 17<<20)+`"}`); status != http.StatusRequestEntityTooLarge || !strings.Contains(text, "Error") {
		t.Error(status, text[:min(200, len(text))])
	}
	many := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[` + strings.Repeat(`{"method":"DELETE","path":"/Users/1"},`, 1000) + `{"method":"DELETE","path":"/Users/1"}]}`
	if status, _, text := w.at(t, w.token, "POST", "push/Bulk", many); status != http.StatusRequestEntityTooLarge {
		t.Error(status, text[:min(200, len(text))])
	}
	if status, _, _ := w.at(t, w.token, "GET", "push/Users?filter="+strings.Repeat("x", 20<<10), ""); status != http.StatusRequestURITooLong {
		t.Error(status)
	}
}

// Many change one group at the same time, and none is lost.
func TestWhatComesAtOnceIsAllKept(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		_, _, text := w.at(t, w.token, "POST", "push/Groups", `{"displayName":"all"}`)
		var g struct{ ID string }
		if err := json.Unmarshal([]byte(text), &g); err != nil {
			t.Fatal(err)
		}
		const n = 40
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				status, _, text := w.at(t, w.token, "POST", "push/Users", fmt.Sprintf(`{"userName":"u%d"}`, i/2)) // each twice
				if status != http.StatusCreated {
					if status != http.StatusConflict {
						t.Error(status, text)
					}
					return
				}
				var r struct{ ID string }
				if err := json.Unmarshal([]byte(text), &r); err != nil {
					t.Error(err)
				}
				if status, _, text := w.at(t, w.token, "PATCH", "push/Groups/"+g.ID, `{"Operations":[{"op":"add","path":"members","value":[{"value":"`+r.ID+`"}]}]}`); status != http.StatusNoContent {
					t.Error(status, text)
				}
			})
		}
		all.Wait()
		_, _, text = w.at(t, w.token, "GET", "push/Groups/"+g.ID, "")
		var read struct {
			Members []any
			Meta    struct{ Version string }
		}
		if err := json.Unmarshal([]byte(text), &read); err != nil || len(read.Members) != n/2 || read.Meta.Version != fmt.Sprintf(`W/"%d"`, 1+n/2) {
			t.Errorf("%d members, version %s: %v", len(read.Members), read.Meta.Version, err)
		}
		if _, _, text := w.at(t, w.token, "GET", "push/Users?count=0", ""); !strings.Contains(text, fmt.Sprintf(`"totalResults":%d`, n/2)) {
			t.Error(text)
		}
	})
}
