package okta

import (
	"errors"
	"regexp"
	"strings"
)

// comparison is one of a filter, as Okta's lists take them (core-okta-api, Filter).
var comparison = regexp.MustCompile(`^\s*([\w.]+) (eq|gt|ge|lt|le) "((?:[^"\\]|\\.)*)"\s*(and|or|$)`)

var errFilter = errors.New("not a filter")

// parseFilter reads comparisons joined by and and or, without brackets. Only times may
// be compared otherwise than by eq.
func parseFilter(text string) (func(property func(string) string) bool, error) {
	type term struct{ name, op, value, join string }
	var terms []term
	for text != "" {
		m := comparison.FindStringSubmatch(text)
		if m == nil {
			return nil, errFilter
		}
		if m[2] != "eq" && !strings.HasPrefix(m[1], "last") {
			return nil, errFilter
		}
		terms = append(terms, term{m[1], m[2], strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(m[3]), m[4]})
		text = text[len(m[0]):]
		if text == "" && m[4] != "" || text != "" && m[4] == "" {
			return nil, errFilter
		}
	}
	if len(terms) == 0 {
		return nil, errFilter
	}
	return func(property func(string) string) bool {
		some, all := false, true
		for _, t := range terms {
			have := property(t.name)
			holds := have != "\x00"
			switch t.op {
			case "eq":
				holds = holds && have == t.value
			case "gt":
				holds = holds && have > t.value
			case "ge":
				holds = holds && have >= t.value
			case "lt":
				holds = holds && have < t.value
			case "le":
				holds = holds && have <= t.value
			}
			all = all && holds
			if t.join != "and" {
				some, all = some || all, true
			}
		}
		return some
	}, nil
}
