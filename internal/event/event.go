// Package event holds the word for what has happened: a numbered fact, written
// in the transaction of the change it tells of. The store keeps events in order
// and without gaps; the feed, deliveries and the audit log read them.
package event

import (
	"encoding/json"
	"time"

	"rollcall.dev/rollcall/internal/account"
)

// Type of an event: what it is about, a dot, what happened.
type Type string

// The types of events.
const (
	AccountCreated  Type = "account.created"
	AccountUpdated  Type = "account.updated"
	AccountLinked   Type = "account.linked"
	AccountDisabled Type = "account.disabled"
	AccountEnabled  Type = "account.enabled"
	AccountDeleted  Type = "account.deleted"
	AccountRestored Type = "account.restored"
	AccountPurged   Type = "account.purged"

	GroupCreated  Type = "group.created"
	GroupUpdated  Type = "group.updated"
	GroupDeleted  Type = "group.deleted"
	GroupRestored Type = "group.restored"

	MembershipAdded   Type = "membership.added"
	MembershipRemoved Type = "membership.removed"

	RunApplied      Type = "run.applied"
	RunHeld         Type = "run.held"
	RunFailed       Type = "run.failed"
	PlanApproved    Type = "plan.approved"
	PlanRejected    Type = "plan.rejected"
	RunCancelled    Type = "run.cancelled"
	ConnectionReset Type = "connection.reset"

	ConnectionQuarantined Type = "connection.quarantined"
	ConnectionRecovered   Type = "connection.recovered"
)

// Event is one thing that happened. ID is ascending and gap-free in the
// installation. Before and After hold only the fields that changed, or the
// whole account where it was created or purged.
type Event struct {
	ID           int64           `json:"id"`
	Type         Type            `json:"type"`
	Organization string          `json:"organization"`
	Connection   *string         `json:"connection"`
	Run          *string         `json:"run"`
	Account      *account.ID     `json:"account"`
	Group        *account.ID     `json:"group"`
	At           time.Time       `json:"at"`
	Actor        string          `json:"actor"` // "sync", "operator", ...
	Before       json.RawMessage `json:"before"`
	After        json.RawMessage `json:"after"`
	Why          string          `json:"why"`
	// Members stands for as many events, numbered on from ID, each with one of
	// them as its Account. Writers use it for the members added to a group; what
	// is read is always one event each.
	Members []account.ID `json:"-"`
}
