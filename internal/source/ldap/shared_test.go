package ldap

import (
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/setting"
)

func TestNobodyIsKnownByAnExternalIDThatTwoEntriesHave(t *testing.T) {
	s := startOpenLDAP(t, 10, openldap.Options{})
	modify(t, s, "dn: uid=u0003,PEOPLE\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 4\n-\nadd: userPassword\nuserPassword: secret\n")
	v := rigSettings(s, setting.Values{"base_dn": "ou=people,dc=example,dc=org", "sync.anchor": "employeeNumber", "sync.filter": "(employeeNumber=*)"})
	var doubtful []string
	got := mustRead(t, mustOpen(t, v), "uid")
	for _, r := range got.records {
		if r.ID == "" && strings.Contains(r.Problem, "same employeeNumber") {
			doubtful = append(doubtful, r.First("uid"))
		} else if r.ID == "" || r.Problem != "" {
			t.Errorf("%s is known as %q: %s", r.Name, r.ID, r.Problem)
		}
	}
	slices.Sort(doubtful)
	if !slices.Equal(doubtful, []string{"u0003", "u0004"}) || len(got.records) != 10 {
		t.Errorf("doubtful are %q of %d", doubtful, len(got.records))
	}
	p, err := mustAuthenticate(t, v, time.Now).Prove(t.Context(), "u0003", "secret", []string{"uid"})
	if err != nil || !p.Right || p.Record == nil || p.Record.ID != "" || !strings.Contains(p.Record.Problem, "same employeeNumber") {
		t.Errorf("%+v, %v", p, err)
	}
}
