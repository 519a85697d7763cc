//go:build unix

package cli

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to look how far a process has come

	"rollcall.dev/rollcall/internal/rig/openldap"
)

// stalling passes connections on to an address, and after a number of bytes
// from there passes nothing more. stalled is closed then.
type stalling struct {
	addr    string
	stalled chan struct{}
}

func stallAfter(t *testing.T, to string, limit int64) *stalling {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stalling{addr: l.Addr().String(), stalled: make(chan struct{})}
	var all sync.WaitGroup
	var once sync.Once
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); close(done); all.Wait() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				return
			}
			all.Go(func() {
				_, _ = io.Copy(server, client)
				server.Close()
			})
			all.Go(func() {
				if n, _ := io.CopyN(client, server, limit); n == limit {
					once.Do(func() { close(s.stalled) })
					<-done
				}
				client.Close()
				server.Close()
			})
		}
	})
	return s
}

func waitFor(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-t.Context().Done():
		t.Fatalf("waiting for %s: %v", what, t.Context().Err())
	}
}

// Ctrl-C while the directory is being read: nothing of the reading counts, and
// the next run is as if it had never begun.
func TestInterruptedWhileReading(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	for name, sig := range map[string]syscall.Signal{"Ctrl-C": syscall.SIGINT, "a service stopped": syscall.SIGTERM, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			slow := stallAfter(t, strings.TrimPrefix(s.URL, "ldap://"), 9000)
			h := newHouse(t, strings.Replace(hq(s, ""), s.URL, "ldap://"+slow.addr+"\n        sync: {page_size: 5}", 1))
			h.env["HQ_PASSWORD"] = s.ReaderPassword
			p := h.start("sync", "hq")
			waitFor(t, "the middle of the reading", slow.stalled)
			has(t, h.refuses(1, "sync", "hq"), fmt.Sprintf("hq is being worked on by process %d", p.cmd.Process.Pid), "hint: ")
			p.signal(sig)
			r := p.end()
			if sig == syscall.SIGKILL {
				if r.status != -1 {
					t.Errorf("exit status %d", r.status)
				}
			} else {
				if r.status != 1 {
					t.Errorf("exit status %d, want 1", r.status)
				}
				has(t, r.err, "rollcall: stopped before the end; nothing was changed")
				hasNot(t, r.err, "context canceled")
				has(t, h.run(0, "runs", "list"), "failed", "stopped before the end")
			}
			if n := len(h.people()); n != 0 {
				t.Errorf("%d accounts came of half a reading", n)
			}
			h.write("rollcall.yaml", hq(s, ""))
			var run ran
			h.json(0, &run, "sync", "hq")
			if run.Summary.Create != 35 {
				t.Errorf("the next run: %+v", run.Summary)
			}
			hasNot(t, h.run(0, "doctor"), "FAIL")
			eventsAreWhole(t, h)
		})
	}
}

// What a killed backup leaves behind does not pass for one.
func TestABackupHasItsNameWhenItIsWhole(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.apart = true
	h.write("people.csv", "username,first_name,last_name,email\nanna,Anna,Berg,anna@example.org\n")
	h.run(0, "sync", "staff")
	p := h.start("backup", h.path("copy.db"))
	for begun := []string(nil); len(begun) == 0; {
		begun, _ = filepath.Glob(h.path("copy.db*"))
		if t.Context().Err() != nil {
			t.Fatal("the backup does not begin")
		}
	}
	p.signal(syscall.SIGKILL)
	p.end()
	if _, err := os.Stat(h.path("copy.db")); err == nil {
		h.env["ROLLCALL_DATABASE"] = "sqlite:" + h.path("copy.db")
		if n := len(h.people()); n != 1 {
			t.Errorf("%d accounts are in what was copied", n)
		}
		return
	}
	h.run(0, "backup", h.path("copy.db"))
	if left, _ := filepath.Glob(h.path("copy.db,*")); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}

// A process that ends in the middle of applying leaves the database at the end
// of some chunk; the next run carries the plan on from there, to the same end.
func TestInterruptedWhileApplying(t *testing.T) {
	t.Parallel()
	const people = 10_000
	var rows strings.Builder
	rows.WriteString("username,first_name,last_name,email\n")
	for i := range people {
		fmt.Fprintf(&rows, "p%d,First%d,Last%d,p%d@example.org\n", i, i, i, i)
	}
	for name, sig := range map[string]syscall.Signal{"Ctrl-C": syscall.SIGINT, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, staff)
			h.apart = true
			h.write("people.csv", rows.String())
			h.run(0, "connections", "list") // makes the database
			// The first account of the second chunk takes for ever.
			h.inside(`CREATE TRIGGER the_middle AFTER INSERT ON accounts WHEN EXISTS (SELECT 1 FROM plans WHERE applied = 2) BEGIN
				INSERT INTO accounts (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;
				END`)
			p := h.start("sync", "staff")
			reached(t, h.path("rollcall.db"), 1)
			p.signal(sig)
			if r := p.end(); sig != syscall.SIGKILL {
				if r.status != 1 {
					t.Errorf("exit status %d, want 1", r.status)
				}
				has(t, r.err, "stopped before the end; what was applied so far is whole, and the next run goes on from there")
				hasNot(t, r.err, "could not be marked")
				has(t, h.run(0, "runs", "list"), "failed")
			}
			half := len(h.people())
			if half == 0 || half == people {
				t.Fatalf("%d accounts: this was not the middle", half)
			}
			h.inside(`DROP TRIGGER the_middle`)
			r := h.try("sync", "staff")
			if r.status != 0 {
				t.Fatalf("the next run: %d %s%s", r.status, r.out, r.err)
			}
			if n := len(h.people("--status", "active")); n != people {
				t.Errorf("%d accounts, want %d", n, people)
			}
			hasNot(t, h.run(0, "doctor"), "FAIL")
			eventsAreWhole(t, h)
			var runs []ran
			h.json(0, &runs, "runs", "list")
			if len(runs) != 2 || runs[1].State != "applied" || runs[1].Summary.Create != people || runs[0].Summary.Create != 0 {
				t.Errorf("the runs: %+v", runs)
			}
			has(t, h.run(0, "plan", "staff"), "nothing to do")
		})
	}
}

// inside does to the database what no command does.
func (h *house) inside(query string) {
	h.Helper()
	db, err := sql.Open("sqlite", "file:"+h.path("rollcall.db")+"?_pragma=busy_timeout(20000)")
	if err != nil {
		h.Fatal(err)
	}
	_, err = db.Exec(query)
	if err := errors.Join(err, db.Close()); err != nil {
		h.Fatal(err)
	}
}

// reached waits until a process has written so many accounts.
func reached(t *testing.T, path string, accounts int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(20000)&_pragma=query_only(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < accounts; {
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-tick.C:
		}
		if err := db.QueryRow("SELECT count(*) FROM accounts").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// Who follows the events sees those of others, and leaves with Ctrl-C.
func TestFollowingEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.write("people.csv", threePeople)
	h.run(0, "organizations", "list")
	cmd := exec.Command(binary(t), "--config", h.path("rollcall.yaml"), "events", "tail", "--follow", "--output", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	h.run(0, "sync", "staff")
	lines := bufio.NewScanner(out)
	n := 0
	for lines.Scan() {
		n++
		record("events tail --follow", lines.Text())
		if !strings.Contains(lines.Text(), fmt.Sprintf(`"id":%d,`, n)) {
			t.Errorf("event %d is %s", n, lines.Text())
		}
		if strings.Contains(lines.Text(), `"run.applied"`) {
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() {
		t.Errorf("after the run: %s", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C is the way to end it, and no error: %v", err)
	}
	if n != 4 {
		t.Errorf("%d events, want three people and the run", n)
	}
}

// What a backup leaves on a full disk would keep it full.
func TestABackupThatFindsNoRoomLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	people := []byte("username,first_name,last_name,email\n")
	for i := range 2000 { // more than is kept in memory until it is all there
		people = fmt.Appendf(people, "u%d,First,Last,u%d@example.org\n", i, i)
	}
	h.write("people.csv", string(people))
	h.run(0, "sync", "staff")
	if err := os.Mkdir(h.path("copies"), 0o700); err != nil {
		t.Fatal(err)
	}
	// A file that may not grow is as good as a disk: 600 KiB, and the copy has more than 2 MB.
	p := h.exec("bash", "-c", `trap '' XFSZ; ulimit -f 600; exec "$@"`, "bash", binary(t), "--config", h.path("rollcall.yaml"), "backup", h.path("copies/copy.db"))
	if r := p.end(); r.status != 1 || !strings.Contains(r.err, "hint: the disk is full or failing") {
		t.Errorf("status %d: %s", r.status, r.err)
	}
	left, err := os.ReadDir(h.path("copies"))
	if err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
}
