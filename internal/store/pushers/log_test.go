package pushers_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/pushers"
)

func TestTheLogKeepsTheLastRequestsOfEachConnection(t *testing.T) {
	both(t, func(h *house) {
		for i := range 1203 {
			status := 200
			if i%100 == 0 {
				status = 404
			}
			h.p.Log("entra", pushers.Exchange{At: h.clock.Add(time.Duration(i) * time.Second), Method: "GET", Path: "/Users", Query: `filter=userName+eq+%22anna%22`, Status: status,
				Took: 1500 * time.Microsecond, Client: "Entra\x00 client \xff", Remote: "192.0.2.1", Request: `{"userName":"anna"}`, Answer: strings.Repeat(`{"a":"b"}`, 10_000), Token: "rcp_x"})
			if i == 600 {
				h.must(h.p.Flush(h.Context()))
			}
		}
		h.p.Log("okta", pushers.Exchange{Method: "POST", Status: 201})
		h.must(h.p.Flush(h.Context()))
		h.must(h.p.Flush(h.Context())) // nothing is left
		all, err := h.p.Exchanges(h.Context(), "entra", pushers.Filter{}, 0, 1000)
		h.must(err)
		if len(all) != pushers.MostKept {
			h.Fatalf("%d are kept", len(all))
		}
		newest := all[0]
		if !newest.At.Equal(h.clock.Add(1202*time.Second)) || newest.Query != `filter=userName eq "a…"` || newest.Request != `{"userName":"a…"}` || newest.Took != 1500*time.Microsecond ||
			newest.Client != "Entra\uFFFD client \uFFFD" || newest.Remote != "192.0.2.1" || newest.Token != "rcp_x" || len(newest.Answer) > pushers.MostBody {
			newest.Answer = ""
			h.Errorf("the newest is %+v", newest)
		}
		failed, err := h.p.Exchanges(h.Context(), "entra", pushers.Filter{Failed: true}, 0, 3)
		h.must(err)
		if len(failed) != 3 || failed[0].Status != 404 {
			h.Errorf("failed: %d", len(failed))
		}
		rest, err := h.p.Exchanges(h.Context(), "entra", pushers.Filter{Failed: true}, failed[2].ID, 10)
		h.must(err)
		if len(rest) != 2 || rest[0].ID >= failed[2].ID {
			h.Errorf("before the third: %d", len(rest))
		}
		one, err := h.p.OneExchange(h.Context(), "entra", newest.ID)
		h.must(err)
		if one.ID != newest.ID {
			h.Errorf("one is %+v", one)
		}
		_, err = h.p.OneExchange(h.Context(), "okta", newest.ID)
		h.kind(err, fault.NotFound, "no request")
		if other, err := h.p.Exchanges(h.Context(), "okta", pushers.Filter{}, 0, 10); err != nil || len(other) != 1 || other[0].ID != 1 {
			h.Errorf("okta's: %v %v", other, err)
		}
	})
}

func TestWhatIsLeftOfTheLogIsWrittenAtTheEnd(t *testing.T) {
	both(t, func(h *house) {
		h.p.Log("entra", pushers.Exchange{Method: "GET"})
		ended, stop := context.WithCancel(h.Context())
		stop()
		h.p.Run(ended, func(err error) { h.Error(err) })
		if all, err := h.p.Exchanges(h.Context(), "entra", pushers.Filter{}, 0, 10); err != nil || len(all) != 1 {
			h.Errorf("%v %v", all, err)
		}
		h.p.Known = func(context.Context, string) (string, error) { return "", errors.New("the database is away") }
		h.p.Log("entra", pushers.Exchange{Method: "GET"})
		told := 0
		h.p.Run(ended, func(error) { told++ })
		if told != 1 {
			h.Errorf("told %d times of a log that could not be written", told)
		}
	})
}

func TestOfRequestsThatAreNotLetInOneIsLoggedNowAndThen(t *testing.T) {
	both(t, func(h *house) {
		begin := h.clock
		for _, after := range []int{0, 1, 4, 5, 9, 10} {
			h.clock = begin.Add(time.Duration(after) * time.Second)
			h.p.LogRefused("entra", pushers.Exchange{Method: "GET", Path: "/Users", Query: "filter=x", Status: 401, Request: `{"id":"1"}`, Answer: `{"id":"1"}`})
		}
		h.p.LogRefused("okta", pushers.Exchange{Method: "GET", Status: 401})
		h.must(h.p.Flush(h.Context()))
		all, err := h.p.Exchanges(h.Context(), "entra", pushers.Filter{}, 0, 10)
		h.must(err)
		if len(all) != 3 || all[0].Query+all[0].Request+all[0].Answer != "" || all[0].Path != "/Users" {
			h.Errorf("logged: %+v", all)
		}
		if other, err := h.p.Exchanges(h.Context(), "okta", pushers.Filter{Failed: true}, 0, 10); err != nil || len(other) != 1 {
			h.Errorf("of the other connection: %v %v", other, err)
		}
	})
}
