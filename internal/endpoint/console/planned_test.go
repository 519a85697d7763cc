package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/simulator"
)

// Whoever decides about a plan sees who comes into a group and who goes, and who is
// whose manager: those too who have no account before the plan is carried out.
func TestAPlanNamesWhomItMakes(t *testing.T) {
	const suffix = "dc=sunfix,dc=com"
	ldap, err := simulator.Start(simulator.Options{Personality: &simulator.OpenLDAP{Suffix: suffix}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ldap.Close() })
	w := open(t)
	add := func(dn string, attributes ...string) {
		_, err := ldap.Tree.Add(dn+","+suffix, attributes...)
		w.must(err)
	}
	add("uid=bo", "objectClass", "inetOrgPerson", "uid", "bo", "mail", "bo@sunfix.com", "givenName", "Bo", "sn", "Moon", "cn", "Bo Moon")
	add("uid=cy", "objectClass", "inetOrgPerson", "uid", "cy", "mail", "cy@sunfix.com", "givenName", "Cy", "sn", "Moon", "cn", "Cy Moon", "manager", "uid=bo,"+suffix)
	add("cn=staff", "objectClass", "groupOfNames", "cn", "staff", "member", "uid=cy,"+suffix)
	w.call("POST", "/connections", fmt.Sprintf(`{"alias": "sun-ldap", "organization": "sun", "backend": {"ldap": {"addr": %q, "bind_dn": %q, "bind_password": "secret",
		"base_dn": %q, "groups": {"base_dn": %q}}}}`, ldap.URL, "cn=admin,"+suffix, suffix, suffix))
	id := w.call("POST", "/connections/sun-ldap/plan", "")["id"].(string)
	got := w.ask("operator", "GET", "/plans/"+id, nil, false)
	if got.Code != http.StatusOK {
		t.Fatal(got.Code)
	}
	for _, want := range []string{`<span>Cy Moon</span><span class="sub">group staff</span>`, `<b>manager</b><span><ins>Bo Moon</ins>`} {
		if text := got.Body.String(); !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
