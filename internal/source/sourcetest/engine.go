package sourcetest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/storetest"
)

// accounts are the usernames of those who are neither disabled nor deleted, and who is
// in which group.
func accounts(w *storetest.World) string {
	var out []string
	for _, a := range w.Accounts() {
		if a.Status == account.Active {
			out = append(out, fmt.Sprintf("%s in %d groups", a.Text[account.Username], len(a.Groups)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// throughTheEngine runs real passes, in which requests go wrong one after the other.
func throughTheEngine(b *bench) {
	w := storetest.Open(b, "sqlite:"+filepath.Join(b.TempDir(), "rollcall.db"))
	w.Clock = b.clock.Now()
	w.Engine.Kinds = func(name string) (source.Kind, bool) { return b.kind, name == b.kind.Name }
	w.Engine.Now = b.clock.Now
	w.Engine.Env.Guard = Loopback
	w.Connect("hq", func(c *setting.Connection) {
		c.Kind, c.Backend = b.kind.Name, b.vendor.Settings()
		// No safeguard holds anything: what one would hold must not come about.
		c.Limits = setting.Limits{Removals: 1, MembershipRemovals: 1, GroupRemovals: 1, IdentityChanges: 1}
		if err := setting.Defaults(b.kind.Options, c.Backend); err != nil {
			b.Fatal(err)
		}
	})
	sync := func() (*engine.Result, error) {
		return w.Engine.Sync(b.Context(), *w.Conn("hq"), engine.Options{Actor: "tester", Trigger: "manual"})
	}
	b.vendor.Faults().Clear()
	if r, err := sync(); err != nil || r.Run.State != engine.RunApplied {
		b.Fatalf("the first run: %+v, %v", r, err)
	}
	want := accounts(w)
	if n := strings.Count(want, "\n") + 1; n != len(b.world.People) {
		b.Fatalf("%d accounts of %d people:\n%s", n, len(b.world.People), want)
	}
	b.vendor.Faults().Clear()
	b.filled()
	requests := b.vendor.Faults().Seen()
	names := []string{"status 500", "cut", "half", "an object", "status 403"}
	for n := 1; n <= requests; n++ {
		b.clock.Pass(time.Hour)
		name := names[n%len(names)]
		b.vendor.Faults().Set(n, 0, b.breaks()[name])
		_, err := sync()
		b.discreetError(err)
		if got := accounts(w); got != want {
			b.Fatalf("%s at request %d (%v) leaves\n%s\n\nof\n%s", name, n, err, got, want)
		}
	}
	b.vendor.Faults().Clear()
	b.clock.Pass(time.Hour)
	b.remove(id(5))
	// A sweep finds who vanished, at the latest the day after.
	b.clock.Pass(25 * time.Hour)
	if _, err := sync(); err != nil {
		b.Fatal(err)
	}
	if got := accounts(w); strings.Contains(got, somebody(5).Login) {
		b.Errorf("who left has an account still:\n%s", got)
	} else if strings.Count(got, "\n") != strings.Count(want, "\n")-1 {
		b.Errorf("one left, and there are\n%s\n\nof\n%s", got, want)
	}
}
