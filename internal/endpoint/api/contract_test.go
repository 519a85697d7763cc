package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store/agents"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/pushers"
)

// cases call every operation of the document, in an order in which they can all
// succeed. Words in braces stand for IDs of the tenant sun, see names. foreign is
// what somebody else gets: 404 unless it is said.
var cases = []struct {
	op, path, body string
	header         []string
	status         int
	foreign        int
}{
	{op: "list-organizations", path: "/organizations", foreign: 200},
	{op: "get-organization", path: "/organizations/sun"},
	{op: "create-organization", path: "/organizations", body: `{"id": "star", "name": "Star", "licence_limit": 3}`, status: 201, foreign: 403},
	{op: "update-organization", path: "/organizations/star", body: `{"name": "Polaris"}`},
	{op: "list-connections", path: "/connections", foreign: 200},
	{op: "list-connections", path: "/connections?organization=sun"},
	{op: "get-connection", path: "/connections/sun-hq"},
	{op: "create-connection", path: "/connections", body: `{"alias": "sun-up", "organization": "sun", "backend": {"csv": {"upload": true}}}`, status: 201},
	{op: "update-connection", path: "/connections/sun-up", body: `{"role": "guest"}`},
	{op: "replace-connection", path: "/connections/sun-up", body: `{"alias": "sun-up", "organization": "sun", "role": "guest", "backend": {"csv": {"upload": true}}}`},
	{op: "upload-file", path: "/connections/sun-up/file?name=people.csv", body: "username,email,first_name,last_name,password\nzoe,zoe@sun.example,Zoe,Up,secret\n", header: []string{"Content-Type", "text/csv"}, status: 201},
	{op: "list-files", path: "/connections/sun-up/files"},
	{op: "get-connection-state", path: "/connections/sun-hq/state"},
	{op: "check-connection", path: "/connections/sun-hq/check"},
	{op: "check-connection", path: "/connections/sun-hq/check", header: []string{"Accept", "text/event-stream"}},
	{op: "check-draft", path: "/connections/check?alias=sun-up", body: `{"role": "staff"}`},
	{op: "check-draft", path: "/connections/check", body: `{"alias": "sun-new", "organization": "sun", "backend": {"csv": {"upload": true}}}`},
	{op: "check-draft", path: "/connections/check?alias=sun-hq", body: `{"mapping": {"title": "department"}}`, header: []string{"Accept", "text/event-stream"}},
	{op: "sync-connection", path: "/connections/sun-hq/sync?wait=true", body: `{"full": true}`},
	{op: "sync-connection", path: "/connections/sun-hq/sync", status: 202},
	{op: "sync-connection", path: "/connections/sun-hq/sync", body: `{"who": "anna"}`, status: 422}, // a table is read as a whole
	{op: "plan-connection", path: "/connections/sun-hq/plan"},
	{op: "plan-connection", path: "/connections/sun-hq/plan", header: []string{"Accept", "text/event-stream"}},
	{op: "preview-connection", path: "/connections/sun-up/preview", body: `{"role": "staff"}`},
	{op: "preview-connection", path: "/connections/sun-up/preview", body: `{}`, header: []string{"Accept", "text/event-stream"}},
	{op: "try-rules", path: "/connections/sun-hq/try", body: `{"mapping": {"title": "department", "badge": {"expr": "upper(username)"}, "department": null}, "scope": ["username != \"bob\""], "limit": 2}`},
	{op: "try-rules", path: "/connections/sun-hq/try", body: `{"who": "anna", "no_tally": true}`},
	{op: "list-plans", path: "/plans", foreign: 200},
	{op: "get-plan", path: "/plans/{plan}"},
	{op: "get-plan", path: "/plans/{plan}?changes=false"},
	{op: "list-plan-changes", path: "/plans/{plan}/changes?action=create&target=account&q=anna"},
	{op: "list-plan-changes", path: "/plans/{plan}/changes?accounts=00000000-0000-8000-8000-000000000001,00000000-0000-8000-8000-000000000002"},
	{op: "list-plan-notes", path: "/plans/{plan}/notes"},
	{op: "list-plan-problems", path: "/plans/{plan}/problems"},
	{op: "list-disputes", path: "/disputes?connection=sun-hq", foreign: 200},
	{op: "get-overview", path: "/overview", foreign: 200},
	{op: "get-installation", path: "/installation", foreign: 403},
	{op: "get-overview", path: "/overview?organization=sun&health=ok&limit=1"},
	{op: "approve-plan", path: "/plans/{ready}/approve", body: `{"exclude": ["2"]}`, status: 202},
	{op: "reject-plan", path: "/plans/{again}/reject"},
	{op: "list-runs", path: "/runs?connection=sun-hq&state=applied", foreign: 200},
	{op: "list-runs", path: "/runs?trigger=manual&since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z", foreign: 200},
	{op: "count-runs", path: "/runs/statistics?connection=sun-hq&by=hour", foreign: 200},
	{op: "get-run", path: "/runs/{run}"},
	{op: "follow-run", path: "/runs/{run}/progress"},
	{op: "follow-run", path: "/runs/{run}/progress", header: []string{"Accept", "text/event-stream"}},
	{op: "cancel-run", path: "/runs/{run}/cancel", status: 202},
	{op: "list-accounts", path: "/accounts?q=a&status=active", foreign: 200},
	{op: "list-accounts", path: "/accounts?group={group}"},
	{op: "list-accounts", path: "/accounts?who=anna", foreign: 200},
	{op: "list-accounts", path: "/accounts?ids={account},{account}", foreign: 200},
	{op: "list-accounts", path: "/accounts?manager={account}&sort=name"},
	{op: "count-accounts", path: "/accounts/counts?connection=sun-hq", foreign: 200},
	{op: "get-orgchart", path: "/orgchart?organization=sun"},
	{op: "get-orgchart", path: "/orgchart?root={account}&depth=3&limit=10"},
	{op: "get-orgchart-path", path: "/orgchart/path?account={account}"},
	{op: "get-account", path: "/accounts/{account}"},
	{op: "get-account-origin", path: "/accounts/{account}/origin"},
	{op: "list-account-events", path: "/accounts/{account}/events"},
	{op: "create-account", path: "/accounts", body: `{"organization": "sun", "username": "lou", "email": "lou@sun.example", "first_name": "Lou", "last_name": "Cal", "attributes": {"badge": "7"}, "password": "very secret"}`, status: 201},
	{op: "import-accounts", path: "/accounts/import?organization=sun", body: "username,email,first_name,last_name\nkim,kim@sun.example,Kim,Import\n", header: []string{"Content-Type", "text/csv"}, status: 201},
	{op: "create-password-link", path: "/accounts/{local}/password-link", status: 201},
	{op: "authenticate", path: "/authenticate", body: `{"connection": "sun-hq", "login": "anna@sun.example", "password": "secret-anna"}`},
	{op: "authenticate", path: "/authenticate", body: `{"connection": "sun-hq", "login": "anna", "password": "wrong"}`, status: 401},
	{op: "update-account", path: "/accounts/{local}", body: `{"title": "Boss", "manager": "{account}", "attributes": {"badge": null}}`},
	{op: "delete-account", path: "/accounts/{local}"},
	{op: "export-accounts", path: "/accounts/export?format=csv", foreign: 200},
	{op: "export-accounts", path: "/accounts/export?format=json", foreign: 200},
	{op: "export-accounts", path: "/accounts/export", foreign: 200},
	{op: "list-groups", path: "/groups", foreign: 200},
	{op: "get-group", path: "/groups/{group}"},
	{op: "list-group-members", path: "/groups/{group}/members"},
	{op: "list-group-members", path: "/groups/{group}/members?q=anna&sort=name"},
	{op: "list-groups", path: "/groups?q=all", foreign: 200},
	{op: "get-group-tree", path: "/groups/{group}/tree"},
	{op: "list-group-events", path: "/groups/{group}/events"},
	{op: "export-groups", path: "/groups/export?format=csv", foreign: 200},
	{op: "export-groups", path: "/groups/export?members=true", foreign: 200},
	{op: "list-events", path: "/events?limit=10&types=account.*,run.applied", foreign: 200},
	{op: "list-events", path: "/events?last=true", foreign: 200},
	{op: "list-events", path: "/events?last=true&before=9&connection=sun-hq&actor=apikey:*&since=2020-01-01T00:00:00Z&until=2099-01-01T00:00:00Z", foreign: 200},
	{op: "list-events", path: "/events?account={account}&run={run}", foreign: 200},
	{op: "export-events", path: "/events/export?format=csv", foreign: 200},
	{op: "export-events", path: "/events/export", foreign: 200},
	{op: "export-events", path: "/events/export?account={account}&actor=apikey:*&types=account.*", foreign: 200},
	{op: "why", path: "/why?connection=sun-hq&who=anna"},
	{op: "list-apikeys", path: "/apikeys", foreign: 200},
	{op: "create-apikey", path: "/apikeys", body: `{"scope": "organization:sun", "name": "new", "expires_at": "2099-01-01T00:00:00Z"}`, status: 201},
	{op: "revoke-apikey", path: "/apikeys/{key}"},
	{op: "create-webhook", path: "/webhooks", body: `{"organization": "sun", "url": "https://sun.example/hook", "types": ["account.*"]}`, status: 201},
	{op: "list-webhooks", path: "/webhooks", foreign: 200},
	{op: "get-webhook", path: "/webhooks/{hook}"},
	{op: "update-webhook", path: "/webhooks/{hook}", body: `{"description": "new", "types": []}`},
	{op: "rotate-webhook-secret", path: "/webhooks/{hook}/secret"},
	{op: "test-webhook", path: "/webhooks/{hook}/test", status: 202},
	{op: "replay-webhook", path: "/webhooks/{hook}/replay", status: 202},
	{op: "list-deliveries", path: "/webhooks/{hook}/deliveries?state=pending"},
	{op: "get-delivery", path: "/deliveries/{delivery}"},
	{op: "list-attempts", path: "/deliveries/{delivery}/attempts"},
	{op: "replay-delivery", path: "/deliveries/{delivery}/replay", status: 202},
	{op: "delete-webhook", path: "/webhooks/{hook}", status: 204},
	{op: "create-target", path: "/targets", body: `{"organization": "sun", "name": "App", "url": "https://sun.invalid/scim/v2", "secret": "s3cret", "connections": ["sun-hq"]}`, status: 201},
	{op: "list-targets", path: "/targets", foreign: 200},
	{op: "get-target", path: "/targets/{target}"},
	{op: "update-target", path: "/targets/{target}", body: `{"groups": false, "leavers": "delete"}`},
	{op: "sync-target", path: "/targets/{target}/sync", status: 202},
	{op: "list-target-links", path: "/targets/{target}/links?state=due"},
	{op: "check-target", path: "/targets/{target}/check", status: 503},
	{op: "repair-target", path: "/targets/{target}/repair", status: 503},
	{op: "delete-target", path: "/targets/{target}", status: 204},
	{op: "create-client", path: "/clients", body: `{"organization": "sun", "name": "App", "redirect_uris": ["https://app.sun.example/callback"], "connections": ["sun-hq"]}`, status: 201},
	{op: "create-client", path: "/clients", body: `{"organization": "sun", "type": "public", "name": "Phone", "redirect_uris": ["com.example.app:/callback"]}`, status: 201},
	{op: "list-clients", path: "/clients", foreign: 200},
	{op: "get-client", path: "/clients/{client}"},
	{op: "update-client", path: "/clients/{client}", body: `{"name": "New", "access_token_seconds": 300, "backchannel_logout_uri": ""}`},
	{op: "rotate-client-secret", path: "/clients/{client}/secret", body: `{"overlap_seconds": 60}`},
	{op: "delete-client", path: "/clients/{client}", status: 204},
	{op: "create-agent", path: "/agents", body: `{"name": "dc1", "connection": "sun-hq"}`, status: 201},
	{op: "list-agents", path: "/agents?connection=sun-hq", foreign: 200},
	{op: "get-agent", path: "/agents/{agent}"},
	{op: "get-connection-policy", path: "/connections/sun-hq/policy"},
	{op: "rotate-agent-secret", path: "/agents/{agent}/secret"},
	{op: "rotate-agent-secret", path: "/agents/{agent}/secret", body: `{"overlap_seconds": 60}`},
	{op: "forget-agent", path: "/agents/{agent}/forget", status: 409}, // it is not revoked
	{op: "revoke-agent", path: "/agents/{agent}"},
	{op: "forget-agent", path: "/agents/{former}/forget"},
	{op: "create-push-token", path: "/connections/{pushed}/token", body: `{"name": "Entra ID", "expires_at": "2099-01-01T00:00:00Z"}`, status: 201},
	{op: "create-push-token", path: "/connections/{pushed}/token", body: `{"kind": "oauth", "no_expiry": true}`, status: 201},
	{op: "create-push-token", path: "/connections/sun-hq/token", status: 409}, // a table: nobody pushes to it
	{op: "rotate-push-token", path: "/connections/{pushed}/token/rotate", status: 201},
	{op: "rotate-push-token", path: "/connections/{pushed}/token/rotate", body: `{"kind": "oauth", "overlap_seconds": 60}`, status: 201},
	{op: "list-push-tokens", path: "/connections/{pushed}/tokens"},
	{op: "revoke-push-token", path: "/connections/{pushed}/tokens/{token}"},
	{op: "list-exchanges", path: "/connections/{pushed}/exchanges?failed=true&limit=10"},
	{op: "get-exchange", path: "/connections/{pushed}/exchanges/{exchange}"},
	{op: "plan-revert", path: "/runs/{first}/revert/plan"},
	{op: "revert-run", path: "/runs/{first}/revert", status: 202},
	{op: "reset-connection", path: "/connections/sun-hq/reset", status: 204},
	{op: "delete-connection", path: "/connections/sun-up", status: 204},
	{op: "delete-organization", path: "/organizations/star", status: 204},
}

// names puts IDs in the place of words. What a case needs is made when it is its turn.
func (w *world) names(text string) string {
	w.t.Helper()
	put := func(word string, find func() string) {
		if strings.Contains(text, word) {
			text = strings.ReplaceAll(text, word, find())
		}
	}
	put("{account}", func() string { return get[list[client.Account]](w, "operator", "/accounts?who=anna").Items[0].ID })
	put("{local}", func() string {
		if found := get[list[client.Account]](w, "operator", "/accounts?connection=local").Items; len(found) > 0 {
			return found[0].ID
		}
		return want[client.Account](w, 201, w.ask("operator", "POST", "/accounts",
			`{"organization": "sun", "username": "max", "email": "max@sun.example", "first_name": "Max", "last_name": "Local"}`)).ID
	})
	put("{group}", func() string { return get[list[client.Group]](w, "operator", "/groups?organization=sun").Items[0].ID })
	put("{run}", func() string { return get[list[client.Run]](w, "operator", "/runs?connection=sun-hq").Items[0].ID })
	put("{first}", func() string { return w.first })
	put("{plan}", func() string { return get[list[client.Plan]](w, "operator", "/plans?connection=sun-hq").Items[0].ID })
	put("{hook}", w.webhook)
	put("{target}", func() string {
		if found := get[list[client.Target]](w, "operator", "/targets").Items; len(found) > 0 {
			return found[0].ID
		}
		return want[client.Target](w, 201, w.ask("operator", "POST", "/targets", `{"organization": "sun", "name": "App", "url": "https://sun.invalid/scim/v2", "secret": "s3cret"}`)).ID
	})
	put("{client}", func() string {
		return want[client.NewOIDCClient](w, 201, w.ask("operator", "POST", "/clients", `{"organization": "sun", "name": "App", "redirect_uris": ["https://app.sun.example/callback"]}`)).ID
	})
	put("{agent}", func() string {
		for _, a := range get[list[client.Agent]](w, "operator", "/agents").Items {
			if a.RevokedAt == nil {
				return a.ID
			}
		}
		id := want[client.NewAgent](w, 201, w.ask("operator", "POST", "/agents", `{"name": "dc2", "connection": "sun-hq"}`)).ID
		err := w.app.Store.AgentTable.Report(w.t.Context(), id, agents.Presence{Node: "n1", Address: "192.0.2.7", Version: "1.0.0", Problem: "slow"}, "ldap", &setting.Policy{NoDelete: true})
		if err != nil {
			w.t.Fatal(err)
		}
		return id
	})
	put("{former}", func() string {
		for _, a := range get[list[client.Agent]](w, "operator", "/agents").Items {
			if a.RevokedAt != nil {
				return a.ID
			}
		}
		id := want[client.NewAgent](w, 201, w.ask("operator", "POST", "/agents", `{"name": "dc3", "connection": "sun-hq"}`)).ID
		return want[client.Agent](w, 200, w.ask("operator", "DELETE", "/agents/"+id, nil)).ID
	})
	put("{pushed}", w.pushed)
	put("{token}", func() string {
		path := "/connections/" + w.pushed() + "/token"
		if found := get[list[client.PushToken]](w, "operator", path+"s").Items; len(found) > 0 {
			return found[0].ID
		}
		return want[client.NewPushToken](w, 201, w.ask("operator", "POST", path, nil)).ID
	})
	put("{exchange}", func() string {
		w.app.Store.PusherTable.Log(w.pushed(), pushers.Exchange{Method: "POST", Path: "/Users", Status: 201, Request: `{"userName": "anna"}`, Token: "rcp_x"})
		if err := w.app.Store.PusherTable.Flush(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		return strconv.FormatInt(get[list[client.Exchange]](w, "operator", "/connections/"+w.pushed()+"/exchanges").Items[0].ID, 10)
	})
	put("{delivery}", func() string {
		path := "/webhooks/" + w.webhook()
		if found := get[list[client.Delivery]](w, "operator", path+"/deliveries").Items; len(found) > 0 {
			return found[0].ID
		}
		return want[client.Delivery](w, 202, w.ask("operator", "POST", path+"/test", nil)).ID
	})
	put("{key}", func() string { return w.keys["organization:sun"][:11] })
	for word, names := range map[string][]string{"{ready}": {"anna", "bob", "carl", "dan", "eve"}, "{again}": {"anna", "bob", "carl", "fay"}} {
		put(word, func() string {
			w.people("sun", names...)
			return want[client.Plan](w, 200, w.ask("operator", "POST", "/connections/sun-hq/plan", nil)).ID
		})
	}
	return text
}

// pushed is a connection of sun that SCIM clients push to, made when it is first named.
func (w *world) pushed() string {
	w.t.Helper()
	const alias = "sun-push"
	if w.ask("operator", "GET", "/connections/"+alias, nil).Code == http.StatusNotFound {
		want[client.Connection](w, 201, w.ask("operator", "POST", "/connections", `{"alias": "sun-push", "organization": "sun", "backend": {"scim": {}}}`))
	}
	return alias
}

func (w *world) webhook() string {
	w.t.Helper()
	if found := get[list[client.Webhook]](w, "operator", "/webhooks").Items; len(found) > 0 {
		return found[0].ID
	}
	return want[client.Webhook](w, 201, w.ask("operator", "POST", "/webhooks", `{"organization": "sun", "url": "https://sun.example/hook"}`)).ID
}

// prepared is a world in which both tenants have something of everything.
func prepared(t *testing.T, w *world) {
	t.Helper()
	for _, tenant := range []string{"sun", "moon"} {
		r := want[client.Run](w, 200, w.ask("operator", "POST", "/connections/"+tenant+"-hq/sync?wait=true", nil))
		if tenant == "sun" {
			w.first = r.ID
		}
		w.group(tenant)
	}
}

// group puts everybody of a tenant into a group. Tables have none to read.
func (w *world) group(tenant string) {
	w.t.Helper()
	people := get[list[client.Account]](w, "operator", "/accounts?organization="+tenant).Items
	err := w.app.Store.DB.Write(w.t.Context(), func(tx *db.Tx) error {
		id, key := account.NewID(tenant, "group"), account.NewID(tenant, "key")
		if _, err := tx.Exec(w.t.Context(), `INSERT INTO groups (id, organization, connection, key, external_id, name, status, version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, 'all', $5, 'active', 1, 1, 1)`, id[:], tenant, tenant+"-hq", key[:], "All of "+tenant); err != nil {
			return err
		}
		for _, a := range people {
			member, err := account.ParseID(a.ID)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(w.t.Context(), `INSERT INTO memberships (group_id, account_id) VALUES ($1, $2)`, id[:], member[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// operations of the document: ID to method and path.
func operations(t *testing.T, document []byte) map[string][2]string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			ID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string][2]string{}
	for path, item := range doc.Paths {
		for method, op := range item {
			out[op.ID] = [2]string{strings.ToUpper(method), path}
		}
	}
	for id := range out {
		if !slices.ContainsFunc(cases, func(c struct {
			op, path, body string
			header         []string
			status         int
			foreign        int
		}) bool {
			return c.op == id
		}) {
			t.Errorf("no case calls the operation %s", id)
		}
	}
	return out
}

// strict makes every object of a schema refuse what it does not name: the document
// allows more, so that clients do not break, but the test wants to know.
func strict(v any) {
	switch x := v.(type) {
	case map[string]any:
		if _, ok := x["additionalProperties"]; !ok && x["properties"] != nil && x["type"] == "object" {
			x["additionalProperties"] = false
		}
		for _, one := range x {
			strict(one)
		}
	case []any:
		for _, one := range x {
			strict(one)
		}
	}
}

func document(t *testing.T) []byte {
	t.Helper()
	b, err := api.Document(all.Kinds())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// contract is a validator that is not ours, with the document.
func contract(t *testing.T) validator.Validator {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(document(t), &whole); err != nil {
		t.Fatal(err)
	}
	strict(whole["components"].(map[string]any)["schemas"])
	b, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := libopenapi.NewDocument(b)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	for _, err := range errs {
		t.Fatal(err)
	}
	return v
}

// holds checks an answer against the document.
func holds(t *testing.T, v validator.Validator, what string, r *http.Request, answer *httptest.ResponseRecorder) {
	t.Helper()
	if answer.Header().Get("Content-Type") == "application/x-ndjson" {
		linesHold(t, what, answer.Body.Bytes())
		return
	}
	ok, errs := v.ValidateHttpResponse(r, answer.Result())
	if ok {
		return
	}
	for _, e := range errs {
		t.Errorf("%s: %s: %s", what, e.Message, e.Reason)
		for _, s := range e.SchemaValidationErrors {
			t.Errorf("    %s: %s", s.FieldPath, s.Reason)
		}
	}
	t.Errorf("%s: the answer was %d %.300s", what, answer.Code, answer.Body)
}

// linesHold checks newline-delimited JSON, which is no JSON as a whole: each line
// is one of the types the client has for it, and nothing more.
func linesHold(t *testing.T, what string, body []byte) {
	t.Helper()
	for line := range bytes.Lines(body) {
		var errs []error
		for _, into := range []any{&client.Account{}, &client.Group{}, &client.Membership{}, &client.Event{}} {
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			err := d.Decode(into)
			if err == nil {
				errs = nil
				break
			}
			errs = append(errs, err)
		}
		if errs != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Errorf("%s: the line %s is none of ours: %v", what, line, errs)
		}
	}
}

func TestTheDocumentIsAnOpenAPIDocument(t *testing.T) {
	v := contract(t)
	if ok, errs := v.ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s", e.Message, e.Reason)
			for _, s := range e.SchemaValidationErrors {
				t.Errorf("    %s: %s", s.FieldPath, s.Reason)
			}
		}
	}
}

func TestEveryOperationAnswersAsTheDocumentSays(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		v := contract(t)
		ops := operations(t, document(t))
		prepared(t, w)
		for _, c := range cases {
			method, path := ops[c.op][0], w.names(c.path)
			if method == "" {
				t.Errorf("the document has no operation %s", c.op)
				continue
			}
			what := fmt.Sprintf("%s (%s %s)", c.op, method, path)
			var body any
			if c.body != "" {
				body = w.names(c.body)
			}
			if c.status == 0 {
				c.status = 200
			}
			answer := w.ask("operator", method, path, body, c.header...)
			if answer.Code != c.status {
				t.Errorf("%s: status %d, want %d: %s", what, answer.Code, c.status, answer.Body)
			}
			r := httptest.NewRequest(method, api.Prefix+path, nil)
			holds(t, v, what, r, answer)
			holds(t, v, what+" without a key", r, w.ask("", method, path, body, c.header...))
			if method != "GET" {
				holds(t, v, what+" with a key that may only read", r, w.ask("read-only", method, path, body, c.header...))
				if body != nil && len(c.header) == 0 {
					holds(t, v, what+" with a body that is none", r, w.ask("operator", method, path, `{"`, c.header...))
					holds(t, v, what+" with a body that is another", r, w.ask("operator", method, path, `{"no": "such"}`, c.header...))
				}
			}
		}
	})
}

// Tenants are walls: who has the key of another one gets 404 for everything of
// this one's, and sees nothing of it in lists.
func TestNobodySeesOrTouchesWhatBelongsToAnotherTenant(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ops := operations(t, document(t))
		prepared(t, w)
		want[client.Connection](w, 201, w.ask("operator", "POST", "/connections", `{"alias": "sun-up", "organization": "sun", "backend": {"csv": {"upload": true}}}`))
		want[client.Organization](w, 201, w.ask("operator", "POST", "/organizations", `{"id": "star"}`))
		for _, c := range cases {
			method, path := ops[c.op][0], w.names(c.path)
			var body any
			if c.body != "" {
				body = w.names(c.body)
			}
			mark := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest
			answer := w.ask("organization:moon", method, path, body, c.header...)
			if c.foreign == 0 {
				c.foreign = 404
			}
			if answer.Code != c.foreign {
				t.Errorf("%s %s: a stranger gets %d, want %d: %s", method, path, answer.Code, c.foreign, answer.Body)
			}
			if text := answer.Body.String(); answer.Code == 200 && (strings.Contains(text, "sun") || strings.Contains(text, "anna")) {
				t.Errorf("%s %s: a stranger sees %s", method, path, text)
			}
			if method != "GET" {
				for _, scope := range []string{"read-only", "organization:sun:read-only"} {
					w.refused(403, w.ask(scope, method, path, body, c.header...), "may only read")
				}
			}
			if now := get[client.EventPage](w, "operator", "/events?last=true&limit=1").Newest; now != mark {
				t.Errorf("%s %s: a stranger, or who may only read, made something happen", method, path)
			}
		}
	})
}
