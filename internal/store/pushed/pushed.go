// Package pushed is the tables of what SCIM clients pushed to connections. It hands
// resources back to them as they were sent, and the same, in the order in which they
// changed, to the source that reads a connection's directory from here.
package pushed

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// Pushed is the tables.
type Pushed struct {
	DB  *db.DB
	Now func() time.Time
	// Line sees to it that a run follows, as part of the transaction. It is called for
	// the first change since the last run began, and not for those after it.
	Line func(ctx context.Context, tx *db.Tx, connection string) error
}

// Resource is one user or group.
type Resource struct {
	ID   string
	Type scim.Type
	// Body is what the client sent, without id, meta, members and groups.
	Body       scim.Object
	Version    int64 // counts from 1, up with each change
	CreatedAt  time.Time
	ModifiedAt time.Time
	Members    []Member // of a group, where they are asked for
	Groups     []Member // the groups that hold a user, where they are asked for
}

// Member is one end of a membership.
type Member struct {
	ID      string
	Display string // as the client sent it; of a group that holds somebody its displayName
	Type    scim.Type
}

// Query asks for a page of resources.
type Query struct {
	Type       scim.Type
	Filter     *scim.Filter // nil for all
	Sort       *scim.Path   // nil for the order in which they were made
	Descending bool
	Start      int // from 1; less is 1
	Count      int // at the most so many; 0 counts alone
	// After is a place that an earlier Page.Next gave. With UseCursor, "" is the
	// beginning, and Start is not looked at.
	After           string
	UseCursor       bool
	Members, Groups bool
}

// Page is a part of what a query finds.
type Page struct {
	Total     int // of all pages
	Resources []*Resource
	Next      string // where the next page begins, with UseCursor; "" after the last
}

// Tx is one transaction on the resources of a connection.
type Tx struct {
	p          *Pushed
	ctx        context.Context
	tx         *db.Tx
	connection string
}
