// Package internal_test holds the rules of the house: who may import whom, and
// what every package and file owes its reader. The rules read the sources
// themselves, so that Go's test cache notices when one changes.
package internal_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "rollcall.dev/rollcall/"

// floors from the ground up. Data flows downstream and imports point upstream:
// a package imports what stands on lower floors. "source/*" stands for every
// folder below source that no other line names. Rooms of one floor do not know
// one another, but for the words.
var floors = [][]string{
	{"internal/directory", "internal/account", "internal/event", "internal/setting", "internal/fault", "internal/seal"},
	{"client"},             // what programs see of us; it knows nothing of how we do it
	{"internal/simulator"}, // a directory to rehearse with; it knows nothing of us
	{"internal/scim"},      // the protocol knows nothing of us
	{"internal/rates"},     // how often somebody may ask
	{"internal/telemetry"}, // logs, metrics and traces know nothing of what they tell of
	{"internal/source"},
	{"internal/source/rest"}, // calls vendors' APIs for the kinds that are read from one
	{"internal/source/*", "internal/config", "internal/simulator"},
	{"internal/source/all"},
	{"internal/tunnel"}, // sources that are read by an agent
	{"internal/engine/mirror"},
	{"internal/engine/mapping"},
	{"internal/engine/scope"},
	{"internal/engine/match"},
	{"internal/engine/plan"},
	{"internal/engine/safeguard"},
	{"internal/engine/apply"},
	{"internal/engine"},
	{"internal/store"},
	{"internal/source/sourcetest"}, // what kinds of directories have to pass, through the real engine and store
	{"internal/registry"},
	{"internal/jobs"},
	{"internal/operate", "internal/signin"},
	{"internal/deliver", "internal/endpoint/*", "internal/agent"},
	{"internal/app"},
	{"internal/cli"},
	{"cmd/rollcall"},
}

// words may use one another; Go itself forbids circles.
const words = 0

// rigs start real servers. Nothing that is shipped needs them, but for the
// demonstration.
const (
	rigs = "internal/rig"
	demo = "internal/cli/demo.go"
)

// roomOf finds the floor and the room a package belongs to: a folder below a
// room is part of it.
func roomOf(pkg string) (floor int, room string) {
	floor = -1
	for i, rooms := range floors {
		for _, r := range rooms {
			name := r
			if parent, star := strings.CutSuffix(r, "/*"); star {
				below, ok := strings.CutPrefix(pkg, parent+"/")
				if !ok {
					continue
				}
				first, _, _ := strings.Cut(below, "/")
				name = parent + "/" + first
			}
			if pkg != name && !strings.HasPrefix(pkg, name+"/") {
				continue
			}
			// The longest name wins; a room of its own wins over a star.
			if len(name) > len(room) || len(name) == len(room) && r == name {
				floor, room = i, name
			}
		}
	}
	return floor, room
}

type source struct {
	path  string // from the module's root, with slashes
	pkg   string
	test  bool
	file  *ast.File
	lines int
	skips bool // calls a test's Skip
}

var skip = regexp.MustCompile(`\b[tbf]\.Skip(f|Now)?\(`)

// sources parses every Go file of internal, cmd and bench.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, root := range []string{"../internal", "../cmd", "../bench", "../client"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
			if err != nil {
				return err
			}
			clean := strings.TrimPrefix(filepath.ToSlash(name), "../")
			all = append(all, source{
				path: clean, pkg: path.Dir(clean), test: strings.HasSuffix(clean, "_test.go"),
				file: file, lines: bytes.Count(text, []byte("\n")),
				skips: skip.Match(text),
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestImportsPointUpstream(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue // a test may bring in whatever it checks against
		}
		isRig := s.pkg == rigs || strings.HasPrefix(s.pkg, rigs+"/") || strings.HasPrefix(s.pkg, "bench")
		floor, room := roomOf(s.pkg)
		if floor < 0 && !isRig && s.pkg != "internal" {
			t.Errorf("%s: the package stands on no floor; give it one in floors", s.path)
			continue
		}
		for _, imp := range s.file.Imports {
			full, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			to, ours := strings.CutPrefix(full, module)
			if !ours {
				continue
			}
			if strings.HasPrefix(to, rigs+"/") {
				if !isRig && s.path != demo {
					t.Errorf("%s imports %s: rigs are for tests, bench and the demonstration", s.path, to)
				}
				continue
			}
			if isRig {
				continue
			}
			toFloor, toRoom := roomOf(to)
			switch {
			case toRoom == room:
			case toFloor < 0:
				t.Errorf("%s imports %s, which stands on no floor", s.path, to)
			case toFloor > floor:
				t.Errorf("%s imports %s: this points up, from %s to %s", s.path, to, room, toRoom)
			case toFloor == floor && floor != words:
				t.Errorf("%s imports %s: %s and %s stand on one floor and do not know one another", s.path, to, room, toRoom)
			}
		}
	}
}

func TestEveryPackageSaysWhatItHandsOn(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if _, ok := said[s.pkg]; !ok {
			said[s.pkg] = false
		}
		doc := s.file.Doc.Text()
		if strings.HasPrefix(doc, "Package "+s.file.Name.Name+" ") || s.file.Name.Name == "main" && strings.HasPrefix(doc, "Command ") {
			if said[s.pkg] {
				t.Errorf("%s: the package has two package comments", s.path)
			}
			said[s.pkg] = true
		}
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf(`%s: no file begins with "// Package %s ..." (or "// Command ..." for a program)`, pkg, path.Base(pkg))
		}
	}
}

func TestFilesHoldOneThought(t *testing.T) {
	const most = 600
	for _, s := range sources(t) {
		if s.lines > most && !s.test {
			t.Errorf("%s has %d lines, and %d at most are read in one go: what is its second thought?", s.path, s.lines, most)
		}
	}
}

// A test that needs a server fails without it: what was not tested must not
// look as if it had been. A fuzz target returns where an input says nothing.
func TestNoTestSkips(t *testing.T) {
	for _, s := range sources(t) {
		if s.test && s.skips {
			t.Errorf("%s skips a test", s.path)
		}
	}
}

// The rules themselves, on names that need not exist.
func TestRoomOf(t *testing.T) {
	for name, want := range map[string]string{
		"internal/source":            "internal/source",
		"internal/source/ldap":       "internal/source/ldap",
		"internal/source/ldap/frame": "internal/source/ldap",
		"internal/source/all":        "internal/source/all",
		"internal/engine/plan/x":     "internal/engine/plan",
		"internal/engine":            "internal/engine",
		"internal/store/db":          "internal/store",
		"internal/elsewhere":         "",
	} {
		if _, room := roomOf(name); room != want {
			t.Errorf("%s belongs to %q, want %q", name, room, want)
		}
	}
	below, _ := roomOf("internal/engine/scope")
	above, _ := roomOf("internal/engine/apply")
	if !slices.IsSorted([]int{words, below, above}) {
		t.Error("the stages are out of order")
	}
}
