package ledger

import (
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
)

// What a spreadsheet program saves as CSV is read as it is.
func TestTablesAreReadWithWhateverIsBetweenTheirColumns(t *testing.T) {
	const table = "username,email,first_name,last_name,attributes.badge\njdoe,jane@example.org,Jane,\"Doe\",7\n"
	with := func(separator, text string) string { return strings.ReplaceAll(text, ",", separator) }
	for name, text := range map[string]string{
		"commas":                            table,
		"semicolons":                        with(";", table),
		"tabs":                              with("\t", table),
		"a byte order mark":                 "\ufeff" + table,
		"semicolons and a byte order mark":  "\ufeff" + with(";", table),
		"a mark before a name in quotes":    "\ufeff" + strings.Replace(table, "username", `"username"`, 1),
		"carriage returns":                  strings.ReplaceAll(with(";", table), "\n", "\r\n"),
		"an empty first line":               "\r\n" + with(";", table),
		"a comma in a row of semicolons":    strings.Replace(with(";", table), "\"Doe\"", "Doe, the elder, of all, by, the, sea", 1),
		"semicolons in a row with commas":   strings.Replace(table, "\"Doe\"", "Doe; the elder; of all", 1),
		"blanks around the columns' names":  strings.Replace(with(";", table), "username;email", " username ; Email ", 1),
		"a mark and nothing else but names": "\ufeff" + with(";", table[:strings.Index(table, "\n")+1]) + "jdoe;jane@example.org;Jane;Doe;7",
	} {
		t.Run(name, func(t *testing.T) {
			list, err := ReadTable(t.Context(), iotest.OneByteReader(strings.NewReader(text)), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != 1 || list[0].Account.Text[account.Username] != "jdoe" || list[0].Account.Text[account.Email] != "jane@example.org" ||
				!strings.HasPrefix(list[0].Account.Text[account.LastName], "Doe") || list[0].Account.Attributes != `{"badge":"7"}` {
				t.Errorf("%+v", list)
			}
		})
	}
}

func TestTablesThatCannotBeReadSayWhy(t *testing.T) {
	for name, test := range map[string]struct{ text, says string }{
		"nothing":                        {"", "the first line cannot be read"},
		"a mark and nothing":             {"\ufeff", "the first line cannot be read"},
		"a column that is none":          {"\ufeffusername;emial\n", `line 1: the column "emial" is none that an account takes`},
		"a column that stands twice":     {"username;email;first_name;last_name; Email\na;a@example.org;A;B;b@example.org\n", `line 1: the column "Email" stands twice`},
		"an attribute that stands twice": {"username;attributes.Badge;attributes.Badge\n", `line 1: the column "attributes.Badge" stands twice`},
		"UTF-16":                         {"\xff\xfeu\x00s\x00\n\x00", "is written in UTF-16"},
		"a row that is too long":         {"username;email;first_name;last_name\na;a@example.org;A;B;C\n", "wrong number of fields"},
		"a row that cannot be":           {"username;email;first_name;last_name\na;a@example.org;A;B\nb;;B;C\n", "line 3: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadTable(t.Context(), strings.NewReader(test.text), time.Now())
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got  %v\nwant %s", err, test.says)
			}
		})
	}
}

// Whoever has a table to mend is told of all of it at once, as far as a page holds it.
func TestEveryLineOfATableThatCannotBeIsNamed(t *testing.T) {
	const head = "username,email,first_name,last_name,password\n"
	many := strings.Repeat(",x@example.org,A,B,secret\n", mostMistakes+3)
	for name, test := range map[string]struct{ text, says string }{
		"of several kinds": {head + "a,a@example.org,A,B,x\nb,,B,C,x\nc,c@example.org,C\nd,d@example.org,,D,x\n",
			"accounts import: 3 mistakes; nothing was created:\nline 3: the account cannot be like that: email is empty (attribute email)\nline 4: wrong number of fields\nline 5: the account cannot be like that: first_name is empty (attribute first_name)"},
		"one": {head + "b,,B,C,x\n", "accounts import: line 2: the account cannot be like that: email is empty (attribute email); nothing was created"},
		"a quote that is never closed": {head + "b,,B,C,x\nc,\"c@example.org,C,D,x\nd,,,,\n",
			"accounts import: 2 mistakes; nothing was created, and what follows was not looked at:\nline 2: the account cannot be like that: email is empty (attribute email)\nline 3: extraneous or missing \" in quoted-field"},
		"very many": {head + many, "\nline 21: the account cannot be like that: username is empty (attribute username)\nand 3 more"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadTable(t.Context(), strings.NewReader(test.text), time.Now())
			if fault.KindOf(err) != fault.Invalid || !strings.HasSuffix(err.Error(), test.says) {
				t.Errorf("got  %v\nwant %s", err, test.says)
			}
		})
	}
}
