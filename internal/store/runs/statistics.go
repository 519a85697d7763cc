package runs

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/store/db"
)

// Slot is the runs that began within one hour or one day.
type Slot struct {
	At      time.Time // its beginning, in UTC
	States  map[string]int
	Changes plan.Summary // what was written: the sum of the runs that were applied
	Longest time.Duration
	Median  time.Duration // of two in the middle the shorter one
	took    []time.Duration
}

func (s *Slot) add(one *plan.Summary) {
	s.Changes.Add += one.Add
	s.Changes.Remove += one.Remove
	for _, c := range [...]struct{ to, from *plan.Counts }{{&s.Changes.Counts, &one.Counts}, {&s.Changes.Groups, &one.Groups}} {
		c.to.Create += c.from.Create
		c.to.Update += c.from.Update
		c.to.Link += c.from.Link
		c.to.Disable += c.from.Disable
		c.to.Enable += c.from.Enable
		c.to.Delete += c.from.Delete
		c.to.Restore += c.from.Restore
		c.to.Keep += c.from.Keep
	}
}

// Statistics gives the runs that began at since or later and before until, in slots
// of a width that divides a day. Slots without runs are left out. A run that has not
// ended has a state and no duration.
func (s *Runs) Statistics(ctx context.Context, f Filter, width time.Duration) ([]*Slot, error) {
	where, args := f.where()
	var out []*Slot
	// Most runs change nothing, and say so in the same words as the one before.
	read := map[string]*plan.Summary{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT r.started_at, r.finished_at, r.state, CASE WHEN r.state IN ('applied', 'reverted') THEN r.summary ELSE '' END FROM runs r WHERE `+where+` ORDER BY r.started_at`,
		args, func(rows *sql.Rows) error {
			var started, finished int64
			var state engine.RunState
			var summary sql.RawBytes
			if err := rows.Scan(&started, &finished, &state, &summary); err != nil {
				return err
			}
			at := db.Time(started).Truncate(width)
			if len(out) == 0 || !out[len(out)-1].At.Equal(at) {
				out = append(out, &Slot{At: at, States: map[string]int{}})
			}
			slot := out[len(out)-1]
			slot.States[state.String()]++
			if finished > 0 {
				slot.took = append(slot.took, max(0, db.Time(finished).Sub(db.Time(started))))
			}
			if len(summary) == 0 {
				return nil
			}
			one := read[string(summary)]
			if one == nil {
				one = &plan.Summary{}
				if err := json.Unmarshal(summary, one); err != nil {
					return err
				}
				if len(read) >= mostRead {
					clear(read)
				}
				read[string(summary)] = one
			}
			slot.add(one)
			return nil
		})
	for _, slot := range out {
		if n := len(slot.took); n > 0 {
			slices.Sort(slot.took)
			slot.Longest, slot.Median = slot.took[n-1], slot.took[(n-1)/2]
		}
	}
	return out, err
}

// mostRead is how many different summaries are remembered.
const mostRead = 10_000

// where narrows runs, which the query calls r. What does not narrow is not in it,
// so that the database takes the index that leads to the rest.
func (f *Filter) where() (string, []any) {
	text, args := "1 = 1", []any{}
	add := func(clause string, value any) {
		args = append(args, value)
		text += " AND " + clause + db.Placeholder(len(args))
	}
	if f.Connection != "" {
		add("r.connection = ", f.Connection)
	}
	if f.Organization != "" {
		add("r.organization = ", f.Organization)
	}
	if f.Trigger != "" {
		add("r.trigger_by = ", f.Trigger)
	}
	if !f.Since.IsZero() {
		add("r.started_at >= ", db.Micros(f.Since))
	}
	if !f.Until.IsZero() {
		add("r.started_at < ", db.Micros(f.Until))
	}
	switch {
	case f.State == engine.RunRunning:
		text += " AND r.state IN ('running', 'queued')"
	case f.State != "":
		add("r.state = ", string(f.State))
	}
	return text, args
}

// before is the end of time where a list begins.
func before(at int64) int64 {
	if at == 0 {
		return math.MaxInt64
	}
	return at
}
