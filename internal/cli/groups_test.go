package cli

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
)

// The number of members is of all who are listed; who of them is gone is said.
func TestAGroupTellsOfMembersWhoAreNotActive(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "")
	h.run(0, "sync", "hq")
	if text := h.run(0, "groups", "show", "Directie"); strings.Contains(text, "not active") {
		t.Error(text)
	}
	change(t, s, "dn: uid=wvandijk,ou=Directie,"+suffix+"\nchangetype: delete\n")
	h.run(0, "sync", "hq")
	has(t, h.run(0, "groups", "show", "Directie"), "3 members", "disabled", "\n1 member not active; who is disabled or flagged deleted stays in their groups.\n")
}
