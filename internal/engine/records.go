package engine

import (
	"context"
	"encoding/json"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// State is what is remembered of a connection between runs.
type State struct {
	Alias        string
	Organization string // "" for a connection never worked on
	Kind         string
	Rules        string // fingerprint of the rules last carried out
	RulesText    string // those rules, part by part, to say which of them changed
	Attention    string // why the next plan must wait for a person
	Generation   int64  // of the mirror
	Users        int    // in it
	Groups       int
	Planned      int64 // the generation the last applied plan was made from
	Complete     bool  // verdict of the last reading
	Reading      *source.Reading
	Cursor       []byte
	LastFullAt   time.Time // the last complete full reading
	Mapping      []byte    // the rules of the newest plan, the source's starting ones included, as JSON; may be none
}

// Belongs refuses to take a connection for one of another organization: its accounts
// stay where they are.
func (s *State) Belongs(organization string) error {
	if s.Organization == "" || s.Organization == organization {
		return nil
	}
	return fault.New(fault.Conflict, "connection %s belongs to organization %s, the configuration says %s", s.Alias, s.Organization, organization).
		WithHint("an alias and an organization's ID stay what they are: write `organization: %s` again; what is to begin anew in %s, with accounts of its own, needs another alias", s.Organization, organization)
}

// Plan is a stored plan without its rows.
type Plan struct {
	ID           string       `json:"id"`
	Hash         string       `json:"hash"`
	Connection   string       `json:"connection"`
	Verdict      plan.Verdict `json:"verdict"`
	HeldBecause  []string     `json:"held_because"`
	Summary      plan.Summary `json:"summary"`
	State        plan.State   `json:"state"`
	Run          *string      `json:"run"`
	DecidedBy    *string      `json:"decided_by"`
	CreatedAt    time.Time    `json:"created_at"`
	Organization string       `json:"organization"`
	Pruned       bool         `json:"pruned"` // its rows are no longer kept
	Basis        plan.Basis   `json:"-"`
	BasisText    []byte       `json:"-"`
	Mapping      []byte       `json:"-"` // the rules it was made with, as JSON; of one just made
	Chunks       int          `json:"-"`
	Applied      int          `json:"-"`
}

// Gone says that the rows of a plan are no longer kept.
func (p *Plan) Gone() error {
	return fault.New(fault.Conflict, "the rows of plan %s were pruned; they are no longer kept", p.ID).
		WithHint("`retention.plans` in the configuration says how long they are")
}

// RunState is where a run stands.
type RunState string

// The states of a run. To people and programs a queued run is a running one that
// waits for its turn: its progress says so.
const (
	RunQueued   RunState = "queued"
	RunRunning  RunState = "running"
	RunApplied  RunState = "applied"
	RunHeld     RunState = "held"
	RunFailed   RunState = "failed"
	RunRejected RunState = "rejected"
	RunReverted RunState = "reverted"
)

// String is a state as everybody knows it.
func (s RunState) String() string {
	if s == RunQueued {
		s = RunRunning
	}
	return string(s)
}

// MarshalText writes it so.
func (s RunState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ReadingReport is a reading as runs show it.
type ReadingReport struct {
	Complete bool     `json:"complete"`
	Full     bool     `json:"full"`
	Swept    bool     `json:"swept"`
	Method   string   `json:"method"`
	Entries  int      `json:"entries"` // read
	Users    int      `json:"users"`   // read, or, of a reading of changes, there now
	Groups   int      `json:"groups"`
	Changed  int      `json:"changed"`
	Gone     int      `json:"gone"`
	Reason   *string  `json:"reason"`
	Notes    []string `json:"notes,omitempty"`
	// LastFull is when everything was last read, this reading included.
	LastFull *time.Time `json:"last_full"`
}

// Run is one pass as people see it.
type Run struct {
	ID           string         `json:"id"`
	Organization string         `json:"organization"`
	Connection   string         `json:"connection"`
	Trigger      string         `json:"trigger"` // "manual", "approve", "revert", "schedule", "watch", "person", "sign-in", "push"
	Actor        string         `json:"actor"`
	State        RunState       `json:"state"`
	Reading      *ReadingReport `json:"reading"`
	Summary      *plan.Summary  `json:"summary"`
	Plan         *string        `json:"plan"`
	Reverts      *string        `json:"reverts"`
	StartedAt    time.Time      `json:"started_at"`
	FinishedAt   *time.Time     `json:"finished_at"`
	Error        *string        `json:"error"`
	// Replaces is the run that this one does again, because its node went away.
	Replaces *string `json:"replaces,omitempty"`
	// Progress is where a run stands that a server carries out; nil of others.
	Progress *Progress `json:"progress,omitempty"`
	// Cancelled says that a person ended it. It chooses the event, and is not kept.
	Cancelled bool `json:"-"`
}

// Overlap is an entry of one connection that claims an account another keeps.
type Overlap struct {
	Account     account.ID
	Owner       string
	OwnerKey    directory.Digest
	ClaimantKey directory.Digest
	Name        string // of the claimant's entry
}

// Selection says which mirror rows are to be planned.
type Selection struct {
	Connection string
	All        bool  // every row: the rules changed
	Planned    int64 // otherwise what moved since this generation
	Now        time.Time
	Batch      int
}

// Store is what the engine keeps things in. The packages of internal/store
// implement it, on SQLite and on PostgreSQL, with one suite for both.
type Store interface {
	Leases() Leases
	Mirror() Mirror
	Accounts() Accounts
	Plans() Plans
	Runs() Runs
	Events() Events
	Ledger() apply.Ledger
	// Prune takes away what is older than a retention says, in small transactions,
	// of each kind at the most so many; 0 means all there are.
	Prune(ctx context.Context, r setting.Retention, now time.Time, transactions int) (Pruned, error)
	// Expires notes when what a connection signs in with runs out, in place of what
	// was noted before. What ends without use stays as it was noted, unless it was used.
	Expires(ctx context.Context, organization, connection string, list []source.Expiry, used bool) error
}

// Pruned counts what was pruned: plans whose rows went, runs, events.
type Pruned struct {
	Plans  int   `json:"plans"`
	Runs   int   `json:"runs"`
	Events int64 `json:"events"`
	// Deliveries to webhooks, with their attempts.
	Deliveries int `json:"deliveries"`
}

// Leases keeps the right to work on a connection, and its state.
type Leases interface {
	Acquire(ctx context.Context, alias, organization, kind string) (mirror.Lease, error)
	Renew(ctx context.Context, lease mirror.Lease) error
	Release(ctx context.Context, lease mirror.Lease) error
	State(ctx context.Context, alias string) (State, error)
	Remember(ctx context.Context, lease mirror.Lease, attention string) error
}

// Mirror keeps mirror rows.
type Mirror interface {
	mirror.Store
	Each(ctx context.Context, s Selection, kind directory.Kind, fn func([]mirror.Row) error) error
	// People is Each for people, without what their records say too: external ID and name.
	People(ctx context.Context, s Selection, fn func([]mirror.Row) error) error
	// Moved counts the rows of a selection that is not of all.
	Moved(ctx context.Context, s Selection) (users, groups int, err error)
	// Still hands on the people there are who are not to be planned, by key and record
	// alone, in the order of their keys.
	Still(ctx context.Context, s Selection, fn func([]mirror.Row) error) error
	Rows(ctx context.Context, connection string, keys []directory.Digest) ([]mirror.Row, error)
	Former(ctx context.Context, connection string, fn func(ref directory.Digest, until int64, key directory.Digest)) error
	// Returned calls fn for those who went and are there again, by their refs: rows of
	// groups from before since say nothing of them.
	Returned(ctx context.Context, connection string, fn func(ref directory.Digest, since int64)) error
	// Groups hands on all groups, without records, and with or without members.
	Groups(ctx context.Context, connection string, members bool, fn func(*mirror.Group)) error
	// Primaries calls fn for everybody who is in one of the groups of (by ref; nil
	// takes all) without being among its members.
	Primaries(ctx context.Context, connection string, of []directory.Digest, fn func(group, person directory.Digest, generation int64)) error
	Claims(ctx context.Context, connection string, fn func(key directory.Digest, claimant, name string)) error
	// Aside copies the picture, for a reading that is to leave the picture as it is,
	// and gives the lease to work on the copy; DropAside takes it away again.
	Aside(ctx context.Context, lease mirror.Lease) (mirror.Lease, error)
	DropAside(ctx context.Context, lease mirror.Lease) error
	// Reset has the next reading be a full one, in which everything counts as changed.
	Reset(ctx context.Context, lease mirror.Lease, organization, actor string, at time.Time) error
}

// Accounts reads accounts, groups and memberships.
type Accounts interface {
	Linked(ctx context.Context, connection string, keys []directory.Digest) (map[directory.Digest]match.Holder, error)
	// Holders gives the accounts that carry one of the names, or one of the values of
	// indexed attributes; of each value at the most one more than match.MostHolders.
	Holders(ctx context.Context, organization string, usernames, emails []string, values []account.Value) ([]match.Holder, error)
	// Holding gives the account that a connection keeps under a key, nil where there is none.
	Holding(ctx context.Context, connection string, key directory.Digest) (*account.Account, error)
	Fetch(ctx context.Context, ids []account.ID) (map[account.ID]*account.Account, error)
	// Texts gives the accounts that a connection keeps under keys, with nothing but
	// their ID, version, status and the fields asked for. The keys are in order; dense
	// says that most of those between the first and the last are asked for.
	Texts(ctx context.Context, connection string, keys []directory.Digest, dense bool, fields []account.Field) (map[directory.Digest]*account.Account, error)
	Find(ctx context.Context, organization, word string) ([]*account.Account, error)
	// Entries gives the keys of the people in a connection's mirror who carry a ref,
	// those who are gone too.
	Entries(ctx context.Context, connection string, ref directory.Digest) ([]directory.Digest, error)
	// Called gives the keys of the accounts of a connection whose display name, or first
	// and last name, is a word; Formerly of those whose username or e-mail address was,
	// as far back as events go. Both take the time of a scan.
	Called(ctx context.Context, connection, word string) ([]directory.Digest, error)
	Formerly(ctx context.Context, connection, word string) ([]directory.Digest, error)
	// Purgeable calls fn for the accounts of a connection that are flagged deleted since
	// before a time, and of whose entries nothing is left open.
	Purgeable(ctx context.Context, connection string, before time.Time, fn func(account.ID)) error
	// Any reports whether an organization has accounts at all.
	Any(ctx context.Context, organization string) (bool, error)
	Secrets(ctx context.Context, ids []account.ID) (map[account.ID]string, error)
	ByRef(ctx context.Context, connection string, refs []directory.Digest) (accounts map[directory.Digest]account.ID, left map[account.ID]bool, err error)
	AllRefs(ctx context.Context, connection string, fn func(ref directory.Digest, id account.ID)) error
	Managers(ctx context.Context, organization string, fn func(id, manager account.ID)) error
	Facts(ctx context.Context, organization, connection string) (safeguard.Facts, error)
	// Having counts the accounts of a connection that have a field (of account.FieldNames,
	// "manager", or a custom attribute with account.CustomPrefix), or with "status" those
	// whom the directory disabled; not those whose people left.
	Having(ctx context.Context, connection, field string) (int, error)
	// Memberships counts those in the groups of a connection.
	Memberships(ctx context.Context, connection string) (int, error)
	Groups(ctx context.Context, connection string) (map[account.ID]account.Group, error)
	Members(ctx context.Context, group account.ID, fn func(id account.ID)) error
	GroupsOf(ctx context.Context, connection string, ids []account.ID, fn func(group, id account.ID)) error
}

// Plans keeps plans.
type Plans interface {
	apply.Chunks
	// Begin makes a plan that is not whole yet.
	Begin(ctx context.Context, lease mirror.Lease, p *Plan) error
	// Append adds a chunk to a part ("changes" or "notes").
	Append(ctx context.Context, lease mirror.Lease, id, part string, c plan.Chunk) error
	// Finish makes it whole: hash, verdict, summary, overlaps. Earlier plans of
	// the connection that wait are superseded; by one made with settings that were
	// not saved, only those that were too.
	Finish(ctx context.Context, lease mirror.Lease, p *Plan, overlaps []Overlap) error
	// Same gives the plan that waits and has the same rows as one just built, or nil;
	// Keep throws the rows just built away in its favour.
	Same(ctx context.Context, p *Plan) (*Plan, error)
	Keep(ctx context.Context, lease mirror.Lease, waits, built *Plan, overlaps []Overlap) error
	Get(ctx context.Context, id string) (*Plan, error)
	// Waiting gives the plans of a connection that are ready or held, the oldest first,
	// without those made with settings that were not saved.
	Waiting(ctx context.Context, connection string) ([]*Plan, error)
	// RowsOf hands on the rows of a plan behind one of its row numbers, of those changes
	// alone that somebody wants to see.
	RowsOf(ctx context.Context, p *Plan, after int64, only plan.Narrow, fn func(plan.Row) error) error
	Notes(ctx context.Context, id string, fn func(plan.Note) error) error
	Standing(ctx context.Context, connection string, s Selection, fn func(plan.Note) error) error
	// Open hands on what is left standing for one entry.
	Open(ctx context.Context, connection string, key directory.Digest, fn func(plan.Note) error) error
	Excluded(ctx context.Context, id string) (map[int64]bool, error)
	// Taken hands on what people took out of plans of a connection and was not done since.
	Taken(ctx context.Context, connection string, fn func(plan.Note) error) error
	// Start moves a ready or held plan to applying, with the rows left out, and writes
	// what its run knows by then: whoever carries it on has nothing else to tell it by.
	Start(ctx context.Context, lease mirror.Lease, p *Plan, excluded []int64, run *Run) error
	// Unfinished gives the plan of a connection that was being applied when its
	// process ended, or nil.
	Unfinished(ctx context.Context, connection string) (*Plan, error)
	// Complete ends an applied plan: what it left open becomes standing, the
	// connection's rules and generation are those of its basis, its run ends.
	Complete(ctx context.Context, lease mirror.Lease, p *Plan, run *Run, notes []plan.Note) error
	Reject(ctx context.Context, lease mirror.Lease, p *Plan, actor string) error
	// Abandon ends a plan that was started and cannot be carried on, and its run.
	Abandon(ctx context.Context, lease mirror.Lease, p *Plan, run *Run) error
}

// Runs keeps runs.
type Runs interface {
	Start(ctx context.Context, lease mirror.Lease, r *Run) error
	Save(ctx context.Context, lease mirror.Lease, r *Run) error
	Get(ctx context.Context, id string) (*Run, error)
	// Interrupted ends runs whose process is gone; the given one is spared.
	Interrupted(ctx context.Context, lease mirror.Lease, spare string) error
	// Lived gives when the last run of a connection that was applied and not of one person
	// alone began; the zero time where there is none.
	Lived(ctx context.Context, connection string) (time.Time, error)
	// Recent gives what runs of a connection that ended since then applied, those from
	// the last decision of a person on.
	Recent(ctx context.Context, connection string, since time.Time) (safeguard.Recent, error)
}

// Events reads events.
type Events interface {
	OfAccount(ctx context.Context, id account.ID, limit int, fn func(event.Event) error) error
}

// fingerprint is a basis as it is hashed and stored.
func fingerprint(b plan.Basis) ([]byte, error) { return json.Marshal(b) }
