package registry_test

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/registry"
)

func TestADraftHoldsAStoredSecretWhereNothingSendsItElsewhere(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		make1(t, r)
		for _, c := range []struct{ name, patch, want string }{
			{"nothing changes", `{}`, "Sesame-Open-1"},
			{"another filter", `{"backend": {"ldap": {"sync": {"filter": "(uid=a*)"}}}}`, "Sesame-Open-1"},
			{"another server", `{"backend": {"ldap": {"addr": "ldaps://evil.test"}}}`, "given again"},
			{"another account", `{"backend": {"ldap": {"bind_dn": "cn=other"}}}`, "given again"},
			{"another certificate authority", `{"backend": {"ldap": {"tls": {"ca": "PEM"}}}}`, "given again"},
			{"the encryption is given up", `{"backend": {"ldap": {"tls": {"server_name": "evil.test"}}}}`, "given again"},
			{"another server, and the secret with it", `{"backend": {"ldap": {"addr": "ldaps://dc2.sunfix.test", "bind_password": "Sesame-2"}}}`, "Sesame-2"},
			{"the secret alone", `{"backend": {"ldap": {"bind_password": "Sesame-2"}}}`, "Sesame-2"},
			{"account and secret are taken back", `{"backend": {"ldap": {"bind_dn": null, "bind_password": null}}}`, ""},
		} {
			got, err := r.Draft(t.Context(), sunfix, "hq", []byte(c.patch))
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			have := got.Backend.String("bind_password")
			if len(got.Unset) > 0 {
				if have != "" {
					t.Errorf("%s: the draft holds %q", c.name, have)
				}
				have = got.Unset[0].Problem
			}
			if c.want == "" && have != "" || !strings.Contains(have, c.want) {
				t.Errorf("%s: %q, want %q", c.name, have, c.want)
			}
		}
		if e, err := r.Describe(t.Context(), "", "hq"); err != nil || e.Version != 1 || password(t, r) != "Sesame-Open-1" {
			t.Errorf("a draft changed something: %+v, %v", e, err)
		}
	})
}

func TestADraftOfADeclaredConnectionTakesItsSecretsFromTheFile(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		got, err := r.Draft(t.Context(), sunfix, "declared", []byte(`{"role": "guest"}`))
		if err != nil || got.Backend.String("default_password") != "Sesame-File" || got.Role != "guest" || got.Backend.String("path") != "a.csv" {
			t.Errorf("%+v, %v", got, err)
		}
		got, err = r.Draft(t.Context(), sunfix, "declared", []byte(`{"backend": {"csv": {"path": null, "url": "https://evil.test/a.csv"}}}`))
		if err != nil || got.Backend.String("default_password") != "" || len(got.Unset) != 1 {
			t.Errorf("the secret of the file would go to another address: %+v, %v", got, err)
		}
		if _, err = r.Draft(t.Context(), sunfix, "declared", []byte(`{"backend": {"csv": {"path": "/etc/passwd"}}}`)); fault.KindOf(err) != fault.Denied {
			t.Errorf("an organization names a file of this machine: %v", err)
		}
	})
}

func TestADraftIsNobodyElses(t *testing.T) {
	both(t, func(t *testing.T, r *registry.Registry) {
		make1(t, r)
		for _, c := range []struct {
			name, alias, body string
			who               registry.Who
			kind              fault.Kind
		}{
			{"another tenant's connection", "hq", `{}`, moonfix, fault.NotFound},
			{"another tenant's in the file", "declared", `{}`, moonfix, fault.NotFound},
			{"one that is not there", "nowhere", `{}`, operator, fault.NotFound},
			{"a new one for another tenant", "", strings.Replace(hq, `"hq"`, `"new"`, 1), moonfix, fault.NotFound},
			{"a new one under an alias that is taken, whose file it would read", "", `{"alias": "hq", "organization": "moonfix", "backend": {"csv": {"upload": true}}}`, moonfix, fault.Conflict},
			{"a new one under an alias of the file", "", `{"alias": "declared", "organization": "sunfix", "backend": {"csv": {"upload": true}}}`, sunfix, fault.Conflict},
			{"a file of this machine", "", `{"alias": "new", "organization": "sunfix", "backend": {"csv": {"path": "/etc/passwd"}}}`, sunfix, fault.Denied},
			{"another alias", "hq", `{"alias": "other"}`, sunfix, fault.Invalid},
			{"settings that cannot work", "hq", `{"backend": {"ldap": {"sync": {"filter": "((("}}}}`, sunfix, fault.Invalid},
			{"no patch", "hq", `[]`, sunfix, fault.Invalid},
		} {
			if got, err := r.Draft(t.Context(), c.who, c.alias, []byte(c.body)); err == nil || fault.KindOf(err) != c.kind {
				t.Errorf("%s: %+v, %v", c.name, got, err)
			}
		}
		if got, err := r.Draft(t.Context(), sunfix, "", []byte(strings.Replace(hq, `"hq"`, `"new"`, 1))); err != nil || got.Backend.String("bind_password") != "Sesame-Open-1" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
