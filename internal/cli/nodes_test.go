package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/rollcall/internal/rig/postgres"
)

// application takes deliveries, and counts them by event.
type application struct {
	mu  sync.Mutex
	got map[int64]int
}

func (c *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var told struct {
		Data struct{ ID int64 } `json:"data"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &told) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got[told.Data.ID]++
}

// lacks names the first event up to a last one that did not come.
func (c *application) lacks(last int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := int64(1); id <= last; id++ {
		if c.got[id] == 0 {
			return id
		}
	}
	return 0
}

// send asks for something with a body, and gives status and answer; 0 where nobody
// answered.
func (s *served) send(method, path, body string) (int, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// Whole servers this time: three on one PostgreSQL, killed while they run and
// deliver. Every event comes to the application at least once, and every file's
// people are there in the end.
func TestServersThatAreKilledLoseNoDelivery(t *testing.T) {
	t.Parallel()
	const files, rounds = 4, 6
	db, err := postgres.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Stop(); err != nil {
			t.Error(err)
		}
	})
	if dsn, err := url.Parse(db.DSN); err == nil {
		password, _ := dsn.User.Password()
		secret(password)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "database: %q\nlisten: 127.0.0.1:0\nwebhooks: {allow_private: [127.0.0.1/32]}\norganizations: [{id: sunfix}]\nconnections:\n", db.DSN)
	for i := range files {
		fmt.Fprintf(&b, "  - {alias: file-%d, organization: sunfix, limits: {identity_changes: 100%%, removals: 100%%}, backend: {csv: {path: %d.csv, passwords: none}}}\n", i, i)
	}
	h := newHouse(t, b.String())
	people := 0
	grow := func(file int) {
		t.Helper()
		text, err := os.ReadFile(h.path(fmt.Sprint(file, ".csv")))
		if err != nil {
			text = []byte("username,email,first_name,last_name\n")
		}
		for range 30 {
			people++
			text = fmt.Appendf(text, "p%d,p%d@x.org,Given%d,Family\n", people, people, people)
		}
		// In one step: who reads now reads all of it.
		h.write("new.csv", string(text))
		if err := os.Rename(h.path("new.csv"), h.path(fmt.Sprint(file, ".csv"))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		grow(i)
	}
	key := regexp.MustCompile(`rk_\w+`).FindString(h.run(0, "apikeys", "create", "--scope", "operator"))
	nodes := []*served{h.serve(key), h.serve(key), h.serve(key)}
	app := &application{got: map[int64]int{}}
	endpoint := httptest.NewServer(app)
	t.Cleanup(endpoint.Close)
	if status, answer := nodes[0].send(http.MethodPost, "/api/v1/webhooks", fmt.Sprintf(`{"url": %q, "from": 0}`, endpoint.URL)); status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	seed := uint64(os.Getpid())
	random := rand.New(rand.NewPCG(seed, 8))
	ask := func(file int, wait string) string {
		t.Helper()
		for {
			status, answer := nodes[random.IntN(len(nodes))].send(http.MethodPost, fmt.Sprintf("/api/v1/connections/file-%d/sync%s", file, wait), "{}")
			if status == http.StatusAccepted || status == http.StatusOK {
				return answer
			}
		}
	}
	for range rounds {
		for range 3 {
			file := random.IntN(files)
			grow(file)
			ask(file, "")
		}
		wait := time.NewTimer(time.Duration(random.IntN(400)) * time.Millisecond)
		<-wait.C
		place := random.IntN(len(nodes))
		if err := nodes[place].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = nodes[place].cmd.Wait()
		nodes[place] = h.serve(key)
	}
	for file := range files {
		for !strings.Contains(ask(file, "?wait=true"), `"state":"applied"`) {
		}
	}
	if status, answer := nodes[0].get("/api/v1/connections"); status != 200 || strings.Contains(answer, `"failing"`) {
		t.Errorf("%d %s", status, answer)
	}
	settled(t, db.DSN, app)
	for _, n := range nodes {
		n.ends()
	}
	if got := strings.Count(h.run(0, "accounts", "list", "--limit", "0", "--output", "json"), `"external_id"`); got != people {
		t.Errorf("seed %d: %d accounts of %d people", seed, got, people)
	}
	hasNot(t, h.run(0, "doctor"), "FAIL")
}

// settled waits until every event was delivered. The ninety seconds for which a
// delivery is the node's that was killed are over at once.
func settled(t *testing.T, dsn string, app *application) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `UPDATE deliveries SET next_at = 0 WHERE state = 'pending'`); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var last int64
		if err := conn.QueryRow(t.Context(), `SELECT value FROM counters WHERE name = 'event'`).Scan(&last); err != nil {
			t.Fatal(err)
		}
		if app.lacks(last) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("event %d was not delivered", app.lacks(last))
		}
	}
}
