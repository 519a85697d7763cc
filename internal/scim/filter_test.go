package scim

import (
	"reflect"
	"strings"
	"testing"
)

func TestFiltersAreReadAndWritten(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a comparison":                                  {`userName eq "bjensen"`, `userName eq "bjensen"`},
		"names and operators in any case":               {`USERNAME Eq "bjensen"`, `userName eq "bjensen"`},
		"a part of an attribute":                        {`NAME.FamilyName co "O'Malley"`, `name.familyName co "O'Malley"`},
		"the core schema before the name":               {`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"`, `userName sw "J"`},
		"the core schema in capitals":                   {`URN:IETF:PARAMS:SCIM:SCHEMAS:CORE:2.0:GROUP:displayname sw "J"`, `displayName sw "J"`},
		"the enterprise extension":                      {`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:Manager.value eq "5"`, EnterpriseSchema + `:manager.value eq "5"`},
		"a manager without its schema, as Entra asks":   {`id eq "1" and manager eq "2"`, `id eq "1" and ` + EnterpriseSchema + `:manager eq "2"`},
		"an extension nobody knows":                     {`urn:example:2.0:Thing:Size.Big gt 5`, `urn:example:2.0:Thing:Size.Big gt 5`},
		"a whole extension":                             {EnterpriseSchema + ` pr`, EnterpriseSchema + ` pr`},
		"presence":                                      {`title PR`, `title pr`},
		"and before or":                                 {`title pr or nickName pr and active eq true`, `title pr or nickName pr and active eq true`},
		"brackets that change the order":                {`(title pr or nickName pr) and active eq true`, `(title pr or nickName pr) and active eq true`},
		"brackets that change nothing":                  {`((title pr) and (nickName pr))`, `title pr and nickName pr`},
		"brackets to the right":                         {`title pr and (nickName pr and active eq TRUE)`, `title pr and (nickName pr and active eq true)`},
		"not":                                           {`not(title pr) and NOT ( nickName pr )`, `not (title pr) and not (nickName pr)`},
		"values that are chosen":                        {`emails[type eq "work" and value co "@example.com"]`, `emails[type eq "work" and value co "@example.com"]`},
		"values that are chosen, within another filter": {`userType eq "E" and not (emails[type eq "work"] or ims[type eq "xmpp"])`, `userType eq "E" and not (emails[type eq "work"] or ims[type eq "xmpp"])`},
		"a part of chosen values, as Entra asks":        {`emails[Type eq "work"].Value eq "a@b.c"`, `emails[type eq "work"].value eq "a@b.c"`},
		"presence of a part of chosen values":           {`emails[type eq "work"].value pr`, `emails[type eq "work"].value pr`},
		"a string with escapes":                         {`displayName eq "a\"b\\cé\n"`, `displayName eq "a\"b\\cé\n"`},
		"a string with words of the grammar in it":      {`displayName eq ") and ] or"`, `displayName eq ") and ] or"`},
		"null":                                           {`manager eq null`, EnterpriseSchema + `:manager eq null`},
		"a number":                                       {`urn:example:x:y:size eq -1.5e3`, `urn:example:x:y:size eq -1.5e3`},
		"a value without quotation marks":                {`externalId eq jyoung`, `externalId eq "jyoung"`},
		"one letter without quotation marks":             {`userName sw O`, `userName sw "O"`},
		"a time without quotation marks":                 {`meta.lastModified gt 2015-05-13T04:42:34Z`, `meta.lastModified gt "2015-05-13T04:42:34Z"`},
		"a time with a zone, without quotation marks":    {`meta.Created gt 2015-10-10T14:38:21.8617979-07:00`, `meta.created gt "2015-10-10T14:38:21.8617979-07:00"`},
		"an address without quotation marks, in a group": {`(name.FamilyName eq Employee and (emails.Value co example.com or emails.Value co example.org))`, `name.familyName eq "Employee" and (emails.value co "example.com" or emails.value co "example.org")`},
		"a name that begins like a keyword":              {`order eq "x" and notes pr`, `order eq "x" and notes pr`},
		"space all around":                               {"  userName \t eq   \"a\"  ", `userName eq "a"`},
		"an address, which is caseExact":                 {`members.$ref eq "x"`, `members.$ref eq "x"`},
	} {
		f, err := ParseFilter(c.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f.String() != c.want {
			t.Errorf("%s: %s became %s, want %s", name, c.in, f, c.want)
		}
		again, err := ParseFilter(f.String())
		if err != nil || !reflect.DeepEqual(again, f) {
			t.Errorf("%s: %s read again is %s, %v", name, f, again, err)
		}
	}
}

func TestFiltersThatAreNone(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                           ``,
		"only space":                        `  `,
		"no operator":                       `userName`,
		"no value":                          `userName eq`,
		"no value, only space":              `userName eq  `,
		"an operator that is none":          `userName like "a"`,
		"half a string":                     `userName eq "abc`,
		"a string that ends in an escape":   `userName eq "abc\`,
		"an escape that is none":            `userName eq "\x"`,
		"NUL":                               `userName eq "\u0000"`,
		"no attribute":                      `eq "abc"`,
		"no attribute, a string":            `"a" eq "b"`,
		"a bracket too many":                `(userName pr))`,
		"a bracket too few":                 `(userName pr`,
		"a value bracket too few":           `emails[type eq "work"`,
		"a bracket within a bracket":        `emails[type[value eq "x"]]`,
		"nothing in brackets":               `emails[]`,
		"a part twice":                      `name.a.b eq "x"`,
		"and without a second":              `userName pr and`,
		"and without a first":               `and userName pr`,
		"two comparisons with nothing":      `userName pr title pr`,
		"a name of two words":               `displayName eq John Doe`,
		"a schema without an attribute":     UserSchema + ` pr`,
		"a schema inside of value brackets": `emails[urn:example:x:y:z eq 1]`,
		"neither of true and false greater": `active gt true`,
		"greater than null":                 `title gt null`,
		"part of a boolean of a value":      `emails[primary co "t"]`,
		"not UTF-8":                         "userName eq \"\xff\"",
		"an attribute that is a number":     `5 eq 5`,
	} {
		if f, err := ParseFilter(in); err == nil {
			t.Errorf("%s: %s was read as %s", name, in, f)
		} else {
			isError(t, err, InvalidFilter)
		}
	}
}

func TestAnErrorQuotesThePlace(t *testing.T) {
	_, err := ParseFilter(`userName eq "a" and title like "b"`)
	if err == nil || !strings.Contains(err.Error(), `like \"b\"`) || !strings.Contains(err.Error(), "an operator (eq") {
		t.Errorf("the error says %v", err)
	}
}

func TestFiltersHaveLimits(t *testing.T) {
	for name, in := range map[string]string{
		"a text that is too long":   `userName eq "` + strings.Repeat("a", MostFilterText) + `"`,
		"brackets that are deep":    strings.Repeat("(", 1000) + "title pr" + strings.Repeat(")", 1000),
		"nots that are deep":        strings.Repeat("not (", 500) + "title pr" + strings.Repeat(")", 500),
		"more terms than a query":   strings.Repeat("a pr or ", MostFilterTerms) + "a pr",
		"more terms, all of and":    strings.Repeat("a pr and ", MostFilterTerms) + "a pr",
		"value brackets in the end": strings.Repeat("(", MostFilterDepth) + "emails[type pr]" + strings.Repeat(")", MostFilterDepth),
	} {
		if _, err := ParseFilter(in); err == nil {
			t.Errorf("%s: was taken", name)
		} else {
			isError(t, err, InvalidFilter)
		}
	}
	most := strings.Repeat("a pr or ", MostFilterTerms-1) + "a pr"
	if _, err := ParseFilter(most); err != nil {
		t.Errorf("%d terms: %v", MostFilterTerms, err)
	}
}

func TestPathsAreReadAndWritten(t *testing.T) {
	for in, want := range map[string]string{
		`username`:                             `userName`,
		`name.GIVENNAME`:                       `name.givenName`,
		UserSchema + `:name.givenName`:         `name.givenName`,
		EnterpriseSchema + `:manager`:          EnterpriseSchema + `:manager`,
		EnterpriseSchema + `.manager.value`:    EnterpriseSchema + `:manager.value`,
		EnterpriseSchema:                       EnterpriseSchema,
		`department`:                           EnterpriseSchema + `:department`,
		`urn:example:ext:2.0:User:tag`:         `urn:example:ext:2.0:User:tag`,
		`emails[type eq "work"]`:               `emails[type eq "work"]`,
		`Emails[Type Eq "work"].VALUE`:         `emails[type eq "work"].value`,
		`roles[primary eq "True"].value`:       `roles[primary eq "True"].value`,
		`members[value eq 5]`:                  `members[value eq 5]`,
		`members[VALUE eq 2819c223-7f76-453a]`: `members[value eq "2819c223-7f76-453a"]`,
		`nobody.knows`:                         `nobody.knows`,
	} {
		p, err := ParsePath(in)
		if err != nil || p.String() != want {
			t.Errorf("%s is %s, %v, want %s", in, p, err, want)
			continue
		}
		if again, err := ParsePath(p.String()); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%s read again is %s, %v", p, again, err)
		}
	}
	for _, in := range []string{``, ` `, `emails[`, `emails[]`, `emails[type]`, `emails[type eq "work"`, `emails[type eq "work"]value`, `emails[type eq "work"].`,
		`emails[type eq "work"].a.b`, `emails[0]`, `a b`, `.`, `a.`, `:a`, `urn:a`, UserSchema, `name.`, `"userName"`, `/userName`, strings.Repeat("a", 5000)} {
		if p, err := ParsePath(in); err == nil {
			t.Errorf("%s was read as %s", in, p)
		} else {
			isError(t, err, InvalidPath)
		}
	}
}

const jensen = `{
	"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "2819c223", "externalId": "Ext-1", "userName": "BJensen",
	"name": {"familyName": "Jensen", "givenName": "Barbara"}, "displayName": "Straße", "active": true, "nickName": "",
	"emails": [{"value": "Bjensen@Example.com", "type": "work", "primary": true}, {"value": "babs@home.org", "type": "home"}],
	"roles": [{"value": "Admin", "primary": true}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "701984", "manager": {"value": "26118915"}},
	"urn:example:ext:2.0:User": {"size": 42, "tags": ["Red", "blue"], "on": false, "Big": {"x": "y"}},
	"meta": {"created": "2011-05-13T04:42:34Z", "lastModified": "2011-05-13T06:42:34.5+02:00", "resourceType": "User", "version": "W/\"a\""}
}`

func TestFiltersMatch(t *testing.T) {
	o := object(t, jensen)
	for in, want := range map[string]bool{
		`userName eq "bjensen"`:  true,
		`userName eq "bjensen2"`: false,
		`userName ne "BJENSEN"`:  false,
		`id eq "2819C223"`:       false,
		`id eq "2819c223"`:       true,
		`id eq 2819c223`:         true,
		`externalId eq "ext-1"`:  false,
		`externalId eq "Ext-1"`:  true,
		`userName sw "bj" and userName ew "SEN" and userName co "jens"`: true,
		`displayName eq "STRAßE"`:                                       true,
		`userName gt "BA" and userName lt "bz"`:                         true,
		`userName ge "bjensen" and userName le "bjensen"`:               true,
		`userName gt "bjensen"`:                                         false,
		`name.familyName eq jensen`:                                     true,
		`name pr`:                                                       true,
		`nickName pr`:                                                   false,
		`title pr`:                                                      false,
		`title eq null`:                                                 true,
		`nickName eq null`:                                              true,
		`userName eq null`:                                              false,
		`userName ne null`:                                              true,
		`title ne "x"`:                                                  true,
		`title co "x"`:                                                  false,
		`active eq true`:                                                true,
		`active eq "True"`:                                              true,
		`active ne false`:                                               true,
		`active eq false`:                                               false,
		`active eq "yes"`:                                               false,
		`active pr`:                                                     true,
		`emails eq "babs@HOME.org"`:                                     true,
		`emails.value co "example"`:                                     true,
		`emails.type eq "work"`:                                         true,
		`emails.type ne "work"`:                                         true,
		`emails[type eq "work" and value co "example"]`:                 true,
		`emails[type eq "home" and value co "example"]`:                 false,
		`emails[type eq "work"].value eq "bjensen@example.com"`:            true,
		`emails[type eq "home"].value eq "bjensen@example.com"`:            false,
		`emails[type eq "other"].value pr`:                                 false,
		`emails[type eq "other"]`:                                          false,
		`emails[primary eq "true"].value sw b`:                             true,
		`emails[not (primary eq true)].value sw babs`:                      true,
		`roles[primary eq "True"].value eq "admin"`:                        true,
		`meta.created eq "2011-05-13T04:42:34Z"`:                           true,
		`meta.created eq "2011-05-13T06:42:34+02:00"`:                      true,
		`meta.lastModified gt 2011-05-13T04:42:34Z`:                        true,
		`meta.lastModified gt 2011-05-13T04:42:34.6Z`:                      false,
		`meta.lastModified ge 2011-05-13T04:42:34.500Z`:                    true,
		`meta.resourceType eq "User"`:                                      true,
		`meta.created sw "2011"`:                                           true,
		`manager eq "26118915"`:                                            true,
		EnterpriseSchema + `:employeeNumber eq 701984`:                     true,
		EnterpriseSchema + `:manager.value eq "26118915"`:                  true,
		EnterpriseSchema + ` pr`:                                           true,
		`urn:example:ext:2.0:User:size gt 41.5`:                            true,
		`urn:example:ext:2.0:User:size eq "42"`:                            true,
		`URN:example:ext:2.0:user:SIZE le 42`:                              true,
		`urn:example:ext:2.0:User:tags eq "red"`:                           true,
		`urn:example:ext:2.0:User:on eq false`:                             true,
		`urn:example:ext:2.0:User:big.X eq "Y"`:                            true,
		`urn:example:ext:2.0:User pr`:                                      true,
		`urn:example:other:2.0:User:size pr`:                               false,
		`schemas eq "urn:ietf:params:scim:schemas:core:2.0:User"`:          true,
		`title pr or userName eq "bjensen"`:                                true,
		`title pr or userName eq "bjensen" and title pr`:                   false,
		`not (title pr) and not (userName eq "x")`:                         true,
		UserSchema + `:userName eq "bjensen" and ` + UserSchema + `:id pr`: true,
	} {
		f, err := ParseFilter(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := f.Matches(o); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestAFilterMatchesAMember(t *testing.T) {
	p, err := ParsePath(`members[value eq "A1" or type eq "group"]`)
	if err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]bool{`{"value": "A1"}`: true, `{"value": "a1", "type": "User"}`: true, `{"value": "b", "type": "Group"}`: true, `{"value": "b"}`: false} {
		if got := p.Filter.Matches(object(t, member)); got != want {
			t.Errorf("%s: %v", member, got)
		}
	}
}

// Folding is what EqualFold compares by.
func TestFold(t *testing.T) {
	list := []string{"K", "k", "\u212a", "S", "s", "ſ", "ß", "ẞ", "İ", "i", "I", "ı", "Σ", "σ", "ς", "É", "é", "Å", "å", "\u212b", "Ǆ", "ǅ", "ǆ", "日本", "Ω", "ω", "\u2126", ""}
	for _, a := range list {
		for _, b := range list {
			if got, want := Fold(a) == Fold(b), strings.EqualFold(a, b); got != want {
				t.Errorf("%q and %q: %v, and EqualFold says %v", a, b, got, want)
			}
		}
	}
	if got := Fold("Ärger MIT Straße"); got != "ärger mit straße" {
		t.Errorf("folded: %q", got)
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{`userName eq "a"`, `emails[type eq "work" and not (value co "@")].value ne null or active eq TRUE`, `a pr and (b gt 5 or c sw x)`,
		EnterpriseSchema + `:manager.value eq "5"`, `urn:a:b:c pr`, `not (a pr)`, `x eq "\u00e9\ud83d\ude00"`} {
		f.Add(s, jensen)
	}
	f.Fuzz(func(t *testing.T, in, body string) {
		filter, err := ParseFilter(in)
		if err != nil {
			isError(t, err, InvalidFilter)
			return
		}
		if o, err := decodeObject([]byte(body)); err == nil {
			got := filter.Matches(o)
			if not := (&Filter{Op: Not, Left: filter}).Matches(o); not == got {
				t.Errorf("%s and its opposite are both %v", filter, got)
			}
		}
		out := filter.String()
		if len(out) > MostFilterText {
			return // quotation marks made it longer than what is read
		}
		again, err := ParseFilter(out)
		if err != nil || !reflect.DeepEqual(again, filter) {
			t.Errorf("%s read again is %s, %v", out, again, err)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{`userName`, `emails[type eq "work"].value`, EnterpriseSchema + `:manager`, `urn:x:y:z.a`, `members[value eq x]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParsePath(in)
		if err != nil {
			isError(t, err, InvalidPath)
			return
		}
		out := p.String()
		if len(out) > MostFilterText {
			return
		}
		if again, err := ParsePath(out); err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%s read again is %s, %v", out, again, err)
		}
	})
}
