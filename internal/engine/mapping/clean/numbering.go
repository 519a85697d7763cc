package clean

import (
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// Whether a number can exist is asked of every phone of every person, and the library
// tries all ten kinds of numbers of a country in a fixed order, each twice and by an
// expression it looks up under a lock: half of what mapping a person took. Here is the
// same question over the same data (its metadata, which it publishes), with the kinds
// people have tried first. numbering_test.go holds the answers against the library's.

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
