package all

import (
	"testing"

	"rollcall.dev/rollcall/internal/setting"
)

func TestEveryKindIsDescribedInFull(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			if seen[k.Name] || k.Name == "" || k.Title == "" || k.Open == nil || k.Refer == nil {
				t.Error("a name that is taken, or a part that is missing")
			}
			seen[k.Name] = true
			if found, ok := Named(k.Name); !ok || found.Title != k.Title {
				t.Error("it is not found by its name")
			}
			names := map[string]bool{}
			for _, o := range k.Options {
				if names[o.Name] || o.Label == "" || o.Help == "" {
					t.Errorf("option %q: twice, or without label or help", o.Name)
				}
				names[o.Name] = true
				if o.Secret && o.Default != "" {
					t.Errorf("option %q: a secret has no default", o.Name)
				}
			}
			if err := setting.Defaults(k.Options, setting.Values{}); err != nil {
				t.Error(err)
			}
		})
	}
	if _, ok := Named("fax"); ok {
		t.Error("a kind that is not there is found")
	}
}
