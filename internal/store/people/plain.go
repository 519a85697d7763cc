package people

import (
	"encoding/json"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// bare are letters that Unicode does not take apart into a letter and a mark.
var bare = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "æ", "ae", "œ", "oe", "ı", "i", "ħ", "h", "ŧ", "t")

// spelled are the letters that people who type without umlauts write as two.
var spelled = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "å", "aa")

// Plain is the form in which names are searched and sorted: without case, without
// accents and other marks, with one space where there were several.
func Plain(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return plain(cases.Fold().String(s))
		}
	}
	return spaced(strings.ToLower(s))
}

// plain takes the marks off a folded text.
func plain(s string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return spaced(bare.Replace(b.String()))
}

func spaced(s string) string { return strings.Join(strings.Fields(s), " ") }

// mostText is how much of one person's custom attributes is searched, in bytes.
const mostText = 1000

// lines is what is searched of a person: a line for each value, with a line break
// before the first and behind the last. Names with umlauts are there as they are
// typed without, too.
func lines(id, username, email, whole, display, external, attributes string) string {
	var b strings.Builder
	add := func(s string) {
		b.WriteByte('\n')
		b.WriteString(s)
	}
	add(id)
	for i, value := range [...]string{username, email, whole, display, external} {
		if value == "" || i > 0 && value == username || i == 3 && value == whole {
			continue
		}
		p := Plain(value)
		add(p)
		if i < 4 && len(p) < len(value) {
			if other := plain(spelled.Replace(norm.NFC.String(cases.Fold().String(value)))); other != p {
				add(other)
			}
		}
	}
	if attributes != "" {
		var custom map[string]any
		if json.Unmarshal([]byte(attributes), &custom) == nil { // what is no object has no values
			most := b.Len() + mostText
			each(custom, func(value string) {
				if p := Plain(value); p != "" && b.Len()+len(p) < most {
					add(p)
				}
			})
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// each hands on the texts and numbers in a JSON value.
func each(v any, fn func(string)) {
	switch x := v.(type) {
	case string:
		fn(x)
	case []any:
		for _, one := range x {
			each(one, fn)
		}
	case map[string]any:
		for _, one := range x {
			each(one, fn)
		}
	}
}
