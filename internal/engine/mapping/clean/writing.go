package clean

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// How a number is written, by the library's data and without its expressions: the
// groups of digits, and what stands between them. numbering_test.go holds the answers
// against the library's.

// format is one way to write a number.
type format struct {
	leading *automaton // nil where the length alone says whether it fits
	groups  [][2]int   // digits in each: at least, at most
	text    []part
}

// part is a piece of how a number is written: some text, and a group behind it.
type part struct {
	before string
	group  int // -1 for none
}

func (c *country) readFormats(m *phonenumbers.PhoneMetadata) {
	list := m.GetIntlNumberFormat()
	if len(list) == 0 {
		list = m.GetNumberFormat()
	}
	for _, n := range list {
		f, ok := readFormat(n)
		if !ok {
			c.foreign = true
			return
		}
		c.formats = append(c.formats, f)
	}
}

func readFormat(n *phonenumbers.NumberFormat) (f format, ok bool) {
	if all := n.GetLeadingDigitsPattern(); len(all) > 0 {
		// The last one is the most detailed.
		if f.leading = compileDigits(all[len(all)-1]); f.leading == nil {
			return f, false
		}
	}
	for rest := n.GetPattern(); rest != ""; {
		if rest, ok = strings.CutPrefix(rest, `(\d`); !ok {
			return f, false
		}
		var size string
		if size, rest, ok = strings.Cut(rest, ")"); !ok {
			return f, false
		}
		g, ok := groupOf(size)
		if !ok {
			return f, false
		}
		f.groups = append(f.groups, g)
	}
	f.text, ok = partsOf(n.GetFormat(), len(f.groups))
	return f, ok
}

// groupOf reads what stands behind the \d of a group: "", "{3}" or "{3,4}".
func groupOf(size string) (g [2]int, ok bool) {
	if size == "" {
		return [2]int{1, 1}, true
	}
	inner, opened := strings.CutPrefix(size, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed {
		return g, false
	}
	least, most, several := strings.Cut(inner, ",")
	if !several {
		most = least
	}
	var err error
	if g[0], err = strconv.Atoi(least); err != nil {
		return g, false
	}
	g[1], err = strconv.Atoi(most)
	return g, err == nil
}

// partsOf reads how groups are put together: "$1 $2-$3".
func partsOf(text string, groups int) (parts []part, ok bool) {
	for text != "" {
		before, after, found := strings.Cut(text, "$")
		if !found {
			return append(parts, part{before, -1}), true
		}
		if after == "" || after[0] < '1' || int(after[0]-'0') > groups || len(after) > 1 && isWord(after[1]) {
			return nil, false
		}
		parts = append(parts, part{before, int(after[0] - '1')})
		text = after[1:]
	}
	return parts, true
}

// isWord reports what would be part of a group's name.
func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// write appends a national number as it is written, to what is known of its country;
// ok is false where that takes the library.
func (c *country) write(to, national []byte) (_ []byte, ok bool) {
	if c.foreign {
		return to, false
	}
	for i := range c.formats {
		f := &c.formats[i]
		if f.leading != nil && !f.leading.begins(national) {
			continue
		}
		if ends, fits := f.split(len(national)); fits {
			for _, p := range f.text {
				to = append(to, p.before...)
				if p.group == 0 {
					to = append(to, national[:ends[0]]...)
				} else if p.group > 0 {
					to = append(to, national[ends[p.group-1]:ends[p.group]]...)
				}
			}
			return to, true
		}
	}
	return append(to, national...), true
}

// split says where groups end, as an expression would have it: each takes as much as
// it may while enough is left for those behind it.
func (f *format) split(digits int) (ends [9]int, fits bool) {
	rest := 0
	for _, g := range f.groups {
		rest += g[0]
	}
	at := 0
	for i, g := range f.groups {
		rest -= g[0]
		n := min(g[1], digits-at-rest)
		if n < g[0] || i == len(ends) {
			return ends, false
		}
		at += n
		ends[i] = at
	}
	return ends, at == digits
}
