// Package pushes_test has a client push people over HTTP to a whole server, as Entra ID
// and Okta do, and looks at what becomes of them through the API.
package pushes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/keys"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// site is a server with a connection "push", a client of it, and an operator.
type site struct {
	*testing.T
	base, token string
	api         *client.Client
	after       int64 // the newest event that was looked at
}

func begin(t *testing.T, dsn string) *site {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(err)
	listen := l.Addr().String()
	must(l.Close())
	path := filepath.Join(t.TempDir(), "rollcall.yaml")
	must(os.WriteFile(path, []byte("listen: "+listen+"\npublic_url: http://"+listen+`
log: {level: error}
webhooks: {allow_private: true}
organizations: [{id: sun, name: Sun}, {id: moon, name: Moon}]
connections:
  - {alias: table, organization: moon, backend: {csv: {path: people.csv, passwords: none}}}
  - {alias: push, organization: sun, role: employee, backend: {scim: {rate: 10000, burst: 10000}}}
`), 0o600))
	must(os.WriteFile(filepath.Join(filepath.Dir(path), "people.csv"), []byte("username,email,first_name,last_name,title,manager\nkim,kim@moon.example,Kim,<i>Özil</i>,Chief,\nlee,lee@moon.example,Lee,Lo,,kim\n"), 0o600))
	env := func(name string) (string, bool) { return dsn, name == "ROLLCALL_DATABASE" }
	a, err := app.Open(t.Context(), path, env)
	must(err)
	s := &site{T: t, base: "http://" + listen + "/scim/v2/push"}
	_, s.token, err = a.Store.PusherTable.Create(t.Context(), "push", "test", nil, "test")
	must(err)
	key, _, err := a.Store.KeyTable.Create(t.Context(), keys.Scope{}, "test", time.Time{}, "test")
	must(err)
	s.api, err = client.New("http://"+listen, key)
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	served, ready := make(chan error, 1), make(chan string, 1)
	go func() { served <- a.Serve(ctx, "test", io.Discard, nil, env, func(at string) { ready <- at }) }()
	select {
	case <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// push makes a request as a client does, and gives the ID in the answer.
func (s *site) push(method, path, body string) string {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/scim+json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil || res.StatusCode/100 != 2 {
		s.Fatal(method, path, res.StatusCode, string(text), err)
	}
	var made struct{ ID string }
	_ = json.Unmarshal(text, &made) //nolint:errcheck // some have no body
	return made.ID
}

// next waits for the next event of a type, and gives it.
func (s *site) next(kind string) client.Event {
	s.Helper()
	for range 10 {
		page, err := client.Get[client.EventPage](s.Context(), s.api, "/events", url.Values{"after": {fmt.Sprint(s.after)}, "wait": {"30s"}, "types": {kind}, "limit": {"1"}})
		if err != nil {
			s.Fatal(err)
		}
		s.after = page.NextAfter
		if len(page.Items) > 0 {
			s.after = page.Items[0].ID
			return page.Items[0]
		}
	}
	s.Fatalf("no %s came", kind)
	return client.Event{}
}

func (s *site) account(id string) client.Account {
	s.Helper()
	a, err := client.Get[client.Account](s.Context(), s.api, "/accounts/"+id, nil)
	if err != nil {
		s.Fatal(err)
	}
	return a
}

const (
	boss = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bo@sun.example","externalId":"b","active":true,"name":{"givenName":"Bo","familyName":"Ss"},"emails":[{"value":"bo@sun.example","type":"work","primary":true}]}`
	ada  = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"userName":"ada@sun.example","externalId":"a","active":true,"displayName":"Ada <b>L</b>",
		"name":{"givenName":"Ada","familyName":"Lovelace"},"emails":[{"value":"ada@sun.example","type":"work","primary":true}],"phoneNumbers":[{"type":"mobile","value":"+32 470 12 34 56"}],"title":"Countess",
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Engines","manager":"%s"}}`
)

// The whole way, from a client's request to the account and back to what is said of it.
func TestWhatAClientPushesBecomesAccounts(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		s := begin(t, dsn)
		bo := s.push("POST", "/Users", boss)
		if first := s.next("account.created"); first.Actor != "push" {
			t.Errorf("the first: %+v", first)
		}
		who := s.push("POST", "/Users", fmt.Sprintf(ada, bo))
		made := s.next("account.created")
		a := s.account(*made.Account)
		text := func(p *string) string {
			if p == nil {
				return ""
			}
			return *p
		}
		if text(a.Username) != "ada@sun.example" || text(a.Email) != "ada@sun.example" || text(a.FirstName) != "Ada" || text(a.LastName) != "Lovelace" || text(a.DisplayName) != "Ada <b>L</b>" || text(a.MobilePhone) != "+32470123456" ||
			text(a.Title) != "Countess" || text(a.Department) != "Engines" || text(a.ExternalID) != who || a.Status != "active" || text(a.Role) != "employee" || a.Manager == nil {
			t.Errorf("the account is %+v", a)
		}
		if made.Run == nil || made.Actor != "push" {
			t.Errorf("the event is %+v", made)
		}
		group := s.push("POST", "/Groups", `{"displayName":"Engineers","members":[{"value":"`+who+`"}]}`)
		if e := s.next("membership.added"); text(e.Account) != a.ID {
			t.Errorf("the membership is %+v", e)
		}
		s.push("PATCH", "/Groups/"+group, `{"Operations":[{"op":"Remove","path":"members","value":[{"value":"`+who+`"}]}]}`)
		s.next("membership.removed")

		s.push("PATCH", "/Users/"+who, `{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`)
		if e := s.next("account.disabled"); text(e.Account) != a.ID || s.account(a.ID).Status != "disabled" {
			t.Errorf("disabled: %+v", e)
		}
		why, err := client.Get[client.Page[client.Why]](t.Context(), s.api, "/why", url.Values{"connection": {"push"}, "who": {"ada@sun.example"}})
		if err != nil || len(why.Items) != 1 || why.Items[0].Entry == nil || len(why.Items[0].Steps) == 0 || why.Items[0].Account == nil {
			t.Errorf("why: %+v %v", why, err)
		}
		s.push("PATCH", "/Users/"+who, `{"Operations":[{"op":"Replace","path":"active","value":"True"}]}`)
		s.next("account.enabled")

		s.push("DELETE", "/Users/"+who, "")
		if e := s.next("account.disabled"); text(e.Account) != a.ID {
			t.Errorf("deleted: %+v", e)
		}
		if again := s.push("POST", "/Users", fmt.Sprintf(ada, bo)); again != who {
			t.Errorf("who comes back is %s, and was %s", again, who)
		}
		s.next("account.*")
		if back := s.account(a.ID); back.Status != "active" || text(back.ExternalID) != who {
			t.Errorf("the account of who came back: %+v", back)
		}
		run, err := client.Get[client.Page[client.Run]](t.Context(), s.api, "/runs", url.Values{"connection": {"push"}, "limit": {"1"}})
		if err != nil || len(run.Items) != 1 || run.Items[0].Trigger != "push" || run.Items[0].State != "applied" {
			t.Errorf("the run: %+v %v", run, err)
		}
	})
}

// What one organization has is pushed to another installation's connection, which here
// is the same one's: our client and our server understand one another.
func TestOneInstallationPushesToAnother(t *testing.T) {
	s := begin(t, databases.SQLite(t))
	if _, err := client.Send[client.Run](t.Context(), s.api, http.MethodPost, "/connections/table/sync", nil, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s.next("account.created")
	}
	name, at := "other", s.base
	if _, err := s.api.CreateTarget(t.Context(), client.TargetInput{Organization: "moon", TargetPatchInput: client.TargetPatchInput{Name: &name, URL: &at, Secret: &s.token}}); err != nil {
		t.Fatal(err)
	}
	got := map[string]client.Account{}
	for range 2 {
		e := s.next("account.created")
		if e.Organization != "sun" || e.Account == nil {
			t.Fatalf("%+v", e)
		}
		a := s.account(*e.Account)
		got[*a.Username] = a
	}
	kim, lee := got["kim"], got["lee"]
	for lee.Manager == nil { // who was sent before his manager is told of her afterwards
		s.next("account.updated")
		lee = s.account(lee.ID)
	}
	if kim.LastName == nil || *kim.LastName != "<i>Özil</i>" || kim.Title == nil || *kim.Title != "Chief" || lee.Manager == nil || *lee.Manager != kim.ID || lee.Connection != "push" {
		t.Errorf("%+v %+v", kim, lee)
	}
}
