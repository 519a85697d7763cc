package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/source/all"
)

// Every command, called rightly and wrongly, on an installation with a run
// behind it.
func TestExitStatuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.write("people.csv", threePeople)
	h.run(0, "sync", "staff")
	h.write("local.csv", "username,email,first_name,last_name\nloc,loc@example.org,Lo,Cal\n")
	for _, test := range []struct {
		status int
		args   string
		says   string // of an error
	}{
		{0, "", ""}, {0, "--help", ""}, {0, "version", ""}, {0, "version -o json", ""},
		{2, "sink staff", `there is no command "sink"; did you mean sync?`}, {2, "--colour", "unknown flag: --colour"}, {2, "version --output xml", `--output is table or json, not "xml"`},
		{0, "help", ""}, {0, "help runs show", ""}, {2, "help sinc", `there is no command "sinc"; did you mean sync?`}, {2, "help runs undo", `runs: there is no command "undo"`},
		{2, "sync staff --watch --every 0s", "a second is the least"}, {2, "sync staff --watch --every soon", `"soon" for "--every" flag: expected a duration such as 5m`}, {2, "sync staff --full=maybe", "expected true or false"},
		{2, "runs list --limit x", `"x" for "--limit" flag: expected a whole number, 0 or more` + "\n"}, {2, "runs list --limit 99999999999999999999", "expected a smaller number"},
		{0, "check staff", ""}, {2, "check", "takes the alias of a connection"}, {1, "check stuff", `there is no connection "stuff"` + "\n  hint: did you mean \"staff\"?"},
		{0, "plan staff", ""}, {2, "plan", "takes the alias"}, {1, "plan payroll-of-1987", "`rollcall connections list` shows those there are"}, {2, "plan staff --fast", "unknown flag"},
		{0, "sync staff", ""}, {0, "sync staff --full", ""}, {2, "sync staff staff", "takes the alias"}, {1, "sync stuff", "did you mean"},
		{0, "runs", ""}, {0, "runs list", ""}, {0, "runs list staff --limit 1", ""}, {1, "runs list stuff", "did you mean"}, {1, "plans list stuff", "did you mean"}, {2, "runs list a b", "takes"}, {0, "runs show last", ""}, {1, "runs show r9999", "there is no run"}, {2, "runs show", "takes the ID of a run"},
		{1, "runs revert r9999", "there is no run"}, {2, "runs revert", "takes the ID of a run"}, {2, "runs undo", `there is no command "undo"`}, {2, "runs list --limit -1", "--limit"},
		{0, "plans list", ""}, {0, "plans list staff", ""}, {0, "plans show last", ""}, {1, "plans show p9999", "there is no plan"}, {1, "plans approve p9999", "there is no plan"},
		{2, "plans approve", "takes the ID of a plan"}, {2, "plans approve last --exclude x", "is not a row number"}, {2, "plans approve last --exclude 9-3", "is not a row number"},
		{1, "plans approve last", "only a plan that is ready or held"}, {1, "plans reject last", "nothing to reject"},
		{0, "why staff jdoe", ""}, {0, "why staff nobody", ""}, {2, "why staff", "takes the alias of a connection, and whom"}, {1, "why stuff jdoe", "did you mean"},
		{0, "accounts list", ""}, {0, "accounts list --status deleted", ""}, {0, "accounts list --search doe -o json", ""}, {2, "accounts list --status gone", "active, disabled or deleted"},
		{1, "accounts list --connection stuff", "did you mean"}, {0, "accounts list --connection local", ""}, {1, "accounts list --organization nowhere", "there is no organization"},
		{0, "accounts show jdoe", ""}, {0, "accounts show jane@example.org -o json", ""}, {1, "accounts show nobody", "no account has"}, {2, "accounts show", "takes an ID"},
		{0, "accounts export", ""}, {0, "accounts export --format json", ""}, {2, "accounts export --format xml", "csv or json"},
		{0, "accounts create --username a --email a@example.org --first-name A --last-name B", ""}, {1, "accounts create --username a", "the account cannot be like that"},
		{1, "accounts create --username A --email other@example.org --first-name A --last-name B", "belongs to account a"}, {2, "accounts create a", "takes no words"},
		{0, "accounts import " + h.path("local.csv"), ""}, {1, "accounts import " + h.path("local.csv"), "line 2"}, {1, "accounts import " + h.path("nowhere.csv"), "no such file"},
		{0, "groups list", ""}, {1, "groups show nothing", "there is no group"}, {1, "groups list --connection stuff", "did you mean"},
		{0, "events tail", ""}, {0, "events tail --after 2 --limit 2", ""}, {2, "events head", `there is no command "head"`},
		{0, "events tail --after 0", ""}, {2, "events tail --after -5", "--after -5: the first event is 1"}, {2, "events tail --after x", "expected a whole number\n"},
		{0, "connections list", ""}, {0, "connections export", ""}, {0, "connections export staff", ""}, {1, "connections export stuff", "did you mean"},
		{0, "connections reset staff", ""}, {1, "connections reset stuff", "did you mean"}, {2, "connections reset", "takes the alias"},
		{0, "organizations list", ""}, {0, "doctor", ""}, {0, "doctor -o json", ""}, {2, "doctor me", "takes no words"},
		{0, "backup " + h.path("copy.db"), ""}, {1, "backup " + h.path("copy.db"), "exists"}, {1, "backup " + h.path("no/where/copy.db"), "no such file"}, {2, "backup", "takes a file"},
	} {
		r := h.try(strings.Fields(test.args)...)
		if r.status != test.status {
			t.Errorf("rollcall %s: exit status %d, want %d\n%s%s", test.args, r.status, test.status, r.out, r.err)
		}
		if test.status == 0 {
			if r.out == "" {
				t.Errorf("rollcall %s says nothing", test.args)
			}
			continue
		}
		if !strings.Contains(r.err, test.says) || !strings.HasPrefix(r.err, "rollcall: ") || strings.HasPrefix(r.err, "rollcall: rollcall") {
			t.Errorf("rollcall %s says %q, want %q", test.args, r.err, test.says)
		}
	}
}

// What makes a configuration wrong is told with file, line, column and the
// nearest key; all of it at once, and before anything is touched.
func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	h := newHouse(t, `databse: sqlite:x.db
connections:
  - alias: staff
    settings: {no_delete: true}
    limits: {removals: 20}
    backend:
      csv: {path: people.csv, separater: comma, passwords: nome}
    mapping: {emial: mail}
    match: [last_name]
  - alias: hq
    backend:
      ldap: {adr: x, bind_password: `+secret("typed-into-the-file")+`, sync: {page_size: many}}
`)
	text := h.refuses(1, "plan", "staff")
	file := h.path("rollcall.yaml")
	has(t, text, file+`:1:1: unknown key "databse"; did you mean "database"?`,
		file+`:4:16: unknown key "no_delete" under settings; did you mean "no-delete"?`,
		file+`:5:24: limits.removals: expected a share from 0% to 100%, such as 20% or 0.2`,
		file+`:7:31: unknown key "separater" under backend.csv; did you mean "separator"?`,
		file+`:7:60: backend.csv.passwords: expected one of required, none`,
		file+`:8:15: mapping: unknown field "emial"; did you mean "email"?`,
		file+`:9:13: match: "last_name" tells nobody apart; accounts are found by username, email, mobile_phone, phone or a custom attribute`,
		file+`:12:14: unknown key "adr" under backend.ldap; did you mean "addr"?`,
		"backend.ldap.sync.page_size: expected a whole number", "hint: ")
	has(t, newHouse(t, "connections: [").refuses(1, "accounts", "list"), "rollcall.yaml:1:")
	has(t, newHouse(t, "a\tb: [\x00").refuses(1, "accounts", "list"), "rollcall.yaml:")
	lost := newHouse(t, "")
	lost.dir += "/nowhere"
	has(t, lost.refuses(1, "accounts", "list"), "nowhere", "no such file", "hint: ")
	has(t, newHouse(t, "").refuses(1, "plan", "hq"), `there is no connection "hq"`, "hint: declare one under `connections:`")
	has(t, newHouse(t, "database: sqlite:nowhere/rollcall.db").refuses(1, "doctor"), "nowhere", "hint: the folder must exist")
	password := secret("password-of-postgres")
	has(t, newHouse(t, "database: postgres://rollcall:"+password+"@127.0.0.1:1/rollcall").refuses(1, "doctor"), "127.0.0.1:1", "cannot be reached", "hint: ")
}

// Who forgets --config, or stands in another folder, is told so.
func TestNoConfigurationIsTold(t *testing.T) {
	t.Chdir(t.TempDir())
	var said bytes.Buffer
	if status := Run(t.Context(), []string{"plan", "hq"}, IO{In: strings.NewReader(""), Out: &said, Err: &said, Env: func(string) (string, bool) { return "", false }}); status != 1 {
		t.Errorf("without a configuration: status %d", status)
	}
	has(t, said.String(), `there is no connection "hq"`, "hint: no configuration was read: there is no rollcall.yaml in this folder")
}

// A variable with a slip in its name would leave a policy out and say nothing.
func TestAVariableThatReachesNoKeyStopsACommand(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.apart = true
	h.write("people.csv", threePeople)
	h.env["ROLLCALL_PORT_8080_TCP"], h.env["ROLLCALL_SERVICE_HOST"] = "tcp://10.0.0.7:8080", "10.0.0.7" // Kubernetes
	h.env["ROLLCALL_CONNECTIONS_STAFF_SETTINGS_DRYRUN"] = "true"
	has(t, h.refuses(1, "sync", "staff"), "environment variable ROLLCALL_CONNECTIONS_STAFF_SETTINGS_DRYRUN: there is no such key; did you mean ROLLCALL_CONNECTIONS_STAFF_SETTINGS_DRY_RUN?")
	delete(h.env, "ROLLCALL_CONNECTIONS_STAFF_SETTINGS_DRYRUN")
	has(t, h.run(0, "accounts", "list"), "There are no accounts yet.")
	h.env["ROLLCALL_CONNECTIONS_STAFF_SETTINGS_DRY_RUN"] = "true"
	h.run(3, "sync", "staff")
}

// The mark under an expression stands below the place that it is about.
func TestAHintOfSeveralLinesKeepsItsColumns(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff+"    mapping: {title: {expr: 'upper(titel) + foo('}}\n")
	h.write("people.csv", threePeople)
	lines := strings.Split(h.refuses(1, "plan", "staff"), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasSuffix(l, "hint: upper(titel) + foo(") })
	if i < 0 || i+1 == len(lines) || strings.TrimLeft(lines[i+1], " ") != "^" || len(lines[i+1]) != len(lines[i]) {
		t.Errorf("%s", strings.Join(lines, "\n"))
	}
}

// adc is a file of Kopano's adc: its two blocks are the two of a connection.
const adc = `settings:
  dry-run: true
  no-update: false
  no-create: false
  no-delete: true
  delete-disables: true
  no-update-provider-mismatch: true
  create-as-disabled: false
backend:
  ldap:
    addr: ldaps://dc1.sunfix.com
    bind_dn: cn=readonly,dc=sunfix,dc=com
    bind_password: ${SUNFIX_BIND_PASSWORD}
    base_dn: dc=sunfix,dc=com
    scope: sub
    tls: {ca_file: sunfix-ca.pem, server_name: dc1.sunfix.com, start_tls: false}
    sync:
      page_size: 1000
      filter: (&(mail=*)(sn=*)(givenName=*)(objectClass=user)(objectCategory=person))
    groups: {base_dn: "ou=groups,dc=sunfix,dc=com", filter: (objectClass=group), include: "^Proxy"}
    authentication:
      username_attribute: mail
      username_filter_template: (&(objectClass=inetOrgPerson)(mail=%s))
      timeout: 5
`

func TestTheBlocksOfAdcArePastedUnchanged(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("connections:\n  - alias: sunfix-hq\n")
	for line := range strings.Lines(adc) {
		b.WriteString("    " + line)
	}
	h := newHouse(t, b.String())
	h.env["SUNFIX_BIND_PASSWORD"] = secret("kopano-has-it-too")
	has(t, h.run(0, "connections", "list"), "sunfix-hq", "ldap", "dry-run")
	text := h.run(0, "connections", "export", "sunfix-hq")
	has(t, text, "no-delete: true", "filter: (&(mail=*)(sn=*)(givenName=*)(objectClass=user)(objectCategory=person))", "bind_password: ${SUNFIX_HQ_BIND_PASSWORD}",
		"server_name: dc1.sunfix.com", "include: ^Proxy", "username_filter_template: (&(objectClass=inetOrgPerson)(mail=%s))", "timeout: 5s")
}

// What is exported holds no secret, and is a configuration that does the same.
func TestConnectionsExportAndReset(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "    schedule: every 40m\n    scope: [department != \"X1\"]\n    mapping: {badge: employeeNumber, phone: null, title: {expr: 'title + \" ${\" + \"}\"'}}\n")
	// In the file itself ${ begins a variable.
	h.write("rollcall.yaml", strings.Replace(read(t, h.path("rollcall.yaml")), "${\" +", "$${\" +", 1))
	h.run(0, "sync", "hq")
	text := h.run(0, "connections", "export", "hq")
	hasNot(t, text, s.ReaderPassword)
	exported, err := config.Parse("exported.yaml", []byte(text), all.Kinds(), func(name string) (string, bool) {
		return s.ReaderPassword, name == "HQ_BIND_PASSWORD"
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	h.write("rollcall.yaml", text)
	h.env["HQ_BIND_PASSWORD"] = h.env["HQ_PASSWORD"]
	has(t, h.run(0, "plan", "hq"), "nothing to do")
	if exported.Connections[0].Mapping["title"].Expr != `title + " ${" + "}"` || exported.Organizations[0].LicenceLimit != 100 {
		t.Errorf("%+v", exported)
	}

	before := h.people()
	has(t, h.run(0, "connections", "reset", "hq"), "No account was touched")
	sameJSON(t, "people after a reset", before, h.people())
	var list []struct {
		ReadInFull *string `json:"last_full_at"`
	}
	h.json(0, &list, "connections", "list")
	if list[0].ReadInFull != nil {
		t.Errorf("a full reading is remembered: %s", *list[0].ReadInFull)
	}
	var run ran
	h.json(0, &run, "sync", "hq")
	if run.Reading.Changed != 48 || run.Summary.Create+run.Summary.Update+run.Summary.Disable != 0 {
		t.Errorf("after a reset every entry is looked at anew, and nothing is changed: %+v, %+v", run.Reading, run.Summary)
	}
	sameJSON(t, "people after the next reading", before, h.people())
}

// Local accounts are there for a connection to adopt, when it may.
func TestLocalAccountsAreAdopted(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "    match: [email, username]\n")
	h.write("local.csv", "Username,E-Mail,First_Name,last_name,role\nfleur,F.Smit@zuiderhof.example,Fleur,Smid,admin\nsemi,other@zuiderhof.example,Semi,Colon,\nstay,stay@zuiderhof.example,Stay,Here,\n")
	has(t, h.refuses(1, "accounts", "import", h.path("local.csv")), `the column "e-mail" is none that an account takes`, `did you mean "email"?`)
	h.write("local.csv", strings.Replace(read(t, h.path("local.csv")), "E-Mail", "email", 1)+"broken,nowhere,Bro,Ken,\n")
	has(t, h.refuses(1, "accounts", "import", h.path("local.csv")), "line 5", "email", "nothing was created")
	if n := len(h.people()); n != 0 {
		t.Fatalf("%d accounts came of a file that was refused", n)
	}
	h.write("local.csv", strings.Replace(read(t, h.path("local.csv")), "broken,nowhere,Bro,Ken,\n", "", 1))
	has(t, h.run(0, "accounts", "import", h.path("local.csv")), "Created 3 local accounts in zuiderhof")
	before := h.people()

	text := h.run(2, "plan", "hq")
	has(t, text, "33 create", "2 refused", "no-update-provider-mismatch")
	h.run(0, "sync", "hq")
	sameJSON(t, "the local account", before["fleur"], h.people()["fleur"])

	h.write("rollcall.yaml", hq(s, "    match: [email, username]\n    settings: {no-update-provider-mismatch: false}\n"))
	has(t, h.run(2, "plan", "hq"), "2 link", "last_name: Smid -> Smit", "matched by email, taken over from local")
	h.run(0, "sync", "hq")
	now := h.people()
	if p := now["fsmit"]; p.ID != before["fleur"].ID || p.Connection != "hq" || p.Role != "admin" || p.LastName != "Smit" {
		t.Errorf("the adopted account: %+v", p)
	}
	if p := now["semi"]; p.ID != before["semi"].ID || p.Email != "semi@zuiderhof.example" {
		t.Errorf("the account matched by username: %+v", p)
	}
	sameJSON(t, "a local account that nobody claims", before["stay"], now["stay"])
	has(t, h.run(0, "why", "hq", "fsmit"), "In: ", "account.linked")
	hasNot(t, h.run(0, "doctor"), "FAIL")
}

// An export is opened in a spreadsheet: what looks like a formula is text there.
func TestExportedTextIsNoFormula(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.write("people.csv", "username,first_name,last_name,email,mobile_phone\nx,\"=HYPERLINK(1)\",@SUM,x@example.org,+32475123456\n")
	h.run(0, "sync", "staff")
	has(t, h.run(0, "accounts", "export"), ",'=HYPERLINK(1),'@SUM,", ",+32475123456,")
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A result that did not arrive is no success.
func TestOutputThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	h := newHouse(t, staff)
	h.write("people.csv", threePeople)
	h.run(0, "sync", "staff")
	for _, command := range []string{"accounts list", "accounts export", "accounts list -o json", "version", "doctor", "plan staff", "connections export"} {
		var err strings.Builder
		status := Run(t.Context(), append([]string{"--config", h.path("rollcall.yaml")}, strings.Fields(command)...), IO{Out: brokenPipe{}, Err: &err, Env: h.lookup})
		if status != 1 || !strings.Contains(err.String(), "no space left on device") {
			t.Errorf("%s: exit status %d, %s", command, status, err.String())
		}
	}
}

var mentioned = regexp.MustCompile("(?m)(?:`|^|^bin/|\\$ )rollcall ((?:-[a-z-]+ |[a-z]+(?:-[a-z]+)* ?)+)")

// Every command that the documentation or a hint names is one there is.
func TestCommandsThatAreNamedExist(t *testing.T) {
	found := 0
	look := func(name string) {
		text := read(t, name)
		for _, m := range mentioned.FindAllStringSubmatch(text, -1) {
			found++
			cmd, rest, err := (&root{}).command().Find(strings.Fields(m[1]))
			if err != nil || cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
				t.Errorf("%s: there is no command %q", name, "rollcall "+m[1])
			}
			for _, flag := range rest {
				if name, ok := strings.CutPrefix(flag, "--"); ok && cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
					t.Errorf("%s: %s has no option %s", name, cmd.CommandPath(), flag)
				}
			}
		}
	}
	for _, root := range []string{"../../docs", "../../README.md", "../../CONTRIBUTING.md", "../../scripts", ".."} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains([]string{".md", ".sh", ".go"}, filepath.Ext(name)) && !strings.HasSuffix(name, "_test.go") {
				look(name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 40 {
		t.Errorf("only %d commands found", found)
	}
}
