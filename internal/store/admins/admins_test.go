package admins_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// house is an installation with two organizations and a clock that stands still.
// Its hashes are quick; how many were made is counted.
type house struct {
	*testing.T
	db     *db.DB
	ring   *seal.Ring
	clock  time.Time
	hashes atomic.Int64
	*admins.Admins
}

const password = "winter kettle orbit"

var (
	home    = netip.MustParseAddr("192.0.2.7")
	abroad  = netip.MustParseAddr("203.0.113.9")
	console = admins.By{Actor: "operator:anna"}
)

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	open := func(t *testing.T, dsn string) {
		t.Helper()
		d := databases.Open(t, dsn)
		h := &house{T: t, db: d, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), ring: &seal.Ring{Path: filepath.Join(t.TempDir(), "key")}}
		h.Admins = h.node()
		for _, id := range []string{"sunfix", "moonfix"} {
			h.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'x', 0)`, id)
		}
		fn(h)
		h.tellsNoSecret()
	}
	databases.Both(t, open)
}

// node is one more process on the same database.
func (h *house) node() *admins.Admins {
	return &admins.Admins{DB: h.db, Ring: h.ring, Now: func() time.Time { return h.clock },
		Hash: func(_ context.Context, plain string) (string, error) {
			return "quick:" + fmt.Sprintf("%x", []byte(plain)), nil
		},
		Verify: func(_ context.Context, plain, hash string) (bool, error) {
			h.hashes.Add(1)
			return hash == "quick:"+fmt.Sprintf("%x", []byte(plain)), nil
		}}
}

func (h *house) exec(query string, args ...any) {
	h.Helper()
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(h.Context(), query, args...)
		return err
	}))
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err, fault.HintOf(err))
	}
}

// refused expects an error of a kind.
func (h *house) refused(err error, kind fault.Kind, words string) {
	h.Helper()
	if err == nil || fault.KindOf(err) != kind || !strings.Contains(err.Error()+" "+fault.HintOf(err), words) {
		h.Errorf("got %v (kind %d), want kind %d about %q", err, fault.KindOf(err), kind, words)
	}
}

func (h *house) later(d time.Duration) { h.clock = h.clock.Add(d) }

func (h *house) make(email string, role admins.Role, organization string) *admins.Administrator {
	h.Helper()
	a, err := h.Create(h.Context(), console, admins.Spec{Email: email, Password: password, Role: role, Organization: organization})
	h.must(err)
	return a
}

func (h *house) enter(email string) *admins.Session {
	h.Helper()
	x, err := h.SignIn(h.Context(), email, password, "", home, "Firefox")
	h.must(err)
	return x
}

// good checks whether a token is one of a session.
func (h *house) good(token string, want bool) *admins.Administrator {
	h.Helper()
	_, a, err := h.Check(h.Context(), token)
	if (err == nil) != want {
		h.Errorf("the session is good: %v, want %v (%v)", err == nil, want, err)
	}
	if err != nil && fault.KindOf(err) != fault.Denied {
		h.Errorf("%v is of kind %d", err, fault.KindOf(err))
	}
	return a
}

func (h *house) events() (out []event.Event) {
	h.Helper()
	h.must((&events.Events{DB: h.db}).After(h.Context(), "", 0, 10_000, func(e event.Event) error {
		out = append(out, e)
		return nil
	}))
	return out
}

// count gives how many events of a type there are.
func (h *house) count(what event.Type) (n int) {
	h.Helper()
	for _, e := range h.events() {
		if e.Type == what {
			n++
		}
	}
	return n
}

func (h *house) tellsNoSecret() {
	h.Helper()
	for _, e := range h.events() {
		text, err := json.Marshal(e)
		h.must(err)
		for _, secret := range []string{password, "rs_", "rl_", "$argon2id$", "quick:", "otpauth"} {
			if strings.Contains(string(text), secret) {
				h.Errorf("an event holds %q: %s", secret, text)
			}
		}
	}
}

func TestTheFirstOperatorComesByALinkOnce(t *testing.T) {
	both(t, func(h *house) {
		one, err := h.FirstLink(h.Context())
		h.must(err)
		other, err := h.node().FirstLink(h.Context())
		h.must(err)
		if one == "" || one == other {
			t := h.T
			t.Fatal(one, other)
		}
		l, err := h.Link(h.Context(), one)
		h.must(err)
		if l.Kind != admins.First || l.Role != admins.Operator {
			h.Errorf("%+v", l)
		}
		_, err = h.Use(h.Context(), one, admins.Answer{Email: "eve@example.com", Password: "short"}, home, "")
		h.refused(err, fault.Invalid, "too short")
		// Two nodes, two links, one moment.
		type result struct {
			x   *admins.Session
			err error
		}
		done := make(chan result)
		for i, token := range []string{one, other} {
			node := h.node()
			go func() {
				x, err := node.Use(h.Context(), token, admins.Answer{Email: fmt.Sprintf("eve%d@example.com", i), Password: password}, home, "Firefox")
				done <- result{x, err}
			}()
		}
		var in []*admins.Session
		for range 2 {
			if r := <-done; r.err == nil {
				in = append(in, r.x)
			} else {
				h.refused(r.err, fault.NotFound, "not good any more")
			}
		}
		if len(in) != 1 {
			h.Fatalf("%d operators came of two links", len(in))
		}
		a := h.good(in[0].Token, true)
		if !a.Operates() || a.CreatedBy != "first start" {
			h.Errorf("%+v", a)
		}
		for _, token := range []string{one, other} {
			_, err := h.Use(h.Context(), token, admins.Answer{Email: "mallory@example.com", Password: password}, home, "")
			h.refused(err, fault.NotFound, "not good any more")
		}
		if again, err := h.FirstLink(h.Context()); again != "" || err != nil {
			h.Error("a first link although there is an operator", err)
		}
	})
}

func TestASessionLivesAsLongAsItIsMeantTo(t *testing.T) {
	both(t, func(h *house) {
		h.make("Eve@Example.com", admins.Operator, "")
		x := h.enter("eve@example.COM")
		h.good(x.Token, true)
		if y, a, err := h.Check(h.Context(), x.Token); err != nil || y.ID != x.ID || !y.MatchCSRF(x.CSRF) || y.MatchCSRF("") || a.Email != "Eve@Example.com" || y.Token != "" {
			h.Errorf("%+v %+v %v", y, a, err)
		}
		for _, bad := range []string{"", "rs_", x.ID, x.Token + "A", x.Token[:len(x.Token)-1], "rl_" + x.Token[3:], strings.ToUpper(x.Token), x.Token + "\x00"} {
			h.good(bad, false)
		}
		seen := func() time.Time {
			h.Helper()
			list, err := h.Sessions(h.Context(), console, x.Admin)
			h.must(err)
			if len(list) != 1 || list[0].Agent != "Firefox" || list[0].Address != home.String() {
				h.Fatalf("%+v", list)
			}
			return list[0].SeenAt
		}
		first := seen()
		h.later(59 * time.Second)
		h.good(x.Token, true)
		if !seen().Equal(first) {
			h.Error("the use was noted within the minute")
		}
		h.later(time.Second)
		h.good(x.Token, true)
		if !seen().Equal(h.clock) {
			h.Error("the use was not noted after a minute")
		}
		h.later(12*time.Hour - time.Second)
		h.good(x.Token, true)
		h.later(12 * time.Hour)
		h.good(x.Token, false)

		x = h.enter("eve@example.com")
		begun := h.clock
		for h.clock.Sub(begun) < 7*24*time.Hour {
			h.good(x.Token, true)
			h.later(11 * time.Hour)
		}
		h.good(x.Token, false)

		x = h.enter("eve@example.com")
		h.must(h.SignOut(h.Context(), x.Token))
		h.must(h.SignOut(h.Context(), x.Token))
		h.must(h.SignOut(h.Context(), "nonsense"))
		h.good(x.Token, false)
		if n := h.count(event.AdminSignedOut); n != 1 {
			h.Errorf("%d events of signing out", n)
		}
	})
}

func TestOneAnswerAndOneWorkForWhateverIsWrong(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		off := h.make("off@example.com", admins.Manager, "sunfix")
		_, err := h.Disable(h.Context(), console, off.ID)
		h.must(err)
		answers := map[string]bool{}
		for _, c := range []struct{ email, password string }{
			{"eve@example.com", "wrong"}, {"nobody@example.com", password}, {"off@example.com", password}, {"eve@example.com\x00", password}, {"\xff", password}, {strings.Repeat("x", 10_000), password}, {"", ""},
		} {
			before := h.hashes.Load()
			_, err := h.SignIn(h.Context(), c.email, c.password, "", abroad, "")
			h.refused(err, fault.Denied, "")
			answers[fmt.Sprint(err, fault.HintOf(err))] = true
			if n := h.hashes.Load() - before; n != 1 {
				h.Errorf("%q: %d hashes", c.email, n)
			}
		}
		if len(answers) != 1 {
			h.Error(answers)
		}
	})
}
