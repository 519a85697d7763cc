package config

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on machines that have no list of them

	"github.com/robfig/cron/v3"

	"rollcall.dev/rollcall/internal/setting"
)

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// Schedule says when a connection runs by itself.
type Schedule struct {
	every  time.Duration
	cron   *cron.SpecSchedule // by the clock on the wall: its location is UTC
	zone   *time.Location
	hourly bool          // the hour is free, so that time goes on through a change of the clocks
	offset time.Duration // by which this connection comes later than others of the same schedule
}

// DefaultJitter is over how long connections with one cron expression are spread.
const DefaultJitter = 5 * time.Minute

// ParseSchedule reads the schedule of a connection: "every 40m", or five fields of
// cron by the clock of a time zone ("" is UTC). The moment is put off by a part of
// the jitter that hangs on the alias alone; a negative jitter stands for the
// default, which is DefaultJitter for cron and the whole interval for "every".
func ParseSchedule(spec, zone, alias string, jitter time.Duration) (*Schedule, error) {
	if err := checkSchedule(spec); err != nil {
		return nil, err
	}
	if every, ok := strings.CutPrefix(spec, "every "); ok {
		d, err := setting.ParseDuration(strings.TrimSpace(every))
		if jitter < 0 || jitter > d {
			jitter = d
		}
		return &Schedule{every: d, offset: putOff(alias, jitter)}, err
	}
	if jitter < 0 {
		jitter = DefaultJitter
	}
	loc, err := location(zone)
	if err != nil {
		return nil, err
	}
	parsed, err := cronParser.Parse(spec)
	if err != nil {
		return nil, err
	}
	c, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("expected five fields")
	}
	if strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=") {
		loc = c.Location
	}
	c.Location = time.UTC
	const anyHour = 1<<24 - 1
	return &Schedule{cron: c, zone: loc, hourly: c.Hour&anyHour == anyHour, offset: putOff(alias, jitter)}, nil
}

// putOff is a part of a length of time that hangs on a name alone.
func putOff(name string, of time.Duration) time.Duration {
	if of <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(name)) //nolint:errcheck // a hash takes everything
	return (time.Duration(h.Sum64()>>1) % of).Truncate(time.Second)
}

// Next gives the first moment after a given one. By the clock of a zone that is
// put forward, a moment that does not exist is the first one there is after it;
// when the clock is put back, a moment that comes twice is the first of the two. A
// schedule whose hour is free goes by elapsed time all the same.
func (s *Schedule) Next(after time.Time) time.Time {
	after = after.Add(-s.offset)
	var next time.Time
	switch {
	case s.cron == nil:
		// Whole intervals from a fixed moment on: every node comes to the same.
		n := after.UnixMicro() / s.every.Microseconds()
		next = time.UnixMicro((n + 1) * s.every.Microseconds())
	case s.hourly:
		next = s.elapsed(after)
	default:
		next = s.byTheWall(after)
	}
	return next.Add(s.offset).UTC()
}

func (s *Schedule) elapsed(after time.Time) time.Time {
	c := *s.cron
	c.Location = s.zone
	return c.Next(after)
}

func (s *Schedule) byTheWall(after time.Time) time.Time {
	wall := onTheWall(after.In(s.zone))
	for range 1000 { // a change of the clocks swallows a few moments, never as many
		wall = s.cron.Next(wall)
		if wall.IsZero() {
			break
		}
		if at := first(wall, s.zone); at.After(after) {
			return at
		}
	}
	return after.AddDate(100, 0, 0) // checkSchedule refuses what never comes
}

// onTheWall is what a clock in a zone shows, as a time of UTC.
func onTheWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// first is the first moment at which the clock of a zone shows a time, or, where
// it never does, the one at which the clock is put forward over it.
func first(wall time.Time, zone *time.Location) time.Time {
	_, before := wall.Add(-26 * time.Hour).In(zone).Zone()
	_, behind := wall.Add(26 * time.Hour).In(zone).Zone()
	var found time.Time
	for _, offset := range []int{before, behind} {
		t := wall.Add(-time.Duration(offset) * time.Second)
		if onTheWall(t.In(zone)).Equal(wall) && (found.IsZero() || t.Before(found)) {
			found = t
		}
	}
	if !found.IsZero() {
		return found
	}
	start, _ := wall.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
	return start
}

func location(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, errors.New("expected a time zone such as Europe/Brussels or UTC")
	}
	return loc, nil
}

func checkZone(zone string) error {
	_, err := location(zone)
	return err
}

// checkSchedule accepts "every 40m" and five-field cron expressions, and
// refuses those that name no day there is, such as 31 February.
func checkSchedule(s string) error {
	if every, ok := strings.CutPrefix(s, "every "); ok {
		d, err := setting.ParseDuration(strings.TrimSpace(every))
		if err != nil {
			return err
		}
		if d < time.Minute {
			return errors.New("expected a minute or more between runs")
		}
		return nil
	}
	// The parser takes a time zone in front, and stumbles over one without fields.
	if strings.HasPrefix(s, "TZ=") || strings.HasPrefix(s, "CRON_TZ=") {
		if !strings.Contains(s, " ") {
			return errors.New("expected five fields behind the time zone")
		}
	}
	schedule, err := cronParser.Parse(s)
	if err != nil {
		return fmt.Errorf("%w; expected a cron expression such as \"0 2 * * *\", or \"every 40m\"", err)
	}
	if schedule.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return fmt.Errorf("%q never comes: no day of the calendar fits", s)
	}
	return nil
}
