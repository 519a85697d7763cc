package scim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/scimmy"
	protocol "rollcall.dev/rollcall/internal/scim"
)

// Somebody else's server is strict: what it takes is by the book.
func TestAStrictServerOfSomebodyElseIsKeptInStep(t *testing.T) {
	peer, err := scimmy.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := peer.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := open(t, databases.SQLite(t))
	ask := func(method, path, body string) protocol.Object {
		h.Helper()
		req, err := http.NewRequestWithContext(h.Context(), method, peer.URL+path, strings.NewReader(body))
		h.must(err)
		req.Header.Set("Authorization", "Bearer "+peer.Token)
		req.Header.Set("Content-Type", protocol.ContentType)
		resp, err := http.DefaultClient.Do(req)
		h.must(err)
		defer resp.Body.Close()
		var o protocol.Object
		if resp.StatusCode != http.StatusNoContent {
			h.must(json.NewDecoder(resp.Body).Decode(&o))
		}
		return o
	}
	there := func(name string) protocol.Object {
		for _, o := range resources(ask(http.MethodGet, "/Users?count=100", "")) {
			if o["userName"] == name {
				return o
			}
		}
		return nil
	}
	in := func(group string) string {
		var out []string
		for _, g := range resources(ask(http.MethodGet, "/Groups?count=100", "")) {
			if g["displayName"] != group {
				continue
			}
			for _, m := range membersOf(g) {
				name, _ := ask(http.MethodGet, "/Users/"+m, "")["userName"].(string)
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	ask(http.MethodPost, "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bob","nickName":"Bobby","emails":[{"value":"bob@home.example","type":"home"}]}`)
	h.person("ann", "zoe")
	h.person("zoe", "")
	h.person("bob", "ann")
	for i := range 30 { // more than one page
		h.person("more"+string(rune('a'+i)), "")
	}
	h.group("sales", "ann", "bob")
	tg, err := h.targets.Create(h.Context(), "", client.TargetInput{Organization: "sun", TargetPatchInput: client.TargetPatchInput{Name: ptr("scimmy"), URL: ptr(peer.URL + "/"), Secret: ptr(peer.Token)}}, "x")
	h.must(err)
	h.push()
	h.instep(tg, 34)
	ann, bob := there("ann"), there("bob")
	ext, _ := ann[protocol.EnterpriseSchema].(protocol.Object)
	if m, _ := ext["manager"].(protocol.Object); ann["active"] != true || ann["title"] != "Boss" || m["value"] != there("zoe")["id"] || ext["department"] != "Sales" {
		t.Errorf("ann is %v", ann)
	}
	if list, _ := bob["emails"].([]any); bob["nickName"] != "Bobby" || len(list) != 2 {
		t.Errorf("bob was adopted as %v", bob)
	}
	if got := in("sales"); got != "ann bob" {
		t.Errorf("in sales are %s", got)
	}

	h.set("ann", "title", "Queen")
	h.set("ann", "department", "")
	h.set("ann", "mobile_phone", "")
	h.set("ann", "username", "anna")
	h.set("bob", "status", "disabled")
	h.leave("sales", "bob")
	h.join("sales", "zoe")
	h.exec(`UPDATE groups SET name = 'selling'`)
	h.tell(event.GroupUpdated, "", "sales")
	h.push()
	h.instep(tg, 34)
	anna := there("anna")
	ext, _ = anna[protocol.EnterpriseSchema].(protocol.Object)
	if anna["id"] != ann["id"] || anna["title"] != "Queen" || ext["department"] != nil || anna["phoneNumbers"] != nil || there("bob")["active"] != false {
		t.Errorf("ann is %v, bob %v", anna, there("bob"))
	}
	if got := in("selling"); got != "anna zoe" {
		t.Errorf("in selling are %s", got)
	}

	ask(http.MethodPatch, "/Users/"+anna["id"].(string), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"Pirate"}]}`)
	ask(http.MethodDelete, "/Users/"+there("zoe")["id"].(string), "")
	r, err := h.worker.Repair(h.Context(), "", tg.ID, "x")
	h.must(err)
	if r.Users.Different != 1 || r.Users.Missing != 1 || r.Users.Same != 31 || r.Users.Unknown != 0 {
		t.Errorf("repaired: %+v", r)
	}
	h.push()
	h.instep(tg, 34)
	if there("anna")["title"] != "Queen" || there("zoe") == nil || in("selling") != "anna zoe" {
		t.Errorf("ann is %v, zoe %v, in selling are %s", there("anna"), there("zoe"), in("selling"))
	}
}
