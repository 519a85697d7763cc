package groups

import (
	"fmt"
	"strings"
	"testing"

	"rollcall.dev/rollcall/client"
)

func drawn(tree []*Node) string {
	parts := make([]string, len(tree))
	for i, n := range tree {
		parts[i] = n.Name
		if len(n.Children) > 0 {
			parts[i] += "(" + drawn(n.Children) + ")"
		}
	}
	return strings.Join(parts, " ")
}

func TestATreeIsMadeOfGroupsThatLieFlat(t *testing.T) {
	for flat, want := range map[string]string{
		"":                  "",
		"a1":                "a",
		"a1 b2 c3 d2 e1":    "a(b(c) d) e",
		"a1 b1 c2":          "a b(c)",
		"a2 b1":             "a b", // what hangs in the air stands at the top
		"a1 b3 c2":          "a(b c)",
		"a1 b2 c3 d4 e1 f2": "a(b(c(d))) e(f)",
	} {
		var list []client.GroupNode
		for _, word := range strings.Fields(flat) {
			n := client.GroupNode{Name: word[:1]}
			if _, err := fmt.Sscan(word[1:], &n.Level); err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
		if got := drawn(grow(list)); got != want {
			t.Errorf("%s: %s, not %s", flat, got, want)
		}
	}
}
