package db

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"rollcall.dev/rollcall/internal/fault"
)

// standstill is how long others wait at the most for a process that stands still in the
// middle of writing: its machine sleeps, or the network to it is gone. PostgreSQL waits
// for ever of itself, and the locks of the transaction with it: nobody took over then.
const standstill = time.Minute

// looks is how often a session is to be found where it was before it counts as one that
// stands still, evenly within that time. It is not the clock that is asked: whoever looks
// may have slept as well, and the other one goes on then, too.
const looks = 6

func (d *DB) waits(most time.Duration) {
	d.begin = fmt.Sprintf("BEGIN; SET LOCAL idle_in_transaction_session_timeout = %d", most.Milliseconds())
	d.still.most = most
}

// askAfter has PostgreSQL notice within the same time that nobody is there any more to
// whom it listens in the middle of a statement (COPY). Its own choice is two hours. It
// gives what sets that, but for what the address sets itself.
func askAfter(params map[string]string) (sql string) {
	for _, p := range []struct{ name, value string }{{"tcp_keepalives_idle", "30"}, {"tcp_keepalives_interval", "5"}, {"tcp_keepalives_count", "6"}} {
		if _, chosen := params[p.name]; !chosen {
			sql += "SET " + p.name + " = " + p.value + ";"
		}
	}
	return sql
}

// still is what was seen of sessions of PostgreSQL that keep others waiting.
type still struct {
	most time.Duration
	mu   sync.Mutex
	last time.Time
	seen map[session]int // how often in a row
}

// session is one that PostgreSQL waits for in the middle of a statement, and how far
// the statement got: one that moves is another one at the next look.
type session struct {
	pid    int32
	began  time.Time // of the session: numbers are used again
	since  time.Time
	copied int64  // bytes
	from   string // its address
}

// A statement is `active` while PostgreSQL waits for what its client still has to send
// of it. Neither idle_in_transaction_session_timeout nor statement_timeout ends that
// (ProcessClientReadInterrupt heeds nothing but the end of the session there), and where
// the process was stopped, its machine's kernel goes on answering tcp_keepalives.
// Only sessions of our own user in our own database are told of, and only those that
// somebody waits for. See https://www.postgresql.org/docs/current/monitoring-stats.html.
const stillQuery = `SELECT a.pid, a.backend_start, a.state_change, COALESCE(c.bytes_processed, 0), COALESCE(host(a.client_addr), 'this machine')
	FROM pg_stat_activity a LEFT JOIN pg_stat_progress_copy c ON c.pid = a.pid
	WHERE a.datname = current_database() AND a.usename = session_user AND a.state = 'active' AND a.wait_event = 'ClientRead'
	AND a.pid IN (SELECT unnest(pg_blocking_pids(w.pid)) FROM pg_stat_activity w WHERE w.datname = current_database() AND w.wait_event_type = 'Lock')`

const endQuery = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE pid = $1 AND backend_start = $2 AND state_change = $3 AND state = 'active' AND wait_event = 'ClientRead'`

// lookout looks for sessions that stand still until what it gives is called: whoever
// writes for long may be waiting for one.
func (d *DB) lookout(ctx context.Context) (end func()) {
	if d.Dialect != PostgreSQL {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	every := d.still.most / looks
	timer := time.AfterFunc(every, func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			if err := d.look(ctx); err != nil && ctx.Err() == nil {
				d.Tell(err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		timer.Stop()
		cancel()
	}
}

// look looks once, for all of this process who wait, and ends the sessions that were
// where they are each time. It has a connection of its own: all others may be waiting.
func (d *DB) look(ctx context.Context) error {
	d.still.mu.Lock()
	defer d.still.mu.Unlock()
	if every := d.still.most / looks; time.Since(d.still.last) < every*9/10 {
		return nil // somebody else just did
	}
	ctx, cancel := context.WithTimeout(ctx, d.still.most)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.dsn)
	if err != nil {
		return explain("look who keeps others waiting", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	rows, err := conn.Query(ctx, stillQuery, pgx.QueryExecModeExec)
	if err != nil {
		return explain("look who keeps others waiting", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s session, err error) {
		return s, row.Scan(&s.pid, &s.began, &s.since, &s.copied, &s.from)
	})
	if err != nil {
		return explain("look who keeps others waiting", err)
	}
	seen := map[session]int{}
	for _, s := range found {
		s.began, s.since = s.began.UTC(), s.since.UTC()
		if seen[s] = d.still.seen[s] + 1; seen[s] <= looks {
			continue
		}
		// Who waited goes on at once, and what comes of it is to be told all the same.
		if _, err := conn.Exec(context.WithoutCancel(ctx), endQuery, pgx.QueryExecModeExec, s.pid, s.began, s.since); err != nil {
			return explain("end a session that stands still", err)
		}
		d.Tell(fault.New(fault.Unavailable, "database: a process at %s stood still for %s in the middle of writing, and others waited for it: its session was ended", s.from, d.still.most).
			WithHint("nothing of its unfinished step was kept, and others go on with its work; if it happens again, look why that machine, container or process is stopped"))
	}
	d.still.last, d.still.seen = time.Now(), seen
	return nil
}
