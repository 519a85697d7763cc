package provisioning

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestBodiesAreSpreadOverLines(t *testing.T) {
	for what, c := range map[string]struct{ in, want string }{
		"an object":                 {`{"a":1,"b":["x","y"]}`, "{\n  \"a\": 1,\n  \"b\": [\n    \"x\",\n    \"y\"\n  ]\n}"},
		"nothing in it":             {`{"a":{},"b":[]}`, "{\n  \"a\": {},\n  \"b\": []\n}"},
		"what looks like JSON":      {`{"a":"{\"b\":[1,2]}"}`, "{\n  \"a\": \"{\\\"b\\\":[1,2]}\"\n}"},
		"what was cut":              {`{"a":["x…`, "{\n  \"a\": [\n    \"x…"},
		"what is said in its place": {`(45 bytes that are not a JSON object)`, `(45 bytes that are not a JSON object)`},
		"nothing":                   {``, ``},
	} {
		if got := spread(c.in); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, c.want)
		}
	}
}

// Whatever is spread says the same as before.
func FuzzSpread(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":"\\\""}]}`, `[`, `{"`, `{"\`, `]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		out := spread(body)
		var before, after any
		if json.Unmarshal([]byte(body), &before) != nil {
			return
		}
		if err := json.Unmarshal([]byte(out), &after); err != nil {
			t.Fatalf("%q became %q: %v", body, out, err)
		}
		a, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(after)
		if err != nil || strings.Compare(string(a), string(b)) != 0 {
			t.Errorf("%q became %q", body, out)
		}
	})
}
