package config

import (
	"fmt"
	"testing"
	"time"
)

func TestWhenAScheduleComesNext(t *testing.T) {
	for _, c := range []struct {
		name, spec, zone string
		after            string
		want             []string // one after the other
	}{
		{"every night", "0 2 * * *", "", "2026-05-01T01:00:00Z", []string{"2026-05-01T02:00:00Z", "2026-05-02T02:00:00Z"}},
		{"by the clock of Brussels, in summer", "0 2 * * *", "Europe/Brussels", "2026-05-01T01:00:00Z", []string{"2026-05-02T00:00:00Z"}},
		{"an hour that spring skips comes when it is over", "30 2 * * *", "Europe/Brussels", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"two times in the skipped hour are one", "0,30 2 * * *", "Europe/Brussels", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"}},
		{"an hour that comes twice in autumn is the first of the two", "30 2 * * *", "Europe/Brussels", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"asked between the two", "30 2 * * *", "Europe/Brussels", "2026-10-25T00:45:00Z", []string{"2026-10-26T01:30:00Z"}},
		{"a zone that skips midnight", "0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", []string{"2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}},
		{"half an hour put forward", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		{"a day that a zone left out", "0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", []string{"2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"}},
		{"a free hour goes by elapsed time in spring", "30 * * * *", "Europe/Brussels", "2026-03-29T00:00:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
		{"and in autumn", "30 * * * *", "Europe/Brussels", "2026-10-25T00:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
		{"weekdays", "0 6 * * 1-5", "America/New_York", "2026-05-01T12:00:00Z", []string{"2026-05-04T10:00:00Z"}},
		{"29 February", "0 0 29 2 *", "", "2026-05-01T12:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"a zone in front wins", "CRON_TZ=Asia/Tokyo 0 9 * * *", "Europe/Brussels", "2026-05-01T12:00:00Z", []string{"2026-05-02T00:00:00Z"}},
		{"every so often, from a fixed moment on", "every 40m", "", "2026-05-01T12:01:00Z", []string{"2026-05-01T12:40:00Z", "2026-05-01T13:20:00Z"}},
		{"every day and a half", "every 36h", "", "2026-05-01T12:01:00Z", []string{"2026-05-02T12:00:00Z", "2026-05-04T00:00:00Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ParseSchedule(c.spec, c.zone, "hq", 0)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				at = s.Next(at)
				if got := at.Format(time.RFC3339); got != want {
					t.Fatalf("%s, want %s", got, want)
				}
			}
		})
	}
}

func TestSchedulesThatCannotBe(t *testing.T) {
	for _, c := range []struct{ name, spec, zone string }{
		{"no spec", "", ""},
		{"too often", "every 10s", ""},
		{"a day there is not", "0 0 31 2 *", ""},
		{"six fields", "0 0 2 * * *", ""},
		{"a zone nobody knows", "0 2 * * *", "Europe/Brusels"},
		{"the clock of whatever machine", "0 2 * * *", "Local"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if s, err := ParseSchedule(c.spec, c.zone, "hq", 0); err == nil {
				t.Errorf("it comes at %s", s.Next(time.Now()))
			}
		})
	}
}

// Ten thousand connections of one schedule do not start together, and each always
// starts at its own moment.
func TestJitterSpreadsConnectionsEachToItsOwnPlace(t *testing.T) {
	from := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		spec   string
		jitter time.Duration
		within time.Duration
		least  int // different seconds
	}{{"0 2 * * *", -1, DefaultJitter, 290}, {"0 2 * * *", time.Hour, time.Hour, 3000}, {"every 40m", -1, 40 * time.Minute, 2000}, {"every 40m", 0, time.Second, 1}} {
		moments := map[time.Time]int{}
		var low, high time.Time
		for i := range 10_000 {
			alias := fmt.Sprintf("connection-%d", i)
			s, err := ParseSchedule(c.spec, "", alias, c.jitter)
			if err != nil {
				t.Fatal(err)
			}
			at := s.Next(from)
			if second := s.Next(at); second.Sub(at) != 24*time.Hour && second.Sub(at) != 40*time.Minute {
				t.Fatalf("%s comes at %s and then at %s", alias, at, second)
			}
			moments[at]++
			if low.IsZero() || at.Before(low) {
				low = at
			}
			if at.After(high) {
				high = at
			}
		}
		if len(moments) < c.least || high.Sub(low) >= c.within {
			t.Errorf("%s, jitter %s: %d moments within %s", c.spec, c.jitter, len(moments), high.Sub(low))
		}
	}
}

// Whatever the expression and the zone, time goes forward.
func FuzzSchedule(f *testing.F) {
	for _, s := range []string{"0 2 * * *", "30 2 * * 0", "*/7 * * * *", "every 90m", "0 0 31 * *", "TZ=Asia/Tokyo 1 1 1 1 1"} {
		f.Add(s, "Europe/Brussels", int64(1774742400), int64(60))
		f.Add(s, "America/Santiago", int64(1788652800), int64(-1))
	}
	f.Fuzz(func(t *testing.T, spec, zone string, after, jitter int64) {
		if after < 0 || after > 4_000_000_000 || jitter > 86400 {
			return
		}
		s, err := ParseSchedule(spec, zone, "hq", time.Duration(max(-1, jitter))*time.Second)
		if err != nil {
			return
		}
		at := time.Unix(after, 0)
		for range 3 {
			next := s.Next(at)
			if !next.After(at) {
				t.Fatalf("%q in %q: after %s comes %s", spec, zone, at, next)
			}
			at = next
		}
	})
}

func TestTimeZoneAndJitterAreReadAndWritten(t *testing.T) {
	const text = "connections:\n- alias: hq\n  schedule: 30 2 * * *\n  time_zone: Europe/Brussels\n  jitter: %s\n  backend: {csv: {file: x.csv}}\n"
	for written, want := range map[string]time.Duration{"10m": 10 * time.Minute, "0": 0, "0s": 0, "1d": 24 * time.Hour} {
		c, err := Parse("f.yaml", fmt.Appendf(nil, text, written), kinds, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := Export(c.Connections, c.Organizations, kinds)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("f.yaml", out, kinds, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Config{c, again} {
			if got := c.Connections[0]; got.Jitter == nil || *got.Jitter != want || got.TimeZone != "Europe/Brussels" {
				t.Errorf("%s: %v in %q", written, got.Jitter, got.TimeZone)
			}
		}
	}
	for _, bad := range []string{"jitter: 2d", "jitter: soon", "time_zone: Brussels", "time_zone: Local"} {
		if _, err := Parse("f.yaml", fmt.Appendf(nil, "connections:\n- alias: hq\n  %s\n  backend: {csv: {file: x.csv}}\n", bad), kinds, nil); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
