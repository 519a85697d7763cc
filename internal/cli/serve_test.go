package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// served is the program serving, as its own process.
type served struct {
	*house
	cmd *exec.Cmd
	url string
	key string
	log *until
}

const servedConfiguration = `
listen: 127.0.0.1:0
organizations: [{id: sunfix}]
connections:
  - {alias: staff, organization: sunfix, backend: {csv: {path: people.csv, passwords: none}}}
`

func serving(t *testing.T, more string) *served {
	t.Helper()
	h := newHouse(t, servedConfiguration+more)
	h.write("people.csv", "username,email,first_name,last_name\njdoe,jane@x.org,Jane,Doe\n")
	return h.serve(regexp.MustCompile(`rk_\w+`).FindString(h.run(0, "apikeys", "create", "--scope", "operator")))
}

// serve starts a server in a house.
func (h *house) serve(key string) *served {
	h.Helper()
	s := &served{house: h, key: key, log: &until{enough: func() {}}}
	s.cmd = exec.Command(binary(h.T), "--config", h.path("rollcall.yaml"), "serve")
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		record(h.Name()+": serve", s.log.String())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	found := regexp.MustCompile(`listening on (\S+)\)`).FindStringSubmatch(line)
	if err != nil || found == nil {
		h.Fatalf("it said %q (%v)\n%s", line, err, s.log)
	}
	s.url = "http://" + found[1]
	return s
}

// get asks for a path and gives status and body.
func (s *served) get(path string) (int, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// logs waits until the server has logged something.
func (s *served) logs(words string) {
	s.Helper()
	s.log.wait(s.T, words)
}

// wait waits until something was written.
func (u *until) wait(t *testing.T, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	u.mu.Lock()
	u.words, u.enough = []string{words}, cancel
	there := strings.Contains(u.b.String(), words)
	u.mu.Unlock()
	if there {
		return
	}
	<-ctx.Done()
	if !strings.Contains(u.String(), words) {
		t.Fatalf("%q was not written:\n%s", words, u)
	}
}

func (s *served) ends() {
	s.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.Fatalf("%v\n%s", err, s.log)
	}
}

func TestAServerTellsOfItselfReloadsAndDrains(t *testing.T) {
	s := serving(t, "")
	for path, want := range map[string]string{"/healthz": `"status":"ok"`, "/readyz": `"database":"ok"`, "/metrics": "go_goroutines", "/api/v1/connections": `"staff"`, "/api/v1/openapi.json": `"openapi": "3.1`} {
		if status, body := s.get(path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	reload := func(config, said string) {
		t.Helper()
		s.write("rollcall.yaml", config)
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.logs(said)
	}
	reload(servedConfiguration+"  - {alias: guests, organization: sunfix, backend: {csv: {path: people.csv, passwords: none}}}\nworkers: 9\n", `msg="configuration reloaded"`)
	s.logs("key=workers")
	reload(servedConfiguration+"nonsense: 1\n", "not reloaded")
	if status, body := s.get("/api/v1/connections/guests"); status != 200 {
		t.Errorf("after a file that cannot be read: %d %s", status, body)
	}
	s.ends()
	s.logs("msg=stopped")
}

func TestARunThatIsUnderWayAtTheEndIsCarriedOnAtTheNextStart(t *testing.T) {
	s := serving(t, "")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/connections/staff/sync", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var run struct{ ID, State string }
	if err := json.NewDecoder(res.Body).Decode(&run); err != nil || res.StatusCode != http.StatusAccepted || run.State != "running" {
		t.Fatalf("%d %+v %v", res.StatusCode, run, err)
	}
	_ = res.Body.Close()
	s.ends()
	// Ended by the drain, or waiting for the next start: never lost.
	again := s.serve(s.key)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	follow, err := http.NewRequestWithContext(ctx, http.MethodGet, again.url+"/api/v1/runs/"+run.ID+"/progress", nil)
	if err != nil {
		t.Fatal(err)
	}
	follow.Header.Set("Authorization", "Bearer "+s.key)
	follow.Header.Set("Accept", "text/event-stream")
	stream, err := http.DefaultClient.Do(follow)
	if err != nil {
		t.Fatal(err)
	}
	told, err := io.ReadAll(stream.Body)
	_ = stream.Body.Close()
	if err != nil || !strings.Contains(string(told), "event: end") {
		t.Errorf("%v\n%s", err, told)
	}
	if _, body := again.get("/api/v1/runs/" + run.ID); !strings.Contains(body, `"state":"applied"`) {
		t.Error(body)
	}
	again.ends()
}

func TestAPortThatIsTakenIsToldBeforeAnyWorkBegins(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // the test is about somebody else
	h := newHouse(t, fmt.Sprintf("listen: %s\n", l.Addr()))
	if said := h.refuses(1, "serve"); !strings.Contains(said, "address already in use") || !strings.Contains(said, "hint: another process has the port") {
		t.Error(said)
	}
}

// A collector gets the spans of a run, and of the request that asked for it.
func TestTracesGoToTheCollector(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			if z, err := gzip.NewReader(r.Body); err == nil {
				body = z
			}
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&got, r.URL.Path)
		_, _ = io.Copy(&got, body)
	}))
	defer collector.Close()
	s := serving(t, "tracing: {endpoint: \""+collector.URL+"\"}\nlog: {format: json}\n")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/connections/staff/sync?wait=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	_ = res.Body.Close()
	s.ends()
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"/v1/traces", "service.name", "rollcall.connection", "staff", "planning", "POST", "\x0a\xf7\x65\x19\x16\xcd\x43\xdd"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%q was not sent", want)
		}
	}
	if !strings.Contains(s.log.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`) {
		t.Errorf("no line of the log names the trace:\n%s", s.log)
	}
	if strings.Contains(got.String(), "jdoe") || strings.Contains(got.String(), s.key) {
		t.Error("a person, or a key, is in the traces")
	}
}
