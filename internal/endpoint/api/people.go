package api

import (
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/people"
)

// picked asks the people in memory for those of a filter.
func (s *server) picked(ctx context.Context, f accounts.Filter, after *people.Place, limit int) ([]account.ID, []people.Place, error) {
	q := people.Query{Connection: f.Connection, Status: f.Status, Manager: f.Manager, Search: f.Search, After: after, Limit: limit}
	if !f.Group.IsZero() {
		q.Members = map[account.ID]struct{}{}
		if err := s.Store.AccountTable.Members(ctx, f.Group, func(id account.ID) { q.Members[id] = struct{}{} }); err != nil {
			return nil, nil, err
		}
	}
	p, err := s.Store.People.Of(ctx, f.Organization)
	if err != nil {
		return nil, nil, err
	}
	ids, places := p.Find(q)
	return ids, places, nil
}

// wholeOf gives accounts in the order of their IDs, with their groups. Who was
// purged meanwhile is left out.
func (s *server) wholeOf(ctx context.Context, ids []account.ID) ([]*account.Account, error) {
	have, err := s.Store.AccountTable.Fetch(ctx, ids)
	if err != nil {
		return nil, err
	}
	list := make([]*account.Account, 0, len(ids))
	for _, id := range ids {
		if a := have[id]; a != nil {
			list = append(list, a)
		}
	}
	return list, s.Store.AccountTable.WithGroups(ctx, list)
}

// people lists accounts by how well they fit, or by name.
func (s *server) people(ctx context.Context, list string, f accounts.Filter, in Paging) (*pageOf[*account.Account], error) {
	var after *people.Place
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	ids, places, err := s.picked(ctx, f, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	more := len(ids) > in.Limit
	found, err := s.wholeOf(ctx, ids[:min(len(ids), in.Limit)])
	if err != nil {
		return nil, err
	}
	out := &pageOf[*account.Account]{Body: Page[*account.Account]{Items: found}}
	if more {
		out.Body.NextCursor, err = sealCursor(list, places[in.Limit-1])
	}
	return out, err
}

// exportFound exports those a search finds.
func (s *server) exportFound(ctx context.Context, f accounts.Filter, format string) (func(huma.Context), error) {
	ids, _, err := s.picked(ctx, f, nil, -1)
	if err != nil {
		return nil, err
	}
	return func(h huma.Context) {
		whole(writeAccounts(h, format, func(fn func(*account.Account) error) error {
			for part := range slices.Chunk(ids, exportPage) {
				list, err := s.wholeOf(h.Context(), part)
				if err != nil {
					return err
				}
				for _, a := range list {
					if err := fn(a); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}, nil
}

func (s *server) countAccounts(ctx context.Context, in *Narrow) (*body[client.AccountCounts], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	p, err := s.Store.People.Of(ctx, organization)
	if err != nil {
		return nil, err
	}
	return &body[client.AccountCounts]{client.AccountCounts(p.Count(in.Connection))}, nil
}
