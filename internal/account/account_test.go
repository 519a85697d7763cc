package account

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
)

func TestNamesAreComparedInOneForm(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain ASCII", "Anna.Ames@Example.ORG", "anna.ames@example.org"},
		{"space around", " \t anna \n", "anna"},
		{"a no-break space around", "\u00a0anna\u00a0", "anna"},
		{"space within stays", "anna  ames", "anna  ames"},
		{"nothing", "   ", ""},
		{"umlauts", "JÖRG", "jörg"},
		{"an umlaut written as two characters", "Jo\u0308rg", "jörg"},
		{"an accent on a capital, as two characters", "E\u0301RIC", "éric"},
		{"German sharp s is ss", "Straße", "strasse"},
		{"the capital sharp s too", "STRAẞE", "strasse"},
		{"Greek final sigma", "ΟΔΥΣΣΕΥΣ", "οδυσσευσ"},
		{"Greek final sigma in small letters", "οδυσσευς", "οδυσσευσ"},
		{"Cyrillic", "ИВАН", "иван"},
		{"the Kelvin sign is a k", "\u212aelvin", "kelvin"},
		// Folding knows no language. A Turkish ı is a letter of its own, and not the
		// small form of I; İ keeps its dot. Two people may differ in that alone.
		{"Turkish dotless i stays", "ırmak", "ırmak"},
		{"and is not what I becomes", "IRMAK", "irmak"},
		{"Turkish dotted capital I keeps its dot", "İrem", "i\u0307rem"},
		{"wide letters stay wide", "Ａnna", "ａnna"},
		{"Chinese has no case", "王伟", "王伟"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Fold(c.in); got != c.want {
				t.Errorf("%q is compared as %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Anna", "Straße", "Jo\u0308rg", "ırmak", "İ", "\xff", " \u00a0", "ᾼ", "\u0345"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Fold(s)
		if again := Fold(" " + s + "\t"); again != got {
			t.Fatalf("with space around %q is compared as %q, else as %q", s, again, got)
		}
		if !norm.NFC.IsNormalString(got) {
			t.Fatalf("%q is compared as %q, which is not NFC", s, got)
		}
		ascii := strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
		if ascii && got != Fold(strings.ToUpper(s)) {
			t.Fatalf("%q is compared as %q, in capitals as %q", s, got, Fold(strings.ToUpper(s)))
		}
	})
}

func TestAnIDFollowsFromItsParts(t *testing.T) {
	id := NewID("sunfix", "hq", "user", "4f1d-x")
	// Accounts that exist carry IDs made this way: this text never changes.
	if got := id.String(); got != "8c023a16-8b33-8c6e-a0aa-c8e16559c6df" {
		t.Errorf("the ID is %s", got)
	}
	if id != NewID("sunfix", "hq", "user", "4f1d-x") {
		t.Error("the same parts give another ID")
	}
	seen := map[ID]string{}
	for _, parts := range [][]string{
		{"sunfix", "hq", "user", "4f1d-x"}, {"sunfix", "hq", "user", "4f1d-X"}, {"sunfix", "hq", "group", "4f1d-x"}, {"sunfix", "lab", "user", "4f1d-x"},
		{"sunfixh", "q", "user", "4f1d-x"}, {"sunfix", "hq", "user4f1d-x"}, {"sunfix", "hq", "user", "4f1d-x", ""}, {"sunfix", "hq", "user", "4f1d-x", "2"}, {}, {""},
	} {
		id := NewID(parts...)
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %s have one ID", parts, other)
		}
		seen[id] = strings.Join(parts, "|")
		// RFC 9562, 5.8: version 8, variant 10.
		if text := id.String(); len(text) != 36 || text[14] != '8' || !strings.ContainsRune("89ab", rune(text[19])) {
			t.Errorf("%s is not a version 8 UUID", text)
		}
	}
}

func TestOnlyAnIDIsReadAsOne(t *testing.T) {
	id := NewID("a")
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"its own text", id.String(), true},
		{"in capitals", strings.ToUpper(id.String()), true},
		{"without hyphens", strings.ReplaceAll(id.String(), "-", ""), false},
		{"hyphens in another place", "----" + strings.ReplaceAll(id.String(), "-", ""), false},
		{"hyphens in place of digits", strings.Repeat("-", 36), false},
		{"a letter that is no digit", "g" + id.String()[1:], false},
		{"braces", "{" + id.String() + "}", false},
		{"space", " " + id.String(), false},
		{"nothing", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseID(c.in)
			if (err == nil) != c.ok || c.ok && got != id || !c.ok && !got.IsZero() {
				t.Errorf("%q gives %v, %v", c.in, got, err)
			}
		})
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{NewID("a").String(), "", "-", strings.Repeat("0", 36), "00000000-0000-0000-0000-000000000000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			return
		}
		if !id.IsZero() && id.String() != strings.ToLower(s) {
			t.Fatalf("%q is read as %s", s, id)
		}
	})
}

func TestAnIDIsStoredAsBytes(t *testing.T) {
	for _, id := range []ID{{}, NewID("a")} {
		v, err := id.Value()
		if err != nil || id.IsZero() != (v == nil) {
			t.Errorf("%v is stored as %v: %v", id, v, err)
		}
		got := NewID("what was there before")
		if err := got.Scan(v); err != nil || got != id {
			t.Errorf("%v comes back as %v: %v", id, got, err)
		}
		text, err := id.MarshalText()
		got = NewID("what was there before")
		if err != nil || got.UnmarshalText(text) != nil || got != id {
			t.Errorf("%v comes back from %q as %v: %v", id, text, got, err)
		}
	}
	var id ID
	for _, bad := range []any{[]byte("short"), "a text", 7, []byte{}} {
		if id.Scan(bad) == nil {
			t.Errorf("%v is read as %v", bad, id)
		}
	}
	if id.UnmarshalText([]byte("nobody")) == nil {
		t.Error("a word is read as an ID")
	}
}

// full is an account with every field set.
func full() Account {
	at := time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)
	a := Account{ID: NewID("anna"), Organization: "sunfix", Connection: "hq", ExternalID: "4f1d", Manager: NewID("bo"), Status: Active,
		Attributes: `{"badge":"A<7","teams":["x"]}`, Groups: []ID{NewID("g")}, CreatedAt: at, UpdatedAt: at.Add(time.Hour)}
	a.Text = Text{"anna", "anna@x.org", "Anna", "Ämes", "Anna Ämes", "+3225550101", "0101", "de", "Lead", "R&D", "Brussels", "employee"}
	return a
}

// These are the forms of the product contract: every key, in this order, and
// null for what is absent.
const (
	fullJSON = `{"id":"` + annaID + `","organization":"sunfix","connection":"hq","external_id":"4f1d",` +
		`"username":"anna","email":"anna@x.org","first_name":"Anna","last_name":"Ämes","display_name":"Anna Ämes",` +
		`"mobile_phone":"+3225550101","phone":"0101","language":"de","title":"Lead","department":"R\u0026D","location":"Brussels",` +
		`"manager":"` + boID + `","role":"employee","status":"active","attributes":{"badge":"A\u003c7","teams":["x"]},"groups":["` + groupID + `"],` +
		`"created_at":"2026-03-01T09:30:00.123456Z","updated_at":"2026-03-01T10:30:00.123456Z"}`
	emptyJSON = `{"id":null,"organization":null,"connection":null,"external_id":null,` +
		`"username":null,"email":null,"first_name":null,"last_name":null,"display_name":null,` +
		`"mobile_phone":null,"phone":null,"language":null,"title":null,"department":null,"location":null,` +
		`"manager":null,"role":null,"status":null,"attributes":{},"groups":[],"created_at":null,"updated_at":null}`
	annaID  = "ANNA"
	boID    = "BO"
	groupID = "GROUP"
)

func TestTheJSONFormIsTheContract(t *testing.T) {
	ids := strings.NewReplacer(annaID, NewID("anna").String(), boID, NewID("bo").String(), groupID, NewID("g").String())
	for _, c := range []struct {
		name string
		a    Account
		want string
	}{{"everything set", full(), ids.Replace(fullJSON)}, {"nothing set", Account{}, emptyJSON}} {
		t.Run(c.name, func(t *testing.T) {
			got, err := json.Marshal(c.a)
			if err != nil || string(got) != c.want {
				t.Errorf("%s\nwant\n%s\n%v", got, c.want, err)
			}
			var back Account
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			if again, err := json.Marshal(back); err != nil || !bytes.Equal(again, got) {
				t.Errorf("it comes back as %s, %v", again, err)
			}
		})
	}
}

func TestWhatIsNotInTheJSONFormIsAbsent(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"an empty object", `{}`, true},
		{"null in every place", emptyJSON, true},
		{"keys nobody knows", `{"shoe_size": 42}`, true},
		{"an ID that is none", `{"id": "anna"}`, false},
		{"a list", `[]`, false},
		{"half an object", `{"id"`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a Account
			err := json.Unmarshal([]byte(c.in), &a)
			if (err == nil) != c.ok {
				t.Fatal(err)
			}
			a.Groups = nil
			if c.ok && !reflect.DeepEqual(a, Account{}) {
				t.Errorf("%+v", a)
			}
		})
	}
}

func TestAGroupInJSON(t *testing.T) {
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	g := Group{ID: NewID("g"), Organization: "sunfix", Connection: "hq", ExternalID: "cn=a", Name: "All", Status: Active, Members: 3, Version: 9, CreatedAt: at, UpdatedAt: at}
	want := `{"id":"` + g.ID.String() + `","organization":"sunfix","connection":"hq","external_id":"cn=a","name":"All","status":"active","members":3,` +
		`"created_at":"2026-03-01T09:30:00Z","updated_at":"2026-03-01T09:30:00Z"}`
	if got, err := json.Marshal(g); err != nil || string(got) != want {
		t.Errorf("%s\nwant\n%s\n%v", got, want, err)
	}
	g.ExternalID = ""
	if got, err := json.Marshal(g); err != nil || !bytes.Contains(got, []byte(`"external_id":null`)) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestFieldsAndTheirNames(t *testing.T) {
	if len(FieldNames()) != len(Text{}) {
		t.Fatalf("%d names of %d fields", len(FieldNames()), len(Text{}))
	}
	for i, name := range FieldNames() {
		if f, ok := FieldNamed(name); !ok || f != Field(i) || f.String() != name {
			t.Errorf("field %d, %q, is found as %v, %v", i, name, f, ok)
		}
	}
	for _, name := range []string{"", "Username", "manager", "status", "external_id"} {
		if f, ok := FieldNamed(name); ok {
			t.Errorf("%q is found as %v", name, f)
		}
	}
	var got []string
	for _, f := range Mandatory {
		got = append(got, f.String())
	}
	if want := "username email first_name last_name"; strings.Join(got, " ") != want {
		t.Errorf("mandatory are %s, want %s", got, want)
	}
}
