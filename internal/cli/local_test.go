package cli

import "testing"

// Whoever imports a table with mistakes is told of all of them, and nothing is imported.
func TestEveryMistakeInATableOfLocalAccountsIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "organizations: [{id: acme}]\n")
	table := func(rows string) {
		h.write("local.csv", "username,email,first_name,last_name\nanna,anna@example.org,Anna,Aerts\n"+rows)
	}
	table("")
	h.run(0, "accounts", "import", h.path("local.csv"))

	table("bo,,Bo,Berg\ncy,cy@example.org,Cy\ndee,dee,Dee,Dahl\n")
	has(t, h.refuses(1, "accounts", "import", h.path("local.csv")), "3 mistakes; nothing was created:\n", "line 3: ", "line 4: ", "line 5: ")
	table("bo,bo@example.org,Bo,Berg\nBO,other@example.org,Bo,Berg\ncy,BO@example.org,Cy,Cox\n")
	has(t, h.refuses(1, "accounts", "import", h.path("local.csv")), "4 mistakes; nothing was written:\n",
		`line 2: the username "anna" belongs to account anna`, `line 2: the email "anna@example.org" belongs to account anna`,
		`line 4: the username "BO" stands in line 3 too`, `line 5: the email "BO@example.org" stands in line 3 too`)
	hasNot(t, h.run(0, "accounts", "list"), "bo@")
}
