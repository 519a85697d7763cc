package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/jobs"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/health"
	"rollcall.dev/rollcall/internal/store/schedules"
	"rollcall.dev/rollcall/internal/store/work"
)

// spec is a schedule as the table keeps it.
type spec struct {
	Schedule string `json:"schedule"`
	Zone     string `json:"zone,omitempty"`
	Jitter   int64  `json:"jitter"` // seconds; -1 leaves it to the schedule
}

func specOf(c setting.Connection) (text string, err error) {
	s := spec{Schedule: c.Schedule, Zone: c.TimeZone, Jitter: -1}
	if c.Jitter != nil {
		s.Jitter = int64(*c.Jitter / time.Second)
	}
	b, err := json.Marshal(s)
	return string(b), err
}

// next is when the schedule of a connection comes after a moment.
func next(alias, text string, after time.Time) (time.Time, error) {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return time.Time{}, err
	}
	jitter := time.Duration(s.Jitter) * time.Second
	schedule, err := config.ParseSchedule(s.Schedule, s.Zone, alias, jitter)
	if err != nil {
		return time.Time{}, fmt.Errorf("schedule %q: %w", s.Schedule, err)
	}
	return schedule.Next(after), nil
}

// batch is how many connections that are due are put in line at once.
const batch = 100

// tick puts those in line that are due. Whatever was missed meanwhile is one run.
func (o *Operator) tick(ctx context.Context) error {
	if err := o.chores(ctx); err != nil {
		return err
	}
	for {
		now := o.now()
		if some, err := o.o.Store.Schedules.Any(ctx, now); err != nil || !some {
			return err
		}
		count := 0
		err := o.o.Store.DB.Write(ctx, func(tx *db.Tx) error {
			due, err := schedules.Due(ctx, tx, now, batch)
			if err != nil {
				return err
			}
			count = len(due)
			for _, e := range due {
				if err := o.due(ctx, tx, e, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || count < batch {
			return err
		}
	}
}

func (o *Operator) due(ctx context.Context, tx *db.Tx, e schedules.Entry, now time.Time) error {
	at, err := next(e.Connection, e.Spec, now)
	if err != nil {
		// The comparison with the connections mends or removes it.
		o.o.Log.Error("a schedule cannot be read", "connection", e.Connection, "error", err.Error())
		return schedules.Move(ctx, tx, e.Connection, now.Add(time.Hour))
	}
	if err := schedules.Move(ctx, tx, e.Connection, at); err != nil {
		return err
	}
	run := engine.NewRun(setting.Connection{Alias: e.Connection, Organization: e.Organization}, scheduled, scheduled, now)
	_, err = o.line(ctx, tx, run, work.Item{Task: work.Sync})
	return err
}

// Refresh compares the schedules with the connections there are, and mends what
// differs. It is done every so often, and at once after a reload.
func (o *Operator) Refresh(ctx context.Context) error {
	have := map[string]schedules.Entry{}
	err := o.o.Store.Schedules.Each(ctx, func(e schedules.Entry) error {
		have[e.Connection] = e
		return nil
	})
	if err != nil {
		return err
	}
	var set []schedules.Entry
	now := o.now()
	err = o.o.Connections.Scheduled(ctx, func(c setting.Connection) error {
		e, err := entry(c, now)
		if err != nil {
			o.o.Log.Error("a schedule cannot be read", slog.String("connection", c.Alias), slog.String("error", err.Error()))
			return nil
		}
		if h, ok := have[c.Alias]; !ok || h.Spec != e.Spec || h.Organization != e.Organization || ahead(h, e, now) {
			set = append(set, e)
		}
		delete(have, c.Alias)
		return nil
	})
	if err != nil {
		return err
	}
	for len(set) > 0 {
		n := min(len(set), 500)
		if err := o.o.Store.Schedules.SetAll(ctx, set[:n]); err != nil {
			return err
		}
		set = set[n:]
	}
	gone := make([]string, 0, len(have))
	for alias := range have {
		gone = append(gone, alias)
	}
	return o.o.Store.Schedules.Remove(ctx, gone...)
}

// apart is how far the clocks of two nodes may be from each other: one must not mend
// what another, for which it is time already, has just moved on.
const apart = 10 * time.Minute

// ahead reports that a schedule stands for a moment later than it comes. It was moved
// while a clock was ahead, and would be silent until that time has come.
func ahead(have, e schedules.Entry, now time.Time) bool {
	latest, err := next(e.Connection, e.Spec, now.Add(apart))
	return err == nil && (have.NextAt.After(latest) || have.DueAt.After(later(e.DueAt, latest).Add(apart)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func entry(c setting.Connection, now time.Time) (e schedules.Entry, err error) {
	e = schedules.Entry{Connection: c.Alias, Organization: c.Organization}
	if e.Spec, err = specOf(c); err == nil {
		e.NextAt, err = next(c.Alias, e.Spec, now)
	}
	e.DueAt = later(e.NextAt, now.Add(health.Longest))
	return e, err
}

// Reschedule has the schedule of one connection compared, after it was made,
// changed or removed.
func (o *Operator) Reschedule(ctx context.Context, alias string) error {
	c, err := o.o.Connections.Connection(ctx, alias)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return errors.Join(o.o.Store.Schedules.Remove(ctx, alias), o.o.Store.Health.Forget(ctx, alias))
	}
	if err == nil && c.Schedule == "" {
		return o.o.Store.Schedules.Remove(ctx, alias)
	}
	if err != nil {
		return err
	}
	e, err := entry(c, o.now())
	if err != nil {
		return fault.New(fault.Invalid, "connection %s: %w", alias, err)
	}
	return o.o.Store.Schedules.Set(ctx, e)
}

// Next tells when a connection runs by its schedule, and whether it has one.
func (o *Operator) Next(ctx context.Context, alias string) (time.Time, bool, error) {
	e, ok, err := o.o.Store.Schedules.Of(ctx, alias)
	return e.DueAt, ok, err
}

// chores puts in those whose time has come.
func (o *Operator) chores(ctx context.Context) error {
	if len(o.o.Chores) == 0 {
		return nil
	}
	rests, err := o.o.Store.Schedules.Resting(ctx)
	if err != nil {
		return err
	}
	for _, c := range o.o.Chores {
		if rests[c.Name] {
			continue
		}
		err := o.o.Store.DB.Write(ctx, func(tx *db.Tx) error {
			mine, err := schedules.Turn(ctx, tx, c.Name, c.Every)
			if err != nil || !mine {
				return err
			}
			return o.queue.Enqueue(ctx, tx, jobs.Job{Kind: choreKind, Key: c.Name})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// chore is the handler of chores.
func (o *Operator) chore(ctx context.Context, j jobs.Job) error {
	for _, c := range o.o.Chores {
		if c.Name != j.Key {
			continue
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = c.Do(ctx); err != nil {
				o.o.Log.Error("a chore failed, and comes again in its time", "chore", c.Name, "error", err.Error())
				return nil
			}
		}
	}
	return nil // one that a newer version knows comes again
}
