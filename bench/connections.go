//go:build unix

package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/operate"
	"rollcall.dev/rollcall/internal/rig/postgres"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/nodes"
)

// fleet is an installation of many small connections: files of people, a hundred
// connections an organization.
type fleet struct {
	options
	dir      string
	database string // its address
	listen   string
	list     []setting.Connection
	store    *store.Store
	asks     *operate.Operator
}

// Connection and Scheduled make a fleet the Connections of an operator.
func (f *fleet) Connection(_ context.Context, alias string) (setting.Connection, error) {
	i := slices.IndexFunc(f.list, func(c setting.Connection) bool { return c.Alias == alias })
	if i < 0 {
		return setting.Connection{}, fmt.Errorf("there is no connection %q", alias)
	}
	return f.list[i], nil
}

// Scheduled hands on none: the server has the schedules.
func (f *fleet) Scheduled(context.Context, func(setting.Connection) error) error { return nil }

// figures are what is said of a fleet on one database.
type figures struct {
	ready           time.Duration // from the start of the process until it answers
	scheduled       time.Duration // from then until every schedule is known
	idleCPU         float64       // share of a processor while nothing is due
	idleRSS         int64
	first           burst // every connection once, everybody new
	unchanged       burst // again, nobody changed
	lags            []time.Duration
	every           time.Duration
	scheduleCPU     float64 // share of a processor while the schedule has them run
	scheduleRSS     int64
	missed, planned int
}

type burst struct {
	wall, cpu time.Duration
	rss       int64
}

// measureFleet measures many connections on each database.
func measureFleet(ctx context.Context, o options) error {
	w := bufio.NewWriter(os.Stdout)
	_, err := fmt.Fprintf(w, "# %d connections of %d people each\n\nWritten by `make bench BENCH=\"-connections %d\"` on %s: %s, %d processors, %s, %s/%s. Load at the beginning: %s.\n\n",
		o.connections, o.each, o.connections, time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, load())
	if err != nil {
		return err
	}
	for _, database := range o.databases {
		f, err := measureFleetOn(ctx, o, database)
		if err != nil {
			return fmt.Errorf("%s: %w", database, err)
		}
		f.write(w, o, database)
	}
	return w.Flush()
}

func measureFleetOn(ctx context.Context, o options, database string) (out figures, err error) {
	f := &fleet{options: o}
	if f.dir, err = os.MkdirTemp("", "rollcall-bench-"); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(f.dir)) }()
	f.database = "sqlite:" + filepath.Join(f.dir, "rollcall.db")
	if database == "postgres" {
		server, err := postgres.Start(ctx, postgres.Durable())
		if err != nil {
			return out, err
		}
		defer server.Stop()
		f.database = server.DSN
	}
	note("%d connections on %s: writing", o.connections, database)
	if err := f.found(ctx); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, f.store.Close()) }()
	if err := f.idle(ctx, &out); err != nil {
		return out, err
	}
	if err := f.bursts(ctx, &out); err != nil {
		return out, err
	}
	return out, f.schedule(ctx, &out)
}

// found writes the files and opens the database.
func (f *fleet) found(ctx context.Context) error {
	var err error
	if f.listen, err = freePort(ctx); err != nil {
		return err
	}
	for i := range f.connections {
		var b strings.Builder
		b.WriteString("username,first_name,last_name,email,title\n")
		for p := range f.each {
			fmt.Fprintf(&b, "c%dp%d,Given%d,Family%d,p%d@c%d.example.org,Clerk\n", i, p, p, p, p, i)
		}
		if err := os.WriteFile(filepath.Join(f.dir, fmt.Sprintf("c%d.csv", i)), []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	if err := f.configure("every 24h"); err != nil {
		return err
	}
	cfg, err := config.Load(filepath.Join(f.dir, "rollcall.yaml"), all.Kinds(), nil)
	if err != nil {
		return err
	}
	f.list = cfg.Connections
	if f.store, err = store.Open(ctx, f.database, f.dir); err != nil {
		return err
	}
	f.asks, err = operate.New(ctx, operate.Options{Store: f.store, Engine: &engine.Engine{Store: f.store, Now: time.Now}, Connections: f, Node: nodes.Node{ID: "bench"}})
	return err
}

// freePort is an address of this machine where nobody listens.
func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (f *fleet) configure(schedule string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s\ndatabase: %q\nworkers: %d\norganizations:\n", f.listen, f.database, f.workers)
	const each = 100
	for i := 0; i < f.connections; i += each {
		fmt.Fprintf(&b, "- id: o%d\n", i/each)
	}
	b.WriteString("connections:\n")
	for i := range f.connections {
		fmt.Fprintf(&b, "- alias: c%d\n  organization: o%d\n  schedule: %s\n  backend: {csv: {path: c%d.csv, passwords: none}}\n", i, i/each, schedule, i)
	}
	return os.WriteFile(filepath.Join(f.dir, "rollcall.yaml"), []byte(b.String()), 0o600)
}

// serving runs a server while fn does, and gives how long it took to be ready.
func (f *fleet) serving(ctx context.Context, fn func(pid int, ready time.Duration) error) (err error) {
	cmd := exec.CommandContext(ctx, f.binary, "serve", "--config", filepath.Join(f.dir, "rollcall.yaml"))
	cmd.Dir = f.dir
	log, err := os.Create(filepath.Join(f.dir, "serve.log"))
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		if err != nil {
			text, _ := os.ReadFile(log.Name()) //nolint:errcheck // the first error counts
			err = fmt.Errorf("%w\n%s", err, text[max(0, len(text)-2000):])
		}
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
		<-ended //nolint:errcheck // what went wrong was said by fn
		err = errors.Join(err, log.Close())
	}()
	err = poll(ctx, 10*time.Millisecond, func() (bool, error) {
		select {
		case err := <-ended:
			ended <- err
			return false, fmt.Errorf("the server ended: %w", err)
		default:
		}
		res, err := http.Get("http://" + f.listen + "/readyz")
		if err != nil {
			return false, nil // not yet
		}
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode == http.StatusOK, errors.Join(err, res.Body.Close())
	})
	if err != nil {
		return err
	}
	return fn(cmd.Process.Pid, time.Since(start))
}

// poll asks every so often until the answer is yes.
func poll(ctx context.Context, every time.Duration, yes func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := yes(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fleet) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = f.store.DB.Reader().QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// idle measures a server whose schedules are far away.
func (f *fleet) idle(ctx context.Context, out *figures) error {
	note("idle")
	return f.serving(ctx, func(pid int, ready time.Duration) error {
		out.ready = ready
		start := time.Now()
		err := poll(ctx, 20*time.Millisecond, func() (bool, error) {
			n, err := f.count(ctx, `SELECT count(*) FROM schedules`)
			return n == f.connections, err
		})
		out.scheduled = time.Since(start)
		if err != nil {
			return err
		}
		out.idleCPU, err = share(ctx, pid, f.window/4)
		out.idleRSS = memory(pid, "VmRSS")
		return err
	})
}

// bursts measures what happens when everything is asked for at once.
func (f *fleet) bursts(ctx context.Context, out *figures) error {
	for i, b := range []*burst{&out.first, &out.unchanged} {
		note("every connection at once, %d of 2", i+1)
		for _, c := range f.list {
			if _, err := f.asks.Sync(ctx, c.Alias, false, "schedule", "bench"); err != nil {
				return err
			}
		}
		err := f.serving(ctx, func(pid int, _ time.Duration) error {
			start, before := time.Now(), ticks(pid)
			err := poll(ctx, 50*time.Millisecond, func() (bool, error) {
				waiting, running, err := f.store.WorkTable.Counts(ctx)
				return waiting+running == 0, err
			})
			b.wall, b.cpu, b.rss = time.Since(start), ticks(pid)-before, memory(pid, "VmHWM")
			return err
		})
		if err != nil {
			return err
		}
		failed, err := f.count(ctx, `SELECT count(*) FROM runs WHERE state <> 'applied'`)
		if err == nil && failed > 0 {
			err = fmt.Errorf("%d runs were not applied", failed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// schedule measures how long after their moment runs begin, when every connection
// comes once in an interval.
func (f *fleet) schedule(ctx context.Context, out *figures) error {
	note("by schedule, every %s", f.every)
	if err := f.configure("every " + f.every.String()); err != nil {
		return err
	}
	out.every = f.every
	return f.serving(ctx, func(pid int, _ time.Duration) error {
		// The schedules are taken over first, and what was missed meanwhile is no lag.
		warm := time.NewTimer(f.window / 4)
		defer warm.Stop()
		select {
		case <-warm.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		from := time.Now()
		var err error
		if out.scheduleCPU, err = share(ctx, pid, f.window); err != nil {
			return err
		}
		out.scheduleRSS = memory(pid, "VmHWM")
		until := from.Add(f.window)
		begun := map[string]time.Time{}
		err = db.Each(ctx, f.store.DB.Reader(), `SELECT connection, started_at FROM runs WHERE started_at >= $1 AND state IN ('applied', 'running')`, []any{db.Micros(from)}, func(rows *sql.Rows) error {
			var alias string
			var at int64
			err := rows.Scan(&alias, &at)
			begun[alias] = db.Time(at)
			return err
		})
		if err != nil {
			return err
		}
		for _, c := range f.list {
			s, err := config.ParseSchedule("every "+f.every.String(), "", c.Alias, -1)
			if err != nil {
				return err
			}
			// Those whose moment lies in the last second may begin after it.
			due := s.Next(from)
			if due.After(until.Add(-5 * time.Second)) {
				continue
			}
			out.planned++
			if at, ok := begun[c.Alias]; ok && !at.Before(due) {
				out.lags = append(out.lags, at.Sub(due))
			} else {
				out.missed++
			}
		}
		return nil
	})
}

// ticks is the processor time of a process so far.
func ticks(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)   //nolint:errcheck // the kernel writes numbers
	system, _ := strconv.ParseInt(fields[12], 10, 64) //nolint:errcheck // the kernel writes numbers
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is a figure of /proc/PID/status, in bytes.
func memory(pid int, name string) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(b)) {
		if f := strings.Fields(l); len(f) > 1 && f[0] == name+":" {
			n, _ := strconv.ParseInt(f[1], 10, 64) //nolint:errcheck // the kernel writes numbers
			return n << 10
		}
	}
	return 0
}

// share is how much of one processor a process uses for a while.
func share(ctx context.Context, pid int, d time.Duration) (float64, error) {
	before, start := ticks(pid), time.Now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return (ticks(pid) - before).Seconds() / time.Since(start).Seconds(), nil
}

func (x *figures) write(w io.Writer, o options, database string) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format, args...) } //nolint:errcheck // kept by the writer until Flush
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	p("## %s\n\nOne server with %d workers.\n\n| | |\n|---|---|\n", map[string]string{"sqlite": "SQLite", "postgres": "PostgreSQL"}[database], o.workers)
	p("| start, until it answers | %.2f s |\n| until every schedule is known | %.2f s |\n", x.ready.Seconds(), x.scheduled.Seconds())
	p("| idle: nothing is due | %.2f %% of a processor, %.0f MiB |\n", 100*x.idleCPU, mib(x.idleRSS))
	for _, b := range []struct {
		what string
		b    burst
	}{{"everything at once, everybody new", x.first}, {"everything at once, nobody changed", x.unchanged}} {
		p("| %s | %.1f s: %.0f runs a second, %.0f people a second; CPU %.1f s, peak %.0f MiB |\n", b.what, b.b.wall.Seconds(),
			float64(o.connections)/b.b.wall.Seconds(), float64(o.connections*o.each)/b.b.wall.Seconds(), b.b.cpu.Seconds(), mib(b.b.rss))
	}
	p("| every connection once in %s | %.1f %% of a processor, peak %.0f MiB |\n", x.every, 100*x.scheduleCPU, mib(x.scheduleRSS))
	if len(x.lags) > 0 {
		slices.Sort(x.lags)
		at := func(q float64) float64 { return x.lags[int(q*float64(len(x.lags)-1))].Seconds() }
		p("| runs begin after their moment by | median %.2f s, 99 %% %.2f s, at most %.2f s |\n", at(0.5), at(0.99), at(1))
	}
	p("| moments that came, and were missed | %d, %d |\n\n", x.planned, x.missed)
}
