package people

import (
	"cmp"
	"slices"

	"rollcall.dev/rollcall/internal/account"
)

// Chart is who reports to whom, of everybody who has not left. A cycle of managers
// is cut above the one of it whose name comes first, who is then at the top.
type Chart struct {
	list    []Person
	at      map[account.ID]int32
	parent  []int32 // nobody: -1
	first   []int32 // where the children of each begin in child, one more at the end
	child   []int32 // by name
	below   []int32
	roots   []int32
	cycles  [][]int32
	cut     map[int32]bool // those above whom a cycle was cut
	present int
}

const (
	nobody  = -1
	outside = -2 // who left is in the list, and not in the chart
)

// Chart gives the org chart. It is made once for a picture.
func (p *Picture) Chart() *Chart {
	p.once.Do(func() { p.chart = draw(p.list) })
	return p.chart
}

func draw(list []Person) *Chart {
	n := len(list)
	c := &Chart{list: list, at: make(map[account.ID]int32, n), parent: make([]int32, n), first: make([]int32, n+1), below: make([]int32, n), cut: map[int32]bool{}}
	for i := range list {
		if !list[i].Left {
			c.at[list[i].ID] = int32(i)
			c.present++
		}
	}
	for i := range list {
		c.parent[i] = nobody
		if list[i].Left {
			c.parent[i] = outside
		} else if m, ok := c.at[list[i].Manager]; ok && list[m].Organization == list[i].Organization {
			c.parent[i] = m
		}
	}
	c.cutCycles()
	for _, m := range c.parent {
		if m >= 0 {
			c.first[m+1]++
		}
	}
	for i := range n {
		c.first[i+1] += c.first[i]
	}
	c.child = make([]int32, c.first[n])
	next := slices.Clone(c.first[:n])
	for i, m := range c.parent { // in the order of names, and so are the children
		if m >= 0 {
			c.child[next[m]] = int32(i)
			next[m]++
		}
	}
	c.count()
	for i, m := range c.parent {
		if m == nobody && (list[i].Status == account.Active || c.below[i] > 0) {
			c.roots = append(c.roots, int32(i))
		}
	}
	// Who leads many comes before those who are only without a manager.
	slices.SortStableFunc(c.roots, func(a, b int32) int { return cmp.Compare(c.below[b], c.below[a]) })
	return c
}

// cutCycles makes trees of the links: after it every walk upward ends.
func (c *Chart) cutCycles() {
	visited := make([]int32, len(c.parent)) // the walk that came by, counted from 1
	for start := range c.parent {
		i := int32(start)
		walk := i + 1
		for i >= 0 && visited[i] == 0 {
			visited[i] = walk
			i = c.parent[i]
		}
		if i < 0 || visited[i] != walk {
			continue
		}
		cycle := []int32{i}
		for next := c.parent[i]; next != i; next = c.parent[next] {
			cycle = append(cycle, next)
		}
		k := slices.Index(cycle, slices.Min(cycle))
		cycle = append(cycle[k:len(cycle):len(cycle)], cycle[:k]...)
		c.parent[cycle[0]] = nobody
		c.cut[cycle[0]] = true
		c.cycles = append(c.cycles, cycle)
	}
}

// count adds up who is below whom, the lowest first, so that no depth is too deep.
func (c *Chart) count() {
	order := make([]int32, 0, len(c.parent))
	for i, m := range c.parent {
		if m == nobody {
			order = append(order, int32(i))
		}
	}
	for k := 0; k < len(order); k++ {
		order = append(order, c.children(order[k])...)
	}
	for _, i := range slices.Backward(order) {
		if m := c.parent[i]; m >= 0 {
			c.below[m] += c.below[i] + 1
		}
	}
}

func (c *Chart) children(i int32) []int32 { return c.child[c.first[i]:c.first[i+1]] }

// Node is one person in the chart.
type Node struct {
	*Person
	Above    account.ID // the manager, if they are in the chart
	Reports  int        // who reports to them directly
	Below    int        // everybody below them
	Cycle    bool       // they have a manager who is below them; the chart is cut there
	Children []Node     // as many as were asked for
	More     int        // direct reports that are not among Children
}

func (c *Chart) node(i int32) Node {
	n := Node{Person: &c.list[i], Below: int(c.below[i]), Reports: len(c.children(i)), Cycle: c.cut[i]}
	if m := c.parent[i]; m >= 0 {
		n.Above = c.list[m].ID
	}
	n.More = n.Reports
	return n
}

// People is how many there are in the chart.
func (c *Chart) People() int { return c.present }

// Roots gives those nobody is above, who lead most people first: so many behind so
// many, with their reports to a depth, and how many there are. No node has more
// than limit children, and there are not more than most nodes at all.
func (c *Chart) Roots(depth, offset, limit, most int) ([]Node, int) {
	s := shower{c, depth, limit, most}
	return s.show(c.roots[min(offset, len(c.roots)):]), len(c.roots)
}

// Below gives a person with those below to a depth, offset by so many of their
// direct reports. It is false where they are not in the chart.
func (c *Chart) Below(id account.ID, depth, offset, limit, most int) (Node, bool) {
	i, ok := c.at[id]
	if !ok {
		return Node{}, false
	}
	n := c.node(i)
	if depth > 0 {
		s := shower{c, depth, limit, most}
		children := c.children(i)
		n.Children = s.show(children[min(offset, len(children)):])
		n.More = max(0, len(children)-min(offset, len(children))-len(n.Children))
	}
	return n, true
}

// Cycles names those whose managers lead back to themselves, a list for each cycle.
func (c *Chart) Cycles() [][]Node {
	out := make([][]Node, len(c.cycles))
	for k, cycle := range c.cycles {
		for _, i := range cycle {
			out[k] = append(out[k], c.node(i))
		}
	}
	return out
}

// Path gives a person and everybody above, the person first, at most so many.
// cycle says that the one at the end has a manager who was named before. It is
// false where the person is not in the chart.
func (c *Chart) Path(id account.ID, most int) (path []Node, more int, cycle, ok bool) {
	i, ok := c.at[id]
	if !ok {
		return nil, 0, false, false
	}
	for ; i >= 0; i = c.parent[i] {
		if len(path) < most {
			path = append(path, c.node(i))
		} else {
			more++
		}
		cycle = c.cut[i]
	}
	return path, more, cycle, true
}

type shower struct {
	*Chart
	depth, limit, left int
}

// show gives nodes level by level: where there are too many, the lowest are left out.
func (s *shower) show(list []int32) []Node {
	take := func(list []int32) []Node {
		list = list[:min(len(list), s.limit, s.left)]
		s.left -= len(list)
		nodes := make([]Node, len(list))
		for k, i := range list {
			nodes[k] = s.node(i)
		}
		return nodes
	}
	top := take(list)
	level := []*Node{}
	for k := range top {
		level = append(level, &top[k])
	}
	for depth := 1; depth < s.depth && len(level) > 0; depth++ {
		var next []*Node
		for _, n := range level {
			n.Children = take(s.children(s.at[n.ID]))
			n.More = n.Reports - len(n.Children)
			for k := range n.Children {
				next = append(next, &n.Children[k])
			}
		}
		level = next
	}
	return top
}
