package registry

import (
	"cmp"
	"context"
	"slices"

	"rollcall.dev/rollcall/internal/store/declarations"
)

// Page describes the connections of an organization ("" for all) by alias,
// declared ones among them, after one and at the most limit.
func (r *Registry) Page(ctx context.Context, organization, after string, limit int) ([]*Entry, error) {
	var aliases []string
	for _, c := range r.Config().Connections {
		if c.Alias > after && (organization == "" || c.Organization == organization) {
			aliases = append(aliases, c.Alias)
		}
	}
	err := r.Store.DeclarationTable.Each(ctx, organization, after, false, limit, func(row *declarations.Row) error {
		if _, twice := r.fromFile(row.Alias); !twice {
			aliases = append(aliases, row.Alias)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(aliases, cmp.Compare)
	var out []*Entry
	for _, alias := range aliases[:min(limit, len(aliases))] {
		e, err := r.Describe(ctx, organization, alias)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
