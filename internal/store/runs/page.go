package runs

import (
	"context"
	"database/sql"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/store/db"
)

// Filter narrows a list of runs. Zero fields do not narrow. Before is where the
// list goes on: behind the run begun then, in microseconds.
type Filter struct {
	Organization string
	Connection   string
	State        engine.RunState
	Trigger      string
	Since, Until time.Time // when they began: at the first or later, before the second
	BeforeAt     int64
	BeforeID     string
	Limit        int
}

// Page gives runs, the newest first.
func (s *Runs) Page(ctx context.Context, f Filter) ([]*engine.Run, error) {
	where, args := f.where()
	n := len(args)
	args = append(args, before(f.BeforeAt), f.BeforeID, f.Limit)
	var out []*engine.Run
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM `+joined+` WHERE `+where+` AND (r.started_at, r.id) < (`+db.Placeholder(n+1)+`, `+db.Placeholder(n+2)+`)
		ORDER BY r.started_at DESC, r.id DESC LIMIT `+db.Placeholder(n+3), args, func(rows *sql.Rows) error {
		r, err := scan(rows)
		out = append(out, r)
		return err
	})
	return out, err
}
