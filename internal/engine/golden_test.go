package engine_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/storetest"
)

var update = flag.Bool("update", false, "write the plans that came out into testdata/plans")

// Each file of testdata/plans shows one behaviour:
//
//	What it shows, in a sentence or two.
//	-- always --     settings of the connection, one a line
//	-- local --      accounts no connection keeps: username and address
//	-- before --     records of a run that was applied before
//	-- rules --      settings that changed since
//	-- records --    records of the reading that is planned
//	-- plan --       what comes of it: verdict, rows, notes
//
// A record is "user KEY name=value ..." or "group KEY member ...", as
// storetest.Person and storetest.Group take them; a value with spaces stands in
// double quotes. Sections but the last two may be missing.
func TestGoldenPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, wanted, ok := strings.Cut(string(text), "-- plan --\n")
			if !ok {
				t.Fatal("there is no section plan")
			}
			got := golden(t, head)
			if got == wanted {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(head+"-- plan --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("the plan is\n%s\nand should be (go test ./internal/engine -update writes it)\n%s", got, wanted)
		})
	}
}

// golden plans what a file says.
func golden(t *testing.T, text string) string {
	t.Helper()
	w := storetest.Open(t, databases.SQLite(t))
	c := w.Connect("hq")
	sections := sectionsOf(text)
	for _, l := range sections["local"] {
		words := strings.Fields(l)
		a := account.Account{Text: account.Text{account.Username: words[0], account.Email: words[1], account.FirstName: "Local", account.LastName: "Example", account.Role: "admin"}}
		if err := w.Store.LedgerTable.CreateLocal(t.Context(), "org", "golden", []ledger.Local{{Account: a}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range sections["always"] {
		rule(t, w, c, l)
	}
	if len(sections["before"]) > 0 {
		w.Holds("hq", records(t, sections["before"])...)
		w.Applied("hq")
	}
	for _, l := range sections["rules"] {
		rule(t, w, c, l)
	}
	w.Holds("hq", records(t, sections["records"])...)
	return told(w, w.Plan("hq"))
}

func sectionsOf(text string) map[string][]string {
	out := map[string][]string{}
	name := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if n, ok := strings.CutPrefix(l, "-- "); ok {
			name = strings.TrimSuffix(n, " --")
		} else if l != "" && name != "" {
			out[name] = append(out[name], l)
		}
	}
	return out
}

func records(t *testing.T, lines []string) []directory.Record {
	t.Helper()
	var out []directory.Record
	for _, l := range lines {
		switch words := split(l); {
		case len(words) > 1 && words[0] == "user":
			out = append(out, storetest.Person(words[1], words[2:]...))
		case len(words) > 1 && words[0] == "group":
			out = append(out, storetest.Group(words[1], words[2:]...))
		default:
			t.Fatalf("%q is no record", l)
		}
	}
	return out
}

// split cuts a line at spaces that are not between double quotes.
func split(line string) []string {
	quoted := false
	words := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], `"`, "")
	}
	return words
}

// rule sets what a line of the rules says.
func rule(t *testing.T, w *storetest.World, c *setting.Connection, line string) {
	t.Helper()
	name, value, _ := strings.Cut(line, " ")
	switches := map[string]*bool{
		"no-create": &c.Policy.NoCreate, "no-update": &c.Policy.NoUpdate, "no-delete": &c.Policy.NoDelete, "create-as-disabled": &c.Policy.CreateAsDisabled,
		"delete-disables": &c.Policy.DeleteDisables, "no-update-provider-mismatch": &c.Policy.NoUpdateProviderMismatch,
	}
	switch on := switches[name]; {
	case on != nil:
		*on = value == "true"
	case name == "match":
		c.Match = strings.Fields(value)
	case name == "scope":
		c.Scope = append(c.Scope, value)
	case name == "map":
		field, expr, _ := strings.Cut(value, " ")
		c.Mapping[field] = setting.Rule{Expr: expr}
	case name == "licence":
		limit := 0
		if _, err := fmt.Sscan(value, &limit); err != nil {
			t.Fatal(err)
		}
		w.Declare(setting.Organization{ID: "org", Name: "Organization", LicenceLimit: limit})
	case name == "incomplete":
		w.Dirs.Of("hq").Missing = value
	default:
		t.Fatalf("%q is no rule", line)
	}
}

func told(w *storetest.World, p *engine.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "verdict %s\n", p.Verdict)
	for _, because := range p.HeldBecause {
		fmt.Fprintf(&b, "held because %s\n", because)
	}
	for _, row := range w.Rows(p) {
		fmt.Fprintln(&b, row)
	}
	for _, note := range w.Notes(p) {
		fmt.Fprintf(&b, "note %s\n", note)
	}
	return b.String()
}
