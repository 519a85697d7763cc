// Package plan decides what would be done, and hands that on as data: changes
// in order, and notes on what is not done and why. The same input gives the
// same bytes. What a person sees is what apply carries out, row by row.
package plan

import (
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/match"
)

// Action is what a change does.
type Action string

// The actions.
const (
	Create  Action = "create"
	Update  Action = "update"
	Link    Action = "link"
	Disable Action = "disable"
	Enable  Action = "enable"
	Delete  Action = "delete"
	Restore Action = "restore"
	Keep    Action = "keep"
	Add     Action = "add"    // memberships only
	Remove  Action = "remove" // memberships only
)

// Target is what a change is about.
type Target string

// The targets.
const (
	Account    Target = "account"
	Group      Target = "group"
	Membership Target = "membership"
)

// Change is one thing to be done. Before and After hold the fields in Fields
// and nothing else; a created account's After holds all of them.
type Change struct {
	Seq        int64 // its place in the plan, from 1
	Action     Action
	Target     Target
	Account    account.ID
	Group      account.ID
	Key        directory.Digest // the mirror row
	ExternalID directory.ExternalID
	Name       string // the entry as a person knows it
	Version    int64  // of the account or group it was planned on; 0 for a new one
	Fields     Fields
	Before     *account.Account
	After      *account.Account
	GroupName  [2]string    // before and after, of a group
	Members    []account.ID // of a membership change: one row of the plan each
	Secret     bool         // the password kept for the row becomes the account's
	Why        string
}

// Rows is how many rows of the plan a change stands for.
func (c *Change) Rows() int64 {
	if c.Target == Membership {
		return int64(len(c.Members))
	}
	return 1
}

// NoteKind says what a note is about.
type NoteKind string

// The kinds of notes.
const (
	Refused NoteKind = "refused" // a rule or switch of the connection does not let it happen
	Problem NoteKind = "problem" // the entry cannot be used as it is
	Dispute NoteKind = "dispute" // two claims that need a person
	Warning NoteKind = "warning" // done, but something was left out
	// Unresolved: a manager who has no account, yet.
	Unresolved NoteKind = "unresolved"
	Due        NoteKind = "due"      // to be looked at again at DueAt
	Failed     NoteKind = "failed"   // apply could not write it
	Excluded   NoteKind = "excluded" // a person took it out of the plan
)

// TakesOut reports that a note is of a row with this action that a person took out of a
// plan.
func (n *Note) TakesOut(action Action) bool {
	return n.Kind == Excluded && strings.HasPrefix(n.Text, string(action)+": ")
}

// Open reports that what should have become of the entry did not, and waits for a person
// or the directory.
func (n Note) Open() bool {
	return n.Kind == Refused || n.Kind == Problem || n.Kind == Dispute || n.Kind == Failed || n.Kind == Excluded
}

// WentTo begins what is noted, as Excluded, of an entry whose account another connection
// took over; its alias follows.
const WentTo = "its account went to connection "

// Note tells of something that is not done, or not wholly. The entry it stands
// for is planned again every time until the note is gone.
type Note struct {
	Kind       NoteKind             `json:"kind"`
	Key        directory.Digest     `json:"key"`
	Name       string               `json:"name"`
	ExternalID directory.ExternalID `json:"external_id"`
	Account    account.ID           `json:"account"`
	Text       string               `json:"text"`
	DueAt      time.Time            `json:"due_at"`
	Action     Action               `json:"action,omitempty"`  // what was refused
	About      *match.About         `json:"about,omitempty"`   // a refused match as data
	Carried    bool                 `json:"carried,omitempty"` // from an earlier plan: the entry did not move since
	First      int64                `json:"first,omitempty"`   // of a change that failed: its first row,
	Rows       int64                `json:"rows,omitempty"`    // and how many of them were left out
}

// Verdict on a plan.
type Verdict string

// The verdicts.
const (
	Go      Verdict = "go"
	Held    Verdict = "held"
	Nothing Verdict = "nothing"
)

// State of a stored plan.
type State string

// The states.
const (
	Building   State = "building" // not whole yet; thrown away when found later
	Ready      State = "ready"
	Waiting    State = "held"
	Applying   State = "applying"
	Applied    State = "applied"
	Rejected   State = "rejected"
	Superseded State = "superseded" // a later plan took its place
)

// Basis is what a plan was made from. When it has moved the plan is stale.
type Basis struct {
	Generation int64  `json:"generation"`       // of the mirror
	Rules      string `json:"rules"`            // fingerprint of mapping, scope, matching and source settings
	RulesText  string `json:"rules_text"`       // the rules, part by part
	Config     string `json:"config"`           // fingerprint of the connection's settings, policy included
	Owners     string `json:"owners,omitempty"` // who was declared the owner of what other connections claim too
	Complete   bool   `json:"complete"`         // the reading saw everything
	All        bool   `json:"all"`              // every row was planned, not only those that moved
	// Revised: the rules of the mapping changed, and besides what moved those were
	// planned whom that concerns.
	Revised bool      `json:"revised,omitempty"`
	At      time.Time `json:"-"`                 // when it was made; not hashed: the same input gives the same plan
	Reverts string    `json:"reverts,omitempty"` // the run this plan undoes
	// Draft is a fingerprint of all settings, of a plan that was made with settings
	// which were not saved. The mirror knows nothing of its reading.
	Draft string `json:"draft,omitempty"`
}

// Counts per action.
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

func (c *Counts) add(a Action) {
	switch a {
	case Create:
		c.Create++
	case Update:
		c.Update++
	case Link:
		c.Link++
	case Disable:
		c.Disable++
	case Enable:
		c.Enable++
	case Delete:
		c.Delete++
	case Restore:
		c.Restore++
	case Keep:
		c.Keep++
	case Add, Remove:
	}
}

func (c *Counts) changes() int {
	return c.Create + c.Update + c.Link + c.Disable + c.Enable + c.Delete + c.Restore
}

// Summary counts what a plan holds: accounts at the top, memberships as add and
// remove, groups apart. It is derived from the rows, never kept beside them.
type Summary struct {
	Counts
	Add         int    `json:"add"`
	Remove      int    `json:"remove"`
	Groups      Counts `json:"groups"`
	Refused     int    `json:"refused"`
	Problems    int    `json:"problems"`
	Disputes    int    `json:"disputes"`
	Warnings    int    `json:"warnings"`
	Failed      int    `json:"failed"`
	OutOfScope  int    `json:"out_of_scope"`
	Purge       int    `json:"purge"`        // accounts flagged deleted whose time of `purge-after` is over
	SeatsNeeded int    `json:"seats_needed"` // active accounts of the organization afterwards
	// Identity counts accounts whose username or e-mail changes.
	Identity int `json:"identity_changes"`
	// Seats is by how much the plan changes the number of active accounts.
	Seats int `json:"seats_change"`
}

// Changes is how many rows would be written.
func (s *Summary) Changes() int {
	return s.changes() + s.Groups.changes() + s.Add + s.Remove
}

// Count adds a change.
func (s *Summary) Count(c *Change) {
	switch c.Target {
	case Account:
		s.Counts.add(c.Action)
		s.Seats += c.seats()
		if c.Before != nil && c.After != nil && (c.Fields.Has(Text(account.Username)) || c.Fields.Has(Text(account.Email))) {
			s.Identity++
		}
	case Group:
		s.Groups.add(c.Action)
	case Membership:
		if c.Action == Add {
			s.Add += len(c.Members)
		} else {
			s.Remove += len(c.Members)
		}
	}
}

// Uncount takes an excluded row out again.
func (s *Summary) Uncount(c *Change) {
	var one Summary
	one.Count(c)
	s.subtract(&one)
}

func (s *Summary) subtract(o *Summary) {
	s.Counts.subtract(o.Counts)
	s.Groups.subtract(o.Groups)
	s.Add -= o.Add
	s.Remove -= o.Remove
	s.Seats -= o.Seats
	s.SeatsNeeded -= o.Seats
	s.Identity -= o.Identity
}

func (c *Counts) subtract(o Counts) {
	c.Create -= o.Create
	c.Update -= o.Update
	c.Link -= o.Link
	c.Disable -= o.Disable
	c.Enable -= o.Enable
	c.Delete -= o.Delete
	c.Restore -= o.Restore
	c.Keep -= o.Keep
}

// Note adds a note.
func (s *Summary) Note(n *Note) {
	switch n.Kind {
	case Refused:
		s.Refused++
	case Problem:
		s.Problems++
	case Dispute:
		s.Disputes++
	case Warning, Unresolved:
		s.Warnings++
	case Failed:
		s.Failed++
	case Due, Excluded:
	}
}

// seats is by how much a change alters the number of active accounts.
func (c *Change) seats() int {
	was, is := false, false
	if c.Before != nil {
		was = c.Before.Status == account.Active
	}
	if c.After != nil {
		is = c.After.Status == account.Active
	}
	if c.Before != nil && c.After != nil && !c.Fields.Has(FieldStatus) {
		return 0
	}
	switch {
	case is && !was:
		return 1
	case was && !is:
		return -1
	}
	return 0
}

// Removes reports a change that takes a person's account away.
func (c *Change) Removes() bool {
	return c.Target == Account && (c.Action == Disable || c.Action == Delete)
}
