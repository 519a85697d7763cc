package scim_test

import (
	"encoding/json"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/scimmy"
)

// What a client made with npm's scimmy would refuse, it would refuse of all of us.
func TestScimmyAcceptsWhatWeSay(t *testing.T) {
	w := open(t, databases.SQLite(t))
	get := func(path string) map[string]any {
		t.Helper()
		status, _, text := w.ask(t, "GET", path, "", nil)
		var out map[string]any
		if err := json.Unmarshal([]byte(text), &out); err != nil || status != 200 {
			t.Fatal(path, status, text)
		}
		return out
	}
	w.ask(t, "POST", "/Users", `{"userName":"ada","name":{"givenName":"Ada","familyName":"L"},"emails":[{"value":"ada@sun.example","type":"work","primary":true}],"active":"True","roles":[{"value":"x","primary":"True"}],
		"addresses":[{"type":"work","locality":"Brussels"}],"phoneNumbers":[{"value":"+3225550011","type":"mobile"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":"00boss","department":"Labs"}}`, nil)
	users := get("/Users")
	id := users["Resources"].([]any)[0].(map[string]any)["id"].(string) //nolint:forcetypeassert // a test ends either way
	w.ask(t, "POST", "/Groups", `{"displayName":"all","members":[{"value":"`+id+`"}]}`, nil)
	groups := get("/Groups")
	said := map[string]any{"schemas": get("/Schemas")["Resources"], "users": append(users["Resources"].([]any), get("/Users/"+id)), //nolint:forcetypeassert // as above
		"groups": groups["Resources"], "lists": []any{users, groups, get("/Users?count=0"), get("/ResourceTypes")}}
	raw, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	refusals, err := scimmy.Refusals(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refusals {
		t.Error(r)
	}
	// The check can fail.
	bad, err := scimmy.Refusals(t.Context(), []byte(`{"schemas":[{"id":"x","name":"X","description":"","attributes":[{"name":"a","type":"text"}]}],"users":[{"userName":7}],"groups":[{}],"lists":[{"schemas":[]}]}`))
	if err != nil || len(bad) < 3 {
		t.Errorf("what is wrong is accepted: %v %v", bad, err)
	}
}
