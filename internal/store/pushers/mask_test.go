package pushers_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/store/pushers"
)

func TestWhatIsKeptOfABody(t *testing.T) {
	for what, c := range map[string]struct {
		mode      pushers.Mode
		in, wants string
	}{
		"a user keeps names, IDs, types and booleans": {pushers.Masked,
			`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"7d1c","externalId":"janna","userName":"anna@sun.example","active":true,"name":{"givenName":"Ännchen"},"emails":[{"primary":true,"type":"work","value":"anna@sun.example"}],"title":null,"meta":{"resourceType":"User","location":"/Users/7d1c"}}`,
			`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"7d1c","externalId":"j…","userName":"a…","active":true,"name":{"givenName":"Ä…"},"emails":[{"primary":true,"type":"work","value":"a…"}],"title":null,"meta":{"resourceType":"User","location":"/Users/7d1c"}}`},
		"a manager and members are IDs, their names are not": {pushers.Masked,
			`{"members":[{"value":"m1","display":"Bob","$ref":"x/m1"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"b1","displayName":"Bob"},"employeeNumber":"17"}}`,
			`{"members":[{"value":"m1","display":"B…","$ref":"x/m1"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"b1","displayName":"B…"},"employeeNumber":"1…"}}`},
		"an operation keeps what it does": {pushers.Masked,
			`{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"anna@sun.example"},{"op":"Add","path":"members","value":[{"$ref":null,"value":"m1"}]},{"op":"Replace","path":"active","value":"False"},{"op":"add","value":"b1","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"}]}`,
			`{"Operations":[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"a…"},{"op":"Add","path":"members","value":[{"$ref":null,"value":"m1"}]},{"op":"Replace","path":"active","value":"False"},{"op":"add","value":"b1","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"}]}`},
		"an operation without a path has dotted keys":            {pushers.Masked, `{"op":"replace","value":{"name.givenName":"Anna","active":false,"members":[{"value":"m1"}]}}`, `{"op":"replace","value":{"name.givenName":"A…","active":false,"members":[{"value":"m1"}]}}`},
		"values in paths are people's":                           {pushers.Masked, `{"op":"remove","path":"emails[value eq \"anna@sun.example\"]"}`, `{"op":"remove","path":"emails[value eq \"a…\"]"}`},
		"members in paths are IDs":                               {pushers.Masked, `{"op":"remove","path":"members[value eq \"m1\"]"}`, `{"op":"remove","path":"members[value eq \"m1\"]"}`},
		"a password leaves nothing":                              {pushers.Masked, `{"password":"topsecret","name":"x"}`, `{"password":"(removed)","name":"x…"}`},
		"a password leaves nothing when all is kept":             {pushers.Full, `{"Password":"topsecret","userName":"anna"}`, `{"Password":"(removed)","userName":"anna"}`},
		"an operation on a password leaves nothing":              {pushers.Full, `{"op":"replace","value":"topsecret","path":"password"}`, `{"op":"replace","value":"(removed)","path":"password"}`},
		"an operation on a password in an object leaves nothing": {pushers.Full, `{"op":"replace","value":{"urn:x:User:password":"topsecret","a.password":7}}`, `{"op":"replace","value":{"urn:x:User:password":"(removed)","a.password":"(removed)"}}`},
		"an access token leaves nothing":                         {pushers.Full, `{"access_token":"rca_x","token_type":"Bearer","expires_in":3600}`, `{"access_token":"(removed)","token_type":"(removed)","expires_in":3600}`},
		"what was cut before it said its path leaves nothing":    {pushers.Full, `{"Operations":[{"op":"replace","value":"topsecret","pa`, `{"Operations":[{"op":"replace","value":"(removed)"…}…]…}`},
		"what was cut is masked as far as it goes":               {pushers.Masked, `{"userName":"anna","name":{"givenName":"Ann`, `{"userName":"a…","name":{…}…}`},
		"an error says what is wrong, but not with whom":         {pushers.Masked, `{"status":"409","scimType":"uniqueness","detail":"userName \"anna\" is taken"}`, `{"status":"409","scimType":"uniqueness","detail":"userName \"a…\" is taken"}`},
		"a list keeps its numbers":                               {pushers.Masked, `{"totalResults":12,"startIndex":1,"Resources":[]}`, `{"totalResults":12,"startIndex":1,"Resources":[]}`},
		"a number of a person's":                                 {pushers.Masked, `{"badge":4711}`, `{"badge":"4…"}`},
		"an ID of an identity provider":                          {pushers.Masked, `{"externalId":"7D1C8F66-0000-4000-8000-00AA00BB00CC"}`, `{"externalId":"7D1C8F66-0000-4000-8000-00AA00BB00CC"}`},
		"JSON in a text is a text":                               {pushers.Masked, `{"roles":[{"value":"{\"value\":\"boss\"}"}]}`, `{"roles":[{"value":"{…"}]}`},
		"a form is not kept":                                     {pushers.Full, `grant_type=client_credentials&client_secret=x`, `(45 bytes that are not a JSON object)`},
		"nothing is nothing":                                     {pushers.Masked, " \n", ""},
		"off keeps no body":                                      {pushers.Off, `{"id":"1"}`, ""},
	} {
		if got := pushers.Mask([]byte(c.in), c.mode); got != c.wants {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, c.wants)
		}
	}
}

func TestWhatIsKeptOfAQuery(t *testing.T) {
	for in, want := range map[string]string{
		``:                       ``,
		`startIndex=1&count=100`: `startIndex=1&count=100`,
		`filter=userName+eq+%22anna%22&aadOptscim062020`:                                            `filter=userName eq "a…"&aadOptscim062020`,
		`filter=externalId+eq+jyoung`:                                                               `filter=externalId eq j…`,
		`filter=emails%5Btype+eq+%22work%22%5D.value+eq+%22anna%40sun%22`:                           `filter=emails[type eq "work"].value eq "a…"`,
		`filter=id+eq+%22g1%22+and+members+eq+%22m1%22`:                                             `filter=id eq "g1" and members eq "m1"`,
		`filter=id+eq+u1+and+manager+eq+m1`:                                                         `filter=id eq u1 and manager eq m1`,
		`filter=userName+eq+%22an%5C%22na%22`:                                                       `filter=userName eq "a…"`,
		`filter=userName+eq+%22anna`:                                                                `filter=userName eq "a…"`,
		`filter=not+(name.familyName+co+%22O%27Malley%22)+or+active+eq+true`:                        `filter=not (name.familyName co "O…") or active eq true`,
		`filter=password+eq+%22topsecret%22`:                                                        `filter=password eq "(removed)"`,
		`filter=urn:ietf:params:scim:schemas:core:2.0:User:userName+sw+%22j%22&attributes=userName`: `filter=urn:ietf:params:scim:schemas:core:2.0:User:userName sw "j…"&attributes=userName`,
		`access_token=rcp_abc&name=anna`:                                                            `access_token=(removed)&name=a…`,
		`filter=%zz`:                                                                                `filter=%…`,
	} {
		if got := pushers.MaskQuery(in, pushers.Masked); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", in, got, want)
		}
	}
	if got := pushers.MaskQuery(`filter=userName+eq+%22anna%22&access_token=x`, pushers.Full); got != `filter=userName eq "anna"&access_token=(removed)` {
		t.Errorf("in full: %s", got)
	}
}

// Whatever comes, a marked value is in nothing that is kept, nor is a body of another
// form than it had.
func FuzzMask(f *testing.F) {
	for _, s := range []string{`{"a":"Xmarked"}`, `{"op":"x","value":"Xmarked","path":"a"}`, `[{"value":"Xmarked"}]`, `{"members":{"display":"Xmarked"}}`, `{"detail":"\"Xmarked\""}`, `{"a":`, `{"a":{"b":[[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, mode := range []pushers.Mode{pushers.Masked, pushers.Full} {
			kept := pushers.Mask(body, mode)
			if len(kept) > pushers.MostBody || utf8.Valid(body) && !utf8.ValidString(kept) {
				t.Errorf("%d bytes are kept: %.100q", len(kept), kept)
			}
			if json.Valid(body) && strings.HasPrefix(kept, "{") && len(kept) < pushers.MostBody/2 && !strings.Contains(string(body), "…") && !json.Valid([]byte(kept)) {
				t.Errorf("%s became %s", body, kept)
			}
		}
		whole, err := json.Marshal(map[string]any{"password": string(body), "userName": "x" + string(body)})
		if err != nil {
			t.Fatal(err)
		}
		if kept := pushers.Mask(whole, pushers.Masked); kept != `{"password":"(removed)","userName":"x…"}` && len(body) > 0 {
			t.Errorf("%s became %s", whole, kept)
		}
	})
}

func FuzzMaskQuery(f *testing.F) {
	for _, s := range []string{`filter=a+eq+%22b%22`, `filter=a[b eq "c"].d eq e`, `a&b=c`, `filter="`, `%`, `filter=\"\\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if kept := pushers.MaskQuery(query, pushers.Masked); strings.Contains(kept, "&&&&&&&") && !strings.Contains(query, "&") {
			t.Errorf("%q became %q", query, kept)
		}
		quoted := `filter=userName eq "` + strings.NewReplacer(`"`, ``, `\`, ``, `&`, ``, `%`, ``, `+`, ``).Replace(query) + `marked"`
		if kept := pushers.MaskQuery(quoted, pushers.Masked); strings.Contains(kept, "marked") {
			t.Errorf("%q became %q", quoted, kept)
		}
	})
}
