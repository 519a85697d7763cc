package scim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/deliver/webhook"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/rig/databases"
	protocol "rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/targets"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// plainly keeps secrets as they are.
type plainly struct{}

func (plainly) Newest([]byte) (bool, error)                  { return true, nil }
func (plainly) Seal(_ string, plain []byte) ([]byte, error)  { return plain, nil }
func (plainly) Open(_ string, sealed []byte) ([]byte, error) { return sealed, nil }

// house is a worker on a database, with a clock that is moved by hand, and an
// application.
type house struct {
	*testing.T
	db      *db.DB
	targets *targets.Targets
	worker  *Worker
	app     *standin
	mu      sync.Mutex
	clock   time.Time
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = h.clock.Add(d)
}

func open(t *testing.T, dsn string) *house {
	h := &house{T: t, db: databases.Open(t, dsn), clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), app: newStandin(t)}
	h.targets = &targets.Targets{DB: h.db, Sealer: plainly{}, Now: h.now}
	guard := &webhook.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	plain, secure := webhook.Clients(guard, nil)
	h.worker = &Worker{Targets: h.targets, Plain: plain, Secure: secure, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: h.now, Jitter: func() float64 { return 0.5 }}
	for _, id := range []string{"sun", "moon"} {
		h.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'x', 0)`, id)
	}
	return h
}

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	databases.Both(t, func(t *testing.T, dsn string) { fn(open(t, dsn)) })
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) exec(query string, args ...any) {
	h.Helper()
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(h.Context(), query, args...)
		return err
	}))
}

func id(name string) account.ID { return account.NewID("sun", name) }

func (h *house) tell(kind event.Type, of, group string) {
	h.Helper()
	e := event.Event{Type: kind, Organization: "sun", At: h.now(), Actor: "sync"}
	if of != "" {
		a := id(of)
		e.Account = &a
	}
	if group != "" {
		g := id(group)
		e.Group = &g
	}
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error { return events.Record(h.Context(), tx, e) }))
}

// person makes an account of the connection hq.
func (h *house) person(name, manager string) {
	h.Helper()
	a, m := id(name), []byte(nil)
	if manager != "" {
		i := id(manager)
		m = i[:]
	}
	h.exec(`INSERT INTO accounts (id, organization, connection, username_key, email_key, username, email, first_name, last_name, display_name, mobile_phone, phone, language, title, department, location, role, manager, status, cause, attributes, version, created_at, updated_at)
		VALUES ($1, 'sun', 'hq', $2, $2, $2, $3, $2, 'Doe', '', '+32470000000', '', 'en', 'Boss', 'Sales', 'Brussels', 'staff', $4, 'active', '', '', 1, 0, 0)`, a[:], name, name+"@sun.example", m)
	h.tell(event.AccountCreated, name, "")
}

// set changes an account.
func (h *house) set(name, column, value string) {
	h.Helper()
	a := id(name)
	h.exec(`UPDATE accounts SET `+column+` = $2 WHERE id = $1`, a[:], value)
	h.tell(event.AccountUpdated, name, "")
}

func (h *house) group(name string, members ...string) {
	h.Helper()
	g := id(name)
	h.exec(`INSERT INTO groups (id, organization, connection, key, external_id, name, status, version, created_at, updated_at) VALUES ($1, 'sun', 'hq', $1, $2, $2, 'active', 1, 0, 0)`, g[:], name)
	h.tell(event.GroupCreated, "", name)
	h.join(name, members...)
}

func (h *house) join(group string, members ...string) {
	h.Helper()
	g := id(group)
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		return tx.Insert(h.Context(), "memberships", []string{"group_id", "account_id"}, len(members), func(i int, into []any) {
			a := id(members[i])
			into[0], into[1] = g[:], a[:]
		}, "")
	}))
	h.tell(event.MembershipAdded, "", group)
}

func (h *house) leave(group, member string) {
	h.Helper()
	g, a := id(group), id(member)
	h.exec(`DELETE FROM memberships WHERE group_id = $1 AND account_id = $2`, g[:], a[:])
	h.tell(event.MembershipRemoved, member, group)
}

func ptr[T any](v T) *T { return &v }

// target makes one of the application.
func (h *house) target(p client.TargetPatchInput) *client.Target {
	h.Helper()
	p.Name, p.URL = ptr("App"), ptr(h.app.URL+"/scim?tenant=7")
	if p.Secret == nil {
		p.Secret = ptr("sesame")
	}
	made, err := h.targets.Create(h.Context(), "", client.TargetInput{Organization: "sun", TargetPatchInput: p}, "x")
	h.must(err)
	return made
}

// push has the worker do all there is to do by now.
func (h *house) push() {
	h.Helper()
	for range 20 {
		worked, err := h.worker.Step(h.Context())
		h.must(err)
		if !worked {
			return
		}
	}
	h.Fatal("the worker finds no end")
}

func (h *house) links(t *client.Target, state string) []client.TargetLink {
	h.Helper()
	list, err := h.targets.Links(h.Context(), "", t.ID, state, targets.Place{}, 1000)
	h.must(err)
	return list
}

// instep checks that everything is in step and that so many are.
func (h *house) instep(t *client.Target, n int) {
	h.Helper()
	for _, l := range h.links(t, "") {
		if l.State != targets.Synced {
			h.Errorf("%s %s is %s: %v", l.Kind, l.ID, l.State, l.Error)
		}
	}
	if got := len(h.links(t, "")); got != n {
		h.Errorf("%d are linked, want %d", got, n)
	}
}

func (h *house) get(t *client.Target) *client.Target {
	h.Helper()
	out, err := h.targets.Get(h.Context(), "", t.ID)
	h.must(err)
	return out
}

func TestEverythingIsPushedAndThenWhatChanges(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "zoe") // her manager comes after her
		h.person("zoe", "")
		h.person("bob", "ann")
		h.group("sales", "ann", "bob")
		tg := h.target(client.TargetPatchInput{})
		h.push()
		h.instep(tg, 4)
		ann := h.app.user("ann")
		if ann["active"] != true || ann["title"] != "Boss" || ann["externalId"] != id("ann").String() || ann["displayName"] != "ann Doe" {
			h.Errorf("ann is %v", ann)
		}
		ext, _ := ann[protocol.EnterpriseSchema].(protocol.Object)
		if m, _ := ext["manager"].(protocol.Object); m["value"] != h.app.user("zoe")["id"] || ext["department"] != "Sales" {
			h.Errorf("ann's manager is %v", ext)
		}
		if got := h.app.in("sales"); got != "ann bob" {
			h.Errorf("in sales are %s", got)
		}
		h.app.took()
		h.push()
		if got := h.app.took(); len(got) != 0 {
			h.Errorf("nothing changed, and it asked %v", got)
		}

		h.set("ann", "title", "Queen")
		h.set("ann", "department", "")
		h.push()
		if got := changes(h.app.took()); len(got) != 1 || got[0] != "PATCH /Users/"+ann["id"].(string) {
			h.Errorf("a changed title took %v", got)
		}
		if ann = h.app.user("ann"); ann["title"] != "Queen" || ann[protocol.EnterpriseSchema].(protocol.Object)["department"] != nil {
			h.Errorf("ann is %v", ann)
		}
		h.person("eve", "")
		h.join("sales", "eve")
		h.leave("sales", "bob")
		h.push()
		if got := h.app.in("sales"); got != "ann eve" {
			h.Errorf("in sales are %s", got)
		}
		h.exec(`UPDATE groups SET name = 'selling'`)
		h.tell(event.GroupUpdated, "", "sales")
		h.push()
		if got := h.app.in("selling"); got != "ann eve" {
			h.Errorf("in selling are %s", got)
		}
		h.instep(tg, 5)
		r, err := h.worker.Check(h.Context(), "", tg.ID)
		h.must(err)
		if r.Users.Same != 4 || r.Groups.Same != 1 || len(r.Drift) != 0 {
			h.Errorf("checked: %+v", r)
		}
	})
}

func TestLeaversAreDisabledOrDeletedThere(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		h.person("bob", "")
		h.person("off", "")
		h.set("off", "status", "disabled")
		h.group("sales", "ann", "bob")
		keep := h.target(client.TargetPatchInput{Leavers: ptr("disable")})
		h.push()
		if h.app.user("off") != nil {
			h.Error("who was disabled before was made there")
		}
		h.set("ann", "status", "disabled")
		h.set("bob", "status", "deleted")
		h.push()
		if h.app.user("ann")["active"] != false || h.app.user("bob")["active"] != false {
			h.Errorf("they are %v and %v", h.app.user("ann"), h.app.user("bob"))
		}
		h.set("bob", "status", "active")
		h.push()
		if h.app.user("bob")["active"] != true {
			h.Error("who came back is not active")
		}
		h.instep(keep, 3)
		h.must(h.targets.Delete(h.Context(), "", keep.ID, "x"))

		h.set("ann", "status", "active")
		gone := h.target(client.TargetPatchInput{Leavers: ptr("delete")})
		h.push()
		h.instep(gone, 3)
		h.set("ann", "status", "deleted")
		g := id("sales")
		h.exec(`UPDATE groups SET status = 'deleted' WHERE id = $1`, g[:])
		h.tell(event.GroupDeleted, "", "sales")
		h.push()
		if h.app.user("ann") != nil || len(h.app.groups) != 0 {
			h.Errorf("there are still %v and %v", h.app.user("ann"), h.app.groups)
		}
		h.instep(gone, 1)
		a := id("bob")
		h.exec(`DELETE FROM accounts WHERE id = $1`, a[:])
		h.tell(event.AccountPurged, "bob", "")
		h.push()
		if len(h.app.users) != 0 {
			h.Errorf("who was purged is %v", h.app.users)
		}
	})
}

func TestWhoIsThereIsAdopted(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		h.person("bob", "")
		h.person("eve", "")
		h.group("sales", "ann")
		e := id("eve").String()
		h.app.users = []protocol.Object{
			{"id": "A", "userName": "ANN", "nickName": "Annie", "emails": []any{protocol.Object{"value": "home@x.example", "type": "home", "primary": true}}},
			{"id": "E", "userName": "eve.old", "externalId": e},
			{"id": "X", "userName": "stranger"},
		}
		h.app.groups = []protocol.Object{{"id": "S", "displayName": "sales", "members": []any{protocol.Object{"value": "X"}, protocol.Object{"value": "E"}}}}
		// bob appears between the look and the making.
		h.app.on(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost && !slices.ContainsFunc(h.app.users, func(o protocol.Object) bool { return o["id"] == "B" }) {
				h.app.users = append(h.app.users, protocol.Object{"id": "B", "userName": "bob"})
			}
			return false
		})
		tg := h.target(client.TargetPatchInput{})
		h.push()
		h.instep(tg, 4)
		if len(h.app.users) != 4 {
			h.Errorf("there are %d users", len(h.app.users))
		}
		ann := h.app.user("ann")
		if ann["id"] != "A" || ann["nickName"] != "Annie" || len(ann["emails"].([]any)) != 2 || ann["emails"].([]any)[1].(protocol.Object)["primary"] != false {
			h.Errorf("ann is %v", ann)
		}
		if h.app.user("eve")["id"] != "E" || h.app.user("bob")["id"] != "B" {
			h.Error("eve or bob is somebody else")
		}
		if got := h.app.in("sales"); got != "ann stranger" { // eve is not in it here; of the stranger nothing is known
			h.Errorf("in sales are %s", got)
		}
	})
}

func TestNobodyIsAdoptedForAFilterThatIsPassedOver(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		h.app.noFilter = true
		h.app.users = []protocol.Object{{"id": "B", "userName": "boss"}}
		tg := h.target(client.TargetPatchInput{Groups: ptr(false)})
		h.push()
		h.instep(tg, 1)
		if h.app.user("boss")["active"] != nil || h.app.user("ann") == nil {
			h.Errorf("there are %v", h.app.users)
		}
	})
}

func TestWhatWentThereIsMadeAnew(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		h.group("sales", "ann")
		tg := h.target(client.TargetPatchInput{})
		h.push()
		h.app.users, h.app.groups = nil, nil
		h.set("ann", "title", "Queen")
		h.push()
		if got := h.app.user("ann"); got == nil || h.app.in("sales") != "ann" {
			h.Errorf("there are %v and %v", h.app.users, h.app.groups)
		}
		h.instep(tg, 2)
	})
}

func TestAnApplicationWithoutPatchIsPut(t *testing.T) {
	both(t, func(h *house) {
		h.app.noPatch = true
		h.person("ann", "")
		h.person("bob", "")
		h.group("sales", "ann")
		h.app.groups = []protocol.Object{{"id": "S", "displayName": "sales", "members": []any{protocol.Object{"value": "foreign"}}}}
		tg := h.target(client.TargetPatchInput{})
		h.push()
		h.app.user("ann")["nickName"] = "Annie"
		h.set("ann", "title", "Queen")
		h.join("sales", "bob")
		h.leave("sales", "ann")
		h.push()
		h.instep(tg, 3)
		if ann := h.app.user("ann"); ann["title"] != "Queen" || ann["nickName"] != "Annie" {
			h.Errorf("ann is %v", ann)
		}
		if got := h.app.in("sales"); got != "? bob" {
			h.Errorf("in sales are %s", got)
		}
		if got := h.app.took(); slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, "PATCH") }) {
			h.Errorf("it patched: %v", got)
		}
		// One that says it can, and cannot.
		h.app.on(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/ServiceProviderConfig") {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			return false
		})
		h.later(2 * time.Hour)
		h.set("ann", "title", "Empress")
		h.push()
		if h.app.user("ann")["title"] != "Empress" {
			h.Errorf("ann is %v", h.app.user("ann"))
		}
	})
}

func TestMembersGoInChunks(t *testing.T) {
	both(t, func(h *house) {
		h.app.silent = true
		var names []string
		for i := range 1201 {
			names = append(names, fmt.Sprintf("p%04d", i))
		}
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
			for _, n := range names {
				a := id(n)
				if _, err := tx.Exec(h.Context(), `INSERT INTO target_links (target, kind, id, remote, sent, state, next_at, updated_at) VALUES ('t', 'user', $1, $2, $1, 'synced', 0, 0)`, a[:], "r"+n); err != nil {
					return err
				}
			}
			return nil
		}))
		h.group("all", names...)
		tg := h.target(client.TargetPatchInput{})
		h.exec(`UPDATE target_links SET target = $1`, tg.ID)
		h.exec(`UPDATE targets SET loaded = $1, cursor = 0`, true)
		h.push()
		if got := changes(h.app.took()); strings.Join(got, " ") != "POST /Groups PATCH /Groups/g1 PATCH /Groups/g1 PATCH /Groups/g1" {
			h.Errorf("it took %v", got)
		}
		if n := len(h.app.groups[0]["members"].([]any)); n != 1201 {
			h.Errorf("%d are in it", n)
		}
		for _, n := range names[:150] {
			g, a := id("all"), id(n)
			h.exec(`DELETE FROM memberships WHERE group_id = $1 AND account_id = $2`, g[:], a[:])
		}
		h.tell(event.MembershipRemoved, "", "all")
		h.push()
		if n := len(h.app.groups[0]["members"].([]any)); n != 1051 {
			h.Errorf("%d are in it", n)
		}
	})
}

func TestAnApplicationThatWantsToBeLeftAloneIs(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		tg := h.target(client.TargetPatchInput{})
		status, after := http.StatusTooManyRequests, "90"
		h.app.on(func(w http.ResponseWriter, _ *http.Request) bool {
			if status == 0 {
				return false
			}
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(status)
			return true
		})
		expect := func(wait time.Duration) {
			h.Helper()
			h.app.took()
			h.push()
			if n := len(h.app.took()); n != 1 {
				h.Errorf("it asked %d times", n)
			}
			is := h.get(tg)
			if is.Error == nil || is.PausedUntil == nil || is.FailingSince == nil || !is.PausedUntil.Equal(h.now().Add(wait)) {
				h.Fatalf("it is %+v, until %v", is, is.PausedUntil)
			}
			h.later(wait - time.Second)
			h.push()
			if n := len(h.app.took()); n != 0 {
				h.Errorf("it asked %d times before its time", n)
			}
			h.later(time.Second)
		}
		expect(90 * time.Second)
		after = h.now().Add(5 * time.Minute).Format(http.TimeFormat)
		expect(5 * time.Minute)
		status, after = http.StatusServiceUnavailable, ""
		expect(20 * time.Second) // 5 s, doubled for each time before
		expect(40 * time.Second)
		status = 0
		h.push()
		h.instep(tg, 1)
		if is := h.get(tg); is.Error != nil || is.FailingSince != nil || is.Synced != 1 {
			h.Errorf("it is %+v", is)
		}
		h.app.Close()
		h.set("ann", "title", "Queen")
		h.push()
		if is := h.get(tg); is.Error == nil || is.Due != 1 {
			h.Errorf("it is %+v", is)
		}
	})
}

func TestOneThatIsRefusedHoldsUpNobody(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		h.person("bob", "")
		tg := h.target(client.TargetPatchInput{})
		refuse := true
		h.app.on(func(w http.ResponseWriter, r *http.Request) bool {
			if refuse && r.Method == http.MethodPost && len(h.app.users) > 0 {
				h.app.fail(w, &protocol.Error{Status: 400, Type: protocol.InvalidValue, Detail: "we do not like sesame"})
				return true
			}
			return false
		})
		h.push()
		failed := h.links(tg, targets.Failed)
		if len(failed) != 1 || failed[0].Attempts != 1 || *failed[0].Error != "answered 400 Bad Request: we do not like (secret)" || !failed[0].NextAt.Equal(h.now().Add(30*time.Second)) {
			h.Fatalf("failed: %+v", failed)
		}
		h.later(30 * time.Second)
		h.push()
		if failed = h.links(tg, targets.Failed); len(failed) != 1 || failed[0].Attempts != 2 || !failed[0].NextAt.Equal(h.now().Add(time.Minute)) {
			h.Fatalf("failed: %+v", failed)
		}
		refuse = false
		h.later(time.Minute)
		h.push()
		h.instep(tg, 2)
	})
}

func TestASecretThatIsWrongIsNotRepeated(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		tg := h.target(client.TargetPatchInput{Secret: ptr("wrong-secret")})
		h.push()
		is := h.get(tg)
		if is.Error == nil || strings.Contains(*is.Error, "wrong-secret") || !strings.Contains(*is.Error, "does not know our secret") {
			h.Errorf("it says %v", is.Error)
		}
		_, err := h.targets.Update(h.Context(), "", tg.ID, client.TargetPatchInput{Secret: ptr("sesame")}, "x")
		h.must(err)
		h.push()
		h.instep(tg, 1)
	})
}

func TestOAuthClientCredentials(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		tg := h.target(client.TargetPatchInput{Auth: ptr("oauth"), ClientID: ptr("rollcall"), TokenURL: ptr(h.app.URL + "/token"), Secret: ptr("open")})
		h.push()
		h.instep(tg, 1)
		h.set("ann", "title", "Queen")
		h.push()
		if h.app.tokens != 1 {
			h.Errorf("%d tokens", h.app.tokens)
		}
		h.app.token = "another" // it is not believed any more
		h.set("ann", "title", "Boss")
		h.push()
		if h.app.tokens != 2 || h.app.user("ann")["title"] != "Boss" {
			h.Errorf("%d tokens, %v", h.app.tokens, h.app.user("ann"))
		}
		h.later(time.Hour)
		h.set("ann", "title", "Queen")
		h.push()
		if h.app.tokens != 3 {
			h.Errorf("%d tokens", h.app.tokens)
		}
	})
}

func TestDriftIsFoundAndRepaired(t *testing.T) {
	both(t, func(h *house) {
		for _, n := range []string{"ann", "bob", "eve", "dan", "fay", "gus", "hal", "ian", "joe"} {
			h.person(n, "")
		}
		h.group("sales", "ann", "bob")
		h.group("staff", "ann")
		tg := h.target(client.TargetPatchInput{})
		h.push()
		h.app.silent = true
		h.app.user("ann")["title"] = "Pirate"
		h.app.user("bob")["nickName"] = "Bobby" // that is the application's
		h.app.users = slices.DeleteFunc(h.app.users, func(o protocol.Object) bool { return o["userName"] == "eve" })
		h.app.users = append(h.app.users, protocol.Object{"id": "X", "userName": "stranger"})
		for _, g := range h.app.groups {
			if g["displayName"] == "sales" {
				g["members"] = []any{protocol.Object{"value": h.app.user("dan")["id"]}, protocol.Object{"value": "X"}}
			}
		}
		r, err := h.worker.Check(h.Context(), "sun", tg.ID)
		h.must(err)
		if r.Users != (client.TargetCounts{Same: 7, Different: 1, Missing: 1, Unknown: 1}) || r.Groups != (client.TargetCounts{Same: 1, Different: 1}) || len(r.Drift) != 4 || r.Marked != 0 {
			h.Errorf("checked: %+v", r)
		}
		if _, err := h.worker.Check(h.Context(), "moon", tg.ID); err == nil {
			h.Error("another organization looked")
		}
		h.push()
		if h.app.user("ann")["title"] != "Pirate" {
			h.Error("a check changed something")
		}
		r, err = h.worker.Repair(h.Context(), "", tg.ID, "x")
		h.must(err)
		if r.Marked != 3 {
			h.Errorf("repaired: %+v", r)
		}
		h.push()
		h.instep(tg, 11)
		if h.app.user("ann")["title"] != "Boss" || h.app.user("eve") == nil || h.app.in("sales") != "ann bob stranger" {
			h.Errorf("ann is %v, eve %v, in sales are %s", h.app.user("ann"), h.app.user("eve"), h.app.in("sales"))
		}
		r, err = h.worker.Check(h.Context(), "", tg.ID)
		h.must(err)
		if r.Users.Different+r.Users.Missing+r.Groups.Different+r.Groups.Missing != 0 {
			h.Errorf("after the repair: %+v", r)
		}
	})
}

func TestOnlyItsConnectionsArePushed(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		h.person("bob", "")
		h.set("bob", "connection", "branch")
		h.group("sales", "ann", "bob")
		tg := h.target(client.TargetPatchInput{Connections: &[]string{"hq"}})
		h.push()
		if h.app.user("bob") != nil || h.app.in("sales") != "ann" {
			h.Errorf("bob is %v, in sales are %s", h.app.user("bob"), h.app.in("sales"))
		}
		_, err := h.targets.Update(h.Context(), "", tg.ID, client.TargetPatchInput{Connections: &[]string{"branch"}}, "x")
		h.must(err)
		h.push()
		if h.app.user("bob")["active"] != true || h.app.user("ann")["active"] != false || h.app.in("sales") != "" {
			h.Errorf("bob is %v, ann %v, in sales are %q", h.app.user("bob"), h.app.user("ann"), h.app.in("sales"))
		}
	})
}

func TestIdentifiersMayBeAnything(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		h.app.users = []protocol.Object{{"id": "a/b c?d#é%2F", "userName": "ann"}, {"id": "..", "userName": "ANN"}}
		h.group("sales", "ann")
		h.app.groups = []protocol.Object{{"id": `g/"1"\`, "displayName": "sales"}}
		tg := h.target(client.TargetPatchInput{})
		h.push()
		h.instep(tg, 2)
		if h.app.user("ann")["title"] != "Boss" || h.app.in("sales") != "ann" {
			h.Errorf("ann is %v, in sales are %s", h.app.user("ann"), h.app.in("sales"))
		}
		h.leave("sales", "ann")
		h.push()
		if h.app.in("sales") != "" {
			h.Errorf("in sales are %s", h.app.in("sales"))
		}
	})
}

func TestAnAddressThatIsNotThatOfSCIMIsTriedOnce(t *testing.T) {
	both(t, func(h *house) {
		for i := range 20 {
			h.person(fmt.Sprint("p", i), "")
		}
		tg := h.target(client.TargetPatchInput{})
		for _, status := range []int{http.StatusNotFound, http.StatusFound} {
			h.app.on(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				return true
			})
			h.push()
			is := h.get(tg)
			if is.Error == nil || is.Failed != 0 || is.Due != 20 || len(h.app.took()) > 20 {
				h.Errorf("at %d it is %+v", status, is)
			}
			h.later(time.Hour)
		}
	})
}

func TestWhoeverPushesLosesTheTurnWhenTheTargetIsChanged(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		tg := h.target(client.TargetPatchInput{})
		h.app.on(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				_, err := h.targets.Update(context.Background(), "", tg.ID, client.TargetPatchInput{Enabled: ptr(false)}, "x")
				h.must(err)
			}
			return false
		})
		h.push()
		if l := h.links(tg, ""); len(l) != 1 || l[0].State != targets.Due || l[0].RemoteID != nil {
			h.Errorf("linked: %+v", l)
		}
		h.app.on(nil)
		_, err := h.targets.Update(h.Context(), "", tg.ID, client.TargetPatchInput{Enabled: ptr(true)}, "x")
		h.must(err)
		h.push()
		h.instep(tg, 1)
		if h.app.many() != 1 {
			h.Errorf("there are %v", h.app.users)
		}
	})
}

func TestATurnThatPassedToAnotherWritesNothing(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		tg := h.target(client.TargetPatchInput{})
		turn, err := h.targets.Claim(h.Context(), lease)
		h.must(err)
		if other, err := h.targets.Claim(h.Context(), lease); err != nil || other != nil {
			h.Fatalf("two have it: %v, %v", other, err)
		}
		_, err = h.targets.Prepare(h.Context(), turn)
		h.must(err)
		links, err := h.targets.Due(h.Context(), turn, 10)
		h.must(err)
		h.later(lease)
		h.push()
		h.instep(tg, 1)
		links[0].Remote = "stale"
		if err := h.targets.Save(h.Context(), turn, links[0], "", time.Time{}); err == nil {
			h.Error("it wrote all the same")
		}
	})
}

func TestWhatChangesWhileItIsPushedIsPushedAgain(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		tg := h.target(client.TargetPatchInput{})
		var once sync.Once
		h.app.on(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				once.Do(func() { h.set("ann", "title", "Queen") })
			}
			return false
		})
		h.push()
		h.instep(tg, 1)
		if h.app.user("ann")["title"] != "Queen" {
			h.Errorf("ann is %v", h.app.user("ann"))
		}
	})
}

func TestAWorkerThatEndsLeavesWhatItDid(t *testing.T) {
	both(t, func(h *house) {
		h.person("ann", "")
		tg := h.target(client.TargetPatchInput{})
		ctx, cancel := context.WithCancel(h.Context())
		h.app.on(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				cancel()
			}
			return false
		})
		if _, err := h.worker.Step(ctx); err != nil && !errors.Is(err, context.Canceled) {
			h.Fatal(err)
		}
		h.app.on(nil)
		h.push() // another process goes on at once, and adopts whom the first one made
		h.instep(tg, 1)
		if h.app.many() != 1 {
			h.Errorf("there are %v", h.app.users)
		}
	})
}
