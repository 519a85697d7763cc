package agent

import (
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
)

func options(file string) Options {
	return Options{Addr: "rollcall.example.org:443", Auth: "agt_1:secret", Config: file, Kinds: all.Kinds(), Lookup: func(string) (string, bool) { return "", false }, Log: slog.New(slog.DiscardHandler), Version: "1"}
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adc.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file as ad-connect's guide has it.
func TestAFileOfAdConnectWorksAsItIs(t *testing.T) {
	a, err := New(options("testdata/adc.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := a.work.now()
	if f.Kind != "ldap" || *f.Policy != (setting.Policy{DryRun: true, DeleteDisables: true, NoUpdateProviderMismatch: true}) {
		t.Errorf("%+v, %+v", f, f.Policy)
	}
	for name, want := range map[string]any{"bind_password": "readonly", "sync.page_size": 20, "authentication.timeout": 5 * time.Second, "authentication.username_filter_template": "(&(objectClass=inetOrgPerson)(mail=%s))"} {
		if f.Backend[name] != want {
			t.Errorf("%s is %v", name, f.Backend[name])
		}
	}
	h := a.work.hello()
	text, err := json.Marshal(h)
	if err != nil || h.Kind != "ldap" || h.Basis == "" || strings.Contains(string(text), "readonly") || strings.Contains(string(text), "example") {
		t.Errorf("the server is told %s, %v", text, err)
	}
	before := h.Basis
	raw, err := os.ReadFile("testdata/adc.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a, err = New(options(written(t, strings.Replace(string(raw), "inetOrgPerson)\n", "person)\n", 1))))
	if err != nil || a.work.hello().Basis == before {
		t.Errorf("another filter has the same fingerprint: %v", err)
	}
}

func TestWrongOptionsAndFilesAreToldAtTheStart(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Options)
	}{
		{"no address", "the address of the server is missing", func(o *Options) { o.Addr = "" }},
		{"a path in it", "is not host:port", func(o *Options) { o.Addr = "example.org/agent" }},
		{"no TLS", "for all to read", func(o *Options) { o.Addr = "http://rollcall.example.org:80" }},
		{"no secret", "needs its client ID and secret", func(o *Options) { o.Auth = "agt_1" }},
		{"a CA file that is none", "there is no certificate in it", func(o *Options) { o.CAFile = "testdata/adc.yaml" }},
		{"a file that is not there", "no such file", func(o *Options) { o.Config = "nowhere.yaml" }},
		{"an unknown key", `unknown key "mapping"`, func(o *Options) { o.Config = written(t, "mapping: {a: b}\n") }},
		{"a slip of the pen", `did you mean "dry-run"?`, func(o *Options) { o.Config = written(t, "settings: {dry_run: true}\n") }},
		{"a variable that is not set", "environment variable NOT_THERE is not set", func(o *Options) {
			o.Config = written(t, "backend: {ldap: {addr: ldap://a, bind_dn: x, bind_password: '${NOT_THERE}', base_dn: dc=x}}\n")
		}},
		{"a kind that is pushed to", "an agent cannot read a source scim", func(o *Options) { o.Config = written(t, "backend: {scim: {}}\n") }},
		{"an agent's agent", "an agent cannot read a source agent", func(o *Options) { o.Config = written(t, "backend: {agent: {}}\n") }},
	} {
		o := options("testdata/adc.yaml")
		c.change(&o)
		_, err := New(o)
		if fault.KindOf(err) != fault.Invalid || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret ") && strings.Contains(err.Error(), "agt_1:secret") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for addr, want := range map[string]string{"a.example:443": "wss://a.example:443/agent/v1/connect", "https://a.example": "wss://a.example/agent/v1/connect",
		"http://localhost:8080": "ws://localhost:8080/agent/v1/connect", "http://127.0.0.1:1": "ws://127.0.0.1:1/agent/v1/connect", "http://[::1]:1": "ws://[::1]:1/agent/v1/connect"} {
		if got, err := address(addr); got != want {
			t.Errorf("%s: %s, %v", addr, got, err)
		}
	}
}

// Whatever a server sends: files of this machine, kinds that are not read here, and
// settings beside those of a file are refused.
func TestTheAgentOpensNothingElse(t *testing.T) {
	sent := func(text string) map[string]json.RawMessage {
		m := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	with, err := New(options("testdata/adc.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	without, err := New(options(written(t, "")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		a    *Agent
		kind string
		sent map[string]json.RawMessage
		want fault.Kind
	}{
		{"settings for an agent with a file", with, "ldap", sent(`{"addr":["ldap://attacker.example"]}`), fault.Denied},
		{"a kind alone", with, "csv", nil, fault.Denied},
		{"settings without a kind", with, "", sent(`{"addr":["ldap://attacker.example"]}`), fault.Denied},
		{"a table on this machine", without, "csv", sent(`{"path":"/etc/passwd"}`), fault.Denied},
		{"a certificate on this machine", without, "ldap", sent(`{"tls.key_file":"/etc/ssl/private/key.pem"}`), fault.Denied},
		{"what is pushed to", without, "scim", nil, fault.Denied},
		{"a kind there is not", without, "shell", nil, fault.Denied},
		{"nothing", without, "", nil, fault.Invalid},
	} {
		if _, err := c.a.work.Open(c.kind, c.sent); err == nil || fault.KindOf(err) != c.want {
			t.Errorf("%s, opened: %v", c.name, err)
		}
		if _, _, err := c.a.work.Authenticator(c.kind, c.sent); err == nil || fault.KindOf(err) != c.want {
			t.Errorf("%s, asked for passwords: %v", c.name, err)
		}
	}
}

func TestAuthenticatorsStayOpenAndAreClosedOnce(t *testing.T) {
	a, err := New(options("testdata/adc.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	one, done, err := a.work.Authenticator("", nil)
	if err != nil {
		t.Fatal(err)
	}
	two, done2, err := a.work.Authenticator("", nil)
	if err != nil || one != two {
		t.Errorf("another one was opened: %v", err)
	}
	if err := a.work.load(); err != nil {
		t.Fatal(err)
	}
	three, done3, err := a.work.Authenticator("", nil)
	if err != nil || three == one {
		t.Errorf("one of the file before: %v", err)
	}
	done()
	done2()
	done3()
	a.work.close()
}

// A clock that is wrong is what makes a good certificate bad.
func TestACertificateThatIsOutOfDateNamesTheClock(t *testing.T) {
	front := httptest.NewUnstartedServer(http.NotFoundHandler())
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // it is told of handshakes that fail
	front.StartTLS()
	defer front.Close()
	pool := x509.NewCertPool()
	pool.AddCert(front.Certificate())
	o := options(written(t, ""))
	o.Addr = strings.TrimPrefix(front.URL, "https://")
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	a.client.Transport.(*http.Transport).TLSClientConfig.RootCAs = pool
	for clock, hint := range map[time.Time]string{time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC): "clock", time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC): "clock", time.Now(): "AD_CONNECT_ADDR"} {
		a.client.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return clock }
		if _, _, err := a.connect(t.Context()); fault.KindOf(err) != fault.Unavailable || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("in %d: %v (hint %q)", clock.Year(), err, fault.HintOf(err))
		}
	}
}
