package clean

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// Mobile gives a number in E.164 form. region ("BE") is the country of numbers
// written without one; it may be empty.
func Mobile(s, region string) (value, why string) {
	s, why = Text(s)
	if why != "" || s == "" {
		return "", why
	}
	if p, ok := plainNumber(s); ok {
		return p.e164(), ""
	}
	n, why := parsePhone(s, region)
	if why != "" {
		return "", why
	}
	return phonenumbers.Format(n, phonenumbers.E164), ""
}

// Phone gives a number in international form where it is one, otherwise as it
// was written (an internal extension, say), always fewer than 20 characters.
func Phone(s, region string) (value, why string) {
	s, why = Text(s)
	if why != "" || s == "" {
		return "", why
	}
	if p, ok := plainNumber(s); ok {
		if out, ok := p.international(); ok && len(out) <= MaxPhone {
			return out, ""
		}
	}
	if n, bad := parsePhone(s, region); bad == "" {
		if out := phonenumbers.Format(n, phonenumbers.INTERNATIONAL); utf8.RuneCountInString(out) <= MaxPhone {
			return out, ""
		}
		out := phonenumbers.Format(n, phonenumbers.E164)
		if ext := n.GetExtension(); ext != "" {
			out += "x" + ext
		}
		if len(out) <= MaxPhone {
			return out, ""
		}
	}
	if utf8.RuneCountInString(s) <= MaxPhone {
		return s, ""
	}
	return "", "has 20 characters or more and is no phone number"
}

// longestPhone is how many bytes are looked at as a number, whatever fills them.
const longestPhone = 60

// parsePhone reads a number and asks whether it can exist: the library also
// makes a number of "ext 123".
func parsePhone(s, region string) (*phonenumbers.PhoneNumber, string) {
	if len(s) > longestPhone || strings.IndexFunc(s, isDigit) < 0 {
		return nil, "is not a phone number"
	}
	if region == "" && strings.HasPrefix(s, "00") {
		s = "+" + s[2:]
	}
	n, err := phonenumbers.Parse(s, region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode) && region == "":
		return nil, "has no country code, and the connection has no region for phone numbers"
	case err != nil:
		return nil, "is not a phone number"
	case !phonenumbers.IsValidNumber(n):
		return nil, "is not a valid phone number"
	}
	return n, ""
}

// plain is a number that is plainly valid.
type plain struct {
	code    int
	country *country
	digits  [15]byte // E.164 has no longer numbers
	from, n int      // where the national number begins and ends
}

// plainNumber reads what most numbers in directories look like: a plus, digits,
// and nothing but spaces, dots and dashes between them. The library's own parser
// looks for extensions and letters first, which costs three times as much as all
// the rest. Whatever is not plainly valid is left to it.
func plainNumber(s string) (p plain, ok bool) {
	if len(s) < 8 || len(s) > longestPhone || s[0] != '+' {
		return p, false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			if p.n == len(p.digits) {
				return p, false
			}
			p.digits[p.n] = c
			p.n++
		case c != ' ' && c != '-' && c != '.':
			return p, false
		}
	}
	for i := range min(3, p.n) {
		p.code = p.code*10 + int(p.digits[i]-'0')
		if p.code == 0 {
			return p, false
		}
		if phonenumbers.GetRegionCodeForCountryCode(p.code) == phonenumbers.UNKNOWN_REGION {
			continue
		}
		p.from = i + 1
		if p.from == p.n || p.digits[p.from] == '0' {
			return p, false // a leading zero may be the number's own or a habit
		}
		p.country = numbering(p.code)
		return p, p.country != nil && p.country.has(p.digits[p.from:p.n])
	}
	return p, false
}

func (p *plain) e164() string {
	return "+" + string(p.digits[:p.n])
}

// international is the number as it is written; ok is false where that takes the
// library.
func (p *plain) international() (string, bool) {
	out := make([]byte, 0, 2*len(p.digits))
	out = append(strconv.AppendInt(append(out, '+'), int64(p.code), 10), ' ')
	out, ok := p.country.write(out, p.digits[p.from:p.n])
	return string(out), ok
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// KnownRegion reports whether a region such as "BE" has phone numbers.
func KnownRegion(region string) bool {
	return phonenumbers.GetSupportedRegions()[region]
}
