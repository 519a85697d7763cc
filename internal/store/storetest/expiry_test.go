package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/notices"
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

// What lapses when it is not used is moved on by what was read with it, and by nothing else.
func TestWhatEndsWithoutUseIsNotedWhenItWasUsedAndToldOfAWeekBefore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		dir := w.Dirs.Of("hq")
		dir.Records = []rec{Person("anna")}
		ends := func() int64 {
			t.Helper()
			return int64(w.count(`SELECT COALESCE(max(expires_at), 0) FROM expiries WHERE connection = 'hq'`))
		}
		open := func() (out []string) {
			t.Helper()
			w.Store.NoticeTable.Now = func() time.Time { return w.Clock }
			if err := w.Store.NoticeTable.Count(t.Context()); err != nil {
				t.Fatal(err)
			}
			list, err := w.Store.NoticeTable.List(t.Context(), "", true, 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range list {
				if n.Reason == notices.Credential {
					out = append(out, n.Text)
				}
			}
			return out
		}
		use := func() time.Time {
			at := w.Clock.Add(30 * 24 * time.Hour).Truncate(24 * time.Hour)
			dir.Expires = []source.Expiry{{Name: "API token", At: at, Idle: true}}
			return at
		}
		use()
		dir.Away = errors.New("no way there")
		if _, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options); err == nil {
			t.Fatal("the directory is away")
		}
		equal(t, "it was not used", ends(), int64(0))
		dir.Away = nil
		at := use()
		w.Applied("hq")
		equal(t, "it was used", ends(), at.UnixMicro())
		equal(t, "a month before nobody is told", len(open()), 0)
		w.Clock = w.Clock.Add(25 * 24 * time.Hour)
		use()
		dir.Away = errors.New("no way there")
		if _, err := w.Engine.Sync(t.Context(), *w.Conn("hq"), options); err == nil {
			t.Fatal("the directory is away")
		}
		equal(t, "a run that did not get there moves nothing", ends(), at.UnixMicro())
		told := open()
		if len(told) != 1 || !strings.Contains(told[0], "API token lapses on "+at.Format(time.DateOnly)) {
			t.Errorf("told: %q", told)
		}
		dir.Away = nil
		at = use()
		w.Applied("hq")
		equal(t, "it was used again", ends(), at.UnixMicro())
		equal(t, "and nobody has to know any more", len(open()), 0)
		w.Clock = w.Clock.Add(31 * 24 * time.Hour)
		if told := open(); len(told) != 1 || !strings.Contains(told[0], "lapsed on") {
			t.Errorf("told: %q", told)
		}
		dir.Expires = nil // a client signs in from now on
		w.Plan("hq")
		equal(t, "what is not there any more", ends(), int64(0))
	})
}
