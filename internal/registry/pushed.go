package registry

import (
	"context"

	"rollcall.dev/rollcall/internal/fault"
)

// PushedKind is the kind of connections whose directory is pushed to us.
const PushedKind = "scim"

// Pushed gives the organization of a connection that takes pushes. One of another
// kind is a fault.Conflict, one that does not exist a fault.NotFound.
func (r *Registry) Pushed(ctx context.Context, alias string) (organization string, err error) {
	e, err := r.Describe(ctx, "", alias)
	if err != nil {
		return "", err
	}
	if e.Connection.Kind != PushedKind {
		return "", fault.New(fault.Conflict, "connection %s reads its directory itself (%s): nobody pushes to it", alias, e.Connection.Kind).
			WithHint("make a connection of kind %s for an identity provider that pushes", PushedKind)
	}
	return e.Connection.Organization, nil
}
