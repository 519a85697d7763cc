package account

import (
	"fmt"
	"strings"
	"testing"
)

func TestValuesByWhichAccountsAreFound(t *testing.T) {
	text := Text{Username: "Anna", MobilePhone: "+32475123456"}
	for _, c := range []struct {
		name, names, attributes, want string
	}{
		{"of a text field", "mobile_phone", "", "mobile_phone=+32475123456"},
		{"of a custom attribute, folded", "badge", `{"badge":" E-07 "}`, "badge=e-07"},
		{"of several, in the order of the names", "badge username", `{"badge":"7"}`, "badge=7 username=anna"},
		{"each of a list's, once", "badge", `{"badge":["B","a","b"]}`, "badge=a badge=b"},
		{"none of what is empty", "phone badge other", `{"badge":""}`, ""},
		{"none of a list of empty texts", "badge", `{"badge":["", " "]}`, ""},
		{"none of what is neither text nor list", "badge other", `{"badge":7,"other":null}`, ""},
		{"none of what is no object", "badge", `[`, ""},
		{"none under a name spelled otherwise", "Badge", `{"badge":"7"}`, ""},
		{"none without names", "", `{"badge":"7"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, v := range Values(strings.Fields(c.names), &text, c.attributes) {
				got = append(got, fmt.Sprintf("%s=%s", v.Name, v.Key))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("%q, want %q", s, c.want)
			}
		})
	}
}
