package webhook

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
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

func TestMain(m *testing.M) {
	if os.Getenv(nodeDSN) != "" {
		os.Exit(node())
	}
	os.Exit(databases.Main(m))
}

var loopback = &Guard{Allow: prefixes("127.0.0.0/8", "::1/128")}

// plainly keeps secrets as they are.
type plainly struct{}

func (plainly) Newest([]byte) (bool, error) { return true, nil }

func (plainly) Seal(_ string, plain []byte) ([]byte, error)  { return plain, nil }
func (plainly) Open(_ string, sealed []byte) ([]byte, error) { return sealed, nil }

// house is a worker on a database, with a clock that is moved by hand.
type house struct {
	*testing.T
	db     *db.DB
	hooks  *hooks.Hooks
	worker *Worker
	mu     sync.Mutex
	clock  time.Time
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

func both(t *testing.T, fn func(h *house)) {
	t.Helper()
	open := func(t *testing.T, dsn string) {
		d := databases.Open(t, dsn)
		h := &house{T: t, db: d, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		h.hooks = &hooks.Hooks{DB: d, Sealer: plainly{}, Now: h.now, Check: loopback.Check}
		h.worker = &Worker{Hooks: h.hooks, Sender: NewSender(loopback, nil, h.now), Log: slog.New(slog.DiscardHandler), Now: h.now, Jitter: func() float64 { return 0.5 }}
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

func (h *house) tell(n int) {
	h.Helper()
	h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
		for range n {
			if err := events.Record(h.Context(), tx, event.Event{Type: event.AccountCreated, Organization: "sunfix", At: h.now(), Actor: "sync", After: json.RawMessage(`{"email":"zoë@example.com"}`)}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// endpoint serves fn, and is a webhook of the house.
func (h *house) endpoint(fn http.HandlerFunc) (*hooks.Webhook, string) {
	h.Helper()
	s := httptest.NewServer(fn)
	h.Cleanup(s.Close)
	w, secret, err := h.hooks.Create(h.Context(), "", hooks.Spec{URL: s.URL + "/hook", Types: []string{"account.*"}}, "x")
	h.must(err)
	return w, secret
}

// step has the worker do all there is to do by now.
func (h *house) step() {
	h.Helper()
	_, _, err := h.worker.Step(h.Context())
	h.must(err)
}

func (h *house) last(w *hooks.Webhook) *hooks.Delivery {
	h.Helper()
	list, err := h.hooks.Deliveries(h.Context(), "", w.ID, "", "", 1)
	h.must(err)
	if len(list) == 0 {
		h.Fatal("there is no delivery")
	}
	return list[0]
}

func TestADeliveryIsRetriedForDaysAndThenGivenUp(t *testing.T) {
	both(t, func(h *house) {
		var mu sync.Mutex
		var at []time.Duration
		ids := map[string]bool{}
		var bodies []string
		outcomes := map[string]int{}
		h.worker.Told = func(outcome string) { outcomes[outcome]++ }
		began := h.now()
		w, _ := h.endpoint(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			b, err := io.ReadAll(r.Body)
			if err != nil {
				h.Error(err)
			}
			at, bodies = append(at, h.now().Sub(began)), append(bodies, string(b))
			ids[r.Header.Get("Webhook-Id")] = true
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(rw, strings.Repeat("x", 100_000))
		})
		h.tell(1)
		for range 40 {
			h.step()
			d := h.last(w)
			if d.NextAt == nil {
				break
			}
			h.later(d.NextAt.Sub(h.now()))
		}
		var want []time.Duration
		total := time.Duration(0)
		for _, d := range append([]time.Duration{0}, Schedule...) {
			total += d
			want = append(want, total)
		}
		if fmt.Sprint(at[:5]) != fmt.Sprint(want[:5]) || len(at) != 10 || at[9] < 75*time.Hour || at[9] > 76*time.Hour {
			h.Errorf("tried at %v, want %v", at, want)
		}
		d := h.last(w)
		if d.State != hooks.Dead || d.Attempts != 10 || *d.Status != 500 || *d.Error != "answered 500 Internal Server Error" {
			h.Errorf("%+v", d)
		}
		if outcomes["retry"] != 9 || outcomes["dead"] != 1 || len(outcomes) != 2 {
			h.Errorf("%v", outcomes)
		}
		a, err := h.hooks.Attempts(h.Context(), "", d.ID)
		if err != nil || len(a) != 10 || len(a[3].Answer) != keptAnswer {
			h.Errorf("%d attempts, %v", len(a), err)
		}
		if len(ids) != 1 || bodies[0] != bodies[9] || !ids[d.ID] {
			h.Errorf("%v", ids)
		}
		var told struct {
			Type      string      `json:"type"`
			Timestamp time.Time   `json:"timestamp"`
			Data      event.Event `json:"data"`
		}
		if err := json.Unmarshal([]byte(bodies[0]), &told); err != nil || told.Type != "account.created" || !told.Timestamp.Equal(began) || told.Data.ID != *d.Event || told.Data.Organization != "sunfix" {
			h.Errorf("%s, %v", bodies[0], err)
		}
	})
}

func TestWhatAnAnswerMeans(t *testing.T) {
	both(t, func(h *house) {
		hour := h.now().Add(time.Hour)
		elsewhere := 0
		for name, c := range map[string]struct {
			status  int
			headers map[string]string
			state   hooks.State
			next    time.Time
			err     string
		}{
			"200":                        {200, nil, hooks.Delivered, time.Time{}, ""},
			"204":                        {204, nil, hooks.Delivered, time.Time{}, ""},
			"299":                        {299, nil, hooks.Delivered, time.Time{}, ""},
			"a redirect":                 {302, map[string]string{"Location": "/elsewhere"}, hooks.Pending, h.now().Add(5 * time.Second), "sent us elsewhere"},
			"a redirect with the method": {307, map[string]string{"Location": "/elsewhere"}, hooks.Pending, h.now().Add(5 * time.Second), "sent us elsewhere"},
			"400":                        {400, nil, hooks.Pending, h.now().Add(5 * time.Second), "answered 400"},
			"404":                        {404, nil, hooks.Pending, h.now().Add(5 * time.Second), "answered 404"},
			"410":                        {410, nil, hooks.Dead, time.Time{}, "answered 410"},
			"429 with seconds":           {429, map[string]string{"Retry-After": "3600"}, hooks.Pending, hour, "answered 429"},
			"503 with a date":            {503, map[string]string{"Retry-After": hour.Format(http.TimeFormat)}, hooks.Pending, hour, "answered 503"},
			"503 with nonsense":          {503, map[string]string{"Retry-After": "soon"}, hooks.Pending, h.now().Add(5 * time.Second), "answered 503"},
			"503 with a second":          {503, map[string]string{"Retry-After": "1"}, hooks.Pending, h.now().Add(5 * time.Second), "answered 503"},
			"503 with a year":            {503, map[string]string{"Retry-After": "31536000"}, hooks.Pending, h.now().Add(24 * time.Hour), "answered 503"},
		} {
			w, _ := h.endpoint(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					elsewhere++
				}
				for k, v := range c.headers {
					rw.Header().Set(k, v)
				}
				rw.WriteHeader(c.status)
			})
			_, err := h.hooks.Test(h.Context(), "", w.ID)
			h.must(err)
			h.step()
			d := h.last(w)
			if d.State != c.state || *d.Status != c.status || c.err == "" != (d.Error == nil) || c.err != "" && !strings.Contains(*d.Error, c.err) {
				h.Errorf("%s: %+v", name, d)
			}
			if d.State == hooks.Pending && !d.NextAt.Equal(c.next) {
				h.Errorf("%s: again at %s, want %s", name, d.NextAt, c.next)
			}
			got, err := h.hooks.Get(h.Context(), "", w.ID)
			if err != nil || got.Enabled == (c.status == 410) {
				h.Errorf("%s: enabled %v, %v", name, got.Enabled, err)
			}
			if asked := c.headers["Retry-After"]; (got.PausedUntil != nil) != (asked != "" && asked != "soon") {
				h.Errorf("%s: the endpoint is left alone until %v", name, got.PausedUntil)
			}
		}
		if elsewhere > 0 {
			h.Error("a redirect was followed")
		}
	})
}

// TestOneSlowEndpointHoldsUpNobodyElse has endpoints that do not answer at all
// until the others have had everything.
func TestOneSlowEndpointHoldsUpNobodyElse(t *testing.T) {
	both(t, func(h *house) {
		const told = 40
		release := make(chan struct{})
		var held, most int
		var mu sync.Mutex
		slow, _ := h.endpoint(func(rw http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			mu.Lock()
			held++
			most = max(most, held)
			mu.Unlock()
			select {
			case <-release:
			case <-r.Context().Done():
			}
			mu.Lock()
			held--
			mu.Unlock()
		})
		quick, all := 0, make(chan struct{})
		well, _ := h.endpoint(func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if quick++; quick == told {
				close(all)
			}
		})
		h.tell(told)
		ctx, cancel := context.WithCancel(h.Context())
		ended := make(chan struct{})
		go func() {
			h.worker.Run(ctx)
			close(ended)
		}()
		<-all
		close(release)
		for {
			n, _, err := h.hooks.Waiting(h.Context())
			h.must(err)
			if n == 0 {
				break
			}
		}
		cancel()
		<-ended
		mu.Lock()
		defer mu.Unlock()
		if most > perEndpoint {
			h.Errorf("%d at once went to one endpoint", most)
		}
		for _, w := range []*hooks.Webhook{slow, well} {
			list, err := h.hooks.Deliveries(h.Context(), "", w.ID, hooks.Delivered, "", 1000)
			if err != nil || len(list) != told || list[0].Attempts != 1 {
				h.Errorf("%d are delivered, %v", len(list), err)
			}
		}
	})
}

func TestAWorkerThatEndsLetsWhatItHasBegunEnd(t *testing.T) {
	both(t, func(h *house) {
		ctx, cancel := context.WithCancel(h.Context())
		reached, release := make(chan struct{}), make(chan struct{})
		w, _ := h.endpoint(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then a server notices who goes away
			close(reached)
			select {
			case <-release:
			case <-r.Context().Done():
				h.Error("the attempt was cut off")
			}
		})
		h.tell(1)
		ended := make(chan struct{})
		go func() {
			h.worker.Run(ctx)
			close(ended)
		}()
		<-reached
		cancel()
		close(release)
		<-ended
		if d := h.last(w); d.State != hooks.Delivered || d.Attempts != 1 {
			h.Errorf("%+v", d)
		}
	})
}

func TestAClaimThatIsNotBegunIsGivenBack(t *testing.T) {
	both(t, func(h *house) {
		w, _ := h.endpoint(func(http.ResponseWriter, *http.Request) {})
		h.tell(1)
		_, err := h.worker.Prepare(h.Context())
		h.must(err)
		jobs, err := h.hooks.Claim(h.Context(), 1, lease, h.worker.free)
		h.must(err)
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		h.worker.attempt(ctx, jobs[0])
		if d := h.last(w); d.State != hooks.Pending || d.Attempts != 0 || d.NextAt.After(h.now()) {
			h.Errorf("%+v", d)
		}
		h.step()
		if d := h.last(w); d.State != hooks.Delivered || d.Attempts != 1 {
			h.Errorf("%+v", d)
		}
	})
}

func TestAnEventThatIsNoLongerKeptEndsItsDelivery(t *testing.T) {
	both(t, func(h *house) {
		w, _ := h.endpoint(func(http.ResponseWriter, *http.Request) { h.Error("something was sent") })
		h.tell(1)
		_, _, err := h.hooks.FanOut(h.Context())
		h.must(err)
		h.must(h.db.Write(h.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(h.Context(), `DELETE FROM events`)
			return err
		}))
		h.step()
		if d := h.last(w); d.State != hooks.Dead || *d.Error != "its event is no longer kept" {
			h.Errorf("%+v", d)
		}
	})
}

func TestStepSaysWhenToComeAgain(t *testing.T) {
	both(t, func(h *house) {
		h.endpoint(func(http.ResponseWriter, *http.Request) {})
		h.step()
		worked, next, err := h.worker.Step(h.Context())
		if worked || err != nil || !next.Equal(h.now().Add(time.Second)) {
			h.Errorf("%v, %s, %v", worked, next, err)
		}
		h.tell(1)
		if worked, next, err = h.worker.Step(h.Context()); !worked || err != nil || next.After(h.now()) {
			h.Errorf("%v, %s, %v", worked, next, err)
		}
	})
}

func job(address string) *hooks.Job {
	return &hooks.Job{ID: "msg_1", URL: address, Type: "webhook.test", Data: json.RawMessage(`{}`), Secrets: []string{"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"}}
}

func TestWhereDeliveriesMayNotGo(t *testing.T) {
	for _, a := range []string{
		"127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.192", "198.18.0.1",
		"224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "168.63.129.16",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1",
		"2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "5f00::1",
	} {
		if Public(netip.MustParseAddr(a)) {
			t.Errorf("%s counts as public", a)
		}
		if err := (&Guard{}).look(netip.MustParseAddr(a), false); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", a, err)
		}
	}
	for _, a := range []string{"1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"} {
		if !Public(netip.MustParseAddr(a)) {
			t.Errorf("%s counts as not public", a)
		}
		if err := (&Guard{}).look(netip.MustParseAddr(a), true); !errors.Is(err, errRefused) {
			t.Errorf("%s by plain http: %v", a, err)
		}
	}
	some := &Guard{Allow: prefixes("10.1.0.0/16")}
	for a, ok := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "169.254.169.254": false} {
		if err := some.look(netip.MustParseAddr(a), true); (err == nil) != ok {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestAddressesAreLookedAtWhenTheyAreGiven(t *testing.T) {
	some := &Guard{Allow: prefixes("10.1.0.0/16")}
	for _, c := range []struct {
		g   *Guard
		url string
		ok  bool
	}{
		{&Guard{}, "https://example.com/x", true}, {&Guard{}, "http://example.com/x", false}, {&Guard{}, "https://127.0.0.1/x", false}, {&Guard{}, "https://[::1]:8443/x", false},
		{&Guard{}, "https://localhost/x", false}, {&Guard{}, "https://a.localhost./x", false}, {&Guard{}, "https://8.8.8.8/x", true}, {&Guard{}, "https://[::ffff:10.1.2.3]/x", false},
		{some, "https://10.1.2.3/x", true}, {some, "http://10.1.2.3/x", true}, {some, "http://10.2.2.3/x", false}, {some, "http://8.8.8.8/x", false}, {some, "http://inside.example/x", true},
		{&Guard{All: true}, "http://localhost:8080/x", true}, {loopback, "http://localhost:8080/x", true},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		err = c.g.Check(u)
		if (err == nil) != c.ok || err != nil && (fault.KindOf(err) != fault.Invalid || fault.HintOf(err) == "") {
			t.Errorf("%+v, %s: %v, hint %q", c.g, c.url, err, fault.HintOf(err))
		}
	}
}

// A name may lead anywhere, and may lead elsewhere a moment later: what counts is
// the address that is connected to.
func TestANameThatLeadsInsideIsRefusedWhenItIsDialled(t *testing.T) {
	reached := false
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTPS_PROXY", s.URL)
	t.Setenv("HTTP_PROXY", s.URL)
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"} {
		for _, scheme := range []string{"https", "http"} {
			o := NewSender(&Guard{}, roots, time.Now).Send(t.Context(), job(scheme+"://"+host+":"+u.Port()+"/hook?token=s3cret"))
			if o.Error == "" || o.Status != 0 || strings.Contains(o.Error, "s3cret") || reached {
				t.Errorf("%s: %+v", host, o)
			}
			if host == "localhost" && !strings.Contains(o.Error, "is no public address") {
				t.Errorf("%s: %q", host, o.Error)
			}
		}
	}
	u.Host = "example.com:" + u.Port() // a name in the certificate
	if o := NewSender(loopback, roots, time.Now).Send(t.Context(), job(s.URL)); o.Error != "" || !reached {
		t.Errorf("%+v", o)
	}
	// Plain http goes nowhere that is not named.
	if o := NewSender(&Guard{Allow: prefixes("10.0.0.0/8")}, nil, time.Now).Send(t.Context(), job("http://127.0.0.1:"+u.Port())); !strings.Contains(o.Error, "is no public address") {
		t.Errorf("%+v", o)
	}
}

func TestCertificatesToTrustComeFromAFile(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{path: true, "": false} {
		roots, err := Roots(name)
		if err != nil {
			t.Fatal(err)
		}
		if o := NewSender(loopback, roots, time.Now).Send(t.Context(), job(s.URL)); (o.Error == "") != ok {
			t.Errorf("%q: %+v", name, o)
		}
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".none"} {
		if _, err := Roots(name); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

func TestWhatGoesWrongOnTheWayIsSaidWithoutTheAddress(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer mute.CloseClientConnections()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}))
	defer broken.Close()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	untrusted.Config.ErrorLog = nil
	for address, want := range map[string]string{
		mute.URL: "no answer within 15 s", broken.URL: "EOF", untrusted.URL: "its certificate is not trusted", "http://127.0.0.1:1": "refused",
		"https://nowhere.invalid": "cannot be looked up", "http://[::1": "the address cannot be read",
	} {
		s := NewSender(&Guard{All: true}, nil, time.Now)
		if address == mute.URL {
			s.plain.Timeout = 50 * time.Millisecond
		}
		o := s.Send(t.Context(), job(address+"/hook?token=s3cret"))
		if !strings.Contains(o.Error, want) || strings.Contains(o.Error, "s3cret") || strings.Contains(o.Error, "/hook") {
			t.Errorf("%s: %q, want %q", address, o.Error, want)
		}
		s.Close()
	}
	j := job("https://example.com")
	j.Secrets = []string{"whsec_broken"}
	if o := NewSender(loopback, nil, time.Now).Send(t.Context(), j); !strings.Contains(o.Error, "secret cannot be read") {
		t.Errorf("%+v", o)
	}
}

// Whatever a stranger calls an address: what is refused when it is dialled is never
// let through by the look before.
func FuzzAddressesInsideAreNotLetThrough(f *testing.F) {
	for _, s := range []string{"https://127.0.0.1/x", "https://[::ffff:10.0.0.1]/", "https://localhost", "https://example.com:1/x", "http://[fe80::1%25eth0]/", "https://0x7f.1/"} {
		f.Add(s)
	}
	g := &Guard{}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil || g.Check(u) != nil {
			return
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !Public(a) {
			t.Errorf("%q is let through", s)
		}
		if u.Scheme != "https" {
			t.Errorf("%q is let through", s)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for _, s := range []string{"", "0", "120", "-1", "99999999999999999999", "Sun, 01 Mar 2026 10:00:00 GMT", "soon", "1e9", " 5 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at := RetryAfter(s, now)
		if !at.IsZero() && (!at.After(now) || at.After(now.Add(longestWait))) {
			t.Errorf("%q is read as %s", s, at)
		}
	})
}
