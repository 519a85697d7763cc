//go:build unix

package cli

import (
	"database/sql"
	"net"
	"net/url"
	"sync"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // to look how far a process has come

	"rollcall.dev/rollcall/internal/rig/postgres"
)

// mute passes connections on to an address until it is silenced: then it takes what
// comes, new connections too, and nobody hears anything any more.
type mute struct {
	addr    string
	silence func()
}

func muted(t *testing.T, to string) *mute {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := make(chan struct{})
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	pass := func(from, to net.Conn) {
		all.Go(func() {
			b := make([]byte, 32<<10)
			for {
				n, err := from.Read(b)
				select {
				case <-silent: // that somebody hangs up is noticed all the same
				default:
					if err == nil {
						_, err = to.Write(b[:n])
					}
				}
				if err != nil {
					from.Close()
					to.Close()
					return
				}
			}
		})
	}
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
			pass(client, server)
			pass(server, client)
		}
	})
	return &mute{addr: l.Addr().String(), silence: sync.OnceFunc(func() { close(silent) })}
}

// Ctrl-C while the database does not answer: the command ends soon, and the next run
// goes on from where it was.
func TestInterruptedWhileTheDatabaseIsSilent(t *testing.T) {
	t.Parallel()
	s, err := postgres.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	dsn, err := url.Parse(s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	line := muted(t, dsn.Host)
	dsn.Host = line.addr
	const people = 10_000
	h := newHouse(t, "database: ${DATABASE}\n"+staff)
	h.apart = true
	h.env["DATABASE"] = s.DSN
	h.write("people.csv", numbered(people))
	h.run(0, "connections", "list") // makes the tables
	direct, err := sql.Open("pgx", s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	h.env["DATABASE"] = dsn.String()
	p := h.start("sync", "staff")
	for n := 0; n == 0; {
		if err := direct.QueryRowContext(t.Context(), `SELECT count(*) FROM plans WHERE applied > 0`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	line.silence()
	p.signal(syscall.SIGINT)
	r := p.end()
	if r.status != 1 {
		t.Errorf("exit status %d, want 1", r.status)
	}
	has(t, r.err, "stopped before the end; what was applied so far is whole, and the next run goes on from there", "it did not answer, and this process was told to end")
	h.env["DATABASE"] = s.DSN
	h.run(0, "sync", "staff")
	if n := len(h.people("--status", "active")); n != people {
		t.Errorf("%d accounts, want %d", n, people)
	}
	hasNot(t, h.run(0, "doctor"), "FAIL")
}
