package setting

import "time"

// Connection is one configured directory of one organization, whether declared
// in rollcall.yaml or made through the API.
type Connection struct {
	Alias        string // unique in the installation
	Organization string
	// Declared says that it stands in rollcall.yaml: whoever runs the machine wrote it.
	Declared bool
	Kind     string         // the source: ldap, csv, ...
	Schedule string         // cron expression or "every 40m"; "" runs on demand only
	TimeZone string         // whose clock the cron expression goes by; "" is UTC
	Jitter   *time.Duration // over how long connections of one schedule are spread; nil leaves it to the schedule
	Role     string         // role of accounts this connection creates
	Region   string         // country (two capital letters) of telephone numbers without a country code
	Policy   Policy
	Limits   Limits
	Backend  Values          // the source's own settings
	Mapping  map[string]Rule // field or custom attribute name to rule; what is not named keeps the source's starting rule
	Scope    []string        // expressions over mapped fields; all must hold
	// CredentialExpires is the last day of what the connection signs in with, where
	// its administrator knows; zero where not.
	CredentialExpires time.Time
	Match             []string // matching attributes in order: "username", "email", "mobile_phone", "phone" or a custom attribute
	SignIn            ConnectionSignIn
	Overlap           string  // "wait", "own" or "yield": see Overlap*
	Unset             []Unset // settings of the source that could not be had; it cannot be opened without them
}

// Unset is a setting of a source whose value could not be had, because a variable
// or a file that it names is not there. Nobody else is stopped by that.
type Unset struct {
	Option  Option
	Problem string   // where it stands and what is missing
	Raw     []string // the value as it is written, an item each; none of a secret
}

// What happens to an entry that another connection of the organization claims too.
const (
	OverlapWait  = "wait"  // changed by neither until one is declared the owner
	OverlapOwn   = "own"   // this connection is the owner
	OverlapYield = "yield" // the other one is
)

// Policy says which actions a connection may carry out.
type Policy struct {
	DryRun                   bool
	NoCreate                 bool
	NoUpdate                 bool
	NoDelete                 bool
	DeleteDisables           bool // default true: a leaver is disabled instead of flagged deleted
	CreateAsDisabled         bool
	NoUpdateProviderMismatch bool          // default true: accounts of other providers are left alone
	PurgeAfter               time.Duration // accounts flagged deleted this long are purged; 0 never
}

// Limits are the safeguards: a plan over one of them is held.
type Limits struct {
	Removals              Share // accounts disabled or deleted, of the connection's accounts
	RemovalsMin           int   // fewer than this many are let through whatever their share
	RemovalsMax           int   // more than this many are held whatever their share; 0 no such limit
	MembershipRemovals    Share
	MembershipRemovalsMin int
	GroupRemovals         Share
	GroupRemovalsMin      int
	IdentityChanges       Share // accounts whose username or e-mail changes
	IdentityChangesMin    int
	Creates               int // more creates than this are held; 0 no such limit
}

// Share is a part of a whole, 0.2 for 20 %.
type Share float64

// Stricter is what both policies allow, switch by switch. When leavers' accounts are
// purged is not for the other to say.
func (p Policy) Stricter(other Policy) Policy {
	return Policy{
		DryRun:                   p.DryRun || other.DryRun,
		NoCreate:                 p.NoCreate || other.NoCreate,
		NoUpdate:                 p.NoUpdate || other.NoUpdate,
		NoDelete:                 p.NoDelete || other.NoDelete,
		DeleteDisables:           p.DeleteDisables || other.DeleteDisables,
		CreateAsDisabled:         p.CreateAsDisabled || other.CreateAsDisabled,
		NoUpdateProviderMismatch: p.NoUpdateProviderMismatch || other.NoUpdateProviderMismatch,
		PurgeAfter:               p.PurgeAfter,
	}
}

// DefaultPolicy and DefaultLimits are in force where a file says nothing.
func DefaultPolicy() Policy {
	return Policy{DeleteDisables: true, NoUpdateProviderMismatch: true}
}

// DefaultLimits hold a plan that removes more than a fifth of the people.
func DefaultLimits() Limits {
	return Limits{
		Removals: 0.2, RemovalsMin: 10,
		MembershipRemovals: 0.3, MembershipRemovalsMin: 50,
		GroupRemovals: 0.2, GroupRemovalsMin: 5,
		IdentityChanges: 0.2, IdentityChangesMin: 10,
	}
}

// Rule says where a field's value comes from: exactly one of the three.
type Rule struct {
	Attribute string // the first value of this attribute
	Value     string // a constant
	Expr      string // an expression, see docs/mapping.md
	None      bool   // the field is deliberately left to the application
}

// Retention says for how long what happened is kept; 0 for ever.
type Retention struct {
	Plans  time.Duration // the rows of plans that were applied, rejected or superseded; not longer than their run
	Runs   time.Duration // runs, with the heads of their plans
	Events time.Duration
	// Deliveries to webhooks that have ended, and notices of what is over.
	Deliveries time.Duration
}

// DefaultRetention is in force where a file says nothing. The feed of events is
// what applications hold on to: it is kept whole unless somebody says otherwise.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{Plans: 90 * day, Runs: 365 * day, Deliveries: 30 * day}
}

// Organization is a tenant.
type Organization struct {
	ID           string
	Name         string
	LicenceLimit int // seats; 0 means no limit
}

// Rates is how many requests to the API each key may make.
type Rates struct {
	PerSecond int // 0 for as many as they like
	Burst     int // at once, after a rest
}

// DefaultRates are in force where a file says nothing.
func DefaultRates() Rates { return Rates{PerSecond: 50, Burst: 200} }
