package plan

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
)

// groups reads "a: anna bo | b c" lines: a group, the accounts listed in it,
// and the groups, which are single letters.
func groups(lines ...string) []Node {
	index := map[string]int{}
	for i, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		index[name] = i
	}
	nodes := make([]Node, len(lines))
	for i, line := range lines {
		name, rest, _ := strings.Cut(line, ":")
		accounts, nested, _ := strings.Cut(rest, "|")
		nodes[i].Name = name
		for _, a := range strings.Fields(accounts) {
			nodes[i].Members = append(nodes[i].Members, ref(a))
		}
		for _, g := range strings.Fields(nested) {
			nodes[i].Groups = append(nodes[i].Groups, index[g])
		}
	}
	return nodes
}

func ref(person string) directory.Digest { return directory.Digest(account.NewID(person)) }

// set is what comes, each once.
func set(refs iter.Seq[directory.Digest]) map[directory.Digest]struct{} {
	out := map[directory.Digest]struct{}{}
	for ref := range refs {
		out[ref] = struct{}{}
	}
	return out
}

var people = []string{"anna", "bo", "cy", "dee"}

func inGroup(set map[directory.Digest]struct{}) string {
	var out []string
	for _, p := range people {
		if _, ok := set[ref(p)]; ok {
			out = append(out, p)
		}
	}
	if len(out) != len(set) {
		out = append(out, fmt.Sprintf("and %d nobody knows", len(set)-len(out)))
	}
	return strings.Join(out, " ")
}

func TestWhoIsInAGroup(t *testing.T) {
	for _, c := range []struct {
		name   string
		groups []string
		want   string
		cycles string
	}{
		{"no groups", nil, "", "[]"},
		{"a group of nobody", []string{"a:"}, "a:", "[]"},
		{"two that have nothing to do with each other", []string{"a: anna", "b: bo"}, "a: anna, b: bo", "[]"},
		{"nested", []string{"a: anna | b", "b: bo | c", "c: cy"}, "a: anna bo cy, b: bo cy, c: cy", "[]"},
		{"nested, told of from below", []string{"c: cy", "b: bo | c", "a: anna | b"}, "c: cy, b: bo cy, a: anna bo cy", "[]"},
		{"one group by two ways", []string{"a: | b c", "b: bo | d", "c: cy | d", "d: dee"}, "a: bo cy dee, b: bo dee, c: cy dee, d: dee", "[]"},
		{"one person by two ways, and listed twice", []string{"a: anna anna | b", "b: anna bo"}, "a: anna bo, b: anna bo", "[]"},
		{"one group nested twice in another", []string{"a: | b b", "b: bo"}, "a: bo, b: bo", "[]"},
		{"a group in itself", []string{"a: anna | a"}, "a: anna", "[[0]]"},
		{"two in each other", []string{"a: anna | b", "b: bo | a"}, "a: anna bo, b: anna bo", "[[0 1]]"},
		{"a ring of three, with a group above and one below", []string{"top: dee | a", "a: anna | b", "b: bo | c", "c: | a low", "low: cy"},
			"top: anna bo cy dee, a: anna bo cy, b: anna bo cy, c: anna bo cy, low: cy", "[[1 2 3]]"},
		{"two rings, one nested in the other", []string{"a: anna | b", "b: | a c", "c: cy | d", "d: | c"}, "a: anna cy, b: anna cy, c: cy, d: cy", "[[2 3] [0 1]]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := groups(c.groups...)
			members, cycles := Closure(nodes)
			var got []string
			for i := range nodes {
				got = append(got, strings.TrimSpace(nodes[i].Name+": "+inGroup(set(members(i)))))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("%s\nwant\n%s", text, c.want)
			}
			if text := fmt.Sprint(cycles); text != c.cycles {
				t.Errorf("cycles %s, want %s", text, c.cycles)
			}
		})
	}
}

func TestNestingMayBeDeep(t *testing.T) {
	const depth = 10_000
	for _, ring := range []bool{false, true} {
		nodes := make([]Node, depth)
		for i := range depth - 1 {
			nodes[i].Groups = []int{i + 1}
		}
		nodes[depth-1].Members = []directory.Digest{ref("anna")}
		if ring {
			nodes[depth-1].Groups = []int{0}
		}
		members, cycles := Closure(nodes)
		for i := range nodes {
			if inGroup(set(members(i))) != "anna" {
				t.Fatalf("in group %d of the chain is %q", i, inGroup(set(members(i))))
			}
		}
		if ring != (len(cycles) == 1) || ring && len(cycles[0]) != depth {
			t.Errorf("%d cycles", len(cycles))
		}
	}
}

// One may stop asking, and ask for another group's members in between.
func TestMembersAreAskedForInAnyOrder(t *testing.T) {
	nodes := groups("a: anna | b", "b: bo | a c", "c: cy")
	members, _ := Closure(nodes)
	for range members(0) {
		break
	}
	if got := inGroup(set(members(2))); got != "cy" {
		t.Errorf("in c is %q", got)
	}
	for range 2 {
		if got := inGroup(set(members(0))); got != "anna bo cy" {
			t.Errorf("in a is %q", got)
		}
	}
}

func TestAnyGroupsHaveWhoCanBeReached(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 500 {
		nodes := make([]Node, 1+rng.IntN(8))
		for i := range nodes {
			for range rng.IntN(3) {
				nodes[i].Members = append(nodes[i].Members, ref(people[rng.IntN(len(people))]))
			}
			for range rng.IntN(3) {
				nodes[i].Groups = append(nodes[i].Groups, rng.IntN(len(nodes)))
			}
		}
		members, cycles := Closure(nodes)
		inCycle := map[int]bool{}
		for _, c := range cycles {
			for _, i := range c {
				inCycle[i] = true
			}
		}
		for i := range nodes {
			// The slow and plain way: walk from each group.
			want, seen, back := map[directory.Digest]struct{}{}, map[int]bool{}, false
			for todo := []int{i}; len(todo) > 0; {
				at := todo[0]
				todo = todo[1:]
				if seen[at] {
					continue
				}
				seen[at] = true
				for _, id := range nodes[at].Members {
					want[id] = struct{}{}
				}
				back = back || slices.Contains(nodes[at].Groups, i)
				todo = append(todo, nodes[at].Groups...)
			}
			if !maps.Equal(set(members(i)), want) || inCycle[i] != back {
				t.Fatalf("graph %d: group %d has %q, want %q; in a cycle: %v, want %v\n%+v", n, i, inGroup(set(members(i))), inGroup(want), inCycle[i], back, nodes)
			}
		}
	}
}

func TestIDsAreSortedAsBytes(t *testing.T) {
	ids := []account.ID{{2}, {1, 9}, {}, {1}, {0xff}}
	SortIDs(ids)
	if want := []account.ID{{}, {1}, {1, 9}, {2}, {0xff}}; !slices.Equal(ids, want) {
		t.Errorf("%v", ids)
	}
}
