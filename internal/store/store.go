// Package store is the bundle of the table packages on one database, SQLite or
// PostgreSQL. It hands itself to the engine as engine.Store and to the edges,
// which read from its tables.
package store

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/agents"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/declarations"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/grants"
	"rollcall.dev/rollcall/internal/store/health"
	"rollcall.dev/rollcall/internal/store/hooks"
	"rollcall.dev/rollcall/internal/store/keys"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/logins"
	"rollcall.dev/rollcall/internal/store/mirrors"
	"rollcall.dev/rollcall/internal/store/nodes"
	"rollcall.dev/rollcall/internal/store/notices"
	"rollcall.dev/rollcall/internal/store/organizations"
	"rollcall.dev/rollcall/internal/store/overview"
	"rollcall.dev/rollcall/internal/store/passwords"
	"rollcall.dev/rollcall/internal/store/people"
	"rollcall.dev/rollcall/internal/store/plans"
	"rollcall.dev/rollcall/internal/store/pushed"
	"rollcall.dev/rollcall/internal/store/pushers"
	"rollcall.dev/rollcall/internal/store/runs"
	"rollcall.dev/rollcall/internal/store/schedules"
	"rollcall.dev/rollcall/internal/store/secrets"
	"rollcall.dev/rollcall/internal/store/setups"
	"rollcall.dev/rollcall/internal/store/signing"
	"rollcall.dev/rollcall/internal/store/targets"
	"rollcall.dev/rollcall/internal/store/uploads"
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

	OrganizationTable *organizations.Organizations
	DeclarationTable  *declarations.Declarations
	SecretTable       *secrets.Secrets // its Ring is set by who opens the installation
	UploadTable       *uploads.Uploads // its Ring too
	Pushed            *pushed.Pushed   // its Line is set by who carries out runs
	WorkTable         *work.Work
	Schedules         *schedules.Schedules
	Health            *health.Health
	Nodes             *nodes.Nodes
	KeyTable          *keys.Keys
	HookTable         *hooks.Hooks     // its Sealer too
	TargetTable       *targets.Targets // its Sealer and Check too
	NoticeTable       *notices.Notices
	AdminTable        *admins.Admins // its Ring too
	LoginTable        *logins.Logins
	PasswordTable     *passwords.Passwords
	ClientTable       *clients.Clients // its Check and Known too
	GrantTable        *grants.Grants
	SigningKeys       *signing.Keys // its Ring too
	SetupTable        *setups.Setups
	PusherTable       *pushers.Pushers // its Known too
	AgentTable        *agents.Agents   // its Known too
	People            *people.People
	Overview          *overview.Overview
}

// Open opens the database at dsn; a relative SQLite file starts at dir.
func Open(ctx context.Context, dsn, dir string) (*Store, error) {
	d, err := db.Open(ctx, dsn, dir)
	if err != nil {
		return nil, err
	}
	a := &accounts.Accounts{DB: d}
	s := &Store{DB: d, LeaseTable: &leases.Leases{DB: d}, MirrorTable: &mirrors.Mirrors{DB: d}, AccountTable: a, PlanTable: &plans.Plans{DB: d},
		RunTable: &runs.Runs{DB: d}, EventTable: &events.Events{DB: d}, LedgerTable: &ledger.Ledger{DB: d, Accounts: a},
		OrganizationTable: &organizations.Organizations{DB: d}, DeclarationTable: &declarations.Declarations{DB: d},
		SecretTable: &secrets.Secrets{DB: d}, UploadTable: &uploads.Uploads{DB: d}, Pushed: &pushed.Pushed{DB: d, Now: time.Now},
		WorkTable: &work.Work{DB: d}, Schedules: &schedules.Schedules{DB: d}, Health: &health.Health{DB: d}, Nodes: &nodes.Nodes{DB: d}, KeyTable: &keys.Keys{DB: d},
		HookTable: &hooks.Hooks{DB: d, Now: time.Now}, TargetTable: &targets.Targets{DB: d, Now: time.Now}, NoticeTable: &notices.Notices{DB: d, Now: time.Now}, AdminTable: &admins.Admins{DB: d}, LoginTable: &logins.Logins{DB: d}, PasswordTable: &passwords.Passwords{DB: d},
		ClientTable: &clients.Clients{DB: d}, GrantTable: &grants.Grants{DB: d}, SigningKeys: &signing.Keys{DB: d},
		SetupTable: &setups.Setups{DB: d}, PusherTable: &pushers.Pushers{DB: d}, AgentTable: &agents.Agents{DB: d}, People: &people.People{DB: d}, Overview: &overview.Overview{DB: d}}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return s, nil
}

// ready does what a process put off that ended before it could; one that is still at
// work does it itself.
func (s *Store) ready(ctx context.Context) error {
	put, err := s.DB.Deferred(ctx)
	if err != nil || !put {
		return err
	}
	busy, err := s.LeaseTable.Busy(ctx)
	if err == nil && len(busy) == 0 {
		s.LedgerTable.Ready(ctx)
	}
	return err
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

// Expires notes when what a connection signs in with runs out.
func (s *Store) Expires(ctx context.Context, organization, connection string, list []source.Expiry, used bool) error {
	ends, idle := map[string]time.Time{}, map[string]time.Time{}
	for _, e := range list {
		if e.Idle {
			idle[e.Name] = e.At
		} else {
			ends[e.Name] = e.At
		}
	}
	return s.NoticeTable.Expires(ctx, organization, connection, ends, idle, used)
}

// Ledger writes changes.
func (s *Store) Ledger() apply.Ledger { return s.LedgerTable }

// Declare brings the organizations of the configuration into the database.
func (s *Store) Declare(ctx context.Context, list []setting.Organization) error {
	return s.OrganizationTable.Declare(ctx, list, time.Now())
}
