package setup

import (
	"slices"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/store/setups"
)

func TestLinksThatAreGoodComeFirst(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	later, before := now.Add(time.Hour), now.Add(-time.Hour)
	var got []string
	for _, l := range ordered([]*setups.Link{
		{ID: "ended", ExpiresAt: later, RevokedAt: before}, {ID: "fresh", ExpiresAt: later}, {ID: "old", ExpiresAt: now}, {ID: "used", ExpiresAt: later, OpenedAt: before},
	}, now) {
		got = append(got, l.ID+" "+l.State)
	}
	if want := []string{"fresh new", "used active", "ended revoked", "old expired"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
