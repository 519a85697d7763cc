package rest_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/rest"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

func TestWhatIsTriedAgainAndAfterHowLong(t *testing.T) {
	now := sourcetest.NewClock().Now()
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	const s, ms = time.Second, time.Millisecond
	for _, c := range []struct {
		name   string
		script []sourcetest.Fault
		waits  []time.Duration // between the tries; the last one is good, unless kind says otherwise
		kind   fault.Kind
	}{
		{"nothing is wrong", nil, nil, 0},
		{"429 with seconds", []sourcetest.Fault{refuse(429, "Retry-After", "10")}, []time.Duration{10*s + s/2}, 0},
		{"429 with parts of seconds, as Microsoft's page shows it", []sourcetest.Fault{refuse(429, "Retry-After", "2.128")}, []time.Duration{2628 * ms}, 0},
		{"429 with a date, by the server's clock", []sourcetest.Fault{refuse(429, "Retry-After", at(-72*time.Hour+30*s), "Date", at(-72*time.Hour))}, []time.Duration{30*s + s/2}, 0},
		{"429 with a date that has passed", []sourcetest.Fault{refuse(429, "Retry-After", at(-time.Hour), "Date", at(0))}, []time.Duration{s / 2}, 0},
		{"429 with nought", []sourcetest.Fault{refuse(429, "Retry-After", "0")}, []time.Duration{s / 2}, 0},
		{"429 without a word", []sourcetest.Fault{refuse(429)}, []time.Duration{750 * ms}, 0},
		{"429 with nonsense", []sourcetest.Fault{refuse(429, "Retry-After", "soon"), refuse(429, "Retry-After", "-3"), refuse(429, "Retry-After", "NaN"), refuse(429, "Retry-After", "1e300")},
			[]time.Duration{750 * ms, 1500 * ms, 3 * s, 6 * s}, 0},
		{"503 and 504 with seconds", []sourcetest.Fault{refuse(503, "Retry-After", "4"), refuse(504, "Retry-After", "7")}, []time.Duration{4500 * ms, 7500 * ms}, 0},
		{"5xx, longer each time", []sourcetest.Fault{refuse(500), refuse(502), refuse(503), refuse(504), refuse(599), refuse(500), refuse(500)},
			[]time.Duration{750 * ms, 1500 * ms, 3 * s, 6 * s, 12 * s, 24 * s, 45 * s}, 0},
		{"408", []sourcetest.Fault{refuse(408)}, []time.Duration{750 * ms}, 0},
		{"a line that breaks before any byte", []sourcetest.Fault{reset, reset}, []time.Duration{750 * ms, 1500 * ms}, 0},
		{"an answer cut off", []sourcetest.Fault{sourcetest.Cut}, []time.Duration{750 * ms}, 0},
		{"an answer that ends early", []sourcetest.Fault{sourcetest.Half}, []time.Duration{750 * ms}, 0},
		{"a page of a machine in between", []sourcetest.Fault{sourcetest.Instead("<html>")}, []time.Duration{750 * ms}, 0},
		{"501 says that it will never be", []sourcetest.Fault{refuse(501)}, nil, fault.Unavailable},
		{"400", []sourcetest.Fault{refuse(400)}, nil, fault.Invalid},
		{"401 with credentials that stay the same", []sourcetest.Fault{refuse(401)}, nil, fault.Denied},
		{"403", []sourcetest.Fault{refuse(403, "Retry-After", "1")}, nil, fault.Denied},
		{"404", []sourcetest.Fault{refuse(404)}, nil, fault.NotFound},
		{"410", []sourcetest.Fault{refuse(410)}, nil, fault.NotFound},
		{"409", []sourcetest.Fault{refuse(409)}, nil, fault.Invalid},
		{"a redirect", []sourcetest.Fault{refuse(307, "Location", "/elsewhere")}, nil, fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, w := serve(t, c.script...), newWatch()
			var got named
			_, err := client(t, srv, w, nil).Get(t.Context(), "/x", nil, &got)
			if c.kind == 0 && (err != nil || got.Name == "") || c.kind != 0 && fault.KindOf(err) != c.kind {
				t.Errorf("%q, %v of kind %d, want kind %d", got.Name, err, fault.KindOf(err), c.kind)
			}
			if !slices.Equal(w.waits, c.waits) {
				t.Errorf("waits %v, want %v", w.waits, c.waits)
			}
			if n := len(srv.requests()); n != len(c.waits)+1 {
				t.Errorf("%d requests, %d waits", n, len(c.waits))
			}
		})
	}
}

func TestTriesAndWaitsHaveAnEnd(t *testing.T) {
	for _, c := range []struct {
		name     string
		script   sourcetest.Fault
		hurry    bool
		change   func(*rest.Config)
		requests int
		waited   time.Duration // at most
	}{
		{"as many tries as there are", refuse(503), false, nil, rest.DefaultTries, 2 * time.Minute},
		{"fewer, where so set", refuse(503), false, func(c *rest.Config) { c.Tries = 3 }, 3, 3 * time.Second},
		{"a wait longer than all waits may be is not begun", refuse(429, "Retry-After", "86400"), false, nil, 1, 0},
		{"waits count together", refuse(429, "Retry-After", "400"), false, nil, 3, 801 * time.Second},
		{"while somebody looks on, two tries", refuse(503), true, nil, 2, 10 * time.Second},
		{"while somebody looks on, no long wait", refuse(429, "Retry-After", "30"), true, nil, 1, 0},
		{"lines that break", reset, false, nil, rest.DefaultTries, 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, w := serve(t, always(c.script)...), newWatch()
			ctx := t.Context()
			if c.hurry {
				ctx = rest.Hurry(ctx)
			}
			_, err := client(t, srv, w, c.change).Get(ctx, "/x", nil, nil)
			if fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%v", err)
			}
			if n := len(srv.requests()); n != c.requests || w.Waited() > c.waited {
				t.Errorf("%d requests in %s, want %d in at most %s", n, w.Waited(), c.requests, c.waited)
			}
			if c.requests > 1 && !strings.Contains(err.Error(), "tries") {
				t.Errorf("%v does not say how often it was tried", err)
			}
		})
	}
}

// A vendor may have a say of its own, as Google has with a 403 that means later.
func TestAVendorsOwnVerdictGoesFirst(t *testing.T) {
	srv, w := serve(t, refuse(403), refuse(503)), newWatch()
	c := client(t, srv, w, func(c *rest.Config) {
		c.Retry = func(e *rest.Error, _ time.Time) (time.Duration, bool) {
			return time.Minute, e.Status == 403 && e.Code == "Code"
		}
	})
	_, err := c.Get(t.Context(), "/x", nil, nil)
	if fault.KindOf(err) != fault.Unavailable || !slices.Equal(w.waits, []time.Duration{time.Minute}) || c.Waits() != 1 || c.Requests() != 2 {
		t.Errorf("%v after %v", err, w.waits)
	}
}

func TestCancelledEndsAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(cancel func()) sourcetest.Fault
	}{
		{"in the middle of an answer", sourcetest.Hang},
		{"before a wait", func(cancel func()) sourcetest.Fault {
			return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				cancel()
				refuse(503, "Retry-After", "60")(w, r, next)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			srv, w := serve(t, always(c.script(cancel))...), newWatch()
			_, err := client(t, srv, w, nil).Get(ctx, "/x?secret=1", nil, nil)
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "canceled") {
				t.Errorf("%v", err)
			}
			if n := len(srv.requests()); n != 1 || w.Waited() != 0 {
				t.Errorf("%d requests, waited for %s", n, w.Waited())
			}
		})
	}
}

// hanging gives clients whose time limit runs out when the handler says so.
func hanging(t *testing.T, tries int) (*rest.Client, *server, *watch) {
	t.Helper()
	var out context.CancelCauseFunc
	w := newWatch()
	srv := serve(t, always(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		sourcetest.Hang(func() { out(rest.ErrTimeout) })(rw, r, next)
	})...)
	return client(t, srv, w, func(c *rest.Config) {
		c.Tries = tries
		c.Clock.Limit = func(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
			limited, end := context.WithCancelCause(ctx)
			out = end
			return limited, func() { end(nil) }
		}
	}), srv, w
}

func TestAnAnswerThatDoesNotEndIsGivenUp(t *testing.T) {
	c, srv, _ := hanging(t, 3)
	_, err := c.Get(t.Context(), "/x", nil, nil)
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no complete answer within the time limit of 1m0s") || len(srv.requests()) != 3 {
		t.Errorf("%v after %d requests", err, len(srv.requests()))
	}
}
