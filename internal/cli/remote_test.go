package cli

import (
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/store/keys"
)

const twoWays = `
listen: 127.0.0.1:0
organizations: [{id: sun, name: Sun, licence_limit: 50}]
connections:
  - {alias: hq, organization: sun, backend: {csv: {path: people.csv, key: username}}, mapping: {department: department, title: title}}
  - {alias: dry, organization: sun, settings: {dry-run: true}, backend: {csv: {path: dry.csv}}}
`

// behind is a house with a server on its database, and a key of it in the
// environment of commands that name the server.
func behind(t *testing.T) (h *house, server string) {
	t.Helper()
	h = newHouse(t, twoWays)
	a, err := app.Open(t.Context(), h.path("rollcall.yaml"), h.lookup)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := a.Store.KeyTable.Create(t.Context(), keys.Scope{}, "tests", time.Time{}, "tester")
	if err != nil {
		t.Fatal(err)
	}
	h.env["ROLLCALL_API_KEY"] = secret(key)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- a.Serve(ctx, "test", io.Discard, make(chan os.Signal), h.lookup, func(address string) { ready <- address })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	select {
	case address := <-ready:
		return h, "http://" + address
	case err := <-ended:
		ended <- err
		t.Fatal(err)
		return nil, ""
	}
}

func (h *house) directory(lines ...string) {
	h.Helper()
	h.write("people.csv", "username,email,first_name,last_name,password,department,title\n"+strings.Join(lines, "\n")+"\n")
}

// moving is what differs between two runs of the same thing: IDs, times, who.
var moving = regexp.MustCompile(`\b[pr]1[0-9a-z]{14}\b|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?Z?)?|operator:\w+|apikey:rk_\w{8}| *\d+\.\d s| *\d+ ms|"(hash|seq|took_ms)": ?"?[0-9a-f]+"?|process \d+ on \S+|[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f-]{21}`)

func still(r result) string {
	return moving.ReplaceAllString(r.out, "~") + "\n---\n" + moving.ReplaceAllString(lastLines(r.err), "~")
}

// lastLines leaves progress out, which is as quick as the machine.
func lastLines(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "rollcall:") || strings.HasPrefix(line, "  hint:") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// The same commands, once on the database and once through a server that has its
// own, print the same and end the same.
func TestCommandsSayTheSameThroughAServer(t *testing.T) {
	script := []string{
		"organizations list", "organizations list -o json", "organizations create moon --name Moon --licence-limit 3", "organizations create moon", "organizations delete moon",
		"connections list", "connections list -o json", "connections export", "connections export hq", "connections reset hq", "connections reset nothing",
		"check hq", "check nowhere",
		"plan hq", "plan hq -o json", "plan hqq", "plan hq --output xml",
		"sync hq", "sync hq --full", "sync dry", "runs list", "runs list -o json", "runs list hq --limit 1", "runs list nothing", "runs show last", "runs show last -o json", "runs show rnothing",
		"plans list", "plans list hq -o json", "plans show last", "plans show pnothing",
		"accounts list", "accounts list -o json", "accounts list --status disabled", "accounts list --search an --limit 1", "accounts list --organization nothing", "accounts list --connection nothing",
		"accounts show anna", "accounts show anna -o json", "accounts show nobody", "accounts export", "accounts export --format json",
		"accounts create --username max --email max@example.org --first-name Max --last-name Local --attribute badge=7", "accounts create --username max --email m@example.org --first-name Max --last-name Local",
		"accounts create --username bad", "accounts import import.csv", "accounts import wrong.csv",
		"groups list", "groups list -o json", "groups show nothing", "why hq anna", "why hq anna -o json", "why hq stranger",
		"change", "plan hq", "plans approve last --exclude 1", "plans approve last", "plan hq", "plans reject last", "plans reject last", "plans approve last --exclude x",
		"few", "sync hq", "plans show last", "plans reject last",
		"change", "sync hq", "runs revert last --plan", "runs revert last", "runs revert last",
		"connections apply new.yaml", "connections list", "connections delete new", "connections delete hq",
		"events tail --limit 5", "events tail --after 3 --limit 4", "events tail --limit 3 -o json",
	}
	ways := map[bool][]string{}
	for _, through := range []bool{false, true} {
		h, server := behind(t)
		names := "anna,anna@example.org,Anna,Ant,x,Sales,\nbob,bob@example.org,Bob,Bee,x,Sales,Boss\ncarl,carl@example.org,Carl,Cat,x,,\n"
		for _, more := range "defghijklmno" {
			names += strings.ReplaceAll("N0,N0@example.org,N0,Last,x,,\n", "N0", "person-"+string(more))
		}
		h.directory(strings.TrimSpace(names))
		h.write("dry.csv", "username,email,first_name,last_name,password\ndry,dry@example.org,Dry,Run,x\n")
		h.write("import.csv", "username,email,first_name,last_name,attributes.badge\nione,ione@example.org,Ione,Imp,9\n")
		h.write("wrong.csv", "username,email,first_name,last_name\nok,ok@example.org,O,K\nbad,,B,D\n")
		h.write("new.yaml", "organizations: [{id: sun, name: Sun, licence_limit: 50}]\nconnections: [{alias: new, organization: sun, backend: {csv: {upload: true}}}]\n")
		for _, line := range script {
			switch line {
			case "change":
				h.directory(strings.Replace(strings.TrimSpace(names), "Bob,Bee", "Robert,Bee", 1), "zoe,zoe@example.org,Zoe,Zebra,x,,")
				continue
			case "few":
				h.directory("anna,anna@example.org,Anna,Ant,x,Sales,")
				continue
			}
			words := strings.Fields(line)
			for i := range words {
				if strings.HasSuffix(words[i], ".csv") || strings.HasSuffix(words[i], ".yaml") {
					words[i] = h.path(words[i])
				}
			}
			if through {
				words = append(words, "--server", server)
			}
			r := h.try(words...)
			ways[through] = append(ways[through], "$ "+line+"\n"+strings.ReplaceAll(still(r), h.dir, "DIR")+"exit "+string(rune('0'+r.status)))
		}
	}
	for i := range ways[false] {
		if a, b := ways[false][i], ways[true][i]; a != b {
			command, _, _ := strings.Cut(a, "\n")
			was, is := strings.Split(a, "\n"), strings.Split(b, "\n")
			from := 0
			for from < min(len(was), len(is)) && was[from] == is[from] {
				from++
			}
			t.Errorf("%s: from line %d on\non the database:\n%s\nthrough the server:\n%s", command, from, part(was, from), part(is, from))
		}
	}
}

func TestTheKeyOfAServerIsAskedForAndKept(t *testing.T) {
	h, server := behind(t)
	key := h.env["ROLLCALL_API_KEY"]
	h.write("key", key+"\n")
	delete(h.env, "ROLLCALL_API_KEY")
	has(t, h.refuses(2, "organizations", "list", "--server", server), "ROLLCALL_API_KEY")
	has(t, h.run(0, "organizations", "list", "--server", server, "--api-key", "@"+h.path("key")), "Sun")
	has(t, h.refuses(1, "organizations", "list", "--server", server, "--api-key", "@"+h.path("none")), "--api-key")
	has(t, h.refuses(1, "organizations", "list", "--server", server, "--api-key", "rk_wrong"), "not valid", "apikeys list")
	has(t, h.refuses(2, "organizations", "list", "--server", "http://rollcall.example.org", "--api-key", "rk_x"), "in the clear")
	has(t, h.refuses(2, "backup", h.path("x"), "--server", server), "database itself")
	h.env["ROLLCALL_SERVER"], h.env["ROLLCALL_API_KEY"] = server, key
	has(t, h.run(0, "organizations", "list"), "Sun")
}

// part is what there is to see of a long output.
func part(lines []string, from int) string {
	return strings.Join(lines[min(from, len(lines)):min(from+8, len(lines))], "\n")
}
