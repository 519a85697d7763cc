package formula

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// entry gives the values of names in the tests; others are absent.
var entry = map[string][]string{
	"givenname":            {"Zoë", "Zed"},
	"sn":                   {"O'Brien"},
	"mail":                 {"z@example.org"},
	"departmentnumber":     {"D1", "D2"},
	"mobile":               {"0475 12 34 56"},
	"memberof":             {"CN=Sales\\, EU,OU=Groups,DC=x", "cn=All Staff,ou=groups,dc=x"},
	"extension-attribute1": {"e1", "e2"},
	"flag":                 {"yes"},
	"n":                    {"7"},
	"of":                   {"x"},
	"long":                 strings.Split(strings.Repeat("cn=x,dc=y ", 5000), " "),
}

func run(t *testing.T, text string) (any, error) {
	t.Helper()
	var slots [][]string
	p, err := Compile(text, Options{Slot: func(name string) (int, bool) {
		slots = append(slots, entry[strings.ToLower(name)])
		return len(slots) - 1, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFrame()
	f.Region, f.Now = "BE", time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	return p.Run(f, slots)
}

func TestExpressions(t *testing.T) {
	for text, want := range map[string]any{
		`givenName + " " + sn`:                              "Zoë O'Brien",
		`first(departmentNumber)`:                           "D1",
		`first("text")`:                                     "text",
		`last(departmentNumber)`:                            "D2",
		`first(absent)`:                                     "",
		`firstOf(uid, absent, mail)`:                        "z@example.org",
		`firstOf(departmentNumber)`:                         "D1",
		`uid ?? mail`:                                       "z@example.org",
		`join(departmentNumber, "/")`:                       "D1/D2",
		`join(absent, "/")`:                                 "",
		`all(departmentNumber)`:                             []string{"D1", "D2"},
		`all("departmentNumber")`:                           []string{"D1", "D2"},
		`values(absent)`:                                    []string(nil),
		`attr("extension-attribute1")`:                      "e1",
		`join(attr("extension-attribute1"), "+")`:           "e1+e2",
		`all(attr("extension-attribute1"))`:                 []string{"e1", "e2"},
		`lower(absent)`:                                     "",
		`upper(sn)`:                                         "O'BRIEN",
		`trim("  x ") + trim("--y-", "-")`:                  "xy",
		`split(mail, "@")[1]`:                               "example.org",
		`split(absent, "@")[1]`:                             "",
		`split(mail, "@")[-1]`:                              "example.org",
		`departmentNumber[1]`:                               "D2",
		`replace(sn, "'", "")`:                              "OBrien",
		`replace(sn, "", "x")`:                              "O'Brien",
		`regexReplace(mail, "@.*$", "")`:                    "z",
		`regexReplace(mail, "(.*)@(.*)", "$2/$1")`:          "example.org/z",
		`regexMatch(mail, "^z@")`:                           true,
		`substr(sn, 2)`:                                     "Brien",
		`substr(givenName, 1, 1)`:                           "o",
		`substr(givenName, -1)`:                             "ë",
		`substr(givenName, 9, 9) + substr(absent, 0, 1)`:    "",
		`substr(sn, 1, 9223372036854775807)`:                "'Brien",
		`slug(givenName + " " + sn)`:                        "zoe-obrien",
		`normalizePhone(mobile)`:                            "+32475123456",
		`normalizePhone("06 12 34 56 78", "fr")`:            "+33612345678",
		`normalizePhone("nonsense")`:                        "",
		`dnPart("cn=a\\, b+uid=1, ou = x ,OU=y,dc=z","ou")`: "x",
		`dnPart("cn=a,ou=x,ou=y", "OU", 2)`:                 "y",
		`dnPart("cn=a,ou=x,ou=y", "ou", -1)`:                "y",
		`dnPart("cn=a,ou=x", "ou", 5) + dnPart("", "cn")`:   "",
		`dnPart("cn=Lu\\C4\\8Di\\C4\\87\\ ,ou=x", "cn")`:    "Lučić ",
		`memberOf("sales, eu")`:                             true,
		`memberOf("CN=all staff, OU=Groups, DC=X")`:         true,
		`memberOf("Sales")`:                                 false,
		`memberOf(memberOf, "All Staff")`:                   true,
		`memberOf(absent, "All Staff")`:                     false,
		`"x" not in departmentNumber`:                       true,
		`1 in [1, 2] and "a" in {"a": 1}`:                   true,
		`givenName[1:]`:                                     "oë",
		`givenName[:-1] + givenName[5:9] + absent[1:2]`:     "Zo",
		`departmentNumber[0:1]`:                             "D",
		`all(departmentNumber)[1:]`:                         []string{"D2"},
		`memberOf("")`:                                      false,
		`mapValue(flag, {"yes": "Y", "no": "N"}, "?")`:      "Y",
		`mapValue(flag, {"YES": "Y"})`:                      "Y",
		`mapValue(absent, {"yes": "Y"}, "?")`:               "?",
		`mapValue(n, {"7": 12})`:                            "12",
		`contains(memberOf, "cn=all staff,ou=groups,dc=x")`: true,
		`contains(departmentNumber, "d2")`:                  true,
		`contains(departmentNumber, "D")`:                   false,
		`contains(sn, "brien")`:                             true,
		`not contains(absent, "x") and sn contains "Br"`:    true,
		`sn contains("Br")`:                                 true,
		`"contains(" + sn`:                                  "contains(O'Brien",
		`"D2" in departmentNumber`:                          true,
		`"D2" in all(departmentNumber)`:                     true,
		`any(departmentNumber, # endsWith "2")`:             true,
		`any(attr("extension-attribute1"), # == "e2")`:      true,
		`filter(departmentNumber, # != "D1")`:               []any{"D2"},
		`map(departmentNumber, lower(#))`:                   []any{"d1", "d2"},
		`find(departmentNumber, # == "x")`:                  nil,
		`lower(find(departmentNumber, # == "x"))`:           "",
		`count(departmentNumber, # startsWith "D")`:         2,
		`none(absent, true)`:                                true,
		`uniq(["b", "a", "b"])`:                             []string{"b", "a"},
		`sort(["b", "a"])`:                                  []string{"a", "b"},
		`len(sn)`:                                           7,
		`len(all(departmentNumber))`:                        2,
		`int(n) + int(absent) + 1`:                          8,
		`"n" + 1`:                                           "n1",
		`int(n) > 5 ? "many" : "few"`:                       "many",
		`if flag == "yes" { "a" } else { "b" }`:             "a",
		`let x = split(mail, "@"); x[0] + "!" + x[1]`:       "z!example.org",
		`let of2 = of; of2 + of`:                            "xx",
		`[givenName, sn]`:                                   []any{"Zoë", "O'Brien"},
		`memberOf`:                                          "CN=Sales\\, EU,OU=Groups,DC=x",
		`first`:                                             "",
		`mail matches "example"`:                            true,
		`string(flag == "yes")`:                             "true",
		`givenname == GIVENNAME`:                            true,
		`adStatus(absent)`:                                  "active",
		`ldapStatus(absent, absent, flag)`:                  "disabled",
	} {
		t.Run(text, func(t *testing.T) {
			got, err := run(t, text)
			if err != nil || !reflect.DeepEqual(got, want) && !(fmt.Sprintf("%T%v", got, got) == fmt.Sprintf("%T%v", want, want)) {
				t.Errorf("got %#v, %v", got, err)
			}
		})
	}
}

func TestRunsThatAreStopped(t *testing.T) {
	for text, want := range map[string]string{
		`let a = mail+mail+mail+mail+mail+mail+mail+mail; let b = a+a+a+a+a+a+a+a; let c = b+b+b+b+b+b+b+b; let d = c+c+c+c+c+c+c+c; d+d+d+d`:            "64 KiB",
		`join(map(split(replace(replace(replace(replace(replace(mail, ".", mail), ".", mail), ".", mail), ".", mail), ".", mail), ""), mail + #), mail)`: "",
		`any(long, contains(long, #+"x"))`: "takes too long",
		`any(long, memberOf(long, #))`:     "",
		`regexMatch(mail, mail + "(")`:     "not valid",
		`1 % len(absent)`:                  "divide by zero",
		`1 / len(absent)`:                  "divided by zero",
		`len(absent) / len(absent)`:        "divided by zero",
	} {
		t.Run(text, func(t *testing.T) {
			if got, err := run(t, text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("got %.50v, %v", got, err)
			}
		})
	}
}

func TestErrorsPointToThePlace(t *testing.T) {
	for text, want := range map[string]Error{
		"lower(mail) +\n  uper(sn)": {Line: 2, Column: 3, Message: "unknown function uper, did you mean upper?", Excerpt: "  uper(sn)\n  ^"},
		"contain(a, b)":             {Line: 1, Column: 1, Message: "unknown function contain, did you mean contains?", Excerpt: "contain(a, b)\n^"},
		"lower(":                    {Line: 1, Column: 6, Message: "unexpected token EOF", Excerpt: "lower(\n     ^"},
		"sn matches \"(\"":          {Line: 1, Column: 12, Message: "the regular expression \"(\" is not valid: missing closing ): `(`", Excerpt: "sn matches \"(\"\n           ^"},
		"\"é\" + foo(1)":            {Line: 1, Column: 7, Message: "unknown function foo, did you mean map?"},
	} {
		t.Run(text, func(t *testing.T) {
			_, err := Compile(text, Options{Slot: func(string) (int, bool) { return 0, true }})
			var got *Error
			if !errors.As(err, &got) {
				t.Fatal(err)
			}
			if want.Excerpt == "" {
				got.Excerpt = ""
				want.Message = got.Message
			}
			if *got != want {
				t.Errorf("got %+v", *got)
			}
		})
	}
}

func TestNamesAreListedAsSpelled(t *testing.T) {
	p, err := Compile(`firstOf(Mail, uid) + Mail + attr("a-b") + first(all("c;d"))`, Options{Slot: func(string) (int, bool) { return 0, true }})
	if err != nil || !slices.Equal(p.Names(), []string{"Mail", "uid", "a-b", "c;d"}) {
		t.Error(p.Names(), err)
	}
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{
		`first(departmentNumber)`, `contains(x, "y") and z`, `any(memberOf, # contains "S")`, `let a = [x]; a[0]`, `x ? y : z`, `{"a": b}`,
		`mapValue(x, {"a": "b"}, "c")`, `x?.y`, `x | lower()`, `$env`, `#`, `x[1:2]`, `1..3`, `regexReplace(a, "(", b)`, `a ?? b`, `not a`, `-a`,
		`adStatus(a, b)`, `if a == "" {b} else {c}`, `a; b`, `dnPart(dn, "ou", -1)`, "`x`", `'\u00e9'`, `0x7f`, `1e9`, `filter(a, .b)`,
	} {
		f.Add(s, "value", "CN=a,OU=b")
	}
	f.Fuzz(func(t *testing.T, text, one, two string) {
		var slots [][]string
		p, err := Compile(text, Options{Slot: func(name string) (int, bool) {
			slots = append(slots, [][]string{{one, two}, nil, {two}}[len(name)%3])
			return len(slots) - 1, true
		}})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Message == "" || strings.ContainsRune(e.Message, 0) && !strings.ContainsRune(text, 0) {
				t.Errorf("%q: %#v", text, err)
			}
			return
		}
		out, err := p.Run(NewFrame(), slots)
		if err == nil {
			_, _ = Text(out), List(out)
		}
	})
}
