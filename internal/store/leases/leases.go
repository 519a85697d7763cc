// Package leases keeps the right to work on a connection: one process at a
// time, with a fencing number that every write of a run checks. It hands leases
// to the engine and the connection's remembered state with them.
package leases

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/db"
)

// Length is how long a lease lasts without a sign of life. The engine gives one
// every third of it.
const Length = 30 * time.Second

// Leases is the table.
type Leases struct{ DB *db.DB }

// Acquire takes the connection's lease, or says who has it. A connection seen
// for the first time gets its row.
func (l *Leases) Acquire(ctx context.Context, alias, organization, kind string) (mirror.Lease, error) {
	lease := mirror.Lease{Connection: alias}
	err := l.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO connections (alias, organization, kind) VALUES ($1, $2, $3)
			ON CONFLICT (alias) DO UPDATE SET kind = excluded.kind`, alias, organization, kind); err != nil {
			return err
		}
		var owner, belongs string
		var left int64
		row := tx.QueryRowContext(ctx, `SELECT organization, lease_owner, lease_until - `+tx.Now()+` FROM connections WHERE alias = $1`+tx.Locked(), alias)
		if err := row.Scan(&belongs, &owner, &left); err != nil {
			return db.Explain("read the lease", err)
		}
		if err := (&engine.State{Alias: alias, Organization: belongs}).Belongs(organization); err != nil {
			return err
		}
		if owner != "" && held(left) && !Dead(owner) {
			return busy(alias, owner, left)
		}
		row = tx.QueryRowContext(ctx, `UPDATE connections SET lease_owner = $2, lease_until = `+tx.Now()+` + $3, fence = fence + 1
			WHERE alias = $1 RETURNING fence`, alias, Self(), Length.Microseconds())
		return db.Explain("take the lease", row.Scan(&lease.Fence))
	})
	return lease, err
}

// held reports that a lease with so many microseconds left has not run out. One that has
// far more left than any is given was taken before the clock was put back: whoever has it
// and lives sets it right within seconds, and the fence stops them otherwise.
func held(left int64) bool { return left > 0 && left <= 2*Length.Microseconds() }

func busy(alias, owner string, left int64) error {
	return &fault.Error{Kind: fault.Conflict, Cause: engine.ErrBusy, Message: fmt.Sprintf("connection %s is being worked on by %s", alias, describe(owner)),
		Hint: fmt.Sprintf("wait until it has ended; if it was killed, its lease runs out in %d s", left/1e6+1)}
}

// Free looks, without taking it, whether a lease could be had; the error is that of
// Acquire.
func (l *Leases) Free(ctx context.Context, alias string) error {
	var owner string
	var left int64
	err := l.DB.Reader().QueryRowContext(ctx, `SELECT lease_owner, lease_until - `+l.DB.Now()+` FROM connections WHERE alias = $1`, alias).Scan(&owner, &left)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return db.Explain("read the lease", err)
	case owner != "" && held(left) && !Dead(owner):
		return busy(alias, owner, left)
	}
	return nil
}

// Busy names the connections that are being worked on. A lease that was left behind
// does not count: it has run out, or its process is dead as far as can be told from here.
func (l *Leases) Busy(ctx context.Context) (aliases []string, err error) {
	err = db.Each(ctx, l.DB.Reader(), `SELECT alias, lease_owner FROM connections WHERE lease_owner <> '' AND lease_until > `+l.DB.Now(), nil, func(rows *sql.Rows) error {
		var alias, owner string
		err := rows.Scan(&alias, &owner)
		if !Dead(owner) {
			aliases = append(aliases, alias)
		}
		return err
	})
	return aliases, err
}

// Renew is a sign of life.
func (l *Leases) Renew(ctx context.Context, lease mirror.Lease) error {
	return l.DB.Write(ctx, func(tx *db.Tx) error { return Hold(ctx, tx, lease) })
}

// Hold checks inside a writing transaction that the lease is still held, and
// renews it. Every write of a run begins with it.
func Hold(ctx context.Context, tx *db.Tx, lease mirror.Lease) error {
	n, err := tx.Exec(ctx, `UPDATE connections SET lease_until = `+tx.Now()+` + $3 WHERE alias = $1 AND fence = $2 AND lease_owner <> ''`,
		lease.Connection, lease.Fence, Length.Microseconds())
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "the lease on connection %s was lost to another process; this one stops here", lease.Connection).
			WithHint("this happens when a process stood still for more than %s; the other one has taken over", Length)
	}
	return err
}

// Idle reports inside a writing transaction that nobody works on a connection,
// and that nobody will before the transaction ends. It waits for nobody: a
// connection whose row another transaction holds is worked on.
func Idle(ctx context.Context, tx *db.Tx, alias string) (bool, error) {
	var left int64
	err := tx.QueryRowContext(ctx, `SELECT CASE WHEN lease_owner = '' THEN 0 ELSE lease_until - `+tx.Now()+` END FROM connections WHERE alias = $1`+tx.Unlocked(), alias).Scan(&left)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return !held(left), db.Explain("read the lease", err)
}

// Release gives the lease back; one that was lost is left alone.
func (l *Leases) Release(ctx context.Context, lease mirror.Lease) error {
	return l.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE connections SET lease_owner = '', lease_until = 0 WHERE alias = $1 AND fence = $2`, lease.Connection, lease.Fence)
		return err
	})
}

// State gives what is remembered of a connection.
func (l *Leases) State(ctx context.Context, alias string) (engine.State, error) {
	var s engine.State
	var reading string
	var last int64
	err := l.DB.Reader().QueryRowContext(ctx, `SELECT alias, organization, kind, rules, rules_text, attention, generation, planned, complete, reading, users, groups, cursor, last_full_at, mapping
		FROM connections WHERE alias = $1`, alias).Scan(&s.Alias, &s.Organization, &s.Kind, &s.Rules, &s.RulesText, &s.Attention,
		&s.Generation, &s.Planned, &s.Complete, &reading, &s.Users, &s.Groups, &s.Cursor, &last, &s.Mapping)
	if errors.Is(err, sql.ErrNoRows) {
		return engine.State{Alias: alias}, nil
	}
	if err != nil {
		return s, db.Explain("read connection "+alias, err)
	}
	s.LastFullAt = db.Time(last)
	if reading != "" {
		s.Reading = &source.Reading{}
		if err := json.Unmarshal([]byte(reading), s.Reading); err != nil {
			return s, fmt.Errorf("database: connection %s: reading: %w", alias, err)
		}
	}
	return s, nil
}

// Remember keeps why the next plan of a connection must wait for a person.
func (l *Leases) Remember(ctx context.Context, lease mirror.Lease, attention string) error {
	return l.DB.Write(ctx, func(tx *db.Tx) error {
		if err := Hold(ctx, tx, lease); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE connections SET attention = $2 WHERE alias = $1`, lease.Connection, attention)
		return err
	})
}

// Revoke takes a lease away that nobody holds any more, so that whoever had it
// and stands still cannot go on where it stopped. It reports false, and does
// nothing, where somebody holds the lease.
func Revoke(ctx context.Context, tx *db.Tx, alias string) (bool, error) {
	var owner string
	var left int64
	err := tx.QueryRowContext(ctx, `SELECT lease_owner, lease_until - `+tx.Now()+` FROM connections WHERE alias = $1`+tx.Locked(), alias).Scan(&owner, &left)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, db.Explain("read the lease", err)
	}
	if owner != "" && held(left) && !Dead(owner) {
		return false, nil
	}
	_, err = tx.Exec(ctx, `UPDATE connections SET lease_owner = '', lease_until = 0, fence = fence + 1 WHERE alias = $1`, alias)
	return err == nil, err
}

// Self names this process: host, process, when it started, and where its number
// counts.
func Self() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return host + "/" + strconv.Itoa(os.Getpid()) + "/" + startOf(os.Getpid()) + "/" + space()
}

// space names the space of process numbers this process lives in. Two containers
// may have one host name, and a process 1 each.
func space() string {
	name, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.NewReplacer("/", "", "pid:", "").Replace(name)
}

// Dead reports that the owner was a process of this machine which is gone, so
// that nobody waits for the lease of a killed one to run out.
func Dead(owner string) bool {
	host, process, ok := strings.Cut(owner, "/")
	mine, err := os.Hostname()
	if !ok || err != nil || host != mine {
		return false
	}
	number, rest, _ := strings.Cut(process, "/")
	started, counts, _ := strings.Cut(rest, "/")
	pid, err := strconv.Atoi(number)
	if err != nil || started == "" || counts != space() {
		return false
	}
	return startOf(pid) != started
}

// startOf is when a process started, from /proc; "" where there is no such
// process or no /proc. A number used again by a later process differs here.
func startOf(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The command's name may hold spaces and brackets: count from its end.
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	if fields := strings.Fields(rest); ok && len(fields) > 19 {
		return fields[19]
	}
	return ""
}

func describe(owner string) string {
	host, process, _ := strings.Cut(owner, "/")
	pid, _, _ := strings.Cut(process, "/")
	return fmt.Sprintf("process %s on %s", pid, host)
}
