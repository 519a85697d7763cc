package db

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/pressly/goose/v3"
)

// part is a table, a column or an index, as in "table nodes".
type part struct{ name, table string }

// What there is, of both databases: which part, and of which table.
const (
	partsSQLite = `SELECT 'table ' || name, name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'
		UNION ALL SELECT 'column ' || m.name || '.' || c.name, m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'
		UNION ALL SELECT 'index ' || name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 2, 1`
	partsPostgreSQL = `SELECT 'table ' || table_name, table_name FROM information_schema.tables WHERE table_schema = ANY (current_schemas(false))
		UNION ALL SELECT 'column ' || table_name || '.' || column_name, table_name FROM information_schema.columns WHERE table_schema = ANY (current_schemas(false))
		UNION ALL SELECT 'index ' || indexname, tablename FROM pg_indexes WHERE schemaname = ANY (current_schemas(false))`
)

func parts(ctx context.Context, q Querier, query string) (out []part, err error) {
	err = Each(ctx, q, query, nil, func(rows *sql.Rows) error {
		var p part
		err := rows.Scan(&p.name, &p.table)
		out = append(out, p)
		return err
	})
	return out, err
}

// whole is what the schema has, which is the same in both databases: it is asked of one
// in memory.
var whole = sync.OnceValues(func() (list []part, err error) {
	ctx := context.Background()
	blank, err := sql.Open(driverName, ":memory:")
	if err != nil {
		return nil, err
	}
	blank.SetMaxOpenConns(1) // each has a database of its own
	defer func() { err = errors.Join(err, blank.Close()) }()
	files, err := migrations(SQLite)
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, blank, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, err
	}
	if _, err := p.Up(ctx); err != nil {
		return nil, err
	}
	return parts(ctx, blank, partsSQLite)
})

// Lacking names the tables, columns and indexes that the schema has and the database
// has not. Of a table that is not there nothing else is named, and an index that is yet
// to be built is no lack.
func (d *DB) Lacking(ctx context.Context) ([]string, error) {
	want, err := whole()
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	err = d.Snapshot(ctx, func(q Querier) error { // an index that is built meanwhile is in one place or the other
		query := partsSQLite
		if d.Dialect == PostgreSQL {
			query = partsPostgreSQL
		}
		list, err := parts(ctx, q, query)
		for _, p := range list {
			have[p.name] = true
		}
		if err != nil || !have["table deferred_indexes"] {
			return err
		}
		list, err = parts(ctx, q, `SELECT 'index ' || name, '' FROM deferred_indexes`)
		for _, p := range list {
			have[p.name] = true
		}
		return err
	})
	var out []string
	for _, p := range want {
		if table := "table " + p.table; !have[p.name] && (p.name == table || have[table]) {
			out = append(out, p.name)
		}
	}
	return out, err
}
