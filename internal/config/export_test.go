package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
)

// What export writes is a configuration again, and the same one, but for its secrets.
func TestExportIsReadAgain(t *testing.T) {
	first, err := Parse("", []byte(whole), kinds, env("SUNFIX_BIND_PASSWORD", "hunter2-and-more"))
	if err != nil {
		t.Fatal(err)
	}
	odd := first.Connections[0]
	odd.Alias, odd.Role = "on", "yes"
	odd.CredentialExpires = time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
	odd.Mapping = map[string]setting.Rule{
		"title": {Attribute: "none"}, "phone": {None: true}, "email": {Attribute: "0123"}, "location": {Value: "${HOME} & \"co\": #1"},
		"department": {Expr: `first(ou) ?? 'a: b' + "\n"`}, "role": {Value: "true"}, "badge": {Attribute: "x-y"},
	}
	odd.Scope = []string{`email matches "^[^@]+@x\\.org$"`, "- dash"}
	odd.Backend = setting.Values{"addr": []string{"ldap://a", "[::1]:389"}, "bind_dn": `cn=a\2c b,dc="x"`, "bind_password": "hunter2-and-more",
		"sync.filter": "(&(cn=$${x})(a=*))", "scope": "one", "sync.page_size": 7, "timeout": first.Connections[0].Backend.Duration("timeout")}
	digit := first.Connections[0]
	digit.Alias = "1-hq"
	list := append(first.Connections, odd, digit)

	text, err := Export(list, first.Organizations, kinds)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Fatalf("a secret is in\n%s", text)
	}
	again, err := Parse("", text, kinds, env("SUNFIX_HQ_BIND_PASSWORD", "p$${x}", "ON_BIND_PASSWORD", "hunter2-and-more", "_1_HQ_BIND_PASSWORD", "p$${x}"))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	list[0].Backend["bind_password"] = "p$${x}"
	for i := range list {
		if !reflect.DeepEqual(again.Connections[i], list[i]) {
			t.Errorf("got  %+v\nwant %+v\n%s", again.Connections[i], list[i], text)
		}
	}
	if !reflect.DeepEqual(again.Organizations, first.Organizations) {
		t.Errorf("organizations: got %+v, want %+v", again.Organizations, first.Organizations)
	}
}
