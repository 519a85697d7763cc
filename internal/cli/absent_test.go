package cli

import "testing"

// A variable of one connection that is not set stops that connection, and
// nothing else.
func TestAVariableThatIsNotSetStopsWhoNeedsIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, `connections:
  - alias: staff
    backend:
      csv:
        path: people.csv
        default_password: ${START_PASSWORD}
  - alias: guests
    backend: {csv: {path: "${FOLDER}/guests.csv", passwords: none}}
  - alias: others
    backend: {csv: {path: others.csv, passwords: none}}
`)
	h.apart = true
	h.env["START_PASSWORD"], h.env["FOLDER"] = secret("Start-Me-Up-1982"), "."
	h.write("people.csv", "username,first_name,last_name,email\njdoe,Jane,Doe,jane@example.org\n")
	h.write("others.csv", "username,first_name,last_name,email\nksmit,Kees,Smit,kees@example.org\n")
	h.write("guests.csv", "username,first_name,last_name,email\nguest,Gu,Est,guest@example.org\n")
	var staff, guests planned_
	h.json(2, &staff, "plan", "staff")
	h.json(2, &guests, "plan", "guests")
	delete(h.env, "START_PASSWORD")
	delete(h.env, "FOLDER")
	const password, folder = "rollcall.yaml:6:27: environment variable START_PASSWORD is not set", "rollcall.yaml:8:27: environment variable FOLDER is not set"

	has(t, h.run(0, "sync", "others"), "1 created")
	has(t, h.run(0, "accounts", "list"), "ksmit")
	has(t, h.run(0, "accounts", "list", "--connection", "others"), "ksmit")
	has(t, h.run(0, "runs", "list"), "others")
	has(t, h.run(0, "connections", "export"), "${FOLDER}/guests.csv", "default_password: ${STAFF_DEFAULT_PASSWORD}")
	has(t, h.run(0, "connections", "list"), "cannot be reached from here: ", password, folder)
	for _, command := range []string{"plan", "sync", "why"} {
		args := []string{command, "staff"}
		if command == "why" {
			args = append(args, "jdoe")
		}
		has(t, h.refuses(1, args...), "connection staff: ", password, "hint: ")
	}
	has(t, h.refuses(1, "sync", "staff", "--watch"), password)
	has(t, h.run(1, "check", "staff"), "fail  settings", password)
	hasNot(t, h.run(0, "check", "others"), "START_PASSWORD")
	has(t, h.run(1, "doctor"), "FAIL  every variable and file that the settings of a connection name is there: 2 found", "connection staff: ", password, "connection guests: ", folder)

	// To carry out what was planned the source is not asked; but it is seen whether
	// the plan is of the same one.
	has(t, h.run(0, "plans", "approve", staff.ID), "1 created")
	has(t, h.refuses(1, "plans", "approve", guests.ID), "connection guests: ", folder)
	has(t, h.run(0, "plans", "reject", guests.ID), "rejected")
	has(t, h.run(0, "runs", "revert", "last"), "1 deleted")

	h.write("rollcall.yaml", "database: sqlite:${FOLDER}/x.db\n")
	has(t, h.refuses(1, "accounts", "list"), "rollcall.yaml:1:11: environment variable FOLDER is not set")
}

// Whoever moves a connection to another organization, or gives it another name, is told
// where its accounts are; they stay there.
func TestAConnectionThatMovedOrWasRenamedIsToldOf(t *testing.T) {
	t.Parallel()
	house := func(alias, organization string) string {
		return "organizations: [{id: acme}, {id: other}]\nconnections:\n  - alias: " + alias + "\n    organization: " + organization + "\n    backend: {csv: {path: people.csv, passwords: none}}\n"
	}
	h := newHouse(t, house("staff", "acme"))
	h.write("people.csv", "username,first_name,last_name,email\njdoe,Jane,Doe,jane@example.org\n")
	h.run(0, "sync", "staff")
	const moved = "connection staff belongs to organization acme, the configuration says other"

	h.write("rollcall.yaml", house("staff", "other"))
	has(t, h.run(0, "connections", "list"), moved)
	for _, args := range [][]string{{"why", "staff", "jdoe"}, {"plan", "staff"}, {"sync", "staff"}, {"connections", "reset", "staff"}} {
		has(t, h.refuses(1, args...), moved, "hint: ")
	}
	has(t, h.run(1, "check", "staff"), "fail  organization", moved, "hint: ", "organization: acme")
	has(t, h.run(0, "accounts", "list"), "jdoe", "active", "staff")
	hasNot(t, h.run(0, "doctor"), "FAIL")

	h.write("rollcall.yaml", house("people", "acme"))
	has(t, h.run(1, "doctor"), "FAIL  every active account has its connection: 1 found", "1 of staff", "under its alias again")
	has(t, h.run(0, "plan", "people"), "the username and email it claims belongs to account jdoe", "of connection staff")
	has(t, h.run(0, "accounts", "list"), "jdoe", "active", "staff")
}
