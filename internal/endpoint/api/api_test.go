package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/operate"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/keys"
	"rollcall.dev/rollcall/internal/store/nodes"
)

// working is a world whose runs are carried out by a node, and a client of it.
func working(t *testing.T, w *world, scope string) *client.Client {
	t.Helper()
	o, err := operate.New(t.Context(), operate.Options{Store: w.app.Store, Engine: w.app.Engine, Connections: w.app.Registry, Node: nodes.Node{Host: "test"}, Workers: 2,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	w.deps.Runs = o
	s := httptest.NewServer(api.New(w.deps))
	t.Cleanup(func() {
		s.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := o.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(s.URL, w.keys[scope], client.WithTries(1))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The client does a day's work through the handlers, with runs carried out by a node.
func TestAWholeDayThroughTheClient(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		c, ctx := working(t, w, "organization:sun"), t.Context()
		check, err := c.Check(ctx, "sun-hq", nil)
		if err != nil || !check.OK || len(check.Steps) == 0 {
			t.Fatalf("%+v %v", check, err)
		}
		phases := map[string]bool{}
		made, err := c.MakePlan(ctx, "sun-hq", client.SyncInput{}, func(p client.Progress) { phases[p.Phase] = true })
		if err != nil || made.Verdict != "go" || len(made.Changes) != 3 || !phases["reading"] {
			t.Fatalf("%+v %v %v", made, phases, err)
		}
		run, err := c.Approve(ctx, made.ID, client.ApproveInput{Exclude: []string{"2-2"}})
		if err != nil {
			t.Fatal(err)
		}
		if run, err = c.Wait(ctx, run.ID, nil); err != nil || run.State != "applied" || run.Summary.Create != 2 {
			t.Fatalf("%+v %v", run, err)
		}
		n := 0
		for a, err := range c.Accounts(ctx, client.AccountQuery{Status: "active"}) {
			if err != nil || a.Organization != "sun" {
				t.Errorf("%+v %v", a, err)
			}
			n++
		}
		for a, err := range c.ExportAccounts(ctx, client.AccountQuery{}) {
			if err != nil || *a.LastName != "Person" {
				t.Errorf("%+v %v", a, err)
			}
			n++
		}
		if n != 4 {
			t.Errorf("%d accounts in list and export, want two in each", n)
		}
		second, err := c.Sync(ctx, "sun-hq", client.SyncInput{Full: true})
		if err != nil {
			t.Fatal(err)
		}
		if second, err = c.Wait(ctx, second.ID, nil); err != nil || second.Summary.Create != 1 {
			t.Fatalf("%+v %v", second, err)
		}
		undo, err := c.PlanRevert(ctx, run.ID)
		if err != nil || undo.Reverts == nil || *undo.Reverts != run.ID || len(undo.Changes) != 2 {
			t.Errorf("%+v %v", undo, err)
		}
		var p *client.Problem
		if _, err := c.Approve(ctx, made.ID, client.ApproveInput{}); !errors.As(err, &p) || p.Status != 409 || p.Hint == "" {
			t.Errorf("a plan is approved twice: %v", err)
		}
		if _, err := c.Run(ctx, "rnothing"); !errors.As(err, &p) || p.Status != 404 {
			t.Errorf("%v", err)
		}
		why, err := c.Why(ctx, "sun-hq", "anna")
		if err != nil || len(why) != 1 || !why[0].In {
			t.Errorf("%+v %v", why, err)
		}
	})
}

// A long poll is answered when something happens, and not before.
func TestTheFeedIsFollowed(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		c := working(t, w, "organization:sun")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		page, err := c.LastEvents(ctx, client.EventQuery{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan client.Event)
		go func() {
			defer close(got)
			for e, err := range c.Follow(ctx, page.Newest, client.EventQuery{Types: []string{"account.*", "run.applied"}}) {
				if err != nil {
					t.Error(err)
					return
				}
				got <- e
			}
		}()
		for _, alias := range []string{"moon-hq", "sun-hq"} {
			if _, err := w.deps.Runs.Sync(ctx, alias, false, "manual", "tester"); err != nil {
				t.Fatal(err)
			}
		}
		var types []string
		for e := range got {
			if e.Organization != "sun" {
				t.Fatalf("%+v", e)
			}
			if types = append(types, e.Type); e.Type == "run.applied" {
				cancel()
			}
		}
		if !slices.Equal(types, []string{"account.created", "account.created", "account.created", "run.applied"}) {
			t.Errorf("%v", types)
		}
	})
}

// endless is runs that never end.
type endless struct {
	api.Runs
	following chan struct{}
}

func (e *endless) Follow(ctx context.Context, _ string, _ func(*engine.Run) error) error {
	e.following <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// Who waits when the server is about to stop is answered with what there is, and a
// stream says why it ends.
func TestWhoWaitsIsAnsweredWhenTheServerStops(t *testing.T) {
	draining, following := make(chan struct{}), make(chan struct{})
	w := open(t, "", func(d *api.Deps) {
		d.Draining, d.Runs = draining, &endless{d.Runs, following}
	})
	run := want[client.Run](w, 202, w.ask("operator", "POST", "/connections/sun-hq/sync", nil))
	end := get[client.EventPage](w, "operator", "/events?last=true").Newest
	type answer struct {
		what string
		*httptest.ResponseRecorder
	}
	answers := make(chan answer)
	go func() {
		answers <- answer{"sync", w.ask("operator", "POST", "/connections/sun-hq/sync", nil, "Prefer", "wait")}
	}()
	go func() {
		answers <- answer{"progress", w.ask("operator", "GET", "/runs/"+run.ID+"/progress", nil, "Accept", "text/event-stream")}
	}()
	<-following
	<-following
	go func() {
		answers <- answer{"events", w.ask("operator", "GET", "/events?types=connection.created&wait=50s&after="+strconv.FormatInt(end, 10), nil)}
	}()
	close(draining)
	for range 3 {
		switch a := <-answers; a.what {
		case "sync":
			want[client.Run](w, 202, a.ResponseRecorder)
		case "events":
			if p := want[client.EventPage](w, 200, a.ResponseRecorder); len(p.Items) != 0 || p.NextAfter < end {
				t.Errorf("%+v", p)
			}
		case "progress":
			if !strings.Contains(a.Body.String(), "event: problem") || !strings.Contains(a.Body.String(), "about to stop") {
				t.Errorf("%s", a.Body)
			}
		}
	}
}

func TestWhoHasNoKeyIsToldHowToGetIn(t *testing.T) {
	w := open(t, databases.SQLite(t))
	good := w.keys["operator"]
	for name, header := range map[string]string{
		"nothing": "", "another scheme": "Basic " + good, "no key": "Bearer ", "a word": "Bearer hello", "a key that is none": "Bearer rk_" + strings.Repeat("0", 43),
		"a key with another end": "Bearer " + good[:len(good)-1] + "-", "a key and more": "Bearer " + good + "x", "half a key": "Bearer " + good[:20],
	} {
		w.keys["x"] = ""
		r := w.ask("", "GET", "/accounts", nil, "Authorization", header)
		p := w.refused(http.StatusUnauthorized, r)
		if !strings.HasPrefix(r.Header().Get("WWW-Authenticate"), `Bearer realm="rollcall"`) {
			t.Errorf("%s: WWW-Authenticate is %q", name, r.Header().Get("WWW-Authenticate"))
		}
		if strings.Contains(r.Body.String(), good[:15]) || p.Hint == "" {
			t.Errorf("%s: %s", name, r.Body)
		}
	}
	if r := w.ask("", "GET", "/organizations", nil, "Authorization", "bearer "+good); r.Code != 200 {
		t.Errorf("the scheme's case matters: %s", r.Body)
	}
}

func TestKeysEndAndNoneGivesOutMoreThanItHas(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		mine := want[client.NewKey](w, 201, w.ask("organization:sun", "POST", "/apikeys", `{"scope": "organization:sun:read-only", "name": "reports"}`))
		w.keys["mine"] = mine.Secret
		get[list[client.Account]](w, "mine", "/accounts")
		w.refused(403, w.ask("mine", "POST", "/connections/sun-hq/sync", nil))
		w.refused(403, w.ask("organization:sun", "POST", "/apikeys", `{"scope": "operator"}`), "reaches further")
		w.refused(403, w.ask("organization:sun", "POST", "/apikeys", `{"scope": "read-only"}`))
		w.refused(404, w.ask("organization:sun", "POST", "/apikeys", `{"scope": "organization:moon"}`), "moon")
		w.refused(404, w.ask("operator", "POST", "/apikeys", `{"scope": "organization:nowhere"}`))
		w.refused(422, w.ask("operator", "POST", "/apikeys", `{"scope": "everything"}`), "operator, read-only")
		w.refused(422, w.ask("operator", "POST", "/apikeys", `{"scope": "operator", "expires_at": "2001-01-01T00:00:00Z"}`))
		if k := get[list[client.Key]](w, "organization:moon", "/apikeys").Items; len(k) != 1 {
			t.Errorf("moon sees %d keys", len(k))
		}
		w.refused(404, w.ask("organization:moon", "DELETE", "/apikeys/"+mine.ID, nil))
		if k := want[client.Key](w, 200, w.ask("organization:sun", "DELETE", "/apikeys/"+mine.ID, nil)); k.RevokedAt == nil || k.LastUsedAt == nil {
			t.Errorf("%+v", k)
		}
		w.refused(401, w.ask("mine", "GET", "/accounts", nil))
		later := time.Now().Add(time.Hour)
		short, _, err := w.app.Store.KeyTable.Create(t.Context(), keys.Scope{}, "", later, "tester")
		if err != nil {
			t.Fatal(err)
		}
		w.keys["short"] = short
		get[list[client.Account]](w, "short", "/accounts")
		w.app.Store.KeyTable.Now = func() time.Time { return later.Add(time.Second) }
		w.refused(401, w.ask("short", "GET", "/accounts", nil))
	})
}

func TestRequestsAreLimitedPerKeyAndPerStranger(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	w := open(t, "", func(d *api.Deps) {
		d.Rates = &setting.Rates{PerSecond: 1, Burst: 3}
		d.Now = func() time.Time { return now }
	})
	for range 3 {
		get[list[client.Organization]](w, "operator", "/organizations")
	}
	r := w.ask("operator", "GET", "/organizations", nil)
	w.refused(429, r, "rate_limits")
	if r.Header().Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", r.Header().Get("Retry-After"))
	}
	get[list[client.Organization]](w, "read-only", "/organizations") // another key is not to blame
	now = now.Add(time.Second)
	get[list[client.Organization]](w, "operator", "/organizations")
	for range 3 {
		w.refused(401, w.ask("", "GET", "/organizations", nil, "Authorization", "Bearer rk_"+strings.Repeat("x", 43)))
	}
	w.refused(429, w.ask("", "GET", "/organizations", nil, "Authorization", "Bearer rk_"+strings.Repeat("x", 43)))
	w.refused(429, w.ask("", "GET", "/openapi.json", nil))
	get[list[client.Organization]](w, "read-only", "/organizations") // nor is it for who asks from the same address
}

func TestEveryErrorIsAProblemWithAHint(t *testing.T) {
	w := open(t, databases.SQLite(t))
	want[client.Run](w, 200, w.ask("operator", "POST", "/connections/sun-hq/sync?wait=true", nil))
	for _, c := range []struct {
		name, method, path string
		body               any
		status             int
		words              []string
	}{
		{"a path there is not", "GET", "/nothing", nil, 404, []string{"/nothing", "openapi.json"}},
		{"a method a path does not have", "DELETE", "/accounts", nil, 405, []string{"DELETE", "GET"}},
		{"a filter there is not", "GET", "/accounts?statu=active", nil, 422, []string{"statu"}},
		{"a status there is not", "GET", "/accounts?status=happy", nil, 422, []string{"active"}},
		{"too much at once", "GET", "/accounts?limit=1001", nil, 422, []string{"limit", "1000"}},
		{"nothing at once", "GET", "/accounts?limit=0", nil, 422, []string{"limit"}},
		{"a cursor that was made up", "GET", "/accounts?cursor=abcdefghijkl", nil, 422, []string{"cursor", "next_cursor"}},
		{"a body that is no JSON", "POST", "/organizations", `{"`, 400, nil},
		{"a body that is missing", "POST", "/organizations", nil, 400, nil},
		{"a key there is not", "POST", "/organizations", `{"id": "x", "nam": "y"}`, 422, []string{"nam"}},
		{"an organization there is already", "POST", "/organizations", `{"id": "sun"}`, 409, nil},
		{"a connection of the file", "PATCH", "/connections/sun-hq", `{"role": "x"}`, 409, []string{"rollcall.yaml"}},
		{"an alias that is a page of sign-in", "POST", "/connections", `{"alias": "signout", "organization": "sun", "backend": {"csv": {}}}`, 422, []string{"signout", "choose another"}},
		{"an alias that is a call of the API", "POST", "/connections", `{"alias": "check", "organization": "sun", "backend": {"csv": {}}}`, 422, []string{"check", "choose another"}},
		{"a backend there is not", "POST", "/connections", `{"alias": "x", "organization": "sun", "backend": {"ldapp": {}}}`, 422, []string{"ldap"}},
		{"an account that is a word", "GET", "/accounts/anna", nil, 404, []string{"who="}},
		{"an account of a directory", "DELETE", "/accounts/{account}", nil, 409, []string{"sun-hq", "directory"}},
		{"an account without a name", "POST", "/accounts", `{"organization": "sun"}`, 422, []string{"username"}},
		{"an account of nobody's organization", "POST", "/accounts", `{"username": "x"}`, 422, []string{"organization"}},
		{"a name that is taken", "POST", "/accounts", `{"organization": "sun", "username": "anna", "email": "x@example.org", "first_name": "X", "last_name": "Y"}`, 409, []string{"anna"}},
		{"a row there is not", "POST", "/plans/last/approve", `{"exclude": ["x"]}`, 422, []string{"x"}},
		{"a body of two megabytes", "POST", "/accounts", `{"username": "` + strings.Repeat("x", 2<<20) + `"}`, 413, nil},
		{"an event that has not happened", "GET", "/events?after=1000000", nil, 409, []string{"1000000", "backup"}},
		{"a wait that goes back", "GET", "/events?wait=-5s", nil, 422, []string{"30s"}},
		{"a wait that is none", "GET", "/events?wait=soon", nil, 422, nil},
	} {
		path := w.names(c.path)
		p := w.refused(c.status, w.ask("operator", c.method, path, c.body), c.words...)
		if strings.Contains(p.Detail, "sql") || strings.Contains(p.Detail, "goroutine") {
			t.Errorf("%s: %s", c.name, p.Detail)
		}
	}
}

// broken fails inside.
type broken struct{ api.Engine }

func (broken) Reset(context.Context, setting.Connection, string) error {
	return errors.New("database: what happened inside")
}

// What is ours to mend is in the log under the request's ID, and nowhere else.
// Keys, passwords and what was searched for are in neither.
func TestTheLogTellsWhoAskedForWhatAndNoSecret(t *testing.T) {
	w := open(t, "", func(d *api.Deps) {
		d.Engine = broken{d.Engine}
	})
	r := w.ask("organization:sun", "GET", "/accounts?q=private-search", nil, "X-Request-ID", "from-the-proxy-1")
	if r.Header().Get("X-Request-ID") != "from-the-proxy-1" {
		t.Error("a sane request ID is not kept")
	}
	if r = w.ask("", "GET", "/x", nil, "X-Request-ID", "two\nlines"); strings.Contains(r.Header().Get("X-Request-ID"), "\n") {
		t.Error("a request ID with a line break is kept")
	}
	w.ask("operator", "POST", "/accounts", `{"organization": "sun", "username": "x", "password": "hunter-two"}`)
	log := w.log.String()
	for _, word := range []string{`"request":"from-the-proxy-1"`, `"key":"` + w.keys["organization:sun"][:11] + `"`, `"organization":"sun"`, `"status":200`, `"path":"/api/v1/accounts"`} {
		if !strings.Contains(log, word) {
			t.Errorf("the log lacks %s:\n%s", word, log)
		}
	}
	p := w.refused(500, w.ask("operator", "POST", "/connections/sun-hq/reset", nil))
	if log = w.log.String(); !strings.Contains(log, p.RequestID) || !strings.Contains(log, "happened inside") || strings.Contains(p.Error(), "inside the") == strings.Contains(p.Error(), "happened") {
		t.Errorf("%s\n%s", p.Error(), log)
	}
	for _, secret := range []string{"hunter-two", "private-search", w.keys["operator"], w.keys["organization:sun"]} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// Lists go on where they were, whatever came and went meanwhile, and a cursor is
// good for its own list only.
func TestPagesNeitherRepeatNorSkip(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		prepared(t, w)
		for _, path := range []string{"/accounts?status=active", "/groups?", "/runs?", "/plans?", "/apikeys?", "/connections?", "/organizations?", "/plans/last/changes?", "/accounts?q=person"} {
			whole := get[list[map[string]any]](w, "operator", path)
			var pieces []map[string]any
			for at := path + "&limit=1"; ; {
				p := get[list[map[string]any]](w, "operator", at)
				if pieces = append(pieces, p.Items...); p.NextCursor == nil {
					break
				}
				at = path + "&limit=1&cursor=" + *p.NextCursor
				if other := strings.Replace(at, path, "/accounts?status=disabled", 1); path != other {
					w.refused(422, w.ask("operator", "GET", other, nil), "cursor")
				}
			}
			if len(pieces) != len(whole.Items) || len(pieces) == 0 {
				t.Errorf("%s: %d in pieces, %d at once", path, len(pieces), len(whole.Items))
			}
			for i := range pieces {
				for _, name := range []string{"id", "alias", "seq"} {
					if pieces[i][name] != whole.Items[i][name] {
						t.Errorf("%s: place %d is another one", path, i)
					}
				}
			}
		}
	})
}
