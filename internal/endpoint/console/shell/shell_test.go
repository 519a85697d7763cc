package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
)

type asKey struct{}

// made is a console with a few pages, and an API that says who asks.
func made(t *testing.T) *Shell {
	t.Helper()
	people := map[string]*Me{
		"operator": {ID: "1", Email: "ada@x.org", Role: "operator", CSRF: "c-ada"},
		"tenant":   {ID: "2", Email: "bob@x.org", Role: "administrator", Organization: "sun", CSRF: "c-bob"},
		"auditor":  {ID: "3", Email: "eve@x.org", Role: "auditor", ReadOnly: true, CSRF: "c-eve"},
	}
	s, err := New(Deps{
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				t.Error("a key goes along")
			}
			me, ok := r.Context().Value(asKey{}).(*Me)
			switch {
			case !ok:
				w.WriteHeader(http.StatusUnauthorized)
			case r.URL.Path == "/api/v1/panics":
				panic("the API is broken")
			case r.URL.Path == "/api/v1/none":
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusNotFound)
				_, _ = fmt.Fprint(w, `{"status": 404, "detail": "there is no <script>", "hint": "look elsewhere"}`)
			default:
				_, _ = fmt.Fprintf(w, `{"items": [%q]}`, me.Email)
			}
		}),
		As:    func(ctx context.Context, me *Me) context.Context { return context.WithValue(ctx, asKey{}, me) },
		Who:   func(_ context.Context, token string) (*Me, error) { return people[token], nil },
		Empty: func(context.Context) (bool, error) { return false, nil },
	}, Section{
		Name:      "test",
		Templates: fstest.MapFS{"page.html": {Data: []byte(`{{template "_part" .}}<form method="post">{{template "csrf" .}}</form>`)}, "_p.html": {Data: []byte(`{{define "_part"}}<h1>{{.Data}}</h1>{{end}}`)}},
		Routes: []Route{
			{Pattern: "GET /{$}", Handle: func(q *Ask) error {
				p, err := client.Get[client.Page[string]](q.R.Context(), q.API, "/x", nil)
				if err != nil {
					return err
				}
				return q.Page("page", "Page", strings.Join(p.Items, "")+`<script>alert(1)</script>`)
			}},
			{Pattern: "GET /{what}", Handle: func(q *Ask) error {
				_, err := client.Get[client.Page[string]](q.R.Context(), q.API, q.R.URL.Path, nil)
				return err
			}},
			{Pattern: "GET /signin", Need: Public, Handle: func(q *Ask) error { return q.Page("page", "Sign in", "door") }},
			{Pattern: "GET /breaks", Handle: func(*Ask) error { panic("oh") }},
			{Pattern: "POST /change", Need: Changer, Handle: func(q *Ask) error { q.Say("/", "Done & dusted."); return nil }},
			{Pattern: "POST /door", Need: Public, Handle: func(q *Ask) error {
				_ = q.R.PostFormValue("x")
				return fault.New(fault.Denied, "no")
			}},
			{Pattern: "POST /file", Need: Changer, Files: true, Handle: func(q *Ask) error {
				q.answered = true
				q.W.WriteHeader(http.StatusNoContent)
				return nil
			}},
			{Pattern: "POST /operate", Need: Operator, Handle: func(q *Ask) error { return fault.New(fault.Conflict, "too late") }},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(s *Shell, token, method, target string, form url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if token != "" {
		r.AddCookie(&http.Cookie{Name: s.cookie(), Value: token})
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestWhoSeesWhat(t *testing.T) {
	s := made(t)
	mine := func(token string) url.Values { return url.Values{"csrf": {"c-" + token}} }
	for name, c := range map[string]struct {
		token, method, target string
		form                  url.Values
		header                []string
		status                int
		want                  string
	}{
		"a stranger is sent to the door":           {"", "GET", "/", nil, nil, 303, "/signin"},
		"and comes back to the page":               {"", "GET", "/people?q=a", nil, nil, 303, "/signin?next=%2Fpeople%3Fq%3Da"},
		"so is somebody with an old session":       {"gone", "GET", "/", nil, nil, 303, "/signin"},
		"a stranger's form":                        {"", "POST", "/change", url.Values{}, nil, 303, "/signin"},
		"the door is open":                         {"", "GET", "/signin", nil, nil, 200, "door"},
		"the API is asked as who is signed in":     {"tenant", "GET", "/", nil, nil, 200, "bob@x.org"},
		"text is text":                             {"tenant", "GET", "/", nil, nil, 200, "&lt;script&gt;"},
		"a problem of the API has its status":      {"tenant", "GET", "/none", nil, nil, 404, "There is no &lt;script&gt;"},
		"a panic of the API":                       {"tenant", "GET", "/panics", nil, nil, 500, "Something went wrong"},
		"a panic of a page":                        {"tenant", "GET", "/breaks", nil, nil, 500, "Something went wrong"},
		"a form of the session":                    {"tenant", "POST", "/change", mine("bob"), nil, 303, "/"},
		"a form without its token":                 {"tenant", "POST", "/change", url.Values{}, nil, 403, "not sent from this session"},
		"a form with somebody else's":              {"tenant", "POST", "/change", mine("ada"), nil, 403, "not sent from this session"},
		"a form from another site":                 {"tenant", "POST", "/change", mine("bob"), []string{"Sec-Fetch-Site", "cross-site"}, 403, "not sent from here"},
		"a form from another origin, old browsers": {"tenant", "POST", "/change", mine("bob"), []string{"Origin", "https://evil.test"}, 403, "not sent from here"},
		"an auditor changes nothing":               {"auditor", "POST", "/change", mine("eve"), nil, 403, "may only read"},
		"an administrator is no operator":          {"tenant", "POST", "/operate", mine("bob"), nil, 403, "operators"},
		"an operator is":                           {"operator", "POST", "/operate", mine("ada"), nil, 409, "Too late"},
		"no such page":                             {"operator", "GET", "/a/b/c", nil, nil, 404, "no such page"},
	} {
		w := ask(s, c.token, c.method, c.target, c.form, c.header...)
		text := w.Body.String() + w.Header().Get("Location")
		if w.Code != c.status || !strings.Contains(text, c.want) || strings.Contains(text, "<script>alert") {
			t.Errorf("%s: %d %s", name, w.Code, text)
		}
		if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
}

// Whoever sends forms, files of strangers least of all, fills neither memory nor disk.
func TestFormsHaveAnEnd(t *testing.T) {
	s := made(t)
	for _, c := range []struct {
		name, token, target string
		size                int
		taken               bool
	}{
		{"a stranger's", "", "/door", 2 << 20, false},
		{"one of the session", "tenant", "/change", 2 << 20, false},
		{"a stranger's, where files are taken", "", "/file", 2 << 20, false},
		{"one with a file, where it is taken", "tenant", "/file", 2 << 20, true},
	} {
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		if err := errors.Join(form.WriteField("csrf", "c-bob"), form.WriteField("x", strings.Repeat("x", c.size)), form.Close()); err != nil {
			t.Fatal(err)
		}
		body := &counted{r: &b}
		r := httptest.NewRequest("POST", c.target, body)
		r.Header.Set("Content-Type", form.FormDataContentType())
		if c.token != "" {
			r.AddCookie(&http.Cookie{Name: s.cookie(), Value: c.token})
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if taken := body.n > c.size; taken != c.taken || taken != (w.Code == http.StatusNoContent) {
			t.Errorf("%s: %d bytes were read, and the answer is %d", c.name, body.n, w.Code)
		}
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestASentenceIsShownOnce(t *testing.T) {
	s := made(t)
	w := ask(s, "tenant", "POST", "/change", url.Values{"csrf": {"c-bob"}})
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: s.cookie(), Value: "tenant"})
	for _, c := range w.Result().Cookies() {
		r.AddCookie(c)
	}
	w = httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), "Done &amp; dusted.") || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Error(w.Body, w.Result().Cookies())
	}
}

func TestBackStaysHere(t *testing.T) {
	for next, want := range map[string]string{
		"/people?q=a": "/people?q=a", "": "/", "//evil.test": "/", "https://evil.test": "/", `/\evil.test`: "/", "evil": "/", "javascript:alert(1)": "/", "/ok#x": "/ok#x",
	} {
		if got := Back(next); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
	}
}

func TestAssetsMayBeKept(t *testing.T) {
	s := made(t)
	w := ask(s, "operator", "GET", "/", nil)
	_, rest, _ := strings.Cut(w.Body.String(), `href="/assets/console.css`)
	query, _, _ := strings.Cut(rest, `"`)
	for target, cache := range map[string]string{"/assets/console.css" + query: "public, max-age=31536000, immutable", "/assets/console.css?v=old": "no-store"} {
		if w := ask(s, "", "GET", target, nil); w.Code != 200 || w.Header().Get("Cache-Control") != cache || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
			t.Errorf("%s: %d %v", target, w.Code, w.Header())
		}
	}
	if w := ask(s, "", "GET", "/assets/../shell.go", nil); w.Code == 200 {
		t.Error("anything can be read")
	}
}
