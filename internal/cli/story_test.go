package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
)

// What a day brings: a title, a marriage with a new login and a move, a leaver, a
// mended entry, a joiner who gets the leaver's address, people in and out of groups.
var day = fmt.Sprintf(`dn: uid=fsmit,ou=Sales\, Retail,%[1]s
changetype: modify
replace: title
title: Lead, "Retail"
-
replace: preferredLanguage
preferredLanguage: nl

dn: uid=ivanova,ou=\"The Lab\",%[1]s
changetype: modrdn
newrdn: uid=petrova
deleteoldrdn: 1
newsuperior: ou=Directie,%[1]s

dn: uid=petrova,ou=Directie,%[1]s
changetype: modify
replace: sn
sn:: %[2]s

dn: uid=intern,ou=Extern,ou=Directie,%[1]s
changetype: delete

dn: uid=nomail,ou=Extern,ou=Directie,%[1]s
changetype: modify
add: mail
mail: nico@partner.example

dn: uid=joiner,ou=Extern,ou=Directie,%[1]s
changetype: add
objectClass: inetOrgPerson
cn: Joy Joiner
uid: joiner
givenName: Joy
sn: Joiner
mail: ina@partner.example

dn: cn=Directie,ou=Groepen,%[1]s
changetype: modify
delete: member
member: cn=de Vries\, Joost,ou=Directie,%[1]s
-
add: member
member: uid=joiner,ou=Extern,ou=Directie,%[1]s
`, suffix, base64.StdEncoding.EncodeToString([]byte("Петрова")))

// The whole way of a directory that nobody of the project seeded, every number
// compared with what ldapsearch says.
func TestADirectoryFromFirstCheckToRevert(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "")
	want := truthOf(t, s)
	if want.people != 40 || want.groups != 8 || want.problems != 3 || want.disputes != 2 {
		t.Fatalf("the directory is not what it was: %+v", want)
	}

	text := h.run(0, "check", "hq")
	has(t, text, "signed in as "+s.ReaderDN, "40 people below", "complete: 40 people, 8 groups", "entryUUID", "twin@partner.example is claimed by")
	hasNot(t, text, "fail ")

	first := agrees(t, h, want, "plan", summary{})
	h.json(0, &ran{}, "sync", "hq")
	holds(t, h, want, "")
	if one := h.people()["fsmit"]; one.Role != "employee" || one.Department != "D2" || one.Language != "fr" || one.Connection != "hq" || one.Organization != "zuiderhof" {
		t.Errorf("an account of the directory: %+v", one)
	}
	if first.Summary.Warnings == 0 {
		t.Error("a telephone number that is none is worth a warning")
	}
	has(t, h.run(0, "plan", "hq"), "nothing to do", fmt.Sprintf("%d keep", len(want.accounts)))

	for word, want := range map[string]string{"ÖZTÜRK": "oeztuerk", "jörg mü": "jmüller", "GROSS": "sgross", "иВаНоВ": "ivanova", "田中": "tanaka", "semi@": "semi"} {
		if got := keysOf(h.people("--search", word, "--limit", "3")); !slices.Equal(got, []string{want}) {
			t.Errorf("a search for %q finds %v, want %s", word, got, want)
		}
	}
	before, members := h.people(), h.members()
	change(t, s, day)
	want = truthOf(t, s)
	second := agrees(t, h, want, "plan", summary{Create: 2, Update: 2, Disable: 1, Add: 3, Remove: 2})
	var run ran
	h.json(0, &run, "sync", "hq")
	if run.State != "applied" || run.Summary.Create != 2 || run.Summary.Update != 2 || run.Summary.Disable != 1 || run.Summary.SeatsNeeded != second.Summary.SeatsNeeded {
		t.Errorf("the run's counts are not the plan's: %+v", run.Summary)
	}
	if run.Reading == nil || !run.Reading.Complete || run.Reading.Users != want.people || run.Reading.Groups != want.groups {
		t.Errorf("the reading: %+v", run.Reading)
	}
	holds(t, h, want, "intern")
	now := h.people()
	if now["petrova"].ID != before["ivanova"].ID || now["petrova"].LastName != "Петрова" {
		t.Errorf("a marriage and a move made another account: %+v", now["petrova"])
	}
	if now["intern"].Status != "disabled" || now["joiner"].Email != "ina@partner.example" {
		t.Errorf("leaver and joiner: %+v, %+v", now["intern"], now["joiner"])
	}

	text = h.run(0, "runs", "revert", run.ID, "--plan")
	has(t, text, "undoing run "+run.ID, "2 update, 1 enable, 2 delete", "title: Lead, \"Retail\" -> (none)", "username: petrova -> ivanova")
	has(t, h.run(0, "runs", "revert", run.ID), "applied", "2 updated, 1 enabled, 2 deleted")
	has(t, h.refuses(1, "runs", "revert", run.ID), "is reverted; only an applied run")
	back := h.people()
	for _, joined := range []string{"nomail", "joiner"} {
		if back[joined].Status != "deleted" {
			t.Errorf("%s came with the run and is %s", joined, back[joined].Status)
		}
		delete(back, joined)
	}
	sameJSON(t, "people after the revert", before, back)
	sameJSON(t, "members after the revert", members, h.members())

	var again planned_
	h.json(3, &again, "plan", "hq")
	if again.Verdict != "held" || len(again.HeldBecause) != 1 || !strings.Contains(again.HeldBecause[0], run.ID) {
		t.Errorf("after a revert the plan is held for it: %+v", again.HeldBecause)
	}
	has(t, h.run(3, "sync", "hq"), "is held; nothing was written", "rollcall plans approve")
	h.json(0, &again, "plans", "show", "last")
	skip := 0
	for _, c := range again.Changes {
		if c.Action == "update" && c.After["title"] != nil {
			skip = c.Seq
		}
	}
	if skip == 0 {
		t.Fatalf("no row gives the title: %+v", again.Changes)
	}
	has(t, h.refuses(1, "plans", "approve", again.ID, "--exclude", "9999"), "has no row 9999")
	has(t, h.run(0, "plans", "approve", again.ID, "--exclude", fmt.Sprint(skip)), "1 updated, 2 restored, 1 disabled")
	if got := h.people()["fsmit"]; got.Title != "" {
		t.Errorf("the excluded row was carried out: %+v", got)
	}
	has(t, h.run(0, "plans", "show", again.ID), "[excluded] language: fr -> nl")
	var left planned_
	h.json(2, &left, "plan", "hq")
	if len(left.Changes) != 1 || left.Changes[0].After["title"] != `Lead, "Retail"` {
		t.Errorf("the next plan proposes what was excluded, and nothing else: %+v", left.Changes)
	}
	has(t, h.run(0, "plans", "reject", left.ID), "rejected; nothing was written")
	has(t, h.refuses(1, "plans", "approve", left.ID), "rejected")
	has(t, h.run(0, "sync", "hq"), "1 updated")
	holds(t, h, want, "intern")

	eventsAreWhole(t, h)
	h.run(0, "backup", h.path("copy.db"))
	has(t, h.refuses(1, "backup", h.path("copy.db")), "exists")
	hasNot(t, h.run(0, "doctor"), "FAIL")
	copied := newHouse(t, strings.Replace(read(t, h.path("rollcall.yaml")), "organizations:", "database: sqlite:"+h.path("copy.db")+"\norganizations:", 1))
	copied.env = h.env
	hasNot(t, copied.run(0, "doctor"), "FAIL")
	sameJSON(t, "people in the backup", h.people(), copied.people())
	has(t, copied.run(0, "plan", "hq"), "nothing to do")
}

// agrees plans and compares the plan's counts with the directory. change holds
// what differs from a first import, where there was an earlier run.
func agrees(t *testing.T, h *house, want truth, command string, change summary) planned_ {
	t.Helper()
	var p planned_
	h.json(2, &p, command, "hq")
	got := p.Summary
	if change == (summary{}) {
		change = summary{Create: len(want.accounts), Add: want.memberships()}
		change.Groups.Create = want.groups
	}
	if got.Create != change.Create || got.Update != change.Update || got.Disable != change.Disable || got.Delete != 0 || got.Add != change.Add || got.Remove != change.Remove ||
		got.Groups.Create != change.Groups.Create || got.Problems != want.problems || got.Disputes != want.disputes || got.SeatsNeeded != want.active {
		t.Errorf("the plan says %+v\nwant %+v with %d problems, %d disputes, %d seats", got, change, want.problems, want.disputes, want.active)
	}
	counted := map[string]int{}
	for i, c := range p.Changes {
		counted[c.Target+" "+c.Action]++
		if c.Seq != i+1 {
			t.Errorf("row %d has the number %d", i+1, c.Seq)
		}
	}
	if counted["account create"] != got.Create || counted["membership add"] != got.Add || counted["membership remove"] != got.Remove || counted["account update"] != got.Update ||
		counted["account disable"] != got.Disable || counted["group create"] != got.Groups.Create {
		t.Errorf("the rows say %v, the summary %+v", counted, got)
	}
	return p
}

// holds compares accounts and memberships with the directory. gone left, and is kept.
func holds(t *testing.T, h *house, want truth, gone string) {
	t.Helper()
	have := h.people()
	delete(have, gone)
	if !slices.Equal(keysOf(have), keysOf(want.accounts)) {
		t.Errorf("accounts\n%v\nwant\n%v", keysOf(have), keysOf(want.accounts))
	}
	active := 0
	for name, f := range want.accounts {
		p := have[name]
		if p.LastName != f.first("sn") || p.FirstName != f.first("givenName") || p.Title != f.first("title") {
			t.Errorf("%s: %+v, the directory has %v", name, p, f.attributes)
		}
		if p.Status == "active" {
			active++
		}
	}
	if active != want.active {
		t.Errorf("%d accounts are active, want %d", active, want.active)
	}
	sameJSON(t, "members", want.members, h.members())
	var list []struct {
		ID        string
		SeatsUsed int `json:"seats_used"`
	}
	h.json(0, &list, "organizations", "list")
	if len(list) != 1 || list[0].SeatsUsed != want.active {
		t.Errorf("seats: %+v, want %d", list, want.active)
	}
	var connections []struct{ People, Groups int }
	h.json(0, &connections, "connections", "list")
	if len(connections) != 1 || connections[0].People != want.people || connections[0].Groups != want.groups {
		t.Errorf("connections: %+v, want %d people, %d groups", connections, want.people, want.groups)
	}
}

// eventsAreWhole checks that events are numbered without a gap, and that none
// tells of an account or group before it told of its creation.
func eventsAreWhole(t *testing.T, h *house) {
	t.Helper()
	known := map[string]bool{}
	n := 0
	for line := range strings.Lines(h.run(0, "events", "tail", "--after", "0", "--limit", "0", "--output", "json")) {
		var e struct {
			ID             int
			Type           string
			Account, Group *string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if n++; e.ID != n {
			t.Fatalf("event %d has the number %d", n, e.ID)
		}
		for _, id := range []*string{e.Account, e.Group} {
			if id != nil && !known[*id] && !strings.HasSuffix(e.Type, ".created") {
				t.Errorf("event %d, %s, tells of %s, which was not created yet", e.ID, e.Type, *id)
			}
		}
		if strings.HasSuffix(e.Type, ".created") {
			for _, id := range []*string{e.Account, e.Group} {
				if id != nil {
					known[*id] = true
				}
			}
		}
	}
	if n == 0 {
		t.Error("there are no events")
	}
	has(t, h.run(0, "events", "tail", "--limit", "3"), "run.applied")
}

// People of six kinds ask why; each gets a sentence that names the step.
func TestWhyTellsThroughWhichStep(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, `    scope: department != "D4"
`)
	h.run(0, "sync", "hq")
	dn := "uid=fsmit,ou=Sales\\, Retail," + suffix
	for name, test := range map[string]struct {
		who  string
		want []string
	}{
		"somebody who is in, by username":           {"fsmit", []string{"In: fsmit is active", "new in the directory"}},
		"by e-mail, in capitals":                    {"F.SMIT@ZUIDERHOF.EXAMPLE", []string{"In: fsmit is active"}},
		"by DN, spelled otherwise":                  {strings.ToUpper(dn[:9]) + strings.ReplaceAll(dn[9:], "\\,", "\\2c"), []string{"In: fsmit is active"}},
		"somebody without an e-mail address":        {"nomail", []string{"Not in: email is empty"}},
		"somebody in a dispute":                     {"twin1", []string{"Not in: ", "both claim the email", "uid=twin2"}},
		"somebody locked in the directory":          {"ljung", []string{"Not active: ", "pwdAccountLockedTime"}},
		"somebody out of scope":                     {"tanaka", []string{"Not in: out of scope", `department != "D4"`}},
		"somebody whom nobody knows":                {"nobody@nowhere.example", []string{"Not in: ", "asked just now, has no such entry"}},
		"an entry that is there and is no person":   {"reader", []string{"Not in: "}},
		"by the whole name with quotes and unicode": {"Käthe Weiß", []string{"In: kweiss is active"}},
	} {
		t.Run(name, func(t *testing.T) {
			has(t, h.run(0, "why", "hq", test.who), test.want...)
			var list []struct {
				In     bool
				Answer string
				Steps  []struct{ Step, Detail string }
			}
			h.json(0, &list, "why", "hq", test.who)
			if len(list) == 0 || list[0].In != strings.HasPrefix(test.want[0], "In: ") {
				t.Errorf("%+v", list)
			}
		})
	}
}

func sameJSON(t *testing.T, what string, want, got any) {
	t.Helper()
	a, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, b, a)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// numbered are people of a file, as many as are asked for.
func numbered(n int) string {
	var b strings.Builder
	b.WriteString("username,first_name,last_name,email\n")
	for i := range n {
		fmt.Fprintf(&b, "p%d,First,Last%d,p%d@example.org\n", i, i, i)
	}
	return b.String()
}

// A plan says what it would do; the run that carried it out says what it did.
func TestARunShowsWhatWasDoneAndWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.write("people.csv", numbered(12))
	h.run(0, "sync", "staff")
	h.write("people.csv", numbered(2))
	has(t, h.run(3, "sync", "staff"), "HELD, 10 changes for a person to look at", "10 disable", "Carry it out: ")
	text := h.run(0, "plans", "approve", "last", "--exclude", "1-3,7")
	has(t, text, "6 disabled", "Left out 4 rows by a person\n", " applied.\n")
	hasNot(t, text, " applied in ") // that is how long the person took
	text = h.run(0, "runs", "show", "last")
	has(t, text, "6 disabled", "6 active accounts\n", "Left out 4 rows by a person\n", "[excluded]", "10 changes, held and then approved by ", "waited for a person, ended ")
	hasNot(t, text, "10 disable", "afterwards", "HELD", "took ")
	var run ran
	h.json(0, &run, "runs", "show", "last")
	if run.Summary.Disable != 6 || run.Summary.SeatsNeeded != 6 {
		t.Errorf("%+v", run.Summary)
	}
	has(t, h.run(0, "plans", "show", "last"), "10 disable", "2 active accounts afterwards", "held and then approved by ")

	// One that is rejected says so, and one that nobody had to wait for how long it took.
	h.run(3, "plan", "staff")
	h.run(0, "plans", "reject", "last")
	has(t, h.run(0, "plans", "show", "last"), "4 changes, held and then rejected by ")
	h.write("people.csv", numbered(12)+"zoe,Zoe,Zebra,zoe@example.org\n")
	h.run(2, "plan", "staff")
	has(t, h.run(0, "plans", "approve", "last"), " applied in ", "1 created, 6 enabled")
	text = h.run(0, "runs", "show", "last")
	has(t, text, "took ", "1 created, 6 enabled")
	hasNot(t, text, "Left out")
}

// A change that could not be written is told apart from one that a person left out.
func TestARunShowsWhatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.write("people.csv", numbered(4))
	h.run(2, "plan", "staff")
	h.run(0, "accounts", "create", "--username", "p2", "--email", "other@example.org", "--first-name", "An", "--last-name", "Other")
	var p planned_
	h.json(0, &p, "plans", "show", "last")
	exclude := ""
	for _, c := range p.Changes {
		if c.Name == "p0" {
			exclude = fmt.Sprint(c.Seq)
		}
	}
	has(t, h.run(0, "plans", "approve", "last", "--exclude", exclude), "2 created", "Noted    1 failed", "Left out 1 row by a person, 1 row that could not be written\n", "what and why: rollcall runs show r")
	has(t, h.run(0, "runs", "show", "last"), "2 created", "Left out 1 row by a person, 1 row that could not be written\n", "failed  p2: create: ")
}

// Nobody is told to approve what dry-run does not let anybody carry out.
func TestAHeldPlanUnderDryRunIsNotOfferedForApproval(t *testing.T) {
	t.Parallel()
	h := newHouse(t, strings.Replace(staff, "    backend", "    settings: {dry-run: true}\n    limits: {creates: 2}\n    backend", 1))
	h.write("people.csv", threePeople)
	for _, command := range []string{"plan", "sync"} {
		text := h.run(3, command, "staff")
		has(t, text, "HELD", "dry-run is on for this connection", "rollcall plans show p", "rollcall plans reject p")
		hasNot(t, text, "plans approve")
	}
	has(t, h.refuses(1, "plans", "approve", "last"), "dry-run")
}

// A dispute, a refusal, a warning is about somebody: always by name.
func TestNotesSayWhoseTheyAre(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.write("people.csv", "username,first_name,last_name,email\nann,Ann,Ant,bob@example.org\n")
	has(t, h.run(0, "sync", "staff"), "Read     1 person, 0 groups")
	h.write("people.csv", "username,first_name,last_name,email\nann,Ann,Ant,bob@example.org\nbob,Bob,Bee,bob@example.org\n")
	h.run(0, "sync", "staff")
	has(t, h.run(0, "runs", "show", "last"), "dispute  bob")
	for name, test := range map[string]struct{ name, text, want string }{
		"an address that contains the name":     {"bob", "the email it claims belongs to ann <bob@example.org>", "bob: the email it claims belongs to ann <bob@example.org>"},
		"the name in the middle of the text":    {"bob", "manager cycle: ann -> bob -> ann", "bob: manager cycle: ann -> bob -> ann"},
		"a text that begins with the name":      {"bob", "bob and ann both claim the email", "bob and ann both claim the email"},
		"a text that is the name":               {"bob", "bob", "bob"},
		"a text that begins with a longer name": {"bob", "bob.smith and ann both claim the email", "bob: bob.smith and ann both claim the email"},
		"a text that begins with an address":    {"bob", "bob@example.org is no address", "bob: bob@example.org is no address"},
		"a letter of another alphabet after it": {"bob", "bobó has it", "bob: bobó has it"},
		"nobody's note":                         {"", "something", "something"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ofWhom(test.name, test.text); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
