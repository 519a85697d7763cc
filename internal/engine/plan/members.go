package plan

import (
	"bytes"
	"iter"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
)

// Node is one group of the directory, as the closure sees it.
type Node struct {
	Name    string
	Members []directory.Digest // refs of those listed in the group itself who are no groups
	Groups  []int              // groups listed in it, by index
}

// Closure gives each group's effective members when they are asked for: those listed in
// it and in any group nested in it, however deep; somebody listed in several comes
// several times. One group is gone through after the other. Groups that are nested in each other share their members; cycles gives
// one list of indexes for each such ring.
func Closure(nodes []Node) (members func(group int) iter.Seq[directory.Digest], cycles [][]int) {
	for _, component := range components(nodes) {
		if len(component) > 1 || slices.Contains(nodes[component[0]].Groups, component[0]) {
			slices.Sort(component)
			cycles = append(cycles, component)
		}
	}
	met := make([]int, len(nodes)) // by which question
	question := 0
	return func(group int) iter.Seq[directory.Digest] {
		return func(yield func(directory.Digest) bool) {
			question++
			met[group] = question
			for todo := []int{group}; len(todo) > 0; {
				at := &nodes[todo[len(todo)-1]]
				todo = todo[:len(todo)-1]
				for _, ref := range at.Members {
					if !yield(ref) {
						return
					}
				}
				for _, nested := range at.Groups {
					if met[nested] != question {
						met[nested] = question
						todo = append(todo, nested)
					}
				}
			}
		}
	}, cycles
}

// components are the strongly connected components (Tarjan, with its own stack:
// nesting may be deeper than ours).
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
