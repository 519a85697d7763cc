package setups_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/setups"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// house is an installation with two organizations, of which one has a connection.
type house struct {
	*testing.T
	db     *db.DB
	clock  time.Time
	admins *admins.Admins
	*setups.Setups
}

var (
	from    = netip.MustParseAddr("192.0.2.7")
	console = admins.By{Actor: "operator:anna"}
)

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	open := func(t *testing.T, dsn string) {
		t.Helper()
		d := databases.Open(t, dsn)
		h := &house{T: t, db: d, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		now := func() time.Time { return h.clock }
		h.Setups = &setups.Setups{DB: d, Now: now}
		h.admins = &admins.Admins{DB: d, Now: now, Ring: &seal.Ring{Path: filepath.Join(t.TempDir(), "key")},
			Hash: func(context.Context, string) (string, error) { return "quick", nil }}
		for _, id := range []string{"sunfix", "moonfix"} {
			h.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'x', 0)`, id)
		}
		h.connect("sunfix-hq", "sunfix")
		fn(h)
		h.tellsNoToken()
	}
	databases.Both(t, open)
}

func (h *house) exec(query string, args ...any) {
	h.Helper()
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(h.Context(), query, args...)
		return err
	}))
}

func (h *house) connect(alias, organization string) {
	h.Helper()
	h.exec(`INSERT INTO declarations (alias, organization, scheduled, body, version, created_at, updated_at, updated_by) VALUES ($1, $2, false, '{}', 1, 0, 0, 'x')`, alias, organization)
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err, fault.HintOf(err))
	}
}

func (h *house) refused(err error, kind fault.Kind, words string) {
	h.Helper()
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error()+" "+fault.HintOf(err), words) {
		h.Errorf("got %v (kind %d), want kind %d about %q", err, fault.KindOf(err), kind, words)
	}
}

func (h *house) events() (out []event.Event) {
	h.Helper()
	h.must((&events.Events{DB: h.db}).After(h.Context(), "", 0, 1000, func(e event.Event) error {
		out = append(out, e)
		return nil
	}))
	return out
}

func (h *house) tellsNoToken() {
	h.Helper()
	for _, e := range h.events() {
		text, err := json.Marshal(e)
		h.must(err)
		if strings.Contains(string(text), "rt_") || strings.Contains(string(text), "rts_") {
			h.Errorf("an event holds a token: %s", text)
		}
	}
}

func (h *house) enter(token string) *setups.Session {
	h.Helper()
	x, _, err := h.Enter(h.Context(), token, from, "Firefox\x00")
	h.must(err)
	return x
}

// good checks whether a session is good, and gives its link.
func (h *house) good(token string, want bool) *setups.Link {
	h.Helper()
	_, l, err := h.Check(h.Context(), token)
	if (err == nil) != want {
		h.Errorf("the session is good: %v, want %v (%v)", err == nil, want, err)
	}
	if err != nil && fault.KindOf(err) != fault.Denied {
		h.Error(err)
	}
	return l
}

var staff = setups.Spec{Organization: "sunfix", Connection: "sunfix-hq", Note: "Kim"}

func TestALinkLeadsToOneConnectionForAWhile(t *testing.T) {
	both(t, func(h *house) {
		token, l, err := h.Create(h.Context(), console, staff)
		h.must(err)
		if !l.ExpiresAt.Equal(h.clock.Add(7*24*time.Hour)) || l.MayMake() {
			h.Errorf("%+v", l)
		}
		seen, err := h.Look(h.Context(), token)
		h.must(err)
		if seen.ID != l.ID || !seen.OpenedAt.IsZero() {
			h.Errorf("%+v", seen)
		}
		x := h.enter(token)
		if l := h.good(x.Token, true); l.Connection != "sunfix-hq" || l.Organization != "sunfix" || l.Actor() != "setup:"+l.ID || !l.OpenedAt.Equal(h.clock) {
			h.Errorf("%+v", l)
		}
		y, _, err := h.Check(h.Context(), x.Token)
		h.must(err)
		if !y.MatchCSRF(x.CSRF) || y.MatchCSRF("") || y.Token != "" || y.Agent != "Firefox" {
			h.Errorf("%+v", y)
		}
		for _, bad := range []string{"", token, "rts_", x.Token + "A", strings.Replace(x.Token, "rts_", "rs_", 1), x.Token[:40] + "\x00\x00\x00\x00\x00\x00\x00"} {
			h.good(bad, false)
			_, err := h.Look(h.Context(), bad+"x")
			h.refused(err, fault.NotFound, "not good")
		}
		// It is not an administrator's session, and an administrator's is none here.
		_, _, err = h.admins.Check(h.Context(), x.Token)
		h.refused(err, fault.Denied, "not signed in")
		h.clock = h.clock.Add(12 * time.Hour)
		h.good(x.Token, false)
		x = h.enter(token)
		for h.clock.Before(l.ExpiresAt.Add(-time.Hour)) {
			h.good(x.Token, true)
			h.clock = h.clock.Add(11 * time.Hour)
		}
		h.clock = l.ExpiresAt
		h.good(x.Token, false)
		_, _, err = h.Enter(h.Context(), token, from, "")
		h.refused(err, fault.NotFound, "not good")
	})
}

func TestARevokedLinkIsClosedAtOnce(t *testing.T) {
	both(t, func(h *house) {
		token, l, err := h.Create(h.Context(), console, staff)
		h.must(err)
		x := h.enter(token)
		h.good(x.Token, true)
		moon, err := h.admins.Create(h.Context(), console, admins.Spec{Email: "m@moonfix.com", Password: "winter kettle orbit", Role: admins.Manager, Organization: "moonfix"})
		h.must(err)
		_, err = h.Revoke(h.Context(), admins.As(moon), l.ID)
		h.refused(err, fault.NotFound, "no set-up link")
		if list, err := h.List(h.Context(), admins.As(moon), ""); err != nil || len(list) > 0 {
			h.Error(list, err)
		}
		_, err = h.Revoke(h.Context(), console, "\x00")
		h.refused(err, fault.NotFound, "no set-up link")
		for range 2 {
			l, err = h.Revoke(h.Context(), console, l.ID)
			h.must(err)
		}
		h.good(x.Token, false)
		_, err = h.Look(h.Context(), token)
		h.refused(err, fault.NotFound, "not good")
		list, err := h.List(h.Context(), console, "sunfix")
		h.must(err)
		if len(list) != 1 || list[0].RevokedBy != console.Actor {
			h.Errorf("%+v", list)
		}
		count := map[event.Type]int{}
		for _, e := range h.events() {
			count[e.Type]++
			if strings.HasPrefix(string(e.Type), "setup_link") && (e.Connection == nil || *e.Connection != "sunfix-hq" || e.Organization != "sunfix") {
				h.Errorf("%+v", e)
			}
		}
		if count[event.SetupLinkCreated] != 1 || count[event.SetupLinkOpened] != 1 || count[event.SetupLinkRevoked] != 1 {
			h.Error(count)
		}
	})
}

func TestALinkEndsWithWhatItStoodOn(t *testing.T) {
	for name, c := range map[string]struct {
		spec setups.Spec
		do   func(h *house, maker *admins.Administrator)
	}{
		"its maker was disabled": {staff, func(h *house, maker *admins.Administrator) {
			_, err := h.admins.Disable(h.Context(), console, maker.ID)
			h.must(err)
		}},
		"its maker was deleted": {staff, func(h *house, maker *admins.Administrator) {
			h.must(h.admins.Delete(h.Context(), console, maker.ID))
		}},
		"its maker only reads now": {staff, func(h *house, maker *admins.Administrator) {
			role := admins.Auditor
			_, err := h.admins.Update(h.Context(), console, maker.ID, admins.Patch{Role: &role})
			h.must(err)
		}},
		"its connection was deleted": {staff, func(h *house, _ *admins.Administrator) { h.exec(`DELETE FROM declarations`) }},
		"its alias went to somebody else": {staff, func(h *house, _ *admins.Administrator) {
			h.exec(`DELETE FROM declarations`)
			h.connect("sunfix-hq", "moonfix")
		}},
		"somebody else made the connection it was to make": {setups.Spec{Organization: "sunfix", Connection: "new", Kind: "ldap"}, func(h *house, _ *admins.Administrator) {
			h.connect("new", "sunfix")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(h *house) {
				maker, err := h.admins.Create(h.Context(), console, admins.Spec{Email: "eve@sunfix.com", Password: "winter kettle orbit", Role: admins.Manager, Organization: "sunfix"})
				h.must(err)
				token, _, err := h.Create(h.Context(), admins.As(maker), c.spec)
				h.must(err)
				x := h.enter(token)
				h.good(x.Token, true)
				c.do(h, maker)
				h.good(x.Token, false)
				_, _, err = h.Enter(h.Context(), token, from, "")
				h.refused(err, fault.NotFound, "not good")
			})
		})
	}
}

func TestALinkMakesItsConnectionOnce(t *testing.T) {
	both(t, func(h *house) {
		token, _, err := h.Create(h.Context(), console, setups.Spec{Organization: "sunfix", Connection: "new", Kind: "ldap", Life: 30 * 24 * time.Hour})
		h.must(err)
		x := h.enter(token)
		l := h.good(x.Token, true)
		if !l.MayMake() || l.Kind != "ldap" {
			h.Errorf("%+v", l)
		}
		h.connect("new", "sunfix")
		h.must(h.Made(h.Context(), l))
		h.refused(h.Made(h.Context(), l), fault.Conflict, "already")
		if l := h.good(x.Token, true); l.MayMake() {
			h.Error("it may make another one")
		}
		h.exec(`DELETE FROM declarations WHERE alias = 'new'`)
		h.good(x.Token, false)
	})
}

func TestLinksThatAreNotMade(t *testing.T) {
	both(t, func(h *house) {
		person := func(email string, role admins.Role, organization string) admins.By {
			a, err := h.admins.Create(h.Context(), console, admins.Spec{Email: email, Password: "winter kettle orbit", Role: role, Organization: organization})
			h.must(err)
			return admins.As(a)
		}
		auditor, moon := person("a@sunfix.com", admins.Auditor, "sunfix"), person("m@moonfix.com", admins.Manager, "moonfix")
		for name, c := range map[string]struct {
			by   admins.By
			spec setups.Spec
			kind fault.Kind
			says string
		}{
			"by an auditor":                         {auditor, staff, fault.Denied, "not yours"},
			"for another organization":              {moon, staff, fault.NotFound, "no organization"},
			"for another organization's connection": {moon, setups.Spec{Organization: "moonfix", Connection: "sunfix-hq"}, fault.NotFound, "no connection"},
			"for a connection there is not":         {console, setups.Spec{Organization: "sunfix", Connection: "nothing"}, fault.NotFound, "no connection"},
			"for an organization there is not":      {console, setups.Spec{Organization: "nowhere", Connection: "sunfix-hq"}, fault.NotFound, "no organization"},
			"for a new one of a taken alias":        {moon, setups.Spec{Organization: "moonfix", Connection: "sunfix-hq", Kind: "ldap"}, fault.Conflict, "is taken"},
			"for ever":                              {console, setups.Spec{Organization: "sunfix", Connection: "sunfix-hq", Life: 31 * 24 * time.Hour}, fault.Invalid, "30 days"},
			"for no time":                           {console, setups.Spec{Organization: "sunfix", Connection: "sunfix-hq", Life: -time.Hour}, fault.Invalid, "30 days"},
			"for nothing":                           {console, setups.Spec{Organization: "sunfix"}, fault.Invalid, "one connection"},
			"with a note nobody can show":           {console, setups.Spec{Organization: "sunfix", Connection: "sunfix-hq", Note: "a\x1b[2J"}, fault.Invalid, "cannot be shown"},
		} {
			if _, _, err := h.Create(h.Context(), c.by, c.spec); err == nil || fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				h.Errorf("%s: %v", name, err)
			}
		}
	})
}

// The sessions of a link are bounded; the oldest goes.
func TestALinkThatEverybodyHasKeepsTheLatestSessions(t *testing.T) {
	both(t, func(h *house) {
		token, _, err := h.Create(h.Context(), console, staff)
		h.must(err)
		first := h.enter(token)
		var last *setups.Session
		for range 20 {
			h.clock = h.clock.Add(time.Second)
			last = h.enter(token)
		}
		h.good(first.Token, false)
		h.good(last.Token, true)
	})
}
