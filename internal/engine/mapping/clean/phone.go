package clean

import (
	"errors"
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
	if n := plainNumber(s); n != nil {
		return n, ""
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

// plainNumber reads what most numbers in directories look like: a plus, digits,
// and nothing but spaces, dots and dashes between them. The library's own parser
// looks for extensions and letters first, which costs three times as much as all
// the rest. Whatever is not plainly valid is left to it: nil.
func plainNumber(s string) *phonenumbers.PhoneNumber {
	if len(s) < 8 || len(s) > longestPhone || s[0] != '+' {
		return nil
	}
	var digits [15]byte // E.164 has no longer numbers
	n := 0
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			if n == len(digits) {
				return nil
			}
			digits[n] = c
			n++
		case c != ' ' && c != '-' && c != '.':
			return nil
		}
	}
	country := int32(0)
	for i := range min(3, n) {
		country = country*10 + int32(digits[i]-'0')
		if country == 0 {
			return nil
		}
		if phonenumbers.GetRegionCodeForCountryCode(int(country)) == phonenumbers.UNKNOWN_REGION {
			continue
		}
		if i+1 == n || digits[i+1] == '0' {
			return nil // a leading zero may be the number's own or a habit
		}
		national := uint64(0)
		for _, d := range digits[i+1 : n] {
			national = national*10 + uint64(d-'0')
		}
		if known := numbering(int(country)); known == nil || !known.has(digits[i+1:n]) {
			return nil
		}
		return &phonenumbers.PhoneNumber{CountryCode: &country, NationalNumber: &national}
	}
	return nil
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// KnownRegion reports whether a region such as "BE" has phone numbers.
func KnownRegion(region string) bool {
	return phonenumbers.GetSupportedRegions()[region]
}
