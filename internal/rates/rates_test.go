package rates

import (
	"strconv"
	"testing"
	"time"
)

func TestWhoAsksTooOftenWaitsWholeSeconds(t *testing.T) {
	var l Names
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		if wait := l.Take("a", 1, Limit{2, 3}, now); wait != 0 {
			t.Fatalf("request %d of a burst of three waits %d s", i+1, wait)
		}
	}
	if wait := l.Take("a", 1, Limit{2, 3}, now); wait != 1 {
		t.Errorf("the fourth waits %d s, wanted 1", wait)
	}
	if wait := l.Take("a", 3, Limit{2, 3}, now); wait != 2 {
		t.Errorf("three at once wait %d s, wanted 2", wait)
	}
	if wait := l.Take("b", 1, Limit{2, 3}, now); wait != 0 {
		t.Error("another one waits for the first")
	}
	if wait := l.Take("a", 1, Limit{2, 3}, now.Add(time.Second)); wait != 0 {
		t.Errorf("a second later it waits %d s more", wait)
	}
	if wait := l.Take("c", 1000, Limit{2, 3}, now); wait != 0 {
		t.Error("more than a burst could ever hold would never be let through")
	}
	if wait := l.Take("d", 1, Limit{0, 0}, now); wait != 0 {
		t.Error("there is a limit where none was set")
	}
	if l.Wait("c", now) == 0 || l.Wait("unknown", now) != 0 {
		t.Error("Wait is not what Take says")
	}
	// Settings that were changed count at once.
	if wait := l.Take("c", 1, Limit{100, 100}, now.Add(time.Second)); wait != 0 {
		t.Errorf("the old limit holds on: %d s", wait)
	}
}

func TestNamesAreForgottenAndNotKeptForEver(t *testing.T) {
	var l Names
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	slow := Limit{1.0 / 60, 1}
	l.Take("busy", 1, slow, now)
	for i := range most - 1 {
		l.Take(strconv.Itoa(i), 1, Limit{100, 1}, now)
	}
	now = now.Add(time.Second)
	l.Take("one more", 1, slow, now)
	if l.Wait("busy", now) == 0 || len(l.by) != 2 {
		t.Errorf("%d names are left, and who was busy waits %d s", len(l.by), l.Wait("busy", now))
	}
	for i := range 3 * most {
		l.Take(strconv.Itoa(i), 1, slow, now)
	}
	if len(l.by) > most {
		t.Errorf("%d names are remembered", len(l.by))
	}
}
