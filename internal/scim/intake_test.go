package scim

import (
	"reflect"
	"strings"
	"testing"
)

func TestIntake(t *testing.T) {
	const ent = `"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
	const user = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a"`
	const both = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User",` + ent + `],"userName":"a"`
	for name, c := range map[string]struct{ in, want string }{
		"the least there is":                        {`{"userName":"a"}`, `{` + user + `}`},
		"values as they were sent":                  {`{"userName":"a","displayName":"  É <&> \u2028 "}`, `{` + user + `,"displayName":"  É <&> \u2028 "}`},
		"names in any case":                         {`{"USERNAME":"a","Name":{"GivenName":"x"},"emails":[{"Primary":true,"VALUE":"v"}]}`, `{` + user + `,"name":{"givenName":"x"},"emails":[{"primary":true,"value":"v"}]}`},
		"names spelled as the schema has them win":  {`{"USERNAME":"b","userName":"a"}`, `{` + user + `}`},
		"what the server sets, and the password":    {`{"userName":"a","id":"5","meta":{"resourceType":"User"},"groups":[{"value":"g"}],"password":"secret","schemas":["x"]}`, `{` + user + `}`},
		"what nobody knows":                         {`{"userName":"a","userame":"b","emails":[{"value":"v","strength":5}]}`, `{` + user + `,"emails":[{"value":"v"}]}`},
		"null and empty":                            {`{"userName":"a","title":null,"nickName":"","roles":[],"emails":[null,{}],"name":{"givenName":null},` + ent + `:{"manager":null}}`, `{` + user + `}`},
		"booleans as texts":                         {`{"userName":"a","active":"False","roles":[{"value":"r","primary":"True"}]}`, `{` + user + `,"active":false,"roles":[{"value":"r","primary":true}]}`},
		"a number for a text":                       {`{"userName":"a",` + ent + `:{"employeeNumber":701984.10}}`, `{` + both + `,` + ent + `:{"employeeNumber":"701984.10"}}`},
		"a manager as a bare identifier":            {`{"userName":"a",` + ent + `:{"manager":"26"}}`, `{` + both + `,` + ent + `:{"manager":{"value":"26"}}}`},
		"a manager in a list":                       {`{"userName":"a",` + ent + `:{"manager":[{"value":"26","$ref":"../Users/26"}]}}`, `{` + both + `,` + ent + `:{"manager":{"value":"26","$ref":"../Users/26"}}}`},
		"Microsoft's capitals":                      {`{"userName":"a",` + ent + `:{"Department":"bob","Manager":{"Value":"SuzzyQ"}}}`, `{` + both + `,` + ent + `:{"department":"bob","manager":{"value":"SuzzyQ"}}}`},
		"flat names with their schema":              {`{"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department":"d","urn:ietf:params:scim:schemas:core:2.0:User:title":"t"}`, `{` + both + `,"title":"t",` + ent + `:{"department":"d"}}`},
		"names of the extension without its schema": {`{"userName":"a","department":"d"}`, `{` + both + `,` + ent + `:{"department":"d"}}`},
		"names with dots":                           {`{"userName":"a","name.givenName":"x","name":{"familyName":"y"}}`, `{` + user + `,"name":{"givenName":"x","familyName":"y"}}`},
		"attributes in their core schema":           {`{"urn:ietf:params:scim:schemas:core:2.0:User":{"userName":"a","title":"t"}}`, `{` + user + `,"title":"t"}`},
		"one value in place of a list":              {`{"userName":"a","emails":{"value":"v"}}`, `{` + user + `,"emails":[{"value":"v"}]}`},
		"a text in place of a list":                 {`{"userName":"a","emails":"v","roles":["r","s"],"addresses":"Street 1"}`, `{` + user + `,"emails":[{"value":"v"}],"roles":[{"value":"r"},{"value":"s"}],"addresses":[{"formatted":"Street 1"}]}`},
		"a name as a text":                          {`{"userName":"a","name":"B Jensen"}`, `{` + user + `,"name":{"formatted":"B Jensen"}}`},
		"two values for one purpose":                {`{"userName":"a","emails":[{"value":"v","type":"work"},{"value":"v","type":"work"}]}`, `{` + user + `,"emails":[{"value":"v","type":"work"},{"value":"v","type":"work"}]}`},
		"two primary ones":                          {`{"userName":"a","emails":[{"value":"v","primary":true},{"value":"w","primary":true},{"value":"x"}]}`, `{` + user + `,"emails":[{"value":"v","primary":false},{"value":"w","primary":true},{"value":"x"}]}`},
		"an extension nobody knows":                 {`{"userName":"a","urn:example:2.0:User":{"Tag":["x",5,{"y":null}],"nothing":null}}`, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:example:2.0:User"],"userName":"a","urn:example:2.0:User":{"Tag":["x",5,{"y":null}]}}`},
		"values that a name chooses":                {`{"userName":"a","emails[type eq \"work\"].value":"v"}`, `{` + user + `,"emails":[{"type":"work","value":"v"}]}`},
		"half an address, as Microsoft sends":       {`{"userName":"a","addresses":[{"country":null,"formatted":"f","type":"other","primary":false}],"roles":[]}`, `{` + user + `,"addresses":[{"formatted":"f","type":"other","primary":false}]}`},
		"a role that is JSON":                       {`{"userName":"a","roles":[{"value":"{\"id\":\"5\",\"value\":\"x\"}"}]}`, `{` + user + `,"roles":[{"value":"{\"id\":\"5\",\"value\":\"x\"}"}]}`},
	} {
		o, _, has, err := Intake(User, []byte(c.in))
		if err != nil || has {
			t.Errorf("%s: %v, members %v", name, err, has)
			continue
		}
		t.Run(name, func(t *testing.T) { sameJSON(t, o, c.want) })
	}
}

func TestIntakeOfGroups(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string // the members; "" for none told of
	}{
		"nothing of members":                   {`{"displayName":"g"}`, ""},
		"null, which tells nothing":            {`{"displayName":"g","members":null}`, ""},
		"nobody":                               {`{"displayName":"g","members":[]}`, `[]`},
		"some":                                 {`{"displayName":"g","members":[{"value":"1","display":"VP","$ref":"x"},{"value":"2","type":"Group"}]}`, `[{"value":"1","display":"VP"},{"value":"2","type":"Group"}]`},
		"bare identifiers":                     {`{"displayName":"g","Members":["1",2]}`, `[{"value":"1"},{"value":"2"}]`},
		"one, without a list":                  {`{"displayName":"g","members":"1"}`, `[{"value":"1"}]`},
		"Microsoft's name for a member's name": {`{"displayName":"g","members":[{"displayName":"new User","value":"1"}]}`, `[{"value":"1","display":"new User"}]`},
		"one of them twice":                    {`{"displayName":"g","members":[{"value":"1"},{"value":"2"},{"value":"1","display":"x"}]}`, `[{"value":"1","display":"x"},{"value":"2"}]`},
		"Microsoft's own schema":               {`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"displayName":"g"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, members, has, err := Intake(Group, []byte(c.in))
			if err != nil || has != (c.want != "") {
				t.Fatalf("error %v, members %v", err, has)
			}
			sameJSON(t, o, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"g"}`)
			if has {
				sameJSON(t, members, c.want)
			}
		})
	}
}

func TestIntakeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		t    Type
		in   string
		want ErrorType
	}{
		"nothing":                           {User, ``, InvalidSyntax},
		"half of it":                        {User, `{"userName":`, InvalidSyntax},
		"what is no JSON":                   {User, `{"userName": tre}`, InvalidSyntax},
		"two values":                        {User, `{"userName":"a"}{}`, InvalidSyntax},
		"a list":                            {User, `[]`, InvalidSyntax},
		"null":                              {User, `null`, InvalidSyntax},
		"not UTF-8":                         {User, "{\"userName\":\"\xff\"}", InvalidSyntax},
		"very deep":                         {User, `{"userName":"a","urn:a:b:c":` + strings.Repeat(`{"x":`, 50) + "1" + strings.Repeat("}", 51), InvalidSyntax},
		"no userName":                       {User, `{"displayName":"a"}`, InvalidValue},
		"an empty userName":                 {User, `{"userName":""}`, InvalidValue},
		"no displayName":                    {Group, `{"externalId":"a"}`, InvalidValue},
		"NUL":                               {User, `{"userName":"a\u0000"}`, InvalidValue},
		"NUL in a name":                     {User, `{"userName":"a","urn:a:b:c":{"\u0000":1}}`, InvalidValue},
		"a text that is too long":           {User, `{"userName":"` + strings.Repeat("a", MostText+1) + `"}`, InvalidValue},
		"too many values":                   {User, `{"userName":"a","roles":[` + strings.Repeat(`"r",`, MostValues) + `"r"]}`, InvalidValue},
		"a boolean that is none":            {User, `{"userName":"a","active":"perhaps"}`, InvalidValue},
		"an object for a text":              {User, `{"userName":{"a":1}}`, InvalidValue},
		"a list in a list":                  {User, `{"userName":"a","emails":[["x"]]}`, InvalidValue},
		"a member without an identifier":    {Group, `{"displayName":"g","members":[{"display":"x"}]}`, InvalidValue},
		"a member with an empty identifier": {Group, `{"displayName":"g","members":[""]}`, InvalidValue},
		"a member that is null":             {Group, `{"displayName":"g","members":[null]}`, InvalidValue},
		"members that are no list":          {Group, `{"displayName":"g","members":{}}`, InvalidValue},
		"an enterprise extension that is 5": {User, `{"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":5}`, InvalidValue},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := Intake(c.t, []byte(c.in))
			isError(t, err, c.want)
		})
	}
}

func FuzzIntake(f *testing.F) {
	f.Add(false, []byte(jensen))
	f.Add(true, []byte(`{"displayName":"g","members":["1",{"value":"2","display":"x"}]}`))
	f.Add(false, []byte(`{"userName":"a","name.givenName":"x","urn:a:b:c:d":{"e":[1]},"emails[type eq \"work\"].value":"v","urn:a:b:c":{"D":null}}`))
	f.Add(false, []byte(`{"userName":"a","active":"True","manager":["5"],"roles":"x","password":"p"}`))
	f.Fuzz(func(t *testing.T, group bool, raw []byte) {
		kind := User
		if group {
			kind = Group
		}
		o, members, has, err := Intake(kind, raw)
		if err != nil {
			if !ours(err) {
				t.Fatalf("error %v is not one of this protocol", err)
			}
			return
		}
		for _, name := range []string{"id", "meta", "password", "members", "groups"} {
			if _, ok := o[name]; ok {
				t.Errorf("%s is kept: %s", name, text(t, o))
			}
		}
		for _, m := range members {
			if id, _ := m["value"].(string); id == "" || !has {
				t.Errorf("a member without identifier: %s", text(t, m))
			}
		}
		again, _, _, err := Intake(kind, []byte(text(t, o)))
		if err != nil || !reflect.DeepEqual(again, o) {
			t.Errorf("%s\ntaken in again is %s, %v", text(t, o), text(t, again), err)
		}
	})
}
