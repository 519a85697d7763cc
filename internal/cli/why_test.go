package cli

import (
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/rig/openldap"
)

// A filter leaves one person out who was in, a plan waits for the others, and one left.
func TestWhyTellsWhoWasFilteredOutFromWhoLeft(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, `        sync: {filter: "(&(objectClass=inetOrgPerson)(!(description=hidden)))"}
    mapping:
      username: {expr: 'lower(uid) + ".hq"'}
`)
	h.run(0, "sync", "hq")
	const fsmit = `uid=fsmit,ou=Sales\, Retail,` + suffix
	has(t, h.run(0, "why", "hq", "fsmit.hq"), "In: fsmit.hq is active")
	change(t, s, "dn: "+fsmit+"\nchangetype: modify\nreplace: description\ndescription: hidden\n\n"+
		"dn: uid=intern,ou=Extern,ou=Directie,"+suffix+"\nchangetype: delete\n")
	h.run(2, "plan", "hq", "--full")
	gone := h.run(0, "why", "hq", "fsmit.hq")
	has(t, gone, "is there, but the filter part (!(description=hidden)) does not match it", "is still active", "which waits to be applied, would disable the account")
	hasNot(t, gone, "the entry is no longer in the directory")
	has(t, h.run(0, "why", "hq", "intern.hq"), "Not in: the entry is no longer in the directory.", "asked just now, has no such entry")
	s.Halt()
	has(t, h.run(0, "why", "hq", "fsmit.hq"), "no longer brought the entry, and the directory itself cannot be asked now", "could not be asked")
}

func TestTheHistoryOfWhyNamesEveryGroup(t *testing.T) {
	t.Parallel()
	id, other := account.NewID("org", "hq", "group", "a"), account.NewID("org", "hq", "group", "b")
	names := map[account.ID]string{id: "Staff"}
	for name, test := range map[string]struct {
		group *account.ID
		why   string
		want  string
	}{
		"an event without a group":       {nil, "new in the directory", "new in the directory"},
		"a group there is":               {&id, "no longer a member", "Staff: no longer a member"},
		"a group that was deleted":       {&other, engine.OfDeletedGroup + "Old: no longer a member", "of the deleted group Old: no longer a member"},
		"a group that nobody knows more": {&other, "no longer a member", other.String() + ": no longer a member"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := reason(&event.Event{Group: test.group, Why: test.why}, names); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
