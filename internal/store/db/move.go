package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"rollcall.dev/rollcall/internal/fault"
)

// atOnce is how many rows are moved at a time.
const atOnce = 500

// MoveTo fills an empty PostgreSQL database with what an SQLite database holds, all of it
// or nothing, and calls then in the transaction that does. Both have the same schema when
// they are open. Nobody writes to the one that is read meanwhile. Tables to be left out
// are named; a target that holds anything is a fault.Conflict.
func (d *DB) MoveTo(ctx context.Context, to *DB, without []string, then func(*Tx) error) (rows int64, err error) {
	if d.Dialect != SQLite || to.Dialect != PostgreSQL {
		return 0, fault.New(fault.Invalid, "database: what is embedded can be moved to PostgreSQL, and nothing else")
	}
	err = d.Write(ctx, func(from *Tx) error {
		// Tables that others refer to were made first.
		tables, err := names(ctx, from, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY rowid`)
		if err != nil {
			return err
		}
		tables = slices.DeleteFunc(tables, func(t string) bool { return t == "goose_db_version" || slices.Contains(without, t) })
		return to.Write(ctx, func(into *Tx) error {
			for _, t := range tables {
				if err := vacant(ctx, into, t); err != nil {
					return err
				}
			}
			for _, t := range tables {
				n, err := moveTable(ctx, from, into, t)
				if rows += n; err != nil {
					return fmt.Errorf("move the table %s: %w", t, err)
				}
			}
			return then(into)
		})
	})
	if err != nil {
		return 0, err
	}
	_, err = to.write.ExecContext(ctx, "ANALYZE")
	return rows, explain("look how large the tables are", err)
}

func names(ctx context.Context, q Querier, query string, args ...any) (out []string, err error) {
	err = Each(ctx, q, query, args, func(r *sql.Rows) error {
		var name string
		err := r.Scan(&name)
		out = append(out, name)
		return err
	})
	return out, err
}

// vacant refuses a table that holds rows. Counters, which the schema itself begins with,
// are taken away.
func vacant(ctx context.Context, tx *Tx, table string) error {
	query := `SELECT count(*) FROM ` + table
	if table == "counters" {
		query = `SELECT value FROM counters WHERE name = 'event'`
	}
	var n int64
	if err := tx.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return explain("look whether it is empty", err)
	}
	if n > 0 {
		return fault.New(fault.Conflict, "database: the one to move into is not empty: there is something in %s", table).
			WithHint("make a new one (CREATE DATABASE) and name it in `database`, before any other command is run with it; nothing was changed")
	}
	if table != "counters" {
		return nil
	}
	_, err := tx.Exec(ctx, `DELETE FROM counters`)
	return err
}

func moveTable(ctx context.Context, from, into *Tx, table string) (moved int64, err error) {
	kinds := map[string]string{}
	var columns []string
	err = Each(ctx, into, `SELECT column_name, udt_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position`, []any{table}, func(r *sql.Rows) error {
		var name, kind string
		err := r.Scan(&name, &kind)
		columns, kinds[name] = append(columns, name), kind
		return err
	})
	if err != nil {
		return 0, err
	}
	var batch [][]any
	flush := func() error {
		err := into.Insert(ctx, table, columns, len(batch), func(i int, row []any) { copy(row, batch[i]) }, "")
		moved += int64(len(batch))
		batch = batch[:0]
		return err
	}
	list := ""
	for i, c := range columns {
		if i > 0 {
			list += ", "
		}
		list += `"` + c + `"`
	}
	err = Each(ctx, from, `SELECT `+list+` FROM "`+table+`"`, nil, func(r *sql.Rows) error {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := r.Scan(to...); err != nil {
			return err
		}
		for i, c := range columns {
			if row[i], err = valueOf(row[i], kinds[c]); err != nil {
				return fmt.Errorf("column %s: %w", c, err)
			}
		}
		if batch = append(batch, row); len(batch) < atOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return moved, err
	}
	return moved, flush()
}

// valueOf gives a value of SQLite's, which takes any in any column, as one of the kind
// that a column of PostgreSQL has.
func valueOf(v any, kind string) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case int64:
		switch kind {
		case "bool":
			return v != 0, nil
		case "int2", "int4", "int8":
			return v, nil
		}
	case bool:
		if kind == "bool" {
			return v, nil
		}
	case string:
		switch kind {
		case "text":
			return v, nil
		case "bytea":
			return []byte(v), nil
		}
	case []byte:
		switch kind {
		case "text":
			return string(v), nil
		case "bytea":
			return append([]byte{}, v...), nil // an empty one is not NULL
		}
	case float64:
		if kind == "float8" {
			return v, nil
		}
	}
	return nil, fault.New(fault.Internal, "there is a value of the kind %T in place of %s", v, kind)
}
