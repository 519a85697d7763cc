package clean

import (
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/language"

	"rollcall.dev/rollcall/internal/account"
)

// Language gives the two letters of ISO 639-1 for a tag ("nl-BE", "fr_FR.UTF-8"),
// a list of preferences ("de-CH, de;q=0.9", RFC 2798 2.7) or a language's name in
// English or in itself.
func Language(s string) (value, why string) {
	s, why = Text(s)
	if why != "" || s == "" {
		return "", why
	}
	if len(s) == 2 && codes()[[2]byte{s[0], s[1]}] {
		return s, ""
	}
	s = preferred(s)
	if i := strings.IndexAny(s, ".@"); i >= 0 {
		s = s[:i]
	}
	if code, ok := languageNames[account.Fold(s)]; ok {
		return code, ""
	}
	tag, err := language.Parse(s)
	if err != nil {
		return "", "is not a known language"
	}
	base, _, _ := tag.Raw()
	code := base.String()
	if code == "fil" { // what the library makes of tl, which ISO 639-1 has for both
		code = "tl"
	}
	if len(code) != 2 || !codes()[[2]byte{code[0], code[1]}] {
		return "", "is not a language with a two-letter code"
	}
	return code, ""
}

// preferred is the language of a list that has the greatest weight, the first of
// several; a language without a weight has the greatest there is, and one of weight
// 0 is not wanted (RFC 9110 12.5.4).
func preferred(s string) string {
	if !strings.ContainsAny(s, ",;") {
		return s
	}
	best, most := "", 0.0
	for item := range strings.SplitSeq(s, ",") {
		one, parameters, _ := strings.Cut(item, ";")
		one = strings.TrimSpace(one)
		if one == "" || one == "*" {
			continue
		}
		weight := 1.0
		if name, value, ok := strings.Cut(parameters, "="); ok && strings.EqualFold(strings.TrimSpace(name), "q") {
			if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				weight = q
			}
		}
		if weight > most {
			best, most = one, weight
		}
	}
	if best == "" {
		return s // and no language
	}
	return best
}

// codes are the two-letter codes that stand for themselves.
var codes = sync.OnceValue(func() map[[2]byte]bool {
	out := map[[2]byte]bool{{'t', 'l'}: true}
	for a := byte('a'); a <= 'z'; a++ {
		for b := byte('a'); b <= 'z'; b++ {
			text := string([]byte{a, b})
			if tag, err := language.Parse(text); err == nil && tag.String() == text {
				out[[2]byte{a, b}] = true
			}
		}
	}
	return out
})

// languageNames are what people write instead of a code, folded.
var languageNames = map[string]string{
	"arabic": "ar", "العربية": "ar",
	"bulgarian": "bg", "български": "bg",
	"catalan": "ca", "català": "ca",
	"chinese": "zh", "中文": "zh",
	"croatian": "hr", "hrvatski": "hr",
	"czech": "cs", "čeština": "cs", "cesky": "cs", "česky": "cs",
	"danish": "da", "dansk": "da",
	"dutch": "nl", "nederlands": "nl", "flemish": "nl", "vlaams": "nl",
	"english":  "en",
	"estonian": "et", "eesti": "et",
	"finnish": "fi", "suomi": "fi",
	"french": "fr", "français": "fr", "francais": "fr", "frans": "fr",
	"german": "de", "deutsch": "de", "duits": "de", "allemand": "de",
	"greek": "el", "ελληνικά": "el",
	"hebrew": "he", "עברית": "he",
	"hungarian": "hu", "magyar": "hu",
	"irish": "ga", "gaeilge": "ga",
	"italian": "it", "italiano": "it",
	"japanese": "ja", "日本語": "ja",
	"korean": "ko", "한국어": "ko",
	"latvian": "lv", "latviešu": "lv",
	"lithuanian": "lt", "lietuvių": "lt",
	"luxembourgish": "lb", "lëtzebuergesch": "lb",
	"maltese": "mt", "malti": "mt",
	"norwegian": "no", "norsk": "no",
	"polish": "pl", "polski": "pl",
	"portuguese": "pt", "português": "pt", "portugues": "pt",
	"romanian": "ro", "română": "ro",
	"russian": "ru", "русский": "ru",
	"serbian": "sr", "српски": "sr",
	"slovak": "sk", "slovenčina": "sk", "slovensky": "sk",
	"slovenian": "sl", "slovenščina": "sl",
	"spanish": "es", "español": "es", "espanol": "es", "castellano": "es",
	"swedish": "sv", "svenska": "sv",
	"turkish": "tr", "türkçe": "tr", "turkce": "tr",
	"ukrainian": "uk", "українська": "uk",
	"engels": "en", "anglais": "en", "néerlandais": "nl", "neerlandais": "nl", "hollands": "nl",
}
