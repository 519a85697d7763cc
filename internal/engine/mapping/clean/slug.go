package clean

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// letters that no decomposition brings to ASCII.
var letters = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'ø': "o", 'Ø': "o", 'đ': "d", 'Đ': "d",
	'ð': "d", 'Ð': "d", 'þ': "th", 'Þ': "th", 'ł': "l", 'Ł': "l", 'ı': "i", 'ħ': "h", 'Ħ': "h", 'ŋ': "n", 'Ŋ': "n",
	'’': "", '\'': "",
}

// Slug is a text in small ASCII letters, digits, dots and underscores; any run
// of other characters becomes one hyphen: "Zoë O'Brien" is "zoe-obrien".
func Slug(s string) string {
	var b strings.Builder
	gap := false
	put := func(r rune) {
		if gap && b.Len() > 0 {
			b.WriteByte('-')
		}
		gap = false
		b.WriteRune(r)
	}
	for _, r := range norm.NFKD.String(s) {
		if folded, ok := letters[r]; ok {
			for _, f := range folded {
				put(f)
			}
			continue
		}
		r = unicode.ToLower(r)
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_':
			put(r)
		case unicode.Is(unicode.Mn, r):
		default:
			gap = true
		}
	}
	return b.String()
}
