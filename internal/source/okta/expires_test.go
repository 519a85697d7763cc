package okta_test

import (
	"testing"
	"time"

	rig "rollcall.dev/rollcall/internal/rig/okta"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

func TestAnAPITokenLapsesThirtyDaysAfterItWasUsedAndAClientDoesNot(t *testing.T) {
	for _, token := range []bool{true, false} {
		clock := sourcetest.NewClock()
		o := rig.Start(t, clock.Now)
		o.SSWS = token
		knows, ok := source.As[source.Expirer](with(t, o, clock, nil))
		if !ok {
			t.Fatal("it does not know")
		}
		got := knows.Expires()
		if !token && got != nil || token && (len(got) != 1 || !got[0].Idle || !got[0].At.Equal(clock.Now().Add(30*24*time.Hour).Truncate(24*time.Hour))) {
			t.Errorf("token %v: %+v", token, got)
		}
	}
}
