package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
)

func TestAChangeTellsWhatDiffers(t *testing.T) {
	long := strings.Repeat("é", 300)
	one := func(action plan.Action, before, after, why string) plan.Row {
		return plan.Row{Action: action, Target: plan.Account, Before: json.RawMessage(before), After: json.RawMessage(after), Why: why}
	}
	for name, c := range map[string]struct {
		row  plan.Row
		want string
	}{
		"a field":                    {one(plan.Update, `{"title":"A"}`, `{"title":null}`, plan.ChangedThere), "title: A -> (none)"},
		"another reason to be off":   {one(plan.Update, `{"status":"disabled"}`, `{"status":"disabled"}`, "no longer in the directory"), "no longer in the directory"},
		"and a field beside":         {one(plan.Update, `{"status":"disabled","title":"A"}`, `{"status":"disabled","title":"B"}`, "back"), "title: A -> B (back)"},
		"another entry":              {one(plan.Update, `{"connection":"hq","external_id":"1"}`, `{"connection":"hq","external_id":"2"}`, plan.ChangedThere), "external_id: 1 -> 2"},
		"the end of a long text":     {one(plan.Update, `{"title":"`+long+`"}`, `{"title":"`+long+`!"}`, plan.ChangedThere), "title: … -> …!"},
		"the end of a long value":    {one(plan.Update, `{"attributes":{"a":"`+long+`","b":"="}}`, `{"attributes":{"a":"`+long+`!","b":"="}}`, plan.ChangedThere), "a: … -> …!"},
		"the beginning of long ones": {one(plan.Update, `{"title":"x`+long+`"}`, `{"title":"y"}`, plan.ChangedThere), "title: x" + strings.Repeat("é", 198) + "… -> y"},
	} {
		n := names{known: map[account.ID]string{}}
		if got := n.change(&c.row); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
