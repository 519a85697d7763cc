package internal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/mapping/formula"
	"rollcall.dev/rollcall/internal/rig/reference"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
)

func TestGeneratedDocsAreUpToDate(t *testing.T) {
	stale, err := reference.Update("..", all.Kinds(), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(stale) > 0 {
		t.Errorf("not up to date: %s; run `make docs`", strings.Join(stale, ", "))
	}
}

// pages gives every page of documentation by its path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	read := func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = string(text)
	}
	read("../README.md")
	read("../CONTRIBUTING.md")
	err := filepath.WalkDir("../docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".md") {
			read(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var links = regexp.MustCompile(`\]\(([^)#\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for name, text := range pages(t) {
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			}
		}
	}
}

var yamlBlocks = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// What the documentation shows as a whole configuration must be one; pieces of
// a connection are put into one.
func TestExamplesAreValid(t *testing.T) {
	set := func(name string) (string, bool) {
		if strings.HasSuffix(name, "_SECRET") {
			return "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", true
		}
		return "x", !strings.HasPrefix(name, "ROLLCALL_")
	}
	ofTheFile := regexp.MustCompile(`^(webhooks|notifications|retention|console):`)
	checked := 0
	for name, text := range pages(t) {
		for _, m := range yamlBlocks.FindAllStringSubmatch(text, -1) {
			example := m[1]
			if !strings.Contains(example, "connections:") && !ofTheFile.MatchString(example) {
				whole := "connections:\n- alias: example\n"
				if !strings.HasPrefix(example, "backend:") {
					whole += "  backend: {csv: {path: a.csv}}\n"
				}
				for line := range strings.Lines(example) {
					whole += "  " + line
				}
				example = whole
			}
			checked++
			if _, err := config.Parse("example.yaml", []byte(example), all.Kinds(), set); err != nil {
				t.Errorf("%s: %v\n%s", name, err, example)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d examples found", checked)
	}
}

var (
	functionRow  = regexp.MustCompile("(?m)^\\| (`.*?) \\| .* \\|$")
	functionName = regexp.MustCompile("`([a-zA-Z]+)[`(]")
)

// The page on mapping names every function there is, and none that is not; its
// examples are expressions.
func TestFunctionsAreDocumented(t *testing.T) {
	text := pages(t)["../docs/mapping.md"]
	_, table, ok := strings.Cut(text, "| function | gives |")
	if !ok {
		t.Fatal("docs/mapping.md has no table of functions")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var named []string
	for _, row := range functionRow.FindAllStringSubmatch(table, -1) {
		for _, m := range functionName.FindAllStringSubmatch(row[1], -1) {
			named = append(named, m[1])
		}
	}
	slices.Sort(named)
	named = slices.Compact(named)
	if want := formula.FunctionNames(); !slices.Equal(named, want) {
		t.Errorf("documented are\n%v\nthere are\n%v", named, want)
	}
	_, after, _ := strings.Cut(text, "## Expressions\n\n```\n")
	examples, _, _ := strings.Cut(after, "```")
	tried := 0
	for line := range strings.Lines(examples) {
		tried++
		rules := map[string]setting.Rule{"username": {Attribute: "uid"}, "email": {Attribute: "mail"}, "first_name": {Attribute: "givenName"}, "last_name": {Attribute: "sn"},
			"title": {Expr: strings.TrimSpace(line)}}
		if _, err := mapping.Compile(rules, mapping.Options{}); err != nil {
			t.Errorf("%s: %v", strings.TrimSpace(line), err)
		}
	}
	if tried < 3 {
		t.Errorf("only %d examples of expressions found", tried)
	}
}
