package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"rollcall.dev/rollcall/internal/setting"
)

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

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
