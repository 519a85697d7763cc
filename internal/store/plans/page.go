package plans

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/store/db"
)

// Filter narrows a list of plans. Zero fields do not narrow. Before is where the
// list goes on: behind the plan made then, in microseconds.
type Filter struct {
	Organization string
	Connection   string
	State        plan.State
	NoDrafts     bool // without those made with settings that are not saved
	BeforeAt     int64
	BeforeID     string
	Limit        int
}

// Page gives plans, the newest first.
func (s *Plans) Page(ctx context.Context, f Filter) ([]*engine.Plan, error) {
	return s.query(ctx, `SELECT `+columns+` FROM plans WHERE state <> 'building' AND ($1 = '' OR organization = $1) AND ($2 = '' OR connection = $2) AND ($3 = '' OR state = $3)
		AND (NOT $7 OR NOT `+Draft+`) AND (created_at < $4 OR created_at = $4 AND id < $5) ORDER BY created_at DESC, id DESC LIMIT $6`,
		f.Organization, f.Connection, string(f.State), before(f.BeforeAt), f.BeforeID, f.Limit, f.NoDrafts)
}

// Waiting gives the plans of a connection that are ready or held, the oldest first,
// without those made with settings that were not saved.
func (s *Plans) Waiting(ctx context.Context, connection string) ([]*engine.Plan, error) {
	return s.query(ctx, `SELECT `+columns+` FROM plans WHERE connection = $1 AND state IN ('ready', 'held') AND NOT `+Draft+` ORDER BY created_at, id`, connection)
}

// Draft is the condition of a row of plans that was made with settings which are
// not saved: nobody has to decide about it.
const Draft = `(basis LIKE '%"draft":"%')`

// Rows hands on the rows of a plan behind one of its row numbers, in order, marked
// where a person took them out. Chunks before that are not read. fn ends it with
// ErrEnough.
func (s *Plans) Rows(ctx context.Context, p *engine.Plan, after int64, fn func(plan.Row) error) error {
	return s.RowsOf(ctx, p, after, plan.Narrow{}, fn)
}

// RowsOf is Rows of those changes alone that somebody wants to see.
func (s *Plans) RowsOf(ctx context.Context, p *engine.Plan, after int64, only plan.Narrow, fn func(plan.Row) error) error {
	if p.Pruned {
		return p.Gone()
	}
	excluded, err := s.Excluded(ctx, p.ID)
	if err != nil {
		return err
	}
	var from int
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT COALESCE(max(seq), 0) FROM plan_chunks WHERE plan = $1 AND part = 'changes' AND first <= $2`, p.ID, after+1).Scan(&from)
	if err != nil {
		return db.Explain("read plan "+p.ID, err)
	}
	others := map[int]bool{} // chunks that hold nothing that is wanted
	err = db.Each(ctx, s.DB.Reader(), `SELECT seq, kinds FROM plan_chunks WHERE plan = $1 AND part = 'changes' AND seq >= $2 ORDER BY seq`, []any{p.ID, from}, func(rows *sql.Rows) error {
		var seq int
		var kinds string
		err := rows.Scan(&seq, &kinds)
		if !only.MayHold(kinds) {
			others[seq] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	for seq := from; seq < p.Chunks; seq++ {
		if others[seq] {
			continue
		}
		body, err := s.Chunk(ctx, p.ID, "changes", seq)
		if err != nil {
			return err
		}
		err = plan.EachChange(body, only, func(c *plan.Change) error {
			if c.Seq+c.Rows() <= after+1 {
				return nil
			}
			return c.Each(func(row plan.Row) error {
				if row.Seq <= after || !only.Of(&row) {
					return nil
				}
				row.Excluded = excluded[row.Seq]
				return fn(row)
			})
		})
		if errors.Is(err, ErrEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ErrEnough ends a walk through rows or notes that has given as many as were wanted.
var ErrEnough = errors.New("enough")

// NotePlace is where a list of notes goes on: behind the note of this number in
// this piece of the plan.
type NotePlace struct {
	Part string
	Seq  int
	At   int
}

// NotesFrom hands on the notes of a plan behind a place (the zero one is the
// beginning), those of changes that failed last.
func (s *Plans) NotesFrom(ctx context.Context, p *engine.Plan, after NotePlace, fn func(NotePlace, plan.Note) error) error {
	if p.Pruned {
		return p.Gone()
	}
	err := db.Each(ctx, s.DB.Reader(), `SELECT part, seq, body FROM plan_chunks WHERE plan = $1 AND part <> 'changes'
		AND ($2 = '' OR part < $2 OR part = $2 AND seq >= $3) ORDER BY part DESC, seq`, []any{p.ID, after.Part, after.Seq}, func(rows *sql.Rows) error {
		var at NotePlace
		var body []byte
		if err := rows.Scan(&at.Part, &at.Seq, &body); err != nil {
			return err
		}
		notes, err := plan.Notes(body)
		if err != nil {
			return err
		}
		for i := range notes {
			at.At = i + 1
			if at.Part == after.Part && at.Seq == after.Seq && at.At <= after.At {
				continue
			}
			if err := fn(at, notes[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, ErrEnough) {
		return nil
	}
	return err
}

// before is the end of time where a list begins.
func before(at int64) int64 {
	if at == 0 {
		return math.MaxInt64
	}
	return at
}
