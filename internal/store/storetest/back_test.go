package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Whatever is asked for, in pieces of whatever size, the way back gives what going
// over all events gives, each once.
func TestTheFeedIsReadBackwards(t *testing.T) {
	both(t, func(t *testing.T, w *World) {
		began := time.Now().UTC().Truncate(time.Microsecond)
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob"), Person("carl"), Group("staff", "anna", "bob", "carl"))
		w.Applied("hq")
		w.must(w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
			for i := range 6 {
				err := events.Record(context.Background(), tx, event.Event{Type: event.AdminSignedIn, Actor: fmt.Sprintf("admin:a%d@x.org", i%2), At: began.Add(time.Duration(i) * 24 * time.Hour)})
				if err != nil {
					return err
				}
			}
			return nil
		}))
		whole, err := w.Store.EventTable.Feed(t.Context(), events.Query{Limit: 1000}, -1)
		w.must(err)
		var anna account.ID
		var run string
		for _, e := range whole.Events {
			if e.Type == event.AccountCreated && strings.Contains(string(e.After), `"anna"`) {
				anna, run = *e.Account, *e.Run
			}
		}
		for name, c := range map[string]struct {
			q    events.Query
			want func(event.Event) bool
		}{
			"all":               {events.Query{}, func(event.Event) bool { return true }},
			"a family of types": {events.Query{Types: []string{"membership.*", "run.applied"}}, func(e event.Event) bool { return e.Type == event.MembershipAdded || e.Type == event.RunApplied }},
			"an account":        {events.Query{Account: anna}, func(e event.Event) bool { return e.Account != nil && *e.Account == anna }},
			"an account's types": {events.Query{Account: anna, Types: []string{"account.*"}}, func(e event.Event) bool {
				return e.Account != nil && *e.Account == anna && e.Type == event.AccountCreated
			}},
			"a run":              {events.Query{Run: run, Connection: "hq"}, func(e event.Event) bool { return e.Run != nil && *e.Run == run }},
			"an actor":           {events.Query{Actor: "admin:a1@x.org"}, func(e event.Event) bool { return e.Actor == "admin:a1@x.org" }},
			"all administrators": {events.Query{Actor: "admin:*"}, func(e event.Event) bool { return strings.HasPrefix(e.Actor, "admin:") }},
			"since a time":       {events.Query{Since: began.Add(36 * time.Hour)}, func(e event.Event) bool { return !e.At.Before(began.Add(36 * time.Hour)) }},
			"a time": {events.Query{Since: began.Add(24 * time.Hour), Until: began.Add(72 * time.Hour)}, func(e event.Event) bool {
				return !e.At.Before(began.Add(24*time.Hour)) && e.At.Before(began.Add(72*time.Hour))
			}},
			"nobody's": {events.Query{Organization: "elsewhere"}, func(event.Event) bool { return false }},
		} {
			var want []int64
			for _, e := range whole.Events {
				if c.want(e) {
					want = append(want, e.ID)
				}
			}
			slices.Reverse(want)
			for _, limit := range []int{1, 2, 3, 1000} {
				for _, look := range []int64{0, 4, 5} {
					c.q.Limit, c.q.Look = limit, look
					var got []int64
					for before, turns := int64(math.MaxInt64), 0; before > 0; turns++ {
						list, next, err := w.Store.EventTable.Back(t.Context(), c.q, before)
						w.must(err)
						for _, e := range list {
							got = append(got, e.ID)
						}
						if len(list) > limit || next >= before || turns > 200 {
							t.Fatalf("%s: %d events, on with %d behind %d", name, len(list), next, before)
						}
						before = next
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s, %d at once, looking %d back: %v, want %v", name, limit, look, got, want)
					}
				}
			}
			c.q.Limit = 2
			var ahead []int64
			for at := int64(-1); ; {
				p, err := w.Store.EventTable.Feed(t.Context(), c.q, at)
				w.must(err)
				for _, e := range p.Events {
					ahead = append(ahead, e.ID)
				}
				if at = p.Next; len(p.Events) < 2 {
					break
				}
			}
			slices.Reverse(ahead)
			if !slices.Equal(ahead, want) {
				t.Errorf("%s, forwards: %v, want %v", name, ahead, want)
			}
		}
	})
}
