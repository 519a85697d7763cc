package scim

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// nulls finds null, which Entra ID's discovery cannot read, and what is no JSON type
// of an Object.
func nulls(t *testing.T, path string, v any) {
	t.Helper()
	switch v := v.(type) {
	case nil:
		t.Errorf("%s is null", path)
	case Object:
		for k, e := range v {
			nulls(t, path+"."+k, e)
		}
	case []any:
		for _, e := range v {
			nulls(t, path+"[]", e)
		}
	}
}

func TestDocuments(t *testing.T) {
	const base = "https://rollcall.example.com/scim/v2/hq"
	all := append(Schemas(base), ResourceTypes(base)...)
	all = append(all, Config(ConfigOptions{Base: base, Documentation: "https://example.com", MaxOperations: 100, MaxPayloadSize: 1 << 20, MaxResults: 500, DefaultResults: 100, CursorTimeout: 3600}))
	for _, o := range all {
		again := object(t, text(t, o))
		sameJSON(t, o, text(t, again))
		nulls(t, "", o)
		if at := o["meta"].(Object)["location"].(string); !strings.HasPrefix(at, base+"/") {
			t.Errorf("a document is at %s", at)
		}
	}
	var names []string
	for _, o := range all[:5] {
		names = append(names, o["id"].(string)+" "+o["name"].(string))
	}
	if want := []string{UserSchema + " User", EnterpriseSchema + " EnterpriseUser", GroupSchema + " Group", "User User", "Group Group"}; !slices.Equal(names, want) {
		t.Errorf("the documents are %v", names)
	}
	sameJSON(t, all[5]["pagination"], `{"cursor":true,"index":true,"defaultPaginationMethod":"index","defaultPageSize":100,"maxPageSize":500,"cursorTimeout":3600}`)
	sameJSON(t, all[5]["bulk"], `{"supported":true,"maxOperations":100,"maxPayloadSize":1048576}`)
}

// Microsoft's gallery test looks for externalId inside of the schemas, and for the
// purposes that a value may have.
func TestSchemasAreWhatEntraLooksFor(t *testing.T) {
	for _, o := range Schemas("") {
		attributes := map[string]Object{}
		for _, a := range o["attributes"].([]any) {
			attributes[a.(Object)["name"].(string)] = a.(Object)
		}
		if _, ok := attributes["externalId"]; !ok && o["id"] != EnterpriseSchema {
			t.Errorf("%s has no externalId", o["id"])
		}
		for name, a := range attributes {
			parts, _ := a["subAttributes"].([]any)
			for _, p := range parts {
				if part := p.(Object); part["name"] == "type" && part["canonicalValues"] == nil {
					t.Errorf("%s of %s has no purposes", name, o["id"])
				}
			}
			if a["type"] == "complex" && len(parts) == 0 {
				t.Errorf("%s of %s has no parts", name, o["id"])
			}
		}
	}
	for path, want := range map[string]string{"userName": "string", "emails.primary": "boolean", "meta.created": "dateTime", "id": "string", "NAME.givenname": "string", "members.$ref": "reference"} {
		p, err := ParsePath(path)
		if a, ok := Lookup("", p.Schema, p.Attr, p.Sub); err != nil || !ok || a.Type != want {
			t.Errorf("%s is %v, %v", path, a, ok)
		}
	}
	if a, ok := Lookup(User, "", "password", ""); !ok || a.Mutability != "writeOnly" || a.Returned != "never" {
		t.Errorf("password is %v", a)
	}
	if _, ok := Lookup(User, "", "members", ""); ok {
		t.Error("a user has members")
	}
	if _, ok := Lookup(Group, EnterpriseSchema, "manager", ""); ok {
		t.Error("a group has a manager")
	}
	if a, ok := Lookup(User, strings.ToUpper(EnterpriseSchema), "MANAGER", "value"); !ok || !a.CaseExact {
		t.Errorf("a manager's value is %v", a)
	}
}

func TestMessages(t *testing.T) {
	sameJSON(t, ErrorObject(Bad(InvalidFilter, "no %s", "operator")),
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400","scimType":"invalidFilter","detail":"no operator"}`)
	sameJSON(t, ErrorObject(&Error{Status: http.StatusNotFound}), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404"}`)
	sameJSON(t, ListObject(Page{Start: 1}),
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"startIndex":1,"itemsPerPage":0,"Resources":[]}`)
	sameJSON(t, ListObject(Page{Resources: []Object{{"id": "1"}}, Total: 5, Next: "n", Previous: "p"}),
		`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":5,"itemsPerPage":1,"nextCursor":"n","previousCursor":"p","Resources":[{"id":"1"}]}`)
}

func TestProject(t *testing.T) {
	const whole = `{"schemas":["s"],"id":"1","userName":"a","meta":{"created":"x"},"password":"p","name":{"givenName":"g","familyName":"f"},
		"emails":[{"value":"v","type":"work"},{"value":"w","type":"home"}],"groups":[{"value":"g1"}],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"d","manager":{"value":"5","displayName":"m"}},"urn:example:2.0:User":{"tag":"t"}}`
	const ent = `"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
	for name, c := range map[string]struct {
		attributes, excluded []string
		want                 string
	}{
		"one":                       {[]string{"userName"}, nil, `{"schemas":["s"],"id":"1","userName":"a"}`},
		"two in one text, any case": {[]string{"USERNAME, meta"}, nil, `{"schemas":["s"],"id":"1","userName":"a","meta":{"created":"x"}}`},
		"with the schema":           {[]string{UserSchema + ":userName"}, nil, `{"schemas":["s"],"id":"1","userName":"a"}`},
		"parts":                     {[]string{"name.givenName", "emails.value"}, nil, `{"schemas":["s"],"id":"1","name":{"givenName":"g"},"emails":[{"value":"v"},{"value":"w"}]}`},
		"two parts of one":          {[]string{"emails.value,emails.type", "name.givenName", "name.familyName"}, nil, `{"schemas":["s"],"id":"1","name":{"givenName":"g","familyName":"f"},"emails":[{"value":"v","type":"work"},{"value":"w","type":"home"}]}`},
		"chosen values":             {[]string{`emails[type eq "work"]`}, nil, `{"schemas":["s"],"id":"1","emails":[{"value":"v","type":"work"}]}`},
		"no values chosen":          {[]string{`emails[value eq "x"]`}, nil, `{"schemas":["s"],"id":"1"}`},
		"commas in brackets":        {[]string{`emails[value eq "v,w"],userName`}, nil, `{"schemas":["s"],"id":"1","userName":"a"}`},
		"of the extension":          {[]string{EnterpriseSchema + ":department"}, nil, `{"schemas":["s"],"id":"1",` + ent + `:{"department":"d"}}`},
		"two of the extension":      {[]string{EnterpriseSchema + ":department", EnterpriseSchema + ":manager.value"}, nil, `{"schemas":["s"],"id":"1",` + ent + `:{"department":"d","manager":{"value":"5"}}}`},
		"the whole extension":       {[]string{EnterpriseSchema}, nil, `{"schemas":["s"],"id":"1",` + ent + `:{"department":"d","manager":{"value":"5","displayName":"m"}}}`},
		"an extension nobody knows": {[]string{"urn:example:2.0:User"}, nil, `{"schemas":["s"],"id":"1","urn:example:2.0:User":{"tag":"t"}}`},
		"a part of that":            {[]string{"urn:example:2.0:User:TAG"}, nil, `{"schemas":["s"],"id":"1","urn:example:2.0:User":{"tag":"t"}}`},
		"the password":              {[]string{"password"}, nil, `{"schemas":["s"],"id":"1"}`},
		"nothing anybody knows":     {[]string{"shoeSize"}, nil, `{"schemas":["s"],"id":"1"}`},
		"all but some": {nil, []string{"groups", "emails", "name.givenName", "meta", "urn:example:2.0:User", EnterpriseSchema + ":manager"},
			`{"schemas":["s"],"id":"1","userName":"a","name":{"familyName":"f"},` + ent + `:{"department":"d"}}`},
		"all but some values, and an extension": {nil, []string{`emails[type eq "work"]`, EnterpriseSchema, "groups", "name,meta", "urn:example:2.0:User:tag"},
			`{"schemas":["s"],"id":"1","userName":"a","emails":[{"value":"w","type":"home"}],"urn:example:2.0:User":{}}`},
		"what always comes cannot be left out":        {[]string{"userName"}, []string{"id", "schemas"}, `{"schemas":["s"],"id":"1","userName":"a"}`},
		"both lists":                                  {[]string{"name", "userName"}, []string{"name.givenName"}, `{"schemas":["s"],"id":"1","userName":"a","name":{"familyName":"f"}}`},
		"an empty list leaves all but the password":   {[]string{"", " "}, []string{"emails,groups,name,meta,urn:example:2.0:User", EnterpriseSchema}, `{"schemas":["s"],"id":"1","userName":"a"}`},
		"all of the core schema, as a client may ask": {[]string{UserSchema}, []string{"emails", "name", "groups"}, `{"schemas":["s"],"id":"1","userName":"a"}`},
	} {
		t.Run(name, func(t *testing.T) {
			o := object(t, whole)
			got, err := Project(User, o, c.attributes, c.excluded)
			if err != nil {
				t.Fatal(err)
			}
			sameJSON(t, got, c.want)
			sameJSON(t, o, whole) // what was given is as it was
		})
	}
	_, err := Project(User, Object{}, []string{"a b"}, nil)
	isError(t, err, InvalidValue)
	got, err := Project(Group, object(t, `{"schemas":["s"],"id":"1","displayName":"g","members":[{"value":"1"}]}`), nil, []string{"members"})
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, got, `{"schemas":["s"],"id":"1","displayName":"g"}`)
}

func TestBulk(t *testing.T) {
	ops, fail, err := ParseBulk([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"failOnErrors":1,"Operations":[
		{"method":"post","path":"/Users","bulkId":"q","data":{"userName":"a"}},
		{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"g","members":[{"value":"bulkId:q"}]}},
		{"method":"PATCH","path":"/Groups/bulkId:g","version":"W/\"1\"","data":{"Operations":[]}},
		{"method":"DELETE","path":"/Users/5"}]}`), 4)
	if err != nil || fail != 1 || len(ops) != 4 || ops[0].Method != "POST" || ops[2].Version != `W/"1"` || ops[3].Data != nil {
		t.Fatalf("%v, %d, %v", ops, fail, err)
	}
	if missing, err := ops[1].Resolve(map[string]string{}); err != nil || missing != "q" {
		t.Errorf("missing %q, %v", missing, err)
	}
	ids := map[string]string{"q": "u1", "g": "g1"}
	for i := range ops {
		if missing, err := ops[i].Resolve(ids); err != nil || missing != "" {
			t.Errorf("operation %d: missing %q, %v", i, missing, err)
		}
	}
	if string(ops[1].Data) != `{"displayName":"g","members":[{"value":"u1"}]}` || ops[2].Path != "/Groups/g1" {
		t.Errorf("resolved: %s, %s", ops[1].Data, ops[2].Path)
	}
	text := BulkOperation{Path: "/Users", Data: []byte(`{"displayName":"bulkId:q","manager":"bulkId:q","title":"see bulkId:g","urn:x":{"manager":{"value":"bulkId:g","displayName":"bulkId:g"}}}`)}
	if needs, err := text.Needs(); err != nil || len(needs) != 2 {
		t.Errorf("needs %v, %v", needs, err)
	}
	if missing, err := text.Resolve(ids); err != nil || missing != "" || string(text.Data) != `{"displayName":"bulkId:q","manager":"u1","title":"see bulkId:g","urn:x":{"manager":{"displayName":"bulkId:g","value":"g1"}}}` {
		t.Errorf("texts that name nothing: %s, %q, %v", text.Data, missing, err)
	}
	one := `{"method":"DELETE","path":"/Users/5"}`
	_, _, err = ParseBulk([]byte(`{"Operations":[`+one+`,`+one+`]}`), 1)
	isError(t, err, TooMany)
	for name, in := range map[string]string{
		"nothing":                 ``,
		"no operations":           `{"Operations":[]}`,
		"a number of errors":      `{"failOnErrors":"x","Operations":[` + one + `]}`,
		"fewer than no errors":    `{"failOnErrors":-1,"Operations":[` + one + `]}`,
		"an operation that is 5":  `{"Operations":[5]}`,
		"a method that is none":   `{"Operations":[{"method":"GET","path":"/Users/5"}]}`,
		"a path that is none":     `{"Operations":[{"method":"DELETE","path":"Users/5"}]}`,
		"a path that is no text":  `{"Operations":[{"method":"DELETE","path":5}]}`,
		"a POST without a name":   `{"Operations":[{"method":"POST","path":"/Users","data":{}}]}`,
		"a PUT without data":      `{"Operations":[{"method":"PUT","path":"/Users/5"}]}`,
		"a name that comes twice": `{"Operations":[{"method":"POST","path":"/Users","bulkId":"a","data":{}},{"method":"POST","path":"/Users","bulkId":"a","data":{}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ParseBulk([]byte(in), 10)
			isError(t, err, InvalidSyntax)
		})
	}
}

func FuzzBulk(f *testing.F) {
	f.Add([]byte(`{"failOnErrors":1,"Operations":[{"method":"POST","path":"/Users","bulkId":"q","data":{"userName":"bulkId:q"}},{"method":"delete","path":"/Users/5"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ops, fail, err := ParseBulk(raw, 5)
		if err != nil {
			if !ours(err) {
				t.Fatalf("error %v is not one of this protocol", err)
			}
			return
		}
		if len(ops) == 0 || len(ops) > 5 || fail < 0 {
			t.Errorf("%d operations, %d errors", len(ops), fail)
		}
		for _, op := range ops {
			if _, err := op.Resolve(map[string]string{"q": "5"}); err != nil {
				t.Errorf("%s: %v", op.Data, err)
			}
		}
	})
}
