package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDSN) != "" {
		os.Exit(child())
	}
	os.Exit(databases.Main(m))
}

// both runs a test on a fresh database of each kind, given by its address.
func both(t *testing.T, fn func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		fn(t, "sqlite:"+filepath.Join(t.TempDir(), "a folder?with#marks%20.db"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		fn(t, databases.Blank(t)["PostgreSQL"])
	})
}

func open(t *testing.T, dsn string) *db.DB {
	t.Helper()
	d := databases.Open(t, dsn)
	return d
}

func write(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func texts(t *testing.T, d *db.DB, query string, args ...any) []string {
	t.Helper()
	var out []string
	err := db.Each(t.Context(), d.Reader(), query, args, func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		out = append(out, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tables lists the tables that are ours.
func tables(t *testing.T, d *db.DB) []string {
	t.Helper()
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose%' ORDER BY name`
	if d.Dialect == db.PostgreSQL {
		query = `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' ORDER BY table_name`
	}
	return texts(t, d, query)
}

func TestTheSchemaGoesDownAndUpAgain(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		before := tables(t, d)
		if !slices.Contains(before, "accounts") || !slices.Contains(before, "events") {
			t.Fatalf("the tables are %v", before)
		}
		if err := d.Down(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if left := tables(t, d); len(left) > 0 {
			t.Errorf("left after the way down: %v", left)
		}
		if after := tables(t, open(t, dsn)); !slices.Equal(before, after) {
			t.Errorf("up again there is %v instead of %v", after, before)
		}
	})
}

func TestBothDatabasesHaveTheSameTables(t *testing.T) {
	blank := databases.Blank(t)
	one, other := tables(t, open(t, blank["SQLite"])), tables(t, open(t, blank["PostgreSQL"]))
	if !slices.Equal(one, other) {
		t.Errorf("SQLite has %v and PostgreSQL %v", one, other)
	}
}

// An update restarts the server while a timer starts the command line.
func TestProcessesThatStartAtOnceBringTheSchemaUpToDateTogether(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				d, err := db.Open(t.Context(), dsn, "")
				if err == nil {
					err = d.Close()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		steps := texts(t, open(t, dsn), `SELECT CAST(version_id AS text) FROM goose_db_version ORDER BY version_id`)
		if alone := slices.Compact(slices.Clone(steps)); len(alone) != len(steps) || len(steps) < 2 {
			t.Errorf("the steps that were done are %v", steps)
		}
	})
}

func TestADatabaseOfANewerVersionIsRefusedAndLeftAlone(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		write(t, d, `INSERT INTO organizations (id, name, created_at) VALUES ('org', 'Organization', 1)`)
		write(t, d, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`)
		_, err := db.Open(t.Context(), dsn, "")
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "its schema is version 99999") || !strings.Contains(fault.HintOf(err), "run the newer program again") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
		if !slices.Equal(texts(t, d, `SELECT name FROM organizations`), []string{"Organization"}) || !slices.Contains(tables(t, d), "accounts") {
			t.Error("it was not left alone")
		}
	})
}

func TestADatabaseWhoseStepsAreAmissIsRefusedWithWhatToDo(t *testing.T) {
	for name, c := range map[string]struct{ harm, want string }{
		"a step is missing":              {`DELETE FROM goose_db_version WHERE version_id IN (7, 23)`, "version 7"},
		"a step is made that none tells": {`DELETE FROM goose_db_version WHERE version_id >= 22`, "already exists"},
		"none of them is told":           {`DROP TABLE goose_db_version`, "already exists"},
		"the list is empty":              {`DELETE FROM goose_db_version`, "read the schema's version"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, dsn string) {
				d := open(t, dsn)
				write(t, d, `INSERT INTO organizations (id, name, created_at) VALUES ('org', 'Organization', 1)`)
				write(t, d, c.harm)
				_, err := db.Open(t.Context(), dsn, "")
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), "Restore the last whole backup") {
					t.Errorf("%v, hint %q", err, fault.HintOf(err))
				}
				if !slices.Equal(texts(t, d, `SELECT name FROM organizations`), []string{"Organization"}) {
					t.Error("it was not left alone")
				}
			})
		})
	}
}

func TestADatabaseFromBeforeTheFirstReleaseIsRefusedAndLeftAlone(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		write(t, d, `INSERT INTO organizations (id, name, created_at) VALUES ('org', 'Organization', 1)`)
		write(t, d, `DROP TABLE tallies`)
		write(t, d, `DELETE FROM goose_db_version WHERE version_id > 1`)
		_, err := db.Open(t.Context(), dsn, "")
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "before the first release") || !strings.Contains(fault.HintOf(err), "nothing was changed") {
			t.Errorf("%v, hint %q", err, fault.HintOf(err))
		}
		if !slices.Equal(texts(t, d, `SELECT name FROM organizations`), []string{"Organization"}) || !slices.Contains(tables(t, d), "mirror") {
			t.Error("it was not left alone")
		}
	})
}

func TestWhatIsNoDatabaseIsRefusedWithAHintAndLeftAlone(t *testing.T) {
	folder := t.TempDir()
	letter := strings.Repeat("Dear database, this is a letter.\n", 500)
	path := filepath.Join(folder, "letter.txt")
	if err := os.WriteFile(path, []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dsn, words, hint string
		kind                   fault.Kind
	}{
		{"a letter", "sqlite:letter.txt", "file is not a database", "restore the last", fault.Internal},
		{"a folder that is not there", "sqlite:nowhere/x.db", "no such file or directory", "the folder must exist", fault.Unavailable},
		{"a folder", "sqlite:.", "is a directory", "the folder must exist", fault.Unavailable},
		{"another kind of address", "mysql://root:Sesame-Open@db/x", "neither sqlite:FILE nor postgres", "for instance sqlite:rollcall.db", fault.Invalid},
		{"nobody at home", "postgres://rollcall:Sesame-Open@127.0.0.1:1/x", "PostgreSQL at 127.0.0.1:1 cannot be reached", "check the address", fault.Unavailable},
		{"a wrong password", wrongPassword(t), "PostgreSQL refused user or password", "check both in `database`", fault.Unavailable},
		{"a user who may not come in", under(t, "stranger", "NOLOGIN", ""), `"stranger" is not permitted to log in`, "pg_hba.conf", fault.Unavailable},
		{"a user who may make no tables", under(t, "weak", "LOGIN", ""), "permission denied", "be granted CREATE", fault.Unavailable},
		{"a database for reading alone", under(t, "", "", "default_transaction_read_only=on"), "read-only transaction", "not a standby", fault.Unavailable},
		{"a time limit for statements", under(t, "", "", "statement_timeout=1"), "statement timeout", "SET statement_timeout = 0", fault.Unavailable},
		{"a database that is not there", strings.Replace(databases.Server(t).DSN, "/rollcall?", "/nowhere?", 1), `"nowhere" does not exist`, "CREATE DATABASE", fault.Unavailable},
		{"an address nobody can read", "postgres://rollcall:Sesame-Open@[::1/x", "the postgres address cannot be read", "it looks like", fault.Invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := db.Open(t.Context(), c.dsn, folder)
			if err == nil {
				t.Fatal("it was opened", d.Close())
			}
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("kind %d: %v, hint %q", fault.KindOf(err), err, fault.HintOf(err))
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "Sesame-Open") {
					t.Errorf("a password stands in %v", e)
				}
			}
		})
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != letter {
		t.Errorf("the letter was changed (%v)", err)
	}
}

// under is the address of a blank database for a user of its own, or with a setting.
func under(t *testing.T, role, may, setting string) string {
	t.Helper()
	u, err := url.Parse(databases.Blank(t)["PostgreSQL"])
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		write(t, open(t, databases.Server(t).DSN), `DROP ROLE IF EXISTS `+role)
		write(t, open(t, databases.Server(t).DSN), `CREATE ROLE `+role+` PASSWORD 'x' `+may)
		u.User = url.UserPassword(role, "x")
	}
	if name, value, ok := strings.Cut(setting, "="); ok {
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

func wrongPassword(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(databases.Server(t).DSN)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("rollcall", "Sesame-Open")
	return u.String()
}

func TestAConnectionThatIsCutInTheMiddleIsSaidWithAHint(t *testing.T) {
	dsn := databases.Blank(t)["PostgreSQL"]
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var lines []net.Conn
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", u.Host)
			if err != nil {
				near.Close()
				return
			}
			mu.Lock()
			lines = append(lines, near, far)
			mu.Unlock()
			go func() { _, _ = io.Copy(far, near); far.Close() }()
			go func() { _, _ = io.Copy(near, far); near.Close() }()
		}
	}()
	d := open(t, strings.Replace(dsn, u.Host, l.Addr().String(), 1))
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		mu.Lock()
		for _, c := range lines {
			c.Close()
		}
		mu.Unlock()
		_, err := tx.Exec(t.Context(), `INSERT INTO organizations (id, name, created_at) VALUES ('org', 'Organization', 1)`)
		return err
	})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "the connection to PostgreSQL was cut") || !strings.Contains(fault.HintOf(err), "run again") {
		t.Errorf("kind %d: %v, hint %q", fault.KindOf(err), err, fault.HintOf(err))
	}
}

// A machine that sleeps, or a network that is gone, keeps the others waiting for so long
// and no longer, whatever was locked; who comes back then has written nothing.
func TestWhoStandsStillWhileWritingKeepsNobodyWaitingForEver(t *testing.T) {
	dsn := databases.Blank(t)["PostgreSQL"]
	d, other := open(t, dsn), open(t, dsn)
	write(t, d, `INSERT INTO organizations (id, name, created_at) VALUES ('org', 'Organization', 1)`)
	rename := func(d *db.DB, name string, then func()) error {
		return d.Write(t.Context(), func(tx *db.Tx) error {
			for range 2 {
				if _, err := tx.Exec(t.Context(), `UPDATE organizations SET name = $1`, name); err != nil {
					return err
				}
				then()
			}
			return nil
		})
	}
	d.Waits(300 * time.Millisecond)
	err := rename(d, "asleep", func() {
		if err := rename(other, "awake", func() {}); err != nil {
			t.Error(err)
		}
	})
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), "stood still") {
		t.Errorf("kind %d: %v, hint %q", fault.KindOf(err), err, fault.HintOf(err))
	}
	if got := texts(t, d, `SELECT name FROM organizations`); !slices.Equal(got, []string{"awake"}) {
		t.Errorf("it is called %q", got)
	}
	if got := texts(t, d, `SELECT current_setting('idle_in_transaction_session_timeout')`); !slices.Equal(got, []string{"0"}) {
		t.Errorf("who reads has %q to wait", got)
	}
	if got := texts(t, d, `SELECT boot_val = '0' AND source = 'session' FROM pg_settings WHERE name LIKE 'tcp_keepalives%'`); slices.Contains(got, "false") || len(got) != 3 {
		t.Errorf("it looks whether somebody is there: %q", got)
	}
}

func TestTheFileIsReadableForItsOwnerAlone(t *testing.T) {
	folder := t.TempDir()
	d, err := db.Open(t.Context(), "sqlite:rollcall.db", folder)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // the test is about its files
	files, err := filepath.Glob(filepath.Join(folder, "rollcall.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", filepath.Base(f), info.Mode(), err)
		}
	}
}

func TestATransactionIsWrittenWholeOrNotAtAll(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		write(t, d, `CREATE TABLE things (name text PRIMARY KEY)`)
		insert := func(ctx context.Context, then error) error {
			return d.Write(ctx, func(tx *db.Tx) error {
				if _, err := tx.Exec(ctx, `INSERT INTO things (name) VALUES ($1)`, "half"); err != nil {
					return err
				}
				return then
			})
		}
		changed := errors.New("somebody changed their mind")
		if err := insert(t.Context(), changed); !errors.Is(err, changed) {
			t.Error(err)
		}
		func() {
			defer func() { _ = recover() }() //nolint:errcheck // the panic is the test
			_ = d.Write(t.Context(), func(tx *db.Tx) error {
				if _, err := tx.Exec(t.Context(), `INSERT INTO things (name) VALUES ($1)`, "panic"); err != nil {
					return err
				}
				panic("no")
			})
		}()
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO things (name) VALUES ($1)`, "cancelled")
			cancel()
			return err
		})
		if err == nil {
			t.Error("a transaction whose context had ended was committed")
		}
		if err := insert(ctx, nil); err == nil {
			t.Error("a transaction was begun with a context that had ended")
		}
		if left := texts(t, d, `SELECT name FROM things`); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		if err := insert(t.Context(), nil); err != nil {
			t.Errorf("after all of this nothing can be written: %v", err)
		}
	})
}

func TestInsertWritesAnyNumberOfRows(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		write(t, d, `CREATE TABLE things (number bigint PRIMARY KEY, name text NOT NULL)`)
		for _, n := range []int{0, 1, 8, 9, 63, 64, 65, 1000} {
			for _, conflict := range []string{"", "ON CONFLICT (number) DO UPDATE SET name = excluded.name"} {
				write(t, d, `DELETE FROM things`)
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					return tx.Insert(t.Context(), "things", []string{"number", "name"}, n, func(i int, into []any) {
						into[0], into[1] = int64(i), fmt.Sprint("thing ", i)
					}, conflict)
				})
				if err != nil {
					t.Fatalf("%d rows (%q): %v", n, conflict, err)
				}
				if got := texts(t, d, `SELECT name FROM things`); len(got) != n {
					t.Errorf("%d rows (%q): %d are there", n, conflict, len(got))
				}
			}
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			return tx.Insert(t.Context(), "things", []string{"number", "name"}, 20, func(i int, into []any) { into[0], into[1] = int64(1), "twice" }, "")
		})
		if err == nil {
			t.Error("one key was written twice")
		}
		if got := texts(t, d, `SELECT name FROM things WHERE name = 'twice'`); len(got) > 0 {
			t.Error("and some of it is there")
		}
	})
}

// What rows have in common is written as if each had been given it.
func TestInsertAlikeWritesWhatEachRowHas(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		bytes := map[db.Dialect]string{db.SQLite: "blob", db.PostgreSQL: "bytea"}[d.Dialect]
		write(t, d, `CREATE TABLE things (number bigint PRIMARY KEY, kind text, note text, size bigint, mark `+bytes+`)`)
		columns := []string{"kind", "number", "note", "size", "mark"}
		for name, odd := range map[string]func(i int) bool{
			"all alike":           func(int) bool { return false },
			"one is not":          func(i int) bool { return i == 100 },
			"a whole statement":   func(i int) bool { return i >= 64 && i < 128 },
			"every other":         func(i int) bool { return i%2 == 1 },
			"the first of a few":  func(i int) bool { return i%64 == 0 },
			"the last of them":    func(i int) bool { return i == 299 },
			"from one on (NULLs)": func(i int) bool { return i > 200 },
		} {
			for _, n := range []int{1, 64, 65, 300} {
				for _, conflict := range []string{"", "ON CONFLICT (number) DO NOTHING"} {
					write(t, d, `DELETE FROM things`)
					row := func(i int, into []any) {
						into[0], into[1], into[2], into[3], into[4] = "plain", int64(i), nil, int64(7), []byte{1}
						if odd(i) {
							into[0], into[2], into[3], into[4] = "odd", "", int64(i), nil
						}
					}
					err := d.Write(t.Context(), func(tx *db.Tx) error {
						return tx.InsertAlike(t.Context(), "things", columns, []string{"kind", "note", "size", "mark"}, n, row, conflict)
					})
					if err != nil {
						t.Fatalf("%s, %d rows (%q): %v", name, n, conflict, err)
					}
					got := texts(t, d, `SELECT number || ' ' || kind || ' ' || coalesce('"' || note || '"', 'no') || ' ' || size || ' ' || coalesce(length(mark), 0) FROM things ORDER BY number`)
					for i := range n {
						want := fmt.Sprint(i, " plain no 7 1")
						if odd(i) {
							want = fmt.Sprintf(`%d odd "" %d 0`, i, i)
						}
						if len(got) != n || got[i] != want {
							t.Fatalf("%s, %d rows (%q): row %d of %d is not %q", name, n, conflict, i, len(got), want)
						}
					}
				}
			}
		}
	})
}

// A new file has large pages; one there is keeps those it was made with.
func TestPagesAreAsTheFileWasMade(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 512, 4096, 65536} {
		path := filepath.Join(t.TempDir(), "pages.db")
		want := 8192
		if size > 0 {
			want = size
			raw, err := sql.Open("sqlite", "file:"+path)
			if err != nil {
				t.Fatal(err)
			}
			raw.SetMaxOpenConns(1)
			for _, q := range []string{fmt.Sprintf("PRAGMA page_size=%d", size), "PRAGMA journal_mode=WAL", "CREATE TABLE before (name text)"} {
				if _, err := raw.Exec(q); err != nil {
					t.Fatal(err)
				}
			}
			if err := raw.Close(); err != nil {
				t.Fatal(err)
			}
		}
		d := open(t, "sqlite:"+path)
		if got := texts(t, d, `PRAGMA page_size`); got[0] != fmt.Sprint(want) || d.Page() != want {
			t.Errorf("made with %d: pages have %s bytes, %d are reckoned with, want %d", size, got[0], d.Page(), want)
		}
		if got := texts(t, d, `PRAGMA journal_mode`); got[0] != "wal" {
			t.Errorf("made with %d: journal_mode %s", size, got[0])
		}
		filled(t, d, 0, 3)
	}
}

func TestASnapshotDoesNotMove(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		write(t, d, `CREATE TABLE things (name text PRIMARY KEY)`)
		err := d.Snapshot(t.Context(), func(q db.Querier) error {
			count := func() (n int, err error) {
				err = q.QueryRowContext(t.Context(), `SELECT count(*) FROM things`).Scan(&n)
				return n, err
			}
			if n, err := count(); n != 0 || err != nil {
				return fmt.Errorf("%d: %w", n, err)
			}
			write(t, d, `INSERT INTO things (name) VALUES ('new')`)
			if n, err := count(); n != 0 || err != nil {
				t.Errorf("the snapshot sees %d new rows (%v)", n, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestReadingCannotWrite(t *testing.T) {
	d := open(t, "sqlite:x.db")
	var id string
	row := d.Reader().QueryRowContext(t.Context(), `INSERT INTO organizations (id, name, created_at) VALUES ('x', 'x', 1) RETURNING id`)
	if err := row.Scan(&id); err == nil {
		t.Error("a reader wrote")
	}
}

func TestTheDatabasesClockAgreesWithTimesItKeeps(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		d := open(t, dsn)
		var now int64
		if err := d.Reader().QueryRowContext(t.Context(), `SELECT `+d.Now()).Scan(&now); err != nil {
			t.Fatal(err)
		}
		at := db.Time(now)
		if info, err := os.Stat(t.TempDir()); err != nil || at.Sub(info.ModTime()).Abs().Minutes() > 1 {
			t.Errorf("the database's clock says %v (%v)", at, err)
		}
		if db.Micros(at) != now || db.Micros(db.Time(0)) != 0 || !db.Time(0).IsZero() {
			t.Error("times do not survive")
		}
	})
}
