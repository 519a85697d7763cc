package client

import (
	"context"
	"encoding/json"
	"time"
)

// RawAttribute is an attribute as the directory gave it.
type RawAttribute struct {
	Name   string   `json:"name"`
	Values []string `json:"values" nullable:"false" doc:"At most 20 of them; long ones are cut, and bytes are hexadecimal."`
	More   int      `json:"more" doc:"Values that are not shown."`
	Hidden bool     `json:"hidden" doc:"It holds something secret, such as a password's hash, and is not shown."`
}

// LastChange is the event by which something became as it is.
type LastChange struct {
	Event int64     `json:"event"`
	Type  string    `json:"type" example:"account.updated"`
	At    time.Time `json:"at"`
	Run   *string   `json:"run"`
	Actor string    `json:"actor"`
	Why   string    `json:"why"`
}

// FieldOrigin is where one field of an account comes from.
type FieldOrigin struct {
	Field   string          `json:"field" doc:"A field, or the name of a custom attribute."`
	Custom  bool            `json:"custom" doc:"It is a custom attribute."`
	Value   json.RawMessage `json:"value" doc:"As the account has it; null where it has none."`
	Kind    string          `json:"kind" enum:"attribute,value,expr,role,local,none" doc:"An attribute of the entry, a constant, an expression, the role of the connection's accounts, a local account's own, or nothing."`
	Rule    *string         `json:"rule" doc:"The attribute's name, the constant or the expression."`
	Raw     []RawAttribute  `json:"raw" nullable:"false" doc:"The attributes it takes its value from, as the latest picture of the directory has them."`
	Changed *LastChange     `json:"changed" doc:"When it became as it is; null where those events are no longer kept."`
}

// MembershipOrigin is how an account came into a group.
type MembershipOrigin struct {
	Group      GroupName   `json:"group"`
	Connection string      `json:"connection" doc:"Whose group it is."`
	How        string      `json:"how" enum:"direct,primary,nested,kept" doc:"A member itself; by the entry's primary group; by a group nested in it; or kept, where the directory no longer says so or cannot be asked."`
	Through    []GroupName `json:"through" nullable:"false" doc:"Of a nested one the groups on the way, beginning with the one it is in itself."`
}

// GroupName is a group by ID and name.
type GroupName struct {
	ID   string `json:"id,omitempty" format:"uuid" doc:"None of a group that is not selected, and read for its members alone."`
	Name string `json:"name"`
}

// AccountOrigin is where an account comes from, field by field.
type AccountOrigin struct {
	Account     string             `json:"account" format:"uuid"`
	Connection  *string            `json:"connection" doc:"Who keeps it; null for a local account."`
	Entry       *string            `json:"entry" doc:"What its entry is known by in the directory; null where the latest picture has none."`
	Gone        bool               `json:"gone" doc:"The entry is no longer in the directory."`
	RulesKnown  bool               `json:"rules_known" doc:"The rules are those of the newest plan; otherwise what the source adds by itself is missing."`
	Matched     *LastChange        `json:"matched" doc:"How it came to its connection: created, or linked, by what and by which run; null where that event is no longer kept."`
	Fields      []FieldOrigin      `json:"fields" nullable:"false"`
	Attributes  []RawAttribute     `json:"attributes" nullable:"false" doc:"Everything the latest picture of the directory has of the entry."`
	Memberships []MembershipOrigin `json:"memberships" nullable:"false"`
	Managers    []OrgPerson        `json:"managers" nullable:"false" doc:"Its manager, and those above, up to the top."`
	Cycle       bool               `json:"manager_cycle" doc:"The managers lead back to somebody named before."`
}

// AccountOrigin says where an account comes from, field by field.
func (c *Client) AccountOrigin(ctx context.Context, account string) (AccountOrigin, error) {
	return Get[AccountOrigin](ctx, c, "/accounts/"+part(account)+"/origin", nil)
}
