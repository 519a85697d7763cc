package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

func both(t *testing.T, fn func(t *testing.T, w *storetest.World)) {
	t.Helper()
	databases.Both(t, func(t *testing.T, dsn string) {
		fn(t, storetest.Open(t, dsn))
	})
}

// A doctor who finds nothing has to be one who would have found something.
func TestExamineFindsWhatMustNeverBe(t *testing.T) {
	for name, c := range map[string]struct{ check, harm string }{
		"a lost event": {"event numbers have no gap", `DELETE FROM events WHERE id = (SELECT min(id) FROM events)`},
		"an account from nowhere": {"every account has the event of its creation or linking", `INSERT INTO accounts
			SELECT CAST(key AS BYTES), organization, connection, NULL, external_id, 'x', 'x', 'x', 'x', first_name, last_name, display_name, mobile_phone, phone,
			language, title, department, location, role, NULL, status, cause, attributes, version, created_at, updated_at, deleted_at FROM accounts WHERE username = 'anna'`},
		"an account never written": {"an account has its number of changes as its version", `UPDATE accounts SET version = 0 WHERE username = 'anna'`},
		"two of one name":          {"no username is held by two living accounts of one organization", `UPDATE accounts SET username_key = 'anna'`},
		"a membership of nobody":   {"every membership has its account and its group", `DELETE FROM groups`},
		"a manager who is nobody":  {"every manager is an account", `UPDATE accounts SET manager = (SELECT id FROM groups) WHERE username = 'bob'`},
		"a plan left half applied": {"no plan is left half applied", `UPDATE plans SET state = 'applying'`},
		"a run left running":       {"no run is left running", `UPDATE runs SET state = 'running'`},
		"a value nobody carries":   {"the values kept for matching are those the accounts carry", `INSERT INTO account_values SELECT organization, 'badge', '8', id FROM accounts WHERE username = 'bob'`},
		"a value that is missing":  {"the values kept for matching are those the accounts carry", `DELETE FROM account_values`},
		"another value":            {"the values kept for matching are those the accounts carry", `UPDATE account_values SET value_key = '8'`},
		"a row of an open reading": {"no row of an unfinished reading is left", `UPDATE mirror SET generation = 99`},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, w *storetest.World) {
				w.Connect("hq", func(c *setting.Connection) { c.Match = []string{"badge"} })
				w.Holds("hq", storetest.Person("anna", "employeeNumber=7"), storetest.Person("bob", "manager=anna"), storetest.Group("staff", "anna"))
				w.Applied("hq")
				w.Examine()
				err := w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
					n, err := tx.Exec(t.Context(), strings.ReplaceAll(c.harm, "BYTES", tx.Bytes()))
					if err == nil && n == 0 {
						t.Error("no harm was done")
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				findings, err := w.Store.Examine(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(findings, func(f store.Finding) bool { return f.Check == c.check && f.Count > 0 && f.Hint != "" }) {
					t.Errorf("not found: %+v", findings)
				}
			})
		})
	}
}

// A table that is gone is told of with what to do, and the other checks are made.
func TestExamineGoesOnWhereATableIsMissing(t *testing.T) {
	for table, check := range map[string]string{"memberships": "every membership has its account and its group", "connections": "what is being worked on can be read",
		"events": "no event was altered, removed or put in since it was written", "account_values": "the values kept for matching are those the accounts carry"} {
		t.Run(table, func(t *testing.T) {
			both(t, func(t *testing.T, w *storetest.World) {
				whole, err := w.Store.Examine(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
					_, err := tx.Exec(t.Context(), `ALTER TABLE `+table+` RENAME TO elsewhere`)
					return err
				}); err != nil {
					t.Fatal(err)
				}
				findings, err := w.Store.Examine(t.Context())
				if err != nil || len(findings) < len(whole) {
					t.Errorf("%d findings in place of %d, %v", len(findings), len(whole), err)
				}
				if f := findings[0]; f.Check != "every table, column and index is there" || f.Count != 1 || !strings.HasPrefix(f.Hint, "it lacks table "+table+": ") || whole[0].Count != 0 {
					t.Errorf("what it lacks: %+v, and before %+v", f, whole[0])
				}
				if !slices.ContainsFunc(findings, func(f store.Finding) bool {
					return f.Check == check && f.Count == 1 && strings.Contains(f.Hint, table) && strings.Contains(f.Hint, "Restore the last whole one")
				}) {
					t.Errorf("not found: %+v", findings)
				}
				if !slices.ContainsFunc(findings, func(f store.Finding) bool {
					return f.Check == "no run is left running" && (f.Count == 0) == (table != "connections")
				}) {
					t.Errorf("the others: %+v", findings)
				}
			})
		})
	}
}

func TestABackupIsAWholeDatabaseAndReplacesNoFile(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		w.Connect("hq")
		w.Holds("hq", storetest.Person("anna"), storetest.Group("staff", "anna"))
		w.Applied("hq")
		path := filepath.Join(t.TempDir(), "backup.db")
		err := w.Store.Backup(t.Context(), path)
		if w.Store.DB.Dialect == db.PostgreSQL {
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(fault.HintOf(err), "pg_dump") {
				t.Errorf("%v, hint %q", err, fault.HintOf(err))
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Store.Backup(t.Context(), path); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a file was replaced: %v", err)
		}
		if err := w.Store.Backup(t.Context(), filepath.Join(t.TempDir(), "no", "folder.db")); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v", err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		v := storetest.Open(t, "sqlite:"+path)
		v.Connect("hq")
		if v.State() != w.State() {
			t.Errorf("the backup is another:\n%s", storetest.Difference(w.State(), v.State()))
		}
		v.Examine()
		v.Holds("hq", storetest.Person("anna"), storetest.Group("staff", "anna"))
		v.Settled("hq")
	})
}

func TestABackupTakesAwayWhatKilledOnesLeft(t *testing.T) {
	w := storetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "rollcall.db"))
	folder := t.TempDir()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	_, space, _ := strings.Cut(leases.Self()[len(host)+1:], "/")
	_, space, _ = strings.Cut(space, "/")
	killed := host + ",1,1," + space // the first process began at another time
	alive := strings.ReplaceAll(leases.Self(), "/", ",")
	files := []struct {
		name string
		age  time.Duration
		goes bool
	}{
		{"a.db," + killed + ".123.part", 0, true},
		{"a.db," + killed + ".123.part-journal", 0, true},
		{"of-yesterday.db," + killed + ".4.part", 0, true},
		{"a.db," + alive + ".123.part", time.Hour, false},
		{"a.db,elsewhere.example.org,7,99,[12].123.part", 23 * time.Hour, false},
		{"a.db,elsewhere.example.org,7,99,[12].124.part", 25 * time.Hour, true},
		{"a.db,elsewhere,7,,.125.part", 25 * time.Hour, true}, // a system without /proc
		{"a.db.123.part", 1000 * time.Hour, false},            // whose that is nobody knows
		{"film, 1,2,3.part", 1000 * time.Hour, false},
		{"a.db-journal", 1000 * time.Hour, false},
	}
	for _, f := range files {
		path, at := filepath.Join(folder, f.name), time.Now().Add(-f.age)
		if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Store.Backup(t.Context(), filepath.Join(folder, "a.db")); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, err := os.Stat(filepath.Join(folder, f.name)); errors.Is(err, os.ErrNotExist) != f.goes {
			t.Errorf("%s: %v", f.name, err)
		}
	}
}

func TestLocalAccountsAreMadeAllOfThemOrNone(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: 4})
		local := func(line int, username, email string) ledger.Local {
			return ledger.Local{Line: line, Account: account.Account{Text: account.Text{account.Username: username, account.Email: email, account.FirstName: "A", account.LastName: "B"}}}
		}
		create := func(list ...ledger.Local) error {
			return w.Store.LedgerTable.CreateLocal(t.Context(), "org", "tester", list)
		}
		if err := create(local(2, "anna", "anna@example.org"), local(3, "bob", "bob@example.org")); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			list []ledger.Local
			kind fault.Kind
			want string
		}{
			{"a name that is taken", []ledger.Local{local(2, "new", "new@example.org"), local(3, "ANNA", "other@example.org")}, fault.Conflict, `line 3: the username "ANNA" belongs to account anna`},
			{"an address that is taken", []ledger.Local{local(2, "new", "Bob@Example.ORG")}, fault.Conflict, `line 2: the email "Bob@Example.ORG" belongs to account bob`},
			{"one name twice", []ledger.Local{local(2, "new", "new@example.org"), local(3, "New", "newer@example.org")}, fault.Conflict, `line 3: the username "New" stands in line 2 too`},
			{"more than there are seats", []ledger.Local{local(2, "c", "c@example.org"), local(3, "d", "d@example.org"), local(4, "e", "e@example.org")}, fault.Held, "has 4 seats, 2 are used and 3 more are wanted"},
		} {
			err := create(c.list...)
			if fault.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing was written") {
				t.Errorf("%s: %v", c.name, err)
			}
			if n := len(w.Accounts()); n != 2 {
				t.Fatalf("%s: %d accounts", c.name, n)
			}
		}
		if err := w.Store.LedgerTable.CreateLocal(t.Context(), "nowhere", "tester", nil); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
		list, err := w.Store.OrganizationTable.List(t.Context(), "", "", 0)
		if err != nil || len(list) != 1 || list[0].SeatsUsed != 2 || list[0].Accounts != 2 || *list[0].LicenceLimit != 4 {
			t.Errorf("%+v, %v", list, err)
		}
		w.Examine()
		w.Replay()
	})
}
