package db_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

// halfway copies rows into things behind a rename of the organization, which nobody else
// can rename meanwhile, and calls then before each row.
func halfway(ctx context.Context, d *db.DB, then func(row int)) error {
	big := bytes.Repeat([]byte{7}, 100_000) // more than the driver collects before it sends
	return d.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE organizations SET name = 'asleep'`); err != nil {
			return err
		}
		return tx.Insert(ctx, "things", []string{"number", "content"}, 40, func(i int, into []any) {
			then(i)
			into[0], into[1] = int64(i), big
		}, "")
	})
}

// childDSN is the variable that makes this test's program a process that copies, says a
// word in the middle of it and goes on when it is told to.
const childDSN = "ROLLCALL_DB_DSN"

func child() int {
	ctx := context.Background()
	d, err := db.Open(ctx, os.Getenv(childDSN), "")
	if err == nil {
		err = halfway(ctx, d, func(row int) {
			if row == 20 {
				fmt.Println("halfway")
				_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // its end is as good
			}
		})
	}
	fmt.Println(err, fault.HintOf(err))
	return 0
}

func rename(t *testing.T, d *db.DB, name string) error {
	return d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE organizations SET name = $1`, name)
		return err
	})
}

func copied(t *testing.T) (d, other *db.DB) {
	dsn := databases.Blank(t)["PostgreSQL"]
	d, other = open(t, dsn), open(t, dsn)
	write(t, d, `INSERT INTO organizations (id, name, created_at) VALUES ('org', 'Organization', 1)`)
	write(t, d, `CREATE TABLE things (number bigint PRIMARY KEY, content bytea NOT NULL)`)
	return d, other
}

// In the middle of a COPY PostgreSQL has no time limit of its own for who stands still,
// and a process that is stopped has a kernel that answers for it.
func TestAProcessThatIsStoppedWhileCopyingKeepsNobodyWaitingForEver(t *testing.T) {
	d, other := copied(t)
	other.Waits(300 * time.Millisecond)
	told := make(chan error, 10)
	other.OnTrouble(func(err error) { told <- err })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDSN+"="+d.Address())
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said := bufio.NewReader(out)
	if line, err := said.ReadString('\n'); line != "halfway\n" {
		t.Fatal(line, err)
	}
	if err := cmd.Process.Signal(pause); err != nil {
		t.Fatal(err)
	}
	if err := rename(t, other, "awake"); err != nil {
		t.Error(err)
	}
	if err := <-told; !strings.Contains(err.Error(), "a process at 127.0.0.1 stood still for 300ms") {
		t.Errorf("told: %v", err)
	}
	if err := errors.Join(cmd.Process.Signal(resume), in.Close()); err != nil {
		t.Fatal(err)
	}
	if line, err := said.ReadString('\n'); !strings.Contains(line, "copy into things") || !strings.Contains(line, "this process stood still") {
		t.Errorf("it says %q (%v)", line, err)
	}
	if got := texts(t, d, `SELECT name FROM organizations`); !slices.Equal(got, []string{"awake"}) {
		t.Errorf("it is called %q", got)
	}
	if got := texts(t, d, `SELECT count(*) FROM things`); got[0] != "0" {
		t.Errorf("%s rows of it are there", got[0])
	}
}

// A copy may take as long as it needs, as long as it moves.
func TestWhoCopiesSlowlyIsLeftAlone(t *testing.T) {
	d, other := copied(t)
	other.OnTrouble(func(err error) { t.Error(err) })
	moved := func() string {
		return texts(t, other, `SELECT coalesce(sum(bytes_processed), 0) || '' FROM pg_stat_progress_copy WHERE relid = 'things'::regclass`)[0]
	}
	var waits atomic.Bool
	renamed := make(chan error, 1)
	at := ""
	err := halfway(t.Context(), d, func(row int) {
		switch {
		case row == 0:
			go func() {
				waits.Store(true)
				renamed <- rename(t, other, "awake")
			}()
			for !waits.Load() || len(texts(t, d, `SELECT 'x' FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`)) == 0 {
			}
		case row > 2:
			for now := at; now == at; now = moved() {
			}
			at = moved()
			if err := other.Look(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-renamed; err != nil {
		t.Error(err)
	}
	if got := texts(t, d, `SELECT count(*) || '' FROM things`); got[0] != fmt.Sprint(40) {
		t.Errorf("%s rows are there", got[0])
	}
}

// What the queue does in a transaction keeps nobody waiting for longer either.
func TestConnectionsOfTheQueueStandStillNoLonger(t *testing.T) {
	pool, err := open(t, databases.Blank(t)["PostgreSQL"]).Pool(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var got string
	if err := pool.QueryRow(t.Context(), `SELECT current_setting('idle_in_transaction_session_timeout')`).Scan(&got); err != nil || got != "1min" {
		t.Errorf("%q, %v", got, err)
	}
}

// Whoever stands still while the schema is brought up to date is ended as well, in a step
// and between two; who is done with it is as before.
func TestWhoStandsStillInAStepOfTheSchemaIsEnded(t *testing.T) {
	dsn := databases.Blank(t)["PostgreSQL"]
	d, other := open(t, dsn), open(t, dsn)
	d.Waits(200 * time.Millisecond)
	for name, doing := range map[string]string{"in a step": `BEGIN; LOCK TABLE organizations`, "between two": `SELECT 1`} {
		conn, free, err := d.LockSteps(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ExecContext(t.Context(), doing); err != nil {
			t.Fatal(err)
		}
		for locked := true; locked; {
			if err := other.Reader().QueryRowContext(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&locked); err != nil {
				t.Fatal(name, err)
			}
		}
		if err := rename(t, other, "awake"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := conn.ExecContext(t.Context(), `SELECT 1`); err == nil {
			t.Errorf("%s: it goes on", name)
		}
		_ = free()
	}
	_, free, err := d.LockSteps(t.Context())
	if err == nil {
		err = free()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"idle_in_transaction_session_timeout", "idle_session_timeout"} {
		if got := texts(t, d, `SELECT current_setting('`+name+`')`); !slices.Equal(got, []string{"0"}) {
			t.Errorf("%s is %v afterwards", name, got)
		}
	}
}
