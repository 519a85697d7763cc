package all

import (
	"testing"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Of an agent's own settings the server learns those alone that its engine goes by:
// whether only people in groups come has to be among them.
func TestTheEngineLearnsFromAnAgentWhomGroupsDecide(t *testing.T) {
	for _, k := range Kinds() {
		if k.MembersOnly == nil {
			continue
		}
		seen := map[bool]bool{}
		for _, name := range source.EngineOptions {
			for _, v := range []any{true, false, "groups", "all"} {
				if _, ok := setting.Find(k.Options, name); ok {
					seen[k.OnlyMembers(setting.Values{name: v})] = true
				}
			}
		}
		if !seen[true] || !seen[false] {
			t.Errorf("%s: source.EngineOptions do not say whether only members come: %v", k.Name, seen)
		}
	}
}
