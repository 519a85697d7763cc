package agents_test

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
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/agents"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// house has two connections, "hq" of sun and "okta" of moon, and a clock that stands
// still; that of the database goes on.
type house struct {
	*testing.T
	db     *db.DB
	a      *agents.Agents
	clock  time.Time
	owners map[string]string
}

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	databases.Both(t, func(t *testing.T, dsn string) {
		h := &house{T: t, db: databases.Open(t, dsn), clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), owners: map[string]string{"hq": "sun", "okta": "moon"}}
		h.a = &agents.Agents{DB: h.db, Now: func() time.Time { return h.clock }, Known: func(_ context.Context, alias string) (string, error) {
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

func (h *house) kind(err error, want fault.Kind, words string) {
	h.Helper()
	if err == nil || fault.KindOf(err) != want || !strings.Contains(err.Error(), words) {
		h.Errorf("%v, want %v with %q", err, want, words)
	}
}

func (h *house) agent(name, connection string) (*agents.Agent, string) {
	h.Helper()
	a, secret, err := h.a.Create(h.Context(), "", name, connection, "apikey:x")
	h.must(err)
	return a, secret
}

// opens looks whether an agent gets in, and gives what its session holds.
func (h *house) opens(id, secret string, want bool, when string) agents.Ticket {
	h.Helper()
	a, err := h.a.Authenticate(h.Context(), id, secret)
	if want && err != nil || !want && fault.KindOf(err) != fault.Denied {
		h.Errorf("%s: %v, and it should open the door: %v", when, err, want)
	}
	if err != nil {
		return agents.Ticket{}
	}
	return a.Ticket()
}

func (h *house) good(t agents.Ticket, want bool, when string) {
	h.Helper()
	good, err := h.a.Good(h.Context(), agents.Ticket{ID: "agt_none", Secret: 1}, t)
	h.must(err)
	if good[t] != want || good[agents.Ticket{ID: "agt_none", Secret: 1}] {
		h.Errorf("%s: %v may stay connected: %v, want %v", when, t, good[t], want)
	}
}

func (h *house) types() (out []event.Type) {
	h.Helper()
	h.must(events.Read(h.Context(), h.db.Reader(), 0, 1000, func(e event.Event) error {
		if e.Connection == nil || strings.Contains(string(e.After), "rcg_") {
			h.Errorf("the event %+v", e)
		}
		out = append(out, e.Type)
		return nil
	}))
	return out
}

func (h *house) told(want ...event.Type) {
	h.Helper()
	if got := h.types(); !slices.Equal(got, want) {
		h.Errorf("told: %v, want %v", got, want)
	}
}

// later lets time pass for what the database keeps by its own clock.
func (h *house) later(d time.Duration) {
	h.Helper()
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		if _, err := tx.Exec(h.Context(), `UPDATE agent_presences SET since = since - $1, seen_at = seen_at - $2`, d.Microseconds(), d.Microseconds()); err != nil {
			return err
		}
		_, err := tx.Exec(h.Context(), `UPDATE agents SET told_at = told_at - $1`, d.Microseconds())
		return err
	}))
}

func TestASecretOpensTheDoorOfItsAgentAlone(t *testing.T) {
	both(t, func(h *house) {
		a, secret := h.agent("  dc1 ", "hq")
		other, _ := h.agent("dc1", "okta")
		if len(secret) != 47 || !strings.HasPrefix(secret, "rcg_") || !strings.HasPrefix(a.ID, "agt_") || a.Name != "dc1" || a.Organization != "sun" || a.CreatedBy != "apikey:x" {
			h.Errorf("made %+v", a)
		}
		h.opens(a.ID, secret, true, "new")
		for _, no := range [][2]string{{a.ID, ""}, {a.ID, secret[:46]}, {a.ID, secret + "x"}, {other.ID, secret}, {"", secret}, {"agt_none", secret}, {"", ""}, {a.ID + "' OR '1'='1", secret}} {
			h.opens(no[0], no[1], false, strings.Join(no[:], ":"))
		}
		h.owners["hq"] = "moon"
		h.opens(a.ID, secret, false, "the connection is another organization's now")
		if list, err := h.a.Of(h.Context(), "hq"); err != nil || len(list) != 0 {
			h.Errorf("the next owner has %v %v", list, err)
		}
		delete(h.owners, "hq")
		h.opens(a.ID, secret, false, "the connection is not there any more")
		_, err := h.a.Of(h.Context(), "hq")
		h.kind(err, fault.NotFound, "hq")
		var kept int
		h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT count(*) FROM agents WHERE name LIKE '%rcg_%' OR CAST(hash AS text) LIKE '%rcg_%'`).Scan(&kept))
		if kept != 0 {
			h.Error("a secret is in the table")
		}
	})
}

func TestNamesThatHelpNobodyAreRefused(t *testing.T) {
	both(t, func(h *house) {
		h.agent("dc1", "hq")
		for name, want := range map[string]fault.Kind{"": fault.Invalid, "  ": fault.Invalid, "a\nb": fault.Invalid, "\xff": fault.Invalid, strings.Repeat("x", 101): fault.Invalid, "dc1": fault.Conflict} {
			_, _, err := h.a.Create(h.Context(), "", name, "hq", "x")
			h.kind(err, want, "")
		}
		_, _, err := h.a.Create(h.Context(), "", "dc2", "nobody", "x")
		h.kind(err, fault.NotFound, "nobody")
		h.told(event.AgentCreated)
	})
}

func TestAConnectionHasTwentyAgentsAtMost(t *testing.T) {
	both(t, func(h *house) {
		var all sync.WaitGroup
		made := make(chan string, agents.MostAgents+5)
		for i := range cap(made) {
			all.Go(func() {
				a, _, err := h.a.Create(h.Context(), "", fmt.Sprintf("dc%d", i), "hq", "x")
				if err == nil {
					made <- a.ID
				} else {
					h.kind(err, fault.Conflict, "20 agents")
				}
			})
		}
		all.Wait()
		if len(made) != agents.MostAgents {
			h.Fatalf("%d were made at the same time", len(made))
		}
		h.agent("dc", "okta")
		for range agents.MostAgents { // every one that is revoked makes room
			h.clock = h.clock.Add(time.Second)
			_, err := h.a.Revoke(h.Context(), "", <-made, "x")
			h.must(err)
		}
		for range 5 {
			a, _ := h.agent("again", "hq")
			h.clock = h.clock.Add(time.Second)
			_, err := h.a.Revoke(h.Context(), "", a.ID, "x")
			h.must(err)
		}
		if list, err := h.a.List(h.Context(), "", agents.Filter{Connection: "hq"}, "", 1000); err != nil || len(list) != 20 {
			h.Errorf("%d revoked ones are shown, %v", len(list), err)
		}
	})
}

func TestAnotherOrganizationsAgentsAreNotThere(t *testing.T) {
	both(t, func(h *house) {
		a, secret := h.agent("dc1", "hq")
		for what, fn := range map[string]func() error{
			"get":    func() error { _, err := h.a.Get(h.Context(), "moon", a.ID); return err },
			"rotate": func() error { _, _, err := h.a.Rotate(h.Context(), "moon", a.ID, 0, "x"); return err },
			"revoke": func() error { _, err := h.a.Revoke(h.Context(), "moon", a.ID, "x"); return err },
			"create": func() error { _, _, err := h.a.Create(h.Context(), "moon", "dc2", "hq", "x"); return err },
		} {
			if err := fn(); fault.KindOf(err) != fault.NotFound {
				h.Errorf("%s: %v", what, err)
			}
		}
		for _, f := range []agents.Filter{{}, {Connection: "hq"}, {Organization: "sun"}} {
			if list, err := h.a.List(h.Context(), "moon", f, "", 100); err != nil || len(list) != 0 {
				h.Errorf("%+v lists %v %v", f, list, err)
			}
		}
		h.opens(a.ID, secret, true, "after all that")
		h.told(event.AgentCreated)
	})
}

func TestAListGoesOnBehindItsLastOne(t *testing.T) {
	both(t, func(h *house) {
		for i := range 5 {
			h.agent(fmt.Sprintf("dc%d", i), "hq")
		}
		h.agent("other", "okta")
		var got []string
		for after := ""; ; {
			page, err := h.a.List(h.Context(), "", agents.Filter{Organization: "sun"}, after, 2)
			h.must(err)
			if len(page) == 0 {
				break
			}
			for _, a := range page {
				got = append(got, a.Name)
			}
			after = page[len(page)-1].ID
		}
		slices.Sort(got)
		if want := []string{"dc0", "dc1", "dc2", "dc3", "dc4"}; !slices.Equal(got, want) {
			h.Errorf("listed: %v", got)
		}
	})
}

func TestAnotherSecretEndsTheOneBefore(t *testing.T) {
	both(t, func(h *house) {
		a, one := h.agent("dc1", "hq")
		first := h.opens(a.ID, one, true, "the first")
		h.good(first, true, "the first")
		rotated, two, err := h.a.Rotate(h.Context(), "sun", a.ID, 0, "apikey:y")
		h.must(err)
		if !rotated.RotatedAt.Equal(h.clock) || !rotated.OldUntil.IsZero() {
			h.Errorf("rotated: %+v", rotated)
		}
		h.opens(a.ID, one, false, "the first, replaced at once")
		h.good(first, false, "a session of the first, replaced at once")
		second := h.opens(a.ID, two, true, "the second")
		h.good(second, true, "the second")

		_, three, err := h.a.Rotate(h.Context(), "", a.ID, time.Hour, "apikey:y")
		h.must(err)
		if again := h.opens(a.ID, two, true, "the second, during the overlap"); again != second {
			h.Errorf("the second is %v and was %v", again, second)
		}
		h.good(second, true, "a session of the second, during the overlap")
		h.good(first, false, "a session of the first, two secrets later")
		third := h.opens(a.ID, three, true, "the third")
		h.clock = h.clock.Add(time.Hour)
		h.opens(a.ID, two, false, "the second, after the overlap")
		h.good(second, false, "a session of the second, after the overlap")
		h.good(third, true, "the third, after the overlap")
		h.told(event.AgentCreated, event.AgentRotated, event.AgentRotated)
	})
}

func TestRevokingIsForGoodAndCutsAtOnce(t *testing.T) {
	both(t, func(h *house) {
		a, one := h.agent("dc1", "hq")
		_, two, err := h.a.Rotate(h.Context(), "", a.ID, time.Hour, "x")
		h.must(err)
		ticket := h.opens(a.ID, two, true, "valid")
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1"}, "ldap", &setting.Policy{}))
		for range 2 {
			gone, err := h.a.Revoke(h.Context(), "sun", a.ID, "apikey:y")
			h.must(err)
			if gone.RevokedBy != "apikey:y" || !gone.RevokedAt.Equal(h.clock) || gone.Connected() {
				h.Errorf("revoked: %+v", gone)
			}
		}
		h.opens(a.ID, one, false, "the old secret")
		h.opens(a.ID, two, false, "the new secret")
		h.good(ticket, false, "revoked")
		h.kind(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1"}, "", nil), fault.Denied, "revoked")
		h.must(h.a.Gone(h.Context(), a.ID, "n1"))
		_, _, err = h.a.Rotate(h.Context(), "", a.ID, 0, "x")
		h.kind(err, fault.Conflict, "revoked")
		if list, err := h.a.Of(h.Context(), "hq"); err != nil || len(list) != 1 || list[0].RevokedAt.IsZero() {
			h.Errorf("the connection has %v %v", list, err)
		}
		h.agent("dc1", "hq") // its name is free again
		h.told(event.AgentCreated, event.AgentRotated, event.AgentConnected, event.AgentRevoked, event.AgentCreated)
	})
}

func TestARevokedAgentIsForgotten(t *testing.T) {
	both(t, func(h *house) {
		a, secret := h.agent("dc1", "hq")
		_, err := h.a.Forget(h.Context(), "sun", a.ID, "apikey:y")
		h.kind(err, fault.Conflict, "is not revoked")
		h.opens(a.ID, secret, true, "one that was not forgotten")
		_, err = h.a.Revoke(h.Context(), "sun", a.ID, "apikey:y")
		h.must(err)
		_, err = h.a.Forget(h.Context(), "moon", a.ID, "apikey:z")
		h.kind(err, fault.NotFound, "there is no agent")
		gone, err := h.a.Forget(h.Context(), "sun", a.ID, "apikey:y")
		h.must(err)
		if gone.ID != a.ID {
			h.Errorf("forgot %v", gone)
		}
		if list, err := h.a.Of(h.Context(), "hq"); err != nil || len(list) != 0 {
			h.Errorf("the connection has %v %v", list, err)
		}
		_, err = h.a.Forget(h.Context(), "sun", a.ID, "apikey:y")
		h.kind(err, fault.NotFound, "there is no agent")
		h.opens(a.ID, secret, false, "forgotten")
		h.told(event.AgentCreated, event.AgentRevoked, event.AgentForgotten)
	})
}

func TestAConnectionThatIsTakenAwayEndsItsAgents(t *testing.T) {
	both(t, func(h *house) {
		a, secret := h.agent("dc1", "hq")
		b, _ := h.agent("dc2", "hq")
		_, kept := h.agent("dc1", "okta")
		_, err := h.a.Revoke(h.Context(), "", b.ID, "x")
		h.must(err)
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error { return agents.ForgetAll(h.Context(), tx, "hq", "apikey:x", h.clock) }))
		h.opens(a.ID, secret, false, "of a connection that was deleted")
		h.opens(a.ID, kept, false, "with another one's secret")
		_, err = h.a.Get(h.Context(), "", a.ID)
		h.kind(err, fault.NotFound, a.ID)
		if list, err := h.a.List(h.Context(), "", agents.Filter{}, "", 10); err != nil || len(list) != 1 || list[0].Connection != "okta" {
			h.Errorf("left: %v %v", list, err)
		}
		h.told(event.AgentCreated, event.AgentCreated, event.AgentCreated, event.AgentRevoked, event.AgentRevoked)
	})
}

func TestWhatAnAgentReportsIsKeptAndItsConnectionsAreShown(t *testing.T) {
	both(t, func(h *house) {
		a, _ := h.agent("dc1", "hq")
		policy := setting.Policy{NoDelete: true, PurgeAfter: time.Hour}
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1", Address: "192.0.2.7", Version: "1.2.3", Latency: 1500 * time.Microsecond}, "ldap", &policy))
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n2", Address: "192.0.2.7", Version: "1.2.3"}, "ldap", &policy))
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1", Address: "192.0.2.8\n", Version: "1.2.4", Latency: time.Second, Problem: "the directory\x00 is away\xff" + strings.Repeat("x", 5000)}, "", nil))
		got, err := h.a.Get(h.Context(), "sun", a.ID)
		h.must(err)
		if got.Kind != "ldap" || *got.Policy != policy || got.Version != "1.2.4" || len(got.Seen) != 2 || time.Since(got.SeenAt) > time.Hour {
			h.Fatalf("reported: %+v", got)
		}
		one := got.Seen[0]
		if one.Node != "n1" || one.Address != "192.0.2.8 " || one.Latency != time.Second || !strings.HasPrefix(one.Problem, "the directory  is away") || len(one.Problem) > 510 || one.SeenAt.Before(one.Since) {
			h.Errorf("connected: %+v", one)
		}
		list, err := h.a.Of(h.Context(), "hq")
		h.must(err)
		if len(list) != 1 || len(list[0].Seen) != 2 {
			h.Errorf("listed: %+v", list)
		}
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1"}, "", &setting.Policy{}))
		if got, err = h.a.Get(h.Context(), "", a.ID); err != nil || got.Kind != "" || *got.Policy != (setting.Policy{}) {
			h.Errorf("after its file changed: %+v %v", got, err)
		}
		h.must(h.a.Gone(h.Context(), a.ID, "n1"))
		h.told(event.AgentCreated, event.AgentConnected)
		h.must(h.a.Gone(h.Context(), a.ID, "n2"))
		h.must(h.a.Gone(h.Context(), a.ID, "n2"))
		h.told(event.AgentCreated, event.AgentConnected, event.AgentDisconnected)
		if got, err = h.a.Get(h.Context(), "", a.ID); err != nil || got.Connected() || got.SeenAt.IsZero() {
			h.Errorf("gone: %+v %v", got, err)
		}
	})
}

// Two nodes see an agent come and go at the same time, and neither waits for the other:
// PostgreSQL would end one of them.
func TestAnAgentComesAndGoesAtTheSameTime(t *testing.T) {
	both(t, func(h *house) {
		a, _ := h.agent("dc1", "hq")
		var all sync.WaitGroup
		for _, node := range []string{"n1", "n1", "n2"} {
			all.Go(func() {
				for range 100 {
					for _, err := range []error{h.a.Report(h.Context(), a.ID, agents.Presence{Node: node}, "", nil), h.a.Gone(h.Context(), a.ID, node)} {
						if err != nil {
							h.Error(err)
							return
						}
					}
				}
			})
		}
		all.Wait()
		if got, err := h.a.Get(h.Context(), "", a.ID); err != nil || got.Connected() {
			h.Errorf("in the end: %+v %v", got, err)
		}
	})
}

func TestANodeThatEndsWithoutAWordIsForgotten(t *testing.T) {
	both(t, func(h *house) {
		a, _ := h.agent("dc1", "hq")
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1"}, "", nil))
		h.later(agents.Silence - 5*time.Second)
		h.must(h.a.Sweep(h.Context()))
		if got, err := h.a.Get(h.Context(), "", a.ID); err != nil || !got.Connected() {
			h.Errorf("before the end of the silence: %+v %v", got, err)
		}
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n2"}, "", nil))
		h.later(6 * time.Second)
		h.must(h.a.Sweep(h.Context()))
		if got, err := h.a.Get(h.Context(), "", a.ID); err != nil || len(got.Seen) != 1 || got.Seen[0].Node != "n2" {
			h.Errorf("one node was lost: %+v %v", got, err)
		}
		h.told(event.AgentCreated, event.AgentConnected)
		h.later(agents.Silence)
		h.must(h.a.Sweep(h.Context()))
		h.must(h.a.Sweep(h.Context()))
		h.told(event.AgentCreated, event.AgentConnected, event.AgentDisconnected)
	})
}

func TestAnAgentThatComesAndGoesIsToldOfOnceAMinute(t *testing.T) {
	both(t, func(h *house) {
		a, _ := h.agent("dc1", "hq")
		for range 20 {
			h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1"}, "", nil))
			h.must(h.a.Gone(h.Context(), a.ID, "n1"))
		}
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1"}, "", nil))
		h.told(event.AgentCreated, event.AgentConnected, event.AgentDisconnected)
		h.later(agents.ToldEvery)
		h.must(h.a.Report(h.Context(), a.ID, agents.Presence{Node: "n1"}, "", nil)) // the next heart-beat tells that it stayed
		h.told(event.AgentCreated, event.AgentConnected, event.AgentDisconnected, event.AgentConnected)
	})
}

func TestNoAgentLoosensAnything(t *testing.T) {
	server := setting.Policy{NoDelete: true, PurgeAfter: time.Hour}
	list := []agents.Agent{{}, {Policy: &setting.Policy{DryRun: true, PurgeAfter: time.Second}}, {Policy: &setting.Policy{NoCreate: true}, RevokedAt: time.Now()}, {Policy: &setting.Policy{}}}
	if got, want := agents.Effective(server, list), (setting.Policy{NoDelete: true, DryRun: true, PurgeAfter: time.Hour}); got != want {
		t.Errorf("in effect: %+v, want %+v", got, want)
	}
}
