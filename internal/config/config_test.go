package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// kinds are two made-up kinds with every type of option.
var kinds = []source.Kind{
	{Name: "ldap", Title: "LDAP", Options: []setting.Option{
		{Name: "addr", Type: setting.List, Required: true, Help: "where the server is"},
		{Name: "bind_dn"},
		{Name: "bind_password", Secret: true},
		{Name: "scope", Default: "sub", Choices: []string{"base", "one", "sub"}},
		{Name: "tls.ca_file"},
		{Name: "tls.start_tls", Type: setting.Bool},
		{Name: "sync.page_size", Type: setting.Int, Default: "1000"},
		{Name: "sync.filter"},
		{Name: "timeout", Type: setting.Duration, Default: "30s"},
	}},
	{Name: "csv", Title: "CSV", Options: []setting.Option{
		{Name: "file", Required: true, Help: "the file to read"},
		{Name: "columns", Type: setting.List},
		{Name: "max_size", Type: setting.Size, Default: "64MB"},
	}},
}

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestParseReadsAWholeFile(t *testing.T) {
	lookup := env("SUNFIX_BIND_PASSWORD", "p$${x}")
	c, err := Parse("/etc/rollcall/rollcall.yaml", []byte(whole), kinds, lookup)
	if err != nil {
		t.Fatal(err)
	}
	policy := setting.DefaultPolicy()
	policy.DryRun, policy.DeleteDisables, policy.PurgeAfter = true, false, 30*24*time.Hour
	limits := setting.DefaultLimits()
	limits.Creates, limits.IdentityChanges = 5, 0.25
	want := &Config{
		Path: "/etc/rollcall/rollcall.yaml", Dir: "/etc/rollcall",
		Listen: "127.0.0.1:8080", PublicURL: "https://rollcall.example.com",
		Database: "sqlite:/etc/rollcall/data/rollcall.db", KeyFile: "/etc/rollcall/data/rollcall.key", Workers: 4,
		Rates:         setting.DefaultRates(),
		Server:        setting.Server{LogFormat: "json", LogLevel: "info", TraceShare: 0.25, Drain: time.Minute},
		SignIn:        setting.DefaultSignIn(),
		Console:       setting.Console{SessionIdle: 8 * time.Hour, SessionMax: 7 * 24 * time.Hour, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}},
		Retention:     setting.Retention{Plans: 30 * 24 * time.Hour, Runs: 365 * 24 * time.Hour, Events: 720 * time.Hour, Deliveries: 30 * 24 * time.Hour},
		Notifications: setting.Notifications{SMTP: setting.SMTP{TLS: setting.SMTPStartTLS}},
		Organizations: []setting.Organization{{ID: "sunfix", Name: "sunfix", LicenceLimit: 500}},
		Connections: []setting.Connection{
			{
				Alias: "sunfix-hq", Organization: "sunfix", Kind: "ldap", Schedule: "0 2 * * *", Role: "employee", Region: "BE",
				Policy: policy, Limits: limits, SignIn: setting.DefaultConnectionSignIn(), Overlap: setting.OverlapOwn,
				Backend: setting.Values{
					"addr": []string{"ldaps://dc1.sunfix.com"}, "bind_dn": "cn=readonly,dc=sunfix,dc=com",
					"bind_password": "p$${x}", "scope": "sub", "tls.ca_file": "sunfix-ca.pem", "tls.start_tls": false,
					"sync.page_size": 1000, "sync.filter": "(&(mail=*)(sn=*)(objectClass=user))", "timeout": 30 * time.Second,
				},
				Mapping: map[string]setting.Rule{
					"email": {Attribute: "mail"}, "department": {Expr: "first(departmentNumber)"}, "location": {Value: "Brussels"},
					"phone": {None: true}, "title": {None: true}, "badge": {Attribute: "employeeNumber"},
				},
				Scope: []string{`department != ""`}, Match: []string{"badge", "mobile_phone", "username", "email"},
			},
			{
				Alias: "guests", Organization: "sunfix", Kind: "csv",
				Policy: setting.DefaultPolicy(), Limits: setting.DefaultLimits(), SignIn: setting.DefaultConnectionSignIn(), Overlap: setting.OverlapWait,
				Backend: setting.Values{"file": "guests.csv", "columns": []string{"E-mail=mail", "Voornaam=givenName"}, "max_size": int64(2 << 20)},
				Mapping: map[string]setting.Rule{},
			},
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

const whole = `
listen: 127.0.0.1:8080
public_url: https://rollcall.example.com
database: sqlite:data/rollcall.db
log: {format: json}
tracing: {share: 25%}
drain: 1m
console: {session_idle: 8h, trusted_proxies: [127.0.0.1, 10.1.2.3/8]}
retention: {plans: 30d, events: 720h}
connections:
  - alias: sunfix-hq
    organization: sunfix
    schedule: "0 2 * * *"
    role: employee
    region: be
    settings: {dry-run: yes, delete-disables: false, purge-after: 30d}
    limits: {removals: 20%, removals_min: 10, creates: 5, identity_changes: 0.25}
    backend:
      ldap:
        addr: ldaps://dc1.sunfix.com
        bind_dn: cn=readonly,dc=sunfix,dc=com
        bind_password: ${SUNFIX_BIND_PASSWORD}
        tls: {ca_file: sunfix-ca.pem, start_tls: false}
        sync:
          filter: (&(mail=*)(sn=*)(objectClass=user))
    mapping:
      email: mail
      department: {expr: 'first(departmentNumber)'}
      location: {value: Brussels}
      phone:
      title: none
      badge: {attribute: employeeNumber}
    scope: department != ""
    match: [badge, mobile_phone, username, email]
    overlap: own
  - alias: guests
    organization: sunfix
    backend: {csv: {file: guests.csv, columns: {E-mail: mail, Voornaam: givenName}, max_size: 2MB}}
organizations:
  - id: sunfix
    licence_limit: 500
`

// minimal is a connection that is right, to put one wrong thing into.
const minimal = "connections:\n  - alias: hq\n    backend: {csv: {file: a.csv}}\n"

func TestErrorsNameTheirPlaceAndTheNearestKey(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"an unknown key of the top": {
			"listn: x", `f.yaml:1:1: unknown key "listn"; did you mean "listen"?`,
		},
		"an unknown key deep in a backend": {
			"connections:\n- alias: hq\n  backend:\n    ldap:\n      addr: ldap://x\n      sync:\n        filtr: (a=b)\n",
			`f.yaml:7:9: unknown key "filtr" under backend.ldap.sync; did you mean "filter"?`,
		},
		"a backend key one level too high": {
			"connections:\n- alias: hq\n  backend:\n    ldap:\n      addr: ldap://x\n      page_size: 10\n",
			`f.yaml:6:7: unknown key "page_size" under backend.ldap; did you mean "sync.page_size"?`,
		},
		"text for a number": {
			"connections:\n- alias: hq\n  backend: {ldap: {addr: x, sync: {page_size: many}}}\n",
			`f.yaml:3:47: backend.ldap.sync.page_size: expected a whole number`,
		},
		"a list for a single value": {
			"connections:\n- alias: hq\n  backend: {csv: {file: [a, b]}}\n",
			`f.yaml:3:25: backend.csv.file: expected a single value, found a list`,
		},
		"a required setting left out": {
			"connections:\n- alias: hq\n  backend:\n    csv:\n",
			`f.yaml:4:5: backend.csv: "file" is missing: the file to read`,
		},
		"a kind that is none": {
			"connections:\n- alias: hq\n  backend: {ladp: {}}\n",
			`f.yaml:3:13: unknown key "ladp" under backend; did you mean "ldap"?`,
		},
		"two kinds": {
			"connections:\n- alias: hq\n  backend: {csv: {file: a}, ldap: {addr: b}}\n",
			`f.yaml:3:29: backend: a connection has one kind of source; csv and ldap are two connections`,
		},
		"no backend": {
			"connections:\n- alias: hq\n",
			`f.yaml:2:3: connection "hq" has no backend; one of ldap, csv`,
		},
		"no alias": {
			"connections:\n- backend: {csv: {file: a}}\n",
			`f.yaml:2:3: connections: "alias" is missing`,
		},
		"an alias with capitals": {
			"connections:\n- alias: HQ\n  backend: {csv: {file: a}}\n",
			`f.yaml:2:10: alias: expected small letters, digits and dashes, 64 at most`,
		},
		"the alias of local accounts": {
			"connections:\n- alias: local\n  backend: {csv: {file: a}}\n",
			`f.yaml:2:10: alias: "local" is the name for accounts that no connection keeps`,
		},
		"an alias that is a page of sign-in": {
			"connections:\n- alias: done\n  backend: {csv: {file: a}}\n",
			`f.yaml:2:10: alias: "done" is a word of our own addresses, such as /login/done; choose another`,
		},
		"one alias twice": {
			minimal + "  - alias: hq\n    backend: {csv: {file: a}}\n",
			`f.yaml:4:12: alias "hq" stands twice, first on line 2`,
		},
		"an organization that is not declared": {
			"organizations: [{id: sunfix}]\nconnections:\n- alias: hq\n  organization: sunfx\n  backend: {csv: {file: a}}\n",
			`f.yaml:4:17: organization "sunfx" is not declared under organizations; did you mean "sunfix"?`,
		},
		"an organization without any": {
			"connections:\n- alias: hq\n  organization: sunfx\n  backend: {csv: {file: a}}\n",
			`f.yaml:3:17: organization "sunfx" is not declared under organizations`,
		},
		"no organization where there are two": {
			"organizations: [{id: a}, {id: b}]\nconnections:\n- alias: hq\n  backend: {csv: {file: a}}\n",
			`f.yaml:3:3: connection "hq" names no organization; one of a, b`,
		},
		"a schedule that never comes": {
			minimal + "    schedule: 0 0 31 2 *\n",
			`f.yaml:4:15: schedule: "0 0 31 2 *" never comes: no day of the calendar fits`,
		},
		"a time zone and nothing else": {
			minimal + "    schedule: TZ=UTC\n",
			`f.yaml:4:15: schedule: expected five fields behind the time zone`,
		},
		"a schedule every second": {
			minimal + "    schedule: every 1s\n",
			`f.yaml:4:15: schedule: expected a minute or more between runs`,
		},
		"a share over the whole": {
			minimal + "    limits: {removals: 20}\n",
			`f.yaml:4:24: limits.removals: expected a share from 0% to 100%, such as 20% or 0.2`,
		},
		"a policy with an underscore": {
			minimal + "    settings: {no_delete: true}\n",
			`f.yaml:4:16: unknown key "no_delete" under settings; did you mean "no-delete"?`,
		},
		"a policy that is neither": {
			minimal + "    settings: {no-delete: 1}\n",
			`f.yaml:4:27: settings.no-delete: expected true or false`,
		},
		"a field misspelt": {
			minimal + "    mapping: {emial: mail}\n",
			`f.yaml:4:15: mapping: unknown field "emial"; did you mean "email"? A custom attribute needs a name that is further from it`,
		},
		"a field that is ours": {
			minimal + "    mapping: {id: uid}\n",
			`f.yaml:4:15: mapping: "id" is kept by Rollcall itself and cannot be mapped`,
		},
		"a rule of two kinds": {
			minimal + "    mapping: {email: {attribute: mail, value: x}}\n",
			`f.yaml:4:23: mapping.email: expected exactly one of attribute, value, expr`,
		},
		"a rule of no kind": {
			minimal + "    mapping: {email: {exp: mail}}\n",
			`f.yaml:4:23: unknown key "exp" under mapping.email; did you mean "expr"?`,
		},
		"a match by what many share": {
			minimal + "    match: [email, last_name]\n",
			`f.yaml:4:20: match: "last_name" tells nobody apart; accounts are found by username, email, mobile_phone, phone or a custom attribute`,
		},
		"a match by what the mapping leaves alone": {
			minimal + "    mapping: {badge: null}\n    match: badge\n",
			`f.yaml:5:12: match: "badge" is left to the application by the mapping, so nobody can be found by it`,
		},
		"a match by what looks like a field": {
			minimal + "    match: [badge, usrname]\n",
			`f.yaml:4:20: match: unknown field "usrname"; did you mean "username"? A custom attribute needs a name that is further from it`,
		},
		"a match by what Rollcall keeps itself": {
			minimal + "    match: external_id\n",
			`f.yaml:4:12: match: "external_id" is kept by Rollcall itself; an entry is known by its external ID in any case`,
		},
		"an overlap that is none": {
			minimal + "    overlap: onw\n",
			`f.yaml:4:14: overlap: "onw" is none of wait, own, yield; did you mean "own"?`,
		},
		"a variable that is not set": {
			"database: sqlite:${DIR}/a.db\n", `f.yaml:1:11: environment variable DIR is not set`,
		},
		"a variable of a connection that is not set, outside of its source's settings": {
			minimal + "    role: ${ROLE}\n", `f.yaml:4:11: environment variable ROLE is not set`,
		},
		"a variable without an end": {
			"connections:\n- alias: hq\n  backend: {csv: {file: \"${DIR\"}}\n",
			`f.yaml:3:25: ${ without its closing }; write $${ for the two characters themselves`,
		},
		"a database of another make": {
			"database: mysql://x", `f.yaml:1:11: database: expected sqlite:FILE or postgres://USER@HOST/NAME`,
		},
		"days without their unit, which would be seconds": {
			"retention: {plans: 90}\n", `f.yaml:1:20: retention.plans: expected a day and more, such as 90d, or 0 for ever`,
		},
		"less than nothing": {
			"retention:\n  events: -1d\n", `f.yaml:2:11: retention.events: expected a day and more, such as 90d, or 0 for ever`,
		},
		"a key twice": {
			"listen: a:1\nlisten: b:1\n", `f.yaml:2:1: mapping key "listen" already defined at [1:1]`,
		},
		"a tab": {
			"organizations:\n\t- id: a\n", "f.yaml:2:1: there is a tab here; YAML is indented with spaces alone",
		},
		"a file in UTF-16": {
			"\xff\xfel\x00i\x00", "f.yaml: the file is written in UTF-16; save it as UTF-8",
		},
		"a character of Windows-1252": {
			minimal + "    role: café \xe9\n", "f.yaml:4:16: this character is not written in UTF-8; save the file as UTF-8",
		},
		"a role that no account can have": {
			minimal + `    role: "a\0b"`, "f.yaml:4:11: role: expected text without control characters",
		},
		"a name of an organization that no page can show": {
			`organizations: [{id: a, name: "a\eb"}]`, "f.yaml:1:31: organizations.name: expected text without control characters",
		},
		"two documents": {
			"listen: a:1\n---\nlisten: b:1\n", `f.yaml:3:1: a second document; one file holds one configuration`,
		},
		"a list instead of keys": {
			"- a\n", `f.yaml:1:1: expected keys such as connections:, found a list`,
		},
		"a session that never ends": {
			"console: {session_idle: 10s, session_max: 1000d}\n",
			`f.yaml:1:25: console.session_idle: expected a minute to 90 days, such as 12h
f.yaml:1:43: console.session_max: expected a minute to 90 days, such as 12h`,
		},
		"a proxy that is a name": {
			"console: {trusted_proxies: [10.0.0.0/8, proxy]}\n",
			`f.yaml:1:41: console.trusted_proxies: expected addresses or networks such as 10.0.0.0/8`,
		},
		"several at once, in the file's order": {
			"zzz: 1\npublic_url: nowhere\nlisten: here\n",
			`f.yaml:1:1: unknown key "zzz"; known are listen, public_url, database, key_file, workers, retention, rate_limits, log, tracing, drain, console, sign_in, webhooks, notifications, organizations, connections
f.yaml:2:13: public_url: expected an address such as https://rollcall.example.com
f.yaml:3:9: listen: expected host:port, such as 127.0.0.1:8080`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(test.file), kinds, nil)
			if err == nil {
				t.Fatalf("no error; want %s", test.want)
			}
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("the kind is %d, want Invalid", fault.KindOf(err))
			}
		})
	}
}

func TestAByteOrderMarkIsPassedOver(t *testing.T) {
	c, err := Parse("f.yaml", []byte("\ufeff"+minimal), kinds, nil)
	if err != nil || len(c.Connections) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	c, err := Parse("f.yaml", []byte(`
connections:
  - &base
    alias: a
    settings: &policy {no-delete: true}
    backend: {csv: {file: a.csv}}
  - <<: *base
    alias: b
    settings:
      <<: *policy
      dry-run: true
`), kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := c.Connections[1]
	if b.Alias != "b" || b.Kind != "csv" || !b.Policy.NoDelete || !b.Policy.DryRun {
		t.Errorf("got %+v", b)
	}
	if b.Organization != "default" || c.Organizations[0].ID != "default" {
		t.Errorf("without organizations one is made, got %+v", c.Organizations)
	}
}

func TestTextsStayAsWritten(t *testing.T) {
	c, err := Parse("f.yaml", []byte(`
connections:
  - alias: hq
    backend:
      ldap:
        addr: [ldap://a, ldap://b]
        bind_dn: "cn=x,dc=y"
        bind_password: 0123
        sync: {filter: "(cn=$${x})"}
`), kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := c.Connections[0].Backend
	if v.String("bind_password") != "0123" || v.String("sync.filter") != "(cn=${x})" || len(v.List("addr")) != 2 {
		t.Errorf("got %v", v)
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "dsn")
	if err := os.WriteFile(secret, []byte("postgres://u:pw@db/rollcall\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(file, []byte("connections:\n- alias: sunfix-hq\n  backend: {ldap: {addr: x, bind_password: '${file:pw}'}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, kinds, env(
		"ROLLCALL_LISTEN", "0.0.0.0:1",
		"ROLLCALL_DATABASE_FILE", secret,
		"ROLLCALL_CONNECTIONS_SUNFIX_HQ_SETTINGS_DRY_RUN", "true",
		"ROLLCALL_CONNECTIONS_SUNFIX_HQ_BACKEND_LDAP_ADDR", "ldap://a, ldap://b",
		"ROLLCALL_CONNECTIONS_SUNFIX_HQ_BACKEND_LDAP_TLS_CA_FILE", "ca.pem",
	))
	if err != nil {
		t.Fatal(err)
	}
	conn := c.Connections[0]
	if c.Listen != "0.0.0.0:1" || c.Database != "postgres://u:pw@db/rollcall" || c.KeyFile != filepath.Join(dir, "rollcall.key") {
		t.Errorf("got %+v", c)
	}
	if !conn.Policy.DryRun || len(conn.Backend.List("addr")) != 2 || conn.Backend.String("tls.ca_file") != "ca.pem" || conn.Backend.String("bind_password") != "from-file" {
		t.Errorf("got %+v", conn)
	}

	for name, test := range map[string]struct {
		env  []string
		want string
	}{
		"a wrong value": {[]string{"ROLLCALL_LISTEN", "x"}, "environment variable ROLLCALL_LISTEN: listen: expected host:port, such as 127.0.0.1:8080"},
		"a secret said twice": {
			[]string{"ROLLCALL_DATABASE", "sqlite:a", "ROLLCALL_DATABASE_FILE", secret},
			"environment variable ROLLCALL_DATABASE: set together with ROLLCALL_DATABASE_FILE; use one of them",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("", nil, kinds, env(test.env...)); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestLoadWithoutAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	c, err := Load("", kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Database != "sqlite:rollcall.db" || c.KeyFile != "rollcall.key" || c.Path != "" || len(c.Connections) != 0 {
		t.Errorf("got %+v", c)
	}
	if _, err := Load("nowhere.yaml", kinds, nil); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a named file that is not there: got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add(minimal)
	f.Add("a: &a [*a]\n<<: *a\n")
	f.Add("connections: [{alias: ${X}, backend: {csv: {columns: {? a : b}}}}]")
	f.Add("connections:\n- alias: a\n  schedule: TZ=UTC\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f.yaml", []byte(text), kinds, nil)
		if err == nil && len(c.Organizations) == 0 {
			t.Error("a configuration without an organization")
		}
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Error("an error that says nothing")
		}
	})
}

func TestHowPeopleSignIn(t *testing.T) {
	text := `
sign_in: {tries: 2, first_wait: 90s, lock_after: 0, session_max: 1d, change_first: true}
connections:
  - {alias: hq, sign_in: {enabled: false, domains: ["@Example.com", sub.example.com, example.com], show_reasons: false}, backend: {csv: {file: a.csv}}}
`
	c, err := Parse("f.yaml", []byte(text), kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := setting.DefaultSignIn()
	want.Tries, want.FirstWait, want.LockAfter, want.SessionMax, want.ChangeFirst = 2, 90*time.Second, 0, 24*time.Hour, true
	if c.SignIn != want {
		t.Errorf("%+v", c.SignIn)
	}
	if got := c.Connections[0].SignIn; !reflect.DeepEqual(got, setting.ConnectionSignIn{Domains: []string{"example.com", "sub.example.com"}}) {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]string{
		"sign_in: {tries: 0}": "1 or more", "sign_in: {timeout: 5m}": "expected 1s to 1m", "sign_in: {lock_for: 0}": "expected 1s to 24h",
		"connections: [{alias: hq, sign_in: {domains: [\"a b\"]}, backend: {csv: {file: a.csv}}}]": "expected a domain",
	} {
		if _, err := Parse("f.yaml", []byte(text), kinds, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
