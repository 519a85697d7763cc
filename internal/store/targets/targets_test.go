package targets_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/targets"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// sealer turns a secret round, with a key that is changed: what is sealed for one
// purpose does not open for another.
type sealer struct{ key byte }

func (s *sealer) Newest(sealed []byte) (bool, error) { return sealed[0] == s.key, nil }

func (s *sealer) Seal(purpose string, plain []byte) ([]byte, error) {
	return append([]byte{s.key}, append([]byte(purpose+"|"), plain...)...), nil
}

func (s *sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(sealed[1:]), purpose+"|")
	if !ok {
		return nil, errors.New("it was sealed for something else")
	}
	return []byte(plain), nil
}

type house struct {
	*testing.T
	db      *db.DB
	targets *targets.Targets
	sealer  *sealer
	clock   time.Time
}

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	databases.Both(t, func(t *testing.T, dsn string) {
		h := &house{T: t, db: databases.Open(t, dsn), sealer: &sealer{key: 1}, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		h.targets = &targets.Targets{DB: h.db, Sealer: h.sealer, Now: func() time.Time { return h.clock }}
		for _, id := range []string{"sun", "moon"} {
			h.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'x', 0)`, id)
		}
		fn(h)
	})
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

func (h *house) kind(want fault.Kind, err error) {
	h.Helper()
	if err == nil || fault.KindOf(err) != want {
		h.Errorf("error %v, want one of kind %v", err, want)
	}
}

func ptr[T any](v T) *T { return &v }

func usual() client.TargetPatchInput {
	return client.TargetPatchInput{Name: ptr("App"), URL: ptr("https://app.example.com/scim/"), Secret: ptr("s3cret")}
}

func (h *house) create() *client.Target {
	h.Helper()
	t, err := h.targets.Create(h.Context(), "", client.TargetInput{Organization: "sun", TargetPatchInput: usual()}, "ada")
	h.must(err)
	return t
}

func (h *house) person(organization, name string) {
	h.Helper()
	id := account.NewID(organization, name)
	h.exec(`INSERT INTO accounts (id, organization, connection, username_key, email_key, username, email, first_name, last_name, display_name, mobile_phone, phone, language, title, department, location, role, status, cause, attributes, version, created_at, updated_at)
		VALUES ($1, $2, 'hq', $3, $3, $3, $3, '', '', '', '', '', '', '', '', '', '', 'active', '', '', 1, 0, 0)`, id[:], organization, name)
}

func (h *house) tell(e event.Event) {
	h.Helper()
	e.At, e.Actor = h.clock, "sync"
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error { return events.Record(h.Context(), tx, e) }))
}

// due takes a turn and gives what is due in it.
func (h *house) due() (*targets.Turn, []*targets.Link) {
	h.Helper()
	turn, err := h.targets.Claim(h.Context(), time.Minute)
	h.must(err)
	if turn == nil {
		return nil, nil
	}
	for more := true; more; {
		more, err = h.targets.Prepare(h.Context(), turn)
		h.must(err)
	}
	links, err := h.targets.Due(h.Context(), turn, 100)
	h.must(err)
	return turn, links
}

// done has everything that is due in step.
func (h *house) done() int {
	h.Helper()
	turn, links := h.due()
	if turn == nil {
		return 0
	}
	for _, l := range links {
		l.Remote = "r-" + l.ID.String()
		h.must(h.targets.Save(h.Context(), turn, l, "", time.Time{}))
	}
	h.must(h.targets.Release(h.Context(), turn))
	return len(links)
}

func TestWhatATargetMayBe(t *testing.T) {
	both(t, func(h *house) {
		h.targets.Known = func(_ context.Context, alias string) (string, error) {
			if alias == "hq" {
				return "sun", nil
			}
			return "", fault.New(fault.NotFound, "there is none")
		}
		made := h.create()
		if made.URL != "https://app.example.com/scim" || made.Auth != "bearer" || !made.Groups || !made.Enabled || made.Leavers != "disable" || len(made.Connections) != 0 {
			h.Errorf("made %+v", made)
		}
		for name, change := range map[string]func(*client.TargetPatchInput){
			"no name":                       func(p *client.TargetPatchInput) { p.Name = ptr(" ") },
			"no address":                    func(p *client.TargetPatchInput) { p.URL = ptr("") },
			"an address of another kind":    func(p *client.TargetPatchInput) { p.URL = ptr("ldap://x") },
			"an address with a password":    func(p *client.TargetPatchInput) { p.URL = ptr("https://a:b@x/") },
			"another way to sign in":        func(p *client.TargetPatchInput) { p.Auth = ptr("basic") },
			"OAuth without where":           func(p *client.TargetPatchInput) { p.Auth, p.ClientID = ptr("oauth"), ptr("x") },
			"OAuth without who":             func(p *client.TargetPatchInput) { p.Auth, p.TokenURL = ptr("oauth"), ptr("https://x") },
			"leavers that go elsewhere":     func(p *client.TargetPatchInput) { p.Leavers = ptr("move") },
			"a connection there is not":     func(p *client.TargetPatchInput) { p.Connections = &[]string{"none"} },
			"an empty secret":               func(p *client.TargetPatchInput) { p.Secret = ptr("") },
			"a secret that no header takes": func(p *client.TargetPatchInput) { p.Secret = ptr("a\nb") },
			"a secret that is too long":     func(p *client.TargetPatchInput) { p.Secret = ptr(strings.Repeat("x", 5000)) },
		} {
			p := usual()
			change(&p)
			_, err := h.targets.Create(h.Context(), "", client.TargetInput{Organization: "sun", TargetPatchInput: p}, "x")
			if err == nil || fault.KindOf(err) != fault.Invalid {
				h.Errorf("%s: created, %v", name, err)
			}
			if _, err = h.targets.Update(h.Context(), "", made.ID, p, "x"); err == nil || fault.KindOf(err) != fault.Invalid {
				h.Errorf("%s: changed, %v", name, err)
			}
		}
		_, err := h.targets.Create(h.Context(), "", client.TargetInput{TargetPatchInput: usual()}, "x")
		h.kind(fault.Invalid, err)
		_, err = h.targets.Create(h.Context(), "", client.TargetInput{Organization: "none", TargetPatchInput: usual()}, "x")
		h.kind(fault.NotFound, err)
		for range 19 {
			h.create()
		}
		_, err = h.targets.Create(h.Context(), "", client.TargetInput{Organization: "sun", TargetPatchInput: usual()}, "x")
		h.kind(fault.Conflict, err)
	})
}

func TestATargetIsItsOrganizationsAlone(t *testing.T) {
	both(t, func(h *house) {
		made := h.create()
		_, err := h.targets.Create(h.Context(), "moon", client.TargetInput{Organization: "sun", TargetPatchInput: usual()}, "x")
		h.kind(fault.NotFound, err)
		_, err = h.targets.Get(h.Context(), "moon", made.ID)
		h.kind(fault.NotFound, err)
		_, err = h.targets.Update(h.Context(), "moon", made.ID, client.TargetPatchInput{}, "x")
		h.kind(fault.NotFound, err)
		_, err = h.targets.Links(h.Context(), "moon", made.ID, "", targets.Place{}, 1)
		h.kind(fault.NotFound, err)
		_, err = h.targets.Sync(h.Context(), "moon", made.ID)
		h.kind(fault.NotFound, err)
		_, err = h.targets.Open(h.Context(), "moon", made.ID)
		h.kind(fault.NotFound, err)
		_, err = h.targets.Repair(h.Context(), "moon", made.ID, nil, "x")
		h.kind(fault.NotFound, err)
		h.kind(fault.NotFound, h.targets.Delete(h.Context(), "moon", made.ID, "x"))
		if list, err := h.targets.List(h.Context(), "moon", "", 10); err != nil || len(list) != 0 {
			h.Errorf("moon sees %v, %v", list, err)
		}
	})
}

func TestWhatIsDone(t *testing.T) {
	both(t, func(h *house) {
		made := h.create()
		_, err := h.targets.Update(h.Context(), "", made.ID, client.TargetPatchInput{URL: ptr("https://other.example.com/x?key=hidden"), Secret: ptr("another")}, "ada")
		h.must(err)
		h.must(h.targets.Delete(h.Context(), "", made.ID, "ada"))
		var told []string
		h.must((&events.Events{DB: h.db}).After(h.Context(), "", 0, 10, func(e event.Event) error {
			told = append(told, string(e.Type)+" "+string(e.Before)+" "+string(e.After))
			return nil
		}))
		all := strings.Join(told, "\n")
		if len(told) != 3 || strings.Contains(all, "s3cret") || strings.Contains(all, "another") || strings.Contains(all, "hidden") || !strings.Contains(told[1], `"secret":"changed"`) || !strings.Contains(told[1], "other.example.com") {
			h.Errorf("told:\n%s", all)
		}
		b, err := json.Marshal(made)
		if err != nil || strings.Contains(string(b), "s3cret") {
			h.Errorf("%s, %v", b, err)
		}
	})
}

func TestASecretGoesNowhereElse(t *testing.T) {
	both(t, func(h *house) {
		made := h.create()
		oauth := client.TargetPatchInput{Auth: ptr("oauth"), ClientID: ptr("x"), TokenURL: ptr("https://login.example.com/token")}
		for name, p := range map[string]client.TargetPatchInput{
			"another server": {URL: ptr("https://evil.example.com/scim")}, "without TLS": {URL: ptr("http://app.example.com/scim")}, "a server of tokens": oauth,
		} {
			if _, err := h.targets.Update(h.Context(), "", made.ID, p, "x"); err == nil || fault.KindOf(err) != fault.Invalid {
				h.Errorf("%s: %v", name, err)
			}
			p.Secret = ptr("given-again")
			_, err := h.targets.Update(h.Context(), "", made.ID, p, "x")
			h.must(err)
			_, err = h.targets.Update(h.Context(), "", made.ID, usual(), "x")
			h.must(err)
			if p.Auth != nil {
				_, err = h.targets.Update(h.Context(), "", made.ID, client.TargetPatchInput{Auth: ptr("bearer"), TokenURL: ptr(""), Secret: ptr("s")}, "x")
				h.must(err)
			}
		}
		_, err := h.targets.Update(h.Context(), "", made.ID, client.TargetPatchInput{URL: ptr("https://app.example.com/scim/v3")}, "x")
		h.must(err)
	})
}

func TestTheFeedIsFollowed(t *testing.T) {
	both(t, func(h *house) {
		h.person("sun", "ann")
		h.person("moon", "far")
		made := h.create()
		if n := h.done(); n != 1 {
			h.Fatalf("%d were loaded", n)
		}
		if n := h.done(); n != 0 {
			h.Errorf("%d more", n)
		}
		ann, bob, far := account.NewID("sun", "ann"), account.NewID("sun", "bob"), account.NewID("moon", "far")
		h.person("sun", "bob")
		for _, e := range []event.Event{
			{Type: event.AccountCreated, Organization: "sun", Account: &bob}, {Type: event.AccountUpdated, Organization: "sun", Account: &bob},
			{Type: event.AccountSignedIn, Organization: "sun", Account: &ann}, {Type: event.AccountUpdated, Organization: "moon", Account: &far},
		} {
			h.tell(e)
		}
		turn, links := h.due()
		if len(links) != 1 || links[0].ID != bob {
			h.Fatalf("due are %+v", links)
		}
		// What is asked for while it is on its way stays due.
		h.tell(event.Event{Type: event.AccountUpdated, Organization: "sun", Account: &bob})
		_, err := h.targets.Prepare(h.Context(), turn)
		h.must(err)
		links[0].Remote = "B"
		h.must(h.targets.Save(h.Context(), turn, links[0], "", time.Time{}))
		h.must(h.targets.Release(h.Context(), turn))
		if _, links = h.due(); len(links) != 1 || links[0].Remote != "B" {
			h.Errorf("due are %+v", links)
		}
		if n, err := h.targets.Sync(h.Context(), "sun", made.ID); err != nil || n != 2 {
			h.Errorf("%d are looked at again, %v", n, err)
		}
	})
}

// Whoever leads others is pushed before them: these need not be pushed twice.
func TestManagersComeFirst(t *testing.T) {
	both(t, func(h *house) {
		boss := account.NewID("sun", "boss")
		for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "boss"} {
			h.person("sun", n)
		}
		h.exec(`UPDATE accounts SET manager = $1 WHERE username <> 'boss'`, boss[:])
		h.create()
		if _, links := h.due(); len(links) != 8 || links[0].ID != boss {
			h.Errorf("due are %+v", links)
		}
	})
}

func TestEventsThatArePrunedAreMadeUpFor(t *testing.T) {
	both(t, func(h *house) {
		h.person("sun", "ann")
		h.create()
		h.done()
		h.person("sun", "bob")
		h.tell(event.Event{Type: event.RunApplied, Organization: "sun"})
		h.exec(`UPDATE counters SET value = (SELECT value FROM counters WHERE name = 'event') WHERE name = 'pruned'`)
		if n := h.done(); n != 2 {
			h.Errorf("%d were looked at", n)
		}
	})
}

func TestASecretThatDoesNotOpenHoldsUpNobody(t *testing.T) {
	both(t, func(h *house) {
		h.person("sun", "ann")
		lost := h.create()
		kept := h.create()
		h.exec(`UPDATE targets SET secret = (SELECT secret FROM targets WHERE id = $2) WHERE id = $1`, lost.ID, kept.ID)
		for range 3 {
			turn, err := h.targets.Claim(h.Context(), time.Minute)
			if err == nil && turn != nil && turn.Target.ID != kept.ID {
				h.Errorf("a turn of %s", turn.Target.ID)
			}
		}
		is, err := h.targets.Get(h.Context(), "", lost.ID)
		h.must(err)
		if is.Error == nil || is.PausedUntil == nil {
			h.Errorf("it is %+v", is)
		}
		h.sealer.key = 2
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
			done, left, err := h.targets.Reseal(h.Context(), tx)
			if done != 1 || !slices.Equal(left, []string{"target " + lost.ID + ": secret"}) {
				h.Errorf("%d, %v", done, left)
			}
			return err
		}))
	})
}

func TestLinksAreListedInPages(t *testing.T) {
	both(t, func(h *house) {
		for _, n := range []string{"a", "b", "c", "d", "e"} {
			h.person("sun", n)
		}
		for _, n := range []string{"x", "y"} {
			id := account.NewID("sun", n)
			h.exec(`INSERT INTO groups (id, organization, connection, key, external_id, name, status, version, created_at, updated_at) VALUES ($1, 'sun', 'hq', $1, $2, $2, 'active', 1, 1, 1)`, id[:], n)
		}
		made := h.create()
		turn, links := h.due()
		h.must(h.targets.Save(h.Context(), turn, links[0], "it does not like them", h.clock.Add(time.Hour)))
		var met, kinds []string
		place := targets.Place{}
		for {
			list, err := h.targets.Links(h.Context(), "sun", made.ID, "", place, 2)
			h.must(err)
			if len(list) == 0 {
				break
			}
			for _, l := range list {
				met, kinds = append(met, l.ID), append(kinds, l.Kind)
				id, err := account.ParseID(l.ID)
				h.must(err)
				place = targets.Place{Kind: l.Kind, ID: id}
			}
		}
		// Who could not be pushed is not to be looked for behind all groups.
		if people, groups := met[:5], met[5:]; len(groups) != 2 || !slices.IsSorted(people) || !slices.IsSorted(groups) || kinds[4] != "user" || kinds[5] != "group" {
			h.Errorf("listed: %v %v", met, kinds)
		}
		failed, err := h.targets.Links(h.Context(), "", made.ID, targets.Failed, targets.Place{}, 10)
		if err != nil || len(failed) != 1 || *failed[0].Error != "it does not like them" || failed[0].Attempts != 1 {
			h.Errorf("failed: %+v, %v", failed, err)
		}
		_, err = h.targets.Links(h.Context(), "", made.ID, "lost", targets.Place{}, 10)
		h.kind(fault.Invalid, err)
		if is, err := h.targets.Get(h.Context(), "", made.ID); err != nil || is.Failed != 1 || is.Due != 6 {
			h.Errorf("it is %+v, %v", is, err)
		}
	})
}
