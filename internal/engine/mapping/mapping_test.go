package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func attr(name string) setting.Rule { return setting.Rule{Attribute: name} }
func expr(text string) setting.Rule { return setting.Rule{Expr: text} }

// base is a mapping of the mandatory fields, with more rules over it.
func base(more map[string]setting.Rule) map[string]setting.Rule {
	rules := map[string]setting.Rule{
		"username": attr("uid"), "email": attr("mail"), "first_name": attr("givenName"), "last_name": attr("sn"),
	}
	for name, r := range more {
		rules[name] = r
	}
	return rules
}

// person is a record of the attributes given as name, value pairs, over a
// complete entry.
func person(pairs ...string) *directory.Record {
	r := &directory.Record{Kind: directory.User, ID: "1", Name: "uid=jdoe,ou=people,dc=example,dc=org"}
	set := func(name, value string) {
		for i := range r.Attributes {
			if r.Attributes[i].Name == name {
				r.Attributes[i].Values = append(r.Attributes[i].Values, value)
				return
			}
		}
		r.Attributes = append(r.Attributes, directory.Attribute{Name: name, Values: []string{value}})
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		set(pairs[i], pairs[i+1])
	}
	for _, d := range [][2]string{{"uid", "jdoe"}, {"mail", "j.doe@example.org"}, {"givenName", "Jane"}, {"sn", "Doe"}} {
		if r.Get(d[0]) == nil {
			set(d[0], d[1])
		}
	}
	return r
}

func compile(t *testing.T, more map[string]setting.Rule) *Mapping {
	t.Helper()
	m, err := Compile(base(more), Options{Region: "BE"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestARuleTakesAnAttributeAConstantOrAnExpression(t *testing.T) {
	m := compile(t, map[string]setting.Rule{
		"department": expr("first(departmentNumber)"),
		"location":   {Value: "Brussels"},
		"title":      attr("TITLE"),
		"phone":      {None: true},
		"badge":      attr("employeeNumber"),
		"teams":      expr("all(ou)"),
	})
	u := m.Map(person("departmentNumber", "D1", "departmentNumber", "D2", "title", " Engineer ", "employeeNumber", `7"7`,
		"ou", "b", "ou", "a", "ou", "b", "telephoneNumber", "1"), now)
	if len(u.Problems)+len(u.Warnings) > 0 {
		t.Fatal(u.Problems, u.Warnings)
	}
	want := account.Text{account.Username: "jdoe", account.Email: "j.doe@example.org", account.FirstName: "Jane",
		account.LastName: "Doe", account.Department: "D1", account.Location: "Brussels", account.Title: "Engineer"}
	if u.Text != want {
		t.Errorf("got %q", u.Text)
	}
	if u.Attributes != `{"badge":"7\"7","teams":["a","b"]}` {
		t.Errorf("attributes %s", u.Attributes)
	}
	if m.Manages(account.Phone) || !m.Manages(account.Title) || m.ManagesManager() || !m.ManagesAttributes() {
		t.Error("what is managed")
	}
	if got := strings.Join(m.Attributes(), " "); got != "TITLE departmentNumber employeeNumber givenName mail ou sn uid" {
		t.Error(got)
	}
	if got := m.Custom(); !slices.Equal(got, []string{"badge", "teams"}) {
		t.Error(got)
	}
}

func TestAnEntryWithoutAMandatoryFieldIsAProblem(t *testing.T) {
	m := compile(t, map[string]setting.Rule{"email": expr("firstOf(mail, upn)")})
	for name, c := range map[string]struct {
		record *directory.Record
		want   string
	}{
		"empty":             {person("uid", "  "), "username is empty (attribute uid)"},
		"control character": {person("sn", "a\x07b"), "last_name contains a control character (attribute sn)"},
		"not UTF-8":         {person("givenName", "\xff"), "first_name is not valid UTF-8 (attribute givenName)"},
		"no address":        {person("mail", "nobody"), "email is not an e-mail address (expression over mail, upn)"},
		"too long":          {person("uid", strings.Repeat("x", 255)), "username is longer than 254 characters (attribute uid)"},
	} {
		t.Run(name, func(t *testing.T) {
			u, i := m.Map(c.record, now), m.Identity(c.record, now)
			if !slices.Equal(u.Problems, []string{c.want}) || !slices.Equal(i.Problems, u.Problems) {
				t.Errorf("got %q and %q", u.Problems, i.Problems)
			}
		})
	}
}

func TestAnOptionalValueThatIsNotValidIsLeftOut(t *testing.T) {
	m := compile(t, map[string]setting.Rule{
		"mobile_phone": attr("mobile"), "phone": attr("telephoneNumber"), "language": attr("preferredLanguage"),
		"title": expr(`string(1 % len(x))`), "badge": attr("badge"), "manager": attr("manager"), "status": attr("state"),
	})
	u := m.Map(person("mobile", "ext 123", "telephoneNumber", "ask at the reception desk", "preferredLanguage", "klingonese",
		"badge", "\x00", "manager", "\xff", "state", "maybe"), now)
	want := []string{
		"mobile_phone left out: is not a valid phone number (attribute mobile)",
		"phone left out: has 20 characters or more and is no phone number (attribute telephoneNumber)",
		"language left out: is not a known language (attribute preferredLanguage)",
		"manager left out: is not valid UTF-8 (attribute manager)",
		"status left out: is not a known status; it neither disables nor enables (attribute state)",
		"badge left out: contains a control character (attribute badge)",
	}
	got := slices.DeleteFunc(slices.Clone(u.Warnings), func(s string) bool { return strings.HasPrefix(s, "title") })
	if !slices.Equal(got, want) || len(u.Warnings) != len(want)+1 || u.Disabled || len(u.Problems) > 0 {
		t.Errorf("warnings %q, problems %q", u.Warnings, u.Problems)
	}
}

func TestStatusRules(t *testing.T) {
	ad := expr("adStatus(userAccountControl, accountExpires)")
	ldap := expr("ldapStatus(pwdAccountLockedTime, shadowExpire, loginDisabled)")
	filetime := func(at time.Time) string { return fmt.Sprint(at.Unix()*1e7 + 116444736000000000) }
	day := func(at time.Time) string { return fmt.Sprint(at.Unix() / 86400) }
	soon := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	past := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		rule   setting.Rule
		attrs  []string
		why    string // "" for active
		review time.Time
	}{
		"nothing there is active":            {ad, nil, "", time.Time{}},
		"bit 2 disables":                     {ad, []string{"userAccountControl", "514"}, "userAccountControl says disabled", time.Time{}},
		"without bit 2 is active":            {ad, []string{"userAccountControl", "66048"}, "", time.Time{}},
		"expires 0 is never":                 {ad, []string{"userAccountControl", "512", "accountExpires", "0"}, "", time.Time{}},
		"expires at the largest is never":    {ad, []string{"accountExpires", "9223372036854775807"}, "", time.Time{}},
		"expired":                            {ad, []string{"accountExpires", filetime(past)}, "accountExpires says expired on 2026-11-01", time.Time{}},
		"expires at this moment":             {ad, []string{"accountExpires", filetime(now)}, "accountExpires says expired on 2026-11-21", time.Time{}},
		"expires soon is reviewed then":      {ad, []string{"accountExpires", filetime(soon)}, "", soon},
		"nonsense is active":                 {ad, []string{"userAccountControl", "x", "accountExpires", "y"}, "", time.Time{}},
		"nsAccountLock":                      {expr("lockStatus(nsAccountLock)"), []string{"nsAccountLock", "TRUE"}, "nsAccountLock says disabled", time.Time{}},
		"nsAccountLock false":                {expr("lockStatus(nsAccountLock)"), []string{"nsAccountLock", "false"}, "", time.Time{}},
		"in a deny group":                    {expr("denyStatus(denied)"), []string{"denied", "TRUE"}, "a deny group has them in it", time.Time{}},
		"in none":                            {expr("denyStatus(denied)"), nil, "", time.Time{}},
		"locked for good":                    {ldap, []string{"pwdAccountLockedTime", "000001010000Z"}, "pwdAccountLockedTime says locked for good", time.Time{}},
		"locked for a while is no leaver":    {ldap, []string{"pwdAccountLockedTime", "20261121100000Z"}, "", time.Time{}},
		"shadowExpire never":                 {ldap, []string{"shadowExpire", "-1"}, "", time.Time{}},
		"shadowExpire past":                  {ldap, []string{"shadowExpire", day(past)}, "shadowExpire says expired on 2026-11-01", time.Time{}},
		"shadowExpire to come":               {ldap, []string{"shadowExpire", day(soon)}, "", soon},
		"loginDisabled":                      {ldap, []string{"loginDisabled", "TRUE"}, "loginDisabled says disabled", time.Time{}},
		"an attribute of its own":            {attr("state"), []string{"state", "Inactive"}, "state says Inactive", time.Time{}},
		"an attribute with a number":         {attr("state"), []string{"state", "1"}, "", time.Time{}},
		"a condition":                        {expr(`state != "gone"`), []string{"state", "gone"}, "the status rule says false", time.Time{}},
		"a status function within condition": {expr(`state == "gone" ? "disabled" : adStatus(userAccountControl)`), []string{"userAccountControl", "2"}, "userAccountControl says disabled", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			u := compile(t, map[string]setting.Rule{"status": c.rule}).Map(person(c.attrs...), now)
			if u.StatusWhy != c.why || u.Disabled != (c.why != "") || !u.ReviewAt.Equal(c.review) || len(u.Warnings) > 0 {
				t.Errorf("disabled %v because %q, review %v, warnings %q", u.Disabled, u.StatusWhy, u.ReviewAt, u.Warnings)
			}
		})
	}
}

func TestRoleFallsBackToTheConnections(t *testing.T) {
	for name, c := range map[string]struct{ attrs, want string }{"given": {"boss", "boss"}, "absent": {"", "employee"}} {
		t.Run(name, func(t *testing.T) {
			m, err := Compile(base(map[string]setting.Rule{"role": attr("role")}), Options{Role: "employee"})
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Map(person("role", c.attrs), now).Text[account.Role]; got != c.want {
				t.Error(got)
			}
		})
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		rules map[string]setting.Rule
		want  string
	}{
		"a mandatory field left out":   {map[string]setting.Rule{"email": {None: true}}, "mapping: email: no rule"},
		"a field misspelled":           {map[string]setting.Rule{"Mobile-Phone": attr("m")}, "mapping: Mobile-Phone: unknown field"},
		"two places to take from":      {map[string]setting.Rule{"title": {Attribute: "a", Value: "b"}}, "mapping: title: more than one"},
		"an unknown function":          {map[string]setting.Rule{"title": expr("frist(title)")}, "mapping: title: unknown function frist, did you mean first? (line 1, column 1)"},
		"an expression that ends":      {map[string]setting.Rule{"title": expr("lower(")}, "mapping: title: "},
		"a name that is not one":       {map[string]setting.Rule{" x": attr("a")}, `mapping: " x"`},
		"a subtraction for a dash":     {map[string]setting.Rule{"title": expr("a-b")}, `attr("the-name")`},
		"a list where text is needed":  {map[string]setting.Rule{"title": expr("lower(all(a))")}, "mapping: title: cannot use list"},
		"too many arguments":           {map[string]setting.Rule{"title": expr("lower(a, b)")}, "mapping: title: too many arguments to call lower"},
		"a method":                     {map[string]setting.Rule{"title": expr("a.b")}, "mapping: title: a value has no part"},
		"a range":                      {map[string]setting.Rule{"title": expr("count(1..100000, true)")}, "mapping: title: a range"},
		"loops in loops":               {map[string]setting.Rule{"title": expr("string(any(a, any(b, true)))")}, "mapping: title: any inside another loop"},
		"lists in lists":               {map[string]setting.Rule{"title": expr("let x = [a, b]; join([x, x], a)")}, "mapping: title: a list holds texts"},
		"lists in lists by conditions": {map[string]setting.Rule{"title": expr(`join([a == "" ? all(a) : "x"], a)`)}, "mapping: title: both outcomes"},
		"a function as a clock":        {map[string]setting.Rule{"title": expr("string(now())")}, "mapping: title: unknown function now"},
		"a length beyond the limit":    {map[string]setting.Rule{"title": expr(strings.Repeat("a+", 600) + "a")}, "mapping: title: the expression has 1201 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(base(c.rules), Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || fault.KindOf(err) != fault.Invalid {
				t.Fatalf("got %v", err)
			}
			if strings.ContainsRune(err.Error()+fault.HintOf(err), 0) {
				t.Errorf("inner names show: %q", err)
			}
		})
	}
	if _, err := Compile(base(nil), Options{Region: "XX"}); fault.KindOf(err) != fault.Invalid {
		t.Error("region", err)
	}
}

func TestFingerprintChangesWithEveryRule(t *testing.T) {
	seen := map[string]string{}
	for name, more := range map[string]map[string]setting.Rule{
		"none": nil, "attribute": {"title": attr("x")}, "value": {"title": {Value: "x"}}, "expr": {"title": expr("x")},
		"left": {"title": {None: true}}, "empty": {"title": {}}, "other": {"title": attr("y")}, "custom": {"t": attr("x")},
	} {
		f := compile(t, more).Fingerprint()
		if other, ok := seen[f]; ok {
			t.Errorf("%s and %s have one fingerprint", name, other)
		}
		if seen[f] = name; f != compile(t, more).Fingerprint() {
			t.Errorf("%s is not stable", name)
		}
	}
}

func TestDNIsTheEntrysName(t *testing.T) {
	m := compile(t, map[string]setting.Rule{"department": expr(`dnPart(dn, "ou")`)})
	if got := m.Map(person(), now).Text[account.Department]; got != "people" {
		t.Error(got)
	}
	if got := m.Map(person("DN", "ou=other"), now).Text[account.Department]; got != "other" {
		t.Error(got)
	}
	if slices.Contains(m.Attributes(), "dn") {
		t.Error("dn is asked of the directory")
	}
}

func BenchmarkMapAttributeRules(b *testing.B) {
	rules := base(map[string]setting.Rule{
		"display_name": attr("cn"), "title": attr("title"), "department": attr("departmentNumber"), "location": attr("l"),
		"language": attr("preferredLanguage"), "manager": attr("manager"), "status": attr("state"), "role": attr("employeeType"),
		"badge": attr("employeeNumber"), "room": attr("roomNumber"),
	})
	m, err := Compile(rules, Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := person("objectClass", "inetOrgPerson", "cn", "Jane Doe", "title", "Engineer", "departmentNumber", "R&D", "l", "Gent",
		"preferredLanguage", "nl", "manager", "uid=boss,ou=people,dc=example,dc=org", "employeeType", "staff", "employeeNumber", "1234",
		"roomNumber", "4.12", "entryUUID", "0c6f1b3a-0000-1111-2222-333344445555", "modifyTimestamp", "20261121100000Z")
	b.ReportAllocs()
	for b.Loop() {
		if u := m.Map(r, now); len(u.Problems) > 0 {
			b.Fatal(u.Problems)
		}
	}
}

func BenchmarkMapExpressions(b *testing.B) {
	m, err := Compile(base(map[string]setting.Rule{
		"department": expr("first(departmentNumber)"), "status": expr("adStatus(userAccountControl, accountExpires)"),
	}), Options{})
	if err != nil {
		b.Fatal(err)
	}
	r := person("departmentNumber", "R&D", "userAccountControl", "512", "accountExpires", "0")
	b.ReportAllocs()
	for b.Loop() {
		m.Map(r, now)
	}
}
