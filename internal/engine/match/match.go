// Package match says which account an entry belongs to, and hands pairs of the
// two on to the planner. An entry is known first by its external ID, so a
// rename or a move never makes a second account; where no account carries that
// ID, the connection's matching attributes are tried in order.
//
// Two claims on one account, or one claim on two accounts, are a dispute that
// names both sides; nobody in a dispute is changed.
package match

import (
	"fmt"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/setting"
)

// State of an entry when it comes to be matched.
type State uint8

// The states.
const (
	Present    State = iota // there, in scope and well-formed
	OutOfScope              // there, but a rule keeps it out
	Gone                    // no longer in the directory
	Broken                  // there, but it cannot be used as it is
)

// Entry is one mirror row after mapping and scope.
type Entry struct {
	Key        directory.Digest
	Ref        directory.Digest
	Primary    directory.Digest // the ref of the group it is in besides; zero for none
	ManagerRef directory.Digest // zero where it names no manager
	// ManagerAlike is who the manager may be where nobody has ManagerRef.
	ManagerAlike directory.Digest
	ExternalID   directory.ExternalID
	Name         string
	State        State
	Why          string // why it is out of scope or broken
	User         mapping.User
	Values       []account.Value // of the further matching attributes, where it is present
	HasSecret    bool            // the row carries a password's hash
}

// How an account was found for an entry.
type How uint8

// The ways.
const (
	Not    How = iota // there is none
	Linked            // by external ID
	Found             // by a matching attribute
)

// Refusal is a match the rules of the connection do not let happen.
type Refusal struct {
	Kind    string     // "dispute", "overlap" or "refused"
	Text    string     // names both sides
	Account account.ID // of another connection, that the entry claims; zero elsewhere
	// Of an overlap: the account's connection and its entry there.
	Owner    string
	OwnerKey directory.Digest
	About    About // what Text says, as data
}

// Case is what stands in the way of a match.
type Case string

// The cases.
const (
	Claimed  Case = "claimed"  // other entries claim the same value
	Taken    Case = "taken"    // an account that another entry or provider keeps carries the value
	Several  Case = "several"  // the entry matches several accounts
	Shared   Case = "shared"   // several entries match one account
	Crowded  Case = "crowded"  // the value is carried by too many to tell anybody apart
	Overlaps Case = "overlap"  // two connections claim one person, and neither is the owner
	Owned    Case = "owned"    // another connection is the declared owner
	Mismatch Case = "mismatch" // the account is another provider's, which the policy leaves alone
)

// About is a refusal as data: what is the matter, and who stands on the other
// side, at the most a handful.
type About struct {
	Case  Case   `json:"case"`
	Sides []Side `json:"sides,omitempty"`
}

// Side is an account, with the entry that holds it where one does, or another entry.
type Side struct {
	Account    account.ID `json:"account,omitzero"`
	Connection string     `json:"connection,omitempty"` // who keeps the account, or brought the entry
	Name       string     `json:"name,omitempty"`       // the account's username, or what the entry is known by
	ExternalID string     `json:"external_id,omitempty"`
	By         []string   `json:"by,omitempty"` // the attributes that agree
}

// Pair is an entry and its account, either of which may be missing.
type Pair struct {
	Entry
	How     How
	By      string // the matching attribute that found it
	Account *account.Account
	NewID   account.ID // of an account to be created
	Refusal *Refusal
	// Manager is the account of the entry's manager; Unresolved says why there
	// is none although the entry names one.
	Manager    account.ID
	Unresolved string
}

// Holder is an account that carries a username, an e-mail or a value an entry
// claims.
type Holder struct {
	ID           account.ID
	Connection   string
	Key          directory.Digest // its entry's key in that connection
	UsernameKey  string
	EmailKey     string
	Username     string
	Email        string
	Status       account.Status
	Cause        account.Cause
	ExternalID   string
	Organization string
	Values       []account.Value // those of further matching attributes it was found by
}

// Leaver says that the account's person left its directory: the account is kept
// for their return and blocks nobody's name or address.
func (h *Holder) Leaver() bool {
	return account.HasLeft(h.Status, h.Cause)
}

func (h *Holder) label() string {
	who := h.Username
	if h.Email != "" && h.Email != h.Username {
		who += " <" + h.Email + ">"
	}
	return fmt.Sprintf("account %s (%s)", who, h.ID)
}

// Rules are what matching depends on besides the entries.
type Rules struct {
	Organization string
	Connection   string
	Match        []string
	Policy       setting.Policy
	// Incomplete: the reading did not see everything. Then nothing is taken to
	// have left.
	Incomplete bool
	// Spared are entries whose accounts this plan does not remove, whatever became of
	// them: they free no name.
	Spared map[directory.Digest]bool
	// Owner says which of two connections was declared the owner of entries
	// both claim, or "".
	Owner func(a, b string) string
	// Overlaps are the keys of this connection that others claim: key to the
	// words that name the claimant.
	Overlaps map[directory.Digest]Claimant
}

// Claimant is the other side of an overlap.
type Claimant struct {
	Connection string
	Name       string
}
