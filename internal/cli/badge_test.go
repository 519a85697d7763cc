package cli

import (
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
)

// People of an application that knew them by their number before there was a
// directory: they keep their accounts.
func TestAccountsAreAdoptedByNumber(t *testing.T) {
	t.Parallel()
	const rules = `    mapping: {badge: badge}
    match: [badge]
    settings: {no-update-provider-mismatch: false}
`
	h := newHouse(t, staff)
	h.apart = true
	h.write("people.csv", "username,first_name,last_name,email,badge\njdoe,Jane,Doe,jane@example.org,E-7\nlsmit,Lot,Smit,lot@example.org,E-8\nnew,New,Comer,new@example.org,\n")
	h.write("locals.csv", "username,email,first_name,last_name,attributes.badge\nold7,old7@example.net,Old,Seven,e-7\nold,old@example.net,Old,None,\n")
	has(t, h.run(0, "accounts", "import", h.path("locals.csv")), "Created 2 local accounts")
	h.run(0, "accounts", "create", "--username", "old8", "--email", "old8@example.net", "--first-name", "Old", "--last-name", "Eight", "--attribute", "badge= e-8 ")
	before := h.people()
	h.write("rollcall.yaml", staff+rules)
	has(t, h.run(0, "check", "staff"), "badge 66%", "no e-mail address, username or badge is claimed twice")
	has(t, h.run(2, "plan", "staff"), "1 create", "2 link", "matched by badge, taken over from local")
	h.run(0, "sync", "staff")
	now := h.people()
	if now["jdoe"].ID != before["old7"].ID || now["lsmit"].ID != before["old8"].ID || now["old"].Connection != "local" {
		t.Errorf("before %+v\nnow %+v", before, now)
	}
	hasNot(t, h.run(0, "doctor"), "FAIL")

	h.write("people.csv", "username,first_name,last_name,email,badge\none,One,One,one@example.org,E-9\nother,Other,Other,other@example.org,e-9\n")
	has(t, h.run(0, "check", "staff"), "badge e-9 is claimed by ")
	h.write("rollcall.yaml", staff+"    match: [bagde]\n")
	has(t, h.refuses(1, "plan", "staff"), "no rule of the mapping fills bagde", "hint: map bagde under `mapping:`")

	for _, c := range []struct {
		head, says string
	}{
		{"username,attributes.emial", `column "attributes.emial": unknown field "emial"`},
		{"username,attributes.title", `"title" is a field of its own and no custom attribute`},
		{"username,attributes.", `expected a name of letters`},
	} {
		h.write("locals.csv", c.head+"\n")
		has(t, h.refuses(1, "accounts", "import", h.path("locals.csv")), "line 1", c.says)
	}
	has(t, h.refuses(2, "accounts", "create", "--attribute", "badge"), "--attribute is NAME=VALUE")
	has(t, h.refuses(2, "accounts", "create", "--attribute", "groups=x"), `"groups" is kept by Rollcall itself`)
}

// The same against a directory server: who was renamed and got another address
// before the first reading is known by the number alone.
func TestAnEmployeeNumberOfADirectoryFindsTheAccount(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	const rules = "    mapping: {badge: employeeNumber}\n    match: [badge, email]\n    settings: {no-update-provider-mismatch: false}\n"
	h := atHQ(t, s, rules)
	var first planned_
	h.json(2, &first, "plan", "hq")
	number, who := "", ""
	for _, c := range first.Changes {
		if attributes, ok := c.After["attributes"].(map[string]any); ok && attributes["badge"] != nil {
			number, who = attributes["badge"].(string), c.After["username"].(string)
		}
	}
	if number == "" {
		t.Fatal("nobody has a number")
	}
	has(t, h.run(0, "accounts", "create", "--username", "fleur", "--email", "fleur@before.example", "--first-name", "Fleur", "--last-name", "Before", "--attribute", "badge="+number), "fleur")
	id := h.people()["fleur"].ID
	has(t, h.run(2, "plan", "hq"), "1 link", "matched by badge, taken over from local")
	h.run(0, "sync", "hq")
	if p := h.people()[who]; p.ID != id || p.Connection != "hq" {
		t.Errorf("the adopted account: %+v", p)
	}
	has(t, h.run(0, "plan", "hq"), "nothing to do")
	hasNot(t, h.run(0, "doctor"), "FAIL")
}
