package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

const staff = `connections:
  - alias: staff
    backend: {csv: {path: people.csv, passwords: none}}
`

const threePeople = `username,first_name,last_name,email,manager
jdoe,Jane,Doe,jane@example.org,
kmüller,Käthe,Müller,kaethe@example.org,jdoe
lsmit,Lot,"Smit, the elder",lot@example.org,jdoe
`

func encoded(t *testing.T, text, as string) string {
	t.Helper()
	var out string
	var err error
	switch as {
	case "utf-16":
		out, err = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	case "windows-1252":
		out, err = charmap.Windows1252.NewEncoder().String(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Files as they come out of other people's programs.
func TestFilesOfAllSorts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"UTF-8 with commas":               threePeople,
		"UTF-8 with a byte order mark":    "\ufeff" + threePeople,
		"UTF-16":                          encoded(t, threePeople, "utf-16"),
		"Windows-1252":                    encoded(t, threePeople, "windows-1252"),
		"semicolons and Windows newlines": strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(threePeople, `"Smit, the elder"`, `"Smit# the elder"`), ",", ";"), "\n", "\r\n"),
		"tabs":                            strings.ReplaceAll(strings.ReplaceAll(threePeople, `"Smit, the elder"`, `"Smit# the elder"`), ",", "\t"),
		"headers with spaces and case":    strings.Replace(threePeople, "username,first_name,last_name,email", "User Name,First Name,LAST-NAME,E-Mail", 1),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, staff)
			h.apart = true
			h.write("people.csv", text)
			h.run(0, "check", "staff")
			has(t, h.run(2, "plan", "staff"), "3 create", "Käthe Müller", "kmüller")
			h.run(0, "sync", "staff")
			p := h.people()
			if len(p) != 3 || p["kmüller"].LastName != "Müller" || p["lsmit"].Manager != p["jdoe"].ID || p["jdoe"].Manager != "" ||
				strings.ReplaceAll(p["lsmit"].LastName, "#", ",") != "Smit, the elder" {
				t.Errorf("%+v", p)
			}
			has(t, h.run(0, "plan", "staff"), "nothing to do")
		})
	}
}

// Files that are wrong. Three people are there already; none of them goes.
func TestDamagedFilesRemoveNobody(t *testing.T) {
	t.Parallel()
	const header = "username,first_name,last_name,email\n"
	for name, test := range map[string]struct {
		text   string // "" for an empty file, "-" for none
		status int
		says   []string
	}{
		"no file":                 {"-", 1, []string{"people.csv: no such file", "hint: "}},
		"an empty file":           {"", 1, []string{"people.csv is empty", "hint: "}},
		"no key column":           {"first_name,last_name,email\nJane,Doe,jane@example.org\n", 1, []string{`no column "username"`, "olumns found: first_name, last_name, email"}},
		"no column for e-mail":    {"username,first_name,last_name\njdoe,Jane,Doe\n", 1, []string{"email: no rule", "hint: "}},
		"a header and nobody":     {header, 3, []string{"held: ", "nobody"}},
		"a quote that is open":    {header + "jdoe,Jane,\"Doe,jane@example.org\n", 1, []string{"line 2", "quote", "hint: "}},
		"a short row":             {threePeople + "mkort,Mia\n", 0, []string{"1 problem"}},
		"a long row":              {threePeople + "mlang,Mia,Lang,mia@example.org,jdoe,more\n", 0, []string{"1 problem"}},
		"a NUL byte":              {threePeople + "mnul,Mi\x00a,Nul,mia@example.org,\n", 0, []string{"1 problem"}},
		"a row without its key":   {threePeople + ",Mia,Nokey,mia@example.org,\n", 0, []string{"NOT COMPLETE", "1 problem"}},
		"a key that stands twice": {threePeople + "mia,Mia,One,mia1@example.org,\nmia,Mia,Two,mia2@example.org,\n", 0, []string{"2 problems"}},
		"an address that is none": {threePeople + "mia,Mia,One,mia at example,\n", 0, []string{"1 problem"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, staff)
			h.apart = true
			h.write("people.csv", threePeople)
			h.run(0, "sync", "staff")
			before := h.people()
			if test.text == "-" {
				if err := os.Remove(h.path("people.csv")); err != nil {
					t.Fatal(err)
				}
			} else {
				h.write("people.csv", test.text)
			}
			r := h.try("sync", "staff")
			if r.status != test.status {
				t.Errorf("sync ends with %d, want %d", r.status, test.status)
			}
			has(t, r.out+r.err, test.says...)
			sameJSON(t, "people", before, h.people())
			hasNot(t, h.run(0, "doctor"), "FAIL")
		})
	}
}

// Somebody gives a column another name. No field is emptied by that, and nobody
// enabled, before a person has seen it.
func TestAColumnThatWentIsHeld(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff+"    mapping: {title: job, status: {expr: 'lower(state)'}}\n")
	const table = "username,first_name,last_name,email,Job,state\nmia,Mia,One,mia@example.org,Boss,disabled\nbo,Bo,Two,bo@example.org,Clerk,active\n"
	h.write("people.csv", table)
	h.run(0, "sync", "staff")
	before := h.people()
	if before["mia"].Status != "disabled" || before["bo"].Title != "Clerk" {
		t.Fatalf("%+v", before)
	}
	h.write("people.csv", strings.Replace(table, "Job,state", "Function,State of employment", 1))
	has(t, h.run(3, "sync", "staff"), "held: The set of columns that the mapping reads changed", "1 update, 1 enable", "title: Boss -> (none)")
	has(t, h.run(0, "runs", "show", "last"), "there are no columns job, state, which the mapping reads")
	has(t, h.run(0, "check", "staff"), "there are no columns job, state, which the mapping reads", "hint: correct the name in the mapping, or the file")
	sameJSON(t, "people", before, h.people())
	h.write("people.csv", strings.Replace(table, "Job,state", "JOB,State", 1))
	has(t, h.run(0, "plan", "staff"), "nothing to do")
	h.write("people.csv", strings.Replace(table, "Job,", "Function,", 1))
	h.run(3, "sync", "staff")
	h.run(0, "plans", "approve", "last")
	has(t, h.run(0, "sync", "staff"), "there is no column job, which the mapping reads")
	if p := h.people(); p["bo"].Title != "" || p["mia"].Status != "disabled" {
		t.Errorf("%+v", p)
	}
	h.write("people.csv", table)
	has(t, h.run(3, "sync", "staff"), "held: The set of columns that the mapping reads changed", "title: (none) -> Boss")
}

func TestCheckCountsOneAndMany(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	const header = "username,first_name,last_name,email,language\n"
	h.write("people.csv", header+"mia,Mia,One,mia@example.org,zz\nbo,Bo\n")
	has(t, h.run(0, "check", "staff"), "1 person, 1 row that cannot be used", "complete: 2 people, 0 groups", "1 entry has values that are left out")
	h.write("people.csv", header+"mia,Mia,One,mia@example.org,\n")
	has(t, h.run(0, "check", "staff"), "complete: 1 person, 0 groups")
	h.write("people.csv", header+strings.Repeat("bo,Bo\n", 12))
	has(t, h.run(0, "check", "staff"), "0 people, 12 rows that cannot be used", "\n                           and 2 more")
	h.write("people.csv", "username,Note,email,note\n")
	has(t, h.try("check", "staff").out, "columns 2 and 4 have the same name")
}

// Two files with a byte order mark each, one put behind the other.
func TestAByteOrderMarkInTheMiddleIsNoPartOfAKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	const header = "username,first_name,last_name,email\n"
	h.write("people.csv", header+"mia,Mia,One,mia@example.org\nbo,Bo,Two,bo@example.org\n")
	h.run(0, "sync", "staff")
	h.write("people.csv", "\ufeff"+header+"mia,Mia,One,mia@example.org\n\ufeffbo,Bo,Two,bo@example.org\n")
	has(t, h.run(0, "plan", "staff"), "nothing to do")
	h.write("people.csv", "\ufeff"+header+"mia,Mia,One,mia@example.org\n\ufeff"+header+"bo,Bo,Two,bo@example.org\n")
	has(t, h.run(0, "plan", "staff"), "nothing to do", "problem  username: ")
}

// A slip in the column of the status lets nobody in whom it kept out before.
func TestAnUnknownStatusEnablesNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	const header = "username,first_name,last_name,email,status\n"
	h.write("people.csv", header+"mia,Mia,One,mia@example.org,disabled\nbo,Bo,Two,bo@example.org,active\n")
	h.run(0, "sync", "staff")
	h.write("people.csv", header+"mia,Mia,One,mia@example.org,dsiabled\nbo,Bo,Two,bo@example.org,actve\nnew,New,Three,new@example.org,?\n")
	has(t, h.run(2, "plan", "staff"), "1 create, 2 keep", "mia: status left out: is not a known status; it neither disables nor enables")
	h.run(0, "sync", "staff")
	if p := h.people(); p["mia"].Status != "disabled" || p["bo"].Status != "active" || p["new"].Status != "active" {
		t.Errorf("%+v", p)
	}
	h.write("people.csv", header+"mia,Mia,One,mia@example.org,active\nbo,Bo,Two,bo@example.org,\nnew,New,Three,new@example.org,no\n")
	has(t, h.run(2, "plan", "staff"), "1 enable", "1 disable")
}

// Another program writes keys in capitals, or accents in two characters. The people
// keep their accounts, whatever the policy lets happen to leavers.
func TestKeysInAnotherSpellingMakeNoSecondAccount(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"{}", "{delete-disables: false}", "{no-delete: true}"} {
		h := newHouse(t, staff+"    settings: "+policy+"\n")
		h.write("people.csv", threePeople)
		h.run(0, "sync", "staff")
		before := h.people()
		h.write("people.csv", strings.NewReplacer("jdoe", "JDoe", "kmüller", "kmu\u0308ller").Replace(threePeople))
		has(t, h.run(2, "plan", "staff"), "2 link", "external ID in another spelling")
		h.run(0, "sync", "staff")
		after := h.people()
		for was, is := range map[string]string{"jdoe": "JDoe", "kmüller": "kmüller", "lsmit": "lsmit"} {
			if before[was].ID != after[is].ID || after[is].Status != "active" || after[is].Manager != before[was].Manager {
				t.Errorf("%s: %s was %+v and is %+v", policy, was, before[was], after[is])
			}
		}
		if len(after) != 3 {
			t.Errorf("%s: %d accounts", policy, len(after))
		}
		has(t, h.run(0, "plan", "staff"), "nothing to do")
		h.run(0, "doctor")
	}
}

// Half the people leave a file: that many are no accident the limit lets pass.
func TestAFileCutShortIsHeld(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	people := func(n int) {
		var b strings.Builder
		b.WriteString("username,first_name,last_name,email\n")
		for i := range n {
			fmt.Fprintf(&b, "p%d,First,Last%d,p%d@example.org\n", i, i, i)
		}
		h.write("people.csv", b.String())
	}
	people(60)
	h.run(0, "sync", "staff")
	people(30)
	has(t, h.run(3, "sync", "staff"), "held: ", "30 disable")
	if n := len(h.people("--status", "active")); n != 60 {
		t.Errorf("%d active, want 60", n)
	}
}

// Passwords are taken and never seen again: not in plans, events, exports,
// errors, nor anywhere in the folder of the installation.
func TestPasswordsAreNeverShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, `connections:
  - alias: staff
    backend:
      csv:
        path: people.csv
        default_password: ${START_PASSWORD}
`)
	h.env["START_PASSWORD"] = secret("Start-Me-Up-1981")
	h.write("people.csv", "username,first_name,last_name,email,password\njdoe,Jane,Doe,jane@example.org,"+secret("jane-and-nobody-else")+"\nksmit,Kees,Smit,kees@example.org,\n")
	for _, args := range [][]string{{"check", "staff"}, {"plan", "staff"}, {"plan", "staff", "-o", "json"}, {"sync", "staff"}, {"plans", "show", "last", "-o", "json"},
		{"runs", "show", "last", "-o", "json"}, {"events", "tail", "-o", "json"}, {"accounts", "list", "-o", "json"}, {"accounts", "export"}, {"why", "staff", "jdoe", "-o", "json"},
		{"connections", "export"}, {"connections", "list", "-o", "json"}} {
		h.try(args...)
	}
	if n := len(h.people()); n != 2 {
		t.Fatalf("%d accounts", n)
	}
	h.write("people.csv", "username,first_name,last_name,email,password\njdoe,Jane,Doe,jane@example.org,"+secret("jane-thought-better")+"\nksmit,Kees,Smit,kees@example.org,\n")
	has(t, h.run(2, "plan", "staff"), "update  account  jdoe  password changed\n")
	h.run(0, "sync", "staff")
	has(t, h.run(0, "plan", "staff"), "nothing to do")
	h.write("people.csv", "username,first_name,last_name,email,password\njdoe,Joan,Doe,jane@example.org,"+secret("jane-thought-twice")+"\nksmit,Kees,Smit,kees@example.org,\n")
	has(t, h.run(2, "plan", "staff"), "update  account  jdoe  first_name: Jane -> Joan (password changed)\n")
	h.run(0, "sync", "staff")
	delete(h.env, "START_PASSWORD")
	has(t, h.refuses(1, "plan", "staff"), "environment variable START_PASSWORD is not set")
	h.env["START_PASSWORD"] = ""
	has(t, h.run(0, "sync", "staff"), "1 problem")
	has(t, h.run(0, "why", "staff", "ksmit"), "password")

	r := h.tryWith(secret("a-local-secret")+"\n", "accounts", "create", "--username", "op", "--email", "op@example.org", "--first-name", "Op", "--last-name", "Erator", "--password-stdin")
	if r.status != 0 {
		t.Errorf("accounts create: %d %s", r.status, r.err)
	}
	h.write("locals.csv", "\ufeffusername;email;first_name;last_name;password\r\nloc;loc@example.org;Lo;Cal;"+secret("another-local-secret")+"\r\n")
	has(t, h.run(0, "accounts", "import", h.path("locals.csv")), "Created 1 local account in default.")
	files, err := filepath.Glob(h.path("rollcall.*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		transcript.Lock()
		secrets := append([]string(nil), transcript.secrets...)
		transcript.Unlock()
		text := read(t, name)
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds a password as it was typed", filepath.Base(name))
			}
		}
	}
}

var shell = regexp.MustCompile("(?s)## From a CSV file to a first plan\n+```\n(.*?)```")

// The quick start of the README, as it is written, in a folder of its own.
func TestTheReadmesQuickStart(t *testing.T) {
	t.Parallel()
	m := shell.FindStringSubmatch(read(t, "../../README.md"))
	if m == nil {
		t.Fatal("README.md has no quick start")
	}
	script, ok := strings.CutPrefix(m[1], "make build\n")
	if !ok {
		t.Fatalf("the quick start begins otherwise:\n%s", m[1])
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary(t), filepath.Join(dir, "bin", "rollcall")); err != nil {
		t.Fatal(err)
	}
	var status []string
	for line := range strings.Lines(script) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		record("README: "+line, string(out))
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		status = append(status, fmt.Sprint(cmd.ProcessState.ExitCode()))
		if strings.HasPrefix(line, "bin/rollcall plan") {
			has(t, string(out), "1 create", "jdoe", "Jane Doe")
		}
	}
	if got := strings.Join(status, " "); got != "0 0 2 0" {
		t.Errorf("exit statuses %s", got)
	}
}

// An export whose columns are there and empty is as bad as one without them.
func TestAColumnThatLostItsContentsIsLookedAtFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "connections:\n  - alias: staff\n    backend: {csv: {path: people.csv, passwords: none}}\n")
	table := func(title, status string) {
		text := "username,first_name,last_name,email,title,status\n"
		for i := range 12 {
			is := status
			if i > 3 {
				is = ""
			}
			text += fmt.Sprintf("p%d,P,%d,p%d@example.org,%s,%s\n", i, i, i, title, is)
		}
		h.write("people.csv", text)
	}
	table("Boss", "disabled")
	h.run(0, "sync", "staff")
	table("", "disabled")
	has(t, h.run(3, "sync", "staff"), "The title of 12 accounts would be emptied, of 12 that have one; look whether the directory still gives it.")
	table("Boss", "")
	has(t, h.run(3, "sync", "staff"), "4 accounts would be enabled, of 4 that the directory had disabled; look whether it still says who is disabled.")
	table("Boss", "disabled")
	has(t, h.run(0, "sync", "staff"), "12 kept")
}
