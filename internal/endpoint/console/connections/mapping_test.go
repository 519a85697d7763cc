package connections

import (
	"encoding/json"
	"net/url"
	"reflect"
	"testing"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/source/all"
)

// ruled is a mapping page of a connection with a few rules.
func ruled(t *testing.T) *mappingPage {
	t.Helper()
	for _, kind := range all.Kinds() {
		if kind.Name != "ldap" {
			continue
		}
		f, err := newForm(kind, &client.Connection{Alias: "hq", Scope: []string{`title != ""`}, Mapping: map[string]any{
			"title": "title", "phone": nil, "badge": map[string]any{"expr": `"a" + b`},
		}}, false)
		if err != nil {
			t.Fatal(err)
		}
		return &mappingPage{form: f, Alias: "hq"}
	}
	t.Fatal("there is no LDAP")
	return nil
}

func TestRulesBecomeAPatchOverThoseThereAre(t *testing.T) {
	same := url.Values{"how.title": {"attribute"}, "what.title": {"title"}, "how.phone": {"none"}, "how.badge": {"expr"}, "what.badge": {`"a" + b`}, "scope": {"title != \"\"\r\n"}}
	for name, c := range map[string]struct {
		change url.Values
		want   string
	}{
		"what is as it was changes nothing":             {url.Values{}, `{}`},
		"an expression":                                 {url.Values{"how.title": {"expr"}, "what.title": {"upper(title)"}}, `{"mapping":{"title":{"expr":"upper(title)"}}}`},
		"back to what suits the directory":              {url.Values{"how.title": {"default"}, "what.title": {""}}, `{"mapping":{"title":null}}`},
		"a field is left to the application":            {url.Values{"how.title": {"none"}}, `{"mapping":{"title":"none"}}`},
		"a custom attribute from the last row":          {url.Values{"own.0": {"desk"}, "own.0.how": {"attribute"}, "own.0.what": {"room"}}, `{"mapping":{"desk":{"attribute":"room"}}}`},
		"a custom attribute that only the page has yet": {url.Values{"how.desk": {"attribute"}, "what.desk": {"room"}}, `{"mapping":{"desk":{"attribute":"room"}}}`},
		"a how that does not exist is passed over":      {url.Values{"how.title": {"magic"}, "what.title": {"x"}}, `{}`},
		"another scope":                                 {url.Values{"scope": {"a\n\n b "}}, `{"scope":["a","b"]}`},
		"no scope at all":                               {url.Values{"scope": {""}}, `{"scope":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			sent := url.Values{}
			for _, v := range []url.Values{same, c.change} {
				for k, x := range v {
					sent[k] = x
				}
			}
			patch := map[string]any{}
			ruled(t).takeMapping(sent, patch)
			got, err := json.Marshal(patch)
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestWhatToWriteIntoTheFileIsYAML(t *testing.T) {
	p := ruled(t)
	p.takeMapping(url.Values{"how.title": {"value"}, "what.title": {"it's ${x}: #1"}, "how.badge-2": {"attribute"}, "what.badge-2": {"none"}, "scope": {`title != ""`}}, map[string]any{})
	want := "mapping:\n  phone: null\n  title: {value: 'it''s $${x}: #1'}\n  badge: {expr: '\"a\" + b'}\n  'badge-2': {attribute: 'none'}\nscope:\n  - 'title != \"\"'\n"
	if got := p.yaml(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestErrorsStandAtTheRuleTheySpeakOf(t *testing.T) {
	for text, want := range map[string][2]string{ // of the title, of the scope
		"Mapping.title: unexpected end\nbackend.title: no": {},
		"connection hq: mapping.title: unexpected end":     {"unexpected end"},
		"Mapping: title: unexpected token EOF (line 1)":    {"unexpected token EOF (line 1)"},
		"Scope: nosuch is no field":                        {"", "nosuch is no field"},
		"scope[0]: nosuch is no field":                     {},
		"":                                                 {},
	} {
		p := ruled(t)
		p.blameRules(text)
		if p.ScopeWrong != want[1] {
			t.Errorf("%s: scope: %q", text, p.ScopeWrong)
		}
		for _, r := range p.Rules {
			if r.Field == "title" && r.Wrong != want[0] || r.Field != "title" && r.Wrong != "" {
				t.Errorf("%s: %s: %q", text, r.Field, r.Wrong)
			}
		}
	}
}

func TestOfAnEntryIsShownWhatFits(t *testing.T) {
	p := ruled(t)
	long := make([]string, 12)
	for i := range long {
		long[i] = string(make([]rune, 400))
	}
	p.show([]client.TrialEntry{{Name: "anna", Attributes: map[string][]string{"Title": {"Boss"}, "big": long}, Fields: []client.TrialField{{Field: "title", Rule: &client.Rule{Attribute: "title"}, Starting: true}}}})
	if len(p.Attributes) != 2 || p.Attributes[0].Name != "big" || p.Attributes[0].More != 2 || len([]rune(p.Attributes[0].Values[0])) != longestValue+1 || !p.Attributes[1].Used {
		t.Errorf("%+v", p.Attributes)
	}
	if !reflect.DeepEqual(p.Result("title"), &p.Entry.Fields[0]) || p.Result("email") != nil {
		t.Error("results are by field")
	}
}
