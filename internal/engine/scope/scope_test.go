package scope

import (
	"reflect"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/fault"
)

func jane() *mapping.User {
	return &mapping.User{
		Text:       account.Text{account.Username: "jane", account.Email: "jane@example.org", account.Department: "Sales"},
		Manager:    "uid=boss",
		Attributes: `{"badge":"7","cost-centre":"B1","teams":["Blue","Red"]}`,
	}
}

func TestRulesOverMappedFields(t *testing.T) {
	for rule, want := range map[string]bool{
		`department == "Sales"`:                       true,
		`department in ["Sales", "Support"]`:          true,
		`email endsWith "@partner.example"`:           false,
		`status == "active" and manager != ""`:        true,
		`title == ""`:                                 true,
		`"Blue" in teams`:                             true,
		`contains(teams, "red")`:                      true,
		`not contains(teams, "green")`:                true,
		`any(teams, # startsWith "B") && badge > "6"`: true,
		`attr("cost-centre") == "B1"`:                 true,
		`regexMatch(username, "^[a-z]+$")`:            true,
		`username matches "^x"`:                       false,
		`len(teams) == 4`:                             true, // a bare name is text: "Blue"
		`len(all(teams)) == 2`:                        true,
		`location startsWith "B"`:                     false,
	} {
		t.Run(rule, func(t *testing.T) {
			s, err := Compile([]string{rule}, "badge", "cost-centre", "teams")
			if err != nil {
				t.Fatal(err)
			}
			ok, why := s.Admits(jane())
			if ok != want || (why == "") != want {
				t.Errorf("got %v because %q", ok, why)
			}
		})
	}
}

func TestTheFirstRuleThatIsFalseIsNamed(t *testing.T) {
	s, err := Compile([]string{`department == "Sales"`, `username == "x"`, `1 % len(title) == 0`})
	if err != nil {
		t.Fatal(err)
	}
	if ok, why := s.Admits(jane()); ok || why != `scope rule username == "x" is false` {
		t.Errorf("got %v because %q", ok, why)
	}
	got := s.Trace(jane())
	if len(got) != 3 || got[2].Err == "" {
		t.Fatalf("got %+v", got)
	}
	got[2].Err = ""
	want := []Clause{{Expr: `department == "Sales"`, Holds: true}, {Expr: `username == "x"`}, {Expr: `1 % len(title) == 0`}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestNoRulesAdmitEverybody(t *testing.T) {
	s, err := Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, why := s.Admits(jane()); !ok || why != "" || len(s.Trace(jane())) != 0 {
		t.Error(ok, why)
	}
}

func TestAStateKeepsNothingOfTheUserBefore(t *testing.T) {
	s, err := Compile([]string{`"Blue" in teams or department == "Sales"`}, "teams")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if ok, _ := s.Admits(jane()); !ok {
			t.Fatal("jane is out")
		}
		if ok, _ := s.Admits(&mapping.User{}); ok {
			t.Fatal("nobody is in")
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	for rule, want := range map[string]string{
		`departmnt == "Sales"`:             `scope: rule 2 (departmnt == "Sales"): unknown name departmnt, did you mean department? (line 1, column 1)`,
		`department`:                       "expected bool",
		`department = "Sales"`:             "scope: rule 2",
		`badge == "7"`:                     "unknown name badge",
		`adStatus(username) == "disabled"`: "belongs in the mapping's status rule",
		`memberOf("Sales")`:                "attribute that is not mapped",
		`$env["username"] == "x"`:          "unknown name $env",
		``:                                 "is empty",
	} {
		t.Run(rule, func(t *testing.T) {
			_, err := Compile([]string{"true", rule})
			if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFingerprintTellsRulesApart(t *testing.T) {
	a, _ := Compile([]string{"true", "false"})
	b, _ := Compile([]string{"true"})
	c, _ := Compile([]string{"true", "false"})
	if a.Fingerprint() == b.Fingerprint() || a.Fingerprint() != c.Fingerprint() {
		t.Error("fingerprints")
	}
}

func BenchmarkAdmits(b *testing.B) {
	s, err := Compile([]string{`department in ["Sales", "Support"]`, `status == "active"`})
	if err != nil {
		b.Fatal(err)
	}
	u := jane()
	b.ReportAllocs()
	for b.Loop() {
		if ok, why := s.Admits(u); !ok {
			b.Fatal(why)
		}
	}
}
