package storetest

import (
	"fmt"
	"testing"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/people"
)

func TestPeopleAreReadBeforeSomebodyAsks(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "org", Name: "Organization"}, setting.Organization{ID: "big", Name: "Big"}, setting.Organization{ID: "empty", Name: "Empty"})
		warm := func(most int, want ...string) {
			t.Helper()
			p := &people.People{DB: w.Store.DB, Most: most}
			done, err := p.Warm(t.Context())
			w.must(err)
			equal(t, "read", fmt.Sprintf("%q", done), fmt.Sprintf("%q", want))
		}
		warm(0)
		w.Connect("hq")
		w.Holds("hq", Person("anna"))
		w.Applied("hq")
		warm(0, "org") // the only one: everybody are its people
		w.Connect("lab", func(c *setting.Connection) { c.Organization = "big" })
		w.Holds("lab", Person("bob"), Person("carl"))
		w.Applied("lab")
		warm(0, "", "big", "org")
		warm(5, "", "big") // no more than may be kept
		warm(2)
	})
}
