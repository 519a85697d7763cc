package browser_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/browser"
	"rollcall.dev/rollcall/internal/rig/company"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/store/accounts"
)

var (
	pictures = flag.String("pictures", "", "keep pictures of every page in this folder")
	only     = flag.String("only", "", "run the flows whose name holds this")
	keep     = flag.Bool("keep", false, "go on serving after the flows, until interrupted")
)

// installation is a server with a company of ten thousand people, as a user has it.
func installation(t *testing.T) (base, link, person string, c *company.Company) {
	t.Helper()
	c, err := company.Start(people.Options{People: 10_000, Groups: 60, LargestGroup: 400, Broken: 40})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, listen := t.TempDir(), free(t)
	base = strings.Replace("http://"+listen, "127.0.0.1", "localhost", 1) // a name: passkeys are bound to one
	path := filepath.Join(dir, "rollcall.yaml")
	text := fmt.Sprintf(`listen: %[1]s
public_url: %[6]s
log: {level: error}
webhooks: {allow_private: true}
organizations: [{id: sample, name: Sample Company, licence_limit: 12000}, {id: other, name: Another One}, {id: wide, name: Wide Company}]
connections:
  - alias: demo
    organization: sample
    schedule: every 6h
    role: employee
    region: BE
    backend: {ldap: {addr: %[2]s, bind_dn: "%[3]s", bind_password: "%[4]s", base_dn: "%[5]s", groups: {base_dn: "ou=groups,%[5]s"}}}
    mapping: {department: {expr: 'first(departmentNumber)'}}
  - {alias: gone, organization: wide, backend: {ldap: {addr: "ldap://127.0.0.1:1", bind_dn: cn=x, bind_password: x, base_dn: dc=wide}}}
`, listen, c.URL, c.BindDN, c.Password, c.Suffix, base)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(t.Context(), path, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Registry.Connection(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Engine.Sync(t.Context(), conn, engine.Options{Actor: "operator:test", Trigger: "manual"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Store.AccountTable.List(t.Context(), accounts.Filter{Connection: "demo", Status: account.Active}, func(one *account.Account) error {
		person = one.Text[account.Username]
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	locals(t, a)
	wide(t, a)
	token, err := a.Store.AdminTable.FirstLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served, ready := make(chan error, 1), make(chan string, 1)
	logs := &bytes.Buffer{}
	go func() {
		served <- a.Serve(ctx, "test", logs, nil, os.LookupEnv, func(address string) { ready <- address })
	}()
	select {
	case <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(logs)
		}
	})
	return base, base + "/welcome/" + token, person, c
}

func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only asked for its port
	return l.Addr().String()
}

// Every flow is a user's: see flows.mjs, which says what it looks at.
func TestTheConsoleInABrowser(t *testing.T) {
	base, link, person, c := installation(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := browser.Run(ctx, "flows.mjs", &out, "BASE="+base, "LINK="+link, "ONLY="+*only, "PICTURES="+*pictures, "DIRECTORY="+c.URL, "BIND_DN="+c.BindDN, "BIND_PASSWORD="+c.Password, "SUFFIX="+c.Suffix, "PERSON="+person, "EVERYBODYS="+company.Everybodys)
	if *keep {
		fmt.Println(out.String(), base)
		<-ctx.Done()
	}
	if err != nil || !strings.Contains(out.String(), "all good") {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Log(out.String())
}
