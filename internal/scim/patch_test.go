package scim

import (
	"reflect"
	"strings"
	"testing"
)

// patched applies the operations of a body.
func patched(t testing.TB, kind Type, before, ops string) (o Object, changed bool, members []MemberChange, err error) {
	t.Helper()
	o, _, _, err = Intake(kind, []byte(before))
	if err != nil {
		t.Fatalf("%s: %v", before, err)
	}
	was := text(t, o)
	list, err := ParsePatch([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":` + ops + `}`))
	if err != nil {
		t.Fatalf("%s: %v", ops, err)
	}
	changed, members, err = ApplyPatch(kind, o, list)
	if same := text(t, o) == was; err != nil && !same || err == nil && changed == same {
		t.Errorf("%s: changed is %v, error %v; before %s, after %s", ops, changed, err, was, text(t, o))
	}
	return o, changed, members, err
}

func TestPatch(t *testing.T) {
	const ent = `"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
	const path = `"path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:`
	// want is the attributes besides schemas; those of before that are the same need
	// not be repeated, and null says that one is gone.
	for name, c := range map[string]struct{ before, ops, want string }{
		"Entra disables with a text":                         {`{"active":true}`, `[{"op":"Replace","path":"active","value":"False"}]`, `{"active":false}`},
		"Entra restores with a text":                         {`{"active":false}`, `[{"op":"Replace","path":"active","value":"True"}]`, `{"active":true}`},
		"Entra disables with a boolean":                      {`{"active":true}`, `[{"op":"replace","path":"active","value":false}]`, `{"active":false}`},
		"Okta disables without a path":                       {`{"active":true}`, `[{"op":"replace","value":{"active":false}}]`, `{"active":false}`},
		"Okta sends the id along":                            {`{}`, `[{"op":"replace","value":{"id":"5","displayName":"n"}}]`, `{"displayName":"n"}`},
		"a password is taken and not kept":                   {`{}`, `[{"op":"replace","value":{"password":"p"}},{"op":"add","path":"password","value":"q"}]`, `{}`},
		"Entra's names with dots and schema, without a path": {`{"name":{"familyName":"f"}}`, `[{"op":"add","value":{"name.givenName":"g","displayName":"d",` + ent[:len(ent)-1] + `:employeeNumber":"5"}}]`, `{"name":{"familyName":"f","givenName":"g"},"displayName":"d",` + ent + `:{"employeeNumber":"5"}}`},
		"an extension without a path":                        {`{` + ent + `:{"department":"d"}}`, `[{"op":"replace","value":{` + ent + `:{"costCenter":"c"}}}]`, `{` + ent + `:{"department":"d","costCenter":"c"}}`},
		"a complex attribute without a path":                 {`{"name":{"familyName":"f"}}`, `[{"op":"replace","value":{"name":{"givenName":"g"}}}]`, `{"name":{"familyName":"f","givenName":"g"}}`},
		"value brackets without a path":                      {`{}`, `[{"op":"add","value":{"emails[type eq \"work\"].value":"v"}}]`, `{"emails":[{"type":"work","value":"v"}]}`},
		"names nobody knows, without a path":                 {`{}`, `[{"op":"replace","value":{"shoeSize":5,"title":"t"}}]`, `{"title":"t"}`},
		"a name in capitals":                                 {`{}`, `[{"op":"ADD","path":"NAME.GIVENNAME","value":"g"}]`, `{"name":{"givenName":"g"}}`},
		"the whole name":                                     {`{"name":{"givenName":"g"}}`, `[{"op":"Add","path":"name.formatted","value":"G F"}]`, `{"name":{"givenName":"g","formatted":"G F"}}`},
		"a path with the core schema":                        {`{}`, `[{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:nickName","value":"n"}]`, `{"nickName":"n"}`},
		"a number for a text":                                {`{}`, `[{"op":"Add",` + path + `employeeNumber","value":5}]`, `{` + ent + `:{"employeeNumber":"5"}}`},

		"Entra adds a mail where there is none":                {`{}`, `[{"op":"Add","path":"emails[type eq \"work\"].value","value":"v"}]`, `{"emails":[{"type":"work","value":"v"}]}`},
		"Entra replaces a mail where there is none":            {`{"emails":[{"type":"home","value":"h"}]}`, `[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"v"}]`, `{"emails":[{"type":"home","value":"h"},{"type":"work","value":"v"}]}`},
		"Entra replaces a mail":                                {`{"emails":[{"type":"home","value":"h"},{"type":"work","value":"w","primary":true}]}`, `[{"op":"Replace","path":"emails[type eq \"work\"].value","value":"v"}]`, `{"emails":[{"type":"home","value":"h"},{"type":"work","value":"v","primary":true}]}`},
		"Entra adds two parts of an address":                   {`{}`, `[{"op":"Add","path":"addresses[type eq \"work\"].streetAddress","value":"s"},{"op":"Add","path":"addresses[type eq \"work\"].country","value":"c"}]`, `{"addresses":[{"type":"work","streetAddress":"s","country":"c"}]}`},
		"Entra adds a mobile number":                           {`{"phoneNumbers":[{"type":"work","value":"1"}]}`, `[{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"2"}]`, `{"phoneNumbers":[{"type":"work","value":"1"},{"type":"mobile","value":"2"}]}`},
		"Entra sets the primary role where there is none":      {`{"roles":[{"value":"a"}]}`, `[{"op":"Add","path":"roles[primary eq \"True\"].value","value":"b"}]`, `{"roles":[{"value":"a"},{"primary":true,"value":"b"}]}`},
		"Entra sets the primary role":                          {`{"roles":[{"value":"a","primary":true}]}`, `[{"op":"Replace","path":"roles[primary eq \"True\"].value","value":"b"}]`, `{"roles":[{"value":"b","primary":true}]}`},
		"Entra adds a role that is JSON":                       {`{}`, `[{"op":"Add","path":"roles","value":[{"value":"{\"id\":\"x\"}"}]}]`, `{"roles":[{"value":"{\"id\":\"x\"}"}]}`},
		"two conditions make one value":                        {`{}`, `[{"op":"add","path":"emails[type eq \"work\" and primary eq true].value","value":"v"}]`, `{"emails":[{"type":"work","primary":true,"value":"v"}]}`},
		"a whole value where there is none":                    {`{}`, `[{"op":"add","path":"emails[type eq \"work\"]","value":{"value":"v"}}]`, `{"emails":[{"type":"work","value":"v"}]}`},
		"a whole value that is replaced keeps its purpose":     {`{"emails":[{"type":"work","value":"w","display":"d"}]}`, `[{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"v"}}]`, `{"emails":[{"type":"work","value":"v"}]}`},
		"a whole value that is added to keeps its parts":       {`{"emails":[{"type":"work","value":"w","display":"d"}]}`, `[{"op":"add","path":"emails[type eq \"work\"]","value":{"value":"v"}}]`, `{"emails":[{"type":"work","value":"v","display":"d"}]}`},
		"what is chosen becomes the only primary one":          {`{"emails":[{"type":"home","value":"h","primary":true},{"type":"work","value":"w"}]}`, `[{"op":"add","path":"emails[type eq \"work\"].primary","value":"True"}]`, `{"emails":[{"type":"home","value":"h","primary":false},{"type":"work","value":"w","primary":true}]}`},
		"what is added becomes the only primary one":           {`{"emails":[{"value":"h","primary":true}]}`, `[{"op":"add","path":"emails","value":[{"value":"w","primary":true}]}]`, `{"emails":[{"value":"h","primary":false},{"value":"w","primary":true}]}`},
		"what is there is added again, and is the primary one": {`{"emails":[{"value":"h"},{"value":"w","primary":true}]}`, `[{"op":"add","path":"emails","value":[{"value":"h","primary":true}]}]`, `{"emails":[{"value":"h","primary":true},{"value":"w","primary":false}]}`},
		"adding a value twice changes nothing":                 {`{"emails":[{"type":"work","value":"w"}],"name":{"givenName":"g"},"title":"t"}`, `[{"op":"add","path":"emails","value":[{"type":"work","value":"w"}]},{"op":"add","path":"name","value":{"givenName":"g"}},{"op":"add","path":"title","value":"t"}]`, `{}`},
		"adding a text to a list":                              {`{"emails":[{"value":"a"}]}`, `[{"op":"add","path":"emails","value":"b"}]`, `{"emails":[{"value":"a"},{"value":"b"}]}`},
		"replacing a list":                                     {`{"emails":[{"value":"a"},{"value":"b"}]}`, `[{"op":"replace","path":"emails","value":[{"value":"c"}]}]`, `{"emails":[{"value":"c"}]}`},
		"adding nothing to a list":                             {`{"emails":[{"value":"a"}]}`, `[{"op":"add","path":"emails","value":[]},{"op":"add","path":"emails","value":null}]`, `{}`},
		"replacing a list by nothing":                          {`{"emails":[{"value":"a"}]}`, `[{"op":"replace","path":"emails","value":[]}]`, `{"emails":null}`},

		"a manager as a bare identifier":                {`{}`, `[{"op":"Add",` + path + `manager","value":"26"}]`, `{` + ent + `:{"manager":{"value":"26"}}}`},
		"another manager":                               {`{` + ent + `:{"manager":{"value":"25","displayName":"old"}}}`, `[{"op":"replace",` + path + `manager","value":"26"}]`, `{` + ent + `:{"manager":{"value":"26"}}}`},
		"another manager by a part":                     {`{` + ent + `:{"manager":{"value":"25","displayName":"old"}}}`, `[{"op":"replace",` + path + `manager.value","value":"26"}]`, `{` + ent + `:{"manager":{"value":"26"}}}`},
		"the same manager again":                        {`{` + ent + `:{"manager":{"value":"25"}}}`, `[{"op":"Add",` + path + `manager","value":"25"}]`, `{}`},
		"a manager in a list, without its schema":       {`{}`, `[{"op":"Add","path":"manager","value":[{"$ref":"u/26","value":"26"}]}]`, `{` + ent + `:{"manager":{"$ref":"u/26","value":"26"}}}`},
		"no manager, by the empty text":                 {`{` + ent + `:{"manager":{"value":"25"}}}`, `[{"op":"Replace",` + path + `manager","value":""}]`, `{` + ent + `:null}`},
		"no manager, by adding the empty text":          {`{` + ent + `:{"manager":{"value":"25"},"division":"d"}}`, `[{"op":"Add",` + path + `manager","value":""}]`, `{` + ent + `:{"division":"d"}}`},
		"no manager, removed":                           {`{` + ent + `:{"manager":{"value":"25"}}}`, `[{"op":"Remove",` + path + `manager"}]`, `{` + ent + `:null}`},
		"no manager, by its part":                       {`{` + ent + `:{"manager":{"value":"25","displayName":"x"}}}`, `[{"op":"remove",` + path + `manager.value"}]`, `{` + ent + `:null}`},
		"cleared by the empty text":                     {`{"title":"t"}`, `[{"op":"replace","path":"title","value":""}]`, `{"title":null}`},
		"cleared by null":                               {`{"title":"t","active":true}`, `[{"op":"replace","path":"title","value":null},{"op":"replace","path":"active","value":null}]`, `{"title":null,"active":null}`},
		"a part cleared by null":                        {`{"name":{"givenName":"g","familyName":"f"}}`, `[{"op":"replace","path":"name.givenName","value":null}]`, `{"name":{"familyName":"f"}}`},
		"the last part cleared":                         {`{"name":{"givenName":"g"}}`, `[{"op":"replace","path":"name.givenName","value":""}]`, `{"name":null}`},
		"a part cleared without a path":                 {`{"name":{"givenName":"g","familyName":"f"},"title":"t"}`, `[{"op":"replace","value":{"name":{"givenName":null},"title":""}}]`, `{"name":{"familyName":"f"},"title":null}`},
		"the value of a list cleared by the empty text": {`{"emails":[{"type":"work","value":"w","primary":true},{"type":"home","value":"h"}]}`, `[{"op":"replace","path":"emails[type eq \"work\"].value","value":""}]`, `{"emails":[{"type":"home","value":"h"}]}`},
		"the value of a list cleared by null":           {`{"emails":[{"type":"work","value":"w"}]}`, `[{"op":"replace","path":"emails[type eq \"work\"].value","value":null}]`, `{"emails":null}`},
		"a part of an address cleared":                  {`{"addresses":[{"type":"work","streetAddress":"s","country":"c"}]}`, `[{"op":"replace","path":"addresses[type eq \"work\"].streetAddress","value":""}]`, `{"addresses":[{"type":"work","country":"c"}]}`},
		"clearing what is not there":                    {`{}`, `[{"op":"replace","path":"title","value":""},{"op":"replace","path":"emails[type eq \"work\"].value","value":null},{"op":"remove","path":"name.givenName"}]`, `{}`},

		"removing":                                 {`{"title":"t"}`, `[{"op":"Remove","path":"title"}]`, `{"title":null}`},
		"removing a part of every value":           {`{"emails":[{"value":"a","display":"x"},{"value":"b","display":"y"}]}`, `[{"op":"remove","path":"emails.display"}]`, `{"emails":[{"value":"a"},{"value":"b"}]}`},
		"removing what is chosen":                  {`{"emails":[{"type":"work","value":"a"},{"type":"home","value":"b"}]}`, `[{"op":"remove","path":"emails[type eq \"work\" and value sw \"A\"]"}]`, `{"emails":[{"type":"home","value":"b"}]}`},
		"removing by a list in the value":          {`{"roles":[{"value":"a"},{"value":"b"},{"value":"c"}]}`, `[{"op":"Remove","path":"roles","value":[{"value":"a"},"c"]}]`, `{"roles":[{"value":"b"}]}`},
		"removing an empty list removes nothing":   {`{"roles":[{"value":"a"}]}`, `[{"op":"Remove","path":"roles","value":[]}]`, `{}`},
		"removing a whole extension":               {`{` + ent + `:{"department":"d"}}`, `[{"op":"remove","path":` + ent + `}]`, `{` + ent + `:null}`},
		"changing a part of all values":            {`{"emails":[{"value":"a"},{"value":"b"}]}`, `[{"op":"replace","path":"emails.type","value":"work"}]`, `{"emails":[{"value":"a","type":"work"},{"value":"b","type":"work"}]}`},
		"an extension nobody knows":                {`{}`, `[{"op":"add","path":"urn:example:2.0:User:tag","value":{"a":1}},{"op":"add","path":"urn:example:2.0:User:list","value":["x"]},{"op":"add","path":"urn:example:2.0:User:list","value":["x","y"]}]`, `{"urn:example:2.0:User":{"tag":{"a":1},"list":["x","y"]}}`},
		"a part of an extension nobody knows":      {`{"urn:example:2.0:User":{"Tag":{"a":1},"x":5}}`, `[{"op":"replace","path":"urn:example:2.0:User:tag.B","value":2},{"op":"remove","path":"urn:EXAMPLE:2.0:User:X"}]`, `{"urn:example:2.0:User":{"Tag":{"a":1,"B":2}}}`},
		"a whole extension nobody knows, removed":  {`{"urn:example:2.0:User":{"Tag":1}}`, `[{"op":"remove","path":"urn:example:2.0:User"}]`, `{"urn:example:2.0:User":null}`},
		"a whole extension nobody knows, changed":  {`{"urn:example:2.0:User":{"Tag":1}}`, `[{"op":"add","path":"urn:example:2.0:User","value":{"more":2}}]`, `{"urn:example:2.0:User":{"Tag":1,"more":2}}`},
		"an attribute the extension does not know": {`{}`, `[{"op":"add",` + path + `floor","value":5}]`, `{` + ent + `:{"floor":5}}`},
		"several, in their order":                  {`{}`, `[{"op":"add","path":"title","value":"a"},{"op":"replace","path":"title","value":"b"},{"op":"remove","path":"title"},{"op":"add","path":"title","value":"c"}]`, `{"title":"c"}`},
		"a new userName":                           {`{}`, `[{"op":"replace","path":"userName","value":"ryan3"}]`, `{"userName":"ryan3"}`},
	} {
		t.Run(name, func(t *testing.T) {
			before := object(t, c.before)
			before["userName"] = "a"
			want := object(t, c.want)
			o, changed, members, err := patched(t, User, text(t, before), c.ops)
			if err != nil || len(members) > 0 || changed != (len(want) > 0) {
				t.Fatalf("error %v, changed %v, members %v", err, changed, members)
			}
			for k, v := range want {
				if before[k] = v; v == nil {
					delete(before, k)
				}
			}
			delete(o, "schemas")
			sameJSON(t, o, text(t, before))
		})
	}
}

func TestPatchOfMembers(t *testing.T) {
	for name, c := range map[string]struct{ ops, want string }{
		"Entra adds several":                        {`[{"op":"Add","path":"members","value":[{"$ref":null,"value":"1"},{"$ref":null,"value":"2"}]}]`, `add 1 2`},
		"Okta adds one with a name":                 {`[{"op":"add","path":"members","value":[{"value":"1","display":"x"}]}]`, `add 1(x)`},
		"Microsoft's test adds a bare identifier":   {`[{"op":"add","path":"members","value":"string id 1"}]`, `add string id 1`},
		"Microsoft's test adds with a displayName":  {`[{"name":"addMember","op":"add","path":"members","value":[{"displayName":"new User","value":"1"}]}]`, `add 1(new User)`},
		"one without a list":                        {`[{"op":"add","path":"members","value":{"value":"1"}}]`, `add 1`},
		"without a path":                            {`[{"op":"add","value":{"displayName":"g","members":["1"]}}]`, `add 1`},
		"with the schema":                           {`[{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:Group:Members","value":["1"]}]`, `add 1`},
		"adding nobody":                             {`[{"op":"add","path":"members","value":[]}]`, ``},
		"Okta pushes all":                           {`[{"op":"replace","path":"members","value":[{"value":"1"},{"value":"2"}]}]`, `replace 1 2`},
		"replacing by nobody, plainly":              {`[{"op":"replace","path":"members","value":[]}]`, `replace`},
		"replacing without a path":                  {`[{"op":"replace","value":{"members":["1"]}}]`, `replace 1`},
		"null without a path tells nothing":         {`[{"op":"replace","value":{"members":null,"displayName":"g"}}]`, ``},
		"Entra removes by a list in the value":      {`[{"op":"Remove","path":"members","value":[{"value":"1"},{"value":"2"}]}]`, `remove 1 2`},
		"bare identifiers that are removed":         {`[{"op":"remove","path":"members","value":["1"]}]`, `remove 1`},
		"removing an empty list removes nobody":     {`[{"op":"remove","path":"members","value":[]}]`, ``},
		"Okta removes one":                          {`[{"op":"remove","path":"members[value eq \"1\"]"}]`, `remove 1`},
		"one that is a number":                      {`[{"op":"remove","path":"members[value eq 1]"}]`, `remove 1`},
		"two that are chosen":                       {`[{"op":"remove","path":"members[value eq \"1\" or value eq \"2\"]"}]`, `remove 1 2`},
		"those of a type":                           {`[{"op":"remove","path":"members[type eq \"Group\"]"}]`, `remove-where type eq "Group"`},
		"removing without any value removes all":    {`[{"op":"remove","path":"members"}]`, `replace`},
		"adding what the brackets name":             {`[{"op":"add","path":"members[value eq \"1\"]","value":{"display":"x"}}]`, `add 1(x)`},
		"several operations stay in order":          {`[{"op":"add","path":"members","value":["1"]},{"op":"remove","path":"members","value":["1"]},{"op":"add","path":"members","value":["2"]}]`, `add 1, remove 1, add 2`},
		"a new name and members":                    {`[{"op":"replace","path":"displayName","value":"g"},{"op":"add","path":"members","value":["2"]}]`, `add 2`},
		"the id within the value, as Okta sends it": {`[{"op":"replace","value":{"id":"abf4","displayName":"g"}}]`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			o, _, members, err := patched(t, Group, `{"displayName":"g"}`, c.ops)
			if err != nil {
				t.Fatal(err)
			}
			if o["members"] != nil {
				t.Error("the group holds its members")
			}
			var got []string
			for _, m := range members {
				words := []string{string(m.Kind)}
				for _, one := range m.Members {
					word := one["value"].(string)
					if d, ok := one["display"].(string); ok {
						word += "(" + d + ")"
					}
					words = append(words, word)
				}
				if m.Filter != nil {
					words = append(words, m.Filter.String())
				}
				got = append(got, strings.Join(words, " "))
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func TestPatchRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		t    Type
		ops  string
		want ErrorType
	}{
		"removing without a path":                   {User, `[{"op":"remove"}]`, NoTarget},
		"removing without a path, with a value":     {User, `[{"op":"remove","value":{"title":"x"}}]`, NoTarget},
		"the id":                                    {User, `[{"op":"replace","path":"id","value":"6"}]`, Mutability},
		"meta":                                      {User, `[{"op":"replace","path":"meta.version","value":"6"}]`, Mutability},
		"the groups of a user":                      {User, `[{"op":"add","path":"groups","value":["6"]}]`, Mutability},
		"removing the userName":                     {User, `[{"op":"remove","path":"userName"}]`, Mutability},
		"clearing the userName":                     {User, `[{"op":"replace","path":"userName","value":""}]`, Mutability},
		"removing the name of a group":              {Group, `[{"op":"remove","path":"displayName"}]`, Mutability},
		"a path nobody knows":                       {User, `[{"op":"add","path":"shoeSize","value":5}]`, InvalidPath},
		"a part nobody knows":                       {User, `[{"op":"add","path":"name.nick","value":"x"}]`, InvalidPath},
		"a part of what has none":                   {User, `[{"op":"add","path":"userName.x","value":"x"}]`, InvalidPath},
		"brackets at what has one value":            {User, `[{"op":"add","path":"name[givenName eq \"x\"].familyName","value":"x"}]`, InvalidPath},
		"a path that is none":                       {User, `[{"op":"add","path":"emails[","value":"x"}]`, InvalidPath},
		"members of a user":                         {User, `[{"op":"add","path":"members","value":["1"]}]`, InvalidPath},
		"a department of a group":                   {Group, `[{"op":"add","path":"department","value":"x"}]`, InvalidPath},
		"no value":                                  {User, `[{"op":"replace","path":"title"}]`, InvalidValue},
		"no path and no object":                     {User, `[{"op":"replace","value":"x"}]`, InvalidValue},
		"a boolean that is none":                    {User, `[{"op":"replace","path":"active","value":"maybe"}]`, InvalidValue},
		"an object for a text":                      {User, `[{"op":"replace","path":"title","value":{"a":1}}]`, InvalidValue},
		"what no value can be made of":              {User, `[{"op":"add","path":"emails[value co \"x\"].type","value":"work"}]`, NoTarget},
		"another value than the brackets name":      {User, `[{"op":"replace","path":"emails[value eq \"x\"].value","value":"y"}]`, NoTarget},
		"the second one, and the first is undone":   {User, `[{"op":"add","path":"title","value":"t"},{"op":"add","path":"active","value":"maybe"}]`, InvalidValue},
		"removing members, and the value is null":   {Group, `[{"op":"remove","path":"members","value":null}]`, InvalidValue},
		"removing members, and the value is empty":  {Group, `[{"op":"remove","path":"members","value":""}]`, InvalidValue},
		"removing members, and one has no value":    {Group, `[{"op":"remove","path":"members","value":[{"value":"1"},{"$ref":"x"}]}]`, InvalidValue},
		"removing members, and one is null":         {Group, `[{"op":"remove","path":"members","value":[null]}]`, InvalidValue},
		"removing members, and the value is a name": {Group, `[{"op":"remove","path":"members","value":{"members":["1"]}}]`, InvalidValue},
		"removing a member with an empty name":      {Group, `[{"op":"remove","path":"members[value eq \"\"]"}]`, InvalidValue},
		"replacing members by null":                 {Group, `[{"op":"replace","path":"members","value":null}]`, InvalidValue},
		"replacing members by an empty text":        {Group, `[{"op":"replace","path":"members","value":""}]`, InvalidValue},
		"replacing members without a value":         {Group, `[{"op":"replace","path":"members"}]`, InvalidValue},
		"a part of the members":                     {Group, `[{"op":"remove","path":"members.value"}]`, InvalidPath},
		"a part of one member":                      {Group, `[{"op":"remove","path":"members[value eq \"1\"].display"}]`, InvalidPath},
		"adding whom the brackets do not name":      {Group, `[{"op":"add","path":"members[type eq \"User\"]","value":{"display":"x"}}]`, NoTarget},
	} {
		t.Run(name, func(t *testing.T) {
			before := `{"userName":"a"}`
			if c.t == Group {
				before = `{"displayName":"g"}`
			}
			_, _, members, err := patched(t, c.t, before, c.ops)
			isError(t, err, c.want)
			if len(members) > 0 {
				t.Errorf("members change all the same: %v", members)
			}
		})
	}
}

func TestPatchesThatAreNone(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                  ``,
		"a list":                   `[]`,
		"no operations":            `{}`,
		"an empty list":            `{"Operations":[]}`,
		"no list":                  `{"Operations":{"op":"add"}}`,
		"an operation that is a 5": `{"Operations":[5]}`,
		"no op":                    `{"Operations":[{"path":"title","value":"x"}]}`,
		"an op that is none":       `{"Operations":[{"op":"move","path":"title","value":"x"}]}`,
		"a path that is no text":   `{"Operations":[{"op":"add","path":5,"value":"x"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePatch([]byte(in))
			isError(t, err, InvalidSyntax)
		})
	}
	_, err := ParsePatch([]byte(`{"Operations":[` + strings.Repeat(`{"op":"remove","path":"title"},`, MostOperations) + `{"op":"remove","path":"title"}]}`))
	isError(t, err, TooMany)
	ops, err := ParsePatch([]byte(`{"operations":[{"OP":"Add","Path":"title","VALUE":null},{"op":"REMOVE","path":null}]}`))
	if want := []Operation{{Op: "add", Path: "title", HasValue: true}, {Op: "remove"}}; err != nil || !reflect.DeepEqual(ops, want) {
		t.Errorf("got %v, %v", ops, err)
	}
}

func FuzzPatch(f *testing.F) {
	for _, s := range []string{
		`{"Operations":[{"op":"Add","path":"emails[type eq \"work\"].value","value":"x"},{"op":"replace","value":{"name.givenName":"g","urn:a:b:c:d":[1]}}]}`,
		`{"Operations":[{"op":"Remove","path":"members","value":[{"value":"1"}]},{"op":"remove","path":"members[value eq \"1\"]"}]}`,
		`{"Operations":[{"op":"replace","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":""},{"op":"remove","path":"roles","value":["x"]}]}`,
		`{"Operations":[{"op":"replace","path":"members","value":[]},{"op":"remove","path":"members"}]}`,
		`{"Operations":[{"op":"add","path":"urn:example:ext:2.0:User:tags[x eq 1].y","value":null},{"op":"remove","path":"emails.value"}]}`,
	} {
		f.Add(true, []byte(s))
		f.Add(false, []byte(s))
	}
	f.Fuzz(func(t *testing.T, group bool, raw []byte) {
		ops, err := ParsePatch(raw)
		if err != nil {
			return
		}
		kind, before := User, jensen
		if group {
			kind, before = Group, `{"displayName":"g","urn:a:b:c":{"d":[1,{"e":"f"}]}}`
		}
		o, _, _, err := Intake(kind, []byte(before))
		if err != nil {
			t.Fatal(err)
		}
		was := clone(o)
		changed, members, err := ApplyPatch(kind, o, ops)
		if same := reflect.DeepEqual(o, was); same == changed || err != nil && !same {
			t.Errorf("changed is %v, error %v; before %s, after %s", changed, err, text(t, was), text(t, o))
		}
		if err != nil {
			if !ours(err) || len(members) > 0 {
				t.Errorf("error %v, members %v", err, members)
			}
			return
		}
		if again, _, _, err := Intake(kind, []byte(text(t, o))); err != nil || !reflect.DeepEqual(again, o) {
			t.Errorf("%s\ntaken in again is %s, %v", text(t, o), text(t, again), err)
		}
		everybody := false // is plainly asked to go
		for _, op := range ops {
			list, isList := op.Value.([]any)
			everybody = everybody || op.Op == "remove" && !op.HasValue || op.Op == "replace" && (isList && len(list) == 0 || op.Path == "")
		}
		for _, m := range members {
			if m.Kind == MemberReplace && len(m.Members) == 0 && !everybody || m.Kind == MemberRemoveWhere && m.Filter == nil {
				t.Errorf("all members go: %s", raw)
			}
			for _, one := range m.Members {
				if id, _ := one["value"].(string); id == "" {
					t.Errorf("a member without identifier: %s", text(t, one))
				}
			}
		}
	})
}
