package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// served gives a client of a handler, which waits for nothing.
func served(t *testing.T, h http.HandlerFunc, options ...Option) (*Client, *[]time.Duration) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(s.URL, "rk_key", options...)
	if err != nil {
		t.Fatal(err)
	}
	var slept []time.Duration
	c.sleep = func(ctx context.Context, d time.Duration) error {
		slept = append(slept, d)
		return ctx.Err()
	}
	return c, &slept
}

func TestWhatIsNoServerIsRefused(t *testing.T) {
	for address, want := range map[string]string{
		"https://rollcall.example.com":              "",
		"https://rollcall.example.com/":             "",
		"https://rollcall.example.com/below":        "",
		"https://rollcall.example.com/api/v1":       "",
		"http://127.0.0.1:8080":                     "",
		"http://localhost:8080":                     "",
		"http://[::1]:8080":                         "",
		"http://rollcall.example.com":               "in the clear",
		"rollcall.example.com":                      "not the address",
		"ftp://rollcall.example.com":                "not the address",
		"":                                          "not the address",
		"https://rollcall.example.com?x=1":          "not the address",
		"https://user:secret1@rollcall.example.com": "not the address",
	} {
		_, err := New(address, "rk_key")
		if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret1") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
	if _, err := New("https://rollcall.example.com", ""); err == nil {
		t.Error("no key is a key")
	}
}

func TestRequestsAreMadeAgainWhereThatHelps(t *testing.T) {
	for _, c := range []struct {
		name, method string
		answers      []int
		after        string
		want         int // requests
		status       int // of the problem; 0 none
		slept        []time.Duration
	}{
		{"a limit is waited for as long as the server says", "GET", []int{429, 429, 200}, "3", 3, 0, []time.Duration{3 * time.Second, 3 * time.Second}},
		{"a limit turned a write away unseen", "POST", []int{429, 200}, "1", 2, 0, []time.Duration{time.Second}},
		{"a server that starts is waited for", "GET", []int{503, 200}, "2", 2, 0, []time.Duration{2 * time.Second}},
		{"a write may have been seen", "POST", []int{503, 200}, "2", 1, 503, nil},
		{"what is wrong stays wrong", "GET", []int{422, 200}, "", 1, 422, nil},
		{"there is an end to it", "GET", []int{503, 503, 503, 503}, "1", 3, 503, []time.Duration{time.Second, time.Second}},
		{"nobody waits for an hour", "GET", []int{429, 200}, "3600", 2, 0, []time.Duration{longestPatience}},
	} {
		n := 0
		cl, slept := served(t, func(w http.ResponseWriter, r *http.Request) {
			status := c.answers[n]
			n++
			w.Header().Set("Retry-After", c.after)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{}`))
		}, WithTries(3))
		err := cl.do(t.Context(), call{method: c.method, path: "/x"}, nil)
		var p *Problem
		switch {
		case c.status == 0 && err != nil, c.status != 0 && (!errors.As(err, &p) || p.Status != c.status):
			t.Errorf("%s: %v", c.name, err)
		}
		if n != c.want || !slices.Equal(*slept, c.slept) {
			t.Errorf("%s: %d requests, slept %v", c.name, n, *slept)
		}
	}
}

func TestABodyIsSentWholeEveryTime(t *testing.T) {
	n := 0
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		var b strings.Builder
		if _, err := copyTo(&b, r); err != nil || b.String() != `{"full":true}` || r.Header.Get("Authorization") != "Bearer rk_key" {
			t.Errorf("%q %v", b.String(), err)
		}
		if n == 1 {
			w.WriteHeader(429)
			return
		}
		_, _ = w.Write([]byte(`{"id": "r1"}`))
	})
	run, err := c.Sync(t.Context(), "hq/2", SyncInput{Full: true})
	if err != nil || run.ID != "r1" || n != 2 {
		t.Errorf("%+v %v", run, err)
	}
}

func copyTo(b *strings.Builder, r *http.Request) (int, error) {
	buf := make([]byte, 100)
	n, err := r.Body.Read(buf)
	b.Write(buf[:n])
	if n > 0 {
		err = nil
	}
	return n, err
}

func TestListsGoFromPageToPageAndNoFurtherThanAsked(t *testing.T) {
	asked := 0
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Query().Get("cursor") {
		case "":
			_, _ = w.Write([]byte(`{"items": [{"id": "a"}, {"id": "b"}], "next_cursor": "two"}`))
		case "two":
			_, _ = w.Write([]byte(`{"items": [{"id": "c"}], "next_cursor": null}`))
		}
	})
	var ids []string
	for o, err := range c.Organizations(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, o.ID)
	}
	if strings.Join(ids, "") != "abc" || asked != 2 {
		t.Errorf("%v after %d requests", ids, asked)
	}
	asked = 0
	for _, err := range c.Organizations(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if asked != 1 {
		t.Errorf("%d requests for the first", asked)
	}
}

func TestAnExportThatBreaksOffIsAnError(t *testing.T) {
	c, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"id": "a"}` + "\n" + `{"id": "b`))
	})
	n, last := 0, error(nil)
	for _, err := range c.ExportAccounts(t.Context(), AccountQuery{}) {
		n, last = n+1, err
	}
	if n != 2 || last == nil || !strings.Contains(last.Error(), "broke off") {
		t.Errorf("%d, %v", n, last)
	}
}

func TestARunIsFollowedThroughABreak(t *testing.T) {
	n := 0
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" {
			t.Error("no stream was asked for")
		}
		n++
		if n == 1 {
			_, _ = w.Write([]byte("event: progress\nid: 1\ndata: {\"phase\": \"reading\",\ndata: \"done\": 3}\n\n: still there\n\n"))
			return
		}
		_, _ = w.Write([]byte("event: progress\r\ndata: {\"phase\": \"applying\"}\r\n\r\nevent: end\ndata: {\"id\": \"r1\", \"state\": \"applied\"}\n\n"))
	})
	var phases []string
	run, err := c.Wait(t.Context(), "r1", func(p Progress) { phases = append(phases, p.Phase) })
	if err != nil || run.State != "applied" || strings.Join(phases, " ") != "reading applying" {
		t.Errorf("%+v %v %v", run, phases, err)
	}
}

func TestAProblemInAStreamIsTheError(t *testing.T) {
	c, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("event: problem\ndata: {\"status\": 409, \"title\": \"Conflict\", \"detail\": \"busy\", \"hint\": \"wait\"}\n\n"))
	})
	_, err := c.MakePlan(t.Context(), "hq", SyncInput{}, nil)
	var p *Problem
	if !errors.As(err, &p) || p.Status != 409 || p.Hint != "wait" {
		t.Errorf("%v", err)
	}
}

func TestAnAnswerThatIsNotOursSaysSo(t *testing.T) {
	c, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<html>no</html>"))
	})
	_, err := c.Run(t.Context(), "last")
	var p *Problem
	if !errors.As(err, &p) || p.Status != 403 || !strings.Contains(p.Hint, "proxies") {
		t.Errorf("%v", err)
	}
}

// Whatever a stream holds, reading it ends, and only with what it says.
func FuzzStream(f *testing.F) {
	for _, s := range []string{"event: end\ndata: {}\n\n", "data: a\ndata: b\r\n\r\n", ": x\n\n", "id: 1\n\n", "data\n\n", "event"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := stream(strings.NewReader(text), func(m message) error {
			n++
			return nil
		})
		if err == nil || n > strings.Count(text, "data") {
			t.Errorf("%d messages, %v", n, err)
		}
	})
}
