// Package clean brings single values into the form an account keeps: text,
// e-mail addresses, phone numbers, languages. It hands each value on to mapping,
// or the reason why there is none. Cleaning a clean value changes nothing.
package clean

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The longest values, in characters.
const (
	MaxText     = 256
	MaxUsername = 254 // as an e-mail address, RFC 5321 4.5.3.1.3
	MaxPhone    = 19
)

// The reasons for which a value is left out. Each reads on after the field's
// name: "title: contains a control character".
const (
	notUTF8     = "is not valid UTF-8"
	control     = "contains a control character"
	tooLong     = "is longer than 256 characters"
	longAddress = "is longer than 254 characters"
	notEmail    = "is not an e-mail address"
)

// Text trims a text and brings it into Unicode's composed form (NFC). why is ""
// where the value can be kept.
func Text(s string) (value, why string) { return text(s, MaxText, tooLong) }

// Username is Text with the shorter limit of usernames.
func Username(s string) (value, why string) { return text(s, MaxUsername, longAddress) }

func text(s string, limit int, long string) (string, string) {
	ascii := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		s = trimASCII(s)
		for i := 0; i < len(s); i++ {
			if s[i] < ' ' || s[i] == 0x7f {
				return "", control
			}
		}
		if len(s) > limit {
			return "", long
		}
		return s, ""
	}
	if !utf8.ValidString(s) {
		return "", notUTF8
	}
	s = strings.TrimSpace(norm.NFC.String(s))
	count := 0
	for _, r := range s {
		if unicode.IsControl(r) || steers(r) {
			return "", control
		}
		count++
	}
	if count > limit {
		return "", long
	}
	return s, ""
}

// steers reports characters that change how the text around them is shown: line
// and paragraph separators and the overrides of writing direction.
func steers(r rune) bool {
	return r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func trimASCII(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] >= '\t' && s[0] <= '\r') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] >= '\t' && s[len(s)-1] <= '\r') {
		s = s[:len(s)-1]
	}
	return s
}

// Email checks an address (RFC 5322 addr-spec, no display name, one @) and
// writes its domain in lower case. The local part is the owner's (RFC 5321 2.4).
func Email(s string) (value, why string) {
	s, why = text(s, MaxUsername, longAddress)
	if why != "" || s == "" {
		return "", why
	}
	at := strings.IndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || strings.IndexByte(s[at+1:], '@') >= 0 {
		return "", notEmail
	}
	if !plainAddress(s, at) {
		a, err := mail.ParseAddress(s)
		if err != nil || a.Address != s || a.Name != "" {
			return "", notEmail
		}
	}
	for i := at + 1; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf {
			lower := norm.NFC.String(strings.ToLower(s[at+1:]))
			if again := norm.NFC.String(strings.ToLower(lower)); again != lower {
				return "", notEmail
			}
			return s[:at+1] + lower, ""
		}
	}
	return s, ""
}

// plainAddress accepts the common case, a dot-atom on both sides, without the
// cost of the full grammar.
func plainAddress(s string, at int) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case i == at:
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-':
		case c == '.':
			if i == 0 || i == len(s)-1 || s[i-1] == '.' || i-1 == at || i+1 == at {
				return false
			}
		case c == '_' || c == '+':
			if i > at {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// Reference says why a ref to another record cannot be used, or "".
func Reference(s string) (why string) {
	switch {
	case !utf8.ValidString(s):
		return notUTF8
	case strings.ContainsRune(s, 0):
		return control
	case len(s) > 4096:
		return "is longer than 4096 bytes"
	}
	return ""
}
