package pushed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// Get gives a resource, or a *scim.Error of status 404.
func (p *Pushed) Get(ctx context.Context, connection string, t scim.Type, id string, members, groups bool) (*Resource, error) {
	return get(ctx, p.DB.Reader(), connection, t, id, members, groups)
}

func get(ctx context.Context, q db.Querier, connection string, t scim.Type, id string, members, groups bool) (*Resource, error) {
	if len(id) > longID {
		return nil, missing(t, id)
	}
	r, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM pushed WHERE connection = $1 AND `+is(t)+` AND id = $2 AND gone_at = 0`, connection, keyOf(id, true)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, missing(t, id)
	}
	if err != nil {
		return nil, db.Explain("read what was pushed", err)
	}
	return r, with(ctx, q, connection, r, members, groups)
}

func missing(t scim.Type, id string) error {
	return &scim.Error{Status: 404, Detail: fmt.Sprintf("There is no %s %.80q.", t, id)}
}

// with reads what a resource holds, or who holds it.
func with(ctx context.Context, q db.Querier, connection string, r *Resource, members, groups bool) (err error) {
	if members && r.Type == scim.Group {
		if r.Members, err = membersOf(ctx, q, connection, r.ID); err != nil {
			return err
		}
	}
	if groups && r.Type == scim.User {
		r.Groups, err = groupsOf(ctx, q, connection, r.ID)
	}
	return err
}
