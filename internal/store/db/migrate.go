package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"modernc.org/sqlite"

	"rollcall.dev/rollcall/internal/fault"
)

//go:embed schema/*.sql
var schema embed.FS

// words turns the one schema into each database's own. EXACT is text that is compared
// and ordered byte by byte; IN_POSTGRESQL begins a line that the other one leaves out.
var words = map[Dialect]*strings.Replacer{
	SQLite:     strings.NewReplacer("BYTES", "blob", "WITHOUT_ROWID", "WITHOUT ROWID", "ROWID", "integer", "EXACT", "text", "IN_POSTGRESQL", "--"),
	PostgreSQL: strings.NewReplacer("BYTES", "bytea", " WITHOUT_ROWID", "", "ROWID", "bigint", "EXACT", `text COLLATE "C"`, "IN_POSTGRESQL ", ""),
}

// migrations gives the schema's steps in the words of a dialect.
func migrations(d Dialect) (fs.FS, error) {
	out := fstest.MapFS{}
	files, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := schema.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out[strings.TrimPrefix(name, "schema/")] = &fstest.MapFile{Data: []byte(words[d].Replace(string(text)))}
	}
	return out, nil
}

func (d *DB) provider() (*goose.Provider, error) {
	files, err := migrations(d.Dialect)
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	dialect := goose.DialectSQLite3
	if d.Dialect == PostgreSQL {
		dialect = goose.DialectPostgres
		// Two nodes that start at once must not both migrate.
		locker, err := d.stepLock()
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, d.write, files, options...)
}

// stepLock is held by who brings the schema up to date.
func (d *DB) stepLock() (lock.SessionLocker, error) {
	locker, err := lock.NewPostgresSessionLocker()
	return limited{locker, d.still.most}, err
}

// limited is a lock whose holder PostgreSQL ends when it stands still: between two
// statements of a step it keeps everybody from the tables, and between two steps all who
// start. It is done by way of pg_settings, since older ones do not know of the second.
type limited struct {
	lock.SessionLocker
	most time.Duration
}

const limits = ` FROM pg_settings WHERE name IN ('idle_in_transaction_session_timeout', 'idle_session_timeout')`

func (l limited) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := l.SessionLocker.SessionLock(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `SELECT set_config(name, $1, false)`+limits, strconv.FormatInt(l.most.Milliseconds(), 10)); err != nil {
		return errors.Join(err, l.SessionLocker.SessionUnlock(ctx, conn))
	}
	return nil
}

func (l limited) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT set_config(name, reset_val, false)`+limits)
	return errors.Join(err, l.SessionLocker.SessionUnlock(ctx, conn))
}

func (d *DB) migrate(ctx context.Context) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return unfit("read the schema's version", err)
	}
	if have > want {
		return fault.New(fault.Conflict, "database: its schema is version %d, this program knows %d: it was written by a newer rollcall", have, want).
			WithHint("run the newer program again, or restore a backup made before the update; nothing was changed")
	}
	if have > 0 {
		if err := d.released(ctx); err != nil {
			return err
		}
	}
	if have == want {
		return nil
	}
	if err := d.everyIndex(ctx, have); err != nil {
		return err
	}
	defer d.lookout(ctx)()
	// SQLite has no lock across steps: of two processes that start at once the slower one
	// comes upon a step that is done, each of which is one transaction. It goes on behind it.
	for {
		_, err := p.Up(ctx)
		if err == nil {
			return nil
		}
		now, verr := p.GetDBVersion(ctx)
		if verr != nil || now == have {
			return unfit("bring the schema up to date", err)
		}
		if have = now; have == want {
			return nil
		}
	}
}

// unfit explains why a step cannot be made: where it is nothing that happens to everybody,
// the tables, or the list of steps that were made, are not as any rollcall leaves them.
func unfit(doing string, err error) error {
	err = explain(doing, err)
	var s *sqlite.Error
	var p *pgconn.PgError
	amiss := errors.As(err, &s) || errors.As(err, &p)
	if fault.HintOf(err) != "" || !amiss && !strings.Contains(err.Error(), "missing ") { // a step is, or the one before all; these are no type of goose's
		return err
	}
	return fault.New(fault.Internal, "%w", err).
		WithHint("the tables, or the steps noted in goose_db_version, are not as a rollcall leaves them: the database was altered from outside, is half of a backup, or belongs to another program. Restore the last whole backup, or name another in `database`; nothing of the step was kept")
}

// released refuses a database whose first step is that of a program before the
// first release: its groups and stored plans are kept in another way, and no step
// leads from there to here.
func (d *DB) released(ctx context.Context) error {
	_, err := d.write.ExecContext(ctx, `SELECT 1 FROM tallies WHERE 1 = 0`)
	if err != nil && strings.Contains(err.Error(), "tallies") {
		return fault.New(fault.Conflict, "database: it was written by a rollcall from before the first release, which kept it in another way").
			WithHint("keep it for the program that wrote it, name a new one in `database`, and synchronise into that; nothing was changed")
	}
	return explain("look at the schema", err)
}

// Down takes the schema back to a version, for tests of the way back and for
// the steps in docs/operations.md.
func (d *DB) Down(ctx context.Context, version int64) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return explain("read the schema's version", err)
	}
	if err := d.everyIndex(ctx, have); err != nil {
		return err
	}
	_, err = p.DownTo(ctx, version)
	return err
}

// everyIndex builds what was deferred, before a step that may change it.
func (d *DB) everyIndex(ctx context.Context, version int64) error {
	const deferring = 21 // the step since which indexes may be
	if version < deferring {
		return nil
	}
	return d.BuildIndexes(ctx)
}
