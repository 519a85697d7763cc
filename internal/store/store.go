// Package store is the bundle of the table packages on one database, SQLite or
// PostgreSQL. It hands itself to the engine as engine.Store and to the edges,
// which read from its tables.
package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/health"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/mirrors"
	"rollcall.dev/rollcall/internal/store/nodes"
	"rollcall.dev/rollcall/internal/store/plans"
	"rollcall.dev/rollcall/internal/store/runs"
	"rollcall.dev/rollcall/internal/store/schedules"
	"rollcall.dev/rollcall/internal/store/work"
)

// Store is every table.
type Store struct {
	DB           *db.DB
	LeaseTable   *leases.Leases
	MirrorTable  *mirrors.Mirrors
	AccountTable *accounts.Accounts
	PlanTable    *plans.Plans
	RunTable     *runs.Runs
	EventTable   *events.Events
	LedgerTable  *ledger.Ledger
	WorkTable    *work.Work
	Schedules    *schedules.Schedules
	Health       *health.Health
	Nodes        *nodes.Nodes
}

// Open opens the database at dsn; a relative SQLite file starts at dir.
func Open(ctx context.Context, dsn, dir string) (*Store, error) {
	d, err := db.Open(ctx, dsn, dir)
	if err != nil {
		return nil, err
	}
	a := &accounts.Accounts{DB: d}
	return &Store{DB: d, LeaseTable: &leases.Leases{DB: d}, MirrorTable: &mirrors.Mirrors{DB: d}, AccountTable: a, PlanTable: &plans.Plans{DB: d},
		RunTable: &runs.Runs{DB: d}, EventTable: &events.Events{DB: d}, LedgerTable: &ledger.Ledger{DB: d, Accounts: a},
		WorkTable: &work.Work{DB: d}, Schedules: &schedules.Schedules{DB: d}, Health: &health.Health{DB: d}, Nodes: &nodes.Nodes{DB: d}}, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.DB.Close() }

// Leases and the methods below make a Store the engine's.
func (s *Store) Leases() engine.Leases { return s.LeaseTable }

// Mirror is the table of mirror rows.
func (s *Store) Mirror() engine.Mirror { return s.MirrorTable }

// Accounts is the tables of accounts, groups and memberships.
func (s *Store) Accounts() engine.Accounts { return s.AccountTable }

// Plans is the tables of plans.
func (s *Store) Plans() engine.Plans { return s.PlanTable }

// Runs is the table of runs.
func (s *Store) Runs() engine.Runs { return s.RunTable }

// Events is the table of events.
func (s *Store) Events() engine.Events { return s.EventTable }

// Ledger writes changes.
func (s *Store) Ledger() apply.Ledger { return s.LedgerTable }

// Organization is a tenant with the seats it uses.
type Organization struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	LicenceLimit *int   `json:"licence_limit"`
	SeatsUsed    int    `json:"seats_used"`
	Accounts     int    `json:"accounts"`
}

// Declare brings the organizations of the configuration into the database.
func (s *Store) Declare(ctx context.Context, list []setting.Organization) error {
	var changed []setting.Organization
	for _, o := range list {
		var name string
		var limit int
		err := s.DB.Reader().QueryRowContext(ctx, `SELECT name, licence_limit FROM organizations WHERE id = $1`, o.ID).Scan(&name, &limit)
		if err != nil || name != o.Name || limit != o.LicenceLimit {
			changed = append(changed, o)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		for _, o := range changed {
			if _, err := tx.Exec(ctx, `INSERT INTO organizations (id, name, licence_limit, created_at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (id) DO UPDATE SET name = excluded.name, licence_limit = excluded.licence_limit`, o.ID, o.Name, o.LicenceLimit, db.Micros(time.Now())); err != nil {
				return err
			}
		}
		return nil
	})
}

// Organizations lists the tenants.
func (s *Store) Organizations(ctx context.Context) ([]Organization, error) {
	out := []Organization{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT id, name, licence_limit,
		(SELECT COALESCE(sum(t.active), 0) FROM tallies t WHERE t.organization = o.id),
		(SELECT count(*) FROM accounts a WHERE a.organization = o.id AND a.status <> 'deleted') FROM organizations o ORDER BY id`, nil, func(rows *sql.Rows) error {
		var o Organization
		var limit int
		if err := rows.Scan(&o.ID, &o.Name, &limit, &o.SeatsUsed, &o.Accounts); err != nil {
			return err
		}
		if limit > 0 {
			o.LicenceLimit = &limit
		}
		out = append(out, o)
		return nil
	})
	return out, err
}

// Backup writes a copy of an SQLite database to a file that does not exist yet,
// consistent even while runs go on.
func (s *Store) Backup(ctx context.Context, path string) error {
	if s.DB.Dialect != db.SQLite {
		return fault.New(fault.Invalid, "backup: the database is PostgreSQL").WithHint("use pg_dump; `rollcall backup` copies the embedded database")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.New(fault.Invalid, "backup: %w", err).WithHint("name a file that does not exist yet, in a folder that does")
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.DB.Copy(ctx, path); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
