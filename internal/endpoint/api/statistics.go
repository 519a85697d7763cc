package api

import (
	"context"
	"net/http"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/runs"
)

func (s *server) statistics() {
	register(s, operation{id: "count-runs", method: http.MethodGet, path: "/runs/statistics", tag: "runs", summary: "Count runs and what they changed, by hour or day",
		description: "For charts. Without `since` the seven days before `until`, without `until` up to now. Hours for at most 31 days, days for at most 400.", fails: []int{http.StatusNotFound}}, s.countRuns)
}

// slots are the widths runs are counted in, with how long a time that may be for.
var slots = map[string]struct{ width, most time.Duration }{
	"hour": {time.Hour, 31 * 24 * time.Hour},
	"day":  {24 * time.Hour, 400 * 24 * time.Hour},
}

func (s *server) countRuns(ctx context.Context, in *struct {
	Narrow
	Since time.Time `query:"since" doc:"Runs that began then or later."`
	Until time.Time `query:"until" doc:"Runs that began before."`
	By    string    `query:"by" enum:"hour,day" default:"day"`
}) (*body[client.RunStatistics], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	if in.Until.IsZero() {
		in.Until = s.Now()
	}
	if in.Since.IsZero() {
		in.Since = in.Until.Add(-7 * 24 * time.Hour)
	}
	slot := slots[in.By]
	switch long := in.Until.Sub(in.Since); {
	case long < 0:
		return nil, fault.New(fault.Invalid, "since lies behind until")
	case long > slot.most:
		return nil, fault.New(fault.Invalid, "by %s runs are counted for at most %d days", in.By, int(slot.most.Hours()/24)).WithHint("ask for a shorter time, or by day")
	}
	found, err := s.Store.RunTable.Statistics(ctx, runs.Filter{Organization: organization, Connection: in.Connection, Since: in.Since, Until: in.Until}, slot.width)
	if err != nil {
		return nil, err
	}
	out := client.RunStatistics{Since: in.Since.UTC(), Until: in.Until.UTC(), By: in.By, Slots: make([]client.RunSlot, len(found))}
	for i, f := range found {
		out.Slots[i] = client.RunSlot{At: f.At, LongestMS: f.Longest.Milliseconds(), MedianMS: f.Median.Milliseconds(),
			Runs: client.RunStates{Running: f.States[string(engine.RunRunning)], Applied: f.States[string(engine.RunApplied)], Held: f.States[string(engine.RunHeld)],
				Failed: f.States[string(engine.RunFailed)], Rejected: f.States[string(engine.RunRejected)], Reverted: f.States[string(engine.RunReverted)]},
			Changes: client.RunChanges{Counts: counts(f.Changes.Counts), Add: f.Changes.Add, Remove: f.Changes.Remove, Groups: counts(f.Changes.Groups)}}
	}
	return &body[client.RunStatistics]{out}, nil
}

func counts(c plan.Counts) client.Counts { return client.Counts(c) }
