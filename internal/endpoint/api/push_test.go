package api_test

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/store/pushers"
)

func TestATokenIsShownOnceWithWhereItIsGiven(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		path := "/connections/" + w.pushed()
		made := want[client.NewPushToken](w, 201, w.ask("organization:sun", "POST", path+"/token", `{"name": "Entra ID"}`))
		if made.TenantURL != "http://localhost:8080/scim/v2/sun-push" || made.TokenURL != nil || made.ClientID != nil || made.ExpiresAt == nil || !strings.HasPrefix(made.Secret, made.ID) || !strings.HasPrefix(made.CreatedBy, "apikey:") {
			t.Errorf("made: %+v", made)
		}
		if _, err := w.app.Store.PusherTable.Authenticate(t.Context(), "sun-push", made.Secret); err != nil {
			t.Error(err)
		}
		machine := want[client.NewPushToken](w, 201, w.ask("operator", "POST", path+"/token", `{"kind": "oauth", "no_expiry": true}`))
		if machine.TokenURL == nil || *machine.TokenURL != machine.TenantURL+"/oauth/token" || machine.ClientID == nil || machine.ExpiresAt != nil {
			t.Errorf("made: %+v", machine)
		}
		access, _, err := w.app.Store.PusherTable.Exchange(t.Context(), "sun-push", *machine.ClientID, machine.Secret)
		if err != nil {
			t.Fatal(err)
		}
		answer := w.ask("read-only", "GET", path+"/tokens", nil)
		if text := answer.Body.String(); strings.Contains(text, made.Secret[20:]) || strings.Contains(text, machine.Secret[20:]) || strings.Contains(w.log.String(), made.Secret[20:]) {
			t.Error("a secret is shown again")
		}
		if got := want[list[client.PushToken]](w, 200, answer).Items; len(got) != 2 || got[0].Name+got[1].Name != "Entra ID" {
			t.Errorf("listed: %+v", got)
		}
		next := want[client.NewPushToken](w, 201, w.ask("operator", "POST", path+"/token/rotate", nil))
		if next.Name != "Entra ID" || next.Secret == made.Secret {
			t.Errorf("next: %+v", next)
		}
		w.refused(409, w.ask("operator", "POST", path+"/token", nil), "2 valid tokens", "revoke")
		want[client.PushToken](w, 200, w.ask("organization:sun", "DELETE", path+"/tokens/"+machine.ID, nil))
		if _, err := w.app.Store.PusherTable.Authenticate(t.Context(), "sun-push", access); err == nil {
			t.Error("an access token outlives its secret")
		}
		w.refused(404, w.ask("operator", "DELETE", path+"/tokens/rcp_nobody", nil), "rcp_nobody")
		w.refused(409, w.ask("operator", "GET", "/connections/sun-hq/tokens", nil), "nobody pushes to it", "kind scim")
		w.refused(409, w.ask("operator", "GET", "/connections/sun-hq/exchanges", nil), "nobody pushes to it")
		w.refused(422, w.ask("operator", "POST", path+"/token", `{"expires_at": "2001-01-01T00:00:00Z"}`), "would never work")
		w.refused(422, w.ask("operator", "POST", path+"/token", `{"expires_at": "2099-01-01T00:00:00Z", "no_expiry": true}`), "two different things")
		w.refused(422, w.ask("operator", "POST", path+"/token", `{"kind": "password"}`))
	})
}

func TestRequestsAreListedInPieces(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		path := "/connections/" + w.pushed() + "/exchanges"
		for i := range 5 {
			w.app.Store.PusherTable.Log("sun-push", pushers.Exchange{Method: "GET", Path: "/Users", Query: "filter=userName+eq+%22anna%22", Status: 200 + 100*(i%3), Request: `{"userName": "anna"}`})
		}
		if err := w.app.Store.PusherTable.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := get[list[client.Exchange]](w, "organization:sun", path+"?limit=3")
		if len(first.Items) != 3 || first.Items[0].ID != 5 || first.Items[0].Query != `filter=userName eq "a…"` || first.Items[0].Request != "" || first.NextCursor == nil {
			t.Fatalf("the first piece: %+v", first)
		}
		rest := get[list[client.Exchange]](w, "organization:sun", path+"?limit=3&cursor="+*first.NextCursor)
		if len(rest.Items) != 2 || rest.Items[0].ID != 2 || rest.NextCursor != nil {
			t.Errorf("the rest: %+v", rest)
		}
		w.refused(422, w.ask("operator", "GET", path+"?failed=true&cursor="+*first.NextCursor, nil), "cursor")
		if failed := get[list[client.Exchange]](w, "operator", path+"?failed=true"); len(failed.Items) != 1 || failed.Items[0].Status != 400 {
			t.Errorf("failed: %+v", failed)
		}
		if one := get[client.Exchange](w, "operator", path+"/5"); one.Request != `{"userName":"a…"}` {
			t.Errorf("one: %+v", one)
		}
		w.refused(404, w.ask("operator", "GET", path+"/17", nil), "no request 17")
	})
}
