package cli

import (
	"context"
	"io"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// place is where commands do their work. There are two: the database of the
// configuration (direct), and a server that is asked through its API (remote).
// What they give is the same, so that commands print the same.
type place interface {
	Organizations(ctx context.Context) ([]organizations.Organization, error)
	CreateOrganization(ctx context.Context, o setting.Organization) (organizations.Organization, error)
	UpdateOrganization(ctx context.Context, o setting.Organization) error
	DeleteOrganization(ctx context.Context, id string) error

	Connections(ctx context.Context) ([]connectionJSON, error)
	// Connection is a fault.NotFound, with the nearest alias, where there is none.
	Connection(ctx context.Context, alias string) (connectionJSON, error)
	ExportConnections(ctx context.Context, alias string) ([]byte, error)
	// ApplyConnection makes a connection or changes the one there is, and says which.
	ApplyConnection(ctx context.Context, c setting.Connection) (fresh bool, err error)
	DeleteConnection(ctx context.Context, alias string) error
	Reset(ctx context.Context, alias string) error
	Check(ctx context.Context, alias string, report func(client.Step)) (bool, error)
	Why(ctx context.Context, alias, who string) ([]engine.Why, error)

	MakePlan(ctx context.Context, alias string, full bool, report func(engine.Progress)) (*engine.Plan, error)
	// Sync, Approve and Revert give the run when it has ended; one that failed is an
	// error. exclude is as people write it: 3, 7, 10-14.
	Sync(ctx context.Context, alias string, full bool, report func(engine.Progress)) (*engine.Run, error)
	SyncPerson(ctx context.Context, alias, who string, report func(engine.Progress)) (*engine.Run, error)
	Approve(ctx context.Context, id string, exclude []string, report func(engine.Progress)) (*engine.Run, error)
	Revert(ctx context.Context, run string, report func(engine.Progress)) (*engine.Run, error)
	PlanRevert(ctx context.Context, run string, report func(engine.Progress)) (*engine.Plan, error)
	Reject(ctx context.Context, id string) (*engine.Plan, error)

	Plans(ctx context.Context, connection string, limit int) ([]*engine.Plan, error)
	Plan(ctx context.Context, id string) (*engine.Plan, error)
	// Rows and Notes hand on those of a plan in their order; errEnough ends it.
	Rows(ctx context.Context, p *engine.Plan, fn func(plan.Row) error) error
	Notes(ctx context.Context, p *engine.Plan, fn func(plan.NoteRow) error) error
	Runs(ctx context.Context, connection string, limit int, fn func(*engine.Run) error) error
	Run(ctx context.Context, id string) (*engine.Run, error)

	// Accounts hands on accounts with their groups.
	Accounts(ctx context.Context, f accounts.Filter, fn func(*account.Account) error) error
	Find(ctx context.Context, who string) ([]*account.Account, error)
	// Names gives the usernames of accounts that exist.
	Names(ctx context.Context, ids []account.ID) (map[account.ID]string, error)
	CreateAccount(ctx context.Context, organization string, row map[string]string) (account.Account, error)
	PasswordLink(ctx context.Context, a *account.Account) (client.PasswordLink, error)
	ImportAccounts(ctx context.Context, organization string, table io.Reader) ([]account.Account, error)
	Groups(ctx context.Context, organization, connection string, fn func(account.Group) error) error
	Members(ctx context.Context, group account.ID, fn func(*account.Account) error) error

	// Events hands on events behind a number, LastEvents the newest, oldest first.
	Events(ctx context.Context, organization string, after int64, limit int, fn func(event.Event) error) error
	LastEvents(ctx context.Context, organization string, limit int, fn func(event.Event) error) error
	NewestEvent(ctx context.Context) (int64, error)

	Keys(ctx context.Context) ([]client.Key, error)
	CreateKey(ctx context.Context, in client.KeyInput) (client.NewKey, error)
	RevokeKey(ctx context.Context, id string) (client.Key, error)

	// Push tokens are what SCIM clients sign in with.
	CreatePushToken(ctx context.Context, alias string, in client.PushTokenInput) (client.NewPushToken, error)
	RotatePushToken(ctx context.Context, alias string, in client.PushRotateInput) (client.NewPushToken, error)
	PushTokens(ctx context.Context, alias string) ([]client.PushToken, error)
	RevokePushToken(ctx context.Context, alias, id string) (client.PushToken, error)

	// Clients are those of OpenID Connect.
	Clients(ctx context.Context) ([]client.OIDCClient, error)
	Client(ctx context.Context, id string) (client.OIDCClient, error)
	CreateClient(ctx context.Context, in client.OIDCClientInput) (client.NewOIDCClient, error)
	UpdateClient(ctx context.Context, id string, in client.OIDCClientPatchInput) (client.OIDCClient, error)
	DeleteClient(ctx context.Context, id string) error
	RotateClientSecret(ctx context.Context, id string, overlap time.Duration) (client.NewOIDCClient, error)

	// Agents are those in customers' networks; connection "" is all of them.
	Agents(ctx context.Context, connection string) ([]client.Agent, error)
	CreateAgent(ctx context.Context, in client.AgentInput) (client.NewAgent, error)
	RotateAgent(ctx context.Context, id string, overlap time.Duration) (client.NewAgent, error)
	RevokeAgent(ctx context.Context, id string) (client.Agent, error)
	ForgetAgent(ctx context.Context, id string) (client.Agent, error)

	// Targets are those that accounts are pushed to. SyncTarget and RepairTarget give
	// what is marked; direct, it is pushed by then, and at a server, it is about to be.
	Targets(ctx context.Context) ([]client.Target, error)
	Target(ctx context.Context, id string) (client.Target, error)
	CreateTarget(ctx context.Context, in client.TargetInput) (client.Target, error)
	UpdateTarget(ctx context.Context, id string, in client.TargetPatchInput) (client.Target, error)
	DeleteTarget(ctx context.Context, id string) error
	TargetLinks(ctx context.Context, id, state string, limit int) ([]client.TargetLink, error)
	SyncTarget(ctx context.Context, id string) (int, error)
	CheckTarget(ctx context.Context, id string) (client.TargetReport, error)
	RepairTarget(ctx context.Context, id string) (client.TargetReport, error)
}
