package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

func TestTheTokenGoesToNoOtherHost(t *testing.T) {
	other := serve(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := serve(t, always(refuse(status, "Location", other.URL+"/take"))...)
		_, err := client(t, srv, newWatch(), nil).Get(t.Context(), "/x", nil, nil)
		if err == nil || !strings.Contains(err.Error(), "another host") {
			t.Errorf("%d: %v", status, err)
		}
	}
	srv := serve(t)
	c := client(t, srv, newWatch(), nil)
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, link := range []string{
		other.URL + "/x", "//" + strings.TrimPrefix(other.URL, "http://") + "/x", "https://" + host + "/x", "http://" + host + "@evil.example/x", "http://me:pw@" + host + "/x",
		"http://evil.example/" + host, "ftp://" + host + "/x", `http:\\` + host, "x", "", "http://" + host + ".evil.example/", "http://127.0.0.1:1/",
	} {
		if _, err := c.Get(t.Context(), link, nil, nil); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %v", link, err)
		}
	}
	if _, err := c.Get(t.Context(), srv.URL+"/next?page=2", nil, nil); err != nil {
		t.Errorf("a link to the same host: %v", err)
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
	// The endpoint for tokens may be elsewhere: without the token.
	if _, err := c.Form(t.Context(), other.URL+"/token", nil, func() (url.Values, error) { return url.Values{"a": {"b"}}, nil }, nil); err != nil {
		t.Error(err)
	}
	if got := other.requests(); len(got) != 1 || got[0].Header.Get("Authorization") != "" || srv.requests()[0].Header.Get("Authorization") != "SSWS t0ken" {
		t.Errorf("%d requests elsewhere, with %v", len(got), got[0].Header)
	}
}

func TestAddressesThatCredentialsMayGoTo(t *testing.T) {
	for s, ok := range map[string]bool{
		"https://graph.microsoft.com": true, "https://graph.microsoft.com/": true, "https://h/path/": true,
		"http://127.0.0.1:80": false, "http://[::1]:80": false, "http://localhost": false,
		"http://graph.microsoft.com": false, "http://10.0.0.1": false, "http://localhost.evil.example": false, "http://127.0.0.1.evil.example": false, "http://0.0.0.0": false,
		"https://me:pw@h": false, "https://h?x=1": false, "https://h#x": false, "h": false, "": false, "file:///etc/passwd": false, "gopher://127.0.0.1": false, "https://": false, "://": false,
	} {
		if u, err := rest.Address(s, nil); (err == nil) != ok || ok && strings.HasSuffix(u.String(), "/") {
			t.Errorf("%q: %v, %v", s, u, err)
		} else if err != nil && (strings.Contains(err.Error(), "pw") || fault.KindOf(err) != fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for s, ok := range map[string]bool{
		"https://graph.microsoft.com": true, "http://127.0.0.1:80": true, "https://127.0.0.1": true, "https://10.0.0.1": false, "http://10.0.0.1": false, "http://graph.microsoft.com": false, "gopher://127.0.0.1": false,
	} {
		if _, err := rest.Address(s, sourcetest.Loopback); (err == nil) != ok {
			t.Errorf("with a guard, %q: %v", s, err)
		}
	}
}

// nowhere lets every address be given and connects to none, as a name does that leads inside.
type nowhere struct{ asked *int }

func (nowhere) Check(*url.URL) error { return nil }

func (n nowhere) Dial(bool) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		*n.asked++
		return nil, fault.New(fault.Denied, "refused: it is no public address")
	}
}

func TestAnAddressThatTheGuardRefusesIsNotReachedAndNotTriedAgain(t *testing.T) {
	srv, w, asked := serve(t), newWatch(), 0
	c := client(t, srv, w, func(c *rest.Config) { c.Guard = nowhere{&asked} })
	_, err1 := c.Get(t.Context(), "/x", nil, nil)
	_, err2 := c.Form(t.Context(), srv.URL+"/token", nil, func() (url.Values, error) { return nil, nil }, nil)
	for _, err := range []error{err1, err2} {
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "no public address") || !strings.Contains(fault.HintOf(err), "webhooks.allow_private") {
			t.Errorf("%v (%s)", err, fault.HintOf(err))
		}
	}
	if asked != 2 || len(srv.requests()) != 0 || w.Waited() != 0 {
		t.Errorf("dialled %d times, %d requests, waited %s", asked, len(srv.requests()), w.Waited())
	}
}

// Somebody who sets up a connection may ask where names inside lead, and who listens there.
func TestACheckTellsNothingOfTheNetworkInside(t *testing.T) {
	asked := 0
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	c, err := rest.New(rest.Config{Name: "vendor", Root: srv.URL, Guard: nowhere{&asked}})
	if err != nil {
		t.Fatal(err)
	}
	var steps []source.Step
	if c.Reach(t.Context(), srv.URL, func(s source.Step) { steps = append(steps, s) }) || asked != 1 || steps[len(steps)-1].Verdict != source.Fail || strings.Contains(fmt.Sprint(steps), "Acme") {
		t.Errorf("dialled %d times: %+v", asked, steps)
	}
	steps = nil
	c, err = rest.New(rest.Config{Name: "vendor", Root: "https://localhost", Guard: public{}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Reach(t.Context(), "https://localhost", func(s source.Step) { steps = append(steps, s) }) || len(steps) != 1 || strings.Contains(steps[0].Detail, "127.0.0.1") || strings.Contains(steps[0].Detail, "::1") {
		t.Errorf("%+v", steps)
	}
}

// public lets names be given, and no addresses of this machine.
type public struct{ nowhere }

func (public) Check(u *url.URL) error {
	if net.ParseIP(u.Hostname()).IsLoopback() {
		return fault.New(fault.Invalid, "the address is refused")
	}
	return nil
}

// The environment names a proxy, which may stand inside.
func TestAProxyOfTheEnvironmentIsReachedAllTheSame(t *testing.T) {
	proxy := serve(t)
	asked := 0
	transport := http.DefaultTransport.(*http.Transport).Clone()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport.Proxy = http.ProxyURL(u)
	rest.Guarded(transport, nowhere{&asked}, true)
	res, err := (&http.Client{Transport: transport}).Get("http://vendor.example/x")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if asked != 0 || len(proxy.requests()) != 1 || proxy.requests()[0].Host != "vendor.example" {
		t.Errorf("dialled by the guard %d times, %d requests of the proxy", asked, len(proxy.requests()))
	}
}

func TestAnAnswerIsReadUpToALimit(t *testing.T) {
	large := bytes.Repeat([]byte(" "), 1<<20)
	says := func(status int, packed bool) sourcetest.Fault {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			if !packed {
				w.WriteHeader(status)
				_, _ = w.Write(large)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(status)
			z := gzip.NewWriter(w)
			for range 4 {
				_, _ = z.Write(large)
			}
			_ = z.Close()
		}
	}
	for name, f := range map[string]sourcetest.Fault{"good": says(200, false), "bad": says(403, false), "packed small": says(200, true)} {
		srv := serve(t, always(f)...)
		var into any
		_, err := client(t, srv, newWatch(), func(c *rest.Config) { c.MaxBody = 1000 }).Get(t.Context(), "/x", nil, &into)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "larger than allowed") || len(srv.requests()) != 1 {
			t.Errorf("%s: %v after %d requests", name, err, len(srv.requests()))
		}
	}
	// Just as much as is allowed.
	text := `{"name":"` + strings.Repeat("x", 1000-11) + `"}`
	var got named
	if _, err := client(t, serve(t, sourcetest.Instead(text)), newWatch(), func(c *rest.Config) { c.MaxBody = 1000 }).Get(t.Context(), "/x", nil, &got); err != nil || len(got.Name) != 989 {
		t.Errorf("%d, %v", len(got.Name), err)
	}
}

const hidden = `s3cr3t+of/the="app"`

// A vendor, or a machine in between, repeats in its answers whatever it was sent.
func TestNoErrorHoldsASecret(t *testing.T) {
	echo := func(status int, shape func(said string) any) sourcetest.Fault {
		return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			_ = r.ParseForm()
			said := r.Header.Get("Authorization") + " " + r.PostForm.Get("client_secret") + " " + url.QueryEscape(r.PostForm.Get("client_secret")) + " " + r.PostForm.Encode()
			b, err := json.Marshal(shape(said))
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Request-Id", said)
			w.WriteHeader(status)
			_, _ = w.Write(b)
		}
	}
	var shapes []sourcetest.Fault
	for _, status := range []int{200, 302, 400, 401, 403, 404, 410, 429, 500} {
		shapes = append(shapes,
			echo(status, func(s string) any {
				return map[string]any{"error": map[string]any{"code": s, "message": s, "innerError": map[string]any{"request-id": s}}}
			}),
			echo(status, func(s string) any { return map[string]any{"error": s, "error_description": s, "trace_id": s} }),
			echo(status, func(s string) any { return map[string]any{"errorCode": s, "errorSummary": s, "errorId": s} }),
			echo(status, func(s string) any { return map[string]any{"name": map[string]any{s: s}} }),
			echo(status, func(s string) any { return []string{s} }))
	}
	shapes = append(shapes, reset, sourcetest.Cut, sourcetest.Half, sourcetest.Instead(hidden))
	for n, f := range shapes {
		srv := serve(t, always(f)...)
		var tokens *rest.Tokens
		c := client(t, srv, newWatch(), func(c *rest.Config) {
			tokens = &rest.Tokens{Now: c.Clock.Now, Fetch: func(context.Context) (rest.Token, error) {
				return rest.Token{Value: "bearerbearer", Until: c.Clock.Now().Add(time.Hour)}, nil
			}}
			c.Auth, c.Secrets = tokens, []string{hidden}
		})
		_, err1 := c.Get(t.Context(), "/x?$deltatoken=delta-mark&other=1", nil, &named{})
		_, err2 := c.Form(t.Context(), srv.URL+"/token", nil, func() (url.Values, error) { return url.Values{"client_secret": {hidden}}, nil }, &named{})
		for _, err := range []error{err1, err2} {
			if err == nil {
				continue // {"error": …} with 200 is an answer of another kind
			}
			for _, secret := range []string{hidden, url.QueryEscape(hidden), "bearerbearer", "delta-mark", "deltatoken"} {
				if text := err.Error() + fault.HintOf(err) + fmt.Sprintf("%+v", err); strings.Contains(text, secret) {
					t.Errorf("%d: %s holds %s", n, text, secret)
				}
			}
			var e *rest.Error
			if errors.As(err, &e) && strings.Contains(e.Message+e.Code+e.RequestID, "bearerbearer") {
				t.Errorf("%d: %+v", n, e.Refusal)
			}
		}
	}
}

func TestAnErrorSaysWhatTheVendorsSupportAsksFor(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"code":"Request_BadRequest","message":"Bad.","innerError":{"request-id":"r-1"}}}`: "the server answers 400 Request_BadRequest: Bad. (request r-1)",
		`{"error":"invalid_client","error_description":"AADSTS7000215: Wrong.","trace_id":"t-1"}`:    "the server answers 400 invalid_client: AADSTS7000215: Wrong. (request t-1)",
		`{"errorCode":"E0000006","errorSummary":"You may not","errorId":"oae1"}`:                     "the server answers 400 E0000006: You may not (request oae1)",
		`{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}`:                           "the server answers 400 INVALID_ARGUMENT: m (request h-1)",
		`<html>no</html>`: "the server answers 400 (request h-1)",
		`{"errorCode":"a\u0000b\u202ec","errorSummary":"one\ntwo"}`: "the server answers 400 abc: one (request h-1)",
	} {
		srv := serve(t, sourcetest.Says(sourcetest.Answer{Status: 400, Header: map[string]string{"Request-Id": "h-1"}, Body: body}))
		_, err := client(t, srv, newWatch(), nil).Get(t.Context(), "/a/b?c=d", nil, nil)
		if err == nil || err.Error() != "vendor: "+srv.URL+"/a/b: "+want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// renewing gives tokens t1, t2 and so on.
func renewing(w *watch, life time.Duration) (*rest.Tokens, *int) {
	n := 0
	return &rest.Tokens{Now: w.Now, Fetch: func(context.Context) (rest.Token, error) {
		n++
		return rest.Token{Value: fmt.Sprintf("t%d", n), Until: w.Now().Add(life)}, nil
	}}, &n
}

func TestATokenIsRenewedBeforeItEndsAndAfterItWasRejected(t *testing.T) {
	w := newWatch()
	tokens, fetched := renewing(w, time.Hour)
	srv := serve(t, nil, nil, nil, refuse(401), nil, refuse(401), refuse(401))
	c := client(t, srv, w, func(c *rest.Config) { c.Auth = tokens })
	get := func(want int) {
		t.Helper()
		_, err := c.Get(t.Context(), "/x", nil, nil)
		if *fetched != want || err != nil {
			t.Errorf("%d tokens, %v", *fetched, err)
		}
	}
	get(1)
	get(1)
	w.Pass(59 * time.Minute)
	get(2) // a minute before its end it is not used
	get(3) // rejected once, and signed anew
	if _, err := c.Get(t.Context(), "/x", nil, nil); fault.KindOf(err) != fault.Denied || *fetched != 4 {
		t.Errorf("rejected twice: %v, %d tokens", err, *fetched)
	}
	if got := tokens.Secrets(); len(got) != 2 || got[1] != "t4" {
		t.Errorf("%q", got)
	}
}

func TestOfManyRequestsOneFetchesTheToken(t *testing.T) {
	w := newWatch()
	tokens, fetched := renewing(w, time.Hour)
	c := client(t, serve(t), w, func(c *rest.Config) { c.Auth = tokens })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Get(t.Context(), "/x", nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if *fetched != 1 || c.Requests() != 20 {
		t.Errorf("%d tokens for %d requests", *fetched, c.Requests())
	}
}

func TestTheTokenEndpointsRefusalsAreTriedAgainWithAFreshAssertion(t *testing.T) {
	srv, w, n := serve(t, refuse(429, "Retry-After", "3"), reset), newWatch(), 0
	c := client(t, srv, w, nil)
	var got named
	_, err := c.Form(t.Context(), srv.URL+"/token", nil, func() (url.Values, error) { n++; return url.Values{}, nil }, &got)
	if err != nil || n != 3 || got.Name == "" {
		t.Errorf("%v, %d forms", err, n)
	}
}
