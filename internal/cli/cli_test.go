package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
)

// The tests use the commands as people do: with a configuration file, real
// directories, and nothing but exit statuses and output to go by.

// transcript is all that any command of any test printed. No secret may stand
// in it, whatever went wrong.
var transcript struct {
	sync.Mutex
	bytes.Buffer
	secrets []string
}

// secret makes a text one that nobody may ever see again.
func secret(text string) string {
	transcript.Lock()
	defer transcript.Unlock()
	transcript.secrets = append(transcript.secrets, text)
	return text
}

func record(what string, printed ...string) {
	transcript.Lock()
	defer transcript.Unlock()
	fmt.Fprintf(&transcript, "$ %s\n%s\n", what, strings.Join(printed, "\n"))
}

func TestMain(m *testing.M) {
	status := m.Run()
	cleanUp()
	for _, s := range append(transcript.secrets, "$argon2id$") {
		if i := strings.Index(transcript.String(), s); i >= 0 {
			from := strings.LastIndex(transcript.String()[:i], "\n$ ") + 1
			fmt.Fprintf(os.Stderr, "FAIL: a secret was printed by:\n%.300s\n", transcript.String()[from:])
			status = 1
		}
	}
	os.Exit(status)
}

// house is an installation in a folder of its own.
type house struct {
	*testing.T
	dir   string
	env   map[string]string
	apart bool // commands are processes of their own, where the race detector would make many of them slow
}

func newHouse(t *testing.T, config string) *house {
	t.Helper()
	h := &house{T: t, dir: t.TempDir(), env: map[string]string{}}
	h.write("rollcall.yaml", config)
	databases.Put(t, h.path("rollcall.db"))
	return h
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }

func (h *house) write(name, text string) {
	h.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
}

func (h *house) lookup(name string) (string, bool) {
	v, ok := h.env[name]
	return v, ok
}

// result is what a command left behind.
type result struct {
	status   int
	out, err string
}

// try runs a command, whatever comes of it.
func (h *house) try(args ...string) result { return h.tryWith("", args...) }

func (h *house) tryWith(stdin string, args ...string) result {
	h.Helper()
	if h.apart {
		return h.start(args...).end()
	}
	var out, err bytes.Buffer
	all := append([]string{"--config", h.path("rollcall.yaml")}, args...)
	status := Run(h.Context(), all, IO{In: strings.NewReader(stdin), Out: &out, Err: &err, Env: h.lookup})
	record(h.Name()+": "+strings.Join(args, " "), out.String(), err.String())
	return result{status, out.String(), err.String()}
}

// run is try for a command whose exit status is known.
func (h *house) run(status int, args ...string) string {
	h.Helper()
	r := h.try(args...)
	if r.status != status {
		h.Fatalf("%s: exit status %d, want %d\n%s%s", strings.Join(args, " "), r.status, status, r.out, r.err)
	}
	return r.out
}

// refuses runs a command that must fail, and gives what it said.
func (h *house) refuses(status int, args ...string) string {
	h.Helper()
	r := h.try(args...)
	if r.status != status {
		h.Fatalf("%s: exit status %d, want %d\n%s%s", strings.Join(args, " "), r.status, status, r.out, r.err)
	}
	return r.err
}

// json runs a command with --output json and reads the answer.
func (h *house) json(status int, to any, args ...string) {
	h.Helper()
	text := h.run(status, append(args, "--output", "json")...)
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(to); err != nil {
		h.Fatalf("%s: the output is no JSON: %v\n%s", strings.Join(args, " "), err, text)
	}
	if d.More() {
		h.Fatalf("%s: more than one JSON document:\n%s", strings.Join(args, " "), text)
	}
}

// person is an account as the commands print it.
type person struct {
	ID, Organization, Connection, Username, Email, Status string
	ExternalID                                            string `json:"external_id"`
	FirstName                                             string `json:"first_name"`
	LastName                                              string `json:"last_name"`
	Title, Department, Language, Role, Manager            string
	MobilePhone                                           string `json:"mobile_phone"`
	Attributes                                            map[string]string
	Groups                                                []string
}

func (h *house) people(filter ...string) map[string]person {
	h.Helper()
	var list []person
	h.json(0, &list, append([]string{"accounts", "list"}, filter...)...)
	out := map[string]person{}
	for _, p := range list {
		out[p.Username] = p
	}
	if len(out) != len(list) {
		h.Errorf("%d accounts have %d usernames", len(list), len(out))
	}
	return out
}

// members gives the usernames in each group, by the group's name.
func (h *house) members() map[string][]string {
	h.Helper()
	names := map[string]string{}
	for name, p := range h.people() {
		names[p.ID] = name
	}
	var groups []struct{ ID, Name string }
	h.json(0, &groups, "groups", "list")
	out := map[string][]string{}
	for _, g := range groups {
		var one struct{ Members []string }
		h.json(0, &one, "groups", "show", g.ID)
		out[g.Name] = []string{}
		for _, id := range one.Members {
			out[g.Name] = append(out[g.Name], names[id])
		}
		slices.Sort(out[g.Name])
	}
	return out
}

// summary is the counts of plans and runs.
type summary struct {
	Create, Update, Link, Disable, Enable, Delete, Restore, Keep, Add, Remove, Refused, Problems, Disputes, Warnings, Failed int
	Groups                                                                                                                   struct{ Create, Update, Delete, Restore, Keep int }
	OutOfScope                                                                                                               int `json:"out_of_scope"`
	SeatsNeeded                                                                                                              int `json:"seats_needed"`
}

type planned_ struct {
	ID, Verdict string
	HeldBecause []string `json:"held_because"`
	Summary     summary
	Changes     []struct {
		Seq                       int
		Action, Target, Name, Why string
		Before, After             map[string]any
	}
	Notes []struct{ Kind, Name, Text string }
}

type ran struct {
	ID, State, Trigger string
	Plan, Error        *string
	Summary            summary
	Reading            *struct {
		Complete         bool
		Users, Groups    int
		Entries, Changed int
		Gone             int
		Reason           *string
		Notes            []string
		Full             bool
	}
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

func hasNot(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("%q stands in:\n%s", p, text)
		}
	}
}

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
