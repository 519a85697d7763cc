//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver rollcall uses

	"rollcall.dev/rollcall/internal/rig/people"
)

// rows are a directory as tables: an account is its ID and fourteen texts, a
// membership two IDs.
type rows struct {
	accounts    [][]any
	memberships [][2][]byte
}

// floor is the bare loop: it reads the LDIF into memory, then inserts the rows,
// and reports the cost of the latter as JSON. It runs in a process of its own.
func floor(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("floor: expected an LDIF file and a database")
	}
	r, err := readRows(args[0])
	if err != nil {
		return err
	}
	before := usage()
	start := time.Now()
	if path, ok := strings.CutPrefix(args[1], "sqlite:"); ok {
		err = insertSQLite(ctx, path, r)
	} else {
		err = copyPostgreSQL(ctx, args[1], r)
	}
	if err != nil {
		return err
	}
	wall, after := time.Since(start), usage()
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"Wall": wall, "CPU": cpu(after) - cpu(before), "RSS": peak(after),
	})
}

func usage() *syscall.Rusage {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic("bench: getrusage: " + err.Error())
	}
	return &u
}

func cpu(u *syscall.Rusage) time.Duration {
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func idOf(dn string) []byte {
	s := sha256.Sum256([]byte(dn))
	return s[:16]
}

func readRows(path string) (*rows, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	columns := map[string]int{}
	for i, name := range people.Attributes() {
		columns[name] = i + 1
	}
	var r rows
	var entry []any
	var id []byte
	isPerson := false
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		if plain, encoded := strings.CutSuffix(name, ":"); encoded {
			b, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			name, value = plain, string(b)
		}
		switch name {
		case "":
			if isPerson {
				r.accounts = append(r.accounts, entry)
			}
			isPerson = false
		case "dn":
			id = idOf(value)
			entry = make([]any, len(columns)+1)
			entry[0] = id
		case "objectClass":
			isPerson = isPerson || value == "inetOrgPerson"
		case "member":
			r.memberships = append(r.memberships, [2][]byte{id, idOf(value)})
		default:
			if i, ok := columns[name]; ok && entry[i] == nil {
				entry[i] = value
			}
		}
	}
	return &r, lines.Err()
}

const tables = `CREATE TABLE accounts (id %[1]s PRIMARY KEY, uid TEXT, cn TEXT, sn TEXT, given_name TEXT, display_name TEXT, mail TEXT,
	mobile TEXT, phone TEXT, language TEXT, title TEXT, department TEXT, location TEXT, manager TEXT, number TEXT);
CREATE TABLE memberships (group_id %[1]s, account_id %[1]s, PRIMARY KEY (group_id, account_id))%[2]s;`

// insertSQLite uses the same settings as rollcall, one transaction and one
// prepared statement for each table.
func insertSQLite(ctx context.Context, path string, r *rows) (err error) {
	// A context that may end is watched by a goroutine for each row, which makes such a
	// loop take a third longer: a floor it would not be.
	ctx = context.WithoutCancel(ctx)
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-32000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, fmt.Sprintf(tables, "BLOB", " WITHOUT ROWID")); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after the commit there is nothing to roll back
	account, err := tx.PrepareContext(ctx, "INSERT INTO accounts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
	if err != nil {
		return err
	}
	defer account.Close()
	for _, a := range r.accounts {
		if _, err := account.ExecContext(ctx, a...); err != nil {
			return err
		}
	}
	member, err := tx.PrepareContext(ctx, "INSERT INTO memberships VALUES (?,?)")
	if err != nil {
		return err
	}
	defer member.Close()
	for _, m := range r.memberships {
		if _, err := member.ExecContext(ctx, m[0], m[1]); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func copyPostgreSQL(ctx context.Context, dsn string, r *rows) (err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after the commit there is nothing to roll back
	if _, err := tx.Exec(ctx, fmt.Sprintf(tables, "BYTEA", "")); err != nil {
		return err
	}
	columns := strings.Split("id uid cn sn given_name display_name mail mobile phone language title department location manager number", " ")
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"accounts"}, columns, pgx.CopyFromRows(r.accounts)); err != nil {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"memberships"}, []string{"group_id", "account_id"},
		pgx.CopyFromSlice(len(r.memberships), func(i int) ([]any, error) {
			return []any{r.memberships[i][0], r.memberships[i][1]}, nil
		}))
	if err != nil {
		return err
	}
	return tx.Commit(ctx)
}
