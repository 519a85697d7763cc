package csv

import (
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/setting"
)

// A manager is found where what the manager column holds is the ref of a row.
func TestManagersAreNamedByUsernameOrKey(t *testing.T) {
	const header = "id,username,manager\n"
	for name, c := range map[string]struct {
		content string
		v       setting.Values
		refs    []string
		note    string
	}{
		"by the username":                 {header + "1,jdoe,boss\n2,boss,\n", nil, []string{"1", "boss"}, ""},
		"without case":                    {header + "1,jdoe, BOSS\n2,Boss ,\n", nil, []string{"1", "Boss"}, ""},
		"by the key":                      {header + "1,jdoe,2\n2,boss,\n", nil, []string{"1", "2"}, ""},
		"some so, some so":                {header + "1,jdoe,boss\n2,boss,3\n3,ceo,\n", nil, []string{"1", "boss", "3"}, ""},
		"one by both: the key holds":      {header + "1,jdoe,boss\n2,boss,\n3,tom,2\n", nil, []string{"1", "2", "3"}, "row 3 (2) is named as a manager by key and by username"},
		"a username that is a key":        {header + "1,jdoe,3\n2,3,\n3,ceo,\n", nil, []string{"1", "2", "3"}, ""},
		"a username that two rows have":   {header + "1,jdoe,boss\n2,boss,\n3,Boss,\n", nil, []string{"1", "2", "3"}, ""},
		"a row that cannot be used":       {header + "1,jdoe,boss\n2,boss\n", nil, []string{"1", "2"}, ""},
		"nobody is called":                {header + "1,jdoe,\n2,boss,\n", nil, []string{"1", "2"}, ""},
		"other names of the columns":      {"id,Login,Chef\n1,jdoe,boss\n2,boss,\n", setting.Values{"manager": "Chef", "columns": []string{"username=Login"}}, []string{"1", "boss"}, ""},
		"the username is the key":         {"username,manager\njdoe,boss\nboss,\n", setting.Values{"key": "username"}, []string{"jdoe", "boss"}, ""},
		"no column of managers":           {"id,username\n1,jdoe\n2,boss\n", nil, []string{"1", "2"}, ""},
		"no column of usernames":          {"id,manager\n1,2\n2,\n", nil, []string{"1", "2"}, ""},
		"a key twice keeps its own names": {header + "1,jdoe,boss\n2,boss,\n2,other,\n", nil, []string{"1", "2", "2 (row 4)"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := setting.Values{"key": "id", "passwords": "none"}
			for k, x := range c.v {
				v[k] = x
			}
			got, reading, err := read(t, openFile(t, c.content, v), nil)
			if err != nil || !reading.Complete {
				t.Fatal(reading, err)
			}
			var refs []string
			for _, r := range got {
				refs = append(refs, r.Ref)
			}
			if !slices.Equal(refs, c.refs) || !strings.Contains(strings.Join(reading.Notes, " "), c.note) || (c.note == "") != (len(reading.Notes) == 0) {
				t.Errorf("refs %q, notes %q", refs, reading.Notes)
			}
			for _, r := range got {
				if r.ID != "" && strings.Contains(r.Name, "boss") && c.v["key"] == nil {
					t.Errorf("%q is recognised by its username", r.ID)
				}
			}
		})
	}
}
