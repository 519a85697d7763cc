package mapping

import (
	"slices"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/setting"
)

func TestTheIdentityIsWhatTheWholeMappingGives(t *testing.T) {
	rules := base(map[string]setting.Rule{
		"badge": attr("employeeNumber"), "area": attr("l"), "zone": expr(`upper(zone)`), "mobile_phone": attr("mobile"), "title": attr("title"), "phone": attr("telephoneNumber"),
	})
	m, err := Compile(rules, Options{Region: "BE", Identifying: []string{"zone", "mobile_phone", "badge"}})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Compile(rules, Options{Region: "BE"})
	if err != nil {
		t.Fatal(err)
	}
	if m.Fingerprint() != plain.Fingerprint() || !slices.Equal(m.Attributes(), plain.Attributes()) || !slices.Equal(m.Custom(), []string{"area", "badge", "zone"}) {
		t.Error("what identifies changes the mapping")
	}
	r := person("employeeNumber", "E7", "l", "Ghent", "zone", "a", "mobile", "0475 12 34 56", "title", "Boss", "telephoneNumber", "1")
	whole, known, want := m.Map(r, now), m.Identity(r, now), plain.Map(r, now)
	if whole.Text != want.Text || whole.Attributes != want.Attributes || want.Attributes != `{"area":"Ghent","badge":"E7","zone":"A"}` {
		t.Errorf("%+v, want %+v", whole, want)
	}
	if known.Attributes != `{"badge":"E7","zone":"A"}` {
		t.Errorf("the identity has the attributes %s", known.Attributes)
	}
	for i, v := range known.Text {
		f := account.Field(i)
		if wanted := slices.Contains(account.Mandatory, f) || f == account.MobilePhone; wanted && v != want.Text[f] || !wanted && v != "" {
			t.Errorf("the identity's %s is %q", f, v)
		}
	}
	if known = plain.Identity(r, now); known.Attributes != "" || known.Text[account.MobilePhone] != "" {
		t.Errorf("without more, the identity is %+v", known)
	}
}
