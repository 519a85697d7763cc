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

// The types of events: first what applications follow.
const (
	AccountCreated  Type = "account.created"
	AccountUpdated  Type = "account.updated"
	AccountLinked   Type = "account.linked"
	AccountDisabled Type = "account.disabled"
	AccountEnabled  Type = "account.enabled"
	AccountDeleted  Type = "account.deleted"
	AccountRestored Type = "account.restored"
	AccountPurged   Type = "account.purged"

	// What people do at the door. A failed sign-in is told at most once a minute for
	// each person; none says what was typed.
	AccountSignedIn            Type = "account.signed_in"
	AccountSignInFailed        Type = "account.sign_in_failed"
	AccountSignedOut           Type = "account.signed_out"
	AccountPasswordChanged     Type = "account.password_changed"
	AccountPasswordLinkCreated Type = "account.password_link_created"

	GroupCreated  Type = "group.created"
	GroupUpdated  Type = "group.updated"
	GroupDeleted  Type = "group.deleted"
	GroupRestored Type = "group.restored"

	MembershipAdded   Type = "membership.added"
	MembershipRemoved Type = "membership.removed"

	RunApplied   Type = "run.applied"
	RunHeld      Type = "run.held"
	RunFailed    Type = "run.failed"
	RunCancelled Type = "run.cancelled"
	PlanApproved Type = "plan.approved"
	PlanRejected Type = "plan.rejected"

	// What administrators do, and what an installation does to a connection or a
	// webhook on its own. Before and After hold what is not secret of it; the name
	// or ID of what it is about stands in them where no other column has it.
	OrganizationCreated Type = "organization.created"
	OrganizationUpdated Type = "organization.updated"
	OrganizationDeleted Type = "organization.deleted"

	ConnectionCreated      Type = "connection.created"
	ConnectionUpdated      Type = "connection.updated"
	ConnectionDeleted      Type = "connection.deleted"
	ConnectionReset        Type = "connection.reset"
	ConnectionQuarantined  Type = "connection.quarantined"   // it kept failing and is tried less and less often
	ConnectionRecovered    Type = "connection.recovered"     // it left quarantine by a run that ended well
	ConnectionFileUploaded Type = "connection.file_uploaded" // a CSV file came through the API

	// What SCIM clients sign in with: tokens, and secrets of OAuth clients.
	ConnectionTokenCreated Type = "connection.token_created"
	ConnectionTokenRotated Type = "connection.token_rotated"
	ConnectionTokenRevoked Type = "connection.token_revoked"

	APIKeyCreated Type = "apikey.created"
	APIKeyRevoked Type = "apikey.revoked"

	// People who may use the console. A failed sign-in is told at most once a minute
	// for each address; none says which password or code it was.
	AdminInvited           Type = "admin.invited"
	AdminCreated           Type = "admin.created"
	AdminUpdated           Type = "admin.updated" // name, role or organization
	AdminDisabled          Type = "admin.disabled"
	AdminEnabled           Type = "admin.enabled"
	AdminDeleted           Type = "admin.deleted"
	AdminSignedIn          Type = "admin.signed_in"
	AdminSignInFailed      Type = "admin.sign_in_failed"
	AdminSignedOut         Type = "admin.signed_out"
	AdminSessionsEnded     Type = "admin.sessions_ended"
	AdminPasswordChanged   Type = "admin.password_changed"
	AdminFactorChanged     Type = "admin.second_factor_changed"
	AdminRecoveryCodeUsed  Type = "admin.recovery_code_used"
	AdminLinkCreated       Type = "admin.reset_link_created"
	AdminInvitationRevoked Type = "admin.invitation_revoked"

	SetupLinkCreated Type = "setup_link.created"
	SetupLinkOpened  Type = "setup_link.opened"
	SetupLinkRevoked Type = "setup_link.revoked"

	WebhookCreated       Type = "webhook.created"
	WebhookUpdated       Type = "webhook.updated"
	WebhookDeleted       Type = "webhook.deleted"
	WebhookDisabled      Type = "webhook.disabled" // by its endpoint's 410, or because it accepted nothing for days
	WebhookSecretRotated Type = "webhook.secret_rotated"
	WebhookSkipped       Type = "webhook.skipped"   // events it had yet to be told of are no longer kept
	DeliveryReplayed     Type = "delivery.replayed" // one, all dead ones, or all since an event

	// Applications that people sign in to.
	ClientCreated       Type = "client.created"
	ClientUpdated       Type = "client.updated"
	ClientDeleted       Type = "client.deleted"
	ClientSecretRotated Type = "client.secret_rotated"
	SigningKeysRotated  Type = "signing_keys.rotated" // by hand; they take turns by themselves otherwise

	// Applications that accounts are pushed to.
	TargetCreated  Type = "target.created"
	TargetUpdated  Type = "target.updated"
	TargetDeleted  Type = "target.deleted"
	TargetRepaired Type = "target.repaired" // what had changed there is pushed again

	// Agents in customers' networks. One that comes and goes is told of at most once a
	// minute.
	AgentCreated      Type = "agent.created"
	AgentRotated      Type = "agent.rotated"
	AgentRevoked      Type = "agent.revoked"
	AgentForgotten    Type = "agent.forgotten"
	AgentConnected    Type = "agent.connected"    // to the first of the nodes
	AgentDisconnected Type = "agent.disconnected" // from the last of them

	SecretsRotated Type = "secrets.rotated" // secrets at rest got another key
	FeedAccepted   Type = "feed.accepted"   // a person accepted the feed as it stands, see `rollcall doctor --accept`
)

// Types lists all there are, those that applications follow first.
func Types() []Type {
	return []Type{
		AccountCreated, AccountUpdated, AccountLinked, AccountDisabled, AccountEnabled,
		AccountDeleted, AccountRestored, AccountPurged, AccountSignedIn, AccountSignInFailed, AccountSignedOut, AccountPasswordChanged, AccountPasswordLinkCreated, GroupCreated, GroupUpdated,
		GroupDeleted, GroupRestored, MembershipAdded, MembershipRemoved, RunApplied,
		RunHeld, RunFailed, RunCancelled, PlanApproved, PlanRejected,
		OrganizationCreated, OrganizationUpdated, OrganizationDeleted, ConnectionCreated, ConnectionUpdated,
		ConnectionDeleted, ConnectionReset, ConnectionQuarantined, ConnectionRecovered, ConnectionFileUploaded,
		ConnectionTokenCreated, ConnectionTokenRotated, ConnectionTokenRevoked,
		APIKeyCreated, APIKeyRevoked, AdminInvited, AdminCreated, AdminUpdated,
		AdminDisabled, AdminEnabled, AdminDeleted, AdminSignedIn, AdminSignInFailed,
		AdminSignedOut, AdminSessionsEnded, AdminPasswordChanged, AdminFactorChanged, AdminRecoveryCodeUsed,
		AdminLinkCreated, AdminInvitationRevoked, SetupLinkCreated, SetupLinkOpened, SetupLinkRevoked, WebhookCreated, WebhookUpdated, WebhookDeleted,
		WebhookDisabled, WebhookSecretRotated, WebhookSkipped, DeliveryReplayed, ClientCreated, ClientUpdated, ClientDeleted,
		ClientSecretRotated, SigningKeysRotated, TargetCreated, TargetUpdated, TargetDeleted, TargetRepaired,
		AgentCreated, AgentRotated, AgentRevoked, AgentForgotten, AgentConnected, AgentDisconnected, SecretsRotated,
		FeedAccepted,
	}
}

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
