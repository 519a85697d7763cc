package ldap

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// looked gives what a word leads to, as copies.
func looked(t *testing.T, v setting.Values, who string, attributes []string) []directory.Record {
	t.Helper()
	looker, ok := source.As[source.Looker](mustOpen(t, rigSettings(rig, v)))
	if !ok {
		t.Fatal("the source cannot look")
	}
	var out []directory.Record
	err := looker.Look(t.Context(), who, attributes, func(r *directory.Record) error {
		var kept directory.Record
		err := kept.Decode(r.Append(nil))
		out = append(out, kept)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOnePersonIsReadAsAReadingWould(t *testing.T) {
	var whole directory.Record
	s := mustOpen(t, rigSettings(rig, setting.Values{"sync.filter": "(uid=u0007)"}))
	if _, err := s.Read(t.Context(), source.Request{Attributes: []string{"mail", "uid", "sn"}}, func(r *directory.Record) error {
		return whole.Decode(r.Append(nil))
	}); err != nil || whole.ID == "" {
		t.Fatalf("%+v, %v", whole, err)
	}
	for _, who := range []string{whole.Name, string(whole.ID), whole.First("mail"), "u0007"} {
		got := looked(t, nil, who, []string{"mail", "uid", "sn"})
		if len(got) != 1 || string(got[0].Append(nil)) != string(whole.Append(nil)) {
			t.Errorf("%s: %+v, a reading brings %+v", who, got, whole)
		}
	}
	for name, c := range map[string]struct {
		v   setting.Values
		who string
	}{
		"nobody":                {nil, "nobody-at-all"},
		"nothing":               {nil, " "},
		"the filter excludes":   {setting.Values{"sync.filter": "(uid=u0008)"}, "u0007"},
		"the base excludes":     {setting.Values{"base_dn": "ou=groups,dc=example,dc=org"}, whole.Name},
		"a filter as a name":    {nil, "*"},
		"somebody else's group": {nil, "cn=App-All,ou=groups,dc=example,dc=org"},
	} {
		if got := looked(t, c.v, c.who, nil); len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestAllOfAnEntryIsLookedAtButForSecrets(t *testing.T) {
	// Who may read everything, passwords too.
	got := looked(t, setting.Values{"bind_dn": rig.AdminDN, "bind_password": rig.AdminPassword}, "u0007", nil)
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	names := map[string]bool{}
	for _, a := range got[0].Attributes {
		names[strings.ToLower(a.Name)] = true
	}
	for _, want := range []string{"objectclass", "mail", "uid", "sn", "entryuuid", "modifytimestamp"} {
		if !names[want] {
			t.Errorf("%s is missing among %v", want, names)
		}
	}
	if names["userpassword"] {
		t.Error("a password's hash came along")
	}
}
