package plans

import (
	"context"
	"database/sql"
	"errors"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/store/db"
)

// Undecided is a connection whose newest plan names matches that were refused, or
// may: Plan is that plan, nil where none is kept.
type Undecided struct {
	Connection   string
	Organization string
	Plan         *engine.Plan
}

// Undecided gives such connections in the order of their aliases, at the most limit:
// behind one, or, with again, from that one on. An organization and a connection narrow them where they are not "".
func (s *Plans) Undecided(ctx context.Context, organization, connection, from string, again bool, limit int) ([]Undecided, error) {
	var out []Undecided
	err := db.Each(ctx, s.DB.Reader(), `SELECT alias, organization FROM connections WHERE undecided > 0 AND (alias > $1 OR $2 AND alias = $1) AND ($3 = '' OR organization = $3) AND ($4 = '' OR alias = $4)
		ORDER BY alias LIMIT $5`, []any{from, again, organization, connection, limit}, func(rows *sql.Rows) error {
		var one Undecided
		err := rows.Scan(&one.Connection, &one.Organization)
		out = append(out, one)
		return err
	})
	for i := range out {
		if err != nil {
			break
		}
		var list []*engine.Plan
		// What would be with other settings, and how a run is undone, says nothing of
		// what waits.
		list, err = s.query(ctx, `SELECT `+columns+` FROM plans WHERE connection = $1 AND state <> 'building' AND basis NOT LIKE '%"draft":"%' AND basis NOT LIKE '%"reverts":"%'
			ORDER BY created_at DESC, id DESC LIMIT 1`, out[i].Connection)
		if len(list) > 0 {
			out[i].Plan = list[0]
		}
	}
	return out, err
}

// Refused hands on the notes of refused matches behind a place (the zero one is the
// beginning): those of the connection's newest plan, or, where its rows are no
// longer kept, what it left standing. fn ends it with ErrEnough.
func (s *Plans) Refused(ctx context.Context, u Undecided, after NotePlace, fn func(NotePlace, plan.Note) error) error {
	pick := func(at NotePlace, n plan.Note) error {
		if n.About == nil && n.Kind != plan.Dispute {
			return nil
		}
		return fn(at, n)
	}
	if u.Plan != nil && !u.Plan.Pruned {
		return s.NotesFrom(ctx, u.Plan, after, pick)
	}
	at := NotePlace{Part: "standing"}
	err := s.AllOpen(ctx, u.Connection, func(n plan.Note) error {
		if at.At++; after.Part == at.Part && at.At <= after.At {
			return nil
		}
		return pick(at, n)
	})
	if errors.Is(err, ErrEnough) {
		return nil
	}
	return err
}
