package config

import (
	"strings"
	"testing"
)

const incomplete = `connections:
- alias: hq
  backend:
    ldap:
      addr: ["${SCHEME}://dc1", "ldaps://dc2"]
      bind_dn: cn=reader,${BASE},${REALM}
      bind_password: very-${SECRET}-indeed
      sync: {page_size: "${SIZE}"}
- alias: guests
  backend: {csv: {file: guests.csv, columns: {mail: "${COLUMN}", name: sn}}}
- alias: whole
  backend: {csv: {file: whole.csv}}
`

func parsed(t *testing.T, text string, pairs ...string) *Config {
	t.Helper()
	c, err := Parse("f.yaml", []byte(text), kinds, env(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lacking tells of what connections lack, a line each.
func lacking(c *Config) string {
	var out []string
	for _, conn := range c.Connections {
		for _, u := range conn.Unset {
			out = append(out, conn.Alias+" "+u.Option.Name+" "+u.Problem+" "+strings.Join(u.Raw, "|"))
		}
	}
	return strings.Join(out, "\n")
}

func TestWhatASourceLacksStopsNobodyElse(t *testing.T) {
	c := parsed(t, incomplete)
	want := `hq addr f.yaml:5:14: environment variable SCHEME is not set ${SCHEME}://dc1|ldaps://dc2
hq bind_dn f.yaml:6:16: environment variable BASE is not set cn=reader,${BASE},${REALM}
hq bind_dn f.yaml:6:16: environment variable REALM is not set cn=reader,${BASE},${REALM}
hq bind_password f.yaml:7:22: environment variable SECRET is not set ` + `
hq sync.page_size f.yaml:8:25: environment variable SIZE is not set ${SIZE}
guests columns f.yaml:10:53: environment variable COLUMN is not set mail=${COLUMN}|name=sn`
	if got := lacking(c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, name := range []string{"addr", "bind_dn", "bind_password"} {
		if v, ok := c.Connections[0].Backend[name]; ok {
			t.Errorf("half of %s is a value: %v", name, v)
		}
	}
	c = parsed(t, incomplete, "SCHEME", "ldap", "BASE", "dc=x", "REALM", "dc=y", "SECRET", "s", "SIZE", "7", "COLUMN", "c")
	if got := lacking(c); got != "" || c.Connections[0].Backend["bind_password"] != "very-s-indeed" {
		t.Errorf("%s\n%v", got, c.Connections[0].Backend)
	}
}

func TestWhatTheEnvironmentGivesIsNotLacking(t *testing.T) {
	const text = "connections:\n- alias: hq\n  backend: {ldap: {addr: \"${A}\", bind_password: \"${file:nowhere}\"}}\n"
	c := parsed(t, text, "ROLLCALL_CONNECTIONS_HQ_BACKEND_LDAP_ADDR", "ldap://a,ldap://b", "ROLLCALL_CONNECTIONS_HQ_BACKEND_LDAP_BIND_PASSWORD", "${p}")
	if got := lacking(c); got != "" || len(c.Connections[0].Backend.List("addr")) != 2 || c.Connections[0].Backend["bind_password"] != "${p}" {
		t.Errorf("%s\n%v", got, c.Connections[0].Backend)
	}
	c = parsed(t, text, "A", "ldap://a", "ROLLCALL_CONNECTIONS_HQ_BACKEND_LDAP_BIND_PASSWORD_FILE", "gone")
	if got := lacking(c); !strings.Contains(got, "hq bind_password f.yaml:3:49: open ") || !strings.Contains(got, "environment variable ROLLCALL_CONNECTIONS_HQ_BACKEND_LDAP_BIND_PASSWORD_FILE: open ") {
		t.Error(got)
	}
}

func TestOtherMistakesAreReportedAllTheSame(t *testing.T) {
	_, err := Parse("f.yaml", []byte(incomplete+"- alias: bad\n  role: ${ROLE}\n  backend: {ldap: {bind_password: \"${X}\", scope: all}}\n"), kinds, nil)
	if err == nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), "f.yaml:14:9: environment variable ROLE is not set") ||
		!strings.Contains(err.Error(), `"addr" is missing`) || !strings.Contains(err.Error(), "backend.ldap.scope: expected one of") {
		t.Errorf("%v", err)
	}
}

func TestWhatIsLackingIsExportedAsItIsWritten(t *testing.T) {
	c := parsed(t, incomplete)
	text, err := Export(c.Connections, c.Organizations, kinds)
	if err != nil {
		t.Fatal(err)
	}
	again := parsed(t, string(text))
	for _, u := range [][2]string{{"${SCHEME}://dc1", "addr"}, {"cn=reader,${BASE},${REALM}", "bind_dn"}, {"${SIZE}", "sync.page_size"}, {"mail=${COLUMN}", "columns"}, {"bind_password: ${HQ_BIND_PASSWORD}", "bind_password"}} {
		if !strings.Contains(string(text), u[0]) || !strings.Contains(lacking(again), " "+u[1]+" ") {
			t.Errorf("%s is lost in\n%s", u[0], text)
		}
	}
	if strings.Contains(string(text), "indeed") {
		t.Errorf("a part of a secret is in\n%s", text)
	}
}
