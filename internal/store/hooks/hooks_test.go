package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
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
	"rollcall.dev/rollcall/internal/store/hooks"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// house is an installation with two organizations and a clock that stands still.
type house struct {
	*testing.T
	db    *db.DB
	hooks *hooks.Hooks
	clock time.Time
}

// sealer turns a secret round: what is sealed for one purpose does not open for
// another.
type sealer struct{}

func (sealer) Newest([]byte) (bool, error) { return true, nil }

func (sealer) Seal(purpose string, plain []byte) ([]byte, error) {
	b := append([]byte(purpose+"|"), plain...)
	slices.Reverse(b)
	return b, nil
}

func (sealer) Open(purpose string, sealed []byte) ([]byte, error) {
	b := slices.Clone(sealed)
	slices.Reverse(b)
	plain, ok := strings.CutPrefix(string(b), purpose+"|")
	if !ok {
		return nil, errors.New("it was sealed for something else")
	}
	return []byte(plain), nil
}

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	open := func(t *testing.T, dsn string) {
		d := databases.Open(t, dsn)
		h := &house{T: t, db: d, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		h.hooks = &hooks.Hooks{DB: d, Sealer: sealer{}, Now: func() time.Time { return h.clock }}
		for _, id := range []string{"sunfix", "moonfix"} {
			h.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, 'x', 0)`, id)
		}
		fn(h)
	}
	databases.Both(t, func(t *testing.T, dsn string) {
		open(t, dsn)
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

func (h *house) tell(organization string, types ...event.Type) {
	h.Helper()
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		for _, t := range types {
			if err := events.Record(h.Context(), tx, event.Event{Type: t, Organization: organization, At: h.clock, Actor: "sync"}); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (h *house) create(asks string, spec hooks.Spec) *hooks.Webhook {
	h.Helper()
	if spec.URL == "" {
		spec.URL = "https://example.com/hook?token=s3cret"
	}
	w, secret, err := h.hooks.Create(h.Context(), asks, spec, "anna")
	h.must(err)
	if _, err := hooks.Secret(secret); err != nil {
		h.Error(err)
	}
	return w
}

func (h *house) fanOut() (made int) {
	h.Helper()
	for {
		n, more, err := h.hooks.FanOut(h.Context())
		h.must(err)
		made += n
		if !more {
			return made
		}
	}
}

func (h *house) list(w *hooks.Webhook, state hooks.State) []*hooks.Delivery {
	h.Helper()
	list, err := h.hooks.Deliveries(h.Context(), "", w.ID, state, "", 10000)
	h.must(err)
	return list
}

// types are those of a webhook's deliveries, the oldest first.
func (h *house) types(w *hooks.Webhook) string {
	h.Helper()
	var out []string
	for _, d := range h.list(w, "") {
		out = append(out, d.Type)
	}
	slices.Reverse(out)
	return strings.Join(out, " ")
}

func (h *house) claim() []*hooks.Job {
	h.Helper()
	jobs, err := h.hooks.Claim(h.Context(), 1000, time.Minute, func(string) int { return 1000 })
	h.must(err)
	return jobs
}

func (h *house) finish(j *hooks.Job, o hooks.Outcome) {
	h.Helper()
	o.At = h.clock
	h.must(h.hooks.Finish(h.Context(), j, o))
}

func (h *house) newest(t event.Type) *event.Event {
	h.Helper()
	var found *event.Event
	h.must((&events.Events{DB: h.db}).Last(h.Context(), "", 1000, func(e event.Event) error {
		if e.Type == t {
			found = &e
		}
		return nil
	}))
	return found
}

func TestEachWebhookGetsWhatItAskedForAndMaySee(t *testing.T) {
	both(t, func(h *house) {
		h.tell("sunfix", event.AccountCreated)
		all := h.create("", hooks.Spec{})
		accounts := h.create("sunfix", hooks.Spec{Types: []string{"account.*", "run.failed"}})
		other := h.create("", hooks.Spec{Organization: "moonfix", Types: []string{"account.created"}})
		zero := int64(0)
		before := h.create("sunfix", hooks.Spec{From: &zero, Types: []string{"account.created"}})
		off := h.create("sunfix", hooks.Spec{Disabled: true})
		h.tell("sunfix", event.AccountCreated, event.GroupCreated, event.RunFailed, event.RunApplied)
		h.tell("moonfix", event.AccountCreated, event.AccountUpdated)
		h.tell("", event.SecretsRotated)
		h.fanOut()
		if n := h.fanOut(); n != 0 {
			h.Errorf("%d more are made of nothing", n)
		}
		for w, want := range map[*hooks.Webhook]string{
			all:      "webhook.created webhook.created webhook.created webhook.created webhook.created account.created group.created run.failed run.applied account.created account.updated secrets.rotated",
			accounts: "account.created run.failed", other: "account.created", before: "account.created account.created", off: "",
		} {
			if got := h.types(w); got != want {
				h.Errorf("%v of %v gets %q, want %q", w.Types, w.Organization, got, want)
			}
		}
		on := true
		if _, err := h.hooks.Update(h.Context(), "sunfix", off.ID, hooks.Patch{Enabled: &on}, "anna"); err != nil {
			h.Fatal(err)
		}
		h.fanOut()
		if got := h.types(off); !strings.HasPrefix(got, "webhook.created account.created group.created run.failed run.applied") || !strings.HasSuffix(got, "webhook.updated") {
			h.Errorf("enabled again it gets %q", got)
		}
		e := h.newest(event.WebhookCreated)
		if strings.Contains(string(e.After), "s3cret") || strings.Contains(string(e.After), "whsec_") || !strings.Contains(string(e.After), `"host":"https://example.com"`) {
			h.Errorf("the event tells %s", e.After)
		}
	})
}

func TestWhatIsAnotherOnesIsNotThere(t *testing.T) {
	both(t, func(h *house) {
		mine := h.create("sunfix", hooks.Spec{})
		h.create("", hooks.Spec{})
		h.tell("sunfix", event.AccountCreated)
		h.fanOut()
		d := h.list(mine, "")[0]
		s, ctx := h.hooks, h.Context()
		url := "https://example.com/other"
		for name, call := range map[string]func(asks string) error{
			"get":         func(a string) error { _, err := s.Get(ctx, a, mine.ID); return err },
			"update":      func(a string) error { _, err := s.Update(ctx, a, mine.ID, hooks.Patch{URL: &url}, "x"); return err },
			"rotate":      func(a string) error { _, _, err := s.RotateSecret(ctx, a, mine.ID, -1, "x"); return err },
			"deliveries":  func(a string) error { _, err := s.Deliveries(ctx, a, mine.ID, "", "", 10); return err },
			"delivery":    func(a string) error { _, err := s.Delivery(ctx, a, d.ID); return err },
			"attempts":    func(a string) error { _, err := s.Attempts(ctx, a, d.ID); return err },
			"replay":      func(a string) error { _, err := s.Replay(ctx, a, d.ID, "x"); return err },
			"replay dead": func(a string) error { _, err := s.ReplayDead(ctx, a, mine.ID, "x"); return err },
			"replay all":  func(a string) error { return s.ReplaySince(ctx, a, mine.ID, 0, "x") },
			"test":        func(a string) error { _, err := s.Test(ctx, a, mine.ID); return err },
			"create": func(a string) error {
				_, _, err := s.Create(ctx, a, hooks.Spec{Organization: "sunfix", URL: url}, "x")
				return err
			},
			"z delete": func(a string) error { return s.Delete(ctx, a, mine.ID, "x") },
		} {
			if err := call("moonfix"); fault.KindOf(err) != fault.NotFound || err == nil {
				h.Errorf("%s by another organization: %v", name, err)
			}
			if name == "z delete" {
				continue
			}
			if err := call("sunfix"); err != nil {
				h.Errorf("%s by its own: %v", name, err)
			}
			if err := call(""); err != nil {
				h.Errorf("%s by the operator: %v", name, err)
			}
		}
		h.must(s.Delete(ctx, "sunfix", mine.ID, "x"))
		for asks, want := range map[string]int{"": 3, "sunfix": 2, "moonfix": 0} { // two were made above
			list, err := s.List(ctx, asks, "", 100)
			if err != nil || len(list) != want {
				h.Errorf("%q sees %d, want %d, %v", asks, len(list), want, err)
			}
		}
		if _, _, err := s.Create(ctx, "", hooks.Spec{Organization: "nowhere", URL: url}, "x"); fault.KindOf(err) != fault.NotFound {
			h.Error(err)
		}
	})
}

func TestWhatCannotBeAWebhookIsRefused(t *testing.T) {
	both(t, func(h *house) {
		far := int64(99)
		for name, c := range map[string]struct {
			spec hooks.Spec
			want string
		}{
			"no address":            {hooks.Spec{URL: "hello"}, "cannot be read"},
			"another protocol":      {hooks.Spec{URL: "ftp://example.com"}, "cannot be read"},
			"no host":               {hooks.Spec{URL: "https:///x"}, "cannot be read"},
			"a password":            {hooks.Spec{URL: "https://me:s3cret@example.com"}, "a user name or a password"},
			"a fragment":            {hooks.Spec{URL: "https://example.com/#x"}, "fragment"},
			"an endless address":    {hooks.Spec{URL: "https://example.com/" + strings.Repeat("x", 2000)}, "longer"},
			"an unknown type":       {hooks.Spec{URL: "https://example.com", Types: []string{"account.craeted"}}, `no type of event "account.craeted"`},
			"a secret that is none": {hooks.Spec{URL: "https://example.com", Secret: "whsec_s3cret"}, "the secret cannot be read"},
			"a short secret":        {hooks.Spec{URL: "https://example.com", Secret: "whsec_czNjcmV0"}, "the secret cannot be read"},
			"behind the end":        {hooks.Spec{URL: "https://example.com", From: &far}, "the feed ends at event 0"},
		} {
			_, _, err := h.hooks.Create(h.Context(), "", c.spec, "x")
			if fault.KindOf(err) != fault.Invalid || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
				h.Errorf("%s: %v", name, err)
			}
		}
		for range 50 {
			h.create("sunfix", hooks.Spec{})
		}
		if _, _, err := h.hooks.Create(h.Context(), "sunfix", hooks.Spec{URL: "https://example.com"}, "x"); fault.KindOf(err) != fault.Conflict {
			h.Error(err)
		}
	})
}

func TestADeliveryIsTriedUntilItIsAcceptedOrGivenUp(t *testing.T) {
	both(t, func(h *house) {
		w := h.create("sunfix", hooks.Spec{})
		h.tell("sunfix", event.AccountCreated, event.AccountUpdated)
		h.fanOut()
		jobs := h.claim()
		if len(jobs) != 3 || jobs[1].Type != "account.created" || len(jobs[1].Secrets) != 1 {
			h.Fatalf("%d jobs", len(jobs))
		}
		if again := h.claim(); len(again) != 0 {
			h.Errorf("%d are claimed twice", len(again))
		}
		h.finish(jobs[0], hooks.Outcome{Status: 200, Answer: []byte("thanks\xff")})
		h.finish(jobs[1], hooks.Outcome{Status: 500, Error: "answered 500", NextAt: h.clock.Add(5 * time.Minute)})
		h.finish(jobs[2], hooks.Outcome{Status: 400, Error: "answered 400"})
		for state, want := range map[hooks.State]string{hooks.Delivered: "webhook.created", hooks.Pending: "account.created", hooks.Dead: "account.updated"} {
			if list := h.list(w, state); len(list) != 1 || list[0].Type != want || list[0].Attempts != 1 || (list[0].NextAt != nil) != (state == hooks.Pending) {
				h.Errorf("%s: %+v", state, list)
			}
		}
		if a, err := h.hooks.Attempts(h.Context(), "", jobs[0].ID); err != nil || len(a) != 1 || *a[0].Status != 200 || a[0].Answer != "thanks\uFFFD" || a[0].Error != nil {
			h.Errorf("%+v, %v", a, err)
		}
		h.clock = h.clock.Add(5 * time.Minute)
		retried := h.claim()
		if len(retried) != 1 || retried[0].ID != jobs[1].ID || retried[0].Step != 1 || string(retried[0].Data) != string(jobs[1].Data) {
			h.Fatalf("%+v", retried)
		}
		// The process that has it is gone: another one has it when the lease has run
		// out, and what the first one says then counts no more.
		h.clock = h.clock.Add(2 * time.Minute)
		taken := h.claim()
		if len(taken) != 1 || taken[0].ID != jobs[1].ID {
			h.Fatalf("%+v", taken)
		}
		h.finish(retried[0], hooks.Outcome{Status: 500, Error: "late"})
		h.finish(taken[0], hooks.Outcome{Status: 204})
		if a, err := h.hooks.Attempts(h.Context(), "", jobs[1].ID); err != nil || len(a) != 2 || a[1].Number != 2 || *a[1].Status != 204 {
			h.Errorf("%+v, %v", a, err)
		}
		if d, err := h.hooks.Delivery(h.Context(), "", jobs[1].ID); err != nil || d.State != hooks.Delivered || d.Attempts != 2 {
			h.Errorf("%+v, %v", d, err)
		}
	})
}

func TestWhatWasGivenUpCanBeSentAgain(t *testing.T) {
	both(t, func(h *house) {
		w := h.create("sunfix", hooks.Spec{Types: []string{"account.*"}})
		h.tell("sunfix", event.AccountCreated, event.AccountUpdated, event.AccountDisabled, event.GroupCreated)
		h.fanOut()
		ids := map[string]bool{}
		for i, j := range h.claim() {
			ids[j.ID] = true
			if o := (hooks.Outcome{Status: 400, Error: "no"}); i > 0 {
				h.finish(j, o)
			} else {
				h.finish(j, hooks.Outcome{Status: 200})
			}
		}
		send := func(want int) {
			h.Helper()
			h.fanOut()
			jobs := h.claim()
			for _, j := range jobs {
				if !ids[j.ID] || j.Step != 0 {
					h.Errorf("%s was %v there before, step %d", j.ID, ids[j.ID], j.Step)
				}
				h.finish(j, hooks.Outcome{Status: 200})
			}
			if len(jobs) != want {
				h.Errorf("%d are sent again, want %d", len(jobs), want)
			}
		}
		d := h.list(w, hooks.Dead)[0]
		if _, err := h.hooks.Replay(h.Context(), "sunfix", d.ID, "anna"); err != nil {
			h.Fatal(err)
		}
		send(1)
		n, err := h.hooks.ReplayDead(h.Context(), "sunfix", w.ID, "anna")
		if err != nil || n != 1 {
			h.Errorf("%d, %v", n, err)
		}
		send(1)
		if n, err := h.hooks.ReplayDead(h.Context(), "sunfix", w.ID, "anna"); err != nil || n != 0 {
			h.Errorf("%d, %v", n, err)
		}
		h.must(h.hooks.ReplaySince(h.Context(), "sunfix", w.ID, 0, "anna"))
		send(3)
		if d, err := h.hooks.Delivery(h.Context(), "", d.ID); err != nil || d.Attempts != 3 || d.State != hooks.Delivered {
			h.Errorf("%+v, %v", d, err)
		}
		if err := h.hooks.ReplaySince(h.Context(), "sunfix", w.ID, 1000, "anna"); fault.KindOf(err) != fault.Invalid {
			h.Error(err)
		}
		if e := h.newest(event.DeliveryReplayed); e == nil || e.Organization != "sunfix" || e.Actor != "anna" {
			h.Errorf("%+v", e)
		}
		page, err := h.hooks.Deliveries(h.Context(), "", w.ID, hooks.Delivered, "", 2)
		h.must(err)
		rest, err := h.hooks.Deliveries(h.Context(), "", w.ID, hooks.Delivered, page[1].ID, 2)
		if err != nil || len(rest) != 1 || rest[0].ID >= page[1].ID {
			h.Errorf("%+v, %v", rest, err)
		}
	})
}

func TestAnEndpointThatKeepsFailingIsLeftAlone(t *testing.T) {
	both(t, func(h *house) {
		w := h.create("sunfix", hooks.Spec{Types: []string{"account.*"}})
		well := h.create("sunfix", hooks.Spec{Types: []string{"account.*"}})
		for range 20 {
			h.tell("sunfix", event.AccountCreated)
		}
		h.fanOut()
		pause := func(beyond int) time.Duration { return time.Duration(beyond+1) * time.Minute }
		failed := 0
		for _, j := range h.claim() {
			if j.Webhook == well.ID {
				h.finish(j, hooks.Outcome{Status: 200})
			} else if failed++; failed <= 5 {
				h.finish(j, hooks.Outcome{Error: "away", NextAt: h.clock.Add(time.Second), PauseFor: pause})
			} else {
				h.must(h.hooks.Forget(h.Context(), []*hooks.Job{j}))
			}
		}
		h.clock = h.clock.Add(30 * time.Second)
		if jobs := h.claim(); len(jobs) != 0 {
			h.Fatalf("%d are tried", len(jobs))
		}
		if got, err := h.hooks.Get(h.Context(), "", w.ID); err != nil || got.PausedUntil == nil || got.FailingSince == nil {
			h.Errorf("%+v, %v", got, err)
		}
		h.clock = h.clock.Add(time.Minute)
		probe := h.claim()
		if len(probe) != 1 || len(h.claim()) != 0 {
			h.Fatalf("%d are tried at once", len(probe))
		}
		h.finish(probe[0], hooks.Outcome{Error: "away", NextAt: h.clock.Add(time.Second), PauseFor: pause})
		h.clock = h.clock.Add(time.Minute)
		if jobs := h.claim(); len(jobs) != 0 {
			h.Fatalf("%d are tried too soon", len(jobs))
		}
		h.clock = h.clock.Add(time.Minute)
		probe = h.claim()
		h.finish(probe[0], hooks.Outcome{Status: 200})
		if jobs := h.claim(); len(jobs) != 19 {
			h.Errorf("%d are tried, now that it is back", len(jobs))
		}
		h.tell("sunfix", event.AccountCreated)
		h.fanOut()
		h.finish(h.claim()[0], hooks.Outcome{Status: 429, Error: "answered 429", NextAt: h.clock.Add(time.Hour), NotBefore: h.clock.Add(time.Hour)})
	})
}

func TestAnEndpointThatWantsNoMoreIsDisabled(t *testing.T) {
	both(t, func(h *house) {
		w := h.create("sunfix", hooks.Spec{Types: []string{"account.*"}})
		h.tell("sunfix", event.AccountCreated, event.AccountUpdated)
		h.fanOut()
		jobs := h.claim()
		h.finish(jobs[0], hooks.Outcome{Status: 410, Error: "answered 410", Gone: true, NextAt: h.clock.Add(time.Second)})
		got, err := h.hooks.Get(h.Context(), "", w.ID)
		if err != nil || got.Enabled || !strings.Contains(*got.DisabledBecause, "410") {
			h.Fatalf("%+v, %v", got, err)
		}
		e := h.newest(event.WebhookDisabled)
		if e == nil || e.Organization != "sunfix" || !strings.Contains(e.Why, "410") || !strings.Contains(string(e.After), w.ID) {
			h.Errorf("%+v", e)
		}
		h.finish(jobs[1], hooks.Outcome{Status: 410, Error: "answered 410", Gone: true})
		if h.newest(event.WebhookDisabled).ID != e.ID {
			h.Error("it is disabled twice")
		}
		if _, err := h.hooks.Test(h.Context(), "", w.ID); fault.KindOf(err) != fault.Conflict {
			h.Error(err)
		}
		on := true
		if got, err = h.hooks.Update(h.Context(), "", w.ID, hooks.Patch{Enabled: &on}, "anna"); err != nil || !got.Enabled || got.DisabledBecause != nil || got.FailingSince != nil {
			h.Errorf("%+v, %v", got, err)
		}
		// Nothing accepted for days.
		for day := range 7 {
			h.tell("sunfix", event.AccountCreated)
			h.fanOut()
			for _, j := range h.claim() {
				h.finish(j, hooks.Outcome{Error: "away"})
			}
			got, err = h.hooks.Get(h.Context(), "", w.ID)
			h.must(err)
			if got.Enabled != (day <= 5) {
				h.Errorf("on day %d: %+v", day, got)
			}
			h.clock = h.clock.Add(24 * time.Hour)
		}
		if !strings.Contains(*got.DisabledBecause, "accepted nothing since 2026-03-01") {
			h.Error(*got.DisabledBecause)
		}
	})
}

func TestSecretsAreRotatedWithBothValidForAWhile(t *testing.T) {
	both(t, func(h *house) {
		w, first, err := h.hooks.Create(h.Context(), "", hooks.Spec{URL: "https://example.com"}, "x")
		h.must(err)
		_, second, err := h.hooks.RotateSecret(h.Context(), "", w.ID, -1, "x")
		h.must(err)
		sent := func(want ...string) {
			h.Helper()
			_, err := h.hooks.Test(h.Context(), "", w.ID)
			h.must(err)
			jobs := h.claim()
			if len(jobs) == 0 || !slices.Equal(jobs[0].Secrets, want) {
				h.Errorf("signed with %d secrets, want %d", len(jobs[0].Secrets), len(want))
			}
		}
		sent(second, first)
		h.clock = h.clock.Add(25 * time.Hour)
		sent(second)
		_, third, err := h.hooks.RotateSecret(h.Context(), "", w.ID, time.Hour, "x")
		h.must(err)
		_, fourth, err := h.hooks.RotateSecret(h.Context(), "", w.ID, time.Hour, "x")
		h.must(err)
		sent(fourth, third)
		_, fifth, err := h.hooks.RotateSecret(h.Context(), "", w.ID, 0, "x")
		h.must(err)
		sent(fifth)
	})
}

func TestASecretThatDoesNotOpenHoldsUpItsOwnWebhookOnly(t *testing.T) {
	both(t, func(h *house) {
		broken := h.create("sunfix", hooks.Spec{Types: []string{"account.*"}})
		var well []*hooks.Webhook
		for range 5 {
			well = append(well, h.create("sunfix", hooks.Spec{Types: []string{"account.*"}}))
		}
		h.exec(`UPDATE webhooks SET secret = (SELECT secret FROM webhooks WHERE id = $2) WHERE id = $1`, broken.ID, well[0].ID)
		h.tell("sunfix", event.AccountCreated)
		h.fanOut()
		jobs, err := h.hooks.Claim(h.Context(), 100, time.Minute, func(string) int { return 10 })
		if len(jobs) != 5 || err == nil || !strings.Contains(err.Error(), broken.ID) || fault.HintOf(err) == "" {
			h.Errorf("%d, %v", len(jobs), err)
		}
		if jobs, err := h.hooks.Claim(h.Context(), 100, time.Minute, func(string) int { return 10 }); err != nil || len(jobs) != 0 {
			h.Errorf("%d, %v", len(jobs), err)
		}
		// With a new secret, and when somebody asks, it is tried at once: the test first.
		_, _, err = h.hooks.RotateSecret(h.Context(), "", broken.ID, 0, "x")
		h.must(err)
		_, err = h.hooks.Test(h.Context(), "", broken.ID)
		h.must(err)
		if jobs := h.claim(); len(jobs) != 2 || jobs[0].Type != hooks.TestType {
			h.Errorf("%+v", jobs)
		}
	})
}

func TestDeliveriesEndWithTimeAndArePruned(t *testing.T) {
	both(t, func(h *house) {
		w := h.create("sunfix", hooks.Spec{Types: []string{"account.*"}})
		h.tell("sunfix", event.AccountCreated, event.AccountUpdated)
		h.fanOut()
		h.finish(h.claim()[0], hooks.Outcome{Status: 200})
		off := false
		if _, err := h.hooks.Update(h.Context(), "", w.ID, hooks.Patch{Enabled: &off}, "x"); err != nil {
			h.Fatal(err)
		}
		// Pruning the feed spares what is still to be sent.
		feed := &events.Events{DB: h.db}
		h.exec(`UPDATE deliveries SET give_up_at = $1 WHERE state = 'pending'`, db.Micros(time.Now().Add(time.Hour)))
		if _, _, err := feed.Prune(h.Context(), h.clock.Add(time.Hour)); err != nil {
			h.Fatal(err)
		}
		number := *h.list(w, hooks.Pending)[0].Event
		if err := feed.After(h.Context(), "", number-1, 1, func(event.Event) error { return nil }); err != nil {
			h.Errorf("the event of a delivery under way was pruned: %v", err)
		}
		h.exec(`UPDATE deliveries SET give_up_at = $1 WHERE state = 'pending'`, db.Micros(h.clock.Add(hooks.Patience)))
		h.clock = h.clock.Add(hooks.Patience)
		if n, err := h.hooks.GiveUp(h.Context()); err != nil || n != 1 {
			h.Errorf("%d, %v", n, err)
		}
		if dead := h.list(w, hooks.Dead); len(dead) != 1 || !strings.Contains(*dead[0].Error, "never tried") {
			h.Errorf("%+v", dead)
		}
		if n, more, err := h.hooks.Prune(h.Context(), h.clock); err != nil || n != 1 || more {
			h.Errorf("%d, %v, %v", n, more, err)
		}
		if left := h.list(w, ""); len(left) != 1 || left[0].State != hooks.Dead {
			h.Errorf("%+v", left)
		}
		// A webhook that is behind what is kept says so.
		h.tell("sunfix", event.AccountCreated)
		if _, _, err := feed.Prune(h.Context(), h.clock.Add(time.Hour)); err != nil {
			h.Fatal(err)
		}
		on := true
		if _, err := h.hooks.Update(h.Context(), "", w.ID, hooks.Patch{Enabled: &on}, "x"); err != nil {
			h.Fatal(err)
		}
		h.fanOut()
		if e := h.newest(event.WebhookSkipped); e == nil || e.Organization != "sunfix" {
			h.Errorf("%+v", e)
		}
	})
}

// However many nodes make deliveries and claim them, and wherever one dies: each
// event goes to each webhook once.
func TestSeveralNodesLoseAndDoubleNothing(t *testing.T) {
	both(t, func(h *house) {
		const endpoints, told = 4, 150
		var list []*hooks.Webhook
		for range endpoints {
			list = append(list, h.create("sunfix", hooks.Spec{Types: []string{"account.*"}}))
		}
		ctx, cancel := context.WithCancel(h.Context())
		defer cancel()
		var wait sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]int{}
		for node := range 4 {
			wait.Go(func() {
				for ctx.Err() == nil {
					// Now and then a node dies in the middle of it.
					mine, die := context.WithCancel(ctx)
					if node == 0 {
						die()
					}
					_, _, err := h.hooks.FanOut(mine)
					if err == nil {
						var jobs []*hooks.Job
						jobs, err = h.hooks.Claim(mine, 50, time.Hour, func(string) int { return 10 })
						for _, j := range jobs {
							mu.Lock()
							seen[j.ID]++
							mu.Unlock()
							if err := h.hooks.Finish(context.WithoutCancel(mine), j, hooks.Outcome{At: h.clock, Status: 200}); err != nil {
								h.Error(err)
							}
						}
					}
					if err != nil && mine.Err() == nil {
						h.Error(err)
					}
					die()
				}
			})
		}
		for range told / 10 {
			h.tell("sunfix", slices.Repeat([]event.Type{event.AccountCreated}, 10)...)
		}
		for open := true; open; {
			// First who is behind in the feed: from then on no more are made.
			behind := 0
			h.must(h.db.Reader().QueryRowContext(h.Context(), `SELECT count(*) FROM webhooks WHERE cursor < (SELECT value FROM counters WHERE name = 'event')`).Scan(&behind))
			n, _, err := h.hooks.Waiting(h.Context())
			h.must(err)
			open = n > 0 || behind > 0
		}
		cancel()
		wait.Wait()
		if len(seen) != endpoints*told {
			h.Errorf("%d were sent, want %d", len(seen), endpoints*told)
		}
		for id, n := range seen {
			if n != 1 {
				h.Errorf("%s was sent %d times", id, n)
			}
		}
		for _, w := range list {
			if n := len(h.list(w, hooks.Delivered)); n != told {
				h.Errorf("%d of %s are delivered", n, w.ID)
			}
		}
	})
}

// rotating is a sealer with a key that is changed.
type rotating struct {
	sealer
	key byte
}

func (r *rotating) Seal(purpose string, plain []byte) ([]byte, error) {
	b, err := r.sealer.Seal(purpose, plain)
	return append(b, r.key), err
}

func (r *rotating) Open(purpose string, sealed []byte) ([]byte, error) {
	return r.sealer.Open(purpose, sealed[:len(sealed)-1])
}

func (r *rotating) Newest(sealed []byte) (bool, error) { return sealed[len(sealed)-1] == r.key, nil }

func TestSecretsAreSealedAnewWithANewKey(t *testing.T) {
	both(t, func(h *house) {
		r := &rotating{key: 1}
		h.hooks.Sealer = r
		kept := h.create("sunfix", hooks.Spec{})
		_, _, err := h.hooks.RotateSecret(h.Context(), "", kept.ID, time.Hour, "x")
		h.must(err)
		lost := h.create("sunfix", hooks.Spec{})
		h.exec(`UPDATE webhooks SET secret = (SELECT secret FROM webhooks WHERE id = $2) WHERE id = $1`, lost.ID, kept.ID)
		r.key = 2
		for _, want := range []int{2, 0} { // and what is done is not done again
			h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
				done, left, err := h.hooks.Reseal(h.Context(), tx)
				if done != want || len(left) != 1 || !strings.Contains(left[0], lost.ID) {
					h.Errorf("%d, %v", done, left)
				}
				return err
			}))
		}
		_, err = h.hooks.Test(h.Context(), "", kept.ID)
		h.must(err)
		if jobs := h.claim(); len(jobs) != 1 || len(jobs[0].Secrets) != 2 {
			h.Errorf("%+v", jobs)
		}
	})
}

func FuzzSecretsAreReadOrRefused(f *testing.F) {
	for _, s := range []string{"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "whsec_", "MDEy", "whsec_!!", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := hooks.Secret(s)
		if err == nil && (len(key) < 24 || len(key) > 64) {
			t.Errorf("%q is a secret of %d bytes", s, len(key))
		}
		if err != nil && len(s) > 8 && strings.Contains(err.Error(), s) {
			t.Errorf("it is repeated: %v", err)
		}
	})
}

func TestTheJSONOfWebhooksShowsNoSecret(t *testing.T) {
	both(t, func(h *house) {
		w, secret, err := h.hooks.Create(h.Context(), "sunfix", hooks.Spec{URL: "https://example.com/x", Types: []string{"run.*", "run.*"}}, "x")
		h.must(err)
		b, err := json.Marshal(w)
		if err != nil || strings.Contains(string(b), secret) || !strings.Contains(string(b), `"organization":"sunfix","url":"https://example.com/x","description":"","types":["run.*"],"enabled":true,"disabled_because":null`) {
			h.Errorf("%s, %v", b, err)
		}
	})
}
