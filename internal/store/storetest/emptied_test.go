package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

// A column that lost its contents, or an attribute that may not be read any more, would
// take a field from everybody who has it, or let in everybody who was locked out.
func TestAFieldThatEverybodyWouldLoseIsLookedAtFirst(t *testing.T) {
	t.Parallel()
	// people are twelve, each with what more says, the first ones with what some says.
	people := func(first int, some, more string) []rec {
		var out []rec
		for i := range 12 {
			p := []string{"title=Boss", fmt.Sprintf("manager=uid=p%d,ou=people", i%3), "x_y=7"}
			if more != "" {
				p = append(p, more)
			}
			if i < first {
				p = append(p, some)
			}
			out = append(out, Person(fmt.Sprintf("p%d", i), p...))
		}
		return out
	}
	for _, c := range []struct {
		name          string
		before, after []rec
		says          string
	}{
		{"a text", people(0, "", ""), people(12, "title=", ""), "The title of 12 accounts would be emptied, of 12 that have one"},
		{"the manager", people(0, "", ""), people(12, "manager=", ""), "The manager of 9 accounts would be emptied, of 9 that have one"},
		{"the manager of all, who leaves", people(12, "manager=uid=p11,ou=people", ""), people(12, "manager=", "")[:11], ""},
		{"an attribute of one's own", people(0, "", ""), people(12, "x_y=", ""), "The attributes.x_y of 12 accounts would be emptied, of 12 that have one"},
		{"a text that ten of them have", people(2, "title=", ""), people(12, "title=", ""), "The title of 10 accounts would be emptied, of 10 that have one"},
		{"who is locked out", people(3, "userAccountControl=514", ""), people(0, "", ""), "3 accounts would be enabled, of 3 that the directory had disabled"},
		{"who is locked out, two of them", people(2, "userAccountControl=514", ""), people(0, "", ""), ""},
		{"who is locked out, but for some", people(5, "userAccountControl=514", ""), people(2, "userAccountControl=514", ""), ""},
		{"a text that some keep", people(0, "", ""), people(9, "title=", ""), ""},
		{"a text that few have", people(3, "department=IT", ""), people(0, "", ""), ""},
		{"another text", people(0, "", ""), people(12, "title=Chief", ""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Declare(setting.Organization{ID: "org", Name: "Organization"})
				w.Connect("hq", func(o *setting.Connection) { o.Mapping["x_y"] = setting.Rule{Attribute: "x_y"} })
				w.Holds("hq", slices.Concat(c.before, []rec{Group("g")})...)
				w.Applied("hq")
				w.Holds("hq", slices.Concat(c.after, []rec{Group("g")})...)
				if c.says == "" {
					p := w.Plan("hq")
					equal(t, "verdict "+strings.Join(p.HeldBecause, " "), p.Verdict, plan.Go)
					return
				}
				p := w.Held("hq", c.says)
				w.Approve("hq", p.Plan)
				equal(t, "once it was approved", w.Plan("hq").Verdict, plan.Nothing)
				equal(t, "p0", w.Account("p0").Status, account.Active)
			})
		})
	}
}
