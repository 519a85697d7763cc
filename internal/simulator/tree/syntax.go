package tree

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Normal is the form in which two values of a syntax are the same.
func (s Syntax) Normal(v string) string {
	switch s {
	case Exact:
		return v
	case Name:
		return looseKey(v)
	case Integer:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
	case Time:
		if t, ok := ParseTime(v); ok {
			return t.Format(time.RFC3339Nano)
		}
	case Boolean, Text:
	}
	return fold(v)
}

// Equal compares two values.
func (s Syntax) Equal(a, b string) bool { return a == b || s.Normal(a) == s.Normal(b) }

// valid reports whether a value can be asserted of a syntax; a filter with one
// that cannot is neither true nor false (RFC 4511, 4.5.1.7).
func (s Syntax) valid(v string) bool {
	switch s {
	case Integer:
		_, err := strconv.ParseInt(v, 10, 64)
		return err == nil
	case Boolean:
		return strings.EqualFold(v, "TRUE") || strings.EqualFold(v, "FALSE")
	case Time:
		_, ok := ParseTime(v)
		return ok
	case Name:
		_, err := Key(v)
		return err == nil
	case Text, Exact:
	}
	return true
}

// order compares two values by size.
func (s Syntax) order(a, b string) int {
	switch s {
	case Integer:
		x, _ := strconv.ParseInt(a, 10, 64) // the assertion was found valid; a value that is not counts as 0
		y, _ := strconv.ParseInt(b, 10, 64)
		return cmp.Compare(x, y)
	case Time:
		x, _ := ParseTime(a)
		y, _ := ParseTime(b)
		return x.Compare(y)
	case Text, Exact, Boolean, Name:
	}
	return cmp.Compare(s.Normal(a), s.Normal(b))
}

// times are the forms of a generalized time (RFC 4517, 3.3.13) servers use.
var times = []string{"20060102150405Z", "20060102150405.999999999Z", "200601021504Z", "2006010215Z", "20060102150405Z0700"}

// ParseTime reads a generalized time.
func ParseTime(text string) (time.Time, bool) {
	for _, layout := range times {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// FormatTime writes a generalized time without fractions.
func FormatTime(t time.Time) string { return t.UTC().Format("20060102150405Z") }
