package client

import (
	"encoding/json"
	"time"
)

// Organization is a tenant with the seats it uses.
type Organization struct {
	ID           string `json:"id" doc:"Short name, unique in the installation." example:"sunfix"`
	Name         string `json:"name" doc:"Name for people." example:"Sunfix"`
	LicenceLimit *int   `json:"licence_limit" doc:"Seats; a plan that needs more is held. Null means no limit."`
	SeatsUsed    int    `json:"seats_used" doc:"Active accounts."`
	Accounts     int    `json:"accounts" doc:"Accounts that are not deleted."`
	Declared     bool   `json:"declared" doc:"It stands in rollcall.yaml and cannot be changed here."`
}

// OrganizationInput makes or changes an organization. What is absent stays as it is.
type OrganizationInput struct {
	ID           string  `json:"id,omitempty" doc:"Short name, unique in the installation; cannot be changed." pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$" maxLength:"64"`
	Name         *string `json:"name,omitempty" doc:"Name for people; the ID unless given." maxLength:"200"`
	LicenceLimit *int    `json:"licence_limit,omitempty" doc:"Seats; 0 means no limit." minimum:"0"`
}

// Connection is one configured directory of one organization. The first keys are
// those of rollcall.yaml, without secrets; docs/configuration.md explains them.
type Connection struct {
	Alias             string         `json:"alias" doc:"Short name, unique in the installation."`
	Organization      string         `json:"organization" doc:"Whose directory it is."`
	Schedule          string         `json:"schedule,omitempty" doc:"When it runs by itself: a cron expression, or every 40m."`
	TimeZone          string         `json:"time_zone,omitempty" doc:"The time zone of the schedule."`
	CredentialExpires string         `json:"credential_expires,omitempty" format:"date" doc:"The last day of what it signs in with; people are told before."`
	Jitter            any            `json:"jitter,omitempty" doc:"How much later than scheduled it may start."`
	Role              string         `json:"role,omitempty" doc:"Role of the accounts it creates."`
	Region            string         `json:"region,omitempty" doc:"Country of telephone numbers without a country code."`
	Overlap           string         `json:"overlap,omitempty" doc:"What happens to an entry that another connection claims too."`
	Match             []string       `json:"match,omitempty" nullable:"false" doc:"How an entry without an account finds one it may take over."`
	Scope             []string       `json:"scope,omitempty" nullable:"false" doc:"Who is in: expressions that must all hold."`
	Settings          map[string]any `json:"settings" doc:"The policy: which actions are allowed."`
	SignIn            map[string]any `json:"sign_in,omitempty" doc:"How its people sign in."`
	Limits            map[string]any `json:"limits" doc:"The safeguards: a plan over one of them is held."`
	Backend           map[string]any `json:"backend" doc:"One kind of source, with its settings but for the secrets."`
	Mapping           map[string]any `json:"mapping,omitempty" doc:"Where the fields come from."`

	Missing    []string        `json:"secrets_missing" nullable:"false" doc:"Secrets that were taken away because the place they were given for changed; give them again."`
	Version    int64           `json:"version" doc:"Counts its changes; 0 of one that stands in rollcall.yaml."`
	UpdatedAt  *time.Time      `json:"updated_at"`
	UpdatedBy  string          `json:"updated_by"`
	Declared   bool            `json:"declared" doc:"It stands in rollcall.yaml and cannot be changed here."`
	SecretsSet []string        `json:"secrets_set" nullable:"false" doc:"Names of the secrets that are set; their values are never returned."`
	State      ConnectionState `json:"state" doc:"How it stands."`
}

// ConnectionState is how a connection stands.
type ConnectionState struct {
	Health      string     `json:"health" enum:"new,ok,held,failing,incomplete,quarantined,unset" doc:"One word: new was never read; unset lacks a setting; incomplete did not see everything; held waits for a person."`
	Attention   *string    `json:"attention" doc:"What a person should look at, in a sentence."`
	People      int        `json:"people" doc:"People in the latest picture of the directory."`
	Groups      int        `json:"groups" doc:"Groups in it."`
	Complete    *bool      `json:"last_reading_complete" doc:"Whether the last reading saw everything; null before the first."`
	Reason      *string    `json:"last_reading_reason" doc:"Why it did not."`
	Waits       *string    `json:"next_plan_waits" doc:"Why the next plan waits for a person."`
	LastFullAt  *time.Time `json:"last_full_at" doc:"When everything was last read."`
	LastRun     *string    `json:"last_run" doc:"The ID of the last run."`
	LastRunAt   *time.Time `json:"last_run_at" doc:"When it began."`
	LastRunDone *string    `json:"last_run_state" doc:"How it stands or ended."`
	Failures    int        `json:"failures" doc:"Runs that failed in a row."`
	NextRunAt   *time.Time `json:"next_run_at" doc:"When its schedule has it run next; null without one, and before a server has seen it."`
	RetryAt     *time.Time `json:"retry_at" doc:"In quarantine: before this no schedule runs it; on demand it always runs."`
	Unset       []string   `json:"unset" nullable:"false" doc:"Settings that name a variable or a file that is not there."`
}

// Step is one step of the connection doctor.
type Step struct {
	Step    string   `json:"step" doc:"What was tried: DNS, TCP, TLS, bind, search and so on."`
	Section string   `json:"section" enum:"settings,address,tls,sign-in,base,layout,users,groups,changes,mapping,match" doc:"The part of the settings it is about. A part is as well as the worst step about it."`
	Verdict string   `json:"verdict" enum:"ok,warn,fail,skip"`
	Detail  string   `json:"detail" doc:"What was found."`
	Hint    string   `json:"hint" doc:"What to do about it; empty where there is nothing to do."`
	TookMS  int64    `json:"took_ms"`
	Count   *int     `json:"count" doc:"How many people, or groups, it found; null where it counts none."`
	Names   []string `json:"names" nullable:"false" doc:"Up to ten of those counted."`
	// Proposal is what the directory says that settings may be.
	Proposal *Proposal `json:"proposal" doc:"What the directory says that settings may be, on the step at which that is known."`
}

// Proposal is what a directory says of itself, in the terms of its settings. What
// it does not say is empty.
type Proposal struct {
	Vendor       string          `json:"vendor" doc:"What kind of server it is, as presets go: OpenLDAP, Active Directory and so on."`
	Version      string          `json:"version" doc:"What the server calls itself."`
	Bases        []string        `json:"bases" nullable:"false" doc:"Its naming contexts, the likeliest first: where people may be looked for."`
	Filter       string          `json:"filter" doc:"The filter for people that suits it."`
	Anchor       string          `json:"anchor" doc:"The attribute that external IDs come from."`
	GroupFilter  string          `json:"group_filter"`
	GroupName    string          `json:"group_name" doc:"The attribute with a group's name."`
	GroupMembers []string        `json:"group_members" nullable:"false" doc:"The attributes with a group's members."`
	Columns      []string        `json:"columns" nullable:"false" doc:"Of a table."`
	Encoding     string          `json:"encoding" doc:"Of a table."`
	Separator    string          `json:"separator" enum:",comma,semicolon,tab" doc:"Of a table."`
	Mapping      map[string]Rule `json:"mapping" nullable:"false" doc:"The starting rules, by field."`
}

// Rule says where a field's value comes from. One of attribute, value and expr is
// set; with none it is a constant that is empty.
type Rule struct {
	Attribute string `json:"attribute,omitempty" doc:"The first value of this attribute."`
	Value     string `json:"value,omitempty" doc:"A constant."`
	Expr      string `json:"expr,omitempty" doc:"An expression, see docs/mapping.md."`
	None      bool   `json:"none,omitempty" doc:"The field is left to the application."`
}

// Check is the result of the connection doctor.
type Check struct {
	OK    bool   `json:"ok" doc:"No step failed."`
	Steps []Step `json:"steps" nullable:"false"`
}

// TryInput says which rules to try, and on whom.
type TryInput struct {
	Mapping map[string]any `json:"mapping,omitempty" nullable:"false" doc:"A merge patch (RFC 7396) over the connection's rules, in the form of rollcall.yaml: null goes back to the starting rule, \"none\" leaves the field to the application."`
	Scope   *[]string      `json:"scope,omitempty" nullable:"false" doc:"In place of the connection's; left out, that stays."`
	Who     string         `json:"who,omitempty" maxLength:"1000" doc:"A name, DN, e-mail address or external ID; left out, the first people there are."`
	Limit   int            `json:"limit,omitempty" minimum:"1" maximum:"50" doc:"How many entries to show; 10 unless given."`
	NoTally bool           `json:"no_tally,omitempty" doc:"Show entries alone, and count over nobody: quick, while somebody types."`
}

// Trial is what rules make of people: entry by entry, and of everybody.
type Trial struct {
	Entries []TrialEntry `json:"entries" nullable:"false"`
	Tally   *TrialTally  `json:"tally" doc:"Null where nothing was to be counted."`
	From    string       `json:"from" enum:",mirror,directory" doc:"What was counted over: the last reading or, where the rules need what that does not hold, the directory, read for this."`
	Notes   []string     `json:"notes" nullable:"false" doc:"What a person should know."`
}

// TrialEntry is one person: what the directory says, and what rules make of it.
type TrialEntry struct {
	Name       string              `json:"name"`
	ExternalID *string             `json:"external_id"`
	Live       bool                `json:"live" doc:"Read from the directory just now; otherwise what the last reading took."`
	Attributes map[string][]string `json:"attributes" nullable:"false" doc:"Bytes that are no text in hexadecimal; nothing that may hold a secret."`
	Problem    *string             `json:"problem" doc:"Why the entry itself cannot be used."`
	Fields     []TrialField        `json:"fields" nullable:"false"`
	Now        *TrialVerdict       `json:"now" doc:"Null where the rules as they are cannot be applied."`
	Then       TrialVerdict        `json:"then"`
}

// TrialVerdict is what becomes of a person.
type TrialVerdict struct {
	Usable   bool    `json:"usable" doc:"Every mandatory field has a value."`
	InScope  bool    `json:"in_scope"`
	Disabled bool    `json:"disabled"`
	Why      *string `json:"why" doc:"Why not usable, out of scope or disabled."`
}

// TrialField is one field of one person.
type TrialField struct {
	Field    string  `json:"field"`
	Rule     *Rule   `json:"rule" doc:"As it would be; null where there is none."`
	RuleNow  *Rule   `json:"rule_now" doc:"As it is."`
	Starting bool    `json:"starting" doc:"The rule is the source's own."`
	Now      *string `json:"now"`
	Then     *string `json:"then"`
	Changes  bool    `json:"changes"`
	Problem  *string `json:"problem" doc:"Why the entry cannot be used, with the rule as it would be."`
	Warning  *string `json:"warning" doc:"Why the value is left out."`
}

// TrialTally is what rules make of everybody.
type TrialTally struct {
	People      int             `json:"people"`
	InScopeNow  int             `json:"in_scope_now"`
	InScopeThen int             `json:"in_scope_then"`
	UsableNow   int             `json:"usable_now"`
	UsableThen  int             `json:"usable_then"`
	Enters      int             `json:"enters" doc:"People who come into the scope."`
	Leaves      int             `json:"leaves" doc:"People who fall out of it."`
	Changes     int             `json:"changes" doc:"People of whom a mapped value changes."`
	Fields      []TrialCount    `json:"fields" nullable:"false"`
	Samples     []TrialSample   `json:"samples" nullable:"false" doc:"Up to ten changes."`
	Problems    []TrialSentence `json:"problems" nullable:"false" doc:"With the rules as they would be, the most frequent first."`
}

// TrialCount is one field over everybody.
type TrialCount struct {
	Field      string  `json:"field"`
	Changes    int     `json:"changes"`
	FilledNow  int     `json:"filled_now"`
	FilledThen int     `json:"filled_then"`
	Problems   int     `json:"problems" doc:"Problems and warnings, with the rules as they would be."`
	Example    *string `json:"example" doc:"One of them: the entry and what is wrong."`
}

// TrialSample is one change of one field.
type TrialSample struct {
	Name   string  `json:"name"`
	Field  string  `json:"field"`
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// TrialSentence is something that is wrong with several.
type TrialSentence struct {
	Text    string `json:"text"`
	Count   int    `json:"count"`
	Example string `json:"example" doc:"One of them."`
}

// StateHash proves that an application is in step with a connection. Hash is over
// the three others together; docs/events.md says how each is made.
type StateHash struct {
	Connection   string `json:"connection"`
	Event        int64  `json:"event" doc:"The newest event at that moment."`
	Hash         string `json:"hash" doc:"Over the three hashes below; docs/events.md says how to compute them."`
	Accounts     int    `json:"accounts"`
	AccountsHash string `json:"accounts_hash"`
	Groups       int    `json:"groups"`
	GroupsHash   string `json:"groups_hash"`
	Members      int    `json:"members" doc:"Memberships in those groups."`
	MembersHash  string `json:"members_hash"`
}

// Upload is a file given to a connection.
type Upload struct {
	ID     string    `json:"id"`
	Name   string    `json:"name" doc:"The file's name, as it was given."`
	Size   int64     `json:"size" doc:"In bytes."`
	SHA256 string    `json:"sha256" doc:"Of its content, in hex."`
	Actor  string    `json:"actor" doc:"Who gave it."`
	At     time.Time `json:"at"`
	Run    *string   `json:"run,omitempty" doc:"The run that reads it, where it has just been given."`
}

// Account is one person as the application sees them. What is absent is null.
type Account struct {
	ID           string         `json:"id" format:"uuid"`
	Organization string         `json:"organization"`
	Connection   string         `json:"connection" doc:"Who keeps it: a connection's alias, or local."`
	ExternalID   *string        `json:"external_id" doc:"The source's unchangeable name for the entry."`
	Username     *string        `json:"username"`
	Email        *string        `json:"email"`
	FirstName    *string        `json:"first_name"`
	LastName     *string        `json:"last_name"`
	DisplayName  *string        `json:"display_name"`
	MobilePhone  *string        `json:"mobile_phone" doc:"In E.164."`
	Phone        *string        `json:"phone"`
	Language     *string        `json:"language" doc:"Two letters, ISO 639-1."`
	Title        *string        `json:"title"`
	Department   *string        `json:"department"`
	Location     *string        `json:"location"`
	Manager      *string        `json:"manager" format:"uuid" doc:"The manager's account."`
	Role         *string        `json:"role"`
	Status       string         `json:"status" enum:"active,disabled,deleted"`
	Attributes   map[string]any `json:"attributes" doc:"Custom attributes."`
	Groups       []string       `json:"groups" nullable:"false" doc:"The groups the account is in, by ID."`
	CreatedAt    time.Time      `json:"created_at"`
	UpdatedAt    time.Time      `json:"updated_at"`
}

// AccountInput makes or changes a local account. On a change what is absent stays
// as it is, and an empty text or null takes a value away.
type AccountInput struct {
	Organization string             `json:"organization,omitempty" doc:"Whose account it is. May be left out where the key reaches one organization only; cannot be changed."`
	Username     *string            `json:"username,omitempty" nullable:"true"`
	Email        *string            `json:"email,omitempty" nullable:"true"`
	FirstName    *string            `json:"first_name,omitempty" nullable:"true"`
	LastName     *string            `json:"last_name,omitempty" nullable:"true"`
	DisplayName  *string            `json:"display_name,omitempty" nullable:"true"`
	MobilePhone  *string            `json:"mobile_phone,omitempty" nullable:"true"`
	Phone        *string            `json:"phone,omitempty" nullable:"true"`
	Language     *string            `json:"language,omitempty" nullable:"true"`
	Title        *string            `json:"title,omitempty" nullable:"true"`
	Department   *string            `json:"department,omitempty" nullable:"true"`
	Location     *string            `json:"location,omitempty" nullable:"true"`
	Role         *string            `json:"role,omitempty" nullable:"true"`
	Manager      *string            `json:"manager,omitempty" nullable:"true" doc:"An account of the same organization, by ID."`
	Status       *string            `json:"status,omitempty" enum:"active,disabled" doc:"A deleted account that is set to active comes back."`
	Attributes   map[string]*string `json:"attributes,omitempty" doc:"Custom attributes; null takes one away."`
	Password     *string            `json:"password,omitempty" writeOnly:"true" maxLength:"1024" doc:"Kept as argon2id, never returned."`
}

// Group is a group as the application sees it.
type Group struct {
	ID           string    `json:"id" format:"uuid"`
	Organization string    `json:"organization"`
	Connection   string    `json:"connection"`
	ExternalID   *string   `json:"external_id"`
	Name         string    `json:"name"`
	Status       string    `json:"status" enum:"active,disabled,deleted"`
	Members      int       `json:"members" doc:"Accounts in it: those of nested groups, and those that are disabled or flagged deleted, included."`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// Counts are numbers per action.
type Counts struct {
	Create  int `json:"create"`
	Update  int `json:"update"`
	Link    int `json:"link"`
	Disable int `json:"disable"`
	Enable  int `json:"enable"`
	Delete  int `json:"delete"`
	Restore int `json:"restore"`
	Keep    int `json:"keep"`
}

// Summary counts what a plan holds, or what a run did: accounts at the top,
// memberships as add and remove, groups apart.
type Summary struct {
	Counts
	Add             int    `json:"add" doc:"Memberships."`
	Remove          int    `json:"remove" doc:"Memberships."`
	Groups          Counts `json:"groups"`
	Refused         int    `json:"refused" doc:"Changes that the policy does not let happen."`
	Problems        int    `json:"problems" doc:"Entries that cannot be used as they are."`
	Disputes        int    `json:"disputes" doc:"Two claims that need a person."`
	Warnings        int    `json:"warnings"`
	Failed          int    `json:"failed" doc:"Changes that could not be written."`
	OutOfScope      int    `json:"out_of_scope"`
	Purge           int    `json:"purge" doc:"Accounts flagged deleted long enough that 'purge-after' ends them for good."`
	SeatsNeeded     int    `json:"seats_needed" doc:"Active accounts of the organization afterwards."`
	IdentityChanges int    `json:"identity_changes" doc:"Accounts whose username or e-mail address changes."`
	SeatsChange     int    `json:"seats_change"`
}

// Plan is what would be done, as data. Its changes and notes are lists of their own.
type Plan struct {
	ID           string    `json:"id"`
	Hash         string    `json:"hash" doc:"Over all rows: what is approved is what was shown."`
	Connection   string    `json:"connection"`
	Verdict      string    `json:"verdict" enum:"go,held,nothing"`
	HeldBecause  []string  `json:"held_because" nullable:"false" doc:"Why a person has to look at it, a sentence each."`
	Summary      Summary   `json:"summary"`
	State        string    `json:"state" enum:"ready,held,applying,applied,rejected,superseded"`
	Run          *string   `json:"run"`
	DecidedBy    *string   `json:"decided_by"`
	CreatedAt    time.Time `json:"created_at"`
	Organization string    `json:"organization"`
	Pruned       bool      `json:"pruned" doc:"Its rows are no longer kept."`
	Complete     bool      `json:"complete" doc:"The reading it was made from saw everything."`
	Reverts      *string   `json:"reverts" doc:"The run it undoes."`
	Draft        bool      `json:"draft" doc:"It was made with settings that were not saved. It can be approved once they are."`
	Changes      []Change  `json:"changes,omitempty" nullable:"false" doc:"Its rows, where one plan is shown; lists of plans leave them out."`
	Notes        []Note    `json:"notes,omitempty" nullable:"false" doc:"What it does not do, or not wholly, and why; left out of lists as well."`
}

// Change is one row of a plan.
type Change struct {
	Seq        int64           `json:"seq" doc:"Its number in the plan, from 1."`
	Action     string          `json:"action" enum:"create,update,link,disable,enable,delete,restore,keep,add,remove"`
	Target     string          `json:"target" enum:"account,group,membership"`
	Account    *string         `json:"account" format:"uuid"`
	Group      *string         `json:"group" format:"uuid"`
	ExternalID *string         `json:"external_id"`
	Name       string          `json:"name" doc:"The entry as a person knows it."`
	Before     json.RawMessage `json:"before" doc:"The fields that change, as they are; null for what is new."`
	After      json.RawMessage `json:"after" doc:"The fields that change, as they will be."`
	Why        string          `json:"why"`
	Excluded   bool            `json:"excluded,omitempty" doc:"A person took it out of the plan."`
}

// Note tells of something that a plan does not do, or not wholly.
type Note struct {
	Kind       string  `json:"kind" enum:"refused,problem,dispute,warning,unresolved,due,failed,excluded"`
	Name       string  `json:"name"`
	ExternalID *string `json:"external_id"`
	Account    *string `json:"account" format:"uuid"`
	Text       string  `json:"text"`
}

// Reading is what a run read.
type Reading struct {
	Complete bool       `json:"complete" doc:"It saw everything; otherwise nobody is removed, disabled or emptied from it."`
	Full     bool       `json:"full" doc:"Everything was read, not only what changed."`
	Swept    bool       `json:"swept" doc:"Only changes were read, and the IDs of everybody."`
	Method   string     `json:"method"`
	Entries  int        `json:"entries"`
	Users    int        `json:"users"`
	Groups   int        `json:"groups"`
	Changed  int        `json:"changed"`
	Gone     int        `json:"gone"`
	Reason   *string    `json:"reason" doc:"Why it is not complete."`
	Notes    []string   `json:"notes,omitempty" nullable:"false"`
	LastFull *time.Time `json:"last_full" doc:"When everything was last read."`
}

// Progress is where a run stands.
type Progress struct {
	Phase     string     `json:"phase" enum:"waiting,reading,planning,applying,ended"`
	Done      int        `json:"done"`
	Total     int        `json:"total" doc:"0 while unknown."`
	UpdatedAt *time.Time `json:"updated_at"`
	WaitsFor  string     `json:"waits_for,omitempty" doc:"What it waits for, where it is not just its turn."`
}

// SyncInput says how to synchronise.
type SyncInput struct {
	Full bool   `json:"full,omitempty" doc:"Read everything, even where reading only what changed would do."`
	Who  string `json:"who,omitempty" minLength:"1" maxLength:"1000" doc:"Read this one person alone: a name, DN, e-mail address or external ID. Not for plans."`
}

// ApproveInput says what to leave out of a plan.
type ApproveInput struct {
	Exclude []string `json:"exclude,omitempty" nullable:"false" maxItems:"10000" doc:"Row numbers and ranges of them, such as 3, 7 and 10-14."`
}

// Run is one pass of a connection as people see it.
type Run struct {
	ID           string     `json:"id"`
	Organization string     `json:"organization"`
	Connection   string     `json:"connection"`
	Trigger      string     `json:"trigger" doc:"What began it: manual, schedule, approve, revert, person, api and so on."`
	Actor        string     `json:"actor"`
	State        string     `json:"state" enum:"running,applied,held,failed,rejected,reverted"`
	Reading      *Reading   `json:"reading"`
	Summary      *Summary   `json:"summary"`
	Plan         *string    `json:"plan"`
	Reverts      *string    `json:"reverts" doc:"The run it undoes."`
	Replaces     *string    `json:"replaces,omitempty" doc:"The run of a node that died, in whose place it runs."`
	StartedAt    time.Time  `json:"started_at"`
	FinishedAt   *time.Time `json:"finished_at"`
	Error        *string    `json:"error"`
	Progress     *Progress  `json:"progress,omitempty" doc:"Where it stands, while it runs."`
}

// Event is one thing that happened.
type Event struct {
	ID           int64           `json:"id" doc:"Ascending, without gaps in the installation."`
	Type         string          `json:"type" example:"account.updated"`
	Organization string          `json:"organization"`
	Connection   *string         `json:"connection"`
	Run          *string         `json:"run"`
	Account      *string         `json:"account" format:"uuid"`
	Group        *string         `json:"group" format:"uuid"`
	At           time.Time       `json:"at"`
	Actor        string          `json:"actor"`
	Before       json.RawMessage `json:"before" doc:"The fields that changed, as they were."`
	After        json.RawMessage `json:"after" doc:"The fields that changed, as they are."`
	Why          string          `json:"why"`
}

// EventPage is a piece of the feed.
type EventPage struct {
	Items     []Event `json:"items" nullable:"false"`
	NextAfter int64   `json:"next_after" doc:"Where to go on: the next request's after."`
	Newest    int64   `json:"newest" doc:"The number of the newest event of the installation."`
	Before    *int64  `json:"next_before" doc:"With last: where to go on looking further back, as the next request's before. Null at the beginning. A look goes back over a bounded number of events, so there may be more although it found few."`
}

// WhyStep is one step of a trace.
type WhyStep struct {
	Step   string `json:"step"`
	Holds  *bool  `json:"holds" doc:"Null where the step was not reached or does not apply."`
	Detail string `json:"detail"`
}

// Why is the trace of one person through the stages.
type Why struct {
	Who     string    `json:"who"`
	In      bool      `json:"in"`
	Answer  string    `json:"answer" doc:"In one sentence."`
	Entry   *string   `json:"entry"`
	Steps   []WhyStep `json:"steps" nullable:"true"`
	Account *Account  `json:"account"`
	History []Event   `json:"history" nullable:"true"`
}

// Key is an API key without its secret.
type Key struct {
	ID         string     `json:"id" doc:"How the key begins."`
	Name       string     `json:"name"`
	Scope      string     `json:"scope" doc:"operator, read-only, organization:ID or organization:ID:read-only."`
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"To the minute."`
	RevokedAt  *time.Time `json:"revoked_at"`
	RevokedBy  *string    `json:"revoked_by"`
}

// KeyInput asks for an API key.
type KeyInput struct {
	Scope     string     `json:"scope" doc:"operator, read-only, organization:ID or organization:ID:read-only; not further than the key that asks."`
	Name      string     `json:"name,omitempty" maxLength:"200" doc:"What it is for."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Never unless given."`
}

// NewKey is a key as it is shown once.
type NewKey struct {
	Key
	Secret string `json:"key" doc:"The key itself. It is shown this once and kept nowhere."`
}

// Membership is one account in one group, both by ID.
type Membership struct {
	Group   string `json:"group"`
	Account string `json:"account"`
}

// Webhook is an address that is told of events, signed by the Standard Webhooks
// rules. Its secret is shown once, when it is made or rotated.
type Webhook struct {
	ID              string     `json:"id"`
	Organization    *string    `json:"organization" doc:"Null: the operator's, which is told of everything."`
	URL             string     `json:"url"`
	Description     string     `json:"description"`
	Types           []string   `json:"types" nullable:"false" doc:"The types of events it is told of; none stands for all."`
	Enabled         bool       `json:"enabled"`
	DisabledBecause *string    `json:"disabled_because"`
	Cursor          int64      `json:"cursor" doc:"The last event that was made into a delivery, or passed over."`
	FailingSince    *time.Time `json:"failing_since" doc:"Nothing was accepted since then."`
	PausedUntil     *time.Time `json:"paused_until" doc:"Nothing is tried before."`
	OldSecretUntil  *time.Time `json:"old_secret_until" doc:"Until then signatures are made with the secret before as well."`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
}

// WebhookInput asks for a webhook.
type WebhookInput struct {
	Organization string   `json:"organization,omitempty" doc:"Whose events. Left out by a key that reaches all organizations it is told of everything."`
	URL          string   `json:"url" maxLength:"2000" doc:"An https address."`
	Description  string   `json:"description,omitempty" maxLength:"500"`
	Types        []string `json:"types,omitempty" nullable:"false" maxItems:"100" doc:"Such as account.created, or account.* for all of accounts; none stands for all."`
	Disabled     bool     `json:"disabled,omitempty"`
	Secret       string   `json:"secret,omitempty" writeOnly:"true" maxLength:"200" doc:"whsec_ and 24 to 64 bytes in base64; made unless given."`
	From         *int64   `json:"from,omitempty" minimum:"0" doc:"The event behind which it starts; at the end of the feed unless given."`
}

// WebhookPatchInput changes a webhook; what is absent stays.
type WebhookPatchInput struct {
	URL         *string   `json:"url,omitempty" maxLength:"2000"`
	Description *string   `json:"description,omitempty" maxLength:"500"`
	Types       *[]string `json:"types,omitempty" maxItems:"100"`
	Enabled     *bool     `json:"enabled,omitempty"`
	From        *int64    `json:"from,omitempty" minimum:"0" doc:"Moves it in the feed; nothing that was delivered is sent again."`
}

// NewWebhook is a webhook with its secret, which is shown this once.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret" doc:"whsec_..., for the receiver. It is shown this once."`
}

// RotateInput asks for another secret.
type RotateInput struct {
	OverlapSeconds *int `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the secret before stays valid; a day unless given."`
}

// ReplayInput asks for deliveries to be made again.
type ReplayInput struct {
	After *int64 `json:"after,omitempty" minimum:"0" doc:"Everything behind this event; without it, what was given up."`
}

// Replayed says how many deliveries will be made again.
type Replayed struct {
	Deliveries *int `json:"deliveries" doc:"Null where they are made from the feed, bit by bit."`
}

// Delivery is one event on its way to one webhook.
type Delivery struct {
	ID        string     `json:"id" doc:"The webhook-id of the message; the same in every attempt."`
	Webhook   string     `json:"webhook"`
	Event     *int64     `json:"event" doc:"Null for a test."`
	Type      string     `json:"type"`
	State     string     `json:"state" enum:"pending,delivered,dead"`
	Attempts  int        `json:"attempts"`
	Status    *int       `json:"status" doc:"Of the last answer."`
	Error     *string    `json:"error" doc:"Of the last attempt."`
	NextAt    *time.Time `json:"next_at" doc:"Null when it has ended."`
	CreatedAt time.Time  `json:"created_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

// SentDelivery is a delivery with what is sent.
type SentDelivery struct {
	Delivery
	Body json.RawMessage `json:"body" doc:"What is sent, with every attempt the same; null where the event is no longer kept."`
}

// Attempt is one try of a delivery.
type Attempt struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Status *int      `json:"status"`
	Error  *string   `json:"error"`
	Answer string    `json:"answer" doc:"The first KiB of the answer."`
}
