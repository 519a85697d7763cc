package source

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/scim"
)

// Pushed is what clients pushed to one connection: the directory of a source that
// asks nobody.
type Pushed interface {
	// State tells how far the clients are.
	State(ctx context.Context) (PushedState, error)
	// Each hands on the resources of a type whose last change came after a mark, in
	// their order; those that were deleted since are Gone. From mark 0 on it hands on
	// what is there. What changes meanwhile has a mark above that of an earlier State.
	Each(ctx context.Context, t scim.Type, after int64, fn func(*PushedEntry) error) error
	// Named gives the users whom a userName, e-mail address, externalId or ID leads to,
	// at most a handful.
	Named(ctx context.Context, who string) ([]*PushedEntry, error)
}

// PushedState is how far the clients of a connection are.
type PushedState struct {
	Epoch     string // another one where marks begin anew; "" where nothing was pushed yet
	Mark      int64  // of the last change
	Forgotten int64  // removals up to this mark are not known any more
	Users     int
	Groups    int
	ChangedAt time.Time // the last change; zero if never
}

// PushedEntry is one resource.
type PushedEntry struct {
	ID      string
	Type    scim.Type
	Body    scim.Object // nil where it is gone
	Members []string    // IDs of a group's members
	Gone    bool
}
