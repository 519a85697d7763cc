package ldap

import (
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func check(t *testing.T, v setting.Values) []source.Step {
	t.Helper()
	var steps []source.Step
	mustOpen(t, v).Check(t.Context(), func(s source.Step) { steps = append(steps, s) })
	return steps
}

func find(t *testing.T, steps []source.Step, name string) source.Step {
	t.Helper()
	i := slices.IndexFunc(steps, func(s source.Step) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no step %q in %+v", name, steps)
	}
	return steps[i]
}

func TestTheDoctorGoesThroughAllSteps(t *testing.T) {
	for _, c := range []struct {
		name string
		v    setting.Values
		want string // name and verdict of each step
		text string // in the detail or hint of the last step that is not ok
	}{
		{"all is well", setting.Values{"addr": []string{rig.TLSURL}, "tls.ca_file": rig.CAFile, "groups.include": "^App-Admins"},
			"DNS ok, TCP ok, TLS ok, bind ok, root DSE ok, search ok, anchor ok, groups ok, sign-ins ok, changes ok", ""},
		{"a clear connection", nil, "DNS skip, TCP ok, TLS warn, bind ok, root DSE ok, search ok, anchor ok, groups skip, sign-ins ok, changes ok", "not read"},
		{"an unknown CA", setting.Values{"addr": []string{rig.TLSURL}}, "DNS ok, TCP ok, TLS fail", "CN=localhost, issued by CN=Rollcall rig CA"},
		{"a wrong name", setting.Values{"addr": []string{rig.TLSURL}, "tls.ca_file": rig.CAFile, "tls.server_name": "dc1"}, "DNS ok, TCP ok, TLS fail", "Set tls.server_name to localhost"},
		{"no such host", setting.Values{"addr": []string{"nowhere.invalid"}}, "DNS fail", "spelling"},
		{"a closed port", setting.Values{"addr": []string{"127.0.0.1:1"}}, "DNS skip, TCP fail", "nothing listens"},
		{"the first of two is down", setting.Values{"addr": []string{"127.0.0.1:1", rig.URL}, "sync.filter": "(uid=u000*)"},
			"DNS skip, TCP warn, DNS skip, TCP ok, TLS warn, bind ok, root DSE ok, search ok, anchor ok, groups skip, sign-ins ok, changes ok", "not read"},
		{"a wrong password", setting.Values{"bind_password": "wrong"}, "DNS skip, TCP ok, TLS warn, bind fail", "bind_password"},
		{"a wrong base", setting.Values{"base_dn": "ou=x,dc=example,dc=org"}, "DNS skip, TCP ok, TLS warn, bind ok, root DSE ok, search fail", "dc=example,dc=org"},
		{"a filter nobody passes", setting.Values{"sync.filter": "(uid=nobody)", "groups.filter": "(cn=none)"},
			"DNS skip, TCP ok, TLS warn, bind ok, root DSE ok, search warn, anchor skip, groups warn, sign-ins ok, changes ok", "groups.filter"},
		{"an anchor nobody has", setting.Values{"sync.anchor": "employeeType"}, "DNS skip, TCP ok, TLS warn, bind ok, root DSE ok, search ok, anchor fail, groups skip, sign-ins ok, changes ok", "not read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			steps := check(t, rigSettings(rig, c.v))
			var got []string
			text := ""
			for _, s := range steps {
				got = append(got, s.Name+" "+string(s.Verdict))
				if s.Verdict != source.OK {
					text = s.Detail + "\n" + s.Hint
				}
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("steps:\n%s\nwant:\n%s", strings.Join(got, ", "), c.want)
			}
			if !strings.Contains(text, c.text) {
				t.Errorf("%q does not tell %q", text, c.text)
			}
		})
	}
}

func TestTheDoctorCountsPeopleAndNamesGroups(t *testing.T) {
	steps := check(t, rigSettings(rig, setting.Values{"groups.include": "^App-"}))
	if d := find(t, steps, "search").Detail; !strings.HasPrefix(d, "1207 people") {
		t.Error(d)
	}
	if d := find(t, steps, "groups").Detail; !strings.HasPrefix(d, "2 groups: App-A") {
		t.Error(d)
	}
	if d := find(t, steps, "root DSE").Detail; !strings.Contains(d, "server: OpenLDAP\nnaming contexts: dc=example,dc=org\npages: yes") {
		t.Error(d)
	}
}

func TestTheDoctorSaysWhichSectionAStepIsAboutAndWhatTheServerOffers(t *testing.T) {
	steps := check(t, rigSettings(rig, setting.Values{"base_dn": "ou=x,dc=example,dc=org"}))
	if s := find(t, steps, "search"); s.Section != source.Base || s.Verdict != source.Fail {
		t.Errorf("a base that is not there is the fault of %q", s.Section)
	}
	steps = check(t, rigSettings(rig, setting.Values{"groups.include": "^App-"}))
	for _, s := range steps {
		if s.Section == "" {
			t.Errorf("the step %s belongs to no section", s.Name)
		}
	}
	users, groups, root := find(t, steps, "search"), find(t, steps, "groups"), find(t, steps, "root DSE").Proposal
	if users.Count == nil || *users.Count != 1207 || len(users.Names) != source.MostNames || users.Section != source.Users {
		t.Errorf("people: %+v", users)
	}
	if groups.Count == nil || *groups.Count != 2 || !slices.Equal(groups.Names, []string{"App-Admins", "App-All"}) {
		t.Errorf("groups: %+v", groups)
	}
	if root == nil || root.Vendor != "OpenLDAP" || !slices.Equal(root.Bases, []string{"dc=example,dc=org"}) || root.Filter != "(objectClass=inetOrgPerson)" ||
		root.Anchor != "entryUUID" || root.GroupName != "cn" || root.Mapping["email"].Attribute != "mail" {
		t.Errorf("the server offers %+v", root)
	}
}
