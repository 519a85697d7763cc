package runs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/store/db"
)

// errDecided ends the look back.
var errDecided = errors.New("a person decided")

// Lived implements engine.Runs.
func (s *Runs) Lived(ctx context.Context, connection string) (time.Time, error) {
	var at int64
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT COALESCE(max(started_at), 0) FROM runs WHERE connection = $1 AND state IN ('applied', 'reverted') AND trigger_by NOT IN ($2, $3)`,
		connection, engine.BySignIn, engine.ByPerson).Scan(&at)
	return db.Time(at), db.Explain("read the last run", err)
}

// Recent implements engine.Runs: it looks back from the last run until a person
// approved a plan or reverted a run.
func (s *Runs) Recent(ctx context.Context, connection string, since time.Time) (safeguard.Recent, error) {
	var out safeguard.Recent
	read := map[string]*plan.Summary{} // most runs change nothing, and say so in the same words
	err := db.Each(ctx, s.DB.Reader(), `SELECT r.summary, r.trigger_by IN ('approve', 'revert') OR COALESCE(p.verdict = 'held', false)
		FROM runs r LEFT JOIN plans p ON p.id = r.plan WHERE r.connection = $1 AND r.finished_at >= $2 AND r.finished_at > 0 AND r.state = 'applied' ORDER BY r.finished_at DESC`,
		[]any{connection, db.Micros(since)}, func(rows *sql.Rows) error {
			var summary string
			var decided bool
			if err := rows.Scan(&summary, &decided); err != nil {
				return err
			}
			if decided {
				return errDecided
			}
			if summary == "" {
				return nil
			}
			one := read[summary]
			if one == nil {
				one = &plan.Summary{}
				if err := json.Unmarshal([]byte(summary), one); err != nil {
					return err
				}
				read[summary] = one
			}
			out.Add(one)
			return nil
		})
	if errors.Is(err, errDecided) {
		err = nil
	}
	return out, err
}
