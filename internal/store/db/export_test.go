package db

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// LimitLog sets the lengths of SQLite's log, in bytes, at which it is copied and
// begun anew.
func (d *DB) LimitLog(copied, begun int) { d.writer.log.limits = logLimits{copied, begun} }

// LogCopied waits until the log is not being copied.
func (d *DB) LogCopied() {
	d.writer.log.under <- struct{}{}
	<-d.writer.log.under
}

// BreakCopying lets nothing but the writer's own connection reach the file.
func (d *DB) BreakCopying() error { return d.write.Close() }

// Waits sets how long others wait for a process that stands still while it writes.
func (d *DB) Waits(most time.Duration) { d.waits(most) }

// Look looks once for sessions that stand still, however soon after the last time.
func (d *DB) Look(ctx context.Context) error {
	d.still.last = time.Time{}
	return d.look(ctx)
}

// LockSteps takes the lock of who brings the schema up to date.
func (d *DB) LockSteps(ctx context.Context) (conn *sql.Conn, free func() error, err error) {
	locker, err := d.stepLock()
	if err != nil {
		return nil, nil, err
	}
	if conn, err = d.write.Conn(ctx); err != nil {
		return nil, nil, err
	}
	return conn, func() error { return errors.Join(locker.SessionUnlock(ctx, conn), conn.Close()) }, locker.SessionLock(ctx, conn)
}

// Address is that of a PostgreSQL database.
func (d *DB) Address() string { return d.dsn }

// Page is the size of a page, in bytes, by which the log's length is reckoned.
func (d *DB) Page() int { return d.writer.log.page }

// Guarded tells, by the name of what they are for, which of SQLite's connections are
// guarded by a mutex of their own.
func (d *DB) Guarded(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	look := func(what string, conn *sql.Conn) error {
		return conn.Raw(func(driver any) error {
			handle, ok := handleOf(driver)
			if !ok {
				return errors.New("the driver does not keep its handle where it did")
			}
			tls := libc.NewTLS()
			defer tls.Close()
			out[what] = sqlite3.Xsqlite3_db_mutex(tls, handle) != 0
			return nil
		})
	}
	errs := []error{look("writing", d.writer.conn)}
	for what, pool := range map[string]*sql.DB{"copying": d.write, "reading": d.read, "scanning": d.scan} {
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		errs = append(errs, look(what, conn), conn.Close())
	}
	return out, errors.Join(errs...)
}
