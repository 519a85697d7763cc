package clean

import (
	"regexp/syntax"
	"slices"
)

// automaton is an expression over digits as a table: whether a number is like that
// takes a step for each digit. The package regexp takes twenty times as long for the
// expressions of phone numbers, which are lists of prefixes.
type automaton struct {
	next  [][10]uint16 // by state and digit; state 0 is the one that nothing leads out of
	ends  []bool       // by state: what was read up to here is what the expression says
	start uint16       // 0 where no number is like that
}

// mostStates bounds what an expression may grow to; those of phone numbers stay below
// a tenth of it.
const mostStates = 10_000

// compileDigits gives nil where an expression cannot be a table: it asks for what is
// before or behind it, or is too large.
func compileDigits(expression string) *automaton {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil
	}
	c := tabling{automaton: &automaton{}, prog: prog, met: make([]int, len(prog.Inst)), states: map[string]uint16{}}
	c.state(nil)
	c.start = c.state([]uint32{uint32(prog.Start)})
	var from []uint32
	for at := 1; at < len(c.sets) && !c.failed; at++ {
		for d := range 10 {
			from = from[:0]
			for _, pc := range c.sets[at] {
				if i := &prog.Inst[pc]; takes(i, rune('0'+d)) {
					from = append(from, i.Out)
				}
			}
			c.next[at][d] = c.state(from)
		}
	}
	if c.failed {
		return nil
	}
	return c.automaton
}

// tabling makes the table: a state is a set of instructions of the compiled
// expression at which it may stand.
type tabling struct {
	*automaton
	prog   *syntax.Prog
	sets   [][]uint32 // by state
	states map[string]uint16
	met    []int // by instruction: the round in which it was come to
	round  int
	failed bool
}

// state gives the one that is come to from instructions without taking a digit.
func (c *tabling) state(from []uint32) uint16 {
	c.round++
	var set []uint32
	ends := false
	for len(from) > 0 {
		pc := from[len(from)-1]
		from = from[:len(from)-1]
		if c.met[pc] == c.round {
			continue
		}
		c.met[pc] = c.round
		switch i := &c.prog.Inst[pc]; i.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			from = append(from, i.Out, i.Arg)
		case syntax.InstCapture, syntax.InstNop:
			from = append(from, i.Out)
		case syntax.InstEmptyWidth:
			c.failed = true
		case syntax.InstMatch:
			ends = true
			set = append(set, pc)
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			set = append(set, pc)
		default:
		}
	}
	slices.Sort(set)
	key := keyOf(set)
	if s, ok := c.states[string(key)]; ok {
		return s
	}
	if len(c.sets) == mostStates {
		c.failed = true
		return 0
	}
	s := uint16(len(c.sets))
	c.states[string(key)] = s
	c.sets, c.next, c.ends = append(c.sets, set), append(c.next, [10]uint16{}), append(c.ends, ends)
	return s
}

func takes(i *syntax.Inst, r rune) bool {
	switch i.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return i.MatchRune(r)
	default:
		return false
	}
}

func keyOf(set []uint32) []byte {
	key := make([]byte, 0, 3*len(set))
	for _, pc := range set {
		key = append(key, byte(pc), byte(pc>>8), byte(pc>>16))
	}
	return key
}

// matches reports that digits are what the expression says, all of them.
func (a *automaton) matches(digits []byte) bool {
	s := a.start
	for _, d := range digits {
		s = a.next[s][d-'0']
	}
	return a.ends[s]
}

// begins reports that digits begin with what the expression says.
func (a *automaton) begins(digits []byte) bool {
	s := a.start
	for _, d := range digits {
		if a.ends[s] {
			return true
		}
		s = a.next[s][d-'0']
	}
	return a.ends[s]
}
