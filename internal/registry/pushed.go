package registry

import (
	"context"

	"rollcall.dev/rollcall/internal/fault"
)

// Pushed gives the organization of a connection that takes pushes. One of another
// kind is a fault.Conflict, one that does not exist a fault.NotFound.
func (r *Registry) Pushed(ctx context.Context, alias string) (organization string, err error) {
	e, err := r.Describe(ctx, "", alias)
	if err != nil {
		return "", err
	}
	if !r.kind(e.Connection.Kind).Pushes {
		return "", fault.New(fault.Conflict, "connection %s reads its directory itself (%s): nobody pushes to it", alias, e.Connection.Kind).
			WithHint("make a connection of kind scim for an identity provider that pushes")
	}
	return e.Connection.Organization, nil
}
