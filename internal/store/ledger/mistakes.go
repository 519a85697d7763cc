package ledger

import (
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// mostMistakes is how many lines of a table are named that cannot be imported.
const mostMistakes = 20

// mistakes are what is wrong with the lines of a table, for whoever mends all of it at once.
type mistakes struct {
	kind  fault.Kind
	first error
	lines []string
	all   int
}

func (m *mistakes) add(line int, err error) {
	if m.all++; m.all == 1 {
		m.first = err
	}
	text := err.Error()
	if line > 0 {
		text = fmt.Sprintf("line %d: %s", line, text)
	}
	if len(m.lines) < mostMistakes {
		m.lines = append(m.lines, text)
	}
}

// err is nil without a mistake. undone says that nothing was done.
func (m *mistakes) err(doing, undone string) error {
	switch {
	case m.all == 0:
		return nil
	case m.all == 1:
		return &fault.Error{Kind: m.kind, Message: doing + m.lines[0] + "; " + undone, Cause: m.first}
	}
	if more := m.all - len(m.lines); more > 0 {
		m.lines = append(m.lines, fmt.Sprintf("and %d more", more))
	}
	return &fault.Error{Kind: m.kind, Message: fmt.Sprintf("%s%d mistakes; %s:\n%s", doing, m.all, undone, strings.Join(m.lines, "\n")), Cause: m.first}
}
