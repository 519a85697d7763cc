package scim

import (
	"testing"
	"time"
)

func TestWhoAsksTooOftenWaitsWholeSeconds(t *testing.T) {
	var l limits
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		if wait := l.take("a", 1, 2, 3, now); wait != 0 {
			t.Fatalf("request %d of a burst of three waits %d s", i+1, wait)
		}
	}
	if wait := l.take("a", 1, 2, 3, now); wait != 1 {
		t.Errorf("the fourth waits %d s, wanted 1", wait)
	}
	if wait := l.take("a", 3, 2, 3, now); wait != 2 {
		t.Errorf("three at once wait %d s, wanted 2", wait)
	}
	if wait := l.take("b", 1, 2, 3, now); wait != 0 {
		t.Error("another one waits for the first")
	}
	if wait := l.take("a", 1, 2, 3, now.Add(time.Second)); wait != 0 {
		t.Errorf("a second later it waits %d s more", wait)
	}
	if wait := l.take("c", 1000, 2, 3, now); wait != 0 {
		t.Error("more than a burst could ever hold would never be let through")
	}
	if wait := l.take("d", 1, 0, 0, now); wait != 0 {
		t.Error("there is a limit where none was set")
	}
	if l.rests("c", now) == 0 || l.rests("unknown", now) != 0 {
		t.Error("rests is not what take says")
	}
	// Settings that were changed count at once.
	if wait := l.take("c", 1, 100, 100, now.Add(time.Second)); wait != 0 {
		t.Errorf("the old limit holds on: %d s", wait)
	}
}
