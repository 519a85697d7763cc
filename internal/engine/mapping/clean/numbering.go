package clean

import (
	"strconv"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// Whether a number can exist, and how it is written, is asked of every phone of every
// person, and the library tries all ten kinds of numbers of a country in a fixed order,
// each twice and by an expression it looks up under a lock: half of what mapping a
// person took. Here are the same questions over the same data (its metadata, which it
// publishes), with the kinds people have tried first. numbering_test.go holds the
// answers against the library's.

// country is how numbers under one country calling code look.
type country struct {
	regions []region
	formats []format // the first that fits says how a number is written
	foreign bool     // some of them are more than is understood here: the library writes the number
}

// region is one of several that share a calling code, or the only one.
type region struct {
	leading *automaton // nil where its numbers are not told by their first digits
	general shape
	kinds   []shape
}

// shape is one kind of number.
type shape struct {
	lengths uint32 // a bit for each possible length; 0 for any
	pattern func() *automaton
}

func (s *shape) fits(national []byte) bool {
	if s.lengths != 0 && s.lengths&(1<<len(national)) == 0 {
		return false
	}
	p := s.pattern()
	return p != nil && p.matches(national)
}

func (r *region) has(national []byte) bool {
	if !r.general.fits(national) {
		return false
	}
	for i := range r.kinds {
		if r.kinds[i].fits(national) {
			return true
		}
	}
	return false
}

// has reports whether a national number can exist. Where it cannot be told, it says
// no, and the library is asked.
func (c *country) has(national []byte) bool {
	if len(c.regions) == 1 {
		return c.regions[0].has(national)
	}
	for i := range c.regions {
		r := &c.regions[i]
		if r.leading != nil {
			if r.leading.begins(national) {
				return r.has(national)
			}
		} else if r.has(national) {
			return true
		}
	}
	return false
}

var countries struct {
	sync.RWMutex
	by map[int]*country
}

// numbering gives how numbers under a calling code look; nil where the library's data
// cannot tell.
func numbering(code int) *country {
	countries.RLock()
	c, known := countries.by[code]
	countries.RUnlock()
	if known {
		return c
	}
	countries.Lock()
	defer countries.Unlock()
	if countries.by == nil {
		countries.by = map[int]*country{}
	}
	c = readNumbering(code)
	countries.by[code] = c
	return c
}

func readNumbering(code int) *country {
	all, err := phonenumbers.MetadataCollection()
	if err != nil {
		return nil
	}
	by := map[string]*phonenumbers.PhoneMetadata{}
	for _, m := range all.GetMetadata() {
		if int(m.GetCountryCode()) == code {
			by[m.GetId()] = m
		}
	}
	c := &country{}
	for _, id := range phonenumbers.GetRegionCodesForCountryCode(code) {
		if by[id] == nil {
			return nil
		}
		r, ok := readRegion(by[id])
		if !ok {
			return nil
		}
		c.regions = append(c.regions, r)
	}
	if len(c.regions) == 0 {
		return nil
	}
	// How numbers are written is with the main region of those that share a code.
	c.readFormats(by[phonenumbers.GetRegionCodeForCountryCode(code)])
	return c
}

func readRegion(m *phonenumbers.PhoneMetadata) (r region, ok bool) {
	if digits := m.GetLeadingDigits(); digits != "" {
		if r.leading = compileDigits(digits); r.leading == nil {
			return r, false
		}
	}
	r.general = readShape(m.GetGeneralDesc())
	kinds := []*phonenumbers.PhoneNumberDesc{m.GetMobile(), m.GetFixedLine(), m.GetTollFree(), m.GetPremiumRate(), m.GetSharedCost(), m.GetVoip(),
		m.GetPersonalNumber(), m.GetPager(), m.GetUan(), m.GetVoicemail()}
	for _, desc := range kinds {
		if desc.GetNationalNumberPattern() != "" {
			r.kinds = append(r.kinds, readShape(desc))
		}
	}
	return r, true
}

// readShape leaves the expression for when it is asked for: 25 countries are under +1.
func readShape(desc *phonenumbers.PhoneNumberDesc) shape {
	s := shape{pattern: sync.OnceValue(func() *automaton { return compileDigits(desc.GetNationalNumberPattern()) })}
	for _, n := range desc.GetPossibleLength() {
		if n < 0 { // there are no such numbers
			n = 31
		}
		s.lengths |= 1 << n
	}
	return s
}

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
