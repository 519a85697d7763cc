package plan

import (
	"bytes"
	"maps"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
)

// Node is one group of the directory, as the closure sees it.
type Node struct {
	Ref      directory.Digest
	Name     string
	Accounts []account.ID // listed in the group itself
	Groups   []int        // groups listed in it, by index
}

// Closure gives each group's effective members: those listed in it and in any
// group nested in it, however deep. A cycle of nesting makes its groups share
// their members; cycles gives one list of indexes for each.
//
// Groups of one cycle are one component (Tarjan); components come out of the
// algorithm children first, so each is the union of what is already known.
func Closure(nodes []Node) (members []map[account.ID]struct{}, cycles [][]int) {
	members = make([]map[account.ID]struct{}, len(nodes))
	for _, component := range components(nodes) {
		set := map[account.ID]struct{}{}
		for _, i := range component {
			for _, child := range nodes[i].Groups {
				for id := range members[child] {
					set[id] = struct{}{}
				}
			}
		}
		for _, i := range component {
			for _, id := range nodes[i].Accounts {
				set[id] = struct{}{}
			}
		}
		for k, i := range component {
			members[i] = set
			if k > 0 {
				members[i] = maps.Clone(set) // each is the caller's to change
			}
		}
		if len(component) > 1 || slices.Contains(nodes[component[0]].Groups, component[0]) {
			slices.Sort(component)
			cycles = append(cycles, component)
		}
	}
	return members, cycles
}

// components are the strongly connected components, children first (Tarjan,
// with its own stack: nesting may be deeper than ours).
func components(nodes []Node) [][]int {
	const unseen = -1
	index := make([]int, len(nodes))
	low := make([]int, len(nodes))
	onStack := make([]bool, len(nodes))
	for i := range index {
		index[i] = unseen
	}
	var stack []int
	var out [][]int
	next := 0
	type frame struct{ node, child int }
	for root := range nodes {
		if index[root] != unseen {
			continue
		}
		frames := []frame{{node: root}}
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			v := f.node
			if index[v] == unseen {
				index[v], low[v] = next, next
				next++
				stack = append(stack, v)
				onStack[v] = true
			}
			if f.child < len(nodes[v].Groups) {
				w := nodes[v].Groups[f.child]
				f.child++
				if index[w] == unseen {
					frames = append(frames, frame{node: w})
				} else if onStack[w] {
					low[v] = min(low[v], index[w])
				}
				continue
			}
			if low[v] == index[v] {
				at := slices.Index(stack, v)
				component := slices.Clone(stack[at:])
				for _, w := range component {
					onStack[w] = false
				}
				stack = stack[:at]
				out = append(out, component)
			}
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				parent := frames[len(frames)-1].node
				low[parent] = min(low[parent], low[v])
			}
		}
	}
	return out
}

// SortIDs puts IDs in order.
func SortIDs(ids []account.ID) {
	slices.SortFunc(ids, func(a, b account.ID) int { return bytes.Compare(a[:], b[:]) })
}
