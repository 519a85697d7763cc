package webhooks

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestBoxesBecomeTypes(t *testing.T) {
	for name, c := range map[string]struct {
		types  []string
		others string
		want   []string
		left   string
	}{
		"nothing stands for everything":           {},
		"all of a kind stand for each":            {[]string{"account.*", "account.created", "run.held"}, "", []string{"account.*", "run.held"}, ""},
		"others are typed in":                     {[]string{"run.*"}, "admin.signed_in, setup_link.*\r\nrun.*", []string{"run.*", "admin.signed_in", "setup_link.*"}, "admin.signed_in, setup_link.*"},
		"what is wrong is left for the API":       {nil, "nonsense", []string{"nonsense"}, "nonsense"},
		"a type of a box is not among the others": {nil, "account.created", []string{"account.created"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := &form{Families: families()}
			f.take(url.Values{"types": c.types, "others": {c.others}})
			if !slices.Equal(f.Types, c.want) || f.Others != c.left {
				t.Errorf("%v, others %q", f.Types, f.Others)
			}
		})
	}
}

func TestBodiesAreReadable(t *testing.T) {
	if pretty(nil) != "" || pretty(json.RawMessage("null")) != "" {
		t.Error("nothing is nothing")
	}
	if got := pretty(json.RawMessage(`{"a":1}`)); got != "{\n  \"a\": 1\n}" {
		t.Error(got)
	}
	if got := pretty(json.RawMessage(`"` + strings.Repeat("é", longestBody) + `"`)); len(got) > longestBody+10 || !strings.HasSuffix(got, "…") {
		t.Error(len(got))
	}
}
