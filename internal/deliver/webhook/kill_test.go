package webhook

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/hooks"
)

// nodeDSN makes the test's program a node that delivers what is in a database.
const nodeDSN = "ROLLCALL_DELIVER_DSN"

// node delivers until it is killed.
func node() int {
	ctx := context.Background()
	d, err := db.Open(ctx, os.Getenv(nodeDSN), "")
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	w := &Worker{Hooks: &hooks.Hooks{DB: d, Sealer: plainly{}, Now: time.Now}, Sender: NewSender(loopback, nil, time.Now), Log: slog.New(slog.DiscardHandler), Now: time.Now}
	fmt.Println("ready")
	w.Run(ctx)
	return 0
}

// launch starts a node and gives what kills it.
func launch(h *house, dsn string) (kill func()) {
	h.Helper()
	cmd := exec.CommandContext(h.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), nodeDSN+"="+dsn)
	out, err := cmd.StdoutPipe()
	h.must(err)
	h.must(cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		h.Fatalf("a node says %q, %v", line, err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// Nodes are killed in the middle of what they do, again and again: every event
// arrives, under one ID, and counts as one delivery.
func TestNodesThatAreKilledLoseAndDoubleNothing(t *testing.T) {
	for _, name := range []string{"SQLite", "PostgreSQL"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := databases.SQLite(t)
			if name == "PostgreSQL" {
				dsn = databases.PostgreSQL(t)
			}
			d := databases.Open(t, dsn)
			h := &house{T: t, db: d, clock: time.Now()}
			h.hooks = &hooks.Hooks{DB: d, Sealer: plainly{}, Now: h.now, Check: loopback.Check}
			var mu sync.Mutex
			came := map[string]int64{} // message to event
			arrived := make(chan struct{}, 10000)
			w, _ := h.endpoint(func(_ http.ResponseWriter, r *http.Request) {
				var got struct{ Data struct{ ID int64 } }
				b, err := io.ReadAll(r.Body)
				if err != nil || json.Unmarshal(b, &got) != nil {
					return // its sender was killed
				}
				mu.Lock()
				defer mu.Unlock()
				id := r.Header.Get("Webhook-Id")
				if was, ok := came[id]; ok && was != got.Data.ID {
					t.Errorf("%s tells of %d and of %d", id, was, got.Data.ID)
				}
				came[id] = got.Data.ID
				arrived <- struct{}{}
			})
			const rounds, told = 6, 30
			kills := []func(){launch(h, dsn), launch(h, dsn)}
			for round := range rounds {
				h.clock = time.Now()
				h.tell(told)
				for range 5 { // some are on their way by then
					<-arrived
				}
				kills[round%2]()
				kills[round%2] = launch(h, dsn)
			}
			kills[0]()
			kills[1]()
			// Another node comes, when what the killed ones had is free again.
			h.clock = time.Now().Add(2 * lease)
			h.worker = &Worker{Hooks: h.hooks, Sender: NewSender(loopback, nil, h.now), Log: slog.New(slog.DiscardHandler), Now: h.now}
			for waiting := 1; waiting > 0; {
				h.step()
				var err error
				waiting, _, err = h.hooks.Waiting(t.Context())
				h.must(err)
			}
			list, err := h.hooks.Deliveries(t.Context(), "", w.ID, hooks.Delivered, "", 10000)
			h.must(err)
			if len(list) != rounds*told {
				t.Errorf("%d deliveries of %d events", len(list), rounds*told)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(came) != rounds*told {
				t.Errorf("%d of %d arrived", len(came), rounds*told)
			}
			for _, one := range list {
				if came[one.ID] != *one.Event {
					t.Errorf("%s of event %d did not arrive", one.ID, *one.Event)
				}
			}
		})
	}
}
