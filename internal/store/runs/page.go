package runs

import (
	"context"
	"database/sql"
	"math"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/store/db"
)

// Filter narrows a list of runs. Zero fields do not narrow. Before is where the
// list goes on: behind the run begun then, in microseconds.
type Filter struct {
	Organization string
	Connection   string
	State        engine.RunState
	BeforeAt     int64
	BeforeID     string
	Limit        int
}

// Page gives runs, the newest first.
func (s *Runs) Page(ctx context.Context, f Filter) ([]*engine.Run, error) {
	var out []*engine.Run
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM `+joined+` WHERE ($1 = '' OR r.organization = $1) AND ($2 = '' OR r.connection = $2) AND ($3 = '' OR r.state = $3 OR $3 = 'running' AND r.state = 'queued')
		AND (r.started_at < $4 OR r.started_at = $4 AND r.id < $5) ORDER BY r.started_at DESC, r.id DESC LIMIT $6`,
		[]any{f.Organization, f.Connection, string(f.State), before(f.BeforeAt), f.BeforeID, f.Limit}, func(rows *sql.Rows) error {
			r, err := scan(rows)
			out = append(out, r)
			return err
		})
	return out, err
}

// before is the end of time where a list begins.
func before(at int64) int64 {
	if at == 0 {
		return math.MaxInt64
	}
	return at
}
