//go:build unix

package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/proxy"
)

// office is a server as a process, and what an agent of its connection hq is started with.
type office struct {
	*served
	id string
}

const officeConfiguration = `
listen: 127.0.0.1:0
organizations: [{id: zuiderhof}]
connections:
  - {alias: hq, organization: zuiderhof, backend: {agent: {}}}
`

func newOffice(t *testing.T) *office {
	t.Helper()
	h := newHouse(t, officeConfiguration)
	o := &office{served: h.serve(regexp.MustCompile(`rk_\w+`).FindString(h.run(0, "apikeys", "create", "--scope", "operator")))}
	auth := strings.Fields(h.run(0, "agents", "create", "office", "--connection", "hq"))[0]
	var own string
	o.id, own, _ = strings.Cut(auth, ":")
	// From here on it is a secret: `agents create` was the one that may print it.
	transcript.Lock()
	printed := strings.ReplaceAll(transcript.String(), own, "(shown once)")
	transcript.Reset()
	transcript.WriteString(printed)
	transcript.Unlock()
	secret(own)
	h.env["AD_CONNECT_ADDR"], h.env["AD_CONNECT_AUTH"], h.env["AD_CONNECT_CONFIG"] = o.url, auth, h.path("adc.yaml")
	return o
}

// file writes the agent's file for a directory that is reached at an address.
func (o *office) file(s *openldap.Server, url, settings string) {
	o.Helper()
	o.write("adc.yaml", fmt.Sprintf(`settings: {%s}
backend:
  ldap:
    addr: %s
    bind_dn: %s
    bind_password: %s
    base_dn: %s
    tls: {ca_file: %s, start_tls: true}
    sync: {page_size: 5}
    groups: {base_dn: "ou=Groepen,%s"}
`, settings, url, s.ReaderDN, s.ReaderPassword, suffix, s.CAFile, suffix))
}

// until looks at a path of the API until all words stand there.
func (o *office) until(path string, words ...string) {
	o.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	status, body := 0, ""
	for range 6000 {
		status, body = o.get(path)
		there := status == http.StatusOK
		for _, w := range words {
			there = there && strings.Contains(body, w)
		}
		if there {
			return
		}
		<-tick.C
	}
	o.Fatalf("%s: %d %s\nnever says %q\n%s", path, status, body, words, o.log)
}

func (o *office) connected(yes bool) {
	o.Helper()
	o.until("/api/v1/agents/"+o.id, `"health":"`+map[bool]string{true: "ok", false: "away"}[yes]+`"`)
}

// sync asks for a run of everything, and gives the path where it is seen.
func (o *office) sync() string {
	o.Helper()
	status, answer := o.send(http.MethodPost, "/api/v1/connections/hq/sync", `{"full": true}`)
	var run struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &run); err != nil || status != http.StatusAccepted {
		o.Fatalf("%d %s", status, answer)
	}
	return "/api/v1/runs/" + run.ID
}

func (o *office) active(want int) {
	o.Helper()
	if n := len(o.people("--status", "active")); n != want {
		o.Errorf("%d active accounts, want %d", n, want)
	}
}

// A directory that stops in the middle of its answer, for as long as it is held up.
type heldUp struct {
	p       *proxy.Proxy
	stalled chan struct{}
	goOn    func()
}

func holdUp(t *testing.T, p *proxy.Proxy) *heldUp {
	t.Helper()
	until := make(chan struct{})
	h := &heldUp{p: p, stalled: make(chan struct{}), goOn: sync.OnceFunc(func() { close(until); p.SetPlan(nil) })}
	t.Cleanup(h.goOn)
	struck := sync.OnceFunc(func() { close(h.stalled) })
	p.SetPlan(func(int) proxy.Plan {
		return proxy.Plan{Fault: proxy.Stall, Direction: proxy.ToClient, At: 9000, Until: until, Struck: struck}
	})
	return h
}

// The agent as a service manager has it: told to read its file anew, to stop in the
// middle of a reading, and killed in the middle of one.
func TestAnAgentAsAProcess(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	line, err := proxy.Start(strings.TrimPrefix(s.URL, "ldap://"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	o := newOffice(t)
	o.file(s, "ldap://"+line.Addr, "no-delete: true")
	run := func() *process {
		t.Helper()
		p := o.start("agent", "run")
		o.connected(true)
		return p
	}

	p := run()
	o.until("/api/v1/agents/"+o.id, `"no-delete":true`)
	o.file(s, "ldap://"+line.Addr, "no-update: true")
	p.signal(syscall.SIGHUP)
	o.until("/api/v1/agents/"+o.id, `"no-delete":false`, `"no-update":true`)
	o.until("/api/v1/connections/hq/policy", `"no-update":true`)
	o.write("adc.yaml", "settings: {no-such: true}\n")
	p.signal(syscall.SIGHUP)
	p.err.wait(t, "what stood in it before stays in force")
	o.file(s, "ldap://"+line.Addr, "")
	p.signal(syscall.SIGHUP)
	o.until("/api/v1/agents/"+o.id, `"no-update":false`)

	// systemd sends a second SIGTERM after an ExecStop that sent the first.
	held := holdUp(t, line)
	reading := o.sync()
	waitFor(t, "the middle of the reading", held.stalled)
	p.signal(syscall.SIGTERM)
	p.err.wait(t, "stopping; what goes on may end")
	p.signal(syscall.SIGTERM)
	o.until(reading, `"state":"running"`)
	held.goOn()
	if r := p.end(); r.status != 0 {
		t.Errorf("it ends with %d\n%s", r.status, r.err)
	}
	o.until(reading, `"state":"applied"`)
	o.active(34)
	o.connected(false)

	// Nobody is there to read the directory, and everybody stays.
	o.until(o.sync(), `"state":"failed"`, "no agent of connection hq is connected")

	p = run()
	change(t, s, "dn: uid=wvandijk,ou=Directie,"+suffix+"\nchangetype: delete\n")
	held = holdUp(t, line)
	reading = o.sync()
	waitFor(t, "the middle of the reading", held.stalled)
	p.signal(syscall.SIGKILL)
	if r := p.end(); r.status != -1 {
		t.Errorf("it ends with %d", r.status)
	}
	o.until(reading, `"state":"failed"`, "the agent went in the middle of the work")
	o.active(34)
	held.goOn()
	p = run()
	o.until(o.sync(), `"state":"applied"`, `"disable":1`)
	o.active(33)
	p.signal(os.Interrupt)
	if r := p.end(); r.status != 0 {
		t.Errorf("Ctrl-C ends it with %d\n%s", r.status, r.err)
	}
	o.ends()
}

// `imp` under both names, and `adc` alone, which stays.
func TestOneImportAsAProcess(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	o := newOffice(t)
	adc := o.path("adc")
	if err := os.Symlink(binary(t), adc); err != nil {
		t.Fatal(err)
	}
	imp := func(p *process, status int, words ...string) string {
		t.Helper()
		r := p.end()
		if r.status != status {
			t.Fatalf("%v: exit status %d, want %d\n%s%s", p.cmd.Args, r.status, status, r.out, r.err)
		}
		has(t, r.out+r.err, words...)
		return r.out
	}
	o.file(s, s.URL, "dry-run: true")
	imp(o.start("agent", "imp"), 3, "dry-run", "is held")
	imp(o.exec(adc, "imp"), 3, "dry-run", "is held")
	o.active(0)
	o.file(s, s.URL, "")
	imp(o.exec(adc, "imp"), 0, "35 created")
	o.active(34)
	var run ran
	if err := json.Unmarshal([]byte(imp(o.start("agent", "imp", "--output", "json"), 0)), &run); err != nil || run.State != "applied" || run.Trigger != "agent" {
		t.Errorf("%+v, %v", run, err)
	}
	o.file(s, "ldap://127.0.0.1:1", "")
	imp(o.exec(adc, "imp"), 1, "failed", "nothing listens there", "hint: ")
	o.file(s, s.URL, "")
	imp(o.exec(adc, "imp", "now"), 2)
	auth := o.env["AD_CONNECT_AUTH"]
	o.write("auth", auth+"\n")
	o.env["AD_CONNECT_AUTH"] = "@" + o.path("auth")
	imp(o.exec(adc, "imp"), 0)
	p := o.exec(adc)
	o.connected(true)
	imp(o.start("agent", "imp"), 0) // beside one that runs
	// What works on the database alone has no agents, and says what to do.
	has(t, o.refuses(1, "sync", "hq"), "no agent of connection hq is connected", "--server URL --api-key KEY")
	o.run(0, "sync", "hq", "--server", o.url, "--api-key", o.key)
	p.signal(syscall.SIGTERM)
	imp(p, 0, "stopping")
	o.env["AD_CONNECT_AUTH"] = o.id + ":" + secret("rcg_another")
	imp(o.exec(adc, "imp"), 1, "refuses the client ID or the secret", "hint:")
	o.env["AD_CONNECT_AUTH"] = auth
	// Ctrl-C in the middle: the run has nobody to read through any more.
	line, err := proxy.Start(strings.TrimPrefix(s.URL, "ldap://"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	o.file(s, "ldap://"+line.Addr, "")
	held := holdUp(t, line)
	p = o.start("agent", "imp", "--full")
	waitFor(t, "the middle of the reading", held.stalled)
	p.signal(os.Interrupt)
	imp(p, 1, "interrupted")
	o.until("/api/v1/runs?limit=1", `"state":"failed"`)
	o.active(34)
	delete(o.env, "AD_CONNECT_AUTH")
	imp(o.exec(adc), 1, "the agent needs its client ID and secret")
	delete(o.env, "AD_CONNECT_ADDR")
	imp(o.exec(adc), 1, "the address of the server is missing")
	o.ends()
}

// The file of an ad-connect installation, with nothing changed but where the directory
// is: read, imported and asked for passwords under the old name.
func TestAnAdConnectInstallationGoesOnAsItIs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("dn: dc=example,dc=local\nobjectClass: dcObject\nobjectClass: organization\no: rig\ndc: example\n\n" +
		"dn: cn=readonly,dc=example,dc=local\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: readonly\nuserPassword: readonly\n\n" +
		"dn: ou=people,dc=example,dc=local\nobjectClass: organizationalUnit\nou: people\n\n")
	for i := range 45 { // three pages
		fmt.Fprintf(&b, "dn: uid=u%[1]d,ou=people,dc=example,dc=local\nobjectClass: inetOrgPerson\nuid: u%[1]d\ncn: User %[1]d\nsn: Number%[1]d\ngivenName: User\nmail: u%[1]d@example.local\nuserPassword: %[2]s\n\n", i, secret("a password of people"))
	}
	o := newOffice(t)
	o.write("people.ldif", b.String())
	s, err := openldap.Start(t.Context(), openldap.Options{Suffix: "dc=example,dc=local", LDIF: o.path("people.ldif")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	raw, err := os.ReadFile("../agent/testdata/adc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := strings.Replace(string(raw), "ldap://directory.example.local", s.URL, 1)
	o.write("adc.yaml", file)
	adc := o.path("adc")
	if err := os.Symlink(binary(t), adc); err != nil {
		t.Fatal(err)
	}
	p := o.exec(adc)
	o.connected(true)
	o.until("/api/v1/agents/"+o.id, `"kind":"ldap"`, `"dry-run":true`, `"delete-disables":true`, `"no-update-provider-mismatch":true`, `"no-delete":false`)
	if r := o.exec(adc, "imp").end(); r.status != 3 {
		t.Fatalf("its settings allow dry runs alone: %d\n%s%s", r.status, r.out, r.err)
	} else {
		has(t, r.out, "45 create", "dry-run is on")
	}
	o.active(0)
	// Its owner lets it write.
	o.write("adc.yaml", strings.Replace(file, "dry-run: true", "dry-run: false", 1))
	p.signal(syscall.SIGHUP)
	o.until("/api/v1/agents/"+o.id, `"dry-run":false`)
	if r := o.exec(adc, "imp").end(); r.status != 0 {
		t.Fatalf("%d\n%s%s", r.status, r.out, r.err)
	}
	o.active(45)
	for password, want := range map[string]int{"a password of people": http.StatusOK, "another": http.StatusUnauthorized} {
		if status, answer := o.send(http.MethodPost, "/api/v1/authenticate", fmt.Sprintf(`{"connection": "hq", "login": "u7@example.local", "password": %q}`, password)); status != want {
			t.Errorf("%q: %d %s", password, status, answer)
		}
	}
	change(t, s, "dn: uid=u7,ou=people,dc=example,dc=local\nchangetype: delete\n")
	if r := o.exec(adc, "imp").end(); r.status != 0 {
		t.Errorf("%d\n%s%s", r.status, r.out, r.err)
	}
	o.active(44)
	p.signal(syscall.SIGTERM)
	if r := p.end(); r.status != 0 {
		t.Errorf("it ends with %d\n%s", r.status, r.err)
	}
	o.ends()
}
