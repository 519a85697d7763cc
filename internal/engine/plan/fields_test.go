package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
)

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// every is each field a set can hold, alone.
func every() map[string]Fields {
	out := map[string]Fields{"manager": FieldManager, "status": FieldStatus, "attributes": FieldAttributes, "connection": FieldLink}
	for i, name := range account.FieldNames() {
		out[name] = Text(account.Field(i))
	}
	return out
}

// whole is an account with a value in every field, all of them told apart.
func whole(mark string) *account.Account {
	a := &account.Account{Connection: "c" + mark, ExternalID: "x" + mark, Manager: account.NewID(mark), Status: account.Status("s" + mark), Cause: account.Cause("k" + mark), Attributes: `{"a":"` + mark + `"}`}
	for i := range a.Text {
		a.Text[i] = account.FieldNames()[i] + mark
	}
	return a
}

func TestEachFieldIsABitOfItsOwn(t *testing.T) {
	var all Fields
	for name, f := range every() {
		if all&f != 0 || f == 0 || f&(f-1) != 0 {
			t.Errorf("%s is %b, among %b", name, f, all)
		}
		all |= f
		if got := strings.Join(f.Names(), ","); got != name && got != name+",external_id" {
			t.Errorf("%s is named %s", name, got)
		}
	}
	if got, want := strings.Join(all.Names(), ","), "username,email,first_name,last_name,display_name,mobile_phone,phone,language,title,department,location,role,manager,status,attributes,connection,external_id"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !all.Has(FieldStatus|FieldLink) || FieldStatus.Has(FieldStatus|FieldLink) || !all.Has(0) {
		t.Error("Has does not ask for all")
	}
}

func TestDiffOverlayAndOnlyAgree(t *testing.T) {
	for name, f := range every() {
		a, b := whole("1"), whole("2")
		f.Overlay(a, b)
		if got := Diff(a, whole("1")); got != f {
			t.Errorf("%s: the overlay changed %v", name, got.Names())
		}
		if got := Diff(f.Only(b), &account.Account{}); got != f {
			t.Errorf("%s: the copy holds %v", name, got.Names())
		}
		cleared := whole("1")
		f.Overlay(cleared, &account.Account{})
		want := f &^ (FieldStatus | FieldLink) // which are never empty
		if got := f.Cleared(whole("1"), cleared); got != want {
			t.Errorf("%s: cleared %v", name, got.Names())
		}
		if got := f.Cleared(cleared, whole("1")); got != 0 {
			t.Errorf("%s: filled in counts as cleared: %v", name, got.Names())
		}
		if got := Fields(0).Cleared(whole("1"), cleared); got != 0 {
			t.Errorf("%s: cleared outside of the set: %v", name, got.Names())
		}
	}
	if got := Diff(whole("1"), whole("1")); got != 0 {
		t.Errorf("an account differs from itself in %v", got.Names())
	}
}

func TestAPartOfAFieldIsADifference(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(a *account.Account)
		want   Fields
	}{
		{"the cause alone", func(a *account.Account) { a.Cause = account.ByOperator }, FieldStatus},
		{"the external ID alone", func(a *account.Account) { a.ExternalID = "y" }, FieldLink},
		{"the case of a letter", func(a *account.Account) { a.Text[account.Username] = "USERNAME1" }, Text(account.Username)},
		{"what is not a field", func(a *account.Account) { a.Version, a.Organization, a.ID = 9, "other", account.NewID("z") }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := whole("1")
			c.change(a)
			if got := Diff(whole("1"), a); got != c.want {
				t.Errorf("%v", got.Names())
			}
		})
	}
}

func TestBeforeAndAfterInJSON(t *testing.T) {
	a := whole("1")
	a.Text[account.Title], a.Text[account.Department] = "", `R&D "<x>" `+"\u2028ü\x01"
	for _, c := range []struct {
		name string
		f    Fields
		a    *account.Account
		want string
	}{
		{"nothing there", FieldStatus, nil, `null`},
		{"no fields", 0, a, `{}`},
		{"a value and an absent one", Text(account.Title) | Text(account.Email), a, `{"email":"email1","title":null}`},
		{"letters that need care", Text(account.Department), a, `{"department":"R\u0026D \"\u003cx\u003e\" \u2028ü\u0001"}`},
		{"all that is no text", FieldManager | FieldStatus | FieldAttributes | FieldLink, a,
			`{"manager":"` + account.NewID("1").String() + `","status":"s1","attributes":{"a":"1"},"connection":"c1","external_id":"x1"}`},
		{"all that is no text, absent", FieldManager | FieldStatus | FieldAttributes | FieldLink, &account.Account{},
			`{"manager":null,"status":null,"attributes":{},"connection":null,"external_id":null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.f.JSON(c.a)
			if string(got) != c.want || !json.Valid(got) {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "plain", `"`, `\`, "<&>", "\u2028", "\xff", "ü", "\x00\x7f", "a\tb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := appendString(nil, s), mustJSON(t, s); string(got) != string(want) {
			t.Fatalf("%q is written as %s, want %s", s, got, want)
		}
	})
}

func TestEverythingIsWhatHasAValue(t *testing.T) {
	if got := Everything(&account.Account{}); got != FieldStatus|FieldLink {
		t.Errorf("of nothing: %v", got.Names())
	}
	if got := Everything(whole("1")); len(got.Names()) != len(account.FieldNames())+5 {
		t.Errorf("of all: %v", got.Names())
	}
}
