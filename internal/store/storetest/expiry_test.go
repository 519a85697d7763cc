package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
)

// When a credential runs out is known before the directory is asked: it may let
// nobody in any more.
func TestWhenACredentialRunsOutIsNoted(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		end := time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
		w.Connect("hq", func(c *setting.Connection) { c.CredentialExpires = end })
		w.Connect("branch")
		noted := func(want int) {
			t.Helper()
			equal(t, "noted", w.count(`SELECT count(*) FROM expiries`), want)
		}
		w.Dirs.Of("hq").Away = errors.New("the password has expired")
		if _, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options); err == nil {
			t.Fatal("the directory is away")
		}
		w.Dirs.Of("hq").Away = nil
		noted(1)
		equal(t, "until the end of that day", w.count(fmt.Sprintf(`SELECT count(*) FROM expiries WHERE connection = 'hq' AND organization = 'org' AND name = 'credential' AND expires_at = %d`,
			end.Add(24*time.Hour).UnixMicro())), 1)
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		w.Holds("branch", Person("bob"))
		w.Applied("branch")
		noted(1)
		w.Conn("hq").CredentialExpires = time.Time{}
		w.Plan("hq")
		noted(0)
	})
}
