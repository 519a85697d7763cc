package plan

import (
	"fmt"
	"testing"

	"rollcall.dev/rollcall/internal/engine/match"
)

func TestWhatManyNotesHaveInCommon(t *testing.T) {
	for _, c := range []struct {
		name string
		note Note
		want string
	}{
		{"a missing field", Note{Kind: Problem, Text: "email is empty (attribute mail)"}, "[{email is empty (attribute mail)}]"},
		{"two of them", Note{Kind: Problem, Text: "email is empty (attribute mail); last_name is empty (attribute sn)"}, "[{email is empty (attribute mail)} {last_name is empty (attribute sn)}]"},
		{"a custom attribute", Note{Kind: Warning, Text: "badge left out: holds a NUL (attribute employeeNumber)"}, "[{badge left out: holds a NUL (attribute employeeNumber)}]"},
		{"a problem of the whole entry", Note{Kind: Problem, Text: `it has no usable key: "x\"y" stands in 2026-11-22 08:00 UTC twice`}, `[{ it has no usable key: "..." stands in ... twice}]`},
		{"a manager without an account", Note{Kind: Unresolved, Text: `its manager "uid=zoe" has no account here`}, `[{ its manager "..." has no account here}]`},
		{"a match that was refused", Note{Kind: Dispute, Text: "a and b claim", About: &match.About{Case: match.Claimed}}, "[{ several entries claim the same value}]"},
		{"an account by its ID", Note{Kind: Dispute, Text: "all match account 8c023a16-8b33-8c6e-a0aa-c8e16559c6df"}, "[{ all match account ...}]"},
		{"nothing", Note{}, "[{ }]"},
	} {
		if got := fmt.Sprint(c.note.Causes()); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for _, one := range []match.Case{match.Claimed, match.Taken, match.Several, match.Shared, match.Crowded, match.Overlaps, match.Owned, match.Mismatch} {
		if caseTexts[string(one)] == "" {
			t.Errorf("nothing is said of %s", one)
		}
	}
}
