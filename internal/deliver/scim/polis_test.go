package scim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/polis"
	protocol "rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/targets"
)

// A product's server is lax: it finds people by their e-mail addresses alone, and of
// groups it tells neither IDs in lists nor members.
func TestALaxServerOfSomebodyElseIsKeptInStep(t *testing.T) {
	peer, err := polis.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := peer.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := open(t, databases.SQLite(t))
	ask := func(path string, to any) {
		h.Helper()
		req, err := http.NewRequestWithContext(h.Context(), http.MethodGet, peer.URL+path, nil)
		h.must(err)
		req.Header.Set("Authorization", "Bearer "+peer.Token)
		resp, err := http.DefaultClient.Do(req)
		h.must(err)
		defer resp.Body.Close()
		h.must(json.NewDecoder(resp.Body).Decode(to))
	}
	people := func() map[string]protocol.Object {
		var page protocol.Object
		ask("/Users?startIndex=1&count=100", &page)
		out := map[string]protocol.Object{}
		for _, o := range resources(page) {
			name, _ := o["userName"].(string)
			if out[name] != nil {
				t.Errorf("%s is there twice", name)
			}
			out[name] = o
		}
		return out
	}
	h.person("ann", "zoe")
	h.person("zoe", "")
	h.person("bob", "ann")
	h.group("sales", "ann", "bob")
	tg, err := h.targets.Create(h.Context(), "", client.TargetInput{Organization: "sun", TargetPatchInput: client.TargetPatchInput{Name: ptr("polis"), URL: ptr(peer.URL), Secret: ptr(peer.Token)}}, "x")
	h.must(err)
	h.push()
	h.instep(tg, 4)
	in := func() string {
		links, err := h.targets.Links(h.Context(), "", tg.ID, "", targets.Place{}, 100)
		h.must(err)
		var ids, names []string
		for _, l := range links {
			if l.Kind == "group" && l.RemoteID != nil {
				ask("/members/"+*l.RemoteID, &ids)
			}
		}
		for name, o := range people() {
			if id, _ := o["id"].(string); slices.Contains(ids, id) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	if got := in(); got != "ann bob" {
		t.Errorf("in sales are %q", got)
	}
	h.set("ann", "title", "Queen")
	h.set("bob", "status", "disabled")
	h.leave("sales", "bob")
	h.join("sales", "zoe")
	h.push()
	h.instep(tg, 4)
	now := people()
	if len(now) != 3 || now["ann"]["title"] != "Queen" || now["bob"]["active"] != false {
		t.Errorf("there are %v", now)
	}
	if got := in(); got != "ann zoe" {
		t.Errorf("in sales are %q", got)
	}
}
