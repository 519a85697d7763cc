package pushers_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/notices"
	"rollcall.dev/rollcall/internal/store/pushers"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// house has two connections that take pushes, "entra" of sun and "okta" of moon, and
// a clock that stands still.
type house struct {
	*testing.T
	db     *db.DB
	p      *pushers.Pushers
	clock  time.Time
	owners map[string]string
}

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	databases.Both(t, func(t *testing.T, dsn string) {
		h := &house{T: t, db: databases.Open(t, dsn), clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), owners: map[string]string{"entra": "sun", "okta": "moon"}}
		h.p = &pushers.Pushers{DB: h.db, Now: func() time.Time { return h.clock }, Known: func(_ context.Context, alias string) (string, error) {
			if o := h.owners[alias]; o != "" {
				return o, nil
			}
			return "", fault.New(fault.NotFound, "there is no connection %q", alias)
		}}
		fn(h)
	})
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) token(connection string) (pushers.Token, string) {
	h.Helper()
	t, secret, err := h.p.Create(h.Context(), connection, "Entra ID", nil, "apikey:x")
	h.must(err)
	return t, secret
}

func (h *house) opens(connection, secret string, want bool, when string) {
	h.Helper()
	_, err := h.p.Authenticate(h.Context(), connection, secret)
	if want && err != nil || !want && fault.KindOf(err) != fault.Denied {
		h.Errorf("%s: %v, and it should open the door: %v", when, err, want)
	}
}

func (h *house) kind(err error, want fault.Kind, words string) {
	h.Helper()
	if err == nil || fault.KindOf(err) != want || !strings.Contains(err.Error(), words) {
		h.Errorf("%v, want %v with %q", err, want, words)
	}
}

func (h *house) types() (out []event.Type) {
	h.Helper()
	h.must(events.Read(h.Context(), h.db.Reader(), 0, 1000, func(e event.Event) error {
		if e.Connection == nil || e.Organization != h.owners[*e.Connection] || strings.Contains(string(e.After), "hash") {
			h.Errorf("the event %+v", e)
		}
		out = append(out, e.Type)
		return nil
	}))
	return out
}

func (h *house) expiries() (out []string) {
	h.Helper()
	rows, err := h.db.Reader().QueryContext(h.Context(), `SELECT connection || ' ' || organization || ' ' || substr(name, 1, 10) FROM expiries ORDER BY 1`)
	h.must(err)
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		var s string
		h.must(rows.Scan(&s))
		out = append(out, s)
	}
	h.must(rows.Err())
	return out
}

func TestATokenOpensTheDoorOfItsConnectionUntilItEnds(t *testing.T) {
	both(t, func(h *house) {
		made, secret := h.token("entra")
		if len(secret) != 47 || !strings.HasPrefix(secret, "rcp_") || made.ID != secret[:16] || !made.ExpiresAt.Equal(h.clock.Add(pushers.Life)) || made.Organization != "sun" {
			t := h.T
			t.Errorf("made %+v", made)
		}
		got, err := h.p.Authenticate(h.Context(), "entra", secret)
		h.must(err)
		if got.ID != made.ID || got.Organization != "sun" || !got.LastUsedAt.Equal(h.clock) {
			h.Errorf("it is %+v", got)
		}
		h.opens("okta", secret, false, "another connection's door")
		h.opens("entra", secret[:46]+"x", false, "another secret that begins alike")
		for _, no := range []string{"", "rcp_", secret + "x", secret[:46], strings.Repeat("x", 47), "rk_" + strings.Repeat("0", 44), "rca_" + secret[4:], "rco_" + secret[4:]} {
			h.opens("entra", no, false, no)
		}
		h.clock = made.ExpiresAt.Add(-time.Microsecond)
		h.opens("entra", secret, true, "at the last moment")
		h.clock = made.ExpiresAt
		h.opens("entra", secret, false, "after it")
		_, never, err := h.p.Create(h.Context(), "entra", "", pushers.Never(), "x")
		h.must(err)
		h.clock = h.clock.AddDate(50, 0, 0)
		h.opens("entra", never, true, "one that never ends")
		past := h.clock.Add(-time.Second)
		_, _, err = h.p.Create(h.Context(), "entra", "", &past, "x")
		h.kind(err, fault.Invalid, "would never work")
		_, _, err = h.p.Create(h.Context(), "entra", "a\nb", nil, "x")
		h.kind(err, fault.Invalid, "cannot be shown")
		_, _, err = h.p.Create(h.Context(), "nobody", "", nil, "x")
		h.kind(err, fault.NotFound, "nobody")
	})
}

func TestRevokingCutsAtOnceAndIsTold(t *testing.T) {
	both(t, func(h *house) {
		made, secret := h.token("entra")
		h.opens("entra", secret, true, "new")
		_, err := h.p.Revoke(h.Context(), "okta", made.ID, "x")
		h.kind(err, fault.NotFound, made.ID)
		h.opens("entra", secret, true, "after another tenant tried to revoke it")
		for range 2 {
			gone, err := h.p.Revoke(h.Context(), "entra", made.ID, "apikey:y")
			h.must(err)
			if gone.RevokedBy != "apikey:y" || !gone.RevokedAt.Equal(h.clock) {
				h.Errorf("revoked: %+v", gone)
			}
		}
		h.opens("entra", secret, false, "revoked")
		if got := h.types(); !slices.Equal(got, []event.Type{event.ConnectionTokenCreated, event.ConnectionTokenRevoked}) {
			h.Errorf("told: %v", got)
		}
		list, err := h.p.List(h.Context(), "entra")
		h.must(err)
		if len(list) != 1 || list[0].Valid(h.clock) {
			h.Errorf("listed: %+v", list)
		}
	})
}

func TestTwoTokensAreValidAtATimeAndAThirdIsRefused(t *testing.T) {
	both(t, func(h *house) {
		var all sync.WaitGroup
		made := make(chan string, 8)
		for range cap(made) {
			all.Go(func() {
				_, secret, err := h.p.Create(h.Context(), "entra", "", nil, "x")
				if err == nil {
					made <- secret
				} else {
					h.kind(err, fault.Conflict, "2 valid tokens")
				}
			})
		}
		all.Wait()
		if len(made) != 2 {
			h.Fatalf("%d were made at the same time", len(made))
		}
		_, _, err := h.p.CreateOAuth(h.Context(), "entra", "", nil, "x")
		h.must(err) // of another kind there is room
	})
}

func TestOfThreeTokensTheOldestEndsAtOnce(t *testing.T) {
	both(t, func(h *house) {
		oldest, one := h.token("entra")
		h.clock = h.clock.Add(time.Minute)
		_, two := h.token("entra")
		h.clock = h.clock.Add(time.Minute)
		_, three, err := h.p.Rotate(h.Context(), "entra", pushers.Bearer, time.Hour, "x")
		h.must(err)
		h.opens("entra", one, false, "the oldest of three")
		h.opens("entra", two, true, "the one that was replaced")
		h.opens("entra", three, true, "the new one")
		if got := h.types(); !slices.Equal(got[2:], []event.Type{event.ConnectionTokenRevoked, event.ConnectionTokenRotated}) {
			h.Errorf("told: %v", got)
		}
		list, err := h.p.List(h.Context(), "entra")
		h.must(err)
		if last := list[len(list)-1]; last.ID != oldest.ID || last.RevokedBy != "x" {
			h.Errorf("the oldest is %+v", last)
		}
	})
}

func TestARotatedTokenEndsAfterTheOverlap(t *testing.T) {
	both(t, func(h *house) {
		_, _, err := h.p.Rotate(h.Context(), "entra", pushers.Bearer, time.Hour, "x")
		h.kind(err, fault.Conflict, "no valid token to rotate")
		first, one := h.token("entra")
		if got := h.expiries(); !slices.Equal(got, []string{"entra sun SCIM token"}) {
			h.Errorf("what runs out: %v", got)
		}
		second, two, err := h.p.Rotate(h.Context(), "entra", pushers.Bearer, time.Hour, "x")
		h.must(err)
		if second.Name != first.Name || !second.ExpiresAt.Equal(h.clock.Add(pushers.Life)) {
			h.Errorf("the next one is %+v", second)
		}
		h.opens("entra", one, true, "during the overlap")
		h.opens("entra", two, true, "the new one")
		if got := h.expiries(); len(got) != 1 {
			h.Errorf("people are told of one that was replaced: %v", got)
		}
		h.clock = h.clock.Add(time.Hour)
		h.opens("entra", one, false, "after the overlap")
		h.opens("entra", two, true, "the new one, after the overlap")
		_, three, err := h.p.Rotate(h.Context(), "entra", pushers.Bearer, 0, "x")
		h.must(err)
		h.opens("entra", two, false, "without an overlap")
		h.opens("entra", three, true, "the third")
		if got := h.types(); !slices.Equal(got, []event.Type{event.ConnectionTokenCreated, event.ConnectionTokenRotated, event.ConnectionTokenRotated}) {
			h.Errorf("told: %v", got)
		}
	})
}

func TestAClientGetsAccessTokensThatEndWithItsSecret(t *testing.T) {
	both(t, func(h *house) {
		made, secret, err := h.p.CreateOAuth(h.Context(), "entra", "", nil, "x")
		h.must(err)
		h.opens("entra", secret, false, "the secret itself")
		access, life, err := h.p.Exchange(h.Context(), "entra", made.ClientID, secret)
		h.must(err)
		if life != time.Hour || !strings.HasPrefix(access, "rca_") {
			h.Errorf("%s for %s", access, life)
		}
		h.opens("entra", access, true, "an access token")
		h.opens("okta", access, false, "an access token elsewhere")
		for what, try := range map[string][3]string{
			"another connection": {"okta", made.ClientID, secret}, "another ID": {"entra", "rcc_other", secret}, "no ID": {"entra", "", secret},
			"another secret": {"entra", made.ClientID, secret[:46] + "!"}, "no secret": {"entra", made.ClientID, ""},
		} {
			if _, _, err := h.p.Exchange(h.Context(), try[0], try[1], try[2]); fault.KindOf(err) != fault.Denied {
				h.Errorf("%s: %v", what, err)
			}
		}
		next, other, err := h.p.Rotate(h.Context(), "entra", pushers.OAuth, 10*time.Minute, "x")
		h.must(err)
		if next.ClientID != made.ClientID {
			h.Errorf("the client's ID changed from %s to %s", made.ClientID, next.ClientID)
		}
		short, life, err := h.p.Exchange(h.Context(), "entra", made.ClientID, secret)
		h.must(err)
		if life != 10*time.Minute {
			h.Errorf("an access token for a secret with ten minutes left lives %s", life)
		}
		long, _, err := h.p.Exchange(h.Context(), "entra", made.ClientID, other)
		h.must(err)
		h.clock = h.clock.Add(10 * time.Minute)
		h.opens("entra", access, false, "an access token whose secret ran out")
		h.opens("entra", short, false, "the short one")
		h.opens("entra", long, true, "one of the new secret")
		_, err = h.p.Revoke(h.Context(), "entra", next.ID, "x")
		h.must(err)
		h.opens("entra", long, false, "one of a revoked secret")
		if _, _, err := h.p.Exchange(h.Context(), "entra", made.ClientID, other); fault.KindOf(err) != fault.Denied {
			h.Errorf("a revoked secret: %v", err)
		}
	})
}

func TestOfAccessTokensTheLastHundredAreKept(t *testing.T) {
	both(t, func(h *house) {
		made, secret, err := h.p.CreateOAuth(h.Context(), "entra", "", nil, "x")
		h.must(err)
		var all []string
		for range 103 {
			h.clock = h.clock.Add(time.Second)
			access, _, err := h.p.Exchange(h.Context(), "entra", made.ClientID, secret)
			h.must(err)
			all = append(all, access)
		}
		for i, access := range all {
			h.opens("entra", access, i >= 3, fmt.Sprintf("access token %d of %d", i+1, len(all)))
		}
	})
}

// Whoever gets an alias that another organization had before gets nothing of theirs.
func TestTokensAndLogDoNotPassToAnotherOrganization(t *testing.T) {
	both(t, func(h *house) {
		_, secret := h.token("entra")
		made, _, err := h.p.CreateOAuth(h.Context(), "entra", "", nil, "x")
		h.must(err)
		h.p.Log("entra", pushers.Exchange{Method: "GET", Path: "/Users"})
		h.must(h.p.Flush(h.Context()))
		h.owners["entra"] = "moon"
		after, _, err := h.p.CreateOAuth(h.Context(), "entra", "", nil, "x")
		h.must(err)
		h.opens("entra", secret, false, "the one before's")
		if after.ClientID == made.ClientID {
			h.Error("the client's ID is the one before's")
		}
		list, err := h.p.List(h.Context(), "entra")
		h.must(err)
		log, err := h.p.Exchanges(h.Context(), "entra", pushers.Filter{}, 0, 10)
		h.must(err)
		if len(list) != 1 || len(log) != 0 {
			h.Errorf("%d tokens, %d requests", len(list), len(log))
		}
	})
}

func TestAConnectionThatIsTakenAwayLeavesNothing(t *testing.T) {
	both(t, func(h *house) {
		_, secret := h.token("entra")
		h.token("okta")
		h.p.Log("entra", pushers.Exchange{Method: "GET"})
		h.must(h.p.Flush(h.Context()))
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error { return pushers.Forget(h.Context(), tx, "entra") }))
		h.opens("entra", secret, false, "forgotten")
		if got := h.expiries(); !slices.Equal(got, []string{"okta moon SCIM token"}) {
			h.Errorf("what runs out: %v", got)
		}
		delete(h.owners, "entra")
		h.p.Log("entra", pushers.Exchange{Method: "GET"}) // one that was under way
		h.must(h.p.Flush(h.Context()))
		var left int
		h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT count(*) FROM pushers WHERE connection = 'entra'`).Scan(&left))
		if left != 0 {
			h.Error("a request that was under way brought it back")
		}
	})
}

func TestPeopleAreToldAheadThatATokenRunsOut(t *testing.T) {
	both(t, func(h *house) {
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(h.Context(), `INSERT INTO organizations (id, name, created_at) VALUES ('sun', 'Sun', 0)`)
			return err
		}))
		made, _ := h.token("entra")
		told := &notices.Notices{DB: h.db, Now: func() time.Time { return h.clock }}
		open := func() (n int) {
			h.must(told.Count(h.Context()))
			h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT count(*) FROM notices WHERE connection = 'entra' AND ended_at = 0`).Scan(&n))
			return n
		}
		if open() != 0 {
			h.Error("a year ahead")
		}
		h.clock = made.ExpiresAt.AddDate(0, 0, -20)
		// A run notes what it knows, and that is nothing of tokens.
		h.must(told.Expires(h.Context(), "sun", "entra", map[string]time.Time{"credential": h.clock.AddDate(1, 0, 0)}, nil, false))
		h.must(told.Expires(h.Context(), "sun", "entra", nil, nil, false))
		if open() != 1 {
			h.Error("twenty days ahead nobody was told")
		}
		_, _, err := h.p.Rotate(h.Context(), "entra", pushers.Bearer, time.Hour, "x")
		h.must(err)
		if open() != 0 {
			h.Error("the notice of a token that was rotated is still open")
		}
	})
}

func TestOfATokenThatTheClientLeftNobodyIsTold(t *testing.T) {
	both(t, func(h *house) {
		_, one := h.token("entra")
		h.opens("entra", one, true, "the first")
		h.clock = h.clock.AddDate(0, 11, 0)
		h.opens("entra", one, true, "the first, later")
		_, two := h.token("entra")
		if got := h.expiries(); len(got) != 2 {
			h.Errorf("before the client changed over: %v", got)
		}
		h.clock = h.clock.Add(time.Hour)
		h.opens("entra", two, true, "the second")
		if got := h.expiries(); len(got) != 1 {
			h.Errorf("after it did: %v", got)
		}
	})
}

func TestLastUseIsWrittenOnceAMinute(t *testing.T) {
	both(t, func(h *house) {
		_, secret := h.token("entra")
		begin := h.clock
		for _, c := range []struct {
			after, seen time.Duration
		}{{0, 0}, {59 * time.Second, 0}, {time.Minute, time.Minute}, {90 * time.Second, time.Minute}} {
			h.clock = begin.Add(c.after)
			h.opens("entra", secret, true, c.after.String())
			list, err := h.p.List(h.Context(), "entra")
			h.must(err)
			if !list[0].LastUsedAt.Equal(begin.Add(c.seen)) {
				h.Errorf("after %s: last used %s", c.after, list[0].LastUsedAt)
			}
		}
	})
}
