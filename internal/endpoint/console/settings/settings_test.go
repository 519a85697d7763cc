package settings

import (
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
)

func TestDurationsAreSaidInTheirLargestUnit(t *testing.T) {
	for seconds, want := range map[int64]string{86400: "1 day", 7776000: "90 days", 43200: "12 hours", 1800: "30 minutes", 90: "90 s", 0: "0 s"} {
		if got := long(&seconds); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
	if got := long(nil); got != "for good" {
		t.Error(got)
	}
}

func TestANodeWithoutASignOfLifeIsSilent(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	for want, n := range map[string]client.Node{
		"on": {SeenAt: now.Add(-10 * time.Second)}, "draining": {SeenAt: now, Draining: true}, "silent": {SeenAt: now.Add(-2 * time.Minute), Draining: true},
	} {
		if got := stateOf(n, now); got != want {
			t.Errorf("%+v is %s, want %s", n, got, want)
		}
	}
}
