package account

import (
	"encoding/json"
	"testing"
	"time"
)

func TestCanonicalJSONIsThatOfTheForm(t *testing.T) {
	for name, a := range map[string]Account{
		"a bare one": {ID: NewID("a"), Status: Active},
		"a full one": {ID: NewID("b"), Organization: "sunfix", Connection: "hq", ExternalID: "x\u2028\x01\"\\\b\f\n\r\t<&>", Manager: NewID("a"), Status: Disabled,
			Text:       Text{"zoë", "zoë@example.com", "Zoë", "🙂", "Zoë 🙂", "+32", "12", "nl", "Queen\x7f", "IT", "Brussels", "employee"},
			Attributes: `{"b":["x",1.50,1e30,-0,true,null],"a":{"\ufb33":"1","😀":2,"\r":3,"1":4}}`, Groups: []ID{NewID("g")}, CreatedAt: time.Now(), UpdatedAt: time.Now()},
	} {
		got, err := a.AppendCanonical(nil)
		if err != nil {
			t.Fatal(err)
		}
		// An application takes the export, leaves three members out, and spells it canonically.
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var form map[string]json.RawMessage
		if err := json.Unmarshal(b, &form); err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{"groups", "created_at", "updated_at"} {
			delete(form, n)
		}
		if b, err = json.Marshal(form); err != nil {
			t.Fatal(err)
		}
		want, err := AppendCanonical(nil, b)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s\n%v", name, got, want, err)
		}
	}
	g := Group{ID: NewID("g"), Organization: "sunfix", Connection: "hq", Name: "Größe", Status: Active, Members: 7}
	want := `{"connection":"hq","external_id":null,"id":"` + g.ID.String() + `","name":"Größe","organization":"sunfix","status":"active"}`
	if got := string(g.AppendCanonical(nil)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := (&Account{Attributes: "{"}).AppendCanonical(nil); err == nil {
		t.Error("attributes that are no JSON")
	}
}

// The examples of RFC 8785, sections 3.2.2 and 3.2.3.
func TestCanonicalJSONOfTheRFC(t *testing.T) {
	for in, want := range map[string]string{
		`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`:                                        `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`: "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		`[-0, 0.0]`: `[0,0]`,
	} {
		got, err := AppendCanonical(nil, []byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s\nwant\n%s\n%v", got, want, err)
		}
	}
}

func FuzzCanonicalJSONIsOneSpelling(f *testing.F) {
	f.Add(`{"b":1,"a":[true,"\u0000x"]}`)
	f.Add(`"\ud800"`)
	f.Fuzz(func(t *testing.T, s string) {
		once, err := AppendCanonical(nil, []byte(s))
		if err != nil {
			return
		}
		twice, err := AppendCanonical(nil, once)
		if err != nil || string(twice) != string(once) {
			t.Errorf("%q becomes %q and then %q, %v", s, once, twice, err)
		}
	})
}
