package csv

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

const people = "username,first name\njdoe,Jane\n"

// serve starts a TLS server and opens a source of its address, trusting it.
func serve(t *testing.T, h http.HandlerFunc, v setting.Values) (source.Source, *httptest.Server) {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	writeCA(t, srv, dir)
	all := setting.Values{"url": srv.URL + "/people.csv?token=t0ken", "tls.ca_file": "ca.pem", "passwords": "none",
		"username": "reader", "password": "s3cret"}
	for k, x := range v {
		all[k] = x
	}
	s, err := Kind.Open(all, source.Env{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "rollcall-csv-*")); len(left) > 0 {
			t.Error("left behind:", left)
		}
	})
	return s, srv
}

func writeCA(t *testing.T, srv *httptest.Server, dir string) {
	t.Helper()
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestARemoteFileIsFetchedAgainOnlyWhenItChanged(t *testing.T) {
	version, full := 1, 0
	s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "reader" || password != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		tag := fmt.Sprintf(`"v%d"`, version)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full++
		w.Header().Set("ETag", tag)
		_, _ = fmt.Fprint(w, people)
		if version > 1 {
			_, _ = fmt.Fprint(w, "boss,Bob\n")
		}
	}, nil)
	got, first, err := read(t, s, nil)
	if err != nil || len(got) != 1 || !first.Full || !first.Complete || len(first.Next) == 0 {
		t.Fatal(got, first, err)
	}
	got, second, err := read(t, s, first.Next)
	if err != nil || len(got) != 0 || second.Full || !second.Complete || string(second.Next) != string(first.Next) {
		t.Fatal(got, second, err)
	}
	version = 2
	got, third, err := read(t, s, second.Next)
	if err != nil || len(got) != 2 || !third.Full || !third.Complete || string(third.Next) == string(first.Next) || full != 2 {
		t.Fatal(got, third, err, full)
	}
	if strings.Contains(string(third.Next), "s3cret") || strings.Contains(string(third.Next), "t0ken") {
		t.Error("a secret in the cursor")
	}
	if p, err := s.Preset(context.Background()); err != nil || p.Mapping["first_name"].Attribute != "first name" {
		t.Error(p, err)
	}
}

func TestACursorOfOtherSettingsReadsEverything(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Last-Modified", "Sat, 21 Nov 2026 12:00:00 GMT")
		_, _ = fmt.Fprint(w, people)
	}
	s, _ := serve(t, h, nil)
	_, first, err := read(t, s, nil)
	if err != nil || !strings.Contains(string(first.Next), "Sat, 21 Nov") {
		t.Fatal(first, err)
	}
	other, _ := serve(t, h, setting.Values{"key": "first name"})
	for _, from := range []source.Cursor{first.Next, source.Cursor("{"), source.Cursor("null")} {
		if got, reading, err := read(t, other, from); err != nil || len(got) != 1 || !reading.Full {
			t.Error(got, reading, err)
		}
	}
}

func TestAnIncompleteReadingIsNotRemembered(t *testing.T) {
	s, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"1"`)
		_, _ = fmt.Fprint(w, people+",Nobody\n")
	}, nil)
	if _, reading, err := read(t, s, nil); err != nil || reading.Complete || reading.Next != nil {
		t.Error(reading, err)
	}
}

func TestAnswersThatAreNoFile(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		v      setting.Values
		want   string
		kind   fault.Kind
		hint   string
	}{
		"not allowed":   {func(w http.ResponseWriter) { w.WriteHeader(403) }, nil, "answers 403", fault.Denied, "username"},
		"not there":     {func(w http.ResponseWriter) { w.WriteHeader(404) }, nil, "answers 404", fault.NotFound, "url"},
		"out of order":  {func(w http.ResponseWriter) { w.WriteHeader(500) }, nil, "answers 500", fault.Unavailable, "its log"},
		"a part":        {func(w http.ResponseWriter) { w.WriteHeader(206) }, nil, "answers 206", fault.Unavailable, "cache or proxy"},
		"too often":     {func(w http.ResponseWriter) { w.WriteHeader(429) }, nil, "answers 429", fault.Unavailable, "more rarely"},
		"some other":    {func(w http.ResponseWriter) { w.WriteHeader(418) }, nil, "answers 418", fault.Unavailable, "check the url"},
		"304 unasked":   {func(w http.ResponseWriter) { w.WriteHeader(304) }, nil, "answers 304", fault.Unavailable, "cache or proxy"},
		"no content":    {func(w http.ResponseWriter) { w.WriteHeader(204) }, nil, "answers 204", fault.Unavailable, "nothing at this address"},
		"a web page":    {func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html; charset=utf-8") }, nil, "web page", fault.Invalid, "sign-in"},
		"a gzip file":   {func(w http.ResponseWriter) { _, _ = fmt.Fprint(w, "\x1f\x8b\x08\x00") }, nil, "a compressed file", fault.Invalid, "unpack"},
		"nothing in it": {func(http.ResponseWriter) {}, nil, "is empty", fault.Invalid, "header"},
		"too large, as announced": {func(w http.ResponseWriter) { _, _ = fmt.Fprint(w, people) }, setting.Values{"max_size": int64(8)},
			"larger than 8 bytes", fault.Invalid, "max_size"},
		"too large, unannounced": {func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			_, _ = fmt.Fprint(w, people)
		}, setting.Values{"max_size": int64(8)}, "larger than 8 bytes", fault.Invalid, "max_size"},
		"cut off": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = fmt.Fprint(w, people)
		}, nil, "unexpected EOF", fault.Unavailable, "hung up"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }, c.v)
			got, reading, err := read(t, s, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != c.kind || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Fatal(got, reading, err, fault.HintOf(err))
			}
			if text := err.Error() + fault.HintOf(err); strings.Contains(text, "s3cret") || strings.Contains(text, "t0ken") {
				t.Error("a secret shows:", text)
			}
		})
	}
}

func TestAFileThatTheServerPacksIsUnpacked(t *testing.T) {
	s, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = fmt.Fprint(z, people)
		_ = z.Close()
	}, nil)
	if got, reading, err := read(t, s, nil); err != nil || len(got) != 1 || !reading.Complete {
		t.Error(got, reading, err)
	}
}

func TestFiveRedirectsAreFollowed(t *testing.T) {
	for _, hops := range []int{5, 6} {
		s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var n int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &n)
			if n == hops {
				_, _ = fmt.Fprint(w, people)
				return
			}
			http.Redirect(w, r, fmt.Sprintf("/%d", n+1), http.StatusFound)
		}, nil)
		got, _, err := read(t, s, nil)
		if hops == 5 && (err != nil || len(got) != 1) {
			t.Error(got, err)
		}
		if hops == 6 && (err == nil || !strings.Contains(err.Error(), "more than five times") || fault.HintOf(err) == "") {
			t.Error(err, fault.HintOf(err))
		}
	}
}

func TestAServerThatIsNotThereIsExplained(t *testing.T) {
	s, srv := serve(t, func(http.ResponseWriter, *http.Request) {}, nil)
	srv.Close()
	if _, _, err := read(t, s, nil); fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), "is the server up") {
		t.Error(err, fault.HintOf(err))
	}
}

func TestAServerThatDoesNotAnswerMeetsTheTimeLimit(t *testing.T) {
	release := make(chan struct{})
	s, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, people)
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, setting.Values{"timeout": 50 * time.Millisecond})
	defer close(release)
	_, _, err := read(t, s, nil)
	if err == nil || !strings.Contains(err.Error(), "no complete answer within 50ms") || !strings.Contains(fault.HintOf(err), "raise timeout") {
		t.Error(err)
	}
}

// A server that sees us hang up may end its answer as if that were all.
func TestAnEndThatWeBroughtAboutIsNotTheFiles(t *testing.T) {
	for name, cause := range map[string]error{"time limit": errTimeout, "cancelled": context.Canceled} {
		ctx, cancel := context.WithCancelCause(t.Context())
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		s, _ := serve(t, nil, nil)
		body := io.MultiReader(strings.NewReader(people), hangUp(func() { cancel(cause) }))
		err = s.(*table).download(ctx, &copyOf{File: f}, body)
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hangUp is the end of an answer that comes while we hang up.
type hangUp func()

func (h hangUp) Read([]byte) (int, error) { h(); return 0, io.EOF }

func TestCredentialsStayWithTheirServer(t *testing.T) {
	seen := ""
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization") + r.Header.Get("Referer")
		if r.URL.Path == "/locked" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, people)
	}))
	defer other.Close()
	target := other.URL
	s, srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			if _, _, ok := r.BasicAuth(); !ok {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = fmt.Fprint(w, people)
			return
		}
		http.Redirect(w, r, target, http.StatusFound)
	}, nil)
	if got, _, err := read(t, s, nil); err != nil || len(got) != 1 || seen != "" {
		t.Error("another server", got, seen, err)
	}
	target = other.URL + "/locked"
	if _, _, err := read(t, s, nil); fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), strings.TrimPrefix(other.URL, "https://")+", which is not given username and password") {
		t.Error("another server that wants a password", err, fault.HintOf(err))
	}
	target = srv.URL + "/moved"
	if got, _, err := read(t, s, nil); err != nil || len(got) != 1 {
		t.Error("the same server", got, err)
	}
	for _, target = range []string{"http://example.org/x?token=t0ken", strings.Replace(srv.URL, "https", "http", 1) + "/t0ken", srv.URL + "/people.csv"} {
		if _, _, err := read(t, s, nil); fault.KindOf(err) != fault.Unavailable || strings.Contains(err.Error(), "t0ken") || !strings.Contains(fault.HintOf(err), "set url") {
			t.Error(target, err, fault.HintOf(err))
		}
	}
}

func TestACertificateNobodySignedIsExplained(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked all the same") }))
	defer srv.Close()
	s, err := Kind.Open(setting.Values{"url": srv.URL}, source.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, s, nil); fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), "tls.ca_file") {
		t.Error(err)
	}
	var last source.Step
	s.Check(context.Background(), func(st source.Step) { last = st })
	if last.Name != "TLS" || last.Verdict != source.Fail || !strings.Contains(last.Hint, "tls.ca_file") {
		t.Errorf("%+v", last)
	}
}

func TestCheckGoesFromTheNameToTheRows(t *testing.T) {
	s, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, people) }, nil)
	var b strings.Builder
	s.Check(context.Background(), func(st source.Step) { fmt.Fprintf(&b, "%s %s, ", st.Name, st.Verdict) })
	if got := b.String(); got != "DNS skip, TCP ok, TLS ok, HTTP ok, encoding ok, separator ok, header warn, key column ok, rows ok, " {
		t.Error(got)
	}
}

// nowhere is a guard that lets names pass, and no connection.
type nowhere struct{ refused int }

func (*nowhere) Check(u *url.URL) error {
	if u.Hostname() == "localhost" {
		return fault.New(fault.Invalid, "localhost is this machine").WithHint("name the network")
	}
	return nil
}

func (n *nowhere) Dial(bool) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, address string) (net.Conn, error) {
		n.refused++
		return nil, fault.New(fault.Denied, "refused: %s is no public address", address)
	}
}

// Who may make a connection, and not write rollcall.yaml, gets no way into the network
// that the server stands in.
func TestOnlyWhoWritesTheConfigurationReadsTablesFromInside(t *testing.T) {
	asked := 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = fmt.Fprint(w, people)
	}))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	writeCA(t, srv, dir)
	settings := func(address string) setting.Values {
		return setting.Values{"url": address, "tls.ca_file": "ca.pem", "passwords": "none"}
	}
	guard := &nowhere{}
	if _, err := Kind.Open(settings("https://localhost/people.csv"), source.Env{Dir: dir, Guard: guard}); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "csv: url: localhost is this machine") || fault.HintOf(err) != "name the network" {
		t.Errorf("an address that is refused as it stands: %v, hint %q", err, fault.HintOf(err))
	}
	s, err := Kind.Open(settings(srv.URL), source.Env{Dir: dir, Guard: guard})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, s, nil); fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), "webhooks.allow_private") {
		t.Errorf("a table inside: %v, hint %q", err, fault.HintOf(err))
	}
	var failed []string
	s.Check(t.Context(), func(step source.Step) {
		if step.Verdict == source.Fail {
			failed = append(failed, step.Name)
		}
	})
	if asked != 0 || guard.refused != 2 || strings.Join(failed, " ") != "TCP" {
		t.Errorf("the server was asked %d times; refused %d; failed %v", asked, guard.refused, failed)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err = Kind.Open(settings(srv.URL), source.Env{Dir: dir, Guard: guard, Declared: true}); err != nil {
		t.Fatal(err)
	}
	if got, _, err := read(t, s, nil); err != nil || len(got) != 1 || asked != 1 {
		t.Errorf("one of rollcall.yaml: %v, %v, asked %d times", got, err, asked)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
