package cli

import (
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
)

func TestOnePersonIsReadFromARealDirectory(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "")
	has(t, h.refuses(1, "sync", "hq", "--who", "fsmit"), "no run of it was applied yet", "rollcall sync hq")
	h.run(0, "sync", "hq")
	before := h.people()
	change(t, s, `dn: uid=joiner,ou=Extern,ou=Directie,`+suffix+`
changetype: add
objectClass: inetOrgPerson
cn: Joy Joiner
uid: joiner
givenName: Joy
sn: Joiner
mail: joy@partner.example

dn: uid=intern,ou=Extern,ou=Directie,`+suffix+`
changetype: delete
`)
	has(t, h.run(0, "sync", "hq", "--who", "joy@partner.example"), "One person was read: uid=joiner", "1 created")
	has(t, h.run(0, "sync", "hq", "--who", "intern"), `called "intern"; nothing was removed`, "no such entry")
	after := h.people()
	if len(after) != len(before)+1 || after["joiner"].Email != "joy@partner.example" {
		t.Errorf("%d people, %d before: %+v", len(after), len(before), after["joiner"])
	}
	has(t, h.refuses(2, "sync", "hq", "--who", " "), "--who names nobody")
	has(t, h.run(0, "sync", "hq"), "1 disabled")
}
