package orgchart

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
		if n.Others > 0 {
			parts[i] += fmt.Sprintf("+%d@%d", n.Others, n.Next)
		}
	}
	return strings.Join(parts, " ")
}

// nodes reads a level, a name and, behind a plus, how many are not shown: "1b+3".
func nodes(t *testing.T, text string) (out []client.OrgNode) {
	for word := range strings.FieldsSeq(text) {
		var n client.OrgNode
		head, more, _ := strings.Cut(word, "+")
		if more != "" {
			if _, err := fmt.Sscan(more, &n.More); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fmt.Sscanf(head, "%d%s", &n.Level, &n.Name); err != nil {
			t.Fatal(err)
		}
		n.Reports = n.More
		out = append(out, n)
	}
	return out
}

func TestATreeIsMadeOfPeopleWhoLieFlat(t *testing.T) {
	for _, c := range []struct {
		name, flat string
		offset     int
		want       string
	}{
		{"nobody", "", 0, ""},
		{"one above two", "0a 1b 1c", 0, "a(b c)"},
		{"several at the top", "0a 1b 0c 1d", 0, "a(b) c(d)"},
		{"one whose reports are not asked for yet", "0a 1b+8", 0, "a(b+8@0)"},
		{"one with more reports than are shown", "0a+5 1b 1c", 0, "a(b c)+5@2"},
		{"the second piece of those", "0a+3 1d 1e", 2, "a(d e)+3@4"},
		{"the last piece", "0a 1f", 4, "a(f)"},
	} {
		if got := drawn(grow(nodes(t, c.flat), c.offset)); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
	}
}

func TestAPageThatWouldBeTooLongIsFolded(t *testing.T) {
	tree := grow(nodes(t, "0a+2 1b 1c 0d 1e 1f 0g 1h"), 0)
	fold(tree, 3)
	if got := drawn(tree); got != "a(b c)+2@2 d g" {
		t.Error(got)
	}
	if tree[1].Open || tree[1].Others != 0 {
		t.Errorf("%+v is closed, and asked for as a whole", tree[1])
	}
}
